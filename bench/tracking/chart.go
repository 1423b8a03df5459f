package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chartRuns = 100
	chartKey  = "loss"
	buckets   = 320 // what a page of MLflow asks for
)

// charted is how long the first data of a chart of 100 runs takes.
type charted struct {
	native   []time.Duration    // ours, all points, by our own API
	interval [2][]time.Duration // both, fewer points, by MLflow's API
	fill     time.Duration      // ours, all points, over HTTP
}

// measureCharts fills our server with 100 long curves, and both with 100 shorter ones.
func measureCharts(ctx context.Context, o options, ours, theirs *contender) (*charted, error) {
	out := &charted{}
	long, err := fillCurves(ctx, ours, "long curves", o.points, &out.fill)
	if err != nil {
		return nil, err
	}
	progress("Trimtab has %d x %d points after %s", chartRuns, o.points, out.fill.Round(time.Second))
	body := []byte(fmt.Sprintf(`{"runs":["%s"],"keys":[%q],"buckets":%d}`, strings.Join(long, `","`), chartKey, buckets))
	client := keptAlive(1)
	defer client.CloseIdleConnections()
	for i := range 11 {
		sent := time.Now()
		answer, err := ask(ctx, client, http.MethodPost, ours.url+"/api/v1/runs/charts", body)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(answer), `"run":`); n != chartRuns {
			return nil, fmt.Errorf("the chart has %d curves", n)
		}
		if i > 0 { // the first one warms
			out.native = append(out.native, time.Since(sent))
		}
	}
	short, err := fillCurves(ctx, ours, "short curves", o.peerPoints, new(time.Duration))
	if err != nil {
		return nil, err
	}
	experiment, err := theirs.newExperiment(ctx, "short curves")
	if err != nil {
		return nil, err
	}
	peers, err := fillDirectly(ctx, filepath.Join(theirs.dir, "mlflow.db"), experiment, chartRuns, o.peerPoints, chartKey)
	if err != nil {
		return nil, err
	}
	for i := range 4 {
		for k, c := range []*contender{ours, theirs} {
			runs := [][]string{short, peers}[k]
			q := url.Values{"metric_key": {chartKey}, "max_results": {fmt.Sprint(buckets)}, "run_ids": runs}
			sent := time.Now()
			answer, err := ask(ctx, client, http.MethodGet, c.url+"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?"+q.Encode(), nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if n := strings.Count(string(answer), `"run_id"`); n < chartRuns*buckets/2 {
				return nil, fmt.Errorf("%s: the chart has %d points", c.name, n)
			}
			if i > 0 {
				out.interval[k] = append(out.interval[k], time.Since(sent))
			}
		}
	}
	return out, nil
}

// fillCurves logs a curve into each of 100 runs, as eight clients would.
func fillCurves(ctx context.Context, c *contender, name string, n int, took *time.Duration) ([]string, error) {
	const clients = 8
	client := keptAlive(clients)
	defer client.CloseIdleConnections()
	experiment, err := c.newExperiment(ctx, name)
	if err != nil {
		return nil, err
	}
	runs := make([]string, chartRuns)
	for i := range runs {
		if runs[i], err = c.newRun(ctx, client, experiment, fmt.Sprint(i)); err != nil {
			return nil, err
		}
	}
	begun := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	failures := make([]error, clients)
	for w := range clients {
		workers.Go(func() {
			var b strings.Builder
			for failures[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(runs) {
					return
				}
				for from := 0; from < n && failures[w] == nil; from += batch {
					b.Reset()
					fmt.Fprintf(&b, `{"run_id":%q,"metrics":[`, runs[i])
					for step := from; step < min(from+batch, n); step++ {
						if step > from {
							b.WriteByte(',')
						}
						fmt.Fprintf(&b, `{"key":%q,"value":%g,"timestamp":%d,"step":%d}`, chartKey, curve(i, step), 1_700_000_000_000+int64(step)*100, step)
					}
					b.WriteString("]}")
					_, failures[w] = ask(ctx, client, http.MethodPost, c.url+"/api/2.0/mlflow/runs/log-batch", []byte(b.String()))
				}
			}
		})
	}
	workers.Wait()
	*took = time.Since(begun)
	return runs, errors.Join(failures...)
}
