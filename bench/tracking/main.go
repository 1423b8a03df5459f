// Command tracking measures the tracking server beside the real MLflow server on SQLite: points and requests per second,
// search over many runs, charts, models logged and loaded by the real client, start and memory. Both servers run as
// processes of their own, in turn under the same clients, and the result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/tracking [-program bin/trimtab] [-rounds 3] [-seconds 4] [-runs 100000] [-points 1000000] [-results bench/RESULTS.md]
//
// MLflow comes from its locked environment (make mlflow-clients). The load generator is Go, so that it measures the servers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

type options struct {
	program, results string
	rounds           int
	seconds          time.Duration
	runs             int // of the search
	points           int // of each run of the chart
	peerPoints       int // of each run of the chart that MLflow draws too
	models           int // log_model + load_model, times
	starts           int // cold starts
	peerWorkers      int // of MLflow
}

func main() {
	var o options
	var seconds float64
	flag.StringVar(&o.program, "program", "bin/trimtab", "the program to measure")
	flag.StringVar(&o.results, "results", results.File, "file whose section is replaced; empty = print only")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of load; medians count")
	flag.Float64Var(&seconds, "seconds", 4, "seconds of each round of load")
	flag.IntVar(&o.runs, "runs", 100_000, "runs to search")
	flag.IntVar(&o.points, "points", 1_000_000, "points of each of the 100 runs of a chart")
	flag.IntVar(&o.peerPoints, "peer-points", 10_000, "points of each of the 100 runs of the chart that both draw")
	flag.IntVar(&o.models, "models", 5, "how often a model is logged and loaded")
	flag.IntVar(&o.starts, "starts", 5, "how often the program is started cold")
	flag.IntVar(&o.peerWorkers, "peer-workers", 0, "worker processes of MLflow; 0 = as it starts by itself, four and those of its jobs")
	flag.Parse()
	o.seconds = time.Duration(seconds * float64(time.Second))
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/tracking:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "bench-tracking-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var m measured
	if m.starts, err = coldStarts(ctx, o, filepath.Join(dir, "cold")); err != nil {
		return err
	}
	ours, err := startOurs(ctx, o.program, filepath.Join(dir, "ours"))
	if err != nil {
		return err
	}
	defer ours.stop()
	theirs, err := startTheirs(ctx, o, filepath.Join(dir, "theirs"))
	if err != nil {
		return err
	}
	defer theirs.stop()
	both := []*contender{ours, theirs}
	m.idle = memories(both)
	m.peerStart = theirs.ready
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"batches and single points", func() (err error) { m.loads, err = measureLoads(ctx, o, both); return err }},
		{"models", func() (err error) { m.models, err = measureModels(ctx, o, both, dir); return err }},
		{"search", func() (err error) { m.search, err = measureSearch(ctx, o, ours, theirs); return err }},
		{"charts", func() (err error) { m.charts, err = measureCharts(ctx, o, ours, theirs); return err }},
	} {
		progress("%s", step.what)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	m.loaded = memories(both)
	text := m.section(o)
	fmt.Print(text)
	if o.results == "" {
		return nil
	}
	return results.Replace(o.results, title, text)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().UTC().Format(time.TimeOnly)}, args...)...)
}
