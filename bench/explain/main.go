// Command explain measures the CPU that exact Shapley values take, beside LightGBM's pred_contrib on the same model and
// rows, one run of each in turn on one thread, checks that both say the same, and writes the result to its section of
// bench/RESULTS.md.
//
//	go run ./bench/explain [-repeats 3] [-rows 20000] [-peer-rows 4000] [-results bench/RESULTS.md]
//
// LightGBM comes from .cache/oracle, which make oracle builds; set TRIMTAB_BENCH_PYTHON to use another Python.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	title   = "## TreeSHAP against LightGBM pred_contrib"
	columns = 28 // of peer.py's rows
)

// contest is one model.
type contest struct {
	leaves      int
	build, ours float64 // CPU seconds: of explain.New, of explaining all rows
	peer        float64 // of the peer's rows
	held        int     // bytes of the explainer
	difference  float64 // largest between the contributions of both
	version     string
}

type bench struct {
	python         string
	repeats        int
	rows, peerRows int
	dir            string
}

func main() {
	repeats := flag.Int("repeats", 3, "runs of each side; the one with the least CPU counts")
	rows := flag.Int("rows", 20_000, "rows that ours explains")
	peerRows := flag.Int("peer-rows", 4_000, "rows that LightGBM explains, the first of them: it takes minutes for all, and as long for each")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	b := bench{python: os.Getenv("TRIMTAB_BENCH_PYTHON"), repeats: max(*repeats, 1), rows: *rows, peerRows: min(*peerRows, *rows)}
	if b.python == "" {
		b.python = ".cache/oracle/bin/python"
	}
	if err := b.run(*file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/explain:", err)
		os.Exit(1)
	}
}

func (b *bench) run(file string) error {
	ctx := context.Background()
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-explain-*"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	var done []*contest
	for _, leaves := range []int{31, 255} {
		c := &contest{leaves: leaves, ours: math.Inf(1), peer: math.Inf(1), build: math.Inf(1)}
		if _, err := b.ask(ctx, "train", strconv.Itoa(leaves), strconv.Itoa(b.rows)); err != nil {
			return err
		}
		for range b.repeats {
			if err := b.measure(ctx, c); err != nil {
				return err
			}
		}
		fmt.Println(b.row(c))
		done = append(done, c)
	}
	text := b.section(done)
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

// measure lets both sides explain in turn, so that a noisy neighbour disturbs them alike.
func (b *bench) measure(ctx context.Context, c *contest) error {
	text, err := os.ReadFile(filepath.Join(b.dir, "model.txt"))
	if err != nil {
		return err
	}
	model, _, err := exchange.Read(text)
	if err != nil {
		return err
	}
	x := table.NewMatrix(b.rows, make([]string, columns))
	if err := read(filepath.Join(b.dir, "rows.f32"), x.Data); err != nil {
		return err
	}
	ours := make([]float64, len(x.Data))
	runtime.GC()
	start := cpuSeconds()
	e, err := explain.New(model)
	if err != nil {
		return err
	}
	c.build, c.held = min(c.build, cpuSeconds()-start), e.Bytes()
	start = cpuSeconds()
	e.Rows(x, ours, 1)
	c.ours = min(c.ours, cpuSeconds()-start)

	out, err := b.ask(ctx, "explain", strconv.Itoa(b.peerRows))
	if err != nil {
		return err
	}
	var got struct {
		CPU     float64
		Version string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("LightGBM answered %q: %w", out, err)
	}
	c.peer, c.version = min(c.peer, got.CPU), got.Version
	theirs := make([]float64, b.peerRows*(columns+1))
	if err := read(filepath.Join(b.dir, "peer.f64"), theirs); err != nil {
		return err
	}
	for i := range b.peerRows {
		row := theirs[i*(columns+1) : (i+1)*(columns+1)]
		for j, v := range row[:columns] {
			c.difference = max(c.difference, math.Abs(v-ours[i*columns+j]))
		}
		c.difference = max(c.difference, math.Abs(row[columns]-e.Expected()[0]))
	}
	if c.difference > 1e-9 {
		return fmt.Errorf("contributions differ by %g at %d leaves", c.difference, c.leaves)
	}
	return nil
}

// ask runs the peer's script.
func (b *bench) ask(ctx context.Context, command string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.python, append([]string{"bench/explain/peer.py", command, b.dir}, args...)...)
	cmd.Env = append(os.Environ(), "OMP_WAIT_POLICY=PASSIVE")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("LightGBM: %s: %w; make oracle installs it", command, err)
	}
	return out, nil
}

func read(path string, values any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = binary.Decode(raw, binary.LittleEndian, values)
	return err
}

// row is the contest as a line of the table.
func (b *bench) row(c *contest) string {
	ours, peer := float64(b.rows)/c.ours, float64(b.peerRows)/c.peer
	return fmt.Sprintf("| 100 x %d | %.0f | %.0f | **%.1f** | %.3f | %.1f | %.1g |", c.leaves, ours, peer, ours/peer, c.build, float64(c.held)/1e6, c.difference)
}

// section is the text for RESULTS.md.
func (b *bench) section(done []*contest) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\n", title)
	fmt.Fprintf(&s, "Goal: at least 5x as many rows per CPU second. `go run ./bench/explain`, %s, %s, %s.\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&s, "LightGBM %s from PyPI trained the models, 28 dense columns; both sides explain the same rows with them on one thread, ours %d, LightGBM the first %d. Each side ran in turn %d times; the run\n",
		done[0].version, b.rows, b.peerRows, b.repeats)
	fmt.Fprintf(&s, "with the least CPU counts. Preparing a model is apart. Load average of the machine at the end: %s.\n\n", results.Load())
	s.WriteString("| trees x leaves | ours, rows/CPU s | LightGBM, rows/CPU s | ratio | to prepare, CPU s | held, MB | largest difference |\n|---|---|---|---|---|---|---|\n")
	for _, c := range done {
		s.WriteString(b.row(c))
		s.WriteByte('\n')
	}
	return s.String()
}

// cpuSeconds is the user and system time of the process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF cannot fail
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
