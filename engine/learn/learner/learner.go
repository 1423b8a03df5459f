// Package learner is the contract that every learner and model of Trimtab keeps: what goes in, what comes out, and
// how parameters are named and refused. It owns the types that package learn shows to the rest of the house (learn
// re-exports them), the check of a training set and the reading of parameters. It must never know a concrete algorithm.
package learner

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Task is what a model predicts.
type Task string

// The tasks. Binary labels are 0 and 1, multiclass labels are class indices, regression labels are numbers of at most
// 1e25, ranking labels are relevance grades, whole numbers from 0 to 30.
const (
	Binary     Task = "binary"
	Multiclass Task = "multiclass"
	Regression Task = "regression"
	Ranking    Task = "ranking"
)

// Set is a training or validation set: one label per row of X, none of them NaN. NaN in X is a missing value.
type Set struct {
	X *table.Matrix
	Y []float64
	// Query is the query that each row belongs to, ranking only; the rows of a query stand together.
	Query []int32
}

// Options are what a run decides and a configuration does not.
type Options struct {
	// Workers bounds the goroutines of the fit; 0 means GOMAXPROCS. It never changes the model.
	Workers int
	// Seed drives sampling where the parameters do not name a seed of their own.
	Seed uint64
	// Progress is called after every round with the rounds done, the rounds planned and the mean training loss
	// (log loss, or half the mean squared error). It is called from the goroutine that called Fit.
	Progress func(done, total int, loss float64)
	// Curve is called like Progress, with the training loss and the loss on Valid, or on the rows that the learner itself
	// held out (NaN without either).
	Curve func(done, total int, train, valid float64)
	// Ready is called once, when the rows have been prepared (binned, standardised) and training proper begins.
	Ready func()
	// Prune is called like Curve; when it returns true the fit ends with ErrPruned.
	Prune func(done, total int, train, valid float64) bool
	// Enough is asked after every round; when it returns true the fit ends as if the rounds done were all that were
	// planned. It is how a time budget is kept.
	Enough func() bool
	// Weights are one non-negative number per training row, or nil for all ones.
	Weights []float64
	// Valid are rows that are never trained on; early stopping and Curve read them. May be nil.
	Valid *Set
}

// ErrPruned is what a fit ends with when Options.Prune asked for it.
var ErrPruned = errors.New("training was pruned")

// A Learner is a configured algorithm. Fit does not change it, so that one Learner may fit many sets at once.
type Learner interface {
	// Name is the learner's name in configuration files.
	Name() string
	// Params are all its parameters with the values they have, those left to their defaults too, except a seed that was
	// not set. A learner made of them is its clone.
	Params() Params
	// Fit trains on the set. classes is the number of classes of a multiclass task and is not read otherwise.
	// It returns fault.Invalid for a set that cannot be learned from and fault.Canceled when ctx ends, which is
	// noticed at least once a round. The same set, parameters and seed give the same model bytes for any Workers.
	Fit(ctx context.Context, train Set, task Task, classes int, opt Options) (Model, error)
}

// A Model is immutable and safe for concurrent use.
type Model interface {
	// Kind is the name of the learner, or of the foreign format, that made it.
	Kind() string
	Task() Task
	// Outputs is the numbers per row: 1 for binary (probability of the positive class), regression and ranking (a score),
	// K for multiclass.
	Outputs() int
	// Features is the columns a row must have.
	Features() int
	// PredictRow writes Outputs numbers for one row of Features values to dst without allocating.
	// It panics when x or dst is too short.
	PredictRow(x []float32, dst []float64)
	// Predict writes Rows x Outputs numbers, row by row, equal to those of PredictRow.
	Predict(m *table.Matrix, dst []float64)
	// Importance is one share per feature; shares sum to 1 unless the model uses no feature at all.
	Importance() []float64
	// MarshalBinary is the model in its own versioned format; learn.Load reads it back.
	MarshalBinary() ([]byte, error)
}

// Wide is a model that also reads float64, for which rounding to float32 could change what it predicts.
type Wide interface {
	Model
	// PredictWide writes rows x Outputs numbers for the row-major rows x Features values of x.
	PredictWide(x []float64, rows int, dst []float64)
}

// Labels and weights are bounded so that a gradient, their product, stays within float32.
const (
	maxLabel  = 1e25
	maxWeight = 1e12
)

