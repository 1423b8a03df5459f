package registry

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// DefaultTolerance is how far an engine's answer may be from the original's: absolutely where that is below one, relatively above. It
// is some hundred roundings of float32, in which most exported graphs compute.
const DefaultTolerance = 1e-5

// certificateRows is how many rows engines are compared on.
const certificateRows = 200

// Sources of the rows of a certificate.
const (
	SourceGolden    = "golden"    // rows of the training data, with the outputs of training
	SourceExample   = "example"   // the input example that came with the model
	SourceGenerated = "generated" // made up of the signature
)

// What a certificate says.
const (
	CertificateHolds    = "holds"
	CertificateFails    = "fails"    // the engine that serves is further from the original than the tolerance
	CertificateUnproven = "unproven" // there is nothing to compare with, or no row that the model takes is known
)

// Certificate says how far the engines that can serve a version agree with the original, on the same rows. A version whose certificate
// fails cannot be promoted, unless somebody forces it with a reason.
type Certificate struct {
	State     string      `json:"state"`
	At        time.Time   `json:"at"`
	Rows      int         `json:"rows"`
	Source    string      `json:"source"`
	Reference string      `json:"reference"` // the engine, or the golden outputs, that the others are held against
	Tolerance float64     `json:"tolerance"`
	Note      string      `json:"note"`
	Engines   []Agreement `json:"engines"`
	Forced    *Force      `json:"forced,omitempty"`
}

// Agreement is how one engine's answers differ from the reference's.
type Agreement struct {
	Engine string   `json:"engine"`
	Serves bool     `json:"serves"` // it is the one that answers requests
	Holds  bool     `json:"holds"`
	MaxAbs *float64 `json:"max_abs,omitempty"` // greatest difference of a number
	MaxRel *float64 `json:"max_rel,omitempty"` // greatest difference, divided by the reference's number where that is above one
	Flips  int      `json:"flips"`             // rows whose label is another
	Worst  int      `json:"worst_row"`         // where MaxRel is
	Error  string   `json:"error,omitempty"`   // why it was not compared
}

// Refuses tells whether the certificate keeps the version from traffic.
func (c *Certificate) Refuses() bool {
	return c != nil && c.State == CertificateFails && c.Forced == nil
}

// Refusal is the fault for a version that its certificate keeps from traffic.
func (c *Certificate) Refusal(model string, version int) error {
	for _, a := range c.Engines {
		if a.Serves && !a.Holds {
			return fault.New(fault.GateRefused, "%s v%d fails its load certificate: %s", model, version, c.sentence(&a)).
				With("tolerance", c.Tolerance).With("engine", a.Engine).
				WithHint("serve the original (import it with --engine python), or force it with a reason: trimtab models promote %s --version %d --force --reason TEXT", model, version)
		}
	}
	return fault.New(fault.GateRefused, "%s v%d fails its load certificate", model, version)
}

func (c *Certificate) sentence(a *Agreement) string {
	if a.Error != "" {
		return fmt.Sprintf("%s: %s", a.Engine, a.Error)
	}
	if a.MaxAbs == nil {
		return fmt.Sprintf("%s is the original", a.Engine)
	}
	return fmt.Sprintf("%s differs from %s by up to %.3g absolutely and %.3g relatively, with %d of %d labels changed; %.3g is tolerated", a.Engine, c.Reference, *a.MaxAbs, *a.MaxRel, a.Flips, c.Rows, c.Tolerance)
}

// Sentence says the outcome in words.
func (c *Certificate) Sentence() string {
	if c == nil {
		return "not examined yet"
	}
	out := c.State
	for i := range c.Engines {
		if a := &c.Engines[i]; a.Serves && c.State != CertificateUnproven {
			out += ": " + c.sentence(a)
		}
	}
	if c.State == CertificateUnproven {
		out += ": " + c.Note
	}
	if c.Forced != nil {
		out += fmt.Sprintf("; forced by %s: %s", c.Forced.Actor, c.Forced.Reason)
	}
	return out
}

