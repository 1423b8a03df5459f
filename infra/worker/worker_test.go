package worker

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// Pythons with scikit-learn: `make oracle` builds the one, which has the other libraries too, and `make mlflow-clients` the other.
var pythons = []string{"../../.cache/oracle/bin/python", "../../.cache/mlflow/3.17.2/bin/python"}

// pythonWithSklearn skips the test when there is none.
func pythonWithSklearn(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("TRIMTAB_ORACLE"); path != "" {
		return path
	}
	for _, path := range pythons {
		if _, err := os.Stat(path); err == nil {
			path, _ = filepath.Abs(path)
			return path
		}
	}
	t.Skip("scikit-learn is not there: `make oracle`")
	return ""
}

// manager is one with the Python of the oracle.
func manager(t testing.TB, python string) *Manager {
	t.Helper()
	m, err := NewManager(Options{Dir: t.TempDir(), Python: python})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, m *Manager, s Spec) *Pool {
	t.Helper()
	if s.Name == "" {
		s.Name = t.Name()
	}
	p, err := m.Open(context.Background(), s)
	if err != nil {
		t.Fatalf("%v %v", err, err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, line := range p.journal.last(50) {
				t.Log(line)
			}
		}
	})
	return p
}

var models struct {
	sync.Once
	dir string
	err error
}

// sklearnModels is the folder of testdata/models.py's models, made once.
func sklearnModels(t testing.TB) string {
	python := pythonWithSklearn(t)
	models.Do(func() {
		if models.dir, models.err = os.MkdirTemp("", "trimtab-worker-models-*"); models.err == nil {
			var out []byte
			if out, models.err = exec.Command(python, "testdata/models.py", models.dir).CombinedOutput(); models.err != nil {
				t.Log(string(out))
			}
		}
	})
	if models.err != nil {
		t.Fatal(models.err)
	}
	return models.dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if models.dir != "" {
		_ = os.RemoveAll(models.dir)
	}
	os.Exit(code)
}

// asked is a NAME.json of testdata/models.py.
type asked struct {
	Columns map[string][]any `json:"columns"`
	Predict []any            `json:"predict"`
	Proba   [][]float64      `json:"predict_proba"`
}

func readAsked(t testing.TB, path string) (asked, []tensor.Named) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var a asked
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	var in []tensor.Named
	for name, values := range a.Columns {
		in = append(in, tensor.Named{Name: name, Tensor: toTensor(values)})
	}
	return a, in
}

func toTensor(values []any) *tensor.Tensor {
	switch first := values[0].(type) {
	case string:
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = v.(string)
		}
		return tensor.New(out, len(out))
	case []any:
		var out []float64
		for _, row := range values {
			for _, v := range row.([]any) {
				out = append(out, v.(float64))
			}
		}
		return tensor.New(out, len(values), len(first))
	}
	out := make([]float64, len(values))
	for i, v := range values {
		var ok bool
		if out[i], ok = v.(float64); !ok {
			out[i] = math.NaN()
		}
	}
	return tensor.New(out, len(out))
}

func TestScikitLearnAnswersAsInPython(t *testing.T) {
	dir := sklearnModels(t)
	m := manager(t, pythonWithSklearn(t))
	for _, test := range []struct {
		file    string
		inputs  []predictor.Field
		classes []any
	}{
		{"numbers.pkl", []predictor.Field{{Name: "input", Type: tensor.FP64, Shape: []int{-1, 4}}}, []any{0., 1.}},
		{"forest.joblib", []predictor.Field{{Name: "input", Type: tensor.FP64, Shape: []int{-1, 4}}}, []any{"late", "on time"}},
		{"two.pkl", []predictor.Field{{Name: "input", Type: tensor.FP64, Shape: []int{-1, 4}}}, nil},
		{"mixed.joblib", []predictor.Field{{Name: "carrier", Type: tensor.String, Shape: []int{-1}}, {Name: "distance", Type: tensor.FP64, Shape: []int{-1}},
			{Name: "hour", Type: tensor.FP64, Shape: []int{-1}}}, []any{"late", "on time"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			p := open(t, m, Spec{Kind: Sklearn, Dir: dir, File: test.file})
			if !reflect.DeepEqual(p.Inputs(), test.inputs) || !reflect.DeepEqual(p.Model().About.Classes, test.classes) {
				t.Errorf("inputs %v, classes %v", p.Inputs(), p.Model().About.Classes)
			}
			want, in := readAsked(t, filepath.Join(dir, test.file[:len(test.file)-len(filepath.Ext(test.file))]+".json"))
			out, err := p.Predict(t.Context(), &predictor.Request{Inputs: in})
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range out {
				for row := range o.Rows() {
					switch {
					case o.Name == "predict" && o.Type() == tensor.String:
						if got := o.Data.([]string)[row]; got != want.Predict[row] {
							t.Errorf("row %d: %v, want %v", row, got, want.Predict[row])
						}
					case o.Name == "predict" && o.Width() == 1:
						if got, _ := o.Number(row); got != want.Predict[row] {
							t.Errorf("row %d: %v, want %v", row, got, want.Predict[row])
						}
					case o.Name == "predict":
						for j, v := range want.Predict[row].([]any) {
							if got, _ := o.Number(row*o.Width() + j); got != v {
								t.Errorf("row %d: %v, want %v", row, got, v)
							}
						}
					default:
						for j, v := range want.Proba[row] {
							if got, _ := o.Number(row*o.Width() + j); got != v {
								t.Errorf("row %d: %v, want %v", row, got, v)
							}
						}
					}
				}
				if o.Name != p.Outputs()[i].Name || o.Type() != p.Outputs()[i].Type {
					t.Errorf("output %d is %s %s, and %v was declared", i, o.Name, o.Type(), p.Outputs()[i])
				}
			}
			if i := len(out); i != len(p.Outputs()) {
				t.Errorf("%d outputs, and %d were declared", i, len(p.Outputs()))
			}
		})
	}
}
