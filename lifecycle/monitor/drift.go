package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Numbers of independent values below which nothing is said about a column.
const (
	minRows   = 200
	minJoined = 100
)

const falseDiscovery = 0.05

// describe is what drift and quality both show of a column.
func describe(t *tally, i int) ColumnDrift {
	c, n := t.layout.ref.Columns[i], t.profile.Columns[i]
	col := ColumnDrift{Name: c.Name, Kind: c.Kind, State: OK}
	if in, _ := t.layout.sig.Input(c.Name); in != nil {
		col.Unit, col.View = in.Unit, in.View
	}
	col.N = n.Total()
	col.NEff = t.effective(col.View)
	share := func(k, of int64) float64 {
		if of == 0 {
			return 0
		}
		return float64(k) / float64(of)
	}
	col.Missing = share(n.Missing(), col.N)
	col.ReferenceMissing = share(c.Counts.Missing(), c.Counts.Total())
	col.Unseen = share(c.Unseen(n), col.N)
	col.OutOfRange = share(n.OutOfRange, col.N)
	mean, _ := c.Moments(n)
	col.Mean = number(mean)
	mean, _ = c.Moments(c.Counts)
	col.ReferenceMean = number(mean)
	col.Median = number(c.Quantile(n, 0.5))
	col.ReferenceMedian = number(c.Quantile(c.Counts, 0.5))
	if col.Median != nil {
		for _, q := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
			col.Quantiles = append(col.Quantiles, c.Quantile(n, q))
		}
	}
	if t.layout.importance != nil {
		if w, ok := t.layout.importance[c.Name]; ok {
			col.Importance = &w
		}
	}
	return col
}

func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// watched reports whether drift of a column means anything: inputs that the model reads and its answers, but not times, which always move.
func watched(l *layout, c *profile.RefColumn) bool {
	if c.Name == profile.ScoreColumn {
		return true
	}
	in, _ := l.sig.Input(c.Name)
	return in != nil && in.Role != registry.RoleContext && c.Kind != table.Datetime
}

// judgeDrift compares a window with the reference, column by column. A column is over when its PSI reaches the effect floor and the
// null bar of its effective sample, and its p-value survives the correction for the number of columns; it has drifted when that holds
// in k of the last n windows of the same version.
func judgeDrift(p *Plan, v *Verdict, t *tally, past []Verdict) {
	k, n := p.Monitor.Drift.KofN()
	if t == nil {
		v.State, v.Summary = Inconclusive, "No rows in the window"
		return
	}
	past = slices.DeleteFunc(slices.Clone(past), func(o Verdict) bool { return o.Version != v.Version })
	var tested []int
	var ps []float64
	for i, c := range t.layout.ref.Columns {
		if !watched(t.layout, c) {
			continue
		}
		col := describe(t, i)
		need := minRows
		if col.View != "" {
			need = minJoined
		}
		col.Stat = profile.Drift(c, t.profile.Columns[i], c.NEff, col.NEff)
		col.Q = 1
		if col.NEff < float64(need) {
			col.State = Inconclusive
		} else {
			tested = append(tested, len(v.Columns))
			ps = append(ps, col.P)
		}
		col.Rank = col.PSI
		if col.Importance != nil {
			col.Rank *= *col.Importance
		}
		v.Columns = append(v.Columns, col)
	}
	adjusted := profile.BenjaminiHochberg(ps)
	rejected := 0
	for _, q := range adjusted {
		if q <= falseDiscovery {
			rejected++
		}
	}
	alpha := falseDiscovery * float64(max(1, rejected)) / float64(max(1, len(ps)))
	var drifted, over []string
	worst := 0.0
	for j, at := range tested {
		col := &v.Columns[at]
		col.Q = adjusted[j]
		col.Bar = profile.NullBar(profile.Floor, alpha, col.NRef, col.NEff, col.Cells)
		col.Over = col.PSI >= col.Bar && col.Q <= falseDiscovery
		col.OverIn = overIn(past, n, col.Over, func(o *Verdict) bool {
			before := o.column(col.Name)
			return before != nil && before.Over
		})
		col.OverOf = min(n, 1+len(past))
		if col.Over {
			col.State = "watch"
			if col.OverIn >= k {
				col.State = "drift"
			}
		}
		worst = math.Max(worst, col.PSI)
	}
	slices.SortStableFunc(v.Columns, func(a, b ColumnDrift) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(a.Name, b.Name))
	})
	for i := range v.Columns {
		col := &v.Columns[i]
		if col.Over {
			over = append(over, fmt.Sprintf("%s (PSI %.2f)", col.Name, col.PSI))
		}
		if col.State == "drift" {
			drifted = append(drifted, fmt.Sprintf("%s (PSI %.2f)", col.Name, col.PSI))
		}
	}
	v.Metrics = map[string]Interval{
		"psi_max": exact(worst, v.N), "columns_over": exact(float64(len(over)), v.N), "columns_drifted": exact(float64(len(drifted)), v.N),
	}
	switch {
	case len(tested) == 0:
		v.State, v.Summary = Inconclusive, fmt.Sprintf("Too few rows to compare with training: n %s", count(v.N))
	case len(drifted) > 0:
		v.State = Off
		v.Summary = fmt.Sprintf("%s left the reference in %d of the last %d windows: %s; n %s", plural(len(drifted), "column", "columns"), k, n, list(drifted), count(v.N))
	case len(over) > 0:
		v.State = Attention
		v.Summary = fmt.Sprintf("%s over the bar in this window, drift needs %d of %d: %s; n %s", plural(len(over), "column is", "columns are"), k, n, list(over), count(v.N))
	default:
		v.State, v.Summary = OK, fmt.Sprintf("All %d columns are where training was: greatest PSI %.2f; n %s", len(tested), worst, count(v.N))
	}
	v.Over = len(over) > 0
}

// column finds a column of a verdict by name.
func (v *Verdict) column(name string) *ColumnDrift {
	for i := range v.Columns {
		if v.Columns[i].Name == name {
			return &v.Columns[i]
		}
	}
	return nil
}

func exact(x float64, n int64) Interval { return Interval{Value: x, Lo: x, Hi: x, N: n} }

// count writes a number of rows with a comma between thousands.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// list joins names for a sentence; past the sixth it says how many more.
func list(names []string) string {
	if len(names) > 6 {
		return strings.Join(names[:6], ", ") + fmt.Sprintf(" and %d more", len(names)-6)
	}
	return strings.Join(names, ", ")
}
