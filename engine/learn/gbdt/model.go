package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// Model is a boosted ensemble. Trees come round by round, and within a round one for each output.
type Model = tree.Model

// tree is the grown tree of output k in columns, thresholds and categories of the matrix.
func (t *growing) tree(d *bins.Set, k int) tree.Tree {
	n := len(t.nodes)
	out := tree.Tree{
		Output:  k,
		Feature: make([]int32, n), Threshold: make([]float64, n), Left: make([]int32, n), Right: make([]int32, n),
		MissingLeft: make([]bool, n), Value: make([]float64, n), Gain: make([]float64, n), Cover: make([]float64, n),
	}
	for i := range t.nodes {
		nd := &t.nodes[i]
		out.Cover[i] = float64(nd.rows)
		if nd.split.column < 0 {
			out.Feature[i], out.Value[i] = tree.Leaf, nd.value
			continue
		}
		c := &d.Columns[nd.split.column]
		out.Feature[i] = int32(c.Source)
		out.Left[i], out.Right[i] = nd.left, nd.right
		out.MissingLeft[i] = nd.split.missingLeft
		out.Gain[i] = nd.split.gain
		if nd.split.categorical {
			var chosen []int
			for k, category := range c.Categories {
				if nd.split.set.has(uint8(k + 1)) {
					chosen = append(chosen, int(category))
				}
			}
			out.SetCategories(int32(i), chosen)
			continue
		}
		out.Threshold[i] = math.Inf(1) // the last code: every value goes left, only missing goes right
		if k := int(nd.split.code) - 1; k < len(c.Thresholds) {
			out.Threshold[i] = float64(c.Thresholds[k])
		}
	}
	return out
}
