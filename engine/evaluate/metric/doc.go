// Package metric defines what each measure of predictions means: for decisions, scores, probabilities, numbers and
// rankings, with optional weights, in the sense of scikit-learn 1.9. It owns the definitions and the sums they are made
// of. It must never know models, tasks, files or which measures a report shows.
//
// Conventions:
//   - Slices of unequal length, and class numbers outside 0..k-1, are a defect of the caller and panic.
//   - Weights are nil (all ones) or one non-negative number a row.
//   - Where the rows do not define a measure its Score is NaN and says why; where scikit-learn has an agreed value for
//     such a case (Matthews' coefficient 0, R2 of a constant) that value is given.
//   - A binary label is positive when it is 1; which class that is, the caller decides.
//   - Sums are compensated and run in row order, so that a result depends on nothing but the rows.
package metric

import (
	"fmt"
	"math"
)

// Score is the value of a measure. Where the rows do not define it, Value is NaN and Why says what is missing.
type Score struct {
	Value float64
	Why   string
}

// Defined reports whether the value is a number.
func (s Score) Defined() bool { return !math.IsNaN(s.Value) }

// undefined is a score that the rows do not define.
func undefined(format string, args ...any) Score {
	return Score{Value: math.NaN(), Why: fmt.Sprintf(format, args...)}
}

// scored is v, with a reason where it came out as NaN.
func scored(v float64) Score {
	if math.IsNaN(v) {
		return undefined("a value is missing, infinite or too large to measure")
	}
	return Score{Value: v}
}

// Reasons that several measures share.
const (
	noRows    = "there are no rows"
	noWeight  = "the weights sum to 0"
	oneClass  = "only one class is present"
	twoNeeded = "at least two rows are needed"
)

// same panics unless n rows have n values and n weights (or none).
func same(n, values int, w []float64) {
	if n != values || w != nil && len(w) != n {
		panic(fmt.Sprintf("metric: %d labels, %d predictions, %d weights", n, values, len(w)))
	}
}

// ratio is a/b; zero where b is 0.
func ratio(a, b, zero float64) float64 {
	if b == 0 {
		return zero
	}
	return a / b
}
