package cases

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// mostClasses bounds the classes of a table of all pairs of classes.
const mostClasses = 2048

func init() {
	register(map[string]func(r *reader) any{
		"accuracy": func(r *reader) any {
			_, c := r.counts()
			return r.score(c, func() metric.Score { return c.Accuracy() })
		},
		"balanced_accuracy": func(r *reader) any {
			adjusted := r.flag("adjusted", false)
			_, c := r.counts()
			return r.score(c, func() metric.Score { return c.BalancedAccuracy(adjusted) })
		},
		"mcc": func(r *reader) any {
			_, c := r.counts()
			return r.score(c, func() metric.Score { return c.Matthews() })
		},
		"confusion_matrix": func(r *reader) any {
			by := r.choice("normalize", "none", "true", "pred", "all")
			t := r.table()
			if r.err != nil {
				return nil
			}
			return metric.Normalize(t, metric.Norm(by))
		},
		"kappa": func(r *reader) any {
			by := r.choice("weights", "none", "linear", "quadratic")
			t := r.table()
			if r.err != nil {
				return nil
			}
			return metric.Kappa(t, metric.Disagreement(by))
		},
		"cost": func(r *reader) any {
			t := r.table()
			costs := r.rows("costs")
			if len(costs) != len(t) || len(t) > 0 && len(costs[0]) != len(t) {
				r.refuse("costs is not a matrix of %d x %d classes", len(t), len(t))
			}
			if r.err != nil {
				return nil
			}
			return metric.CostOf(t, costs)
		},
		"precision": averaged(func(c *metric.Counts, a metric.Averaging, _ float64) metric.Score { return c.Precision(a) }),
		"recall":    averaged(func(c *metric.Counts, a metric.Averaging, _ float64) metric.Score { return c.Recall(a) }),
		"f1":        averaged(func(c *metric.Counts, a metric.Averaging, _ float64) metric.Score { return c.F(1, a) }),
		"fbeta":     averaged(func(c *metric.Counts, a metric.Averaging, beta float64) metric.Score { return c.F(beta, a) }),
		"jaccard":   averaged(func(c *metric.Counts, a metric.Averaging, _ float64) metric.Score { return c.Jaccard(a) }),
	})
}

// decisions is y_true and y_pred as class numbers. Where labels are given the classes are those first, in their order,
// and then the others that occur.
func (r *reader) decisions() (y, p []int, classes []metric.Label, listed int) {
	truth, predicted := r.labels("y_true"), r.labels("y_pred")
	r.same(len(truth), "y_pred", len(predicted))
	if r.err == nil && len(truth) == 0 {
		r.refuse("there are no rows")
	}
	if r.has("labels") {
		classes = r.labels("labels")
		if listed = len(classes); len(metric.Classes(classes)) != listed || listed == 0 {
			r.refuse("labels is empty or names a class twice")
		}
		for _, l := range metric.Classes(truth, predicted) {
			if !slices.Contains(classes[:listed], l) {
				classes = append(classes, l)
			}
		}
	} else {
		classes = metric.Classes(truth, predicted)
	}
	if r.err != nil {
		return nil, nil, nil, 0
	}
	return metric.Codes(classes, truth), metric.Codes(classes, predicted), classes, listed
}

func (r *reader) counts() ([]metric.Label, *metric.Counts) {
	y, p, classes, _ := r.decisions()
	w := r.weights("w", len(y))
	if r.err != nil {
		return nil, nil
	}
	return classes, metric.Count(y, p, len(classes), w)
}

// score asks for a measure unless the input is at fault.
func (r *reader) score(c *metric.Counts, of func() metric.Score) any {
	if r.err != nil {
		return nil
	}
	return of()
}

// table is the confusion matrix of the listed classes, or of all.
func (r *reader) table() [][]float64 {
	y, p, classes, listed := r.decisions()
	w := r.weights("w", len(y))
	k := len(classes)
	if listed > 0 {
		k = listed
	}
	if k > mostClasses {
		r.refuse("there are %d classes; a table of classes has at most %d", k, mostClasses)
	}
	if r.err != nil {
		return nil
	}
	var ky, kp []int
	var kw []float64
	for i := range y {
		if y[i] < k && p[i] < k {
			ky, kp = append(ky, y[i]), append(kp, p[i])
			if w != nil {
				kw = append(kw, w[i])
			}
		}
	}
	return metric.Table(ky, kp, k, kw)
}

