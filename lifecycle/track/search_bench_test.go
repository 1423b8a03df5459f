package track_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

const (
	manyParams  = 10
	manyMetrics = 5
	manyTags    = 3
)

// manyRuns is how many runs the benchmarks search: TRIMTAB_BENCH_RUNS, or 100,000.
func manyRuns(b *testing.B) int {
	if text := os.Getenv("TRIMTAB_BENCH_RUNS"); text != "" {
		n, err := strconv.Atoi(text)
		must(b, err)
		return n
	}
	return 100_000
}

// insertRows writes rows, many in a statement.
func insertRows(ctx context.Context, tx *catalog.Tx, into string, columns, n int, row func(i int) []any) error {
	const chunk = 200
	for from := 0; from < n; from += chunk {
		var text strings.Builder
		text.WriteString("INSERT INTO " + into + " VALUES ")
		var args []any
		for i := from; i < min(n, from+chunk); i++ {
			if i > from {
				text.WriteByte(',')
			}
			text.WriteByte('(')
			for c := range columns {
				if c > 0 {
					text.WriteByte(',')
				}
				fmt.Fprintf(&text, "$%d", len(args)+c+1)
			}
			text.WriteByte(')')
			args = append(args, row(i)...)
		}
		if _, err := tx.ExecContext(ctx, text.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// fill writes runs as logging them one by one would have left them.
func fill(b testing.TB, db *catalog.DB, runs int) {
	b.Helper()
	ctx := b.Context()
	d := rand.New(rand.NewPCG(1, 2))
	names := []string{}
	for i := range manyParams {
		names = append(names, fmt.Sprint("p", i))
	}
	for i := range manyMetrics {
		names = append(names, fmt.Sprint("m", i))
	}
	for i := range manyTags {
		names = append(names, fmt.Sprint("t", i))
	}
	// Parameters as a search over settings has them: half of them from a few values, half of them different in every run.
	param := func(run, key int) string {
		if key%2 == 0 {
			return fmt.Sprint((run*7919 + key) % 20)
		}
		return strconv.FormatFloat(float64((run*2654435761+key*97)%1_000_003)/1_000_003, 'g', 8, 64)
	}
	metric := func(run, key int) float64 { return float64((run*40503+key*7)%99991) / 99991 }
	tag := func(run, key int) string { return fmt.Sprint("team-", (run+key)%[]int{3, 50, 1000}[key%3]) }
	ids := make([]string, runs)
	for i := range ids {
		ids[i] = fmt.Sprintf("%016x%016x", d.Uint64(), d.Uint64())
	}
	must(b, db.Write(ctx, func(tx *catalog.Tx) error {
		for i, name := range names {
			kind := 1
			if i >= manyParams {
				kind++
			}
			if i >= manyParams+manyMetrics {
				kind++
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO track_keys (kind, name, id) VALUES ($1, $2, $3)", kind, name, i+1); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO experiment_keys (experiment_id, key_id) VALUES (0, $1)", i+1); err != nil {
				return err
			}
			table, k := "run_params", i
			value := func(run int) any { return param(run, k) }
			if kind == 2 {
				table, k = "run_metrics", i-manyParams
				value = func(run int) any { return metric(run, k) }
			}
			if kind == 3 {
				table, k = "run_tags", i-manyParams-manyMetrics
				value = func(run int) any { return tag(run, k) }
			}
			if err := insertRows(ctx, tx, table+" (key_id, run, value)", 3, runs, func(run int) []any { return []any{i + 1, run + 1, value(run)} }); err != nil {
				return err
			}
		}
		err := insertRows(ctx, tx, "runs (id, project, name, state, started_at, finished_at, document, number, experiment_id, user_id, artifact_uri, updated_at, revision, latest)", 14, runs, func(run int) []any {
			doc := struct {
				Params map[string]string `json:"params"`
				Tags   map[string]string `json:"tags"`
			}{map[string]string{}, map[string]string{}}
			latest := map[string]series.Point{}
			for k := range manyParams {
				doc.Params[names[k]] = param(run, k)
			}
			for k := range manyTags {
				doc.Tags[names[manyParams+manyMetrics+k]] = tag(run, k)
			}
			for k := range manyMetrics {
				latest[names[manyParams+k]] = series.Point{Value: metric(run, k), Step: 100, At: start.UnixMilli()}
			}
			text, err := json.Marshal(doc)
			must(b, err)
			at := start.UnixMicro() + int64(run)*1_000_000
			return []any{ids[run], "", fmt.Sprintf("steady-heron-%d", run), []string{"finished", "failed", "running"}[run%3], at, at + int64(run%3600)*1_000_000, string(text), run + 1, 0,
				fmt.Sprint("user", run%40), "mlflow-artifacts:/0/" + ids[run] + "/artifacts", at, run + 1, track.PackLatest(latest)}
		})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE track_counters SET value = $1 WHERE name <> 'epoch'", runs+len(names)+1)
		return err
	}))
}

// mixed are filters and orders as people ask for them.
var mixed = []track.Search{
	{},
	{OrderBy: []string{"metrics.m0 DESC"}},
	{Filter: "metrics.m1 > 0.9 AND params.p0 = '7'", OrderBy: []string{"metrics.m1 ASC"}},
	{Filter: "tags.t1 = 'team-7' AND status = 'FINISHED'"},
	{Filter: "params.p1 LIKE '0.1%' AND metrics.m2 < 0.5", OrderBy: []string{"params.p1", "metrics.m2 DESC"}},
	{Filter: "run_name ILIKE '%HERON-9%' AND tags.t0 != 'team-1'", OrderBy: []string{"run_name"}},
	{Filter: "start_time > 1772370000000 AND user_id = 'user7'", OrderBy: []string{"end_time DESC"}},
	{Filter: "metrics.m3 >= 0.25 AND metrics.m4 < 0.75 AND tags.t2 IS NOT NULL", OrderBy: []string{"status", "metrics.m3"}},
}

// spent is the processor time of this process, which other programs on the machine do not change.
func spent(b *testing.B) time.Duration {
	var r syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// p95 is the 95th percentile in milliseconds; it sorts all.
func p95(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)*95/100].Microseconds()) / 1000
}

// BenchmarkSearchRuns searches with eight filters and orders in turn, a page of 100 runs each time. The first search, which reads all runs
// and one column, is told apart.
func BenchmarkSearchRuns(b *testing.B) {
	w := benchWorld(b)
	fill(b, w.db, manyRuns(b))
	search := func(i int) {
		q := mixed[i%len(mixed)]
		q.MaxResults = 100
		runs, _, err := w.SearchRuns(context.Background(), track.RunSearch{Experiments: []string{"0"}, Search: q})
		must(b, err)
		if len(runs) == 0 {
			b.Fatalf("%+v finds nothing", q)
		}
	}
	before := heap()
	began, cpu := time.Now(), spent(b)
	search(1)
	first, firstCPU := time.Since(began), spent(b)-cpu
	for i := range mixed {
		search(i)
	}
	var wall, cpus []time.Duration
	n := 0
	for b.Loop() {
		began, cpu := time.Now(), spent(b)
		search(n)
		wall, cpus = append(wall, time.Since(began)), append(cpus, spent(b)-cpu)
		n++
	}
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
	b.ReportMetric(float64(firstCPU.Milliseconds()), "first-cpu-ms")
	b.ReportMetric(p95(wall), "p95-ms")
	b.ReportMetric(p95(cpus), "p95-cpu-ms")
	b.ReportMetric(float64(w.IndexBytes())/1e6, "index-MB")
	b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkScrollTable draws 100 rows of ten columns at places all over a table in the order of a metric.
func BenchmarkScrollTable(b *testing.B) {
	w := benchWorld(b)
	runs := manyRuns(b)
	fill(b, w.db, runs)
	measure(b)
	columns := []string{"attributes.name", "attributes.start_time", "metrics.m0", "metrics.m1", "metrics.m2", "params.p0", "params.p1", "params.p2", "tags.t0", "tags.t1"}
	n := 0
	for b.Loop() {
		_, err := w.RunTable(context.Background(), track.TableQuery{RunSearch: track.RunSearch{Experiments: []string{"0"}, Search: track.Search{OrderBy: []string{"metrics.m0"}}},
			Columns: columns, Offset: n * 7919 % runs, Limit: 100})
		must(b, err)
		n++
	}
}