// certify compares the engine that serves a version with the original. It cannot fail: what it could not find out it says.
func (s *Service) certify(ctx context.Context, v *Version, c *content, m *mlflow, serving *opened, ex *exampleRows) *Certificate {
	out := &Certificate{State: CertificateUnproven, At: time.Now().UTC(), Tolerance: v.run().Tolerance, Engines: []Agreement{}, Reference: serving.engine}
	if out.Tolerance == 0 {
		out.Tolerance = DefaultTolerance
	}
	if serving.Signature.Task == TaskTensors {
		out.Source, out.Note = SourceGenerated, "tensors made up of the signature"
	}
	original, way, why := s.original(ctx, v, c, m, serving, ex)
	if original != nil {
		defer original.Close()
	}
	agreement := Agreement{Engine: serving.engine, Serves: true, Holds: true}
	var compared *comparison
	var err error
	if serving.Signature.Task == TaskTensors {
		compared, err = compareTensors(ctx, serving.Package, original)
	} else {
		var rows [][]table.Value
		rows, out.Source, out.Note = rowsFor(&serving.Signature, ex, certificateRows)
		compared, err = compareRows(ctx, serving.Package, original, rows)
	}
	switch {
	case err != nil:
		agreement.Holds, agreement.Error = false, err.Error()
		out.Engines = append(out.Engines, agreement)
		out.State = CertificateFails
		if out.Source == SourceGenerated {
			out.State, out.Note = CertificateUnproven, "no row that the model takes is known; give some with --input-example FILE"
		}
		return out
	case original == nil && (serving.engine == EnginePython || serving.engine == EngineR):
		out.State, out.Rows, out.Note = CertificateHolds, compared.rows, out.Note+"; the original itself serves"
		out.Engines = append(out.Engines, agreement)
		return out
	case original == nil:
		out.Rows, out.Note = compared.rows, out.Note+"; the model answers them, and there is nothing to compare with: "+why
		out.Engines = append(out.Engines, agreement)
		return out
	}
	out.Rows, out.Reference = compared.rows, way.engine
	agreement.MaxAbs, agreement.MaxRel, agreement.Flips, agreement.Worst = &compared.abs, &compared.rel, compared.flips, compared.worst
	agreement.Holds = compared.rel <= out.Tolerance && compared.flips == compared.ties
	out.Engines = append(out.Engines, agreement, Agreement{Engine: way.engine, Holds: true})
	if out.State = CertificateHolds; !agreement.Holds {
		out.State = CertificateFails
	}
	return out
}

// original opens the version in the engine that the serving one is held against: the model's own library for a graph made of it and, where
// an environment was named, for trees read from their file; ONNX Runtime for a graph.
func (s *Service) original(ctx context.Context, v *Version, c *content, m *mlflow, serving *opened, ex *exampleRows) (*Package, prospect, string) {
	ways, err := c.prospects(RunOptions{})
	if err != nil {
		return nil, prospect{}, err.Error()
	}
	why := "the original serves"
	for i := len(ways) - 1; i >= 0; i-- {
		way := ways[i]
		if way.engine == serving.engine && way.path == serving.path || way.engine == EngineONNX || way.engine == EngineNative {
			break
		}
		if way.engine == EnginePython && serving.engine == EngineNative && serving.path == c.exchange && v.run().Python == "" && v.run().Requirements == "" {
			why = "name an environment with the original library (--python or --requirements) to have it answer too"
			continue
		}
		if serving.engine == EngineONNXRuntime && way.engine != EnginePython && way.engine != EngineR {
			continue
		}
		bare, run := *v, v.run()
		run.Task = serving.Signature.Task // a library may not say that its numbers are probabilities
		bare.Serving, bare.Options = nil, &run
		p, err := s.openWith(ctx, &bare, c, m, way, ex)
		if err != nil {
			why = fmt.Sprintf("%s does not open it: %v", way.engine, err)
			continue
		}
		if err := alike(&serving.Signature, &p.Signature); err != nil {
			_ = p.Close()
			why = err.Error()
			continue
		}
		return p, way, ""
	}
	return nil, prospect{}, why
}

