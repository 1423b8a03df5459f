// Command serve measures what it costs to answer predictions over HTTP: ours with log, drift and routing on, and with them off, beside a
// bare net/http server that decodes and encodes the same JSON, and beside FastAPI, BentoML and MLServer with a LightGBM model of the
// same size trained on the same rows. Each runs as a process of its own, in turn, under the same client, and the result goes to its
// section of bench/RESULTS.md.
//
//	go run ./bench/serve [-requests 20000] [-connections 16] [-rounds 5] [-program bin/trimtab] [-results bench/RESULTS.md]
//
// The peers come from PyPI, locked in bench/serve/requirements.lock, into .cache/bench-serve.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/bench/results"
)

type options struct {
	requests, peerRequests, connections, rounds int
	pace, seconds                               float64
	small                                       int
	swaps                                       int
	program, results                            string
}

func main() {
	var o options
	echo := flag.String("echo", "", "be the bare server on this address (for the program itself)")
	flag.IntVar(&o.requests, "requests", 20_000, "requests per round to the Go servers")
	flag.IntVar(&o.peerRequests, "peer-requests", 2_000, "requests per round to the peers")
	flag.IntVar(&o.connections, "connections", 16, "keep-alive connections of the client")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; medians count")
	flag.Float64Var(&o.pace, "pace", 200, "requests per second where all get the same load")
	flag.Float64Var(&o.seconds, "seconds", 5, "seconds of each such round")
	flag.IntVar(&o.small, "small", 200, "small models that are resident at once")
	flag.IntVar(&o.swaps, "swaps", 200, "changes of the champion under load")
	flag.StringVar(&o.program, "program", "bin/trimtab", "the program to measure")
	flag.StringVar(&o.results, "results", results.File, "file whose section is replaced; empty = print only")
	flag.Parse()
	err := error(nil)
	if *echo != "" {
		err = serveEcho(*echo)
	} else {
		err = run(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/serve:", err)
		os.Exit(1)
	}
}

// request is an inference request as the echo server decodes it.
type request struct {
	ID     string `json:"id"`
	Inputs []struct {
		Name     string    `json:"name"`
		Shape    []int     `json:"shape"`
		Datatype string    `json:"datatype"`
		Data     []float64 `json:"data"`
	} `json:"inputs"`
}

// serveEcho is a bare net/http server that decodes a request and encodes it as the answer.
func serveEcho(address string) error {
	http.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /infer", func(w http.ResponseWriter, r *http.Request) {
		var q request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&q) // the client counts what it gets
	})
	return http.ListenAndServe(address, nil)
}

