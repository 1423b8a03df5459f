package gbdt

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// validation follows the loss, and the metric that decides when to stop, on rows that are not trained on.
type validation struct {
	set     *learner.Set
	weights []float64 // nil for all ones
	bound   Bound
	link    tree.Link
	judge   Metric // nil for the loss
	workers int

	score margins
	last  float64 // mean loss
}

func newValidation(o Objective, set *learner.Set, weights []float64, judge Metric, score margins, workers int) (*validation, error) {
	bound, err := o.Bind(Rows{Y: set.Y, Weights: weights, Query: set.Query, Outputs: len(score.base)})
	if err != nil {
		return nil, err
	}
	if m, ok := judge.(lossMetric); ok {
		if _, err := m.Bind(Rows{Y: set.Y, Outputs: 1}); err != nil {
			return nil, err
		}
	}
	return &validation{set: set, weights: weights, bound: bound, link: o.Link(), judge: judge, workers: workers, score: score}, nil
}

// measure sets last, the weighted mean loss after so many rounds, and returns what decides when to stop, lower being
// better.
func (v *validation) measure(rounds int) float64 {
	m := v.score.after(rounds)
	k := len(v.score.base)
	v.last = meanLoss(v.bound, m, k, v.weights, v.set.Query, v.workers)
	if v.judge == nil {
		return v.last
	}
	p := slices.Clone(m)
	for i := 0; i < len(p); i += k {
		link(v.link, p[i:i+k])
	}
	worth := v.judge.Measure(v.set, v.weights, p)
	if v.judge.Higher() {
		return -worth
	}
	return worth
}

// meanLoss is the weighted mean loss of margins, summed block by block.
func meanLoss(b Bound, margins []float64, outputs int, weights []float64, query []int32, workers int) float64 {
	n := len(margins) / outputs
	bounds := blocks(n, query)
	sums := make([][2]float64, len(bounds)-1)
	shard.Run(workers, len(sums), func(_, i int) {
		lo, hi := bounds[i], bounds[i+1]
		losses := make([]float64, hi-lo)
		b.Losses(lo, hi, margins[lo*outputs:hi*outputs], losses)
		s := &sums[i]
		for j, l := range losses {
			w := 1.0
			if weights != nil {
				w = weights[lo+j]
			}
			s[0] += float64(w * l)
			s[1] += w
		}
	})
	var loss, weight float64
	for _, s := range sums {
		loss += s[0]
		weight += s[1]
	}
	return loss / weight
}

// margins are those of a growing model on rows that no leaf holds.
type margins struct {
	base    []float64
	average bool
	values  []float64 // rows x outputs: the margins, or with average the sums of the trees' values
}

// newMargins is the margins of rows before any tree.
func newMargins(rows int, base []float64, average bool) margins {
	m := margins{base: base, average: average, values: make([]float64, rows*len(base))}
	if !average {
		for i := range m.values {
			m.values[i] = base[i%len(base)]
		}
	}
	return m
}

// add adds a tree for the rows of x.
func (m *margins) add(t *tree.Tree, x *table.Matrix, workers int) {
	k := len(m.base)
	numeric := t.Set == nil
	shard.Run(workers, shard.Blocks(x.Rows, lossBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, lossBlock)
		for i := lo; i < hi; i++ {
			row := x.Data[i*x.Cols : (i+1)*x.Cols]
			n := int32(0)
			for t.Feature[n] != tree.Leaf {
				f := row[t.Feature[n]]
				left := float64(f) <= t.Threshold[n] || f != f && t.MissingLeft[n]
				if !numeric {
					left = t.GoesLeft(n, float64(f), f != f)
				}
				if left {
					n = t.Left[n]
				} else {
					n = t.Right[n]
				}
			}
			m.values[i*k+t.Output] += t.Value[n]
		}
	})
}

// after is the margins of the model of so many rounds.
func (m *margins) after(rounds int) []float64 {
	if !m.average {
		return m.values
	}
	out := make([]float64, len(m.values))
	scale := 1 / float64(max(rounds, 1))
	for i, s := range m.values {
		out[i] = m.base[i%len(m.base)] + float64(s*scale)
	}
	return out
}

// link turns the margins of a row into what the model predicts, in place.
func link(l tree.Link, margins []float64) {
	switch l {
	case tree.Logistic:
		margins[0] = 1 / (1 + math.Exp(-margins[0]))
	case tree.Exp:
		for i, v := range margins {
			margins[i] = math.Exp(v)
		}
	case tree.LogisticEach:
		for i, v := range margins {
			margins[i] = 1 / (1 + math.Exp(-v))
		}
		share(margins)
	case tree.Softmax:
		top := slices.Max(margins)
		for i, v := range margins {
			margins[i] = math.Exp(v - top)
		}
		share(margins)
	}
}

// share divides numbers by their sum.
func share(v []float64) {
	var sum float64
	for _, x := range v {
		sum += x
	}
	for i := range v {
		v[i] /= sum
	}
}
