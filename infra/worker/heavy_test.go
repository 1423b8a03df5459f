package worker

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// What needs hundreds of megabytes; `make test-heavy` runs it.

// TestHeavyNode installs the package of Node.js, 110 MB, and serves the same file with it.
func TestHeavyNode(t *testing.T) {
	heavy(t)
	dir, _ := foreign(t)
	m := manager(t, "/no/python/here")
	what, err := m.InstallONNXRuntime(t.Context())
	if err != nil || !strings.Contains(what, "onnxruntime-node") {
		t.Fatal(what, err)
	}
	conformsONNX(t, m, dir)
}

// heavy skips what downloads or needs hundreds of megabytes; `make test-heavy` runs it.
func heavy(t *testing.T) {
	t.Helper()
	if os.Getenv("TRIMTAB_HEAVY") == "" {
		t.Skip("`make test-heavy` runs it")
	}
}

// TestHeavyTorch serves TorchScript with Debian's python3-torch.
func TestHeavyTorch(t *testing.T) {
	heavy(t)
	const python = "/usr/bin/python3"
	dir := t.TempDir()
	const text = `
import sys, torch
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
    def forward(self, x, scale):
        return self.linear(x) * scale, x.sum(1)
torch.manual_seed(1)
m = M().eval()
torch.jit.script(m).save(sys.argv[1])
print(*m(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2.0]))[0][0].tolist())
`
	script := filepath.Join(dir, "make.py") // torch reads the source
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := osexec.Command(python, script, filepath.Join(dir, "model.pt")).Output()
	if err != nil {
		t.Fatalf("%v: is python3-torch installed?", err)
	}
	p := open(t, manager(t, python), Spec{Kind: TorchScript, Dir: dir, File: "model.pt"})
	out, err := p.Predict(t.Context(), &predictor.Request{Inputs: []tensor.Named{{Name: "x", Tensor: tensor.New([]float32{1, 2, 3}, 1, 3)}, {Name: "scale", Tensor: tensor.New([]float32{2}, 1)}}})
	if err != nil || len(out) != 2 {
		t.Fatal(out, err)
	}
	for i, want := range strings.Fields(string(result)) {
		v, _ := out[0].Number(i)
		f, err := strconv.ParseFloat(want, 64)
		if err != nil || v != f {
			t.Errorf("%d: %v, want %s", i, v, want)
		}
	}
	if v, _ := out[1].Number(0); v != 6 || out[1].Name != "output_1" {
		t.Errorf("the second output, %s, is %v", out[1].Name, v)
	}
}

// made is the interpreter of an environment with these requirements, which the manager makes.
func made(t *testing.T, m *Manager, requirements string) Env {
	t.Helper()
	file := filepath.Join(t.TempDir(), "requirements.txt")
	if err := os.WriteFile(file, []byte(requirements+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := Env{Requirements: file}
	if _, err := m.environment(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// prints runs a script that makes a model in dir, and gives the numbers that it prints.
func prints(t *testing.T, python, dir, text string) []float64 {
	t.Helper()
	script := filepath.Join(dir, "make.py")
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command(python, script, dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*osexec.ExitError).Stderr)
	}
	var numbers []float64
	for _, word := range strings.Fields(string(out)) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			t.Fatalf("%s", out)
		}
		numbers = append(numbers, v)
	}
	return numbers
}

// same asks for two rows and compares the first output with what the library answered itself.
func same(t *testing.T, p *Pool, input string, want []float64) {
	t.Helper()
	out, err := p.Predict(t.Context(), &predictor.Request{Inputs: []tensor.Named{{Name: input, Tensor: tensor.New([]float32{1, 2, 3, 4, 5, 6}, 2, 3)}}})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Len() != len(want) {
		t.Fatalf("%v, want %v", out[0].Data, want)
	}
	for i := range want {
		if v, _ := out[0].Number(i); float32(v) != float32(want[i]) {
			t.Errorf("%d: %v, want %v", i, v, want[i])
		}
	}
}

// TestHeavyTensorFlow serves a Keras file and a SavedModel of the same network.
func TestHeavyTensorFlow(t *testing.T) {
	heavy(t)
	m := manager(t, "")
	e := made(t, m, "tensorflow-cpu==2.21.0")
	python, err := m.environment(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := prints(t, python, dir, `
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
keras.utils.set_random_seed(1)
m = keras.Sequential([keras.layers.Input((3,), name="x"), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
m.save(sys.argv[1] + "/model.keras")
m.export(sys.argv[1] + "/saved", verbose=False)
print(*m(np.array([[1, 2, 3], [4, 5, 6]], "float32"), training=False).numpy().ravel().tolist())
`)
	for _, s := range []Spec{{Name: "keras", Kind: Keras, File: "model.keras"}, {Name: "tensorflow", Kind: TensorFlow, File: "saved"}} {
		t.Run(s.Name, func(t *testing.T) {
			s.Dir, s.Env, s.Start = dir, e, 5*time.Minute
			p := open(t, m, s)
			same(t, p, p.Inputs()[0].Name, want)
		})
	}
}

// TestHeavyTorchExport serves a program of torch.export and TorchScript of a current PyTorch.
func TestHeavyTorchExport(t *testing.T) {
	heavy(t)
	m := manager(t, "")
	e := made(t, m, "torch==2.15.0\nnumpy")
	python, err := m.environment(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := prints(t, python, dir, `
import sys, torch
torch.manual_seed(1)
m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).eval()
x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
torch.export.save(torch.export.export(m, (x,), dynamic_shapes=({0: torch.export.Dim("n")},)), sys.argv[1] + "/model.pt2")
torch.jit.trace(m, x).save(sys.argv[1] + "/model.pt")
print(*m(x).ravel().tolist())
`)
	for _, s := range []Spec{{Name: "torch_export", Kind: TorchExport, File: "model.pt2"}, {Name: "torchscript", Kind: TorchScript, File: "model.pt"}} {
		t.Run(s.Name, func(t *testing.T) {
			s.Dir, s.Env, s.Start = dir, e, 5*time.Minute
			p := open(t, m, s)
			same(t, p, p.Inputs()[0].Name, want)
		})
	}
}
