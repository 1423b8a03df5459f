package cases

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/distance"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

func init() {
	for name, of := range map[string]func(y, p, w []float64) metric.Score{
		"mae": metric.MAE, "mse": metric.MSE, "rmse": metric.RMSE, "r2": metric.R2, "bias": metric.Bias,
		"explained_variance": metric.ExplainedVariance, "mape": metric.MAPE, "median_ae": metric.MedianAE,
		"max_error": metric.MaxError, "msle": metric.MSLE, "rmsle": metric.RMSLE, "d2_absolute_error": metric.D2AbsoluteError,
		"poisson_deviance": func(y, p, w []float64) metric.Score { return metric.Tweedie(y, p, w, 1) },
		"gamma_deviance":   func(y, p, w []float64) metric.Score { return metric.Tweedie(y, p, w, 2) },
	} {
		handlers[name] = func(r *reader) any { return r.predicted(of) }
	}
	for name, of := range map[string]func(y, p, w []float64, x float64) metric.Score{"pinball": metric.Pinball, "d2_pinball": metric.D2Pinball} {
		handlers[name] = func(r *reader) any {
			alpha := r.within("alpha", 0.5, 0, 1)
			return r.predicted(func(y, p, w []float64) metric.Score { return of(y, p, w, alpha) })
		}
	}
	for name, of := range map[string]func(y, p, w []float64, x float64) metric.Score{"tweedie_deviance": metric.Tweedie, "d2_tweedie": metric.D2Tweedie} {
		handlers[name] = func(r *reader) any {
			power := r.within("power", 0, -1e6, 1e6)
			if power > 0 && power < 1 {
				r.refuse("there is no Tweedie distribution of power %v", power)
			}
			return r.predicted(func(y, p, w []float64) metric.Score { return of(y, p, w, power) })
		}
	}
	for name, of := range map[string]func(q metric.Ranked, o ranking) float64{
		"dcg":            func(q metric.Ranked, o ranking) float64 { return q.DCG(o.k, o.base, o.gain) },
		"ndcg":           func(q metric.Ranked, o ranking) float64 { return q.NDCG(o.k, o.gain) },
		"map":            func(q metric.Ranked, o ranking) float64 { return q.AveragePrecision(o.k) },
		"mrr":            func(q metric.Ranked, o ranking) float64 { return q.ReciprocalRank(o.k) },
		"precision_at_k": func(q metric.Ranked, o ranking) float64 { return q.Precision(o.k) },
		"recall_at_k":    func(q metric.Ranked, o ranking) float64 { return q.Recall(o.k) },
	} {
		handlers[name] = func(r *reader) any { return r.ranked(of) }
	}
	register(map[string]func(r *reader) any{
		"psi": psi,
		"ks_2samp": func(r *reader) any {
			method := r.choice("method", "auto", "exact", "asymp")
			cur, ref := r.floats("cur"), r.floats("ref")
			if r.err != nil {
				return nil
			}
			d, p := distance.KolmogorovSmirnov(cur, ref, distance.Method(method))
			return object{"statistic": d, "p": p}
		},
		"wasserstein": func(r *reader) any {
			cur, ref := r.floats("cur"), r.floats("ref")
			wx, wy := r.weights("wx", len(cur)), r.weights("wy", len(ref))
			if r.err != nil {
				return nil
			}
			return distance.Wasserstein(cur, ref, wx, wy)
		},
		"jensen_shannon": func(r *reader) any {
			p, q := r.twoCounts("p", "q")
			d, divergence := distance.JensenShannon(p, q)
			return object{"distance": d, "divergence": divergence}
		},
		"chi2_homogeneity": func(r *reader) any {
			p, q := r.twoCounts("p", "q")
			statistic, df, pvalue := distance.Chi2Homogeneity(p, q)
			return object{"statistic": statistic, "df": df, "p": pvalue}
		},
	})
}

// predicted reads y_true, y_pred and w of a regression.
func (r *reader) predicted(of func(y, p, w []float64) metric.Score) any {
	y, p := r.floats("y_true"), r.floats("y_pred")
	r.same(len(y), "y_pred", len(p))
	if r.err == nil && len(y) == 0 {
		r.refuse("there are no rows")
	}
	w := r.weights("w", len(y))
	if r.err != nil {
		return nil
	}
	return of(y, p, w)
}

