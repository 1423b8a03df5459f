package registry

import (
	"math"
	"time"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	bootstrapReps = 200
	smallSlice    = 100 // a slice with fewer rows is shown as too small to judge
	maxSlices     = 40  // of one column, the most numerous first
	curveBins     = 10
)

// Held is rows that a fit did not see: their labels, what it predicted for them, and the columns that slices are cut by.
type Held struct {
	Task   learn.Task
	Y      []float64
	P      []float64 // rows x outputs
	K      int       // classes of a multiclass task
	From   time.Time
	To     time.Time
	Sliced *table.Table
}

// Judge computes metrics with intervals, curves and slices.
func Judge(h *Held, threshold float64, slicesBy []string) *Evaluation {
	ev := &Evaluation{Rows: len(h.Y), From: h.From, To: h.To, Threshold: threshold, Slices: []Slice{}}
	ev.Metrics = measures(h.Task, h.Y, h.P, h.K, threshold)
	if h.Task == learn.Binary && len(h.Y) > 0 {
		roc, pr := evaluate.ROC(h.Y, h.P), evaluate.PR(h.Y, h.P)
		cal, conf := evaluate.Calibration(h.Y, h.P, curveBins), evaluate.Confusion(h.Y, h.P, threshold)
		ev.ROC, ev.PR, ev.Calibration, ev.Confusion = &roc, &pr, &cal, &conf
	}
	if h.Task == learn.Multiclass {
		ev.Decisions, ev.Calibration = classesOf(h)
	}
	for _, name := range slicesBy {
		if c := h.Sliced.Column(name); c != nil {
			ev.Slices = append(ev.Slices, slicesOf(h, c, threshold)...)
		}
	}
	return ev
}

// Metrics is the plain metrics of held rows.
func (h *Held) Metrics(threshold float64) map[string]float64 {
	switch h.Task {
	case learn.Binary:
		return evaluate.Binary(h.Y, h.P, threshold)
	case learn.Multiclass:
		return evaluate.Multiclass(h.Y, h.P, h.K)
	default:
		return evaluate.Regression(h.Y, h.P)
	}
}

func measures(task learn.Task, y, p []float64, k int, threshold float64) map[string]Measure {
	h := Held{Task: task, Y: y, P: p, K: k}
	return withIntervals(h.Metrics(threshold), evaluate.Intervals(task, y, p, threshold), len(y))
}

// withIntervals leaves out what is undefined on these rows: absent, not zero.
func withIntervals(metrics map[string]float64, intervals map[string]evaluate.Interval, n int) map[string]Measure {
	out := map[string]Measure{}
	for name, v := range finite(metrics) {
		m := Measure{Value: v, N: int64(n)}
		if i, ok := intervals[name]; ok {
			m.Lo, m.Hi = &i.Lo, &i.Hi
		}
		out[name] = m
	}
	return out
}

func withInterval(v, lo, hi float64, n int64) Measure {
	m := Measure{Value: v, N: n}
	if !math.IsNaN(lo) && !math.IsNaN(hi) {
		m.Lo, m.Hi = &lo, &hi
	}
	return m
}

func slicesOf(h *Held, c *table.Column, threshold float64) []Slice {
	var out []Slice
	for _, sl := range evaluate.Slices(c, h.Task, h.Y, h.P, threshold, maxSlices) {
		out = append(out, Slice{Column: sl.Column, Value: sl.Value, N: sl.N, Small: sl.N < smallSlice, Metrics: withIntervals(sl.Metrics, sl.Intervals, sl.N)})
	}
	return out
}

// Compare judges challenger and champion on the same rows. Differences of AUC carry DeLong's interval, the others one by
// paired bootstrap over rows, seeded.
func Compare(h *Held, champion []float64, version int, threshold, championThreshold float64, since time.Time, seed uint64) *Comparison {
	other := &Held{Task: h.Task, Y: h.Y, P: champion, K: h.K}
	c := &Comparison{Champion: version, N: len(h.Y), Since: since, Challenger: finite(h.Metrics(threshold)), Incumbent: finite(other.Metrics(championThreshold)), Differences: map[string]Measure{}}
	for name, v := range c.Challenger {
		if w, ok := c.Incumbent[name]; ok && name != "n" {
			c.Differences[name] = Measure{Value: v - w, N: int64(len(h.Y))}
		}
	}
	c.Tests = against(h, champion, threshold, championThreshold, seed)
	if h.Task == learn.Multiclass || len(h.Y) == 0 {
		return c
	}
	if h.Task == learn.Binary {
		if d := evaluate.DeLong(h.Y, h.P, champion); d.Defined {
			c.DeLongP = &d.P
			c.Differences["auc"] = withInterval(d.Diff, d.Lo, d.Hi, int64(len(h.Y)))
		}
	}
	for name, loss := range rowLosses(h.Task) {
		if _, ok := c.Differences[name]; ok {
			diff, lo, hi := evaluate.PairedBootstrap(h.Y, losses(h.Y, h.P, loss), losses(h.Y, champion, loss), mean, bootstrapReps, seed)
			c.Differences[name] = withInterval(diff, lo, hi, int64(len(h.Y)))
		}
	}
	return c
}

// rowLosses is the metrics that are means over rows: their bootstrap resamples losses and computes none anew.
func rowLosses(task learn.Task) map[string]func(y, p float64) float64 {
	if task == learn.Binary {
		return map[string]func(y, p float64) float64{
			"log_loss": func(y, p float64) float64 { return evaluate.LogLoss([]float64{y}, []float64{p}) },
			"brier":    func(y, p float64) float64 { return (p - y) * (p - y) },
		}
	}
	return map[string]func(y, p float64) float64{"mae": func(y, p float64) float64 { return math.Abs(p - y) }}
}

func losses(y, p []float64, loss func(y, p float64) float64) []float64 {
	out := make([]float64, len(y))
	for i := range y {
		out[i] = loss(y[i], p[i])
	}
	return out
}

// mean is of losses; the labels that PairedBootstrap resamples beside them are in them already.
func mean(_, losses []float64) float64 {
	var sum float64
	for _, v := range losses {
		sum += v
	}
	return sum / float64(len(losses))
}

func finite(m map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for name, v := range m {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[name] = v
		}
	}
	return out
}
