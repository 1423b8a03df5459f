package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Measures of sudden drift: a budget of false alarms, and what the statistics need. docs/monitoring.md says what they do on a year of flights.
const (
	// suddenRate is the share of windows of a deployment, all its columns together, that may be called sudden drift where nothing
	// happened: with days, one false day a year.
	suddenRate    = 1.0 / 365
	suddenBase    = 7 // windows a window is compared with, a week of days: at least suddenLeast
	suddenLeast   = 3
	suddenHistory = 28 // windows whose shifts tell what is usual: at least suddenKnown
	suddenKnown   = 4
	suddenMin     = 30 // independent values of a window, as Kolmogorov's limit needs
)

// suddenWidth is the window of sudden drift: that of quality, since a break is mostly one of the feed and should be told as soon; that
// of drift when quality is not watched, or more slowly.
func suddenWidth(p *Plan) time.Duration {
	switch m := &p.Monitor; {
	case m.Drift == nil:
		return 0
	case suddenWithQuality(p):
		return m.Quality.Window.D()
	default:
		return m.Drift.Window.D()
	}
}

func suddenWithQuality(p *Plan) bool {
	return p.Monitor.Quality != nil && p.Monitor.Quality.Window <= p.Monitor.Drift.Window
}

func suddenTimes(p *Plan) (k, n int) {
	if suddenWithQuality(p) {
		return p.Monitor.Quality.KofN()
	}
	return p.Monitor.Drift.KofN()
}

// judgeSudden compares a window with those just before, column by column. A column is over when its shift (profile.Shift) reaches the
// floor, and neither the number of its independent values nor what is usual from one window to the next (profile.Usual) explains it:
// the greater of the two p-values counts (an intersection-union test, Berger 1982), corrected for the number of columns; a column that
// was over in the window before is asked about alone. The alert is due when that holds in k of n windows.
func (s *Service) judgeSudden(ctx context.Context, p *Plan, v *Verdict, t *tally, past []Verdict) error {
	k, n := suddenTimes(p)
	if t == nil {
		v.State, v.Summary = Inconclusive, "No rows in the window"
		return nil
	}
	before := recent{s: s, plan: p, layout: t.layout, windows: map[string]*profile.Profile{}}
	var tested, lasting []int
	var ps []float64
	usual := map[string]profile.Usual{}
	for i, c := range t.layout.ref.Columns {
		if !watched(t.layout, c) {
			continue
		}
		col := describe(t, i)
		col.State, col.Q = Inconclusive, 1
		values := t.profile.Columns[i]
		present := float64(values.Total()-values.Missing()) / math.Max(1, float64(values.Total()))
		col.Stat = profile.Stat{N: values.Total(), NEff: col.NEff * present, P: 1}
		windows := comparable(past, col.Name)
		if col.NEff >= suddenMin && len(windows) >= suddenLeast {
			base, nBase, err := before.sum(ctx, windows, i)
			if err != nil {
				return err
			}
			shift := Shift{Windows: len(windows)}
			shift.Value, shift.Floor, shift.Chance = profile.Shift(c, base, values, nBase, col.NEff)
			col.NRef = nBase
			col.ReferenceMissing = float64(base.Missing()) / math.Max(1, float64(base.Total()))
			mean, _ := c.Moments(base)
			col.ReferenceMean, col.ReferenceMedian = number(mean), number(c.Quantile(base, 0.5))
			known := shifts(past, col.Name)
			u := profile.UsualOf(known)
			shift.Usual, shift.Known, shift.Natural = u.Size, len(known), u.P(shift.Value)
			col.Shift = &shift
			if len(known) >= suddenKnown && nBase >= suddenMin {
				col.State = OK
				col.P = math.Max(shift.Chance, shift.Natural)
				usual[col.Name] = u
				if was := latest(past, col.Name); was != nil && was.Over {
					lasting = append(lasting, len(v.Columns))
				} else {
					tested = append(tested, len(v.Columns))
					ps = append(ps, col.P)
				}
			}
		}
		v.Columns = append(v.Columns, col)
	}
	adjusted := profile.BenjaminiHochberg(ps)
	rejected := 0
	for _, q := range adjusted {
		if q <= suddenRate {
			rejected++
		}
	}
	alpha := suddenRate * float64(max(1, rejected)) / float64(max(1, len(ps)))
	weigh := func(col *ColumnDrift, q, alpha float64) {
		col.Q = q
		col.Bar = math.Max(col.Shift.Floor, usual[col.Name].Bar(alpha))
		col.Over = col.Shift.Value >= col.Shift.Floor && col.Q <= suddenRate
		col.OverIn = overIn(past, n, col.Over, func(o *Verdict) bool {
			was := o.column(col.Name)
			return was != nil && was.Over
		})
		col.OverOf = min(n, 1+len(past))
		if col.Over {
			col.State = "watch"
			if col.OverIn >= k {
				col.State = "drift"
			}
		}
	}
	for j, at := range tested {
		weigh(&v.Columns[at], adjusted[j], alpha)
	}
	for _, at := range lasting {
		weigh(&v.Columns[at], v.Columns[at].P, suddenRate)
	}
	for i := range v.Columns {
		if c := &v.Columns[i]; c.Shift != nil {
			c.Rank = c.Shift.Value / c.Shift.Floor
		}
	}
	slices.SortStableFunc(v.Columns, func(a, b ColumnDrift) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(a.Name, b.Name))
	})
	concludeSudden(v, k, n, len(tested)+len(lasting))
	return nil
}

