package evaluate

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// AUC is the area under the ROC curve; NaN when the labels are all alike.
func AUC(y, p []float64) float64 {
	sameLength(len(y), len(p))
	return metric.NewSweep(y, p, nil).AUC().Value
}

// LogLoss is the mean log loss of binary probabilities, kept off 0 and 1 by machine epsilon; NaN without rows.
func LogLoss(y, p []float64) float64 {
	sameLength(len(y), len(p))
	return metric.BinaryLogLoss(y, p, nil).Value
}

// midranks is the rank of each value, from 1, with the mean rank for equal values.
func midranks(v []float64) []float64 {
	order := make([]int32, len(v))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(v[a], v[b]) })
	ranks := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		j = max(j, i+1) // a NaN equals nothing, not even itself
		for _, at := range order[i:j] {
			ranks[at] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}

// Spearman is the rank correlation of a and b with mean ranks for ties, and its 95 % interval on Fisher's scale with
// the variance (1 + rho²/2)/(n-3) of Bonett and Wright (Psychometrika 65, 2000). When it is not defined (fewer than four
// pairs, or a side that is constant or has a NaN) it is 0 with the interval from -1 to 1, which supports no conclusion.
func Spearman(a, b []float64) (rho, lo, hi float64) {
	sameLength(len(a), len(b))
	n := float64(len(a))
	if n < 4 || slices.ContainsFunc(a, math.IsNaN) || slices.ContainsFunc(b, math.IsNaN) {
		return 0, -1, 1
	}
	ra, rb := midranks(a), midranks(b)
	mean := (n + 1) / 2
	var ab, aa, bb metric.Sum
	for i := range ra {
		x, y := ra[i]-mean, rb[i]-mean
		ab.Add(x * y)
		aa.Add(x * x)
		bb.Add(y * y)
	}
	if aa.Value() == 0 || bb.Value() == 0 {
		return 0, -1, 1
	}
	rho = ab.Value() / math.Sqrt(aa.Value()*bb.Value())
	rho = min(max(rho, -1), 1)
	z := math.Atanh(rho)
	half := normalQuantile(0.975) * math.Sqrt((1+rho*rho/2)/(n-3))
	return rho, math.Tanh(z - half), math.Tanh(z + half)
}

// normalQuantile is the inverse of the standard normal distribution function.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
