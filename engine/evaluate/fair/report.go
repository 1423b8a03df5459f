package fair

import (
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
)

// Mean is the mean of N values with its 95 % normal interval, which needs two values. It is NaN without any.
type Mean struct {
	N     int    `json:"n"`
	Value Number `json:"value"`
	Lo    Number `json:"lo"`
	Hi    Number `json:"hi"`
}

func mean(values []float64) Mean {
	n := float64(len(values))
	nan := Number(math.NaN())
	m := Mean{N: len(values), Value: Number(floats.SumCompensated(values) / n), Lo: nan, Hi: nan}
	if len(values) < 2 {
		return m
	}
	square := make([]float64, len(values))
	for i, v := range values {
		square[i] = (v - float64(m.Value)) * (v - float64(m.Value))
	}
	const z = 1.959963984540054 // the normal quantile of 97.5 %
	half := Number(z * math.Sqrt(floats.SumCompensated(square)/(n-1)/n))
	m.Lo, m.Hi = m.Value-half, m.Value+half
	return m
}

// BinaryGroup is what a binary model does to a group.
type BinaryGroup struct {
	Name             string `json:"name"`
	N                int    `json:"n"`
	Share            Number `json:"share"` // of all rows
	Small            bool   `json:"small"`
	Prevalence       Rate   `json:"prevalence"`
	Selection        Rate   `json:"selection"`      // decided positive
	TruePositive     Rate   `json:"true_positive"`  // of the positives
	FalsePositive    Rate   `json:"false_positive"` // of the negatives
	FalseNegative    Rate   `json:"false_negative"` // of the positives
	Precision        Rate   `json:"precision"`
	Accuracy         Rate   `json:"accuracy"`
	CalibrationGap   Mean   `json:"calibration_gap"`   // mean of prediction minus label
	CalibrationError Number `json:"calibration_error"` // ten bins of equal width; grows by chance in small groups
}

// BinaryReport is a table of groups and the gaps between them. Gaps, by name: demographic_parity (selection),
// equal_opportunity (true positives), false_positive_balance and false_negative_balance (error-rate balance),
// predictive_parity (precision), accuracy. EqualisedOdds is the wider of the true and false positive gaps, and
// Calibration the greatest calibration gap minus the least.
type BinaryReport struct {
	Groups        []BinaryGroup `json:"groups"`
	Gaps          []Gap         `json:"gaps"`
	EqualisedOdds Odds          `json:"equalised_odds"`
	Calibration   Spread        `json:"calibration"`
}

// Spread is how far the means of the extreme groups are apart; small groups do not count.
type Spread struct {
	Difference Number `json:"difference"`
	Least      string `json:"least"`
	Greatest   string `json:"greatest"`
	Groups     int    `json:"groups"`
}

func spreadOf(groups Groups, means []Mean) Spread {
	s := Spread{Difference: Number(math.NaN())}
	least, greatest := -1, -1
	for i, m := range means {
		if groups.Small[i] || m.N == 0 {
			continue
		}
		s.Groups++
		if least < 0 || m.Value < means[least].Value {
			least = i
		}
		if greatest < 0 || m.Value > means[greatest].Value {
			greatest = i
		}
	}
	if least >= 0 {
		s.Least, s.Greatest = groups.Names[least], groups.Names[greatest]
		s.Difference = means[greatest].Value - means[least].Value
	}
	return s
}

