// Package compare tests whether one model is better than another: on the same rows, over the folds of a
// cross-validation, or over many data sets. It owns the tests, the resampling, the correction for many tests and the
// critical-difference picture; it sees counts, differences and scores, and knows nothing of models, files or gates.
// DeLong's test of two ROC curves is in engine/evaluate, beside the curves.
//
// Data that a test cannot be made of (ragged rows, an unknown method) are fault.Invalid. A statistic that the data do
// not define (a t of equal differences, 0/0) is NaN with the P NaN, never a made-up value; encode it before JSON. All
// P are two-sided unless they say otherwise. Nothing here depends on the number of processors.
package compare

import (
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Result is a statistic, its degrees of freedom (0 where it has none) and its two-sided p-value.
type Result struct {
	Statistic float64 `json:"statistic"`
	DF        float64 `json:"df,omitempty"`
	P         float64 `json:"p"`
}

// moments is the mean of d and its variance with divisor n-1, in two compensated passes.
func moments(d []float64) (mean, variance float64) {
	n := float64(len(d))
	mean = floats.SumCompensated(d) / n
	square := make([]float64, len(d))
	for i, v := range d {
		square[i] = (v - mean) * (v - mean)
	}
	return mean, floats.SumCompensated(square) / (n - 1)
}

// finite refuses values that no test can use.
func finite(name string, values []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "%s: value %d is %v", name, i+1, v).
				WithHint("leave out the pairs, folds or data sets without a result, for every model alike")
		}
	}
	return nil
}

// rectangle is the number of columns of x; it wants at least one row, two columns and rows of equal length.
func rectangle(name string, x [][]float64) (columns int, err error) {
	if len(x) == 0 || len(x[0]) < 2 {
		return 0, fault.New(fault.Invalid, "%s needs at least one row and two columns, one per model", name)
	}
	for i, row := range x {
		if len(row) != len(x[0]) {
			return 0, fault.New(fault.Invalid, "%s: row %d has %d values, the first has %d", name, i+1, len(row), len(x[0]))
		}
		if err := finite(name, row); err != nil {
			return 0, err
		}
	}
	return len(x[0]), nil
}
