package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## Tracking, beside MLflow"

// measured is everything for the report; pairs are ours, then MLflow's.
type measured struct {
	starts    [2][]time.Duration
	peerStart time.Duration
	idle      []footprint
	loaded    []footprint
	loads     [][]loaded
	models    *modelled
	search    *searched
	charts    *charted
}

// section is the text for RESULTS.md.
func (m *measured) section(o options) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("%s\n\n", title)
	p("`go run ./bench/tracking`, %s, %s, %s. Both servers are processes of their own on one machine, asked in turn by the same Go clients over HTTP\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	p("keep-alive: Trimtab as `trimtab server` starts it, MLflow as `mlflow server` does on SQLite. Medians of %d rounds of %s each; CPU is user + system of all of\n", o.rounds, o.seconds)
	p("a server's processes. Load average of the machine at the end: %s; above one per processor the wall times say little.\n\n", results.Load())

	p("| load | goal | ours/s | MLflow/s | ratio | ours, CPU ms | MLflow, CPU ms | ratio | ours p50, p99 ms | MLflow p50, p99 ms |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i, l := range loads {
		us, they := m.loads[i][0], m.loads[i][1]
		unit := "requests"
		if l.points > 1 {
			unit = "points"
		}
		rate := func(x loaded) float64 { return median(x.rate) * float64(l.points) }
		p("| %s | ≥ 25x | %.0f %s | %.0f | **%.1fx** | %.2f | %.1f | **%.1fx** | %.2f, %.1f | %.1f, %.1f |\n", l.what, rate(us), unit, rate(they), rate(us)/rate(they),
			median(us.cpu), median(they.cpu), median(they.cpu)/median(us.cpu), median(us.p50), median(us.p99), median(they.p50), median(they.p99))
	}
	p("\nCPU is per request: of a batch of 1,000 points, or of one point.\n\n")

	p("Search over %d runs with 10 parameters, 5 metrics and 3 tags each, 100 runs per page. Goal: p95 < 50 ms and ≥ 50x.\n\n", o.runs)
	p("| search | ours p50, ms | ours p95, ms | MLflow p50, ms | ratio |\n|---|---|---|---|---|\n")
	var ours, theirs []time.Duration
	for i, q := range queries {
		us, they := slices.Clone(m.search.ours[i]), slices.Clone(m.search.theirs[i])
		ours, theirs = append(ours, us...), append(theirs, they...)
		more := ""
		if m.search.unfinished[i] {
			more = "over "
		}
		p("| %s: `%s` | %.2f | %.2f | %s%.0f | %s%.0fx |\n", q.what, strings.ReplaceAll(q.filter, "|", "\\|"), ms(quantile(us, .5)), ms(quantile(us, .95)), more, ms(quantile(they, .5)),
			more, ratio(quantile(they, .5), quantile(us, .5)))
	}
	p("| **all** | **%.2f** | **%.2f** | **%.0f** (p95 %.0f) | **%.0fx** (p95 %.0fx) |\n\n", ms(quantile(ours, .5)), ms(quantile(ours, .95)), ms(quantile(theirs, .5)), ms(quantile(theirs, .95)),
		ratio(quantile(theirs, .5), quantile(ours, .5)), ratio(quantile(theirs, .95), quantile(ours, .95)))
	p("A search that MLflow had not answered after %s was given up and counts as that long, once.\n", patience)
	p("CPU per finished search: ours %.2f ms, MLflow %.0f ms (%.0fx). Logging the runs to ours over HTTP took %s; MLflow's store was filled directly.\n\n", m.search.cpu[0], m.search.cpu[1],
		m.search.cpu[1]/m.search.cpu[0], m.search.fill.Round(time.Second))

	c := m.charts
	p("| chart of 100 runs, %d values each | goal | ours, ms | MLflow, ms | ratio |\n|---|---|---|---|---|\n", buckets)
	p("| %d points per run, ours by its own API | < 100 ms | **%.1f** (p95 %.1f) | not measurable | |\n", o.points, ms(quantile(c.native, .5)), ms(quantile(c.native, .95)))
	p("| %d points per run, both by get-history-bulk-interval | | %.1f | %.0f | **%.0fx** |\n\n", o.peerPoints, ms(quantile(c.interval[0], .5)), ms(quantile(c.interval[1], .5)),
		ratio(quantile(c.interval[1], .5), quantile(c.interval[0], .5)))
	p("Logging the %d million points of the first row over HTTP took %s.\n\n", chartRuns*o.points/1_000_000, c.fill.Round(time.Second))

	p("| what | goal | ours | MLflow |\n|---|---|---|---|\n")
	p("| scikit-learn `log_model` + two `load_model`, client 3.17.2: time waiting for the server | ≥ 3x | %.0f ms (%d requests) | %.0f ms (%d), **%.1fx** |\n",
		ms(quantile(m.models.waited[0], .5)), m.models.requests[0], ms(quantile(m.models.waited[1], .5)), m.models.requests[1], ratio(quantile(m.models.waited[1], .5), quantile(m.models.waited[0], .5)))
	p("| the same with the client's own work | | %.2f s | %.2f s |\n", quantile(m.models.whole[0], .5).Seconds(), quantile(m.models.whole[1], .5).Seconds())
	p("| cold start to ready, empty directory; the same directory again | < 300 ms | **%.0f ms**; %.0f ms | %.1f s |\n", ms(quantile(m.starts[0], .5)), ms(quantile(m.starts[1], .5)), m.peerStart.Seconds())
	p("| resident memory (PSS of all processes), idle after the start | < 120 MB | **%s** | %s |\n", m.idle[0], m.idle[1])
	p("| resident memory after all of the above | < 400 MB | **%s** | %s |\n", m.loaded[0], m.loaded[1])
	return b.String()
}

func (f footprint) String() string {
	return fmt.Sprintf("%d MB, %d processes", f.bytes/1_000_000, f.processes)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }
