package worker

import (
	"encoding/json"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/predictor/predictortest"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// makeForeign makes one model in all its forms: lightgbm.txt, xgboost.json, model.onnx, and an MLflow folder without MLflow, with what the
// libraries answer in Python to the row (0.1, 0.2, 0.3, 0.4).
const makeForeign = `
import json, pathlib, pickle, sys
import lightgbm, numpy as np, onnx, xgboost
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

folder = pathlib.Path(sys.argv[1])
r = np.random.default_rng(1)
x = r.standard_normal((300, 4))
y = (x[:, 0] > 0).astype(int)
row = np.array([[0.1, 0.2, 0.3, 0.4]])
answers = {}
b = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 5)
b.save_model(folder / "lightgbm.txt")
answers["lightgbm"] = float(b.predict(row)[0])
b = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, y), 5)
b.save_model(folder / "xgboost.json")
answers["xgboost"] = float(b.predict(xgboost.DMatrix(row))[0])
m = LogisticRegression().fit(x, y)
(folder / "mlflow").mkdir()
(folder / "mlflow" / "model.pkl").write_bytes(pickle.dumps(m))
(folder / "mlflow" / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n")
answers["pyfunc"] = float(m.predict(row)[0])
nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Identity", ["s"], ["t"])]
graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]), helper.make_tensor_value_info("s", TensorProto.STRING, ["n"])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2]), helper.make_tensor_value_info("t", TensorProto.STRING, ["n"])],
    [helper.make_tensor("w", TensorProto.FLOAT, [4, 2], [1, 2, 3, 4, 5, 6, 7, 8])])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
(folder / "answers.json").write_text(json.dumps(answers))
`

func foreign(t *testing.T) (dir string, answers map[string]float64) {
	t.Helper()
	dir = t.TempDir()
	script := filepath.Join(dir, "make.py")
	if err := os.WriteFile(script, []byte(makeForeign), 0o600); err != nil {
		t.Fatal(err)
	}
	if osexec.Command(pythonWithSklearn(t), "-c", "import lightgbm, onnx, onnxruntime, xgboost").Run() != nil {
		t.Skip("not all libraries are there: `make oracle`")
	}
	if out, err := osexec.Command(pythonWithSklearn(t), script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "answers.json"))
	if err == nil {
		err = json.Unmarshal(b, &answers)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, answers
}

func TestForeignModels(t *testing.T) {
	dir, answers := foreign(t)
	m := manager(t, pythonWithSklearn(t))
	row := []tensor.Named{{Name: "input", Tensor: tensor.New([]float64{.1, .2, .3, .4}, 1, 4)}}
	for _, s := range []Spec{{Name: "lightgbm", Kind: LightGBM, File: "lightgbm.txt"}, {Name: "xgboost", Kind: XGBoost, File: "xgboost.json"}, {Name: "pyfunc", Kind: Pyfunc, File: "mlflow"}} {
		s.Dir = dir
		p := open(t, m, s)
		out, err := p.Predict(t.Context(), &predictor.Request{Inputs: row, Wanted: []string{"predict"}})
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if got, _ := out[0].Number(0); got != answers[s.Name] {
			t.Errorf("%s: %v, want %v", s.Name, got, answers[s.Name])
		}
	}
	if _, err := m.Open(t.Context(), Spec{Name: "x", Kind: Pyfunc, Dir: dir}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a folder without MLmodel: %v", err)
	}
	t.Run("onnxruntime", func(t *testing.T) { conformsONNX(t, m, dir) })
}

// conformsONNX runs the suite on the ONNX file of makeForeign.
func conformsONNX(t *testing.T, m *Manager, dir string) {
	predictortest.Run(t, func(t *testing.T) predictortest.Subject {
		p, err := m.Open(t.Context(), Spec{Name: "onnx", Kind: ONNXRuntime, Dir: dir, File: "model.onnx"})
		if err != nil {
			t.Fatal(err)
		}
		return predictortest.Subject{Predictor: p, Request: func(rows int) []tensor.Named {
			x, s := make([]float32, 4*rows), make([]string, rows)
			for i := range s {
				x[4*i], s[i] = float32(i), "ü"
			}
			return []tensor.Named{{Name: "x", Tensor: tensor.New(x, rows, 4)}, {Name: "s", Tensor: tensor.New(s, rows)}}
		}}
	})
}

// An environment is made once for its requirements, and a model runs in it.
func TestEnvironment(t *testing.T) {
	if _, err := UV(""); err != nil {
		t.Skip("uv is not installed")
	}
	dir := t.TempDir()
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte("# nothing but Python\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := manager(t, python(t))
	s := program(t, Spec{Env: Env{Requirements: requirements}}, "import sys\ndef predict(model, inputs):\n    return {'prefix': [sys.prefix]}\n")
	for range 2 {
		p := open(t, m, s)
		out, err := p.Predict(t.Context(), &predictor.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if got := out[0].Data.([]string)[0]; !strings.HasPrefix(got, filepath.Join(m.options.Dir, "env")) {
			t.Errorf("it ran in %s", got)
		}
	}
	if made, err := os.ReadDir(filepath.Join(m.options.Dir, "env")); err != nil || len(made) != 1 {
		t.Errorf("%v environments, %v", made, err)
	}
	if err := os.WriteFile(requirements, []byte("no-such-package-of-trimtab==99.0 --find-links ./none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Open(t.Context(), s); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no-such-package-of-trimtab") && !strings.Contains(err.Error(), "environment") {
		t.Error(err)
	}
}
