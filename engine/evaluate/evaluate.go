// Package evaluate reports on predictions against what came true: the metrics that a task is judged by, curves, slices,
// and whether one model is better than another on the same rows. What each metric means is package metric's; this one
// chooses, names and orders. It knows predictions and labels as slices of numbers and nothing of models, files or gates.
//
// Slices of unequal length are a defect of the caller and panic. A metric that the rows do not define (ROC AUC of one
// class, R2 of one row) is left out of the result instead of being given a made-up value; so is one that a NaN
// prediction makes NaN. A row counts as predicted positive when its probability is at least the threshold. Sums are
// compensated and run in row order, so that results do not depend on anything but the rows.
package evaluate

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
)

// Metrics maps names to values.
type Metrics = map[string]float64

// metric names that several tasks share.
const (
	accuracy         = "accuracy"
	balancedAccuracy = "balanced_accuracy"
	matthews         = "mcc"
	logLoss          = "log_loss"
	auc              = "auc"
	meanPrediction   = "mean_prediction"
	count            = "n"
)

// names lists the metrics of each task in the order to show them.
var names = map[learner.Task][]string{
	learner.Binary: {auc, logLoss, "average_precision", "ks", "brier", "calibration_error", "calibration_gap",
		accuracy, balancedAccuracy, "precision", "recall", "specificity", "f1", matthews, "prevalence", meanPrediction, count},
	learner.Multiclass: {accuracy, balancedAccuracy, logLoss, auc, "f1_macro", "f1_weighted", "precision_macro",
		"recall_macro", matthews, "brier", "calibration_error", count},
	learner.Regression: {"rmse", "mae", "median_ae", "mape", "max_error", "r2", "bias", meanPrediction, count},
}

// MetricNames is the metrics of a task in the order to show them; nil for an unknown task.
func MetricNames(task learner.Task) []string { return slices.Clone(names[task]) }

// HigherIsBetter reports whether a greater value of the metric is a better model. For names that measure no
// goodness, such as n or prevalence, and for signed gaps whose best value is 0, it is false.
func HigherIsBetter(name string) bool {
	switch name {
	case accuracy, balancedAccuracy, "precision", "recall", "specificity", "f1", matthews, auc, "average_precision", "ks",
		"f1_macro", "f1_weighted", "precision_macro", "recall_macro", "r2":
		return true
	}
	return false
}

// Evaluate is Binary, Multiclass or Regression by the task. p has one number a row, for multiclass one per class;
// threshold matters for binary only. It panics for an unknown task.
func Evaluate(task learner.Task, y, p []float64, threshold float64) Metrics {
	switch task {
	case learner.Binary:
		return Binary(y, p, threshold)
	case learner.Multiclass:
		if len(y) == 0 {
			return Metrics{count: 0}
		}
		return Multiclass(y, p, len(p)/len(y))
	case learner.Regression:
		return Regression(y, p)
	}
	panic(fmt.Sprintf("evaluate: unknown task %q", task))
}

// put sets a metric unless its value is not defined.
func put(m Metrics, name string, v float64) {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		m[name] = v
	}
}

func sameLength(a, b int) {
	if a != b {
		panic(fmt.Sprintf("evaluate: %d labels for %d predictions", a, b))
	}
}

// ratio is a/b, and 0 when b is 0, as scikit-learn's zero_division=0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