// alike refuses to compare two engines whose answers are of different sorts.
func alike(a, b *Signature) error {
	switch {
	case a.Task != b.Task:
		return fault.New(fault.Invalid, "one engine answers as a %s task and the other as %s", a.Task, b.Task)
	case len(a.Features) != len(b.Features):
		return fault.New(fault.Invalid, "one engine reads %d columns and the other %d", len(a.Features), len(b.Features))
	case len(a.Classes) != len(b.Classes):
		return fault.New(fault.Invalid, "one engine knows %d classes and the other %d", len(a.Classes), len(b.Classes))
	}
	return nil
}

// comparison is the greatest differences of two engines.
type comparison struct {
	rows     int
	abs, rel float64
	worst    int
	flips    int
	ties     int // flips where the reference itself was within a rounding of the other decision
}

func (c *comparison) number(row int, got, want float64) {
	if math.IsNaN(got) && math.IsNaN(want) || got == want {
		return
	}
	d := math.Abs(got - want)
	if math.IsNaN(d) || math.IsInf(d, 0) {
		d = math.MaxFloat64 // one of them has no number there
	}
	c.abs = max(c.abs, d)
	if rel := d / max(1, math.Abs(want)); rel > c.rel {
		c.rel, c.worst = rel, row
	}
}

// compareRows asks both for the same rows, and the serving one for some of them one at a time as well. Rows that neither takes are left
// out. reference may be nil.
func compareRows(ctx context.Context, serving, reference *Package, rows [][]table.Value) (*comparison, error) {
	got, gotLabels, rows, err := askAny(ctx, serving, rows)
	if err != nil {
		return nil, err
	}
	c := &comparison{rows: len(rows)}
	k := serving.Outputs()
	for i := 0; i < len(rows); i += max(1, len(rows)/20) { // alone a row is answered as it is among others
		alone, _, err := serving.Ask(ctx, rows[i:i+1])
		if err != nil {
			return nil, err
		}
		for j := range k {
			c.number(i, alone[j], got[i*k+j])
		}
	}
	if reference == nil {
		return c, nil
	}
	c.abs, c.rel = 0, 0
	want, wantLabels, err := reference.Ask(ctx, reordered(serving, reference, rows))
	if err != nil {
		return nil, err
	}
	if reference.Outputs() != k {
		return nil, fault.New(fault.Invalid, "one engine gives %d numbers for a row and the other %d", k, reference.Outputs())
	}
	for i := range rows {
		for j := range k {
			c.number(i, got[i*k+j], want[i*k+j])
		}
	}
	for i := range wantLabels {
		if gotLabels[i] == wantLabels[i] || place(serving, gotLabels[i]) == place(reference, wantLabels[i]) {
			continue
		}
		c.flips++
		if margin(want[i*k:(i+1)*k], reference) <= 2*DefaultTolerance {
			c.ties++
		}
	}
	return c, nil
}

// place is the number of a label among the classes; engines may write them differently.
func place(p *Package, label string) int { return slices.Index(p.Signature.Classes, label) }

// margin is how far scores are from another decision.
func margin(scores []float64, p *Package) float64 {
	if len(scores) == 1 {
		return math.Abs(scores[0] - p.Threshold)
	}
	sorted := slices.Sorted(slices.Values(scores))
	return sorted[len(sorted)-1] - sorted[len(sorted)-2]
}

