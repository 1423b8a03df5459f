package compare

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TTest is a t test of a mean difference with its 95 % interval.
type TTest struct {
	T    float64 `json:"t"`
	DF   float64 `json:"df"`
	P    float64 `json:"p"`
	Mean float64 `json:"mean"`
	Lo   float64 `json:"lo"`
	Hi   float64 `json:"hi"`
}

// CorrectedT tests score differences over the J splits of a cross-validation, whose training sets overlap:
// t = mean(d)/sqrt((1/J + ratio) var(d)) with J-1 degrees of freedom, ratio = test rows / training rows of a split,
// which is 1/(k-1) for k folds, repeated or not (Nadeau and Bengio, Machine Learning 52, 2003). Equal differences have
// no variance: T is then infinite, or NaN when they are all 0.
func CorrectedT(d []float64, ratio float64) (TTest, error) {
	mean, scale, err := correlated(d, ratio)
	if err != nil {
		return TTest{}, err
	}
	r := TTest{T: mean / scale, DF: float64(len(d) - 1), Mean: mean}
	r.P = tail.StudentBoth(r.T, r.DF)
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: r.DF}.Quantile(0.975) * scale
	r.Lo, r.Hi = mean-half, mean+half
	return r, nil
}

// correlated is the mean difference and its standard error with the correction for overlapping training sets.
func correlated(d []float64, ratio float64) (mean, scale float64, err error) {
	if len(d) < 2 {
		return 0, 0, fault.New(fault.Invalid, "a corrected t test needs at least two differences, not %d", len(d))
	}
	if !(ratio >= 0) || math.IsInf(ratio, 1) {
		return 0, 0, fault.New(fault.Invalid, "the ratio of test to training rows is %v", ratio).
			WithHint("it is 1/(k-1) for k folds")
	}
	if err := finite("corrected t test", d); err != nil {
		return 0, 0, err
	}
	mean, variance := moments(d)
	return mean, math.Sqrt((1/float64(len(d)) + ratio) * variance), nil
}

// Posterior is how probable it is that the first model's score is lower than the second's by more than the region of
// practical equivalence, within it, or higher by more.
type Posterior struct {
	Lower      float64 `json:"lower"`
	Equivalent float64 `json:"equivalent"`
	Higher     float64 `json:"higher"`
	Mean       float64 `json:"mean"`
	Lo         float64 `json:"lo"` // 95 % credible interval of the difference
	Hi         float64 `json:"hi"`
}

// BayesianT is the Bayesian counterpart of CorrectedT with a uniform prior: the difference follows Student's
// distribution with J-1 degrees of freedom around mean(d) with the corrected standard error (Corani and Benavoli,
// Machine Learning 100, 2015). Differences within ±rope count as no difference. Equal differences are certain.
func BayesianT(d []float64, ratio, rope float64) (Posterior, error) {
	mean, scale, err := correlated(d, ratio)
	if err != nil {
		return Posterior{}, err
	}
	if !(rope >= 0) {
		return Posterior{}, fault.New(fault.Invalid, "the region of practical equivalence is ±%v", rope).
			WithHint("give the greatest difference that would not matter, 0 or more")
	}
	r := Posterior{Mean: mean, Lo: mean, Hi: mean}
	if scale == 0 {
		switch {
		case mean < -rope:
			r.Lower = 1
		case mean > rope:
			r.Higher = 1
		default:
			r.Equivalent = 1
		}
		return r, nil
	}
	df := float64(len(d) - 1)
	r.Lower = tail.Student((mean+rope)/scale, df)
	r.Higher = tail.Student((rope-mean)/scale, df)
	// A difference of the two tails on the far side of zero, of which neither is close to one.
	r.Equivalent = tail.Student((math.Abs(mean)-rope)/scale, df) - tail.Student((math.Abs(mean)+rope)/scale, df)
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(0.975) * scale
	r.Lo, r.Hi = mean-half, mean+half
	return r, nil
}

// FiveByTwoF is the combined 5x2cv F test (Alpaydin, Neural Computation 11, 1999) of score differences from five
// repetitions of two folds: f = sum d² / (2 sum s²), s² the sum over the two folds of (d - their mean)²; F
// with 10 (the DF of the result) and 5 degrees of freedom.
func FiveByTwoF(diff [][]float64) (Result, error) {
	if len(diff) != 5 {
		return Result{}, fault.New(fault.Invalid, "the 5x2cv test needs 5 repetitions, not %d", len(diff))
	}
	var squares, spread float64
	for i, d := range diff {
		if len(d) != 2 {
			return Result{}, fault.New(fault.Invalid, "the 5x2cv test needs 2 folds, repetition %d has %d", i+1, len(d))
		}
		if err := finite("5x2cv test", d); err != nil {
			return Result{}, err
		}
		mean := (d[0] + d[1]) / 2
		squares += float64(d[0]*d[0]) + float64(d[1]*d[1])
		spread += float64((d[0]-mean)*(d[0]-mean)) + float64((d[1]-mean)*(d[1]-mean))
	}
	f := squares / (2 * spread)
	return Result{Statistic: f, DF: 10, P: tail.F(f, 10, 5)}, nil
}