// field is everything that was measured.
type field struct {
	echo, on, off, fastapi, pooled, ort, bento, mlserver *contender
	swap                                                 *swapped
	density                                              *density
	logged                                               int64
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "bench-serve-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := writeData(filepath.Join(dir, "train.csv")); err != nil {
		return err
	}
	python, err := peers(ctx)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "peers")
	for to, n := range map[string]int{folder: trees, filepath.Join(folder, "small"): smallTrees} {
		if out, err := exec.CommandContext(ctx, python, "bench/serve/peers.py", "train", filepath.Join(dir, "train.csv"), to, strconv.Itoa(n), strconv.Itoa(leaves)).CombinedOutput(); err != nil {
			return fmt.Errorf("train the peers' model: %w\n%s", err, out)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	oip, plain, err := bodies(1, 2000)
	if err != nil {
		return err
	}
	oipBlock, plainBlock, err := bodies(blockRows, 1)
	if err != nil {
		return err
	}
	var stops []func() error
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	begin := func(name, ready string, command func(address, port string) []string) (base string, pid int, err error) {
		address, err := freeAddress()
		if err != nil {
			return "", 0, err
		}
		_, port, _ := net.SplitHostPort(address)
		pid, stop, err := start(ctx, command(address, port), "http://"+address+ready, filepath.Join(dir, name+".log"))
		if err != nil {
			return "", 0, fmt.Errorf("start %s: %w", name, err)
		}
		stops = append(stops, stop)
		progress("%s runs", name)
		return "http://" + address, pid, nil
	}
	f := &field{}
	base, pid, err := begin("echo", "/ready", func(a, _ string) []string { return []string{self, "-echo", a} })
	if err != nil {
		return err
	}
	f.echo = &contender{name: "bare net/http echo", url: base + "/infer", pid: pid, bodies: oip, block: oipBlock[0]}
	ours, pid, err := begin("trimtab", "/health", func(a, _ string) []string {
		return []string{o.program, "server", "--dir", filepath.Join(dir, "state"), "--listen", a}
	})
	if err != nil {
		return err
	}
	if err := apply(ctx, ours, dir, "bench", projectFile("bench", "{strategy: canary}", "monitor:\n  drift: {window: 1d}\n", trees)); err != nil {
		return err
	}
	if err := apply(ctx, ours, dir, "bare", projectFile("bare", "{strategy: canary, log: off}", "", trees)); err != nil {
		return err
	}
	f.on = &contender{name: "trimtab", url: ours + "/v2/models/bench/infer", pid: pid, bodies: oip, block: oipBlock[0]}
	f.off = &contender{name: "trimtab, log, drift and routing off", url: ours + "/v2/models/bare/versions/1/infer", pid: pid, bodies: oip, block: oipBlock[0]}
	script := func(what string) func(a, port string) []string {
		return func(_, port string) []string { return []string{python, "bench/serve/peers.py", what, folder, port} }
	}
	if base, pid, err = begin("fastapi", "/ready", script("fastapi")); err != nil {
		return err
	}
	f.fastapi = &contender{name: "FastAPI + LightGBM, async handler", url: base + "/predict", pid: pid, bodies: plain, block: plainBlock[0]}
	f.pooled = &contender{name: "FastAPI + LightGBM, plain handler", url: base + "/predict-def", pid: pid, bodies: plain, block: plainBlock[0]}
	f.ort = &contender{name: "FastAPI + onnxruntime", url: base + "/predict-ort", pid: pid, bodies: plain, block: plainBlock[0]}
	if base, pid, err = begin("bentoml", "/readyz", script("bentoml")); err != nil {
		return err
	}
	f.bento = &contender{name: "BentoML 1.4.40", url: base + "/predict", pid: pid, bodies: plain, block: plainBlock[0]}
	if base, pid, err = begin("mlserver", "/v2/models/bench/ready", script("mlserver")); err != nil {
		return err
	}
	f.mlserver = &contender{name: "MLServer 1.7.1", url: base + "/v2/models/bench/infer", pid: pid, bodies: oip, block: oipBlock[0]}

	if err := f.measure(ctx, o); err != nil {
		return err
	}
	if f.logged, err = loggedBy(ctx, ours, "bench"); err != nil {
		return err
	}
	if f.swap, err = measureSwaps(ctx, ours, dir, f.on, o); err != nil {
		return err
	}
	if f.density, err = measureDensity(ctx, o, folder, dir); err != nil {
		return err
	}
	text := f.section(o)
	fmt.Print(text)
	if o.results == "" {
		return nil
	}
	return results.Replace(o.results, title, text)
}

func (f *field) all() []*contender {
	return []*contender{f.echo, f.on, f.off, f.fastapi, f.pooled, f.bento, f.mlserver}
}

// measure loads the servers in turn: one row as fast as it goes, one row at the same pace, many rows.
func (f *field) measure(ctx context.Context, o options) error {
	one := func(c *contender) func(i int) []byte { return func(i int) []byte { return c.bodies[i%len(c.bodies)] } }
	requests := func(c *contender) int {
		if c == f.echo || c == f.on || c == f.off {
			return o.requests
		}
		return o.peerRequests
	}
	for _, c := range append(f.all(), f.ort) { // warm: code, connections, pools
		if _, err := c.load(ctx, requests(c)/10, o.connections, 0, one(c)); err != nil {
			return err
		}
	}
	for turn := range o.rounds {
		progress("round %d of %d", turn+1, o.rounds)
		for _, c := range f.all() {
			r, err := c.load(ctx, requests(c), o.connections, 0, one(c))
			if err != nil {
				return err
			}
			c.rounds = append(c.rounds, r)
		}
		for _, c := range []*contender{f.on, f.off, f.fastapi, f.bento, f.mlserver} {
			r, err := c.load(ctx, int(o.pace*o.seconds), 64, o.pace, one(c))
			if err != nil {
				return err
			}
			c.steady = append(c.steady, r)
		}
		for _, c := range []*contender{f.on, f.mlserver, f.ort} {
			n := 10
			if c == f.on {
				n = 200
			}
			r, err := c.load(ctx, n, 2, 0, func(int) []byte { return c.block })
			if err != nil {
				return err
			}
			c.blocks = append(c.blocks, r)
		}
	}
	return nil
}

// loggedBy asks how many predictions are in the log.
func loggedBy(ctx context.Context, base, name string) (int64, error) {
	var d struct {
		Stats struct {
			Predictions int64 `json:"predictions"`
		} `json:"stats"`
	}
	err := call(ctx, http.MethodGet, base+"/api/v1/deployments/"+name, nil, &d)
	return d.Stats.Predictions, err
}

// peers is a Python with the packages of requirements.lock.
func peers(ctx context.Context) (string, error) {
	if path := os.Getenv("TRIMTAB_BENCH_PYTHON"); path != "" {
		return path, nil
	}
	home := filepath.Join(".cache", "bench-serve")
	path, err := filepath.Abs(filepath.Join(home, "bin", "python"))
	if err != nil {
		return "", err
	}
	if exec.CommandContext(ctx, path, "-c", "import bentoml, fastapi, lightgbm, mlserver_lightgbm, onnxruntime, uvloop").Run() == nil {
		return path, nil
	}
	uv := filepath.Join(".cache", "venv", "bin", "uv")
	for _, args := range [][]string{{uv, "venv", "--quiet", "--clear", "--python", "python3", home}, {uv, "pip", "sync", "--quiet", "--require-hashes", "--python", path, "bench/serve/requirements.lock"}} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "UV_CACHE_DIR="+filepath.Join(".cache", "uv"))
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s (make python makes uv): %w", strings.Join(args, " "), err)
		}
	}
	return path, nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
