package evaluate

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Slice is the metrics of the rows that share a value, or a range of values, of one column.
type Slice struct {
	Column    string              `json:"column"`
	Value     string              `json:"value"`
	N         int                 `json:"n"`
	Metrics   Metrics             `json:"metrics"`
	Intervals map[string]Interval `json:"intervals"` // 95 %, for the metrics that have one
}

// Slices evaluates the rows of each value of a column, most numerous first: of each text or truth value, of each
// number when there are at most twelve, of quarters by rank otherwise. Missing is a value of its own. At most most
// slices are returned (0: all); rows of the values left out are together the last slice, "(other)".
//
// Intervals: Wilson's for accuracy, precision, recall and prevalence, DeLong's for auc, and the mean's normal interval
// for log_loss, brier, mae and bias.
func Slices(c *table.Column, task learner.Task, y, p []float64, threshold float64, most int) []Slice {
	sameLength(len(y), c.Len())
	if len(y) == 0 {
		return nil
	}
	k := len(p) / len(y)
	value := slicer(c)
	rows := map[string][]int{}
	for i := range y {
		v := value(i)
		rows[v] = append(rows[v], i)
	}
	values := make([]string, 0, len(rows))
	for v := range rows {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(rows[b]), len(rows[a])), cmp.Compare(a, b))
	})
	if most > 0 && len(values) > most {
		var rest []int
		for _, v := range values[most-1:] {
			rest = append(rest, rows[v]...)
		}
		slices.Sort(rest)
		values = append(values[:most-1:most-1], other)
		rows[other] = rest
	}
	var out []Slice
	for _, v := range values {
		ys, ps := make([]float64, 0, len(rows[v])), make([]float64, 0, len(rows[v])*k)
		for _, i := range rows[v] {
			ys = append(ys, y[i])
			ps = append(ps, p[i*k:(i+1)*k]...)
		}
		out = append(out, Slice{Column: c.Name, Value: v, N: len(ys),
			Metrics: Evaluate(task, ys, ps, threshold), Intervals: Intervals(task, ys, ps, threshold)})
	}
	return out
}

// What slices of missing values, and of the values that are too many to list, are called.
const (
	missing = "(missing)"
	other   = "(other)"
)

// slicer names the slice of each row.
func slicer(c *table.Column) func(i int) string {
	if c.Kind == table.String {
		return func(i int) string {
			if c.IsNull(i) {
				return missing
			}
			return c.Strings[i]
		}
	}
	name := cutter(c, 4)
	return func(i int) string {
		if c.IsNull(i) || math.IsNaN(c.Floats[i]) {
			return missing
		}
		at, label := name(c.Floats[i])
		return label[at]
	}
}

// cutter says, for the known numbers of a column, the place of a value among labels in rising order: each distinct
// value when there are at most twelve, else so many ranges by rank, fewer when quantiles are equal.
func cutter(c *table.Column, ranges int) func(v float64) (at int, labels []string) {
	var known []float64
	for i, v := range c.Floats {
		if !c.IsNull(i) && !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	slices.Sort(known)
	distinct := slices.Compact(slices.Clone(known))
	name := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	if c.Kind == table.Boolean {
		name = func(v float64) string { return strconv.FormatBool(v != 0) }
	}
	var cuts []float64 // the greatest value of each place but the last
	var labels []string
	if len(distinct) <= 12 {
		for _, v := range distinct {
			labels = append(labels, name(v))
		}
		cuts = distinct[:max(len(distinct)-1, 0)]
	} else {
		for i := 1; i < ranges; i++ {
			cuts = append(cuts, quantile(known, float64(i)/float64(ranges)))
		}
		cuts = slices.Compact(cuts)
		labels = append(labels, "≤ "+name(cuts[0]))
		for i := 1; i < len(cuts); i++ {
			labels = append(labels, name(cuts[i-1])+" – "+name(cuts[i]))
		}
		labels = append(labels, "> "+name(cuts[len(cuts)-1]))
	}
	return func(v float64) (int, []string) {
		at, _ := slices.BinarySearch(cuts, v) // the cuts below v
		return at, labels
	}
}

// Intervals is the 95 % intervals of the metrics that have one; see Slices.
func Intervals(task learner.Task, y, p []float64, threshold float64) map[string]Interval {
	out := map[string]Interval{}
	n := float64(len(y))
	if n == 0 {
		return out
	}
	switch task {
	case learner.Binary:
		c := Confusion(y, p, threshold)
		tp := float64(c.TruePositive)
		out[accuracy] = Wilson(tp+float64(c.TrueNegative), n, 0.95)
		out["precision"] = Wilson(tp, tp+float64(c.FalsePositive), 0.95)
		out["recall"] = Wilson(tp, tp+float64(c.FalseNegative), 0.95)
		out["prevalence"] = Wilson(tp+float64(c.FalseNegative), n, 0.95)
		if a, lo, hi := AUCInterval(y, p, 0.95); !math.IsNaN(a) {
			out[auc] = Interval{lo, hi}
		}
		meanInterval(out, logLoss, len(y), func(i int) float64 { return metric.RowLogLoss(y[i], p[i]) })
		meanInterval(out, "brier", len(y), func(i int) float64 { return (p[i] - y[i]) * (p[i] - y[i]) })
	case learner.Multiclass:
		k := len(p) / len(y)
		out[accuracy] = Wilson(math.Round(Multiclass(y, p, k)[accuracy]*n), n, 0.95)
		meanInterval(out, logLoss, len(y), func(i int) float64 { return -math.Log(metric.Clip(p[i*k+int(y[i])])) })
	case learner.Regression:
		meanInterval(out, "mae", len(y), func(i int) float64 { return math.Abs(p[i] - y[i]) })
		meanInterval(out, "bias", len(y), func(i int) float64 { return p[i] - y[i] })
	}
	return out
}

// meanInterval adds the normal interval of the mean of n values; two are needed.
func meanInterval(out map[string]Interval, name string, n int, value func(i int) float64) {
	if n < 2 {
		return
	}
	var sum, square metric.Sum
	for i := range n {
		sum.Add(value(i))
	}
	mean := sum.Value() / float64(n)
	for i := range n {
		square.Add((value(i) - mean) * (value(i) - mean))
	}
	half := normalQuantile(0.975) * math.Sqrt(square.Value()/float64(n-1)/float64(n))
	if !math.IsNaN(half) && !math.IsInf(half, 0) {
		out[name] = Interval{mean - half, mean + half}
	}
}
