package metric

import "math"

// Sum adds numbers with Neumaier's compensation (ZAMM 54, 1974): its error does not grow with the number of terms. The
// zero Sum is empty. An infinite or NaN term, or an overflow, gives what plain addition gives.
type Sum struct{ sum, lost float64 }

// Add adds one term.
func (t *Sum) Add(v float64) {
	v = float64(v) // a product is rounded before it is added, on processors that could fuse the two as well
	s := t.sum + v
	if math.Abs(t.sum) >= math.Abs(v) {
		t.lost += (t.sum - s) + v
	} else {
		t.lost += (v - s) + t.sum
	}
	t.sum = s
}

// Value is the sum of the terms so far.
func (t *Sum) Value() float64 {
	if v := t.sum + t.lost; !math.IsNaN(v) {
		return v
	}
	return t.sum
}

// weight is the weight of row i.
func weight(w []float64, i int) float64 {
	if w == nil {
		return 1
	}
	return w[i]
}

// weightSum is the sum of the weights of n rows.
func weightSum(n int, w []float64) float64 {
	if w == nil {
		return float64(n)
	}
	var t Sum
	for _, v := range w {
		t.Add(v)
	}
	return t.Value()
}

// sumOf is the weighted sum of f over n rows. Rows of weight 0 are not looked at.
func sumOf(n int, w []float64, f func(i int) float64) float64 {
	var t Sum
	for i := range n {
		switch {
		case w == nil:
			t.Add(f(i))
		case w[i] != 0:
			t.Add(float64(w[i] * f(i)))
		}
	}
	return t.Value()
}

// Mean is the weighted mean of f over rows 0 to n-1. Rows of weight 0 are not looked at.
func Mean(n int, w []float64, f func(i int) float64) Score {
	if n == 0 {
		return undefined(noRows)
	}
	total := weightSum(n, w)
	if total == 0 {
		return undefined(noWeight)
	}
	return scored(sumOf(n, w, f) / total)
}

// constant reports whether the rows with weight all have the same value.
func constant(n int, w []float64, f func(i int) float64) bool {
	first, seen := 0.0, false
	for i := range n {
		if weight(w, i) == 0 {
			continue
		}
		switch v := f(i); {
		case !seen:
			first, seen = v, true
		case v != first:
			return false
		}
	}
	return true
}
