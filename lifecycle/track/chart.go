package track

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trimtab-ml/trimtab/infra/series"
)

// Bounds of a chart request.
const (
	maxCurves      = 10_000
	defaultBuckets = 400
)

// Charts draws every key of every run, in that order; a key that a run does not have gives no curve. Curves are drawn on all processors.
func (s *Service) Charts(ctx context.Context, q ChartRequest) ([]ChartSeries, error) {
	if len(q.Runs)*len(q.Keys) > maxCurves {
		return nil, invalid("%d runs with %d metrics are more than %d curves", len(q.Runs), len(q.Keys), maxCurves)
	}
	ask := series.ChartQuery{Axis: series.AxisStep, From: q.From, To: q.To, Buckets: q.Buckets}
	relative := false
	switch q.Axis {
	case "", "step":
	case "time":
		ask.Axis = series.AxisTime
	case "relative":
		ask.Axis, relative = series.AxisTime, true
	default:
		return nil, invalid("a chart has no axis %s: it is step, time or relative", pyRepr(cut(text(q.Axis), 40)))
	}
	if ask.Buckets == 0 {
		ask.Buckets = defaultBuckets
	}
	type curve struct{ run, key string }
	var curves []curve
	for _, run := range q.Runs {
		if !runForm(run) {
			return nil, noRun(cut(text(run), 256))
		}
		for _, key := range q.Keys {
			if checkName(key, where{field: "key"}) == nil {
				curves = append(curves, curve{run, key})
			}
		}
	}
	drawn, errs := make([]ChartSeries, len(curves)), make([]error, len(curves))
	var at atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(curves)) {
		workers.Go(func() {
			for {
				i := int(at.Add(1)) - 1
				if i >= len(curves) || ctx.Err() != nil {
					return
				}
				drawn[i], errs[i] = s.draw(curves[i].run, curves[i].key, ask, relative)
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	out := make([]ChartSeries, 0, len(curves))
	for i := range curves {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if drawn[i].Total > 0 {
			out = append(out, drawn[i])
		}
	}
	return out, nil
}

func (s *Service) draw(run, key string, q series.ChartQuery, relative bool) (ChartSeries, error) {
	out := ChartSeries{Run: run, Key: key}
	var begin int64
	if relative {
		first, _, err := s.series.History(run, key, series.Cursor{}, 1)
		if err != nil || len(first) == 0 {
			return out, err
		}
		begin = first[0].At
		q.From, q.To = shifted(q.From, begin), shifted(q.To, begin)
	}
	c, err := s.series.Chart(run, key, q)
	if err != nil {
		return out, err
	}
	out.Total, out.Downsampled = c.Total, c.Downsampled
	out.Points = make([]ChartPoint, 0, len(c.Points))
	bucket := -1
	for _, p := range c.Points {
		x := p.Step
		if q.Axis == series.AxisTime {
			x = p.At - begin
		}
		if c.Downsampled && p.Bucket == bucket {
			last := &out.Points[len(out.Points)-1]
			last.X, last.Y = x, p.Value
			last.Low, last.High = least(last.Low, p.Value), greatest(last.High, p.Value)
			continue
		}
		bucket = p.Bucket
		out.Points = append(out.Points, ChartPoint{X: x, Y: p.Value, Low: p.Value, High: p.Value, Count: p.Count})
	}
	return out, nil
}

// shifted is x + by, where the end of the axis stays the end.
func shifted(x *int64, by int64) *int64 {
	if x == nil {
		return nil
	}
	sum := *x + by
	if *x > 0 && by > 0 && sum < 0 {
		sum = math.MaxInt64
	}
	return &sum
}

// least and greatest are of the numbers: NaN only when there is none.
func least(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

func greatest(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}