// ranking is the parameters of a ranking measure.
type ranking struct {
	k    int
	base float64
	gain metric.Gain
}

// ranked reads queries, a row of y_true and y_score each, or flat lists with the query of each row.
func (r *reader) ranked(of func(q metric.Ranked, o ranking) float64) any {
	o := ranking{k: r.integer("k", 0, 0, math.MaxInt32), base: r.within("log_base", 2, 1e-300, 1e300), gain: metric.Gain(r.choice("gain", "linear", "exponential"))}
	if o.base == 1 {
		r.refuse("log_base cannot be 1")
	}
	var queries []metric.Ranked
	if r.has("query") {
		query, y, s := r.integers("query"), r.floats("y_true"), r.floats("y_score")
		r.same(len(query), "y_true", len(y))
		r.same(len(query), "y_score", len(s))
		if r.err == nil {
			queries = metric.Queries(query, y, s)
		}
	} else {
		y, s := r.rows("y_true"), r.rows("y_score")
		r.same(len(y), "y_score", len(s))
		for i := range y {
			if r.err != nil {
				break
			}
			r.same(len(y[i]), "a row of y_score", len(s[i]))
			queries = append(queries, metric.Ranked{Grade: y[i], Score: s[i]})
		}
	}
	if r.err != nil {
		return nil
	}
	for _, q := range queries {
		for i := range q.Score {
			if math.IsNaN(q.Score[i]) || math.IsNaN(q.Grade[i]) {
				r.refuse("a grade or score is not a number")
			}
		}
	}
	w := r.weights("w", len(queries))
	if r.err != nil {
		return nil
	}
	return metric.MeanOver(queries, w, func(q metric.Ranked) float64 { return of(q, o) })
}

func psi(r *reader) any {
	if r.has("cur_counts") || r.has("ref_counts") {
		ref, cur := r.twoCounts("ref_counts", "cur_counts")
		if r.err != nil {
			return nil
		}
		return distance.PSI(ref, cur)
	}
	bins := r.integer("bins", 10, 1, 1<<16)
	ref, cur := r.list("ref"), r.list("cur")
	if len(ref) > 0 {
		if _, text := ref[0].(string); text {
			if _, isNumber := float(ref[0]); !isNumber {
				return psiWords(r)
			}
		}
	}
	a, b := r.numbers("ref", ref), r.numbers("cur", cur)
	if r.err != nil {
		return nil
	}
	return distance.PSIOf(a, b, bins)
}

// psiWords counts texts.
func psiWords(r *reader) any {
	ref, cur := r.labels("ref"), r.labels("cur")
	classes := metric.Classes(ref, cur)
	count := func(labels []metric.Label) []float64 {
		out := make([]float64, len(classes))
		for _, j := range metric.Codes(classes, labels) {
			out[j]++
		}
		return out
	}
	if r.err != nil {
		return nil
	}
	return distance.PSI(count(ref), count(cur))
}

// twoCounts reads two tables of counts of the same cells: lists of one length, or objects whose names are the cells, a
// cell that one of them lacks being 0 there.
func (r *reader) twoCounts(first, second string) (a, b []float64) {
	tables := [2]map[string]any{}
	for i, name := range [2]string{first, second} {
		tables[i], _ = r.raw(name).(map[string]any)
	}
	if tables[0] == nil && tables[1] == nil {
		a, b = r.floats(first), r.floats(second)
	} else {
		var cells []metric.Label
		for _, t := range tables {
			for cell := range t {
				cells = append(cells, metric.Text(cell))
			}
		}
		var lists [2][]any
		for _, cell := range metric.Classes(cells) {
			for i, t := range tables {
				v, ok := t[cell.String()]
				if !ok {
					v = false // 0
				}
				lists[i] = append(lists[i], v)
			}
		}
		a, b = r.numbers(first, lists[0]), r.numbers(second, lists[1])
	}
	if len(a) != len(b) {
		r.refuse("%s has %d cells, %s has %d", first, len(a), second, len(b))
	}
	for _, list := range [2][]float64{a, b} {
		for _, v := range list {
			if !(v >= 0) || math.IsInf(v, 0) {
				r.refuse("a count is %v", v)
			}
		}
	}
	if r.err != nil {
		return nil, nil
	}
	return a, b
}
