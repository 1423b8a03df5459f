package registry_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// TestServesGraphsOfOthers registers a graph that scikit-learn's converter made (engine/onnx/graph/testdata) with the MLmodel of
// MLflow's onnx flavour, and asks the package.
func TestServesGraphsOfOthers(t *testing.T) {
	each(t, func(t *testing.T, ctx context.Context, w *world) {
		w.model(t, ctx, "iris", 0)
		graph, err := os.ReadFile(filepath.Join("..", "..", "engine", "onnx", "graph", "testdata", "forest.onnx"))
		must(t, err)
		run := w.run(t, ctx)
		w.put(t, ctx, run.ArtifactURI, "model/model.onnx", string(graph))
		w.put(t, ctx, run.ArtifactURI, "model/MLmodel", `flavors:
  onnx: {data: model.onnx, onnx_version: 1.19.0}
  python_function: {loader_module: mlflow.onnx, data: model.onnx}
signature:
  inputs: '[{"type": "float", "name": "sepal_length"}, {"type": "float", "name": "sepal_width"}, {"type": "float", "name": "petal_length"}, {"type": "float", "name": "petal_width"}]'
`)
		v, err := w.CreateVersion(ctx, registry.NewVersion{Model: "iris", Source: "runs:/" + run.ID + "/model", RunID: run.ID})
		must(t, err)
		if v.Format != registry.FormatONNX || v.Signature.Task != "multiclass" || len(v.Signature.Inputs) != 4 || v.Signature.Inputs[3].Name != "petal_width" || v.Signature.Classes[2] != "virginica" {
			t.Fatalf("registered %+v", v)
		}
		p, err := w.LoadPackage(ctx, "iris", 1)
		must(t, err)
		setosa := []table.Value{table.Number(5.1), table.Number(3.5), table.Number(1.4), table.Number(0.2)} // the first row of iris
		scores, labels, err := p.Ask(ctx, [][]table.Value{setosa})
		must(t, err)
		if labels[0] != "setosa" || !(scores[0] > 0.9) || math.Abs(scores[0]+scores[1]+scores[2]-1) > 1e-6 {
			t.Errorf("a setosa is scored %v", scores)
		}
		w.put(t, ctx, run.ArtifactURI, "other/model.onnx", "not a graph")
		v, err = w.CreateVersion(ctx, registry.NewVersion{Model: "iris", Source: "runs:/" + run.ID + "/other", RunID: run.ID})
		must(t, err)
		if _, err := w.LoadPackage(ctx, "iris", v.Version); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a broken graph: %v", err)
		}
	})
}
