package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// Model is a boosted ensemble. Trees come round by round, and within a round one for each output.
type Model = tree.Model

// tree is the grown tree of output k in columns and thresholds of the matrix.
func (t *growing) tree(d *binned, k int) tree.Tree {
	n := len(t.nodes)
	out := tree.Tree{
		Output:  k,
		Feature: make([]int32, n), Threshold: make([]float64, n), Left: make([]int32, n), Right: make([]int32, n),
		MissingLeft: make([]bool, n), Value: make([]float64, n), Gain: make([]float64, n), Cover: make([]float64, n),
	}
	for i, nd := range t.nodes {
		out.Cover[i] = float64(nd.rows)
		if nd.column < 0 {
			out.Feature[i], out.Value[i] = tree.Leaf, nd.value
			continue
		}
		c := &d.columns[nd.column]
		out.Feature[i] = int32(c.source)
		out.Threshold[i] = math.Inf(1) // the last code: every value goes left, only missing goes right
		if k := int(nd.code) - 1; k < len(c.thresholds) {
			out.Threshold[i] = float64(c.thresholds[k])
		}
		out.Left[i], out.Right[i] = nd.left, nd.right
		out.MissingLeft[i] = nd.missingLeft
		out.Gain[i] = nd.gain
	}
	return out
}
