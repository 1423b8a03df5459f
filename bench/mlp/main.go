// Command mlp measures the CPU that a multilayer perceptron takes to train, beside scikit-learn's on the same rows with
// the same layers, batches and epochs, one run of each in turn on one thread, and the loss of both on rows held out. It
// writes the result to its section of bench/RESULTS.md.
//
//	go run ./bench/mlp [-repeats 3] [-rows 100000] [-epochs 20] [-results bench/RESULTS.md]
//
// scikit-learn is that of the test environment (make oracle); set TRIMTAB_BENCH_PYTHON to use another Python that has it.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	title   = "## Learning: network"
	columns = 28
)

// job is what both sides train.
type job struct {
	Columns int   `json:"columns"`
	Hidden  []int `json:"hidden"`
	Epochs  int   `json:"epochs"`
	Batch   int   `json:"batch"`
}

// cost is what one run of one side took, and its loss on the rows held out.
type cost struct {
	CPU, Loss     float64
	Kind, Version string
}

func main() {
	repeats := flag.Int("repeats", 3, "runs of each side; the median counts")
	rows := flag.Int("rows", 100_000, "training rows")
	epochs := flag.Int("epochs", 20, "epochs")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(context.Background(), max(*repeats, 1), *rows, *epochs, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/mlp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, repeats, rows, epochs int, file string) error {
	train, test := sample(rows, 1), sample(max(rows/5, 1000), 2)
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("%s\n\n`go run ./bench/mlp`, %s, %s, %s. %d rows x %d, %d epochs in batches of 200, Adam, 1 thread, CPU seconds of the fit, median of %d;\n", title,
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(), rows, columns, epochs, repeats)
	p("log loss on %d rows held out. scikit-learn trains on float64 and on float32, and the cheaper counts. Load average at the end: %s.\n\n", len(test.Y), results.Load())
	p("| hidden layers | ours, CPU s | scikit-learn, CPU s | ratio (goal 0.7) | log loss, ours | scikit-learn |\n|---|---|---|---|---|---|\n")
	for _, hidden := range [][]int{{100}, {256, 256, 256}} {
		j := job{Columns: columns, Hidden: hidden, Epochs: epochs, Batch: 200}
		var ours, theirs []cost
		for range repeats {
			one, err := fitOurs(ctx, j, train, test)
			if err != nil {
				return err
			}
			other, err := fitTheirs(ctx, j, train, test)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, one), append(theirs, other)
		}
		us, they := median(ours), median(theirs)
		p("| %s | %.2f | %.2f (%s, %s) | **%.2fx** | %.4f | %.4f |\n", strings.Trim(fmt.Sprint(hidden), "[]"), us.CPU, they.CPU, they.Version, they.Kind, us.CPU/they.CPU, us.Loss, they.Loss)
	}
	fmt.Print(b.String())
	if file == "" {
		return nil
	}
	return results.Replace(file, title, b.String())
}

// median is the run of the median cost.
func median(v []cost) cost {
	slices.SortFunc(v, func(a, b cost) int { return int(math.Copysign(1, a.CPU-b.CPU)) })
	return v[len(v)/2]
}

// sample is rows whose label depends on them in a curved way.
func sample(rows int, seed uint64) learn.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	names := make([]string, columns)
	for j := range names {
		names[j] = fmt.Sprint("c", j)
	}
	set := learn.Set{X: table.NewMatrix(rows, names), Y: make([]float64, rows)}
	for i := range rows {
		row := set.X.Row(i)
		for j := range row {
			row[j] = float32(r.NormFloat64())
		}
		v := func(j int) float64 { return float64(row[j]) }
		z := math.Sin(2*v(0)) + v(1)*v(2) + .8*math.Abs(v(3)) - .6 + .5*v(4) - .7*v(5)*v(5)*v(6)/2 + .4*v(7)
		if r.Float64() < 1/(1+math.Exp(-z)) {
			set.Y[i] = 1
		}
	}
	return set
}

func fitOurs(ctx context.Context, j job, train, test learn.Set) (cost, error) {
	l, err := learn.New("mlp", learn.Params{"hidden": j.Hidden, "activation": "relu", "epochs": j.Epochs, "batch": j.Batch, "label_smoothing": 0, "validation_fraction": 0, "seed": 1})
	if err != nil {
		return cost{}, err
	}
	runtime.GC()
	begun := seconds()
	m, err := l.Fit(ctx, train, learn.Binary, 2, learn.Options{Workers: 1, Ready: func() { begun = seconds() }})
	took := seconds() - begun
	if err != nil {
		return cost{}, err
	}
	p := make([]float64, len(test.Y))
	m.Predict(test.X, p)
	return cost{CPU: took, Loss: learner.MeanLoss(learn.Binary, test.Y, p)}, nil
}

func seconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func fitTheirs(ctx context.Context, j job, train, test learn.Set) (c cost, err error) {
	dir, err := os.MkdirTemp("", "bench-mlp-*")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, v := range map[string][]float32{"x": train.X.Data, "xt": test.X.Data, "y": singles(train.Y), "yt": singles(test.Y)} {
		f, err := os.Create(filepath.Join(dir, name+".f32"))
		if err != nil {
			return c, err
		}
		if err := errors.Join(binary.Write(f, binary.LittleEndian, v), f.Close()); err != nil {
			return c, err
		}
	}
	text, err := json.Marshal(j)
	if err != nil {
		return c, err
	}
	if err := os.WriteFile(filepath.Join(dir, "job.json"), text, 0o644); err != nil {
		return c, err
	}
	python := os.Getenv("TRIMTAB_BENCH_PYTHON")
	if python == "" {
		python = ".cache/oracle/bin/python"
	}
	cmd := exec.CommandContext(ctx, python, "bench/mlp/peer.py", dir)
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return c, fmt.Errorf("peer: %w", err)
	}
	return c, json.Unmarshal(answer, &c)
}

func singles(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