// reordered gives the rows in the order of the reference's features, which may be another.
func reordered(from, to *Package, rows [][]table.Value) [][]table.Value {
	if slices.Equal(from.Signature.Features, to.Signature.Features) || !sameSet(from.Signature.Features, to.Signature.Features) {
		return rows
	}
	out := make([][]table.Value, len(rows))
	for i, row := range rows {
		out[i] = make([]table.Value, len(row))
		for j, name := range to.Signature.Features {
			out[i][j] = row[slices.Index(from.Signature.Features, name)]
		}
	}
	return out
}

// askAny asks for all rows, or, when some spoil the rest, for each; what is refused is left out. An error is that of the last when none is
// left.
func askAny(ctx context.Context, p *Package, rows [][]table.Value) (scores []float64, decided []string, taken [][]table.Value, err error) {
	if scores, decided, err = p.Ask(ctx, rows); err == nil && allFinite(scores) {
		return scores, decided, rows, nil
	}
	scores, decided = nil, nil
	var last error
	for _, row := range rows {
		s, l, err := p.Ask(ctx, [][]table.Value{row})
		if err == nil && !allFinite(s) {
			err = fault.New(fault.Invalid, "the model gives no finite number")
		}
		if err != nil {
			if last = err; ctx.Err() != nil || len(taken) == 0 && fault.Is(err, fault.Unavailable) {
				break
			}
			continue
		}
		scores, decided, taken = append(scores, s...), append(decided, l...), append(taken, row)
	}
	if len(taken) == 0 {
		return nil, nil, nil, last
	}
	return scores, decided, taken, nil
}

