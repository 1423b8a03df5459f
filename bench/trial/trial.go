// Package trial lets Trimtab's learners and those of a Python library train on the same float32 matrix, each fit in a
// process of its own, and tells what it cost. Benchmarks of learning stand on it. It must never know what is compared or
// which result is good.
package trial

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Job is one fit of a binary task, as both sides read it from job.json.
type Job struct {
	Columns int            `json:"columns"`
	Levels  []int32        `json:"levels"` // as in table.Matrix
	Learner string         `json:"learner"`
	Params  map[string]any `json:"params"` // of the side's own learner
	Threads int            `json:"threads"`
	FitOnly bool           `json:"fit_only"` // predict nothing and do not read the test rows, for the memory of the fit
}

// Cost is what a fit took and how well its model ranks the test rows.
type Cost struct {
	CPU     float64 `json:"cpu"`  // seconds of the fit, binning included, reading the matrix not
	Wall    float64 `json:"wall"` // seconds
	Version string  `json:"version"`
	AUC     float64 `json:"-"` // 0 with FitOnly
	Peak    float64 `json:"-"` // MiB, of the whole process
}

// Files is a folder with a training and a test set.
type Files struct {
	dir     string
	columns int
	levels  []int32
	y       []float64
}

// Write puts both sets into a new temporary folder, which Remove removes.
func Write(train, test learn.Set) (*Files, error) {
	dir, err := os.MkdirTemp("", "bench-trial-*")
	if err != nil {
		return nil, err
	}
	f := &Files{dir: dir, columns: train.X.Cols, levels: train.X.Levels, y: test.Y}
	for name, values := range map[string][]float32{"train_x": train.X.Data, "train_y": singles(train.Y), "test_x": test.X.Data} {
		b, err := binary.Append(nil, binary.LittleEndian, values)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".f32"), b, 0o600)
		}
		if err != nil {
			return nil, errors.Join(err, f.Remove())
		}
	}
	return f, nil
}

// Remove removes the folder.
func (f *Files) Remove() error { return os.RemoveAll(f.dir) }

// Ours runs the job in a copy of this program, whose main must call Child first.
func (f *Files) Ours(ctx context.Context, job Job) (Cost, error) {
	self, err := os.Executable()
	if err != nil {
		return Cost{}, err
	}
	cmd := exec.CommandContext(ctx, self, childFlag, f.dir)
	cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", job.Threads))
	return f.run(cmd, job)
}

// Peer runs the job with a Python script, which gets the folder as its argument.
func (f *Files) Peer(ctx context.Context, python, script string, job Job) (Cost, error) {
	cmd := exec.CommandContext(ctx, python, script, f.dir)
	// Threads that wait for each other must not be counted as work.
	cmd.Env = append(os.Environ(), fmt.Sprint("OMP_NUM_THREADS=", job.Threads), "OMP_WAIT_POLICY=PASSIVE")
	return f.run(cmd, job)
}

func (f *Files) run(cmd *exec.Cmd, job Job) (Cost, error) {
	job.Columns, job.Levels = f.columns, f.levels
	b, err := json.Marshal(job)
	if err != nil {
		return Cost{}, err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "job.json"), b, 0o600); err != nil {
		return Cost{}, err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return Cost{}, fmt.Errorf("%s: %w", cmd, err)
	}
	var c Cost
	if err := json.Unmarshal(out, &c); err != nil {
		return c, fmt.Errorf("%s answered %q: %w", cmd, out, err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.Peak = float64(u.Maxrss) / 1024 // Linux counts in KiB
	}
	if job.FitOnly {
		return c, nil
	}
	raw, err := os.ReadFile(filepath.Join(f.dir, "predicted.f64"))
	if err != nil {
		return c, err
	}
	p := make([]float64, len(f.y))
	if _, err := binary.Decode(raw, binary.LittleEndian, p); err != nil {
		return c, err
	}
	c.AUC = evaluate.AUC(f.y, p)
	return c, nil
}

const childFlag = "-trial-child"

// Child does the job and returns true when this process was started by Ours for it.
func Child() bool {
	if len(os.Args) != 3 || os.Args[1] != childFlag {
		return false
	}
	if err := child(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/trial:", err)
		os.Exit(1)
	}
	return true
}

func child(dir string) error {
	var job Job
	b, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &job); err != nil {
		return err
	}
	l, err := learn.New(job.Learner, job.Params)
	if err != nil {
		return err
	}
	x, err := matrix(filepath.Join(dir, "train_x.f32"), job)
	if err != nil {
		return err
	}
	labels, err := read(filepath.Join(dir, "train_y.f32"))
	if err != nil {
		return err
	}
	set := learn.Set{X: x, Y: make([]float64, len(labels))}
	for i, v := range labels {
		set.Y[i] = float64(v)
	}
	runtime.GC()
	cpu, start := cpuSeconds(), time.Now()
	m, err := l.Fit(context.Background(), set, learn.Binary, 2, learn.Options{Workers: job.Threads})
	c := Cost{CPU: cpuSeconds() - cpu, Wall: time.Since(start).Seconds(), Version: runtime.Version()}
	if err != nil {
		return err
	}
	if !job.FitOnly {
		test, err := matrix(filepath.Join(dir, "test_x.f32"), job)
		if err != nil {
			return err
		}
		p := make([]float64, test.Rows)
		m.Predict(test, p)
		out, err := binary.Append(nil, binary.LittleEndian, p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "predicted.f64"), out, 0o600); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

func matrix(path string, job Job) (*table.Matrix, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return &table.Matrix{Rows: len(data) / job.Columns, Cols: job.Columns, Data: data, Names: make([]string, job.Columns), Levels: job.Levels}, nil
}

// read reads float32 straight into the memory they stay in, so that reading does not add to the peak.
func read(path string) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out := make([]float32, info.Size()/4)
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), 4*len(out))
	for len(b) > 0 {
		n, err := f.Read(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
	}
	return out, nil
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

// Python is one that can import the module: TRIMTAB_BENCH_PYTHON, or that of the oracles (make oracle).
func Python(module string) (string, error) {
	python := os.Getenv("TRIMTAB_BENCH_PYTHON")
	if python == "" {
		python = ".cache/oracle/bin/python"
	}
	if out, err := exec.Command(python, "-c", "import "+module).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s cannot import %s (run make oracle, or set TRIMTAB_BENCH_PYTHON): %w\n%s", python, module, err, strings.TrimSpace(string(out)))
	}
	return python, nil
}