// averaged answers a measure that is averaged over classes.
func averaged(of func(c *metric.Counts, a metric.Averaging, beta float64) metric.Score) func(r *reader) any {
	return func(r *reader) any {
		by := r.choice("average", "binary", "micro", "macro", "weighted", "none")
		a := metric.Averaging{By: metric.Average(by)}
		if r.raw("zero_division") != "warn" {
			a.Zero = r.number("zero_division", 0)
		}
		if a.Zero != 0 && a.Zero != 1 && !math.IsNaN(a.Zero) {
			r.refuse("zero_division is %v; it is 0, 1 or nan", a.Zero)
		}
		beta := r.within("beta", 1, 0, math.Inf(1))
		y, p, classes, listed := r.decisions()
		w := r.weights("w", len(y))
		if r.err != nil {
			return nil
		}
		c := metric.Count(y, p, len(classes), w)
		for j := range listed {
			a.Classes = append(a.Classes, j)
		}
		switch by {
		case "binary":
			pos, ok := r.positiveOf(classes)
			a.By, a.Classes = metric.Micro, []int{pos}
			if r.err != nil {
				return nil
			}
			if !ok { // the class does not occur: all its counts are 0
				return of(&metric.Counts{Right: []float64{0}, Decided: []float64{0}, Actual: []float64{0}}, metric.Averaging{By: metric.Micro, Zero: a.Zero}, beta)
			}
		case "none":
			if a.Classes == nil {
				for j := range classes {
					a.Classes = append(a.Classes, j)
				}
			}
			out := make([]float64, len(a.Classes))
			for at, j := range a.Classes {
				out[at] = of(c, metric.Averaging{By: metric.Micro, Classes: []int{j}, Zero: a.Zero}, beta).Value
			}
			return out
		}
		return of(c, a, beta)
	}
}

// positiveOf is the place of the positive class of decisions: pos_label, or 1 where that is a class, or the larger of
// two. ok is false where it does not occur.
func (r *reader) positiveOf(classes []metric.Label) (at int, ok bool) {
	if len(classes) > 2 {
		r.refuse("average binary needs two classes, there are %d", len(classes))
		return 0, false
	}
	want, given := metric.Number(1), false
	if v := r.raw("pos_label"); v != nil {
		if want, given = label(v); !given {
			r.refuse("pos_label is neither a number nor a text")
		}
	}
	if at = slices.Index(classes, want); at >= 0 {
		return at, true
	}
	switch {
	case given && len(classes) == 2:
		r.refuse("pos_label %s is none of the classes %s and %s", want, classes[0], classes[1])
	case !given && len(classes) == 2:
		if metric.Compare(classes[0], classes[1]) < 0 {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// binary is y_true as 1 for the positive class and 0 for the other: pos_label, or the larger of two classes. A single
// class is the positive one if it is a number above 0.
func (r *reader) binary() []float64 {
	truth := r.labels("y_true")
	if r.err != nil {
		return nil
	}
	classes := metric.Classes(truth)
	if r.has("labels") {
		classes = metric.Classes(r.labels("labels"), truth)
	}
	var pos metric.Label
	switch v := r.raw("pos_label"); {
	case v != nil:
		var ok bool
		if pos, ok = label(v); !ok {
			r.refuse("pos_label is neither a number nor a text")
		} else if len(classes) == 2 && !slices.Contains(classes, pos) {
			r.refuse("pos_label %s is none of the classes %s and %s", pos, classes[0], classes[1])
		}
	case len(classes) > 2:
		r.refuse("y_true has %d classes; two are asked for", len(classes))
	case len(classes) == 2:
		pos = classes[1]
	case len(classes) == 1:
		number, ok := classes[0].Numeric()
		if !ok {
			r.refuse("every label is %q: pos_label must say which class is the positive one", classes[0])
		}
		if pos = classes[0]; number <= 0 {
			pos = metric.Number(1)
		}
	default:
		r.refuse("there are no rows")
	}
	out := make([]float64, len(truth))
	for i, l := range truth {
		if l == pos {
			out[i] = 1
		}
	}
	return out
}

// multi is y_true as class numbers and a matrix with one column for each class in their order. Fewer classes than
// columns are the first whole numbers, or those of labels.
func (r *reader) multi(name string) (y []int, p []float64, k int) {
	truth := r.labels("y_true")
	p, k = r.matrix(name)
	if r.err == nil && len(truth) == 0 {
		r.refuse("there are no rows")
	}
	if r.err == nil {
		r.same(len(truth), name, len(p)/max(k, 1))
	}
	if r.err != nil {
		return nil, nil, 0
	}
	classes := metric.Classes(truth)
	if r.has("labels") {
		classes = metric.Classes(r.labels("labels"), truth)
	}
	if len(classes) < k && !r.has("labels") {
		var first []metric.Label
		for j := range k {
			first = append(first, metric.Number(float64(j)))
		}
		if len(metric.Classes(classes, first)) == k {
			classes = first
		}
	}
	if len(classes) != k {
		r.refuse("%s has %d columns for %d classes; labels names the classes of the columns", name, k, len(classes))
		return nil, nil, 0
	}
	return metric.Codes(classes, truth), p, k
}