// compareTensors asks both for the same made-up tensors.
func compareTensors(ctx context.Context, serving, reference *Package) (*comparison, error) {
	q := &predictor.Request{}
	r := rand.New(rand.NewPCG(2, 3))
	rows := 1
	for _, f := range serving.Predictor.Inputs() {
		if f.Optional {
			continue
		}
		shape := slices.Clone(f.Shape)
		for i, d := range shape {
			if d < 0 {
				shape[i] = 4
			}
		}
		if len(shape) > 0 && f.Shape[0] < 0 {
			rows = shape[0]
		}
		n, ok := tensor.Volume(shape)
		if !ok || n > 1<<24 {
			return nil, fault.New(fault.Invalid, "the input %q is too large to be made up", f.Name)
		}
		t, err := madeUp(r, f.Type, n).Reshape(shape...)
		if err != nil {
			return nil, err
		}
		q.Inputs = append(q.Inputs, tensor.Named{Name: f.Name, Tensor: t})
	}
	got, err := serving.Predictor.Predict(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &comparison{rows: rows}
	if reference == nil {
		return c, nil
	}
	want, err := reference.Predictor.Predict(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(got) != len(want) {
		return nil, fault.New(fault.Invalid, "one engine answers %d tensors and the other %d", len(got), len(want))
	}
	for k := range got {
		if got[k].Len() != want[k].Len() {
			return nil, fault.New(fault.Invalid, "the output %q has the shape %v from one engine and %v from the other", got[k].Name, got[k].Shape, want[k].Shape)
		}
		for i := range got[k].Len() {
			a, ok1 := got[k].Number(i)
			b, ok2 := want[k].Number(i)
			if ok1 && ok2 {
				c.number(i, a, b)
			} else if ok1 != ok2 || labels(got[k].Tensor)[i] != labels(want[k].Tensor)[i] {
				c.flips++
			}
		}
	}
	return c, nil
}

func madeUp(r *rand.Rand, kind tensor.Type, n int) *tensor.Tensor {
	switch {
	case kind == tensor.String:
		out := make([]string, n)
		for i := range out {
			out[i] = string(rune('1' + r.IntN(9))) // also a number, for models that read it
		}
		return tensor.New(out, n)
	case kind >= tensor.FP16 && kind <= tensor.FP64:
		out := make([]float64, n)
		for i := range out {
			out[i] = r.NormFloat64()
		}
		t, err := tensor.New(out, n).Convert(kind)
		if err == nil {
			return t
		}
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = r.Int64N(2)
	}
	t, err := tensor.New(out, n).Convert(kind)
	if err != nil {
		return tensor.New(out, n)
	}
	return t
}

// certifyOwn compares the ways in which a version of our own can be served with its golden outputs: our engine, and the graph that others
// load. Only the first serves here.
func (s *Service) certifyOwn(ctx context.Context, v *Version, p *Package) (*Certificate, error) {
	golden, err := s.golden(ctx, v)
	if err != nil {
		return nil, err
	}
	var graph []byte
	if slices.ContainsFunc(v.Files, func(f File) bool { return f.Path == fileONNX }) {
		if graph, err = s.fileOf(ctx, v, fileONNX); err != nil {
			return nil, err
		}
	}
	return ownCertificate(ctx, p, golden, graph), nil
}

// ownCertificate is the certificate of a package of our own; graph is nil when it has no ONNX form.
func ownCertificate(ctx context.Context, p *Package, golden *Golden, graph []byte) *Certificate {
	c := &Certificate{State: CertificateHolds, At: time.Now().UTC(), Rows: len(golden.Rows), Source: SourceGolden, Reference: "the outputs of training",
		Tolerance: DefaultTolerance, Note: fmt.Sprintf("%d rows of the training data with the outputs of training", len(golden.Rows)), Engines: []Agreement{}}
	rows := make([][]table.Value, len(golden.Rows))
	for i, cells := range golden.Rows {
		rows[i] = make([]table.Value, len(cells))
		for j, cell := range cells {
			switch v := cell.(type) {
			case string:
				rows[i][j] = table.Text(v)
			case float64:
				rows[i][j] = table.Number(v)
			default:
				rows[i][j] = table.Null
			}
		}
	}
	native := Agreement{Engine: EngineNative, Serves: true}
	native.against(golden, p.learned(rows), p)
	native.Holds = *native.MaxRel <= DefaultTolerance
	if !native.Holds {
		c.State = CertificateFails
	}
	c.Engines = append(c.Engines, native)
	if graph == nil {
		return c
	}
	other := Agreement{Engine: EngineONNX}
	if err := other.graph(ctx, golden, graph, p, rows); err != nil {
		other.Error = err.Error()
	} else {
		other.Holds = *other.MaxRel <= DefaultTolerance && other.Flips == 0
	}
	c.Engines = append(c.Engines, other)
	return c
}

// against fills in how scores differ from the golden outputs.
func (a *Agreement) against(golden *Golden, scores []float64, p *Package) {
	c := &comparison{}
	k := p.Learned.Outputs()
	var want []float64
	for i, outputs := range golden.Outputs {
		for j, w := range outputs {
			c.number(i, scores[i*k+j], w)
		}
		want = append(want, outputs...)
	}
	got, was := p.decide(scores, len(golden.Outputs)), p.decide(want, len(golden.Outputs))
	for i := range was {
		if got[i] != was[i] {
			a.Flips++
		}
	}
	a.MaxAbs, a.MaxRel, a.Worst = &c.abs, &c.rel, c.worst
}

// graph has the exported form answer the golden rows, in this process.
func (a *Agreement) graph(ctx context.Context, golden *Golden, data []byte, p *Package, rows [][]table.Value) error {
	graph, err := onnx.Open(data)
	if err != nil {
		return err
	}
	defer graph.Close()
	other := &Package{Model: p.Model, Version: p.Version, Predictor: graph, Signature: p.Signature, Threshold: p.Threshold}
	k := p.Learned.Outputs()
	for _, f := range graph.Outputs() {
		if f.Type == tensor.FP32 || f.Type == tensor.FP64 {
			other.Binding.Scores = f.Name
			if len(f.Shape) == 2 && f.Shape[1] == k+1 && p.Signature.Task == string(learn.Binary) {
				other.Binding.Skip = 1
			}
			break
		}
	}
	scores, _, err := other.Ask(ctx, rows)
	if err != nil {
		return err
	}
	a.against(golden, scores, p)
	return nil
}
