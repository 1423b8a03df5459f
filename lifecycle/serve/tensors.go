package serve

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// What is kept of tensors in the log: numbers of an answer, and bytes of an input that is written as a text.
const (
	loggedNumbers = 64
	loggedText    = 1024
)

// inferTensors answers a request with a version whose tensors go through as they come. All its rows go to one version: the bucket is that
// of the first key, or of the request.
func (s *Service) inferTensors(ctx context.Context, e *endpoint, l *live, first *resident, pinned bool, b *Batch, times traced) (*Answer, error) {
	start := time.Now()
	if len(b.Rows) > 0 {
		b = b.columnar()
	}
	if b.Explain {
		return nil, fault.New(fault.Invalid, "%s v%d cannot explain its predictions: its answers are no scores", first.pkg.Model, first.pkg.Version).WithHint("ask without explain")
	}
	inputs, n, err := first.take(b)
	if err != nil {
		return nil, err
	}
	switch {
	case len(b.Keys) > 1 && len(b.Keys) != n:
		return nil, fault.New(fault.Invalid, "the request has %d rows and %d keys", n, len(b.Keys))
	case len(b.At) > 1 && len(b.At) != n:
		return nil, fault.New(fault.Invalid, "the request has %d rows and %d times", n, len(b.At))
	case !utf8.ValidString(b.Request) || slices.ContainsFunc(b.Keys, func(key string) bool { return !utf8.ValidString(key) }):
		return nil, fault.New(fault.Invalid, "the request id and keys are texts in UTF-8")
	case len(b.Request) > maxKey:
		return nil, fault.New(fault.Invalid, "the request id has %d bytes; at most %d are taken", len(b.Request), maxKey)
	}
	for _, at := range b.At {
		if at < earliest.UnixMicro() || at > latest.UnixMicro() {
			return nil, fault.New(fault.Invalid, "at lies between %d and %d", earliest.Year(), latest.Year())
		}
	}
	preds := make([]Prediction, n)
	request := strings.Clone(b.Request)
	clock := int64(0)
	if len(b.At) == 0 {
		clock = s.cfg.Clock(e.project).Now().UnixMicro()
	}
	for i := range preds {
		p := &preds[i]
		p.ID, p.Request, p.Row, p.Deployment, p.Received, p.At = id.New(), request, i, e.name, start.UnixMicro(), clock
		if len(b.At) > 0 {
			p.At = b.At[min(i, len(b.At)-1)]
		}
		if p.Key = p.ID; i < len(b.Keys) && b.Keys[i] != "" {
			p.Key = strings.Clone(b.Keys[i])
		}
		if len(p.Key) > maxKey {
			return nil, fault.New(fault.Invalid, "the key of row %d has %d bytes; at most %d are taken", i, len(p.Key), maxKey)
		}
	}
	hashed := preds[0].Key
	if hashed == preds[0].ID && request != "" {
		hashed = request
	}
	bucket := Bucket(l.deployment.Route.Salt, hashed)
	r, arm := first, Champion
	if !pinned {
		r, arm = l.pick(bucket, first)
	}
	bound := time.Now()
	q := &predictor.Request{Inputs: inputs, Wanted: b.Wanted, Params: b.Params}
	if err := first.wants(b.Wanted); err != nil {
		return nil, err
	}
	out, err := r.engine.Predict(ctx, q)
	if err != nil && r != first {
		r.counters.failed(time.Now(), int64(n))
		s.log.Warn("a version could not answer; the champion does", "deployment", e.name, "version", r.pkg.Version, "error", err)
		r, arm = first, Champion
		out, err = r.engine.Predict(ctx, q)
	}
	if err != nil {
		if code := fault.CodeOf(err); code == fault.Internal || code == fault.Unavailable {
			r.counters.failed(time.Now(), int64(n))
			e.failed.Add(int64(n))
		}
		return nil, err
	}
	scored := time.Now()
	r.describe(preds, inputs, out)
	took := uint32(min(scored.Sub(start).Microseconds()/int64(n), math.MaxUint32))
	for i := range preds {
		p := &preds[i]
		p.Version, p.Arm, p.Bucket, p.Signature, p.LatencyUS = r.pkg.Version, arm, bucket, r.sig, took
	}
	x := &call{times: times, service: s, first: r, batch: b, bound: bound, scored: scored}
	if err := s.record(ctx, e, l, preds, x); err != nil {
		return nil, err
	}
	s.mirrorTensors(ctx, e, l, pinned, preds, q, out)
	return &Answer{Deployment: e.name, Version: r.pkg.Version, Signature: r.sig, Predictions: preds, Outputs: out}, nil
}

