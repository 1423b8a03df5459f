// Command serve measures the CPU that a server takes to answer one row over HTTP: ours with log, drift counters and routing on,
// beside a bare net/http server that decodes and encodes the same JSON, and beside FastAPI with a LightGBM model of the same size.
// Each runs as a process of its own, in turn, under the same client, and the result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/serve [-requests 20000] [-connections 16] [-rounds 3] [-program bin/trimtab] [-results bench/RESULTS.md]
//
// FastAPI and LightGBM come from PyPI into .cache/bench-serve; set TRIMTAB_BENCH_PYTHON to use a Python that has them already.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/infra/duck"
)

const (
	deployment = "flight-delays"
	// Trees and leaves of examples/flights/trimtab.yaml; the peer trains as many.
	trees, leaves = 120, 15
	python        = "TRIMTAB_BENCH_PYTHON"
)

type options struct {
	requests, peerRequests, connections, rounds int
	program, results                            string
}

func main() {
	var o options
	echo := flag.String("echo", "", "be the bare server on this address (for the program itself)")
	flag.IntVar(&o.requests, "requests", 20_000, "requests per round to the Go servers")
	flag.IntVar(&o.peerRequests, "peer-requests", 4_000, "requests per round to FastAPI")
	flag.IntVar(&o.connections, "connections", 16, "keep-alive connections of the client")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the least CPU counts")
	flag.StringVar(&o.program, "program", "bin/trimtab", "the program to measure")
	flag.StringVar(&o.results, "results", "bench/RESULTS.md", "file whose section is replaced; empty = print only")
	flag.Parse()
	if *echo != "" {
		fail(serveEcho(*echo))
		return
	}
	fail(run(context.Background(), o))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/serve:", err)
		os.Exit(1)
	}
}

// request is what the client sends, as the echo server decodes it.
type request struct {
	Rows []struct {
		TimeHour  string   `json:"time_hour"`
		Carrier   string   `json:"carrier"`
		Origin    string   `json:"origin"`
		Dest      string   `json:"dest"`
		Tailnum   *string  `json:"tailnum"`
		Distance  *float64 `json:"distance"`
		Hour      *float64 `json:"hour"`
		Temp      *float64 `json:"temp"`
		Humid     *float64 `json:"humid"`
		WindSpeed *float64 `json:"wind_speed"`
		Precip    *float64 `json:"precip"`
		Pressure  *float64 `json:"pressure"`
		Visib     *float64 `json:"visib"`
		Year      *float64 `json:"year"`
		Seats     *float64 `json:"seats"`
	} `json:"rows"`
	Keys []string `json:"keys"`
	At   string   `json:"at"`
}

