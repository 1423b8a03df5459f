package evaluate

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// Multiclass measures probabilities p, k per row, against class indices y: of the likeliest class (the first of equals)
// accuracy, balanced_accuracy, mcc, f1_macro, f1_weighted, precision_macro and recall_macro (over the classes that occur
// as label or decision, 0 where undefined); log_loss, brier (sum over classes of squared errors), calibration_error of
// the likeliest class's probability (ten bins of equal width), auc (one against the rest, unweighted; only when every
// class occurs) and n.
func Multiclass(y []float64, p []float64, k int) Metrics {
	sameLength(len(y)*k, len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 || k == 0 {
		return m
	}
	class := make([]int, len(y))
	for i, v := range y {
		class[i] = int(v)
	}
	c := metric.Count(class, metric.Likeliest(p, k), k, nil)
	over := metric.Averaging{By: metric.Macro, Classes: c.Present()}
	put(m, accuracy, c.Accuracy().Value)
	put(m, balancedAccuracy, c.BalancedAccuracy(false).Value)
	put(m, matthews, c.Matthews().Value)
	put(m, "f1_macro", c.F(1, over).Value)
	put(m, "precision_macro", c.Precision(over).Value)
	put(m, "recall_macro", c.Recall(over).Value)
	over.By = metric.Weighted
	put(m, "f1_weighted", c.F(1, over).Value)
	put(m, logLoss, metric.LogLoss(class, p, k, nil).Value)
	put(m, "brier", metric.Brier(class, p, k, nil).Value)
	right, confidence := metric.Confidence(class, p, k)
	put(m, "calibration_error", Calibration(right, confidence, 10).Error)
	put(m, auc, metric.AUCMulti(class, p, k, nil, metric.OneVsRest, metric.Macro).Value)
	return m
}

// Regression measures predictions p against values y: rmse, mae, median_ae, max_error, mape (only where no value is 0,
// near which it says nothing), r2 (1 for a perfect prediction of equal values, 0 for any other), bias (mean of p minus
// y), mean_prediction and n.
func Regression(y, p []float64) Metrics {
	sameLength(len(y), len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 {
		return m
	}
	put(m, "mae", metric.MAE(y, p, nil).Value)
	put(m, "rmse", metric.RMSE(y, p, nil).Value)
	put(m, "median_ae", metric.MedianAE(y, p, nil).Value)
	put(m, "max_error", metric.MaxError(y, p, nil).Value)
	put(m, "bias", metric.Bias(y, p, nil).Value)
	put(m, "r2", metric.R2(y, p, nil).Value)
	put(m, meanPrediction, metric.Mean(len(p), nil, func(i int) float64 { return p[i] }).Value)
	if !slices.ContainsFunc(y, func(v float64) bool { return math.Abs(v) < 1e-9 }) {
		put(m, "mape", metric.MAPE(y, p, nil).Value)
	}
	return m
}
