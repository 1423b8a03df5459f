package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// ranking is the rows by falling probability, rows of equal probability taken together: after step i, which decides
// all rows with probability at least score[i] positive, tp[i] positives and fp[i] negatives have been caught.
type ranking struct {
	score    []float64
	tp, fp   []float64
	pos, neg float64
}

func rank(y, p []float64) ranking {
	type row struct{ p, y float64 }
	rows := make([]row, len(y))
	for i := range y {
		rows[i] = row{p[i], y[i]}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(b.p, a.p) })
	var r ranking
	for i, v := range rows {
		if math.IsNaN(v.p) {
			return ranking{}
		}
		if v.y == 1 {
			r.pos++
		} else {
			r.neg++
		}
		if i+1 == len(rows) || rows[i+1].p != v.p {
			r.score = append(r.score, v.p)
			r.tp = append(r.tp, r.pos)
			r.fp = append(r.fp, r.neg)
		}
	}
	return r
}

// auc is the area under the ROC curve by trapezoids: the probability that a positive outranks a negative, ties
// counting one half. NaN when a class is missing.
func (r ranking) auc() float64 {
	if r.pos == 0 || r.neg == 0 {
		return math.NaN()
	}
	var area total // in half pairs, which are whole numbers
	var tp, fp float64
	for i := range r.score {
		area.add((r.fp[i] - fp) * (r.tp[i] + tp))
		tp, fp = r.tp[i], r.fp[i]
	}
	return area.value() / (2 * r.pos * r.neg)
}

// averagePrecision is the sum of precision times growth of recall, without interpolation. NaN without a positive row.
func (r ranking) averagePrecision() float64 {
	if r.pos == 0 {
		return math.NaN()
	}
	var sum total
	var tp float64
	for i := range r.score {
		sum.add((r.tp[i] - tp) / r.pos * (r.tp[i] / (r.tp[i] + r.fp[i])))
		tp = r.tp[i]
	}
	return sum.value()
}

// AUC is the area under the ROC curve; NaN when the labels are all alike.
func AUC(y, p []float64) float64 {
	sameLength(len(y), len(p))
	return rank(y, p).auc()
}

// LogLoss is the mean log loss of binary probabilities, kept off 0 and 1 by machine epsilon; NaN without rows.
func LogLoss(y, p []float64) float64 {
	sameLength(len(y), len(p))
	var sum total
	for i, v := range y {
		sum.add(logLossOf(v, p[i]))
	}
	return sum.value() / float64(len(y))
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
	var ab, aa, bb total
	for i := range ra {
		x, y := ra[i]-mean, rb[i]-mean
		ab.add(x * y)
		aa.add(x * x)
		bb.add(y * y)
	}
	if aa.value() == 0 || bb.value() == 0 {
		return 0, -1, 1
	}
	rho = ab.value() / math.Sqrt(aa.value()*bb.value())
	rho = min(max(rho, -1), 1)
	z := math.Atanh(rho)
	half := normalQuantile(0.975) * math.Sqrt((1+rho*rho/2)/(n-3))
	return rho, math.Tanh(z - half), math.Tanh(z + half)
}

// normalQuantile is the inverse of the standard normal distribution function.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
