// Command worker measures what it costs to ask a scikit-learn pipeline in a worker process, beside the same call in a Python that has
// the rows already: both take turns, call by call counts, and medians are compared. The result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/worker [-calls 300] [-turns 10] [-results bench/RESULTS.md]
//
// The peer comes from .cache/oracle, which `make oracle` builds; set TRIMTAB_BENCH_PYTHON to use another Python.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/infra/worker"
)

const (
	title   = "## A Python model in a worker against the same call in Python"
	columns = 12
)

// contest is one pipeline and a number of rows, with the seconds of each call on both sides.
type contest struct {
	model  string
	what   string
	rows   int
	calls  int
	inside []float64
	worker []float64
}

func main() {
	calls := flag.Int("calls", 300, "calls in a turn")
	turns := flag.Int("turns", 10, "turns of each side")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(*calls, *turns, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/worker:", err)
		os.Exit(1)
	}
}

func run(calls, turns int, file string) error {
	python, err := filepath.Abs(cmp.Or(os.Getenv("TRIMTAB_BENCH_PYTHON"), ".cache/oracle/bin/python"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-worker-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const script = "bench/worker/peer.py"
	if out, err := exec.Command(python, script, "prepare", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%s prepare: %w: %s", script, err, out)
	}
	manager, err := worker.NewManager(worker.Options{Dir: filepath.Join(dir, "workers"), Python: python})
	if err != nil {
		return err
	}
	peer := exec.Command(python, script, "call", dir)
	peer.Env, peer.Stderr = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"), os.Stderr
	in, err := peer.StdinPipe()
	if err != nil {
		return err
	}
	out, err := peer.StdoutPipe()
	if err != nil {
		return err
	}
	if err := peer.Start(); err != nil {
		return err
	}
	defer func() {
		in.Close()
		_ = peer.Wait() // what it had to say it has said
	}()
	answers := bufio.NewScanner(out)
	answers.Buffer(nil, 16<<20)
	pools := map[string]*worker.Pool{}
	for _, name := range []string{"numbers", "columns"} {
		if pools[name], err = manager.Open(context.Background(), worker.Spec{Name: name, Kind: worker.Sklearn, Dir: dir, File: name + ".pkl"}); err != nil {
			return err
		}
		defer pools[name].Close()
	}
	contests := []*contest{
		{model: "numbers", what: "scaler, logistic regression; one array", rows: 1, calls: calls}, {model: "numbers", what: "the same", rows: 1000, calls: max(calls/5, 1)},
		{model: "columns", what: "the same behind a ColumnTransformer; 13 columns, one of text", rows: 1, calls: max(calls/5, 1)}, {model: "columns", what: "the same", rows: 1000, calls: max(calls/10, 1)},
	}
	for turn := range turns + 1 {
		for _, c := range contests {
			inside, err := c.inPython(in, answers)
			if err != nil {
				return err
			}
			workers, err := c.inWorker(pools[c.model])
			if err != nil {
				return err
			}
			if turn > 0 { // the first one warms up
				c.inside, c.worker = append(c.inside, inside...), append(c.worker, workers...)
			}
		}
	}
	text := section(contests, pools["columns"].Model())
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

func (c *contest) inPython(in io.Writer, out *bufio.Scanner) ([]float64, error) {
	if _, err := fmt.Fprintln(in, c.model, c.rows, c.calls); err != nil {
		return nil, err
	}
	if !out.Scan() {
		return nil, cmp.Or(out.Err(), io.ErrUnexpectedEOF)
	}
	var seconds []float64
	return seconds, json.Unmarshal(out.Bytes(), &seconds)
}

func (c *contest) inWorker(p *worker.Pool) ([]float64, error) {
	values := make([]float64, c.rows*columns)
	for i := range values {
		values[i] = 0.5
	}
	inputs := []tensor.Named{{Name: "input", Tensor: tensor.New(values, c.rows, columns)}}
	if c.model == "columns" {
		inputs = nil
		for i := range columns {
			inputs = append(inputs, tensor.Named{Name: fmt.Sprintf("x%d", i), Tensor: tensor.New(values[:c.rows], c.rows)})
		}
		texts := make([]string, c.rows)
		for i := range texts {
			texts[i] = "AA"
		}
		inputs = append(inputs, tensor.Named{Name: "carrier", Tensor: tensor.New(texts, c.rows)})
	}
	q := &predictor.Request{Inputs: inputs, Wanted: []string{"predict_proba"}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seconds := make([]float64, c.calls)
	for i := range seconds {
		begun := time.Now()
		if _, err := p.Predict(ctx, q); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(begun).Seconds()
	}
	return seconds, nil
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[int(q*float64(len(v)-1))] * 1e6
}

func section(contests []*contest, m worker.Model) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	b.WriteString("Goal: the median of a call is at most 60 microseconds above that of the same call in Python.\n")
	fmt.Fprintf(&b, "`go run ./bench/worker`, %s, %s, %s, Python %s, scikit-learn %s, numpy %s.\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(),
		m.Versions["python"], m.Versions["sklearn"], m.Versions["numpy"])
	b.WriteString("predict_proba, with the worker's sandbox on; the call in Python has its arrays already and makes the table of columns of them, as the worker does. Microseconds of a call; turns alternate.\n")
	fmt.Fprintf(&b, "Load average of the machine at the end: %s.\n\n", results.Load())
	b.WriteString("| pipeline | rows | calls | in Python, median | in a worker, median | more | in Python, p99 | in a worker, p99 |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range contests {
		inside, worker := quantile(c.inside, .5), quantile(c.worker, .5)
		fmt.Fprintf(&b, "| %s | %d | %d | %.0f | %.0f | %.0f | %.0f | %.0f |\n", c.what, c.rows, len(c.worker), inside, worker, worker-inside, quantile(c.inside, .99), quantile(c.worker, .99))
	}
	return b.String()
}
