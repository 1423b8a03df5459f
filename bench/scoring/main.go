// Command scoring measures the CPU that predicting with trees takes, beside LightGBM and ONNX Runtime with the same
// model on one thread: many rows at once, and one row after another. Every side is a process of its own and takes its
// turn; Trimtab has one for each kernel that the processor has. The result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/scoring [-repeats 5] [-rows 20000] [-results bench/RESULTS.md]
//
// The peers come from .cache/oracle, which `make oracle` builds; set TRIMTAB_BENCH_PYTHON to use another Python.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/trimtab-ml/trimtab/bench/results"
)

// job is the model and the rows.
type job struct {
	Columns int `json:"columns"`
	Train   int `json:"train"` // rows that the model is trained on
	Rows    int `json:"rows"`  // rows that are scored together
	Single  int `json:"single"`
	Trees   int `json:"trees"`
	Leaves  int `json:"leaves"`
}

// answer is what a side says to one request: CPU seconds of a row.
type answer struct {
	Version string    `json:"version"`
	CPU     float64   `json:"cpu"`
	Margins []float64 `json:"margins"` // of the first rows
}

// side is one that scores.
type side struct {
	name    string
	kernel  string // of Trimtab's sides
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner

	version    string
	batch, row []float64 // CPU seconds of a row, run by run
	margins    []float64
}

// kernels are the values of GODEBUG with which the processor seems to have no better kernel.
var kernels = map[string]string{
	"avx512": "",
	"avx2":   "cpu.avx512f=off",
	"scalar": "cpu.avx512f=off,cpu.avx2=off",
}

// contest is one model and its sides.
type contest struct {
	job   job
	sides []*side
}

func main() {
	repeats := flag.Int("repeats", 5, "turns of each side; the median counts")
	rows := flag.Int("rows", 20_000, "rows to score together")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	scorer := flag.String("scorer", "", "score the model of this folder; what the benchmark starts itself with")
	most := flag.Int("most", 500*255, "leave out models with more leaves than this")
	flag.Parse()
	var err error
	if *scorer != "" {
		err = serve(*scorer)
	} else {
		err = run(max(*repeats, 1), *rows, *most, *file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/scoring:", err)
		os.Exit(1)
	}
}

func run(repeats, rows, most int, file string) error {
	python := cmp.Or(os.Getenv("TRIMTAB_BENCH_PYTHON"), ".cache/oracle/bin/python")
	var done []contest
	for _, size := range [][2]int{{100, 31}, {500, 31}, {500, 255}} {
		if size[0]*size[1] > most {
			continue
		}
		c := contest{job: job{Columns: 28, Train: 20_000, Rows: rows, Single: 3000, Trees: size[0], Leaves: size[1]}}
		if err := c.measure(python, repeats); err != nil {
			return err
		}
		done = append(done, c)
	}
	text := section(done)
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

func (c *contest) measure(python string, repeats int) error {
	dir, err := os.MkdirTemp("", "bench-scoring-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := json.Marshal(c.job)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "job.json"), b, 0o600); err != nil {
		return err
	}
	const script = "bench/scoring/peer.py"
	prepare := exec.Command(python, script, "prepare", dir)
	prepare.Stderr = os.Stderr
	if err := prepare.Run(); err != nil {
		return fmt.Errorf("%s prepare: %w", script, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.sides = []*side{
		{name: "LightGBM", command: exec.Command(python, script, "lightgbm", dir)},
		{name: "ONNX Runtime", command: exec.Command(python, script, "onnx", dir)},
	}
	for _, kernel := range slices.Sorted(maps.Keys(kernels)) {
		c.sides = append(c.sides, &side{name: "Trimtab", kernel: kernel, command: exec.Command(self, "-scorer", dir)})
	}
	for _, s := range c.sides {
		if err := s.start(); err != nil {
			return err
		}
		defer s.stop()
	}
	for range repeats {
		for _, s := range c.sides {
			if err := s.turn(); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	// A kernel that the processor lacks fell back to another one.
	c.sides = slices.DeleteFunc(c.sides, func(s *side) bool { return s.kernel != "" && s.kernel != s.version })
	return c.check()
}

// check makes sure that all sides scored the same model. LightGBM adds up float64 as Trimtab does; ONNX Runtime adds up
// float32, and its thresholds are rounded to them.
func (c *contest) check() error {
	want := c.sides[0].margins
	for _, s := range c.sides[1:] {
		far := 0
		for i, v := range s.margins {
			if s.kernel != "" && math.Abs(v-want[i]) > 1e-12*max(1, math.Abs(want[i])) {
				return fmt.Errorf("%s: the margin of row %d is %v, and LightGBM's %v", s.name, i, v, want[i])
			}
			if math.Abs(v-want[i]) > 1e-3 {
				far++
			}
		}
		if far > len(want)/20 {
			return fmt.Errorf("%s: %d of %d margins are far from LightGBM's", s.name, far, len(want))
		}
	}
	return nil
}

func (s *side) start() error {
	s.command.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "GODEBUG="+kernels[s.kernel])
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
	s.out.Buffer(nil, 1<<20)
	return s.command.Start()
}

// stop ends the side; its process ends with its input.
func (s *side) stop() {
	s.in.Close()
	_ = s.command.Wait() // what it had to say it has said
}

// turn lets the side score the rows together, then one by one.
func (s *side) turn() error {
	a, err := s.ask("batch")
	if err != nil {
		return err
	}
	s.version, s.margins, s.batch = a.Version, a.Margins, append(s.batch, a.CPU)
	if a, err = s.ask("row"); err != nil {
		return err
	}
	s.row = append(s.row, a.CPU)
	return nil
}

func (s *side) ask(what string) (answer, error) {
	var a answer
	if _, err := fmt.Fprintln(s.in, what); err != nil {
		return a, err
	}
	if !s.out.Scan() {
		return a, cmp.Or(s.out.Err(), io.ErrUnexpectedEOF)
	}
	return a, json.Unmarshal(s.out.Bytes(), &a)
}
