// Command gbdt measures the CPU that gradient boosting takes to train, beside LightGBM on the same float32 matrix with
// the same trees, leaves and bins, one run of each in turn on one thread and on two, and writes the result to its
// section of bench/RESULTS.md.
//
//	go run ./bench/gbdt [-repeats 3] [-synthetic 300000] [-results bench/RESULTS.md]
//
// LightGBM comes from PyPI into .cache/bench-gbdt; set TRIMTAB_BENCH_PYTHON to use a Python that has it already.
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
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn"
)

// job is what both sides train.
type job struct {
	Columns      int     `json:"columns"`
	Rounds       int     `json:"rounds"`
	Leaves       int     `json:"leaves"`
	Bins         int     `json:"bins"`
	LearningRate float64 `json:"learning_rate"`
	MinLeaf      int     `json:"min_leaf"`
	MinHessian   float64 `json:"min_hessian"`
	L2           float64 `json:"l2"`
	Threads      int     `json:"threads"`
	Layout       string  `json:"layout"` // of LightGBM's histograms: force_row_wise or force_col_wise
}

// cost is the least that one side took over the repeats, and how well its model ranks the test rows.
type cost struct {
	CPU, Wall float64 // seconds
	AUC       float64
	Version   string
}

// entry is a data set and the tree sizes to train on it.
type entry struct {
	name        string
	train, test learn.Set
	leaves      []int
}

// contest is one data set at one setting.
type contest struct {
	name        string
	train, test learn.Set
	job         job
	ours, peer  cost
}

func main() {
	repeats := flag.Int("repeats", 3, "runs of each side; the one with the least CPU counts")
	synthetic := flag.Int("synthetic", 300_000, "training rows of the synthetic set; 0 leaves it out")
	file := flag.String("results", "bench/RESULTS.md", "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(max(*repeats, 1), *synthetic, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gbdt:", err)
		os.Exit(1)
	}
}

func run(repeats, synthetic int, file string) error {
	ctx := context.Background()
	python, err := peerPython()
	if err != nil {
		return err
	}
	train, test, err := flights(ctx)
	if err != nil {
		return err
	}
	sets := []entry{{"flights", train, test, []int{31, 255}}}
	if synthetic > 0 {
		train, test := particles(synthetic, 1), particles(100_000, 2)
		sets = append(sets, entry{"synthetic", train, test, []int{31}})
	}
	var done []contest
	for _, s := range sets {
		for _, leaves := range s.leaves {
			for _, threads := range []int{1, 2} {
				c := contest{name: s.name, train: s.train, test: s.test}
				c.job = job{Columns: c.train.X.Cols, Rounds: 100, Leaves: leaves, Bins: 255, LearningRate: 0.1,
					MinLeaf: 20, MinHessian: 1e-3, L2: 1, Threads: threads}
				if err := c.measure(ctx, python, repeats); err != nil {
					return err
				}
				fmt.Println(c.row())
				done = append(done, c)
			}
		}
	}
	text := section(done)
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

// measure lets both sides train in turn, so that a noisy neighbour disturbs them alike.
func (c *contest) measure(ctx context.Context, python string, repeats int) error {
	dir, err := os.MkdirTemp("", "bench-gbdt-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, values := range map[string][]float32{"train_x": c.train.X.Data, "train_y": singles(c.train.Y), "test_x": c.test.X.Data} {
		b, err := binary.Append(nil, binary.LittleEndian, values)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".f32"), b, 0o600); err != nil {
			return err
		}
	}
	c.ours.CPU, c.peer.CPU = math.Inf(1), math.Inf(1)
	for range repeats {
		if err := c.runOurs(ctx); err != nil {
			return err
		}
		for _, layout := range []string{"force_row_wise", "force_col_wise"} {
			if err := c.runPeer(ctx, python, dir, layout); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *contest) runOurs(ctx context.Context) error {
	l, err := learn.New("gbdt", learn.Params{"rounds": c.job.Rounds, "leaves": c.job.Leaves, "bins": c.job.Bins,
		"learning_rate": c.job.LearningRate, "min_leaf": c.job.MinLeaf, "min_hessian": c.job.MinHessian, "l2": c.job.L2})
	if err != nil {
		return err
	}
	before := runtime.GOMAXPROCS(c.job.Threads)
	defer runtime.GOMAXPROCS(before)
	runtime.GC()
	cpu, start := cpuSeconds(), time.Now()
	m, err := l.Fit(ctx, c.train, learn.Binary, 2, learn.Options{Workers: c.job.Threads})
	cpu, wall := cpuSeconds()-cpu, time.Since(start).Seconds()
	if err != nil || cpu >= c.ours.CPU {
		return err
	}
	p := make([]float64, c.test.X.Rows)
	m.Predict(c.test.X, p)
	c.ours = cost{CPU: cpu, Wall: wall, AUC: evaluate.AUC(c.test.Y, p)}
	return nil
}

func (c *contest) runPeer(ctx context.Context, python, dir, layout string) error {
	j := c.job
	j.Layout = layout
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "job.json"), b, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, python, "bench/gbdt/peer.py", dir)
	// Threads that wait for each other must not be counted as work.
	cmd.Env = append(os.Environ(), fmt.Sprint("OMP_NUM_THREADS=", c.job.Threads), "OMP_WAIT_POLICY=PASSIVE")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("LightGBM: %w", err)
	}
	var got cost
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("LightGBM answered %q: %w", out, err)
	}
	if got.CPU >= c.peer.CPU {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, "peer.f64"))
	if err != nil {
		return err
	}
	p := make([]float64, c.test.X.Rows)
	if _, err := binary.Decode(raw, binary.LittleEndian, p); err != nil {
		return err
	}
	got.AUC = evaluate.AUC(c.test.Y, p)
	c.peer = got
	return nil
}

func singles(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, f := range v {
		out[i] = float32(f)
	}
	return out
}

// cpuSeconds is the user and system time of the process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF cannot fail
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peerPython is a Python that can import LightGBM, made on first use.
func peerPython() (string, error) {
	if p := os.Getenv("TRIMTAB_BENCH_PYTHON"); p != "" {
		return p, nil
	}
	const home = ".cache/bench-gbdt"
	python := filepath.Join(home, "bin", "python")
	if exec.Command(python, "-c", "import lightgbm").Run() == nil {
		return python, nil
	}
	for _, args := range [][]string{{"python3", "-m", "venv", home}, {python, "-m", "pip", "install", "-q", "-r", "bench/gbdt/requirements.txt"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	return python, nil
}
