// Command linear measures the CPU that logistic regression takes to train, beside scikit-learn's on the same float32
// matrix with the same penalty, one run of each in turn on one thread, and writes the result to its section of
// bench/RESULTS.md.
//
//	go run ./bench/linear [-repeats 5] [-rows 100000] [-columns 100] [-results bench/RESULTS.md]
//
// scikit-learn is that of the test environment (make oracle); set TRIMTAB_BENCH_PYTHON to use another Python that has it.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// job is what both sides train: log loss plus l2/2 times the squared coefficients of standardised columns, which is
// C = 1/l2 for scikit-learn, stopped by the largest component of the mean loss's gradient.
type job struct {
	Rows      int     `json:"rows"`
	Columns   int     `json:"columns"`
	L2        float64 `json:"l2"`
	Tolerance float64 `json:"tolerance"`
	Solver    string  `json:"solver"`
}

// cost is the median over the repeats of what one side took, and the objective that it reached.
type cost struct {
	CPU        float64 // seconds
	Loss       float64 // mean log loss on the training rows
	Iterations int
	Version    string

	all []float64
}

// contest is one setting of both sides.
type contest struct {
	name       string
	job        job
	set        learn.Set
	ours, peer cost
}

func main() {
	repeats := flag.Int("repeats", 5, "runs of each side; the median counts")
	rows := flag.Int("rows", 100_000, "training rows")
	columns := flag.Int("columns", 100, "columns")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(max(*repeats, 1), *rows, *columns, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/linear:", err)
		os.Exit(1)
	}
}

func run(repeats, rows, columns int, file string) error {
	ctx := context.Background()
	var done []contest
	for _, kind := range []string{"independent", "correlated"} {
		set := sample(rows, columns, kind == "correlated", 1)
		for _, setting := range []job{
			{L2: 1, Tolerance: 1e-4, Solver: "lbfgs"}, // scikit-learn's defaults
			{L2: 1, Tolerance: 1e-8, Solver: "newton-cholesky"},
		} {
			setting.Rows, setting.Columns = rows, columns
			c := contest{name: kind, job: setting, set: set}
			if err := c.measure(ctx, repeats); err != nil {
				return err
			}
			fmt.Println(c.row())
			done = append(done, c)
		}
	}
	text := section(done, repeats)
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

// sample is a matrix of normal columns, each of which has its own unit and may share a part with its neighbours, and
// labels drawn by a logistic model in a third of them.
func sample(rows, columns int, correlated bool, seed uint64) learn.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	names := make([]string, columns)
	for j := range names {
		names[j] = fmt.Sprint("c", j)
	}
	set := learn.Set{X: table.NewMatrix(rows, names), Y: make([]float64, rows)}
	slope := make([]float64, columns)
	for j := 0; j < columns; j += 3 {
		slope[j] = r.NormFloat64() / math.Sqrt(float64(columns)/3)
	}
	own := make([]float64, columns)
	for i := range rows {
		margin, last := -0.5, 0.0
		for j := range own {
			v := r.NormFloat64()
			if correlated {
				v = 0.8*last + 0.6*v
			}
			last = v
			own[j] = v
			margin += 1.5 * slope[j] * v
			set.X.Row(i)[j] = float32(v*math.Exp2(float64(j%7-3)) + float64(j%5))
		}
		if r.Float64() < 1/(1+math.Exp(-margin)) {
			set.Y[i] = 1
		}
	}
	return set
}

// measure lets both sides train in turn, so that a noisy neighbour disturbs them alike.
func (c *contest) measure(ctx context.Context, repeats int) error {
	dir, err := os.MkdirTemp("", "bench-linear-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	labels := make([]float32, len(c.set.Y))
	for i, y := range c.set.Y {
		labels[i] = float32(y)
	}
	for name, values := range map[string][]float32{"x": c.set.X.Data, "y": labels} {
		b, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".f32"), b, 0o600); err != nil {
			return err
		}
	}
	b, err := json.Marshal(c.job)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "job.json"), b, 0o600); err != nil {
		return err
	}
	for range repeats {
		if err := c.runOurs(ctx); err != nil {
			return err
		}
		if err := c.runPeer(ctx, dir); err != nil {
			return err
		}
	}
	c.ours.CPU, c.peer.CPU = median(c.ours.all), median(c.peer.all)
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func (c *contest) runOurs(ctx context.Context) error {
	l, err := learn.New("logistic", learn.Params{"l2": c.job.L2, "tolerance": c.job.Tolerance})
	if err != nil {
		return err
	}
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	runtime.GC()
	cpu := cpuSeconds()
	m, err := l.Fit(ctx, c.set, learn.Binary, 2, learn.Options{Workers: 1, Progress: func(done, _ int, _ float64) { c.ours.Iterations = done }})
	if err != nil {
		return err
	}
	c.ours.all = append(c.ours.all, cpuSeconds()-cpu)
	p := make([]float64, len(c.set.Y))
	m.Predict(c.set.X, p)
	c.ours.Loss = 0
	for i, y := range c.set.Y {
		c.ours.Loss -= math.Log(y*p[i]+(1-y)*(1-p[i])) / float64(len(p))
	}
	return nil
}

func (c *contest) runPeer(ctx context.Context, dir string) error {
	python := os.Getenv("TRIMTAB_BENCH_PYTHON")
	if python == "" {
		python = ".cache/oracle/bin/python"
	}
	cmd := exec.CommandContext(ctx, python, "bench/linear/peer.py", dir)
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "OMP_WAIT_POLICY=PASSIVE")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("scikit-learn: %w (make oracle builds its environment)", err)
	}
	got := c.peer
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("scikit-learn answered %q: %w", out, err)
	}
	got.all = append(got.all, got.CPU)
	c.peer = got
	return nil
}

// cpuSeconds is the user and system time of the process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
