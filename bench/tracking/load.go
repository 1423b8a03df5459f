package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// batch is how many metrics a log-batch request may hold.
const batch = 1000

// load is one way of writing points.
type load struct {
	what    string
	clients int
	points  int // of each request
}

var loads = []load{
	{"log-batch of 1,000 metrics, 1 client", 1, batch},
	{"log-batch of 1,000 metrics, 8 clients", 8, batch},
	{"log-metric, 10 clients", 10, 1},
}

// loaded is what one server did under one load: a value for each round.
type loaded struct {
	rate     []float64 // requests per second
	cpu      []float64 // CPU milliseconds per request
	p50, p99 []float64 // milliseconds
}

// measureLoads puts the servers under each load in turn.
func measureLoads(ctx context.Context, o options, both []*contender) ([][]loaded, error) {
	out := make([][]loaded, len(loads))
	for i := range out {
		out[i] = make([]loaded, len(both))
	}
	for round := range o.rounds + 1 {
		for i, l := range loads {
			for j, c := range both {
				seconds := o.seconds
				if round == 0 {
					seconds = min(o.seconds, time.Second) // warm: code, connections, pools
				}
				one, err := c.load(ctx, l, seconds)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", c.name, l.what, err)
				}
				if round == 0 {
					continue
				}
				all := &out[i][j]
				all.rate, all.cpu = append(all.rate, one.rate...), append(all.cpu, one.cpu...)
				all.p50, all.p99 = append(all.p50, one.p50...), append(all.p99, one.p99...)
			}
		}
	}
	return out, nil
}

// load writes for a while, each client into a run of its own over one connection, and counts what was acknowledged.
func (c *contender) load(ctx context.Context, l load, d time.Duration) (loaded, error) {
	client := keptAlive(l.clients)
	defer client.CloseIdleConnections()
	experiment, err := c.newExperiment(ctx, fmt.Sprintf("load %d", time.Now().UnixNano()))
	if err != nil {
		return loaded{}, err
	}
	runs := make([]string, l.clients)
	for i := range runs {
		if runs[i], err = c.newRun(ctx, client, experiment, "load"); err != nil {
			return loaded{}, err
		}
	}
	var (
		workers  sync.WaitGroup
		requests atomic.Int64
		mu       sync.Mutex
		took     []time.Duration
		failures = make([]error, l.clients)
	)
	before, begun := c.cpu(), time.Now()
	for w, run := range runs {
		workers.Go(func() {
			for step := 0; time.Since(begun) < d; step++ {
				path, body := "/api/2.0/mlflow/runs/log-metric", single(run, step)
				if l.points > 1 {
					path, body = "/api/2.0/mlflow/runs/log-batch", points(run, step*l.points/keys, l.points)
				}
				sent := time.Now()
				if _, err := ask(ctx, client, "POST", c.url+path, []byte(body)); err != nil {
					failures[w] = err
					return
				}
				requests.Add(1)
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return loaded{}, err
	}
	n, wall := float64(requests.Load()), time.Since(begun)
	return loaded{rate: []float64{n / wall.Seconds()}, cpu: []float64{ms(c.cpu()-before) / n}, p50: []float64{ms(quantile(took, .5))},
		p99: []float64{ms(quantile(took, .99))}}, nil
}

// keys is how many metrics a batch is about.
const keys = 10

// points is the body of a log-batch: n points of ten keys, from a step on.
func points(run string, from, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"run_id":%q,"metrics":[`, run)
	for i := range n {
		step := from + i/keys
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"key":"metric_%d","value":%g,"timestamp":%d,"step":%d}`, i%keys, curve(i%keys, step), 1_700_000_000_000+int64(step)*100, step)
	}
	b.WriteString("]}")
	return b.String()
}

func single(run string, step int) string {
	return fmt.Sprintf(`{"run_id":%q,"key":"loss","value":%g,"timestamp":%d,"step":%d}`, run, curve(0, step), 1_700_000_000_000+int64(step)*100, step)
}

// curve looks like a loss: it falls, and no two values are the same.
func curve(key, step int) float64 {
	noise := math.Sin(float64(step)*12.9898+float64(key)*78.233) * 43758.5453
	return 1/(1+float64(step)/500) + 0.05*(noise-math.Floor(noise))
}