// Binary reports on probabilities p of the positive class against labels y of 0 and 1, decided by threshold. For one
// class of several, give its probability and whether a row is of it.
func Binary(y, p []float64, threshold float64, groups Groups) (BinaryReport, error) {
	if err := groups.check(len(y), len(p)); err != nil {
		return BinaryReport{}, err
	}
	positive := func(i int) bool { return y[i] == 1 }
	decided := func(i int) bool { return p[i] >= threshold }
	prevalence := groups.rates(func(i int) (bool, bool) { return true, positive(i) })
	selection := groups.rates(func(i int) (bool, bool) { return true, decided(i) })
	tpr := groups.rates(func(i int) (bool, bool) { return positive(i), decided(i) })
	fpr := groups.rates(func(i int) (bool, bool) { return !positive(i), decided(i) })
	fnr := groups.rates(func(i int) (bool, bool) { return positive(i), !decided(i) })
	precision := groups.rates(func(i int) (bool, bool) { return decided(i), positive(i) })
	accuracy := groups.rates(func(i int) (bool, bool) { return true, positive(i) == decided(i) })
	ys, ps := groups.part(y), groups.part(p)
	var out BinaryReport
	calibration := make([]Mean, len(groups.Names))
	for g, name := range groups.Names {
		calibration[g] = mean(minus(ps[g], ys[g]))
		out.Groups = append(out.Groups, BinaryGroup{Name: name, N: len(ys[g]), Share: Number(float64(len(ys[g])) / float64(len(y))),
			Small: groups.Small[g], Prevalence: prevalence[g], Selection: selection[g], TruePositive: tpr[g], FalsePositive: fpr[g],
			FalseNegative: fnr[g], Precision: precision[g], Accuracy: accuracy[g], CalibrationGap: calibration[g],
			CalibrationError: Number(evaluate.Calibration(ys[g], ps[g], 10).Error)})
	}
	out.EqualisedOdds = oddsOf(groups, tpr, fpr)
	out.Gaps = []Gap{gapOf("demographic_parity", groups, selection), out.EqualisedOdds.TruePositive, out.EqualisedOdds.FalsePositive,
		gapOf("false_negative_balance", groups, fnr), gapOf("predictive_parity", groups, precision), gapOf("accuracy", groups, accuracy)}
	out.Calibration = spreadOf(groups, calibration)
	return out, nil
}

// RegressionGroup is what a regression model says of a group.
type RegressionGroup struct {
	Name       string `json:"name"`
	N          int    `json:"n"`
	Share      Number `json:"share"`
	Small      bool   `json:"small"`
	Label      Mean   `json:"label"`
	Prediction Mean   `json:"prediction"`
	Residual   Mean   `json:"residual"` // prediction minus label: above 0, the model says too much
	Absolute   Mean   `json:"absolute"` // size of the residual
}

// RegressionReport is a table of groups, and how far their mean predictions, residuals and absolute residuals are apart.
type RegressionReport struct {
	Groups     []RegressionGroup `json:"groups"`
	Prediction Spread            `json:"prediction"`
	Residual   Spread            `json:"residual"`
	Absolute   Spread            `json:"absolute"`
}

// Regression reports on predictions p against values y.
func Regression(y, p []float64, groups Groups) (RegressionReport, error) {
	if err := groups.check(len(y), len(p)); err != nil {
		return RegressionReport{}, err
	}
	ys, ps := groups.part(y), groups.part(p)
	var out RegressionReport
	k := len(groups.Names)
	predictions, residuals, absolutes := make([]Mean, k), make([]Mean, k), make([]Mean, k)
	for g, name := range groups.Names {
		gap := minus(ps[g], ys[g])
		predictions[g], residuals[g] = mean(ps[g]), mean(gap)
		for i, v := range gap {
			gap[i] = math.Abs(v)
		}
		absolutes[g] = mean(gap)
		out.Groups = append(out.Groups, RegressionGroup{Name: name, N: len(gap), Share: Number(float64(len(gap)) / float64(len(y))),
			Small: groups.Small[g], Label: mean(ys[g]), Prediction: predictions[g], Residual: residuals[g], Absolute: absolutes[g]})
	}
	out.Prediction, out.Residual, out.Absolute = spreadOf(groups, predictions), spreadOf(groups, residuals), spreadOf(groups, absolutes)
	return out, nil
}

// part is the values of each group.
func (g Groups) part(values []float64) [][]float64 {
	out := make([][]float64, len(g.Names))
	for i, of := range g.Of {
		out[of] = append(out[of], values[i])
	}
	return out
}

func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}
