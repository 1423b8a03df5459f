package worker

import (
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// BenchmarkCall is a call of a program that does nothing: all of it is the pipe.
func BenchmarkCall(b *testing.B) {
	p := open(b, manager(b, pythonWithSklearn(b)), program(b, Spec{}, `
INPUTS = [{"name": "x", "datatype": "FP64", "shape": [-1, 12]}]

def predict(model, inputs):
    return inputs["x"]
`))
	q := &predictor.Request{Inputs: []tensor.Named{{Name: "x", Tensor: tensor.Make(tensor.FP64, 1, 12)}}}
	for b.Loop() {
		if _, err := p.Predict(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