// serveEcho is a bare net/http server that decodes a request and encodes it as the answer.
func serveEcho(address string) error {
	http.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
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

// contender is a running server.
type contender struct {
	name     string
	url      string
	pid      int
	requests int

	cpu      float64 // least microseconds per request over the rounds
	p50, p99 time.Duration
	rate     float64
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "bench-serve-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bodies, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	pythonPath, err := peerPython(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var stops []func() error
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	begin := func(name, path, ready string, requests int, command func(address string) []string) (*contender, error) {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		pid, stop, err := start(ctx, command(address), "http://"+address+ready, filepath.Join(dir, name+".log"))
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		stops = append(stops, stop)
		return &contender{name: name, url: "http://" + address + path, pid: pid, requests: requests}, nil
	}
	bare, err := begin("echo", "/predict", "/ready", o.requests, func(a string) []string { return []string{self, "-echo", a} })
	if err != nil {
		return err
	}
	ours, err := begin("trimtab", "/api/v1/deployments/"+deployment+"/predict", "/health", o.requests, func(a string) []string {
		return []string{o.program, "server", "--dir", filepath.Join(dir, "state"), "--listen", a}
	})
	if err != nil {
		return err
	}
	if err := deploy(ctx, strings.TrimSuffix(ours.url, "/api/v1/deployments/"+deployment+"/predict")); err != nil {
		return err
	}
	peer, err := begin("fastapi", "/predict", "/ready", o.peerRequests, func(a string) []string {
		_, port, _ := net.SplitHostPort(a)
		return []string{pythonPath, "bench/serve/peer.py", filepath.Join(dir, "train.csv"), port, strconv.Itoa(trees), strconv.Itoa(leaves)}
	})
	if err != nil {
		return err
	}
	pooled := &contender{name: "pooled", url: peer.url + "-def", pid: peer.pid, requests: peer.requests}
	all := []*contender{bare, ours, peer, pooled}
	for _, c := range all { // warm: code, connections, pools
		if err := c.load(ctx, bodies, c.requests/10, o.connections); err != nil {
			return err
		}
		c.cpu = 0
	}
	for range o.rounds {
		for _, c := range all {
			if err := c.load(ctx, bodies, c.requests, o.connections); err != nil {
				return err
			}
		}
	}
	logged, err := loggedBy(ctx, ours)
	if err != nil {
		return err
	}
	if sent := int64(o.requests/10 + o.rounds*o.requests); logged != sent {
		return fmt.Errorf("%d requests were answered, %d predictions are in the log", sent, logged)
	}
	text := section(bare, ours, peer, pooled, o, logged)
	fmt.Print(text)
	if o.results == "" {
		return nil
	}
	return results.Replace(o.results, title, text)
}

// joined is flights with the weather of their hour and their plane, as a caller knows them before departure.
const joined = `SELECT f.time_hour, f.carrier, f.flight, f.origin, f.dest, f.distance, f.hour, f.tailnum, f.arr_delay, p.year, p.seats, w.temp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib
FROM read_parquet('examples/flights/%s') f ASOF LEFT JOIN read_parquet('examples/flights/weather.parquet') w ON f.origin = w.origin AND f.time_hour >= w.time_hour
LEFT JOIN read_parquet('examples/flights/planes.parquet') p ON f.tailnum = p.tailnum`

// prepare writes the peer's training rows and makes the bodies of the requests: flights of April.
func prepare(ctx context.Context, dir string) ([][]byte, error) {
	db, err := duck.Open(duck.Options{TempDir: filepath.Join(dir, "duck")})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	train := "COPY (SELECT *, (arr_delay >= 15)::INT AS late, isodow(timezone('America/New_York', timezone('UTC', time_hour))) - 1 AS weekday FROM (" +
		fmt.Sprintf(joined, "flights-2013-q1.parquet") + ") WHERE arr_delay IS NOT NULL) TO " + duck.Literal(filepath.Join(dir, "train.csv")) + " (HEADER)"
	if err := db.Exec(ctx, train); err != nil {
		return nil, fmt.Errorf("write the peer's training rows: %w", err)
	}
	t, err := db.Table(ctx, fmt.Sprintf(joined, "flights-2013-replay.parquet")+" ORDER BY f.time_hour, f.carrier, f.flight, f.origin LIMIT 5000")
	if err != nil {
		return nil, fmt.Errorf("read the requests: %w", err)
	}
	bodies := make([][]byte, t.Rows)
	for i := range t.Rows {
		row := map[string]any{}
		for _, c := range t.Columns {
			switch v := c.Value(i); {
			case v.Null:
				row[c.Name] = nil
			case c.Strings != nil:
				row[c.Name] = v.S
			case c.Name == "time_hour":
				row[c.Name] = time.UnixMicro(int64(v.F)).UTC().Format(time.RFC3339)
			default:
				row[c.Name] = v.F
			}
		}
		key := fmt.Sprintf("%v|%v|%v|%v", row["time_hour"], row["carrier"], row["flight"], row["origin"])
		at := row["time_hour"]
		delete(row, "flight")
		delete(row, "arr_delay")
		if bodies[i], err = json.Marshal(map[string]any{"rows": []any{row}, "keys": []string{key}, "at": at}); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// load sends n requests over the connections and keeps the least CPU, with the latencies of that round.
func (c *contender) load(ctx context.Context, bodies [][]byte, n, connections int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	before, err := cpuOf(c.pid)
	if err != nil {
		return err
	}
	begun := time.Now()
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	failures := make([]error, connections)
	for w := range connections {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failures[w] != nil {
					return
				}
				sent := time.Now()
				failures[w] = post(ctx, client, c.url, bodies[i%len(bodies)])
				latencies[i] = time.Since(sent)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	wall := time.Since(begun)
	after, err := cpuOf(c.pid)
	if err != nil {
		return err
	}
	per := (after - before).Seconds() * 1e6 / float64(n)
	if c.cpu == 0 || per < c.cpu {
		slices.Sort(latencies)
		c.cpu, c.p50, c.p99, c.rate = per, latencies[n/2], latencies[n*99/100], float64(n)/wall.Seconds()
	}
	return nil
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, answer)
	}
	return err
}

// cpuOf is the user and system time of a process: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)).
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start runs a server until stop, with its output in a file, and waits until it is ready.
func start(ctx context.Context, command []string, ready, log string) (pid int, stop func() error, err error) {
	out, err := os.Create(log)
	if err != nil {
		return 0, nil, err
	}
	defer out.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		return nil
	}
	for deadline := time.Now().Add(3 * time.Minute); ; {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log)
			return 0, nil, fmt.Errorf("it ended: %w\n%s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
		if err != nil {
			return 0, nil, errors.Join(err, stop())
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return cmd.Process.Pid, stop, nil
			}
		}
		if time.Now().After(deadline) {
			return 0, nil, errors.Join(errors.New("it does not become ready"), stop())
		}
	}
}

