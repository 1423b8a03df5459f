package evaluate

import "github.com/trimtab-ml/trimtab/engine/evaluate/metric"

// Binary measures probabilities p of the positive class against labels y of 0 and 1: auc, log_loss, average_precision,
// ks (greatest distance of the classes' distributions), brier, calibration_error (ten bins of equal width),
// calibration_gap (mean prediction minus prevalence), and of the decisions by the threshold accuracy, balanced_accuracy,
// precision, recall, specificity, f1 and mcc (0 where undefined); prevalence, mean_prediction and n.
func Binary(y, p []float64, threshold float64) Metrics {
	sameLength(len(y), len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 {
		return m
	}
	o := metric.Decide(y, p, nil, threshold)
	for _, name := range []string{accuracy, balancedAccuracy, "precision", "recall", "specificity", "f1", matthews} {
		put(m, name, o.Measure(name))
	}
	n := float64(len(y))
	var sumP, sumY metric.Sum
	for i, v := range y {
		sumP.Add(p[i])
		sumY.Add(v)
	}
	put(m, logLoss, metric.BinaryLogLoss(y, p, nil).Value)
	put(m, "brier", metric.BinaryBrier(y, p, nil).Value)
	put(m, "prevalence", sumY.Value()/n)
	put(m, meanPrediction, sumP.Value()/n)
	put(m, "calibration_gap", sumP.Value()/n-sumY.Value()/n)
	put(m, "calibration_error", Calibration(y, p, 10).Error)
	s := metric.NewSweep(y, p, nil)
	put(m, auc, s.AUC().Value)
	put(m, "ks", s.KolmogorovSmirnov().Value)
	if s.Positive > 0 {
		put(m, "average_precision", s.AveragePrecision().Value)
	}
	return m
}

// ConfusionMatrix counts rows by label and by decision.
type ConfusionMatrix struct {
	Threshold     float64 `json:"threshold"`
	TruePositive  int     `json:"true_positive"`
	FalsePositive int     `json:"false_positive"`
	TrueNegative  int     `json:"true_negative"`
	FalseNegative int     `json:"false_negative"`
}

// Confusion decides each row by the threshold and counts.
func Confusion(y, p []float64, threshold float64) ConfusionMatrix {
	sameLength(len(y), len(p))
	c := ConfusionMatrix{Threshold: threshold}
	for i, v := range y {
		switch positive := p[i] >= threshold; {
		case v == 1 && positive:
			c.TruePositive++
		case v == 1:
			c.FalseNegative++
		case positive:
			c.FalsePositive++
		default:
			c.TrueNegative++
		}
	}
	return c
}

// Precision is the share of positive decisions that were right; 0 without a positive decision.
func (c ConfusionMatrix) Precision() float64 {
	return ratio(float64(c.TruePositive), float64(c.TruePositive+c.FalsePositive))
}

// Recall is the share of positive rows that were decided positive; 0 without a positive row.
func (c ConfusionMatrix) Recall() float64 {
	return ratio(float64(c.TruePositive), float64(c.TruePositive+c.FalseNegative))
}

// F1 is the harmonic mean of precision and recall; 0 when there is neither a positive row nor a positive decision.
func (c ConfusionMatrix) F1() float64 {
	return ratio(float64(2*c.TruePositive), float64(2*c.TruePositive+c.FalsePositive+c.FalseNegative))
}
