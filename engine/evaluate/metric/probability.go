package metric

import (
	"math"
	"slices"
)

// Clip keeps a probability off 0 and 1 by float64's machine epsilon.
func Clip(p float64) float64 {
	const eps = 0x1p-52
	return min(max(p, eps), 1-eps)
}

// BinaryLogLoss is the mean of minus the logarithm of the probability that the row's class was given; probabilities p
// of the positive class are clipped.
func BinaryLogLoss(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return RowLogLoss(y[i], p[i]) })
}

// RowLogLoss is the log loss of one row.
func RowLogLoss(y, p float64) float64 {
	if y == 1 {
		return -math.Log(Clip(p))
	}
	return -math.Log(Clip(1 - p))
}

// LogLoss is the same for probabilities p, k per row, and classes y from 0 to k-1.
func LogLoss(y []int, p []float64, k int, w []float64) Score {
	same(len(y)*k, len(p), nil)
	same(len(y), len(y), w)
	return Mean(len(y), w, func(i int) float64 { return -math.Log(Clip(p[i*k+y[i]])) })
}

// BinaryBrier is the mean squared distance of the probability from the label (Brier 1950, halved).
func BinaryBrier(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return square(p[i] - indicator(y[i] == 1)) })
}

// Brier is the mean over rows of the sum over classes of the squared distance of the probability from 1 for the row's
// class and 0 for the others: from 0 to 2, for two classes twice BinaryBrier.
func Brier(y []int, p []float64, k int, w []float64) Score {
	same(len(y)*k, len(p), nil)
	same(len(y), len(y), w)
	return Mean(len(y), w, func(i int) float64 {
		var sum Sum
		for j, v := range p[i*k : (i+1)*k] {
			sum.Add(square(v - indicator(j == y[i])))
		}
		return sum.Value()
	})
}

func square(v float64) float64 { return float64(v * v) }

// D2LogLoss is one minus the log loss over that of the shares of the classes: 1 for perfect probabilities, 0 for ones
// that know the shares alone. Two rows are needed.
func D2LogLoss(y []int, p []float64, k int, w []float64) Score {
	return fraction(LogLoss(y, p, k, w), y, k, w, LogLoss)
}

// D2Brier is one minus the Brier score over that of the shares of the classes.
func D2Brier(y []int, p []float64, k int, w []float64) Score {
	return fraction(Brier(y, p, k, w), y, k, w, Brier)
}

func fraction(loss Score, y []int, k int, w []float64, of func([]int, []float64, int, []float64) Score) Score {
	if len(y) < 2 {
		return undefined(twoNeeded)
	}
	shares := make([]Sum, k)
	for i := range y {
		shares[y[i]].Add(weight(w, i))
	}
	all := weightSum(len(y), w)
	null := make([]float64, len(y)*k)
	for i := range null {
		null[i] = shares[i%k].Value() / all
	}
	base := of(y, null, k, w)
	if !base.Defined() {
		return base
	}
	if base.Value == 0 {
		return undefined(oneClass)
	}
	return scored(1 - loss.Value/base.Value)
}

// TopK is the share of rows whose class is among the most probable; of equal probabilities the later class comes first,
// as in scikit-learn.
func TopK(y []int, p []float64, k, most int, w []float64) Score {
	same(len(y)*k, len(p), nil)
	same(len(y), len(y), w)
	if slices.ContainsFunc(p, math.IsNaN) {
		return undefined("a probability is not a number")
	}
	return Mean(len(y), w, func(i int) float64 {
		row := p[i*k : (i+1)*k]
		before := 0
		for j, v := range row {
			if v > row[y[i]] || v == row[y[i]] && j > y[i] {
				before++
			}
		}
		return indicator(before < most)
	})
}

// BinaryHinge is the mean of max(0, 1-margin), the margin being the score for a positive row and minus it otherwise.
func BinaryHinge(y, score, w []float64) Score {
	same(len(y), len(score), w)
	return Mean(len(y), w, func(i int) float64 {
		if y[i] == 1 {
			return max(0, 1-score[i])
		}
		return max(0, 1+score[i])
	})
}

// Hinge is the same for scores, k at least 2 per row: the margin is the score of the row's class minus the greatest
// other (Crammer and Singer 2001).
func Hinge(y []int, score []float64, k int, w []float64) Score {
	same(len(y)*k, len(score), nil)
	same(len(y), len(y), w)
	if k < 2 {
		return undefined(oneClass)
	}
	return Mean(len(y), w, func(i int) float64 {
		row, best := score[i*k:(i+1)*k], math.Inf(-1)
		for j, v := range row {
			if j != y[i] {
				best = max(best, v)
			}
		}
		return max(0, 1-(row[y[i]]-best))
	})
}

// Likeliest is the first of the greatest of k numbers in each row.
func Likeliest(p []float64, k int) []int {
	out := make([]int, len(p)/k)
	for i := range out {
		row := p[i*k : (i+1)*k]
		for j, v := range row {
			if v > row[out[i]] {
				out[i] = j
			}
		}
	}
	return out
}
