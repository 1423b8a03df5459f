package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Names of the files in a version's tree.
const (
	fileSignature  = "signature.json"
	fileRecipe     = "recipe.json"
	fileModel      = "model.trimtab"
	fileONNX       = "model.onnx"
	fileGolden     = "golden.json"
	fileReference  = "reference.json"
	fileEvaluation = "evaluation.json"
	fileMLmodel    = "MLmodel"
	fileNeeds      = "requirements.txt"
)

// goldenTolerance is how far a recomputed golden output may be from the stored one. The same code on the same
// architecture gives the same bits; the margin is for fused multiply-add on others.
const goldenTolerance = 1e-9

// Package is what an engine needs to serve a version. It is immutable and safe for concurrent reading.
type Package struct {
	Model     string
	Version   int
	Signature Signature
	Fitted    *recipe.Fitted
	Learned   learn.Model // nil when Predictor answers
	Wide      bool        // Learned takes the values as float64 (learn.Wide), because it was made by a library that does
	Threshold float64
	Reference *profile.Reference

	// Predictor answers for a version that is not a recipe with a learner of ours; Binding says how rows become its tensors.
	// Whoever loaded the package closes it.
	Predictor predictor.Predictor
	Binding   Binding
	Alone     bool // Predictor's answer for a row depends on the rows beside it: requests are not joined

	// Certificate is set by Save: how far the exported forms agree with the golden rows.
	Certificate *Certificate

	Engine string // what answers: native, onnx, onnxruntime, python or r
	Memory int64  // bytes that the loaded version holds, about; 0 = not known
}

// Binding ties the rows of a signature to the tensors of a predictor. A signature of the task TaskTensors needs none: its tensors go
// through as they come.
type Binding struct {
	Matrix string `json:"matrix,omitempty"` // the one input that takes all features as [rows, features]; "" = every feature is an input of its name
	Scores string `json:"scores,omitempty"` // output of numbers, [rows], [rows, 1] or [rows, K]
	Skip   int    `json:"skip,omitempty"`   // of a row of Scores: numbers before the first that counts (1 for the two columns of a binary classifier)
	Label  string `json:"label,omitempty"`  // output of labels, one per row; "" = the label follows from the scores
}

// Outputs is how many numbers a row is answered with.
func (p *Package) Outputs() int {
	switch {
	case p.Learned != nil:
		return p.Learned.Outputs()
	case p.Signature.Task == string(learn.Multiclass):
		return len(p.Signature.Classes)
	case p.Signature.Task == TaskTensors:
		return 0
	}
	return 1
}

// Golden is rows and the outputs that every engine which loads the version must reproduce.
// Columns follow Signature.Features; a cell is a number, a text or null.
type Golden struct {
	Columns []string    `json:"columns"`
	Rows    [][]any     `json:"rows"`
	Outputs [][]float64 `json:"outputs"` // rows x model outputs
}

// NewGolden scores the rows of t with the package and keeps both.
func NewGolden(p *Package, t *table.Table) (*Golden, error) {
	m, err := p.Fitted.Transform(t)
	if err != nil {
		return nil, fmt.Errorf("prepare golden rows: %w", err)
	}
	k := p.Learned.Outputs()
	out := make([]float64, t.Rows*k)
	p.Learned.Predict(m, out)
	g := &Golden{}
	for _, c := range t.Columns {
		g.Columns = append(g.Columns, c.Name)
	}
	for i := range t.Rows {
		row := make([]any, len(t.Columns))
		for j, c := range t.Columns {
			switch v := c.Value(i); {
			case v.Null || math.IsInf(v.F, 0):
			case c.Kind == table.String:
				row[j] = v.S
			default:
				row[j] = v.F
			}
		}
		g.Rows = append(g.Rows, row)
		g.Outputs = append(g.Outputs, out[i*k:(i+1)*k])
	}
	return g, nil
}

// Check recomputes the golden rows one by one, as serving does, and refuses a package that does not reproduce them.
func (g *Golden) Check(p *Package) error {
	features := p.Fitted.FeatureNames()
	prepared := make([]float32, len(features))
	got := make([]float64, p.Learned.Outputs())
	in := make([]table.Value, len(g.Columns))
	for i, row := range g.Rows {
		for j, cell := range row {
			switch c := cell.(type) {
			case nil:
				in[j] = table.Null
			case string:
				in[j] = table.Text(c)
			case float64:
				in[j] = table.Number(c)
			default:
				return fault.New(fault.Corrupt, "golden row %d of %s v%d holds a %T", i, p.Model, p.Version, cell)
			}
		}
		p.Fitted.Row(in, prepared)
		p.Learned.PredictRow(prepared, got)
		for k, want := range g.Outputs[i] {
			if !(math.Abs(got[k]-want) <= goldenTolerance*math.Max(1, math.Abs(want))) {
				return fault.New(fault.Corrupt, "%s v%d does not reproduce golden row %d: %v, stored %v", p.Model, p.Version, i, got[k], want).
					WithHint("the package was made by another engine version; train it again")
			}
		}
	}
	return nil
}

