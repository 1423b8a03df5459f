// Package inferencetest serves small models of every sort to the tests of the dialects.
//
// It owns those models and what they answer, so that a test can say each number with its reason. Only tests may import it.
package inferencetest

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Names of the deployments. All answer with version 1; those of Two have version 2 resident beside it.
const (
	Binary   = "binary"          // temp, dest, night (context), when (context): true with probability temp/10
	Classes  = "classes"         // the same inputs: a, b and c with temp/10, temp/20 and temp/30
	Iris     = "iris"            // x, y: 0, 1 and 2 with x/10, x/20 and x/30
	Value    = "value"           // temp, dest: temp/10
	Trees    = "trees"           // temp, dest: gradient boosting that can be explained
	HalfTwo  = "half_plus_two"   // x: x/2 + 2
	HalfMore = "half_plus_three" // x: x/2 + 3
	Simple   = "simple"          // tensors INPUT0 and INPUT1 INT32 [N, 16]: OUTPUT0 is their sum, OUTPUT1 their difference
	Mean     = "mean"            // a tensor image FP32 [N, -1]: mean FP32 [N]
	Length   = "length"          // a tensor image_bytes BYTES [N]: bytes INT64 [N]
	Empty    = "empty"           // nobody answers
)

// Two has a second version, three times as much as Value's, under the label next.
const Two = "two"

// linear answers scale(k) times the first feature, plus offset, for each of its outputs.
type linear struct {
	learn.Model
	features, outputs int
	factor, offset    float64
}

func (m linear) Kind() string  { return "linear" }
func (m linear) Features() int { return m.features }
func (m linear) Outputs() int  { return m.outputs }
func (m linear) PredictRow(x []float32, dst []float64) {
	for k := range dst {
		dst[k] = float64(x[0])*m.factor/float64(k+1) + m.offset
	}
}

// Predict answers all rows of a matrix.
func (m linear) Predict(x *table.Matrix, dst []float64) {
	for i := range x.Rows {
		m.PredictRow(x.Data[i*x.Cols:(i+1)*x.Cols], dst[i*m.outputs:(i+1)*m.outputs])
	}
}

// stump is 3/4 of the training rows at a temp of 5 or less and a margin of -1/2, and the rest at 3/2.
func stump() learn.Model {
	t := tree.Tree{}
	t.Add(0, 5, true, 0, 1, 4)
	t.Left[0], t.Right[0] = t.Add(tree.Leaf, 0, false, -1, 0, 3), t.Add(tree.Leaf, 0, false, 1, 0, 1)
	m, err := tree.NewModel("gbdt", learn.Binary, tree.Ensemble{Features: 2, Base: []float64{0.5}, Trees: []tree.Tree{t}, Link: tree.Logistic, Scale: 1, Single: true})
	if err != nil {
		panic(err)
	}
	return m
}

// tensors is a predictor made of a function.
type tensors struct {
	in, out []predictor.Field
	answer  func(q map[string]*tensor.Tensor) ([]tensor.Named, error)
}

func (p *tensors) Inputs() []predictor.Field  { return p.in }
func (p *tensors) Outputs() []predictor.Field { return p.out }
func (p *tensors) Close() error               { return nil }
func (p *tensors) Predict(_ context.Context, q *predictor.Request) ([]tensor.Named, error) {
	named := map[string]*tensor.Tensor{}
	for _, in := range q.Inputs {
		named[in.Name] = in.Tensor
	}
	for _, f := range p.in {
		if t := named[f.Name]; t == nil || t.Type() != f.Type {
			return nil, fault.New(fault.Invalid, "the input %q is missing, or not %s", f.Name, f.Type)
		}
	}
	all, err := p.answer(named)
	if err != nil || len(q.Wanted) == 0 {
		return all, err
	}
	var out []tensor.Named
	for _, name := range q.Wanted {
		for _, t := range all {
			if t.Name == name {
				out = append(out, t)
			}
		}
	}
	return out, nil
}

