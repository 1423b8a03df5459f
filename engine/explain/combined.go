package explain

import (
	"fmt"

	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// combined explains trees that read combinations of features. All columns that count for the same features are one
// feature of the game, and what it contributes is shared equally among those, as in CatBoost's ShapValues
// (catboost/libs/fstr/shap_prepared_trees.cpp).
type combined struct {
	explainer
	columns *combine.Columns
	outputs int
	sources [][]int // per feature of the game
}

func newCombined(m *combine.Model) (explainer, []float64, error) {
	c := &combined{columns: m.Columns, outputs: m.Outputs()}
	of := make([]int32, m.Columns.Outputs())
	number := map[string]int32{}
	for j, from := range m.Columns.Sources() {
		key := fmt.Sprint(from)
		n, there := number[key]
		if !there {
			n = int32(len(c.sources))
			number[key], c.sources = n, append(c.sources, from)
		}
		of[j] = n
	}
	var expected []float64
	var err error
	c.explainer, expected, err = newTrees(&m.Trees.Ensemble, of, len(c.sources))
	return c, expected, err
}

func (c *combined) rows(x []float32, rows int, dst []float64, workers int) {
	p, k, n := c.columns.Inputs, c.outputs, len(c.sources)
	shard.Run(shard.Workers(workers), shard.Blocks(rows, blendBlock), func(_, piece int) {
		lo, hi := shard.Bounds(piece, rows, blendBlock)
		got := make([]float64, (hi-lo)*k*n)
		c.explainer.rows(c.columns.Rows(x, lo, hi), hi-lo, got, 1)
		out := dst[lo*k*p : hi*k*p]
		clear(out)
		for i := range (hi - lo) * k {
			for f, v := range got[i*n : (i+1)*n] {
				for _, j := range c.sources[f] {
					out[i*p+j] += v / float64(len(c.sources[f]))
				}
			}
		}
	})
}

// wide rounds to float32, as the model does.
func (c *combined) wide(x []float64, rows int, dst []float64, workers int) {
	single := make([]float32, len(x))
	for i, v := range x {
		single[i] = float32(v)
	}
	c.rows(single, rows, dst, workers)
}
