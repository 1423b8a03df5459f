package exchange

import (
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/onnx"
)

// writeONNX writes a model as ai.onnx.ml 3.
func writeONNX(m learner.Model, names []string) ([]byte, error) {
	if t, ok := m.(*tree.Model); ok && names == nil {
		names = t.Names
	}
	return onnx.ExportModel(m, names)
}