func simple() *tensors {
	return &tensors{
		in:  []predictor.Field{{Name: "INPUT0", Type: tensor.Int32, Shape: []int{-1, 16}}, {Name: "INPUT1", Type: tensor.Int32, Shape: []int{-1, 16}}},
		out: []predictor.Field{{Name: "OUTPUT0", Type: tensor.Int32, Shape: []int{-1, 16}}, {Name: "OUTPUT1", Type: tensor.Int32, Shape: []int{-1, 16}}},
		answer: func(q map[string]*tensor.Tensor) ([]tensor.Named, error) {
			a, b := q["INPUT0"].Data.([]int32), q["INPUT1"].Data.([]int32)
			if len(a) != len(b) {
				return nil, fault.New(fault.Invalid, "INPUT0 and INPUT1 differ in size")
			}
			sum, difference := make([]int32, len(a)), make([]int32, len(a))
			for i := range a {
				sum[i], difference[i] = a[i]+b[i], a[i]-b[i]
			}
			shape := q["INPUT0"].Shape
			return []tensor.Named{{Name: "OUTPUT0", Tensor: tensor.New(sum, shape...)}, {Name: "OUTPUT1", Tensor: tensor.New(difference, shape...)}}, nil
		},
	}
}

func mean() *tensors {
	return &tensors{
		in:  []predictor.Field{{Name: "image", Type: tensor.FP32, Shape: []int{-1, -1}}},
		out: []predictor.Field{{Name: "mean", Type: tensor.FP32, Shape: []int{-1}}},
		answer: func(q map[string]*tensor.Tensor) ([]tensor.Named, error) {
			t := q["image"]
			out := make([]float32, t.Rows())
			for i := range out {
				row, err := t.Slice(i, i+1).Float64s()
				if err != nil {
					return nil, err
				}
				sum := 0.0
				for _, v := range row {
					sum += v
				}
				out[i] = float32(sum / float64(max(len(row), 1)))
			}
			return []tensor.Named{{Name: "mean", Tensor: tensor.New(out, len(out))}}, nil
		},
	}
}

func length() *tensors {
	return &tensors{
		in:  []predictor.Field{{Name: "image_bytes", Type: tensor.String, Shape: []int{-1}}},
		out: []predictor.Field{{Name: "bytes", Type: tensor.Int64, Shape: []int{-1}}},
		answer: func(q map[string]*tensor.Tensor) ([]tensor.Named, error) {
			texts := q["image_bytes"].Data.([]string)
			out := make([]int64, len(texts))
			for i, s := range texts {
				out[i] = int64(len(s))
			}
			return []tensor.Named{{Name: "bytes", Tensor: tensor.New(out, q["image_bytes"].Shape...)}}, nil
		},
	}
}

type loader struct{}

// LoadPackage makes the model of a deployment; all models have the name of theirs.
func (loader) LoadPackage(_ context.Context, name string, version int) (*serve.Package, error) {
	p := &serve.Package{Model: name, Version: version, Threshold: 0.5}
	switch name {
	case Simple:
		p.Predictor = simple()
	case Mean:
		p.Predictor = mean()
	case Length:
		p.Predictor = length()
	}
	if p.Predictor != nil {
		p.Signature = registry.Signature{Task: registry.TaskTensors, TensorInputs: p.Predictor.Inputs(), TensorOutputs: p.Predictor.Outputs()}
		for _, f := range p.Predictor.Inputs() {
			kind := table.Double
			if f.Type == tensor.String {
				kind = table.String
			}
			p.Signature.Inputs = append(p.Signature.Inputs, registry.Input{Name: f.Name, Kind: kind, Role: registry.RoleFeature})
			p.Signature.Features = append(p.Signature.Features, f.Name)
		}
		return p, nil
	}
	m := linear{features: 2, outputs: 1, factor: .1}
	sig := registry.Signature{Task: "binary", Label: "late", Features: []string{"temp", "dest"}, Inputs: []registry.Input{
		{Name: "temp", Kind: table.Double, Role: registry.RoleFeature},
		{Name: "dest", Kind: table.String, Role: registry.RoleFeature, Nullable: true, Categories: []string{"BOS", "LAX"}},
		{Name: "night", Kind: table.Boolean, Role: registry.RoleContext},
		{Name: "when", Kind: table.Datetime, Role: registry.RoleContext},
	}}
	columns := []*table.Column{{Name: "temp", Kind: table.Double, Floats: []float64{1, 2}}, {Name: "dest", Kind: table.String, Strings: []string{"BOS", "LAX"}}}
	p.Learned = m
	switch name {
	case Classes:
		sig.Task, sig.Classes, m.outputs = "multiclass", []string{"a", "b", "c"}, 3
		p.Learned = m
	case Iris:
		sig.Task, sig.Classes, m.outputs = "multiclass", []string{"0", "1", "2"}, 3
		sig.Features, sig.Inputs = []string{"x", "y"}, []registry.Input{{Name: "x", Kind: table.Double, Role: registry.RoleFeature}, {Name: "y", Kind: table.Double, Role: registry.RoleFeature}}
		columns = []*table.Column{{Name: "x", Kind: table.Double, Floats: []float64{1, 2}}, {Name: "y", Kind: table.Double, Floats: []float64{1, 2}}}
		p.Learned = m
	case Value, Two:
		sig.Task = "regression"
		if version == 2 {
			m.factor = .3
			p.Learned = m
		}
	case Trees:
		p.Learned = stump()
	case HalfTwo, HalfMore:
		sig.Task, sig.Features, sig.Inputs = "regression", []string{"x"}, []registry.Input{{Name: "x", Kind: table.Double, Role: registry.RoleFeature}}
		columns = []*table.Column{{Name: "x", Kind: table.Double, Floats: []float64{1, 2}}}
		offset := 2.0
		if name == HalfMore {
			offset = 3
		}
		p.Learned = linear{features: 1, outputs: 1, factor: .5, offset: offset}
	}
	var inputs []recipe.Input
	for _, c := range columns {
		inputs = append(inputs, recipe.Input{Name: c.Name, Kind: c.Kind})
	}
	fitted, _, err := recipe.Fit(recipe.Spec{Inputs: inputs}, table.New(columns...), []float64{0, 1}, 0)
	p.Signature, p.Fitted = sig, fitted
	return p, err
}

