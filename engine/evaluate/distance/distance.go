// Package distance measures how far two samples, or two tables of counts, are from each other, in the sense of scipy
// where scipy has the measure. It knows numbers and counts; the profiles of columns that production is watched with, and
// their own cells, are engine/profile's.
//
// A measure that the data do not define is NaN. Nothing here panics for any numbers of the same length.
package distance

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
)

// floor is the least share that PSI counts with, so that an empty cell gives a number.
const floor = 1e-4

// PSI is the population stability index of two tables of counts of the same cells: the sum of (q-p) ln(q/p), p and q
// being the shares of the reference and of the current rows, each at least 0.0001 and not renormalised.
func PSI(ref, cur []float64) float64 {
	if len(ref) != len(cur) {
		return math.NaN()
	}
	n, m := total(ref), total(cur)
	if !(n > 0 && m > 0) {
		return math.NaN()
	}
	var sum metric.Sum
	for i := range ref {
		p, q := max(ref[i]/n, floor), max(cur[i]/m, floor)
		sum.Add((q - p) * math.Log(q/p))
	}
	return sum.Value()
}

// PSIOf is PSI of numbers in cells between the reference's quantiles 1/bins to (bins-1)/bins, linearly interpolated,
// equal ones counting once; a value is in the cell whose number is that of the edges it is not below.
func PSIOf(ref, cur []float64, bins int) float64 {
	if len(ref) == 0 || len(cur) == 0 || bins < 1 || slices.ContainsFunc(ref, math.IsNaN) || slices.ContainsFunc(cur, math.IsNaN) {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(ref))
	// No more edges than values can differ by much; more bins than that add equal edges only.
	var edges []float64
	for i := 1; i < bins; i++ {
		e := quantile(sorted, float64(i)/float64(bins))
		if len(edges) == 0 || e != edges[len(edges)-1] {
			edges = append(edges, e)
		}
	}
	count := func(values []float64) []float64 {
		out := make([]float64, len(edges)+1)
		for _, v := range values {
			at, _ := slices.BinarySearchFunc(edges, v, func(e, v float64) int {
				if e <= v {
					return -1
				}
				return 1
			})
			out[at]++
		}
		return out
	}
	return PSI(count(ref), count(cur))
}

// quantile is numpy's default, with its rounding.
func quantile(sorted []float64, q float64) float64 {
	at := float64(len(sorted)-1) * q
	i := min(int(at), len(sorted)-1)
	a, b, t := sorted[i], sorted[min(i+1, len(sorted)-1)], at-float64(i)
	if a == b {
		return a
	}
	if t >= 0.5 {
		return b - float64((b-a)*(1-t))
	}
	return a + float64((b-a)*t)
}

func total(v []float64) float64 {
	var t metric.Sum
	for _, x := range v {
		t.Add(x)
	}
	return t.Value()
}

// JensenShannon is the divergence, in bits, of two tables of counts from their mean, and its root, which is a distance:
// 0 for equal shares, 1 for disjoint ones.
func JensenShannon(p, q []float64) (distance, divergence float64) {
	n, m := total(p), total(q)
	if len(p) != len(q) || !(n > 0 && m > 0) {
		return math.NaN(), math.NaN()
	}
	var sum metric.Sum
	for i := range p {
		a, b := p[i]/n, q[i]/m
		if a > 0 {
			sum.Add(a * math.Log1p((a-b)/(a+b)))
		}
		if b > 0 {
			sum.Add(b * math.Log1p((b-a)/(a+b)))
		}
	}
	divergence = max(sum.Value()/2/math.Ln2, 0)
	return math.Sqrt(divergence), divergence
}

// Chi2Homogeneity is Pearson's test that two tables of counts come from one distribution, without Yates' correction.
// Cells empty on both sides do not count; with fewer than two cells left there is nothing to test: the statistic is 0
// and p is 1.
func Chi2Homogeneity(p, q []float64) (statistic float64, df int, pvalue float64) {
	n, m := total(p), total(q)
	if len(p) != len(q) || !(n > 0 && m > 0) {
		return math.NaN(), 0, math.NaN()
	}
	var sum metric.Sum
	cells := 0
	for i := range p {
		both := p[i] + q[i]
		if both == 0 {
			continue
		}
		cells++
		a, b := both*n/(n+m), both*m/(n+m)
		sum.Add((p[i] - a) * (p[i] - a) / a)
		sum.Add((q[i] - b) * (q[i] - b) / b)
	}
	if cells < 2 {
		return 0, 0, 1
	}
	return sum.Value(), cells - 1, tail.ChiSquared(sum.Value(), float64(cells-1))
}

// Wasserstein is the area between the distribution functions of samples x and y: the least mean distance that values
// have to be moved. Weights wx and wy are nil (all ones) or one non-negative number a value.
func Wasserstein(x, y, wx, wy []float64) float64 {
	type step struct{ at, x, y float64 }
	var steps []step
	add := func(v, w []float64, first bool) bool {
		all := float64(len(v))
		if w != nil {
			if len(w) != len(v) {
				return false
			}
			all = total(w)
		}
		if !(all > 0) {
			return false
		}
		for i, at := range v {
			if math.IsNaN(at) {
				return false
			}
			share := 1.0
			if w != nil {
				share = w[i]
			}
			if first {
				steps = append(steps, step{at: at, x: share})
			} else {
				steps = append(steps, step{at: at, y: share})
			}
		}
		return true
	}
	if !add(x, wx, true) || !add(y, wy, false) {
		return math.NaN()
	}
	slices.SortFunc(steps, func(a, b step) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	nx, ny := float64(len(x)), float64(len(y))
	if wx != nil {
		nx = total(wx)
	}
	if wy != nil {
		ny = total(wy)
	}
	var below, above, area metric.Sum
	for i, s := range steps {
		if i > 0 && s.at != steps[i-1].at {
			area.Add(math.Abs(below.Value()/nx-above.Value()/ny) * (s.at - steps[i-1].at))
		}
		below.Add(s.x)
		above.Add(s.y)
	}
	return area.Value()
}