func concludeSudden(v *Verdict, k, n, tested int) {
	var over, drifted []string
	greatest := 0.0
	for i := range v.Columns {
		c := &v.Columns[i]
		greatest = math.Max(greatest, c.Rank)
		if c.Over {
			over = append(over, c.shifted())
		}
		if c.State == "drift" {
			drifted = append(drifted, c.shifted())
		}
	}
	v.Metrics = map[string]Interval{
		"shift_max": exact(greatest, v.N), "columns_over": exact(float64(len(over)), v.N), "columns_drifted": exact(float64(len(drifted)), v.N),
	}
	v.Over = len(over) > 0
	switch {
	case len(drifted) > 0:
		v.State, v.Summary = Off, fmt.Sprintf("Sudden drift: %s; n %s", list(drifted), count(v.N))
	case v.Over:
		v.State, v.Summary = Attention, fmt.Sprintf("Perhaps sudden drift, an alert needs %d of %d windows: %s; n %s", k, n, list(over), count(v.N))
	case tested == 0:
		v.State, v.Summary = Inconclusive, fmt.Sprintf("Too few values, or windows before, to compare with: n %s", count(v.N))
	default:
		v.State, v.Summary = OK, fmt.Sprintf("None of %s broke with the windows before; n %s", plural(tested, "column", "columns"), count(v.N))
	}
}

// shifted says in one phrase how a column moved.
func (c *ColumnDrift) shifted() string {
	times := "never so far before"
	if c.Shift.Usual > 0 {
		times = fmt.Sprintf("%.1f times the usual shift", c.Shift.Value/c.Shift.Usual)
	}
	if c.Median == nil || c.ReferenceMedian == nil {
		return fmt.Sprintf("%s: shares moved by %.2f (Jensen-Shannon), %s", c.Name, c.Shift.Value, times)
	}
	unit := ""
	if c.Unit != "" {
		unit = " " + c.Unit
	}
	return fmt.Sprintf("%s: median %.4g after %.4g%s in the %s before, moved by %.3g, %s", c.Name, *c.Median, *c.ReferenceMedian, unit, plural(c.Shift.Windows, "window", "windows"),
		c.Shift.Value, times)
}

// latest is a column in the last window before that has enough values of it.
func latest(past []Verdict, name string) *ColumnDrift {
	for i := range past {
		if c := past[i].column(name); c != nil && c.NEff >= suddenMin {
			return c
		}
	}
	return nil
}

