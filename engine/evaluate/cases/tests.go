package cases

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
	"github.com/trimtab-ml/trimtab/engine/evaluate/fair"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

func init() {
	register(map[string]func(r *reader) any{
		"mcnemar": func(r *reader) any {
			method := r.choice("method", "auto", "exact", "corrected", "plain", "mid_p")
			if !r.has("b") || !r.has("c") {
				r.refuse("b or c is missing")
			}
			b, c := r.integer("b", 0, 0, 1<<40), r.integer("c", 0, 0, 1<<40)
			if r.err != nil {
				return nil
			}
			return r.result(compare.McNemar(b, c, compare.McNemarMethod(method)))
		},
		"delong": func(r *reader) any {
			y := r.binary()
			a, b := r.floats("score1"), r.floats("score2")
			r.same(len(y), "score1", len(a))
			r.same(len(y), "score2", len(b))
			if r.err != nil {
				return nil
			}
			return delong(y, a, b)
		},
		"f5x2cv": func(r *reader) any {
			diff := r.rows("diff")
			if r.err != nil {
				return nil
			}
			v, err := compare.FiveByTwoF(diff)
			r.fail(err)
			return object{"f": v.Statistic, "p": v.P}
		},
		"wilcoxon": wilcoxon,
		"corrected_t": func(r *reader) any {
			d, ratio := r.floats("d"), r.within("n_test_over_n_train", -1, -1, math.MaxFloat64)
			if ratio < 0 {
				r.refuse("n_test_over_n_train is missing or negative")
			}
			if r.err != nil {
				return nil
			}
			v, err := compare.CorrectedT(d, ratio)
			r.fail(err)
			return object{"t": v.T, "df": v.DF, "p": v.P, "mean": v.Mean, "lo": v.Lo, "hi": v.Hi}
		},
		"cochran_q": func(r *reader) any {
			x := r.rows("x")
			if r.err != nil {
				return nil
			}
			return r.result(compare.CochranQ(x))
		},
		"friedman": func(r *reader) any {
			x := r.rows("x")
			if r.err != nil {
				return nil
			}
			v, err := compare.Friedman(x)
			r.fail(err)
			return object{"statistic": v.Statistic, "df": v.DF, "p": v.P, "mean_ranks": v.MeanRanks, "f": v.F, "f_p": v.FP}
		},
		"sign_flip": func(r *reader) any {
			d := r.floats("d")
			if r.err != nil {
				return nil
			}
			v, err := compare.SignFlip(d)
			r.fail(err)
			return object{"p": v.P, "patterns": v.Patterns, "mean": v.Diff}
		},
		"holm":               func(r *reader) any { return compare.Holm(r.floats("p")) },
		"benjamini_hochberg": func(r *reader) any { return compare.BenjaminiHochberg(r.floats("p")) },
		"demographic_parity": func(r *reader) any {
			_, decided, groups := r.grouped()
			if r.err != nil {
				return nil
			}
			v, err := fair.DemographicParity(decided, groups)
			r.fail(err)
			rates := object{}
			for i, rate := range v.Rates {
				rates[groups.Names[i]] = float64(rate.Value)
			}
			return object{"difference": float64(v.Difference), "ratio": float64(v.Ratio), "selection_rate": rates}
		},
		"equalised_odds": func(r *reader) any {
			y, decided, groups := r.grouped()
			if r.err != nil {
				return nil
			}
			v, err := fair.EqualisedOdds(y, decided, groups)
			r.fail(err)
			return object{"difference": float64(v.Difference), "ratio": float64(v.Ratio), "equal_opportunity_difference": float64(v.EqualOpportunityDifference)}
		},
	})
}

// result is the answer of a test that has a statistic.
func (r *reader) result(v compare.Result, err error) any {
	r.fail(err)
	return object{"statistic": v.Statistic, "df": v.DF, "p": v.P}
}

// delong leaves out what a difference without variance is taken for elsewhere: z is then 0/0 or infinite.
func delong(y, a, b []float64) object {
	d := evaluate.DeLong(y, a, b)
	if !d.Defined {
		nan := math.NaN()
		return object{"auc1": evaluate.AUC(y, a), "auc2": evaluate.AUC(y, b), "var1": nan, "var2": nan, "cov": nan, "z": nan, "p": nan}
	}
	if d.Lo == d.Hi {
		if d.Z /= 0; d.Diff == 0 {
			d.Z, d.P = math.NaN(), math.NaN()
		}
	}
	return object{"auc1": d.AUC1, "auc2": d.AUC2, "var1": d.Var1, "var2": d.Var2, "cov": d.Covariance, "z": d.Z, "p": d.P}
}

func wilcoxon(r *reader) any {
	zeros := r.choice("zero_method", "wilcox", "pratt")
	method := r.choice("method", "auto", "exact", "approx", "asymptotic", "conditional")
	var d []float64
	if r.has("d") {
		d = r.floats("d")
	} else {
		x, y := r.floats("x"), r.floats("y")
		r.same(len(x), "y", len(y))
		if r.err != nil {
			return nil
		}
		for i := range x {
			d = append(d, x[i]-y[i])
		}
	}
	switch method {
	case "asymptotic":
		method = "approx"
	case "auto": // scipy's rule
		size := make([]float64, len(d))
		for i, v := range d {
			size[i] = math.Abs(v)
		}
		slices.Sort(size)
		method = "exact"
		if len(d) > 50 || len(size) > 0 && size[0] == 0 || len(slices.Compact(size)) < len(d) {
			method = "approx"
		}
	}
	if r.err != nil {
		return nil
	}
	return r.result(compare.Wilcoxon(d, compare.ZeroMethod(zeros), compare.WilcoxonMethod(method)))
}

// grouped reads labels, decisions and the group of each row. The positive class is pos_label, or the larger one.
func (r *reader) grouped() (y []float64, decided []bool, groups fair.Groups) {
	predicted, of := r.labels("y_pred"), r.labels("group")
	truth := predicted
	if r.has("y_true") {
		truth = r.labels("y_true")
	} else if r.metric != "demographic_parity" {
		r.refuse("y_true is missing")
	}
	r.same(len(predicted), "y_true", len(truth))
	r.same(len(predicted), "group", len(of))
	classes := metric.Classes(truth, predicted)
	if len(classes) == 0 {
		r.refuse("there are no rows")
	}
	if r.err != nil {
		return nil, nil, fair.Groups{}
	}
	at, ok := r.positiveOf(classes)
	column := fair.Column{Name: "group"}
	for i := range predicted {
		y = append(y, 0)
		if ok && truth[i] == classes[at] {
			y[i] = 1
		}
		decided = append(decided, ok && predicted[i] == classes[at])
		column.Values = append(column.Values, of[i].String())
	}
	groups, err := fair.By(0, column)
	r.fail(err)
	return y, decided, groups
}