// Log keeps what was predicted. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	recs []serve.Prediction
}

// Record keeps predictions.
func (l *Log) Record(_ context.Context, _ string, recs []serve.Prediction) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recs = append(l.recs, recs...)
	return nil
}

// Take gives what was kept since the last call.
func (l *Log) Take() []serve.Prediction {
	l.mu.Lock()
	defer l.mu.Unlock()
	recs := l.recs
	l.recs = nil
	return recs
}

// Serving serves the models. Binary is the default deployment.
func Serving(t testing.TB, log serve.Recorder) *serve.Service {
	t.Helper()
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), serve.Schema)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s := serve.New(serve.Config{DB: db, Loader: loader{}, Recorder: log, Clock: func(string) clock.Clock { return clock.Wall{} }, Log: slog.New(slog.DiscardHandler)})
	must(t, s.Start(t.Context()))
	for _, name := range []string{Binary, Classes, Iris, Value, Trees, HalfTwo, HalfMore, Simple, Mean, Length, Two, Empty} {
		_, err := s.Ensure(t.Context(), serve.Deployment{Project: "p", Name: name, Model: name})
		must(t, err)
		if name == Two {
			must(t, s.SetRoute(t.Context(), nil, name, serve.Route{Champion: 2}))
		}
		if name != Empty {
			r := serve.Route{Champion: 1}
			if name == Two {
				r.Labels = map[string]int{"next": 2}
			}
			must(t, s.SetRoute(t.Context(), nil, name, r))
		}
	}
	must(t, s.Configure(t.Context(), Binary, func(set *serve.Settings) { set.Default = true }))
	return s
}

// Door serves the models through one dialect.
func Door(t testing.TB, register func(*route.Router, *serve.Service, codec.Options)) http.Handler {
	t.Helper()
	return Logged(t, register, &Log{})
}

// Logged is Door with a log to look into.
func Logged(t testing.TB, register func(*route.Router, *serve.Service, codec.Options), log serve.Recorder) http.Handler {
	t.Helper()
	r := route.New(route.Config{})
	register(r, Serving(t, log), codec.Options{Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	return r
}

// Call sends a request. Headers are "Name: value".
func Call(h http.Handler, method, path, body string, headers ...string) (int, string) {
	w := Answer(h, method, path, body, headers...)
	return w.Code, w.Body.String()
}

// Answer is Call with the whole answer.
func Answer(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Near tells whether two numbers are the same to nine digits.
func Near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

// Rows is a JSON list of n times the same row.
func Rows(row string, n int) string {
	return fmt.Sprintf("[%s%s]", strings.Repeat(row+",", max(n-1, 0)), row)
}
