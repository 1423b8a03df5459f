// Command onnx measures the CPU that evaluating ONNX graphs takes, beside onnxruntime with the same files on one thread: a pipeline
// of trees, a network and a logistic regression, by one row and by 1,000. Every side is a process of its own and takes its turn. The
// result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/onnx [-repeats 5] [-results bench/RESULTS.md]
//
// The peer comes from .cache/oracle, which `make oracle` builds; set TRIMTAB_BENCH_PYTHON to use another Python.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

const (
	title   = "## Evaluating ONNX graphs against onnxruntime"
	columns = 20
	rows    = 1000
)

// answer is what a side says: CPU seconds of a call, and the scores of the first rows.
type answer struct {
	Version string    `json:"version"`
	CPU     float64   `json:"cpu"`
	Scores  []float64 `json:"scores"`
}

type side struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	last    answer
	times   map[int][]float64 // CPU seconds of a call by its rows
}

func main() {
	repeats := flag.Int("repeats", 5, "turns of each side; the median counts")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	model := flag.String("model", "", "score this file; what the benchmark starts itself with")
	flag.Parse()
	var err error
	if *model != "" {
		err = serve(*model)
	} else {
		err = run(max(*repeats, 1), *file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/onnx:", err)
		os.Exit(1)
	}
}

func run(repeats int, file string) error {
	const script = "bench/onnx/peer.py"
	python := cmp.Or(os.Getenv("TRIMTAB_BENCH_PYTHON"), ".cache/oracle/bin/python")
	dir, err := os.MkdirTemp("", "bench-onnx-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	prepare := exec.Command(python, script, "prepare", dir)
	prepare.Stderr = os.Stderr
	if err := prepare.Run(); err != nil {
		return fmt.Errorf("%s prepare: %w", script, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var b strings.Builder
	lines, version := []string{}, ""
	for _, name := range []string{"trees", "mlp", "logistic"} {
		ours := &side{command: exec.Command(self, "-model", filepath.Join(dir, name+".onnx"))}
		peer := &side{command: exec.Command(python, script, "score", dir, name)}
		for _, s := range []*side{ours, peer} {
			if err := s.start(); err != nil {
				return err
			}
			defer s.stop()
		}
		for range repeats {
			for _, call := range [][2]int{{1, 3000}, {rows, 30}} {
				for _, s := range []*side{ours, peer} {
					if err := s.ask(call[0], call[1]); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
				}
			}
		}
		for i, v := range ours.last.Scores {
			if math.Abs(v-peer.last.Scores[i]) > 1e-5 {
				return fmt.Errorf("%s: score %d is %v, and onnxruntime's %v", name, i, v, peer.last.Scores[i])
			}
		}
		version = peer.last.Version
		for _, n := range []int{1, rows} {
			a, p := median(ours.times[n]), median(peer.times[n])
			lines = append(lines, fmt.Sprintf("| %s | %d | %.1f | %.1f | %.2f |\n", name, n, a*1e6, p*1e6, p/a))
		}
	}
	fmt.Fprintf(&b, "%s\n\n`go run ./bench/onnx`, %s, %s, %s. onnxruntime %s from PyPI, called from Python (about 6 microseconds a call).\n", title,
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(), version)
	fmt.Fprintf(&b, "Pipelines of scikit-learn over %d columns behind a StandardScaler: 100 trees x 31 leaves, a network of 64 and 32, a logistic regression. One thread; CPU of a call in microseconds, medians of %d turns; scores agree to 1e-5. Load average of the machine at the end: %s.\n\n",
		columns, repeats, results.Load())
	b.WriteString("| model | rows | Trimtab, us | onnxruntime, us | onnxruntime / Trimtab |\n|---|---|---|---|---|\n" + strings.Join(lines, ""))
	fmt.Print("\n", b.String())
	if file == "" {
		return nil
	}
	return results.Replace(file, title, b.String())
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (s *side) start() error {
	s.times = map[int][]float64{}
	s.command.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	s.command.Stderr = os.Stderr
	var err error
	if s.in, err = s.command.StdinPipe(); err != nil {
		return err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewScanner(out)
	return s.command.Start()
}

// stop ends the side; its process ends with its input.
func (s *side) stop() {
	s.in.Close()
	_ = s.command.Wait() // what it had to say it has said
}

func (s *side) ask(n, times int) error {
	if _, err := fmt.Fprintln(s.in, n, times); err != nil {
		return err
	}
	if !s.out.Scan() {
		return cmp.Or(s.out.Err(), io.ErrUnexpectedEOF)
	}
	s.last = answer{}
	if err := json.Unmarshal(s.out.Bytes(), &s.last); err != nil {
		return err
	}
	s.times[n] = append(s.times[n], s.last.CPU)
	return nil
}

// serve scores a file, as peer.py does: it answers each line of standard input.
func serve(path string) error {
	runtime.GOMAXPROCS(1)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p, err := onnx.Open(b)
	if err != nil {
		return err
	}
	defer p.Close()
	if b, err = os.ReadFile(filepath.Join(filepath.Dir(path), "x.f32")); err != nil {
		return err
	}
	x := make([]float32, rows*columns)
	if _, err := binary.Decode(b, binary.LittleEndian, x); err != nil {
		return err
	}
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var n, times int
		if _, err := fmt.Sscan(lines.Text(), &n, &times); err != nil {
			return err
		}
		a := answer{}
		begin := cpuSeconds()
		for i := range times {
			at := i * n % rows
			out, err := p.Predict(context.Background(), &predictor.Request{Inputs: []tensor.Named{{Name: "X", Tensor: tensor.New(x[at*columns:(at+n)*columns], n, columns)}}})
			if err != nil {
				return err
			}
			if i == times-1 {
				if a.Scores, err = out[1].Float64s(); err != nil {
					return err
				}
			}
		}
		a.CPU = (cpuSeconds() - begin) / float64(times)
		a.Scores = a.Scores[:min(len(a.Scores), 20)]
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// cpuSeconds is the user and system time of the process so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF cannot fail
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
