package registry_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// linear is the model of the engines below: the probability of "yes" is weight times x, plus a shift by which an engine is wrong.
type linear struct {
	shift  func() float64
	closed func()
}

func (m *linear) Inputs() []predictor.Field {
	return []predictor.Field{{Name: "x", Type: tensor.FP64, Shape: []int{-1}}, {Name: "word", Type: tensor.String, Shape: []int{-1}}}
}

func (m *linear) Outputs() []predictor.Field {
	return []predictor.Field{{Name: "predict", Type: tensor.String, Shape: []int{-1}}, {Name: "predict_proba", Type: tensor.FP64, Shape: []int{-1, 2}}}
}

func (m *linear) Classes() []string { return []string{"no", "yes"} }

func (m *linear) Predict(_ context.Context, q *predictor.Request) ([]tensor.Named, error) {
	var x []float64
	for _, in := range q.Inputs {
		if d, ok := in.Data.([]float64); ok && in.Name == "x" {
			x = d
		}
	}
	proba, labels := make([]float64, 0, 2*len(x)), make([]string, len(x))
	for i, v := range x {
		p := min(max(0.1*v+m.shift(), 0), 1)
		if labels[i] = "no"; p > 0.5 {
			labels[i] = "yes"
		}
		proba = append(proba, 1-p, p)
	}
	all := []tensor.Named{{Name: "predict", Tensor: tensor.New(labels, len(x))}, {Name: "predict_proba", Tensor: tensor.New(proba, len(x), 2)}}
	var out []tensor.Named
	for _, o := range all {
		if q.Wanted == nil || strings.Contains(strings.Join(q.Wanted, " ")+" ", o.Name+" ") {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m *linear) Close() error {
	m.closed()
	return nil
}

// engines are workers whose answers differ by engine.
type engines struct {
	mu     sync.Mutex
	shift  map[string]float64
	opened []registry.WorkerSpec
	closed int
	seen   map[string]string // file to its first bytes, as the last worker found it in its folder
}

func (e *engines) Open(_ context.Context, w registry.WorkerSpec) (predictor.Predictor, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened = append(e.opened, w)
	data, err := os.ReadFile(filepath.Join(w.Dir, w.Path))
	if err != nil {
		return nil, err
	}
	e.seen = map[string]string{w.Path: string(data[:min(len(data), 8)])}
	return &linear{shift: func() float64 { e.mu.Lock(); defer e.mu.Unlock(); return e.shift[w.Engine] }, closed: func() { e.mu.Lock(); e.closed++; e.mu.Unlock() }}, nil
}

// estimator is a pickle that imports a class of scikit-learn, as pickle.dumps(protocol=0) writes one.
const estimator = "csklearn.linear_model._logistic\nLogisticRegression\n."

// working is a world with workers.
func working(t *testing.T, f func(t *testing.T, ctx context.Context, w *world, e *engines)) {
	one(t, func(t *testing.T, ctx context.Context, w *world) {
		e := &engines{shift: map[string]float64{}}
		w.Service = registry.New(registry.Config{DB: w.db, Blobs: w.blobs, Events: w.events, Runs: w.runs, Artifacts: w.artifacts, Engines: e, Folder: filepath.Join(t.TempDir(), "models")})
		t.Cleanup(func() { _ = w.Close() })
		f(t, ctx, w, e)
	})
}

// TestWorkersServeWhatIsNotNative imports a pickle, asks its package, and deletes it.
func TestWorkersServeWhatIsNotNative(t *testing.T) {
	working(t, func(t *testing.T, ctx context.Context, w *world, e *engines) {
		v, err := w.bring(t, ctx, "words", registry.RunOptions{Python: "/usr/bin/python3"}, "model.pkl", estimator,
			"input_example.json", `{"columns": ["x", "word"], "data": [[1, "a"], [7, "b"]]}`)
		must(t, err)
		if s := v.Serving; s == nil || s.Engine != registry.EnginePython || s.Kind != registry.KindSklearn || s.Path != "model.pkl" || len(s.Imports) != 1 {
			t.Fatalf("served by %+v", s)
		}
		if v.Signature.Task != "binary" || v.Signature.Positive != "yes" || v.Signature.Inputs[1].Kind != table.String {
			t.Errorf("the signature is %+v", v.Signature)
		}
		if c := v.Certificate; c.State != registry.CertificateHolds || c.Source != registry.SourceExample || c.Rows != 200 {
			t.Errorf("the certificate is %+v", c)
		}
		if e.opened[0].Python != "/usr/bin/python3" || e.seen["model.pkl"] != estimator[:8] {
			t.Errorf("the worker got %+v and saw %v", e.opened[0], e.seen)
		}
		p, err := w.LoadPackage(ctx, "words", 1)
		must(t, err)
		scores, labels, err := p.Ask(ctx, [][]table.Value{{table.Number(2), table.Text("a")}, {table.Number(8), table.Null}})
		must(t, err)
		if len(scores) != 2 || scores[0] != 0.2 || scores[1] != 0.8 || labels[0] != "no" || labels[1] != "yes" {
			t.Errorf("answers %v %v", scores, labels)
		}
		if len(e.opened) != 1 {
			t.Errorf("%d workers were started: what is open is used again", len(e.opened))
		}
		folder := e.opened[0].Dir
		if info, err := os.Stat(filepath.Join(folder, "model.pkl")); err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Errorf("the file can be written to: %v %v", info, err)
		}
		must(t, p.Close())
		must(t, w.Close())
		if e.closed != 1 {
			t.Errorf("%d workers were closed", e.closed)
		}
		old := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(folder, old, old))
		must(t, w.DeleteVersion(ctx, "words", 1))
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("the folder is still there: %v", err)
		}
	})
}