// Check refuses a training set that no learner can read: empty, of unequal lengths, with labels outside the task or all
// alike in a binary one, or with weights that cannot be.
func Check(set Set, task Task, classes int, weights []float64) error {
	if set.X == nil || set.X.Rows == 0 || set.X.Cols == 0 {
		return fault.New(fault.Invalid, "the training set is empty").
			WithHint("check the label column and the filters: at least one row and one input are needed")
	}
	if len(set.X.Data) != set.X.Rows*set.X.Cols {
		return fault.New(fault.Invalid, "the matrix holds %d values, not %d x %d", len(set.X.Data), set.X.Rows, set.X.Cols)
	}
	if uint64(set.X.Rows) > math.MaxInt32 {
		return fault.New(fault.TooLarge, "the training set has %d rows; at most %d can be learned from", set.X.Rows, math.MaxInt32)
	}
	if len(set.Y) != set.X.Rows {
		return fault.New(fault.Invalid, "there are %d labels for %d rows", len(set.Y), set.X.Rows)
	}
	if err := CheckLabels(set.Y, task, classes); err != nil {
		return err
	}
	if task == Ranking {
		if err := CheckQuery(set); err != nil {
			return err
		}
	}
	if task == Binary && !slices.Contains(set.Y, 1-set.Y[0]) {
		return fault.New(fault.Invalid, "every label is %v: there is nothing to tell apart", set.Y[0]).
			WithHint("check the label's expression and the rows it is computed on")
	}
	if weights == nil {
		return nil
	}
	if len(weights) != set.X.Rows {
		return fault.New(fault.Invalid, "there are %d weights for %d rows", len(weights), set.X.Rows)
	}
	var total float64
	for i, w := range weights {
		if !(w >= 0 && w <= maxWeight) {
			return fault.New(fault.Invalid, "the weight of row %d is %v; weights are from 0 to %g", i, w, maxWeight)
		}
		total += w
	}
	if total == 0 {
		return fault.New(fault.Invalid, "every weight is 0")
	}
	return nil
}

// CheckLabels refuses labels that are not of the task.
func CheckLabels(y []float64, task Task, classes int) error {
	switch task {
	case Binary:
		for i, v := range y {
			if v != 0 && v != 1 {
				return fault.New(fault.Invalid, "the label of row %d is %v; a binary label is 0 or 1", i, v)
			}
		}
	case Multiclass:
		if classes < 2 {
			return fault.New(fault.Invalid, "a multiclass task needs at least 2 classes, not %d", classes)
		}
		for i, v := range y {
			if !(v >= 0) || v >= float64(classes) || v != math.Trunc(v) {
				return fault.New(fault.Invalid, "the label of row %d is %v; it must be a class index from 0 to %d", i, v, classes-1)
			}
		}
	case Regression:
		for i, v := range y {
			if !(math.Abs(v) <= maxLabel) {
				return fault.New(fault.Invalid, "the label of row %d is %v; a regression label is a number of at most %g", i, v, maxLabel)
			}
		}
	case Ranking:
		for i, v := range y {
			if !(v >= 0) || v > maxGrade || v != math.Trunc(v) {
				return fault.New(fault.Invalid, "the label of row %d is %v; a relevance grade is a whole number from 0 to %d", i, v, maxGrade)
			}
		}
	default:
		return fault.New(fault.Invalid, "unknown task %q", task).WithHint("tasks are binary, multiclass, regression and ranking")
	}
	return nil
}

// maxGrade bounds relevance grades: gains are 2^grade - 1.
const maxGrade = 30

// CheckQuery refuses a ranking set without queries, or with a query whose rows do not stand together.
func CheckQuery(set Set) error {
	if len(set.Query) != len(set.Y) {
		return fault.New(fault.Invalid, "there are %d query numbers for %d rows", len(set.Query), len(set.Y)).
			WithHint("ranking needs the query of every row")
	}
	seen := map[int32]bool{}
	for i, q := range set.Query {
		if i > 0 && q == set.Query[i-1] {
			continue
		}
		if seen[q] {
			return fault.New(fault.Invalid, "query %d begins again at row %d", q, i).WithHint("sort the rows by query")
		}
		seen[q] = true
	}
	return nil
}

// CheckValid refuses validation rows that do not go with the training set.
func CheckValid(valid *Set, train Set, task Task, classes int) error {
	if valid == nil {
		return nil
	}
	if valid.X == nil || valid.X.Rows == 0 || valid.X.Cols != train.X.Cols || len(valid.Y) != valid.X.Rows {
		return fault.New(fault.Invalid, "the validation set does not have the training set's shape")
	}
	if task == Ranking {
		if err := CheckQuery(*valid); err != nil {
			return err
		}
	}
	return CheckLabels(valid.Y, task, classes)
}

// MeanLoss is the mean loss of predictions p, len(p)/len(y) numbers a row: log loss with probabilities kept above
// 1e-15, or half the squared error. It sums in row order.
func MeanLoss(task Task, y, p []float64) float64 {
	const least = 1e-15
	k := len(p) / len(y)
	var sum float64
	for i, v := range y {
		row := p[i*k : (i+1)*k]
		switch {
		case task == Binary && v == 0:
			sum -= math.Log(max(1-row[0], least))
		case task == Binary:
			sum -= math.Log(max(row[0], least))
		case task == Multiclass:
			sum -= math.Log(max(row[int(v)], least))
		default:
			sum += float64((row[0]-v)*(row[0]-v)) / 2
		}
	}
	return sum / float64(len(y))
}
