package evaluate

import "math"

// Binary measures probabilities p of the positive class against labels y of 0 and 1: accuracy, precision, recall, f1
// (0 where undefined), auc, average_precision, log_loss, brier, calibration_error (ten bins of equal width),
// calibration_gap (mean prediction minus prevalence), prevalence, mean_prediction and n.
func Binary(y, p []float64, threshold float64) Metrics {
	sameLength(len(y), len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 {
		return m
	}
	c := Confusion(y, p, threshold)
	n := float64(len(y))
	put(m, accuracy, float64(c.TruePositive+c.TrueNegative)/n)
	put(m, "precision", c.Precision())
	put(m, "recall", c.Recall())
	put(m, "f1", c.F1())
	var loss, square, sumP, sumY total
	for i, v := range y {
		loss.add(logLossOf(v, p[i]))
		square.add((p[i] - v) * (p[i] - v))
		sumP.add(p[i])
		sumY.add(v)
	}
	put(m, logLoss, loss.value()/n)
	put(m, "brier", square.value()/n)
	put(m, "prevalence", sumY.value()/n)
	put(m, meanPrediction, sumP.value()/n)
	put(m, "calibration_gap", sumP.value()/n-sumY.value()/n)
	put(m, "calibration_error", Calibration(y, p, 10).Error)
	r := rank(y, p)
	put(m, auc, r.auc())
	put(m, "average_precision", r.averagePrecision())
	return m
}

func logLossOf(y, p float64) float64 {
	if y == 0 {
		return -math.Log(1 - clip(p))
	}
	return -math.Log(clip(p))
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
