package registry

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// requirements is what Python needs to open the ONNX form of a version.
const requirements = "mlflow\nnumpy\nonnx\nonnxruntime\n"

// mlmodel is the MLmodel file with which mlflow.pyfunc.load_model opens the version: the onnx flavour over model.onnx.
// Its signature names the tensors of the graph: inputs of the recipe, derived values included.
func mlmodel(p *Package) []byte {
	type tensor struct {
		Type string `json:"type"`
		Name string `json:"name"`
		Spec any    `json:"tensor-spec"`
	}
	spec := func(kind table.Kind) any {
		dtype := "float64"
		if kind == table.String {
			dtype = "str"
		}
		return map[string]any{"dtype": dtype, "shape": []int{-1, 1}}
	}
	inputs := []tensor{}
	for _, in := range RecipeInputs(&p.Signature) {
		inputs = append(inputs, tensor{Type: "tensor", Name: in.Name, Spec: spec(in.Kind)})
	}
	// Marshalling strings and small maps cannot fail.
	encoded, _ := json.Marshal(inputs)
	var b strings.Builder
	b.WriteString("artifact_path: model\nflavors:\n  onnx:\n    code: null\n    data: model.onnx\n    providers:\n    - CPUExecutionProvider\n")
	b.WriteString("  python_function:\n    data: model.onnx\n    loader_module: mlflow.onnx\n")
	fmt.Fprintf(&b, "signature:\n  inputs: '%s'\n", strings.ReplaceAll(string(encoded), "'", "''"))
	return []byte(b.String())
}
