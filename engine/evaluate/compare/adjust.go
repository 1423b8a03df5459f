package compare

import (
	"cmp"
	"math"
	"slices"
)

// Holm adjusts p-values for their number so that the chance of any false rejection is bounded (Holm, Scandinavian
// Journal of Statistics 6, 1979), whatever their dependence. The result is in the order of p; NaN is no test: it stays
// NaN and does not count.
func Holm(p []float64) []float64 {
	out, order := ascending(p)
	m, highest := float64(len(order)), 0.0
	for i, at := range order {
		highest = max(highest, min((m-float64(i))*p[at], 1))
		out[at] = highest
	}
	return out
}

// BenjaminiHochberg adjusts p-values so that the expected share of false ones among the rejected is bounded (Benjamini
// and Hochberg, JRSS B 57, 1995), for independent or positively dependent tests. Order and NaN as in Holm.
func BenjaminiHochberg(p []float64) []float64 {
	out, order := ascending(p)
	m, lowest := float64(len(order)), 1.0
	for i, at := range slices.Backward(order) {
		lowest = min(lowest, m/float64(i+1)*p[at])
		out[at] = lowest
	}
	return out
}

// ascending is the places of the p-values that are numbers, smallest first, and a result of NaNs.
func ascending(p []float64) (out []float64, order []int) {
	out = make([]float64, len(p))
	for i, v := range p {
		out[i] = math.NaN()
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return out, order
}
