package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## Inference over HTTP"

// section is the text for RESULTS.md.
func (f *field) section(o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "`go run ./bench/serve`, %s, %s, %s. A model of %d boosted trees with %d leaves over %d numbers, ours trained by ourselves, the peers' by LightGBM 4.6.0 on the\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(), trees, leaves, features)
	b.WriteString("same rows. Ours, the echo and MLServer are asked in the Open Inference Protocol as JSON, FastAPI and BentoML in plain rows. Servers are processes of their own, asked in turn\n")
	fmt.Fprintf(&b, "by one Go client on the same machine; medians of %d rounds; CPU is user + system of all of a server's processes. The echo decodes the request into a struct and encodes\n", o.rounds)
	fmt.Fprintf(&b, "it back. Ours writes every prediction to its log (level required: before the answer leaves), counts drift, and routes; all %d answered rows were in the log\n", f.logged)
	fmt.Fprintf(&b, "afterwards. The peers log, watch and route nothing. Load average at the end: %s.\n\n", results.Load())

	fmt.Fprintf(&b, "One row per request, %d keep-alive connections. Goals: under 2x the echo; every peer 10x of ours; lower p99 than they at the same load (%.0f requests/s).\n\n", o.connections, o.pace)
	b.WriteString("| server | CPU, µs per request | against the echo | against ours | p50, ms | p99, ms | requests/s | p99 at the same load, ms |\n|---|---|---|---|---|---|---|---|\n")
	ours := median(f.on.rounds, cpu)
	for _, c := range f.all() {
		own := median(c.rounds, cpu)
		steady := "–"
		if len(c.steady) > 0 {
			steady = fmt.Sprintf("%.2f", median(c.steady, p99))
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.2fx | %.2fx | %.2f | %.2f | %.0f | %s |\n", c.name, own, own/median(f.echo.rounds, cpu), own/ours, median(c.rounds, p50), median(c.rounds, p99), median(c.rounds, rate), steady)
	}
	ratio, low, high := paired(f.on.rounds, f.off.rounds, cpu)
	fmt.Fprintf(&b, "\nLog, drift and routing take **%+.1f %%** CPU (goal: at most 15 %%; paired 95 %% interval %+.1f to %+.1f %%)", 100*(ratio-1), 100*(low-1), 100*(high-1))
	ratio, low, high = paired(f.on.steady, f.off.steady, p99)
	fmt.Fprintf(&b, " and change p99 at the same load by **%+.1f %%** (goal: within 5 %%; %+.1f to %+.1f %%).\n\n", 100*(ratio-1), 100*(low-1), 100*(high-1))

	fmt.Fprintf(&b, "%d rows per request, as JSON, 2 connections. Goal: 10x the throughput of both.\n\n| server | rows/s | ours, times | CPU, µs per row | p50, ms |\n|---|---|---|---|---|\n", blockRows)
	for _, c := range []*contender{f.on, f.mlserver, f.ort} {
		fmt.Fprintf(&b, "| %s | %.0f | %.1fx | %.2f | %.1f |\n", c.name, blockRows*median(c.blocks, rate), median(f.on.blocks, rate)/median(c.blocks, rate), median(c.blocks, cpu)/blockRows, median(c.blocks, p50))
	}
	if s := f.swap; s != nil {
		fmt.Fprintf(&b, "\n%d changes of the champion through the API under load of %d connections (%d answers): **%d failed**, %d from a version that was neither; from the call to the last answer\nof the version that had to go, median %.2f ms, p99 **%.2f ms** (goal 10 ms), of which the call itself %.2f and %.2f.\n",
			s.changes, o.connections, s.answers, s.failed, s.third, s.lastP50, s.lastP99, s.callP50, s.callP99)
	}
	if d := f.density; d != nil {
		fmt.Fprintf(&b, "\n%d LightGBM models of %d trees resident and answering: **%.0f MB** (PSS of the process; %.0f MB with none; goal 300 MB).\n", d.models, d.trees, float64(d.bytes)/1e6, float64(d.idle)/1e6)
	}
	return b.String()
}

// paired is the median ratio of two contenders' rounds, turn by turn, with the 95 % interval of a bootstrap over the turns.
func paired(a, b []round, of func(round) float64) (ratio, low, high float64) {
	n := min(len(a), len(b))
	logs := make([]float64, n)
	for i := range n {
		logs[i] = math.Log(of(a[i]) / of(b[i]))
	}
	middle := func(v []float64) float64 {
		s := slices.Sorted(slices.Values(v))
		return (s[(n-1)/2] + s[n/2]) / 2
	}
	rng := rand.New(rand.NewPCG(1, 1))
	draws := make([]float64, 2000)
	sample := make([]float64, n)
	for d := range draws {
		for i := range sample {
			sample[i] = logs[rng.IntN(n)]
		}
		draws[d] = middle(sample)
	}
	slices.Sort(draws)
	return math.Exp(middle(logs)), math.Exp(draws[50]), math.Exp(draws[1949])
}
