package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// contender is a running server.
type contender struct {
	name      string
	url       string
	dir       string
	ready     time.Duration // from start to the first answer
	processes func() []int
	stop      func()
	again     func(ctx context.Context) (*contender, error) // starts a stopped server on the same data
}

// restart ends what the server is still busy with.
func (c *contender) restart(ctx context.Context) error {
	c.stop()
	next, err := c.again(ctx)
	if err != nil {
		return err
	}
	*c = *next
	return nil
}

// startOurs runs the program on a directory and waits until it answers.
func startOurs(ctx context.Context, program, dir string) (*contender, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	_ = os.Remove(filepath.Join(dir, "server.json")) // it would tell of the server before
	log, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, "server", "--dir", dir, "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = log, log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended stands in its log
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	for {
		var info struct{ URL string }
		if data, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil && json.Unmarshal(data, &info) == nil && info.URL != "" {
			if _, err := ask(ctx, http.DefaultClient, http.MethodGet, info.URL+"/health", nil); err == nil {
				return &contender{name: "Trimtab", url: info.URL, dir: dir, ready: time.Since(begun), stop: stop,
					processes: func() []int { return []int{cmd.Process.Pid} }}, nil
			}
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("the server ended:\n%s", text)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(begun) > time.Minute {
			stop()
			return nil, errors.New("the server does not become ready")
		}
	}
}

// startTheirs runs the MLflow server on SQLite, as its command does by itself unless the options say otherwise.
func startTheirs(ctx context.Context, o options, dir string) (*contender, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := peer.Start(ctx, dir, peer.Options{Workers: o.peerWorkers, Lean: o.peerWorkers > 0})
	if err != nil {
		return nil, err
	}
	return &contender{name: "MLflow " + peer.Version, url: s.URL, dir: dir, ready: s.Ready, processes: s.Processes, stop: s.Stop,
		again: func(ctx context.Context) (*contender, error) { return startTheirs(ctx, o, dir) }}, nil
}

// coldStarts is how long the program takes to be ready, on an empty directory and on the same one again.
func coldStarts(ctx context.Context, o options, dir string) (starts [2][]time.Duration, err error) {
	for i := range o.starts {
		for again := range 2 {
			c, err := startOurs(ctx, o.program, filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return starts, err
			}
			c.stop()
			starts[again] = append(starts[again], c.ready)
		}
	}
	return starts, nil
}

// cpu is the user and system time of all processes: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)).
func (c *contender) cpu() time.Duration {
	var ticks int64
	for _, pid := range c.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // ended
		}
		_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
		fields := strings.Fields(rest)
		var user, system int64
		if _, err := fmt.Sscan(fields[11], &user); err == nil {
			if _, err := fmt.Sscan(fields[12], &system); err == nil {
				ticks += user + system
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is the proportional set size of all processes in bytes: what they share counts once.
func (c *contender) memory() int64 {
	var total int64
	for _, pid := range c.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // ended
		}
		for line := range strings.Lines(string(b)) {
			var kilobytes int64
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); err == nil {
				total += kilobytes << 10
			}
		}
	}
	return total
}

// footprint is what a server takes while nobody asks.
type footprint struct {
	bytes     int64
	processes int
}

func memories(both []*contender) []footprint {
	time.Sleep(2 * time.Second) // idle
	var out []footprint
	for _, c := range both {
		out = append(out, footprint{c.memory(), len(c.processes())})
	}
	return out
}

// keptAlive is a client with as many connections.
func keptAlive(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}, Timeout: 5 * time.Minute}
}

// ask sends a request and gives the body of a 200. A connection that the server dropped is made again, as MLflow's
// client does: its server drops kept connections when it is busy.
func ask(ctx context.Context, client *http.Client, method, url string, body []byte) (text []byte, err error) {
	for range 5 {
		var dropped bool
		if text, dropped, err = askOnce(ctx, client, method, url, body); !dropped {
			return text, err
		}
	}
	return nil, err
}

func askOnce(ctx context.Context, client *http.Client, method, url string, body []byte) (text []byte, dropped bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.500s", req.URL.Path, res.Status, text)
	}
	return text, false, err
}

// post speaks JSON with a route of MLflow's API.
func (c *contender) post(ctx context.Context, client *http.Client, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	text, err := ask(ctx, client, http.MethodPost, c.url+"/api/2.0/mlflow"+path, body)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// newRun makes a run and gives its id.
func (c *contender) newRun(ctx context.Context, client *http.Client, experiment, name string) (string, error) {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	err := c.post(ctx, client, "/runs/create", map[string]any{"experiment_id": experiment, "run_name": name, "start_time": 1}, &out)
	return out.Run.Info.ID, err
}

// newExperiment makes an experiment and gives its id.
func (c *contender) newExperiment(ctx context.Context, name string) (string, error) {
	var out struct {
		ID string `json:"experiment_id"`
	}
	err := c.post(ctx, http.DefaultClient, "/experiments/create", map[string]any{"name": name}, &out)
	return out.ID, err
}

// quantile of durations, which are sorted in place.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

// median of numbers, which are sorted in place.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