// Save puts the files of a version into the blob store and returns its tree and the digest of its manifest.
// Nothing is registered: the caller does that in its transaction, after all bytes are safe.
func (s *Service) Save(ctx context.Context, p *Package, golden *Golden, ev *Evaluation) ([]File, string, error) {
	model, err := p.Learned.MarshalBinary()
	if err != nil {
		return nil, "", fmt.Errorf("encode model: %w", err)
	}
	graph, err := onnx.Export(p.inputs(), p.Fitted, p.Learned, map[string]string{"trimtab.model": p.Model, "trimtab.label": p.Signature.Label, onnx.Threshold: strconv.FormatFloat(p.Threshold, 'g', -1, 64)})
	contents := map[string][]byte{fileModel: model}
	switch {
	case err == nil:
		contents[fileONNX], contents[fileMLmodel], contents[fileNeeds] = graph, mlmodel(p), []byte(requirements)
	case fault.Is(err, fault.NotSupported):
		// A model without an ONNX form is served by Trimtab alone: no MLmodel claims otherwise.
	default:
		return nil, "", fmt.Errorf("export to ONNX: %w", err)
	}
	for name, v := range map[string]any{fileSignature: p.Signature, fileRecipe: p.Fitted, fileGolden: golden, fileReference: p.Reference, fileEvaluation: ev} {
		if contents[name], err = json.Marshal(v); err != nil {
			return nil, "", fmt.Errorf("encode %s: %w", name, err)
		}
	}
	if ev.Explanations != nil {
		if contents[fileExplanations], err = json.Marshal(ev.Explanations); err != nil {
			return nil, "", fmt.Errorf("encode %s: %w", fileExplanations, err)
		}
	}
	p.Certificate = ownCertificate(ctx, p, golden, contents[fileONNX])
	files := make([]File, 0, len(contents))
	for name, data := range contents {
		hash, size, err := s.blobs.Put(ctx, bytes.NewReader(data))
		if err != nil {
			return nil, "", fmt.Errorf("store %s: %w", name, err)
		}
		files = append(files, File{Path: name, Blob: hash, Size: size})
	}
	digest, err := s.manifest(ctx, files)
	return files, digest, err
}

// inputs is the recipe's inputs in its order.
func (p *Package) inputs() []recipe.Input { return RecipeInputs(&p.Signature) }

// RecipeInputs is what the recipe of a signature reads, in its order.
func RecipeInputs(sig *Signature) []recipe.Input {
	out := make([]recipe.Input, 0, len(sig.Features))
	for _, name := range sig.Features {
		in := recipe.Input{Name: name, Expr: name}
		if f, _ := sig.Input(name); f != nil {
			in.Kind = f.Kind
		}
		for _, d := range sig.Derived {
			if d.Name == name {
				in.Kind, in.Expr = d.Kind, d.Expr
			}
		}
		out = append(out, in)
	}
	return out
}

// LoadPackage reads a version's package and lets it reproduce its golden rows.
// A file whose bytes do not match its hash is fault.Corrupt and names the file; nothing of it is used.
func (s *Service) LoadPackage(ctx context.Context, model string, version int) (*Package, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	if v.Format != FormatTrimtab {
		return s.loadForeign(ctx, v)
	}
	return s.loadOwn(ctx, v)
}

// loadOwn opens a version of Trimtab's own.
func (s *Service) loadOwn(ctx context.Context, v *Version) (*Package, error) {
	model, version := v.Model, v.Version
	p := &Package{Model: model, Version: version, Threshold: v.Threshold, Fitted: &recipe.Fitted{}, Reference: &profile.Reference{}}
	golden := &Golden{}
	for name, into := range map[string]any{fileSignature: &p.Signature, fileRecipe: p.Fitted, fileReference: p.Reference, fileGolden: golden} {
		data, err := s.fileOf(ctx, v, name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "%s of %s v%d can't be read", name, model, version)
		}
	}
	data, err := s.fileOf(ctx, v, fileModel)
	if err != nil {
		return nil, err
	}
	if p.Learned, err = learn.Load(data); err != nil {
		return nil, fmt.Errorf("load %s v%d: %w", model, version, err)
	}
	if err := golden.Check(p); err != nil {
		return nil, err
	}
	p.Engine, p.Memory = EngineNative, int64(len(data))
	return p, nil
}

// fileOf reads a file of a version that may not be registered yet.
func (s *Service) fileOf(ctx context.Context, v *Version, name string) ([]byte, error) {
	for _, f := range v.Files {
		if f.Path == name {
			return blob.ReadAll(ctx, s.blobs, f.Blob)
		}
	}
	return nil, fault.New(fault.NotFound, "%s v%d has no file %q", v.Model, v.Version, name)
}

// golden reads the golden rows of a version of our own.
func (s *Service) golden(ctx context.Context, v *Version) (*Golden, error) {
	data, err := s.fileOf(ctx, v, fileGolden)
	if err != nil {
		return nil, err
	}
	g := &Golden{}
	if err := json.Unmarshal(data, g); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s of %s v%d can't be read", fileGolden, v.Model, v.Version)
	}
	return g, nil
}

// Evaluation reads how a version did.
func (s *Service) Evaluation(ctx context.Context, model string, version int) (*Evaluation, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	data, err := s.readFile(ctx, v, fileEvaluation)
	if err != nil {
		return nil, err
	}
	ev := &Evaluation{}
	if err := json.Unmarshal(data, ev); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s of %s v%d can't be read", fileEvaluation, model, version)
	}
	return ev, nil
}

// OpenFile opens one file of a version's tree; its name is looked up in the tree and is never a path on disk.
func (s *Service) OpenFile(ctx context.Context, model string, version int, name string) (io.ReadCloser, File, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, File{}, err
	}
	for _, f := range v.Files {
		if f.Path == path.Clean(name) {
			r, err := s.blobs.Open(ctx, f.Blob)
			if err != nil {
				return nil, f, fmt.Errorf("open %s of %s v%d: %w", f.Path, model, version, err)
			}
			return r, f, nil
		}
	}
	return nil, File{}, fault.New(fault.NotFound, "%s v%d has no file %q", model, version, name)
}

func (s *Service) readFile(ctx context.Context, v *Version, name string) ([]byte, error) {
	r, _, err := s.OpenFile(ctx, v.Model, v.Version, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s v%d: %w", name, v.Model, v.Version, err)
	}
	return data, nil
}