// columnar makes columns of rows: a name of any row is a column, and what a row lacks is null.
func (b *Batch) columnar() *Batch {
	out := *b
	out.Rows = nil
	place := map[string]int{}
	for i, row := range b.Rows {
		for _, f := range row {
			at, ok := place[f.Name]
			if !ok {
				at = len(out.Columns)
				place[f.Name] = at
				out.Columns = append(out.Columns, Column{Name: f.Name, Cells: make([]Cell, len(b.Rows))})
			}
			out.Columns[at].Cells[i] = f.Cell
		}
	}
	return &out
}

// wants refuses outputs that the version does not have.
func (c *compiled) wants(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(c.pkg.Predictor.Outputs(), func(f predictor.Field) bool { return f.Name == name }) {
			all := ""
			for _, f := range c.pkg.Predictor.Outputs() {
				all += ", " + f.Name
			}
			return fault.New(fault.Invalid, "there is no output %q", clip(name)).WithHint("outputs are %s", strings.TrimPrefix(all, ", "))
		}
	}
	return nil
}

// take makes the tensors of a version out of the columns of a request, and says how many rows they are: the first dimension where it is
// free, else one.
func (c *compiled) take(b *Batch) ([]tensor.Named, int, error) {
	fields := c.pkg.Predictor.Inputs()
	var out []tensor.Named
	rows := 0
	from := ""
	for f := range fields {
		field := &fields[f]
		k := slices.IndexFunc(b.Columns, func(col Column) bool { return col.Name == field.Name })
		if k < 0 && len(fields) == 1 && len(b.Columns) == 1 {
			k = 0 // the only one, whatever the caller calls it
		}
		if k < 0 {
			if field.Optional {
				continue
			}
			return nil, 0, fault.New(fault.Invalid, "the input %q is missing", field.Name).With("column", field.Name).WithHint("inputs are %s", fieldNames(fields))
		}
		t, err := b.Columns[k].as(field)
		if err != nil {
			return nil, 0, err
		}
		if len(field.Shape) > 0 && field.Shape[0] < 0 {
			n := t.Rows()
			if rows > 0 && n != rows {
				return nil, 0, fault.New(fault.Invalid, "the input %q has %d rows, %q has %d", field.Name, n, from, rows).With("column", field.Name)
			}
			rows, from = n, field.Name
		}
		out = append(out, tensor.Named{Name: field.Name, Tensor: t})
	}
	if rows > MaxRows {
		return nil, 0, fault.New(fault.TooLarge, "the request has %d rows; at most %d are taken", rows, MaxRows).WithHint("send them in several requests")
	}
	if from != "" && rows == 0 {
		return nil, 0, fault.New(fault.Invalid, "the request has no rows")
	}
	return out, max(rows, 1), nil
}

func fieldNames(fields []predictor.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// as makes the tensor that an input takes of a column. Where the input has one dimension more or less and the size allows, [N] and
// [N, 1] stand for each other.
func (col *Column) as(field *predictor.Field) (*tensor.Tensor, error) {
	t := col.Tensor
	if t == nil {
		var err error
		if t, err = ofCells(col.Cells, field); err != nil {
			return nil, err
		}
	}
	t, err := t.Convert(field.Type)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the input %q", field.Name).With("column", field.Name).With("expected", field.Type.String())
	}
	if field.Shape == nil || fits(t.Shape, field.Shape) {
		return t, nil
	}
	for _, shape := range [][]int{append(slices.Clone(t.Shape), 1), slices.DeleteFunc(slices.Clone(t.Shape), func(d int) bool { return d == 1 })} {
		if n, ok := tensor.Volume(shape); ok && n == t.Len() && fits(shape, field.Shape) {
			return t.Reshape(shape...)
		}
	}
	return nil, fault.New(fault.Invalid, "the input %q has the shape %s; the model takes %s", field.Name, shapeText(t.Shape), shapeText(field.Shape)).
		With("column", field.Name).With("expected", shapeText(field.Shape)).WithHint("-1 stands for any size")
}

func fits(shape, want []int) bool {
	if len(shape) != len(want) {
		return false
	}
	for i, d := range want {
		if d >= 0 && shape[i] != d {
			return false
		}
	}
	return true
}