// TestCertificatesGuardTraffic imports a model with a graph that answers otherwise.
func TestCertificatesGuardTraffic(t *testing.T) {
	graph, err := os.ReadFile(filepath.Join("..", "..", "engine", "onnx", "graph", "testdata", "forest.onnx"))
	must(t, err)
	working(t, func(t *testing.T, ctx context.Context, w *world, e *engines) {
		files := []string{"model.pkl", estimator, "converted.onnx", string(graph), "input_example.json", `[{"x": 4, "word": "a"}, {"x": 7, "word": "b"}]`}
		o := registry.RunOptions{Engine: registry.EngineONNXRuntime}
		v, err := w.bring(t, ctx, "near", o, files...)
		must(t, err)
		if c := v.Certificate; c.State != registry.CertificateHolds || c.Reference != registry.EnginePython || *c.Engines[0].MaxAbs != 0 || c.Engines[0].Flips != 0 {
			t.Errorf("equal engines: %s", c.Sentence())
		}
		e.shift[registry.EngineONNXRuntime] = 0.25
		v, err = w.bring(t, ctx, "far", o, files...)
		must(t, err)
		c := v.Certificate
		if c.State != registry.CertificateFails || *c.Engines[0].MaxAbs < 0.2 || c.Engines[0].Flips == 0 || !c.Engines[0].Serves || c.Engines[0].Holds {
			t.Fatalf("engines that differ: %s", c.Sentence())
		}
		refuses(t, w.SetModelAlias(ctx, "far", registry.Champion, 1), fault.GateRefused, "fails its load certificate")
		must(t, w.SetModelAlias(ctx, "far", "other", 1))
		must(t, w.db.Write(ctx, func(tx *catalog.Tx) error {
			return w.ForceVersion(ctx, tx, "far", 1, time.Now(), "it is only a test")
		}))
		must(t, w.SetModelAlias(ctx, "far", registry.Champion, 1))
		v, err = w.Examine(ctx, "far", 1, nil)
		must(t, err)
		if v.Certificate.Forced == nil || v.Certificate.Refuses() {
			t.Errorf("the force is forgotten: %+v", v.Certificate)
		}
		o.Tolerance = 0.5
		if v, err = w.bring(t, ctx, "wide", o, files...); err != nil || v.Certificate.State != registry.CertificateFails {
			t.Errorf("labels changed, and a wide tolerance passed it: %v, %s", err, v.Certificate.Sentence())
		}
	})
}

// TestPicklesAreCheckedFirst imports what no model needs.
func TestPicklesAreCheckedFirst(t *testing.T) {
	skops := func(schema string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		f, err := z.Create("schema.json")
		must(t, err)
		_, err = io.WriteString(f, schema)
		must(t, err)
		must(t, z.Close())
		return b.String()
	}
	working(t, func(t *testing.T, ctx context.Context, w *world, e *engines) {
		for name, c := range map[string]struct {
			file, content, part string
			code                fault.Code
		}{
			"a program":      {"model.pkl", "cposix\nsystem\n(S'id'\ntR.", "posix.system", fault.GateRefused},
			"an unknown one": {"model.joblib", "cmine\nModel\n.", "mine.Model", fault.GateRefused},
			"cut":            {"model.pkl", estimator[:20], "cannot be checked", fault.Invalid},
			"skops":          {"model.skops", skops(`{"__class__": "list", "__module__": "builtins", "content": [{"a": {"__module__": "os", "__class__": "system"}}]}`), "os.system", fault.GateRefused},
			"no skops":       {"model.skops", "PK\x03\x04 and no more", "cannot be checked", fault.Invalid},
			"a bomb":         {"model.skops", skops(strings.Repeat("[", 200_000)), "no JSON", fault.Invalid},
		} {
			_, err := w.bring(t, ctx, "evil", registry.RunOptions{}, c.file, c.content)
			if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.part) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(e.opened) != 0 {
			t.Errorf("%d workers were started", len(e.opened))
		}
		if v, err := w.bring(t, ctx, "mine", registry.RunOptions{Allow: []string{"mine.Model"}}, "model.joblib", "cmine\nModel\n."); err != nil || v.Options.Allow[0] != "mine.Model" || v.Serving.Imports[0] != "mine.Model" {
			t.Errorf("allowed: %+v, %v", v, err)
		}
		if _, err := w.bring(t, ctx, "fine", registry.RunOptions{}, "model.skops",
			skops(`{"__class__": "Pipeline", "__module__": "sklearn.pipeline", "content": {"__module__": "builtins", "__class__": "dict"}}`)); err != nil {
			t.Errorf("a pipeline as skops: %v", err)
		}
	})
}

// TestSignaturesOfMLmodel reads columns with types from the description of a folder.
func TestSignaturesOfMLmodel(t *testing.T) {
	const description = `flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl}
signature:
  inputs: '[{"type": "string", "name": "word", "required": true}, {"type": "long", "name": "x", "required": false}]'
`
	working(t, func(t *testing.T, ctx context.Context, w *world, e *engines) {
		v, err := w.bring(t, ctx, "described", registry.RunOptions{}, "MLmodel", description, "model.pkl", estimator)
		must(t, err)
		x, _ := v.Signature.Input("x")
		word, _ := v.Signature.Input("word")
		if v.Format != "sklearn" || x.Kind != table.Long || !x.Nullable || word.Kind != table.String || word.Nullable {
			t.Errorf("the signature of %s is %+v", v.Format, v.Signature.Inputs)
		}
	})
}
