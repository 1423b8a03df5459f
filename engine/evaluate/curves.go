package evaluate

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// maxPoints is the most points of a curve that are kept; Of says how many there were.
const maxPoints = 200

// ROCPoint is the rates when rows with a probability of at least Threshold are decided positive.
type ROCPoint struct {
	Threshold         float64 `json:"threshold"`
	FalsePositiveRate float64 `json:"fpr"`
	TruePositiveRate  float64 `json:"tpr"`
}

// ROCCurve runs from (0, 0) to (1, 1). It has no points, and no area, when the labels are all alike.
type ROCCurve struct {
	Points []ROCPoint `json:"points"`
	Of     int        `json:"of"` // points of the whole curve
	N      int        `json:"n"`
	AUC    *float64   `json:"auc"`
}

// ROC is the receiver operating characteristic, thinned evenly along its length to at most 200 points; the area is
// that of the whole curve. The first point's threshold is just above every probability.
func ROC(y, p []float64) ROCCurve {
	sameLength(len(y), len(p))
	s := metric.NewSweep(y, p, nil)
	c := ROCCurve{Points: []ROCPoint{}, N: len(y)}
	if s.Positive == 0 || s.Negative == 0 {
		return c
	}
	area := s.AUC().Value
	c.AUC = &area
	c.Of = len(s.Threshold) + 1
	c.Points = append(c.Points, ROCPoint{Threshold: math.Nextafter(s.Threshold[0], math.Inf(1))})
	for _, i := range thin(len(s.Threshold), func(i int) float64 { return s.TP[i]/s.Positive + s.FP[i]/s.Negative }) {
		c.Points = append(c.Points, ROCPoint{s.Threshold[i], s.FP[i] / s.Negative, s.TP[i] / s.Positive})
	}
	return c
}

// PRPoint is precision and recall when rows with a probability of at least Threshold are decided positive.
type PRPoint struct {
	Threshold float64 `json:"threshold"`
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
}

// PRCurve runs by rising recall. It has no points when no row is positive.
type PRCurve struct {
	Points           []PRPoint `json:"points"`
	Of               int       `json:"of"`
	N                int       `json:"n"`
	AveragePrecision *float64  `json:"average_precision"`
}

// PR is the precision-recall curve, thinned evenly in recall to at most 200 points; average precision is that of the
// whole curve.
func PR(y, p []float64) PRCurve {
	sameLength(len(y), len(p))
	s := metric.NewSweep(y, p, nil)
	c := PRCurve{Points: []PRPoint{}, N: len(y)}
	if s.Positive == 0 {
		return c
	}
	ap := s.AveragePrecision().Value
	c.AveragePrecision = &ap
	c.Of = len(s.Threshold)
	for _, i := range thin(len(s.Threshold), func(i int) float64 { return s.TP[i] / s.Positive }) {
		c.Points = append(c.Points, PRPoint{s.Threshold[i], s.TP[i] / s.Positive, s.TP[i] / (s.TP[i] + s.FP[i])})
	}
	return c
}

// thin picks at most maxPoints-1 of n points, always the first and the last, at even steps of a rising position.
func thin(n int, position func(i int) float64) []int {
	const most = maxPoints - 1
	var picked []int
	if n <= most {
		for i := range n {
			picked = append(picked, i)
		}
		return picked
	}
	first, last := position(0), position(n-1)
	for i := range n {
		next := first + (last-first)*float64(len(picked))/(most-1)
		if i == 0 || i == n-1 || position(i) >= next && len(picked) < most-1 {
			picked = append(picked, i)
		}
	}
	return picked
}

// CalibrationBin is the rows with a probability above Lo and up to Hi (the first bin includes 0).
type CalibrationBin struct {
	Lo             float64  `json:"lo"`
	Hi             float64  `json:"hi"`
	N              int      `json:"n"`
	MeanPrediction float64  `json:"mean_prediction"`
	Observed       float64  `json:"observed"` // share of positive rows
	Interval       Interval `json:"interval"` // Wilson's 95 % interval of Observed
}

// CalibrationCurve compares probabilities with what was observed, bin by bin; bins without rows are left out.
type CalibrationCurve struct {
	Bins  []CalibrationBin `json:"bins"`
	Error float64          `json:"error"` // mean over rows of the bins' |mean prediction - observed|
	N     int              `json:"n"`
}

// Calibration cuts [0, 1] into bins of equal width with the edges of scikit-learn's calibration_curve.
func Calibration(y, p []float64, bins int) CalibrationCurve {
	sameLength(len(y), len(p))
	sumP, sumY, n := make([]metric.Sum, bins), make([]float64, bins), make([]int, bins)
	step := 1 / float64(bins)
	for i, v := range p {
		if math.IsNaN(v) {
			return CalibrationCurve{Bins: []CalibrationBin{}, Error: math.NaN(), N: len(y)}
		}
		b := min(max(int(v*float64(bins)), 0), bins-1)
		for b > 0 && v <= float64(b)*step {
			b--
		}
		for b < bins-1 && v > float64(b+1)*step {
			b++
		}
		sumP[b].Add(v)
		sumY[b] += y[i]
		n[b]++
	}
	c := CalibrationCurve{Bins: []CalibrationBin{}, N: len(y)}
	for b := range n {
		if n[b] == 0 {
			continue
		}
		k := float64(n[b])
		bin := CalibrationBin{Lo: float64(b) * step, Hi: float64(b+1) * step, N: n[b],
			MeanPrediction: sumP[b].Value() / k, Observed: sumY[b] / k, Interval: Wilson(sumY[b], k, 0.95)}
		c.Error += math.Abs(bin.MeanPrediction-bin.Observed) * k / float64(len(y))
		c.Bins = append(c.Bins, bin)
	}
	return c
}

// Interval is a range that holds the true value with the confidence its maker states.
type Interval struct {
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

// Wilson is the score interval of a share: successes of n (Wilson, JASA 22, 1927). Without trials it is [0, 1].
func Wilson(successes, n, level float64) Interval {
	lo, hi := metric.Wilson(successes, n, level)
	return Interval{lo, hi}
}