// deploy applies the example, which trains and releases its first version.
func deploy(ctx context.Context, base string) error {
	source, err := os.ReadFile("examples/flights/trimtab.yaml")
	if err != nil {
		return err
	}
	dir, err := filepath.Abs("examples/flights")
	if err != nil {
		return err
	}
	var job struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Error any    `json:"error"`
	}
	in := map[string]any{"file": string(source), "dir": dir, "at": "2013-04-01T04:00:00Z", "cause": "benchmark"}
	if err := call(ctx, http.MethodPost, base+"/api/v1/projects/"+deployment+"/apply", in, &job); err != nil {
		return fmt.Errorf("apply the example: %w", err)
	}
	for job.State != "done" {
		if job.State == "failed" || job.State == "canceled" {
			return fmt.Errorf("apply the example: %s: %v", job.State, job.Error)
		}
		time.Sleep(200 * time.Millisecond)
		if err := call(ctx, http.MethodGet, base+"/api/v1/jobs/"+job.ID, nil, &job); err != nil {
			return err
		}
	}
	return nil
}

// loggedBy asks how many predictions are in the log.
func loggedBy(ctx context.Context, c *contender) (int64, error) {
	var d struct {
		Stats struct {
			Predictions int64 `json:"predictions"`
		} `json:"stats"`
	}
	err := call(ctx, http.MethodGet, strings.TrimSuffix(c.url, "/predict"), nil, &d)
	return d.Stats.Predictions, err
}

func call(ctx context.Context, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, b)
	}
	return json.Unmarshal(b, out)
}

// peerPython is a Python with the packages of requirements.txt.
func peerPython(ctx context.Context) (string, error) {
	if path := os.Getenv(python); path != "" {
		return path, nil
	}
	home := filepath.Join(".cache", "bench-serve")
	path := filepath.Join(home, "bin", "python")
	if exec.CommandContext(ctx, path, "-c", "import fastapi, lightgbm, uvicorn, uvloop, httptools").Run() == nil {
		return path, nil
	}
	for _, args := range [][]string{{"python3", "-m", "venv", home}, {path, "-m", "pip", "install", "-q", "-r", "bench/serve/requirements.txt"}} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	return path, nil
}