// comparable is the windows that one is compared with, newest first: the last with enough values that were not themselves over the bar.
// As many in a row as a comparison has are no break any more but how things are now: what was before them does not count.
func comparable(past []Verdict, name string) []*Verdict {
	var out, run []*Verdict
	for i := range past {
		c := past[i].column(name)
		if c == nil || c.NEff < suddenMin {
			continue
		}
		if c.Over {
			if run = append(run, &past[i]); len(run) == suddenBase {
				return append(out, run...)[:suddenBase]
			}
			continue
		}
		run = nil
		if out = append(out, &past[i]); len(out) == suddenBase {
			break
		}
	}
	return out
}

// shifts is how far a column moved in the windows before; one that was over counts as far as its bar, so that neither are storms
// forgotten nor does a fault pass for usual. A break that goes on is measured as its first window was: it does not count yet.
func shifts(past []Verdict, name string) []float64 {
	var out []float64
	lasting := true
	for i := range past {
		c := past[i].column(name)
		if c == nil || c.Shift == nil {
			continue
		}
		if lasting = lasting && c.Over; lasting {
			continue
		}
		x := c.Shift.Value
		if c.Over {
			x = math.Min(x, c.Bar)
		}
		if out = append(out, x); len(out) == suddenHistory {
			break
		}
	}
	return out
}

// recent is the windows before one that is judged, counted on the cells of its version.
type recent struct {
	s       *Service
	plan    *Plan
	layout  *layout
	windows map[string]*profile.Profile // by id of the verdict
}

// sum is column i over windows, and how many independent present values it has.
func (r *recent) sum(ctx context.Context, windows []*Verdict, i int) (*profile.Counts, float64, error) {
	total := r.layout.ref.Columns[i].New()
	var n float64
	for _, v := range windows {
		w := r.windows[v.ID]
		if w == nil {
			var err error
			if w, err = r.load(ctx, v); err != nil {
				return nil, 0, err
			}
			r.windows[v.ID] = w
		}
		total.Merge(w.Columns[i])
		n += v.column(r.layout.ref.Columns[i].Name).NEff
	}
	return total, n, nil
}

// load reads a judged window, or counts its rows anew where they were counted on the cells of another version, and keeps that.
func (r *recent) load(ctx context.Context, v *Verdict) (*profile.Profile, error) {
	version, doc, err := r.s.window(ctx, v.Deployment, Sudden, v.From)
	switch {
	case err == nil && version == r.layout.version:
		return r.layout.ref.Parse(doc)
	case err != nil && !fault.Is(err, fault.NotFound):
		return nil, err
	}
	t, err := r.s.recountOn(ctx, r.plan, r.layout, v.From, v.To)
	if err != nil {
		return nil, err
	}
	return t.profile, r.s.keepWindow(ctx, v, t)
}

// suddenCounts is all rows of the window on the cells of its leading version, nil when there are none. What other versions answered is
// not counted as predictions, which differ by design.
func (s *Service) suddenCounts(ctx context.Context, p *Plan, v *Verdict) (*tally, error) {
	t, versions, err := s.counts(ctx, p, v)
	if err != nil || versions < 2 {
		return t, err
	}
	if t, err = s.recountOn(ctx, p, t.layout, v.From, v.To); err != nil {
		return nil, err
	}
	v.N = t.profile.Rows
	return t, nil
}

// recountOn counts the rows of the log from [from, to), whatever version answered, on the cells of one version.
func (s *Service) recountOn(ctx context.Context, p *Plan, l *layout, from, to time.Time) (*tally, error) {
	t := newTally(l)
	for start := from; start.Before(to); start = start.Add(time.Hour) {
		end := start.Add(time.Hour)
		if end.After(to) {
			end = to
		}
		rows, err := s.Log.Rows(ctx, p.Deployment, start, end, false)
		if err != nil {
			return nil, fmt.Errorf("read the log of %s: %w", p.Deployment, err)
		}
		for i := range rows {
			f := labeledFact(&rows[i])
			if f.sig == nil {
				continue
			}
			if f.version != l.version {
				f.scores = nil
			}
			t.add(&f)
		}
	}
	return t, nil
}
