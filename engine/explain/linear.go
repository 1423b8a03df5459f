package explain

import (
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// linearly explains a linear model. With features taken as independent the Shapley value of feature j is what it adds to
// the margin, short of the mean of that over training rows, which the model keeps (Lundberg and Lee, arXiv 1705.07874,
// corollary 1). A missing number stands at the mean, and so contributes 0 unless its gap has a coefficient of its own.
type linearly struct{ m *linear.Model }

func newLinear(m *linear.Model) (explainer, []float64) {
	expected := make([]float64, m.Outputs())
	for k, average := range m.Average {
		expected[k] = m.Intercept[k]
		for _, v := range average {
			expected[k] += v
		}
	}
	return linearly{m}, expected
}

func (l linearly) bytes() int { return 8 * l.m.Outputs() }

func (l linearly) rows(x []float32, rows int, dst []float64, workers int) {
	linearRows(l.m, x, rows, dst, workers)
}

func (l linearly) wide(x []float64, rows int, dst []float64, workers int) {
	linearRows(l.m, x, rows, dst, workers)
}

// linearBlock is the rows that one goroutine takes at a time.
const linearBlock = 1024

func linearRows[T float32 | float64](m *linear.Model, x []T, rows int, dst []float64, workers int) {
	p, k := m.Features(), m.Outputs()
	shard.Run(shard.Workers(workers), shard.Blocks(rows, linearBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, linearBlock)
		for i := lo; i < hi; i++ {
			row := x[i*p : (i+1)*p]
			for o, coef := range m.Coef {
				out := dst[(i*k+o)*p : (i*k+o+1)*p]
				for j, v := range row {
					average := m.Average[o][j]
					if v == v && m.Tables[j] == nil { // the difference first: it loses less
						out[j] = float64(coef[j]*(float64(v)-m.Fill[j])) - (average - float64(coef[j]*m.Fill[j]))
					} else {
						out[j] = m.Contribution(o, j, float32(v)) - average
					}
				}
			}
		}
	})
}
