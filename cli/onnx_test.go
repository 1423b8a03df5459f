package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const forestONNX = "../engine/onnx/graph/testdata/forest.onnx"

func runONNX(t *testing.T, json bool, args ...string) (string, error) {
	t.Helper()
	var out, talk bytes.Buffer
	cmd := newONNXCommand(&Factory{IO: term.Plain(strings.NewReader(""), &out, &talk), JSON: json})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

func TestONNXRun(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.json")
	write := func(text string) {
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"inputs": [{"name": "X", "shape": [2, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2, 6.5, 3, "NaN", "Infinity"]}]}`)
	text, err := runONNX(t, false, "run", forestONNX, "--inputs", in)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Outputs []struct {
			Name, Datatype string
			Shape          []int
			Data           []any
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Outputs) != 2 || answer.Outputs[0].Datatype != "BYTES" || answer.Outputs[0].Data[0] != "setosa" || len(answer.Outputs[1].Data) != 6 || answer.Outputs[1].Shape[1] != 3 {
		t.Errorf("%s", text)
	}
	for name, text := range map[string]string{
		"no JSON":         `{`,
		"too few values":  `{"inputs": [{"name": "X", "shape": [2, 4], "datatype": "FP32", "data": [1]}]}`,
		"too many values": `{"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4, 5]}]}`,
		"a word":          `{"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, "four"]}]}`,
		"another type":    `{"inputs": [{"name": "X", "shape": [1, 4], "datatype": "BYTES", "data": ["1", "2", "3", "4"]}]}`,
		"a huge shape":    `{"inputs": [{"name": "X", "shape": [4000000000, 4000000000], "datatype": "FP32", "data": []}]}`,
		"another name":    `{"inputs": [{"name": "Y", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}`,
	} {
		write(text)
		if _, err := runONNX(t, false, "run", forestONNX, "--inputs", in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func TestONNXShow(t *testing.T) {
	text, err := runONNX(t, true, "show", forestONNX)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"engine": "onnx"`, `"ai.onnx.ml.TreeEnsembleClassifier": 1`, `"virginica"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if text, err = runONNX(t, false, "show", forestONNX); err != nil || !strings.Contains(text, "probabilities") {
		t.Errorf("%v %s", err, text)
	}
}