func shapeText(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// ofCells makes a tensor of cells, all of one type; a missing number is NaN where the input takes it.
func ofCells(cells []Cell, field *predictor.Field) (*tensor.Tensor, error) {
	bad := func(i int) error {
		return fault.New(fault.Invalid, "row %d, column %q: expected %s, got %s", i, field.Name, field.Type, shownCell(cells[i])).
			With("row", i).With("column", field.Name).With("expected", field.Type.String())
	}
	n := len(cells)
	switch field.Type {
	case tensor.String:
		out := make([]string, n)
		for i, c := range cells {
			if c.Type != TextCell {
				return nil, bad(i)
			}
			out[i] = strings.Clone(c.Text)
		}
		return tensor.New(out, n), nil
	case tensor.Bool:
		out := make([]bool, n)
		for i, c := range cells {
			if c.Type != BoolCell {
				return nil, bad(i)
			}
			out[i] = c.Number != 0
		}
		return tensor.New(out, n), nil
	}
	out := make([]float64, n)
	for i, c := range cells {
		switch {
		case c.Type == NumberCell:
			out[i] = c.Number
		case c.Type == NullCell && field.Type >= tensor.FP16:
			out[i] = nan
		default:
			return nil, bad(i)
		}
	}
	return tensor.New(out, n), nil
}

var nan = math.NaN()

// describe keeps of every row what the log holds: single values as they are, tensors as texts, the first numbers of the answer as
// scores and its first text as the label.
func (c *compiled) describe(preds []Prediction, in, out []tensor.Named) {
	n := len(preds)
	fields := c.pkg.Predictor.Outputs()
	for i := range preds {
		p := &preds[i]
		p.Inputs = make([]table.Value, len(c.inputs))
		for k := range c.inputs {
			p.Inputs[k] = table.Null
			for _, t := range in {
				if t.Name == c.inputs[k].name {
					p.Inputs[k] = logged(t.Tensor, n, i, c.inputs[k].kind)
				}
			}
		}
		p.Scores = []float64{}
		for f := range fields {
			k := slices.IndexFunc(out, func(t tensor.Named) bool { return t.Name == fields[f].Name })
			switch {
			case fields[f].Type == tensor.String:
				if k < 0 || p.Label != "" {
					continue
				}
				if from, to := span(out[k].Tensor, n, i); from < to {
					p.Label = short(out[k].Data.([]string)[from])
				}
			case k < 0:
				for range rowWidth(&fields[f]) { // not asked for: its places stay empty
					p.Scores = append(p.Scores, nan)
				}
			default:
				from, to := span(out[k].Tensor, n, i)
				for at := from; at < to && len(p.Scores) < loggedNumbers; at++ {
					v, _ := out[k].Number(at)
					p.Scores = append(p.Scores, v)
				}
			}
		}
		p.Scores = p.Scores[:min(len(p.Scores), loggedNumbers)]
	}
}

// LoggedNumbers is how many numbers of an answer the log keeps for each row of a version of the task tensors.
func LoggedNumbers(sig *registry.Signature) int {
	n := 0
	for f := range sig.TensorOutputs {
		if sig.TensorOutputs[f].Type != tensor.String {
			n += rowWidth(&sig.TensorOutputs[f])
		}
	}
	return min(n, loggedNumbers)
}

// rowWidth is the numbers of a row of an output, as many as the log keeps where that is open.
func rowWidth(f *predictor.Field) int {
	if len(f.Shape) == 0 {
		return 1
	}
	if n, ok := tensor.Volume(f.Shape[1:]); ok {
		return min(n, loggedNumbers)
	}
	return loggedNumbers
}

func short(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), loggedText)], "\uFFFD")
}

// span is where the elements of row i of n are; of a tensor that has not as many rows all of them belong to the first.
func span(t *tensor.Tensor, n, i int) (from, to int) {
	if t.Rows() == n && len(t.Shape) > 0 {
		w := t.Width()
		return i * w, (i + 1) * w
	}
	if i > 0 {
		return 0, 0
	}
	return 0, t.Len()
}

func logged(t *tensor.Tensor, n, i int, kind table.Kind) table.Value {
	from, to := span(t, n, i)
	if to-from == 1 && kind != table.String {
		if v, ok := t.Number(from); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return table.Number(v)
		}
		return table.Null
	}
	if kind != table.String || from == to {
		return table.Null
	}
	d, isText := t.Data.([]string)
	if isText && to-from == 1 {
		return table.Text(short(d[from]))
	}
	b := []byte{'['}
	for at := from; at < to; at++ {
		if at > from {
			b = append(b, ',')
		}
		if len(b) > loggedText {
			b = append(b, "… "+strconv.Itoa(to-from)+" values"...)
			break
		}
		if isText {
			b = strconv.AppendQuote(b, d[at][:min(len(d[at]), loggedText)])
		} else {
			v, _ := t.Number(at)
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	return table.Text(string(append(b, ']')))
}
