// Command ingest measures how long a CSV file takes to become a checked, profiled version of a dataset, beside DuckDB's own copy of the same
// file from CSV to Parquet with the same codec, level, threads and memory, in turn, and writes the result to its section of bench/RESULTS.md.
//
//	go run ./bench/ingest [-copies 15] [-repeats 5] [-results bench/RESULTS.md]
//
// The file is the flights of 2013 over and over, a year later each time, so that the key stays unique. Run it from the repository's root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

const title = "## CSV to checked, profiled version against DuckDB COPY"

// cost is what one run took, in seconds.
type cost struct{ wall, cpu float64 }

// spec is the dataset of examples/flights with checks of each sort.
var spec = project.Dataset{
	Files: project.Strings{"flights.csv"}, Key: []string{"time_hour", "carrier", "flight", "origin"},
	Time: &project.TimeColumn{Column: "time_hour", Zone: "America/New_York"},
	Contract: []project.Check{{Column: "distance", Between: []float64{10, 6000}}, {Column: "dest", Matches: "^[A-Z]{3}$"},
		{Column: "origin", In: []string{"EWR", "JFK", "LGA"}}, {Column: "carrier", NotNull: true}, {Rows: &project.RowCount{AtLeast: 10000}}},
}

func main() {
	copies := flag.Int("copies", 15, "how many times the flights of 2013 are in the file")
	repeats := flag.Int("repeats", 5, "how often each side runs")
	file := flag.String("results", results.File, "file whose section is replaced; empty = none")
	flag.Parse()
	if err := run(context.Background(), *copies, *repeats, *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, copies, repeats int, file string) error {
	dir, err := os.MkdirTemp("", "trimtab-bench-ingest-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	csv := filepath.Join(dir, "flights.csv")
	if err := makeCSV(ctx, csv, copies); err != nil {
		return err
	}
	info, err := os.Stat(csv)
	if err != nil {
		return err
	}
	private := spec
	private.Personal = map[string]string{"tailnum": data.Pseudonymise}
	var ours, hidden, peer []cost
	var v *data.Version
	for i := range repeats {
		p, err := measure(func() error { return copyOnly(ctx, csv, filepath.Join(dir, "peer.parquet")) })
		if err != nil {
			return fmt.Errorf("DuckDB's copy: %w", err)
		}
		o, err := measure(func() error {
			v, err = ingest(ctx, spec, dir, filepath.Join(dir, fmt.Sprintf("state-%d", i)))
			return err
		})
		if err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
		h, err := measure(func() error {
			_, err := ingest(ctx, private, dir, filepath.Join(dir, fmt.Sprintf("private-%d", i)))
			return err
		})
		if err != nil {
			return fmt.Errorf("ingest with pseudonyms: %w", err)
		}
		peer, ours, hidden = append(peer, p), append(ours, o), append(hidden, h)
		fmt.Printf("%d: DuckDB %.2f s (CPU %.2f), Trimtab %.2f s (CPU %.2f), with pseudonyms %.2f s (CPU %.2f)\n", i+1, p.wall, p.cpu, o.wall, o.cpu, h.wall, h.cpu)
	}
	text := section(v, info.Size(), copies, median(ours), median(hidden), median(peer), repeats)
	fmt.Print(text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

func makeCSV(ctx context.Context, path string, copies int) error {
	d, err := duck.Open(duck.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Exec(ctx, fmt.Sprintf(`COPY (SELECT f.* REPLACE (f.year + i AS year, f.time_hour + to_days((365 * i)::INTEGER) AS time_hour) FROM range(%d) t(i),
		(SELECT * FROM read_parquet(['examples/flights/flights-2013-q1.parquet', 'examples/flights/flights-2013-replay.parquet'])) f) TO %s (HEADER)`,
		copies, duck.Literal(path)))
}

// copyOnly is the peer: it reads, it writes, it looks at nothing.
func copyOnly(ctx context.Context, csv, to string) error {
	d, err := duck.Open(duck.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Exec(ctx, "COPY (SELECT * FROM read_csv("+duck.Literal(csv)+")) TO "+duck.Literal(to)+" ("+duck.ParquetOptions+")")
}

// ingest is what a first apply does with the file, in a new state directory: hash, read, check, find repeated keys, profile, sync, record.
func ingest(ctx context.Context, spec project.Dataset, dir, state string) (*data.Version, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	db, err := catalog.Open(ctx, filepath.Join(state, "catalog.db"), govern.Schema, data.Schema)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	blobs, err := blob.NewFile(filepath.Join(state, "blobs"), blob.Disk{})
	if err != nil {
		return nil, err
	}
	d, err := duck.Open(duck.Options{TempDir: filepath.Join(state, "temp")})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s := data.New(db, blobs, d, govern.New(db), []byte("benchmark"))
	return s.Ingest(ctx, data.IngestRequest{Project: "bench", Dataset: "flights", Spec: spec, Dir: dir}, nil)
}

func measure(f func() error) (cost, error) {
	before, start := cpu(), time.Now()
	err := f()
	return cost{time.Since(start).Seconds(), cpu() - before}, err
}

// cpu is what this process used so far, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func median(runs []cost) cost {
	pick := func(of func(cost) float64) float64 {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = of(r)
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return cost{pick(func(c cost) float64 { return c.wall }), pick(func(c cost) float64 { return c.cpu })}
}

func section(v *data.Version, bytes int64, copies int, ours, hidden, peer cost, repeats int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "Goal: at most 2x the wall of the copy. `go run ./bench/ingest`, %s, %s, %s.\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&b, "The flights of 2013 %d times over: %.2fM rows, %.0f MB. Both sides: DuckDB in process, zstd at its default level, %d threads, 512 MB of memory; medians of %d runs in turn.\n",
		copies, float64(v.Rows)/1e6, float64(bytes)/1e6, min(runtime.NumCPU(), 8), repeats)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(&b, "Load average of the machine at the end: %s; above one per processor the wall times say little.\n", strings.Fields(string(load))[0])
	}
	b.WriteString("Ours also hashes the file, checks every row against a contract of five checks and a key of four columns, describes 19 columns and syncs to disk; with pseudonyms, it replaces a column by keyed hashes too.\n\n")
	b.WriteString("| | wall s | ratio | CPU s | ratio | rows/s |\n|---|---|---|---|---|---|\n")
	line := func(name string, c cost) {
		fmt.Fprintf(&b, "| %s | %.2f | **%.2f** | %.2f | %.2f | %.2fM |\n", name, c.wall, c.wall/peer.wall, c.cpu, c.cpu/peer.cpu, float64(v.Rows)/c.wall/1e6)
	}
	line("DuckDB COPY", peer)
	line("Trimtab ingest", ours)
	line("Trimtab ingest with pseudonyms", hidden)
	return b.String()
}
