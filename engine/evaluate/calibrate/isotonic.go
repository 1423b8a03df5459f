package calibrate

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Isotonic is a non-decreasing function through the knots (X, Y), linear between them and constant outside. X ascends.
type Isotonic struct{ X, Y []float64 }

// At is the probability of a score.
func (c Isotonic) At(score float64) float64 {
	if math.IsNaN(score) {
		return score
	}
	last := len(c.X) - 1
	switch {
	case score <= c.X[0]:
		return c.Y[0]
	case score >= c.X[last]:
		return c.Y[last]
	}
	i := sort.SearchFloat64s(c.X, score) // c.X[i-1] < score <= c.X[i]
	lo, hi := c.X[i-1], c.X[i]
	slope := (c.Y[i] - c.Y[i-1]) / (hi - lo)
	return min(max(float64(slope*(score-lo))+c.Y[i-1], c.Y[i-1]), c.Y[i])
}

// FitIsotonic pools adjacent violators (Ayer et al. 1955): rows of equal score are one with their mean first; rows of
// weight 0 have no part. Labels may also lie between 0 and 1, as shares of positive rows.
func FitIsotonic(scores, y, w []float64) (Isotonic, error) {
	if err := check(scores, y, w); err != nil {
		return Isotonic{}, err
	}
	for i, v := range y {
		if !(v >= 0 && v <= 1) {
			return Isotonic{}, fault.New(fault.Invalid, "calibration: the label of row %d is %v, not from 0 to 1", i+1, v)
		}
	}
	order := make([]int32, 0, len(scores))
	for i := range scores {
		if weight(w, i) > 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(scores[a], scores[b]) })
	type block struct {
		lo, hi       float64
		value, share metric.Sum
	}
	mean := func(b *block) float64 { return b.value.Value() / b.share.Value() }
	var blocks []block
	for at := 0; at < len(order); {
		b := block{lo: scores[order[at]], hi: scores[order[at]]}
		for at < len(order) && scores[order[at]] == b.lo {
			i := order[at]
			b.share.Add(weight(w, int(i)))
			b.value.Add(weight(w, int(i)) * y[i])
			at++
		}
		for len(blocks) > 0 && mean(&blocks[len(blocks)-1]) >= mean(&b) {
			before := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			before.value.Add(b.value.Value())
			before.share.Add(b.share.Value())
			before.hi = b.hi
			b = before
		}
		blocks = append(blocks, b)
	}
	var c Isotonic
	for i := range blocks {
		b := &blocks[i]
		c.X, c.Y = append(c.X, b.lo), append(c.Y, min(mean(b), 1))
		if b.hi != b.lo {
			c.X, c.Y = append(c.X, b.hi), append(c.Y, min(mean(b), 1))
		}
	}
	return c, nil
}
