package track

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of histories.
const (
	maxHistory      = 25000 // points in a page
	maxBulkRuns     = 100
	maxBulk         = 25000 // points in a bulk answer
	maxInterval     = 2500  // points of a run in an interval answer
	defaultInterval = 320
)

// Point is one value of a metric, for the native API.
type Point struct {
	Key   string    `json:"key"`
	Step  int64     `json:"step"`
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// MarshalJSON writes NaN and the infinities as strings, as Values does.
func (p Point) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Key   string    `json:"key"`
		Step  int64     `json:"step"`
		At    time.Time `json:"at"`
		Value any       `json:"value"`
	}{p.Key, p.Step, p.At, jsonNumber(p.Value)})
}

// Curve gives the points of a metric by time; an empty key gives all metrics.
func (s *Service) Curve(run, key string) ([]Point, error) {
	out := []Point{}
	if key == "" {
		for e, err := range s.series.Export(run) {
			if err != nil {
				return nil, err
			}
			out = append(out, Point{Key: e.Key, Step: e.Step, At: time.UnixMilli(e.At).UTC(), Value: e.Value})
		}
		return out, nil
	}
	if checkName(key, where{field: "key"}) != nil {
		return out, nil // nobody can have logged it
	}
	for p, err := range s.series.Points(run, key) {
		if err != nil {
			return nil, err
		}
		out = append(out, Point{Key: key, Step: p.Step, At: time.UnixMilli(p.At).UTC(), Value: p.Value})
	}
	return out, nil
}

func metricOf(key string, p series.Point) Metric {
	return Metric{Key: key, Value: p.Value, At: p.At, Step: p.Step}
}

// History gives points of a metric by time, step and value. A limit of 0 gives all of them; else the token of the next page is "" at the end.
func (s *Service) History(ctx context.Context, run, key, pageToken string, limit int) ([]Metric, string, error) {
	if err := s.runThere(ctx, run); err != nil {
		return nil, "", err
	}
	if limit < 0 || limit > maxHistory {
		return nil, "", invalid("Invalid value %d for parameter 'max_results' supplied: It must be between 1 and %d", limit, maxHistory)
	}
	from, err := series.ParseCursor(pageToken)
	if err != nil {
		return nil, "", invalid("Invalid page token, could not base64-decode")
	}
	out := []Metric{}
	if checkName(key, where{field: "key"}) != nil {
		return out, "", nil
	}
	page := limit
	if page == 0 {
		page = math.MaxInt
	}
	points, next, err := s.series.History(run, key, from, page)
	if err != nil {
		return nil, "", err
	}
	for _, p := range points {
		out = append(out, metricOf(key, p))
	}
	return out, next.String(), nil
}

// runThere is fault.NotFound when there is no such run.
func (s *Service) runThere(ctx context.Context, run string) error {
	_, err := s.state(ctx, run)
	return err
}

func checkBulk(runs []string) error {
	if len(runs) == 0 {
		return invalid("GetMetricHistoryBulk request must specify at least one run_id.")
	}
	if len(runs) > maxBulkRuns {
		return invalid("GetMetricHistoryBulk request cannot specify more than %d run_ids. Received %d run_ids.", maxBulkRuns, len(runs))
	}
	return nil
}

// HistoryBulk gives points of up to 100 runs, by run, then time, step and value: at most limit, which is 25,000 at most. Runs that are not there have none.
func (s *Service) HistoryBulk(_ context.Context, runs []string, key string, limit int) ([]RunMetric, error) {
	if err := checkBulk(runs); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxBulk {
		limit = maxBulk
	}
	out := []RunMetric{}
	if checkName(key, where{field: "key"}) != nil {
		return out, nil
	}
	runs = slices.Clone(runs)
	slices.Sort(runs)
	for _, run := range slices.Compact(runs) {
		if !runForm(run) || len(out) == limit {
			continue
		}
		points, _, err := s.series.History(run, key, series.Cursor{}, limit-len(out))
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			out = append(out, RunMetric{RunID: run, Metric: metricOf(key, p)})
		}
	}
	return out, nil
}

// HistoryInterval gives an even sample of each run's points by step, time and value, first and last included: at most limit of each run.
// From and to bound the steps, both included.
func (s *Service) HistoryInterval(ctx context.Context, runs []string, key string, from, to *int64, limit int) ([]RunMetric, error) {
	if err := checkBulk(runs); err != nil {
		return nil, invalid("%s", strings.ReplaceAll(err.(*fault.Error).Message, "GetMetricHistoryBulk ", "GetMetricHistoryBulkInterval "))
	}
	if (from == nil) != (to == nil) {
		return nil, invalid("Both start_step and end_step must be specified together, or neither may be specified.")
	}
	if limit == 0 {
		limit = defaultInterval
	}
	if limit < 1 || limit > maxInterval {
		return nil, invalid("max_results must be between 1 and %d.", maxInterval)
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if from != nil {
		if low, high = *from, *to; low > high {
			return nil, invalid("end_step must be greater than start_step. Found start_step=%d and end_step=%d.", low, high)
		}
	}
	out := []RunMetric{}
	if checkName(key, where{field: "key"}) != nil {
		return out, nil
	}
	for _, run := range runs {
		if err := s.runThere(ctx, run); err != nil {
			return nil, err
		}
		points, err := s.sample(run, key, low, high, limit)
		if err != nil {
			return nil, err
		}
		for _, p := range points {
			out = append(out, RunMetric{RunID: run, Metric: metricOf(key, p)})
		}
	}
	return out, nil
}

// sample cuts the n points of a range into limit stretches as SQL's NTILE does (the first n mod limit are one longer) and takes the first of each,
// and the last of all in place of the last one taken. It reads the points twice instead of holding them.
func (s *Service) sample(run, key string, low, high int64, limit int) ([]series.Point, error) {
	n := 0
	var last series.Point
	for p, err := range s.series.Steps(run, key, low, high) {
		if err != nil {
			return nil, err
		}
		n++
		last = p
	}
	if n == 0 {
		return nil, nil
	}
	short, longer := n/limit, n%limit
	out := make([]series.Point, 0, min(n, limit))
	i, next := 0, 0
	for p, err := range s.series.Steps(run, key, low, high) {
		if err != nil {
			return nil, err
		}
		if i == next && len(out) < limit {
			next += short
			if len(out) < longer {
				next++
			}
			out = append(out, p)
		}
		i++
	}
	if end := len(out) - 1; out[end] != last && !(out[end].Step == last.Step && out[end].At == last.At && math.IsNaN(out[end].Value) && math.IsNaN(last.Value)) {
		if len(out) < limit {
			out = append(out, last)
		} else {
			out[end] = last
		}
	}
	return out, nil
}
