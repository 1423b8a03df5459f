// Package leak looks for inputs that know the label too well: a single column that separates the classes almost
// perfectly, and columns that number the rows. It owns the alarms; it must never know where rows come from. It looks at
// one column at a time, so that a clean report is no proof.
package leak

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Kind is what an alarm is about.
type Kind string

// The kinds.
const (
	TooGood    Kind = "too_good"    // Value is the AUC, or the rank correlation, of the column alone
	Identifier Kind = "identifier"  // Value is the share of distinct values
	KnownLater Kind = "known_later" // Value is the share of rows whose cell is a time after the row's own
)

// Alarm is a suspicion about one column.
type Alarm struct {
	Kind    Kind    `json:"kind"`
	Column  string  `json:"column"`
	Value   float64 `json:"value"`
	Message string  `json:"message"`
}

// When an alarm is raised.
const (
	auc         = .99  // of one column alone
	correlation = .995 // of ranks, for regression
	fewest      = 50   // rows, and rows of a class, that a statement needs
	idRows      = 100
	mostRows    = 200_000 // looked at
)

// Check looks at every column of a training set. The alarms come in the order of the columns.
func Check(x *table.Matrix, y []float64, task learner.Task, classes int) []Alarm {
	rows := make([]int, min(x.Rows, mostRows))
	for i := range rows {
		rows[i] = int(uint64(i) * uint64(x.Rows) / uint64(len(rows)))
	}
	if len(rows) < fewest {
		return nil
	}
	labels := make([]float64, len(rows))
	for i, r := range rows {
		labels[i] = y[r]
	}
	found := make([][]Alarm, x.Cols)
	shard.Run(shard.Workers(0), x.Cols, func(_, j int) {
		values := make([]float64, len(rows))
		for i, r := range rows {
			values[i] = float64(x.Data[r*x.Cols+j])
		}
		name := fmt.Sprintf("column %d", j)
		if j < len(x.Names) {
			name = x.Names[j]
		}
		if x.Categories(j) > 0 {
			values = shares(values, x.Categories(j), labels)
		} else if share, ok := identifies(values); ok && len(rows) >= idRows {
			found[j] = append(found[j], Alarm{Kind: Identifier, Column: name, Value: share,
				Message: fmt.Sprintf("%s numbers the rows: it tells nothing about new ones", name)})
		}
		if a, ok := tooGood(name, values, labels, task, classes); ok {
			found[j] = append(found[j], a)
		}
	})
	return slices.Concat(found...)
}

// later is the share of times after the row's own from which a column is told.
const later = .5

// Later tells a column of times most of which lie after the row's own time, in the same unit: what it says cannot have
// been known then. NaN is a missing time.
func Later(column string, times, at []float64) (Alarm, bool) {
	known, after := 0, 0
	for i, v := range times {
		if v == v && at[i] == at[i] {
			known++
			if v > at[i] {
				after++
			}
		}
	}
	if known < fewest || float64(after) < later*float64(known) {
		return Alarm{}, false
	}
	share := float64(after) / float64(known)
	return Alarm{Kind: KnownLater, Column: column, Value: share,
		Message: fmt.Sprintf("%s is a time after the row's own in %.0f%% of the rows: is it known when the model is asked?", column, 100*share)}, true
}

// shares replaces category codes by the mean label of the category's other rows, so that a category of one row tells
// nothing; a multiclass label counts as its number.
func shares(codes []float64, levels int, y []float64) []float64 {
	sum, n := make([]float64, levels+1), make([]float64, levels+1)
	at := func(v float64) int {
		if v >= 0 && v < float64(levels) {
			return int(v)
		}
		return levels
	}
	var all float64
	for i, v := range codes {
		sum[at(v)] += y[i]
		n[at(v)]++
		all += y[i]
	}
	out := make([]float64, len(codes))
	for i, v := range codes {
		k := at(v)
		out[i] = all / float64(len(y))
		if n[k] > 1 {
			out[i] = (sum[k] - y[i]) / (n[k] - 1)
		}
	}
	return out
}

// identifies reports whether whole numbers are all different and either run through or keep rising or falling.
func identifies(v []float64) (float64, bool) {
	least, most := math.Inf(1), math.Inf(-1)
	rising, falling := true, true
	for i, x := range v {
		if x != math.Trunc(x) || math.Abs(x) > 1<<24 { // float32 has no more whole numbers; NaN is none
			return 0, false
		}
		least, most = min(least, x), max(most, x)
		if i > 0 {
			rising = rising && x > v[i-1]
			falling = falling && x < v[i-1]
		}
	}
	sorted := slices.Clone(v)
	slices.Sort(sorted)
	distinct := len(slices.Compact(sorted))
	share := float64(distinct) / float64(len(v))
	return share, distinct == len(v) && (rising || falling || most-least < 1.5*float64(len(v)))
}

// tooGood judges one column alone. A missing value takes part as a value of its own on the side that helps less.
func tooGood(name string, values, y []float64, task learner.Task, classes int) (Alarm, bool) {
	filled := slices.Clone(values)
	lowest := math.Inf(1)
	for _, v := range values {
		if v == v {
			lowest = min(lowest, v)
		}
	}
	if math.IsInf(lowest, 1) {
		return Alarm{}, false
	}
	for i, v := range filled {
		if v != v {
			filled[i] = lowest - 1
		}
	}
	switch task {
	case learner.Binary:
		return separates(name, filled, y, 1, "")
	case learner.Multiclass:
		for k := range classes {
			if a, ok := separates(name, filled, y, float64(k), fmt.Sprintf(" (class %d)", k)); ok {
				return a, ok
			}
		}
	case learner.Regression:
		rho, _, _ := evaluate.Spearman(filled, y)
		if math.Abs(rho) > correlation {
			return Alarm{Kind: TooGood, Column: name, Value: rho, Message: fmt.Sprintf("%s alone orders the label almost perfectly (rank correlation %.4f): is it known before the label?", name, rho)}, true
		}
	}
	return Alarm{}, false
}

// separates judges a column against one class.
func separates(name string, values, y []float64, class float64, which string) (Alarm, bool) {
	is := make([]float64, len(y))
	positives := 0
	for i, v := range y {
		if v == class {
			is[i] = 1
			positives++
		}
	}
	if positives < fewest/2 || len(y)-positives < fewest/2 {
		return Alarm{}, false
	}
	a := evaluate.AUC(is, values)
	a = max(a, 1-a)
	if !(a > auc) {
		return Alarm{}, false
	}
	return Alarm{Kind: TooGood, Column: name, Value: a, Message: fmt.Sprintf("%s alone tells the classes apart with AUC %.4f%s: is it known before the label?", name, a, which)}, true
}
