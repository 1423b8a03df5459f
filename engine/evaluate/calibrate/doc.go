// Package calibrate turns the scores of a classifier into probabilities that come true as often as they say. It owns the
// four methods, the fit on predictions out of fold, and the model that wraps another with its calibration. It knows
// models by their contract alone.
//
//   - Platt: 1/(1+exp(A f + B)) of a score f (Platt 1999), fitted to smoothed targets, which keeps the fit finite.
//   - Isotonic: the nearest non-decreasing steps (Zadrozny and Elkan 2002), linear between their ends. It needs many rows.
//   - Beta: 1/(1+exp(-(a ln p - b ln(1-p) + c))), a and b at least 0 (Kull, Silva Filho and Flach 2017), of a probability.
//   - Temperature: softmax(z/T) of logits z (Guo et al. 2017). It changes no decision, and is meant for several classes.
//
// Fit on rows that the model was not trained on: on its own training rows a model is too sure of itself.
package calibrate

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// check refuses rows that nothing can be fitted to. Labels are positive where they are 1.
func check(scores, y, w []float64) error {
	if len(scores) != len(y) || w != nil && len(w) != len(y) {
		return fault.New(fault.Invalid, "calibration: %d scores, %d labels, %d weights", len(scores), len(y), len(w))
	}
	for i, v := range scores {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "calibration: the score of row %d is %v", i+1, v)
		}
	}
	return checkWeights(len(y), w)
}

func checkWeights(n int, w []float64) error {
	var all metric.Sum
	for i := range n {
		v := weight(w, i)
		if !(v >= 0) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "calibration: the weight of row %d is %v", i+1, v)
		}
		all.Add(v)
	}
	if all.Value() == 0 || math.IsInf(all.Value(), 0) {
		return fault.New(fault.Invalid, "calibration needs rows with weight, and a finite sum of weights")
	}
	return nil
}

func weight(w []float64, i int) float64 {
	if w == nil {
		return 1
	}
	return w[i]
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// Logit is the log odds of a probability, which is kept off 0 and 1.
func Logit(p float64) float64 {
	const least = 1e-15
	p = min(max(p, least), 1-least)
	return math.Log(p) - math.Log1p(-p)
}
