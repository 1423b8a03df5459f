package evaluate

import "math"

// Multiclass measures probabilities p, k per row, against class indices y: accuracy of the likeliest class (the first
// of equals), f1_macro, precision_macro and recall_macro (unweighted over the classes that occur as label or decision,
// 0 where undefined), log_loss, brier (sum over classes of squared errors), auc (one against the rest, unweighted;
// only when every class occurs) and n.
func Multiclass(y []float64, p []float64, k int) Metrics {
	sameLength(len(y)*k, len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 || k == 0 {
		return m
	}
	tp, decided, actual := make([]float64, k), make([]float64, k), make([]float64, k)
	var loss, square total
	for i, v := range y {
		row := p[i*k : (i+1)*k]
		best := 0
		for j, q := range row {
			if q > row[best] {
				best = j
			}
			d := q
			if j == int(v) {
				d--
			}
			square.add(d * d)
		}
		loss.add(-math.Log(clip(row[int(v)])))
		decided[best]++
		actual[int(v)]++
		if best == int(v) {
			tp[best]++
		}
	}
	n := float64(len(y))
	var right, f1, precision, recall, present float64
	for j := range k {
		right += tp[j]
		if decided[j]+actual[j] == 0 {
			continue
		}
		present++
		f1 += ratio(2*tp[j], decided[j]+actual[j])
		precision += ratio(tp[j], decided[j])
		recall += ratio(tp[j], actual[j])
	}
	put(m, accuracy, right/n)
	put(m, "f1_macro", f1/present)
	put(m, "precision_macro", precision/present)
	put(m, "recall_macro", recall/present)
	put(m, logLoss, loss.value()/n)
	put(m, "brier", square.value()/n)
	put(m, auc, oneAgainstRest(y, p, k))
	return m
}

// oneAgainstRest is the mean over classes of the ROC AUC of each class's probability; NaN when a class does not occur.
func oneAgainstRest(y, p []float64, k int) float64 {
	own, prob := make([]float64, len(y)), make([]float64, len(y))
	var sum float64
	for j := range k {
		for i, v := range y {
			own[i] = 0
			if int(v) == j {
				own[i] = 1
			}
			prob[i] = p[i*k+j]
		}
		sum += rank(own, prob).auc()
	}
	return sum / float64(k)
}

// Regression measures predictions p against values y: mae, rmse, r2 (1 for a perfect prediction of equal values, 0 for
// any other), bias (mean of p minus y), mean_prediction and n.
func Regression(y, p []float64) Metrics {
	sameLength(len(y), len(p))
	m := Metrics{count: float64(len(y))}
	if len(y) == 0 {
		return m
	}
	n := float64(len(y))
	var absolute, square, gap, sumP, sumY total
	for i, v := range y {
		d := p[i] - v
		absolute.add(math.Abs(d))
		square.add(d * d)
		gap.add(d)
		sumP.add(p[i])
		sumY.add(v)
	}
	put(m, "mae", absolute.value()/n)
	put(m, "rmse", math.Sqrt(square.value()/n))
	put(m, "bias", gap.value()/n)
	put(m, meanPrediction, sumP.value()/n)
	if len(y) < 2 {
		return m
	}
	mean := sumY.value() / n
	var spread total
	for _, v := range y {
		spread.add((v - mean) * (v - mean))
	}
	switch {
	case spread.value() > 0:
		put(m, "r2", 1-square.value()/spread.value())
	case square.value() == 0:
		put(m, "r2", 1)
	default:
		put(m, "r2", 0)
	}
	return m
}
