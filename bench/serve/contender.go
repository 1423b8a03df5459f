package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
)

// contender is a way to ask a running server.
type contender struct {
	name   string // in the tables
	url    string
	pid    int
	bodies [][]byte // of one row
	block  []byte   // of many rows

	rounds []round // of one row, as fast as it goes
	steady []round // of one row, at the same pace for all
	blocks []round // of many rows
}

// round is what was measured of a contender in one turn.
type round struct {
	cpu      float64 // microseconds per request, user and system, all processes of the server
	p50, p99 time.Duration
	rate     float64 // requests per second
}

func median(rounds []round, of func(round) float64) float64 {
	v := make([]float64, len(rounds))
	for i, r := range rounds {
		v[i] = of(r)
	}
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

func cpu(r round) float64  { return r.cpu }
func p50(r round) float64  { return r.p50.Seconds() * 1e3 }
func p99(r round) float64  { return r.p99.Seconds() * 1e3 }
func rate(r round) float64 { return r.rate }

// load sends n requests over the connections: as fast as answers come, or, with a pace, so many per second whatever the answers do;
// then a latency counts from when the request was due.
func (c *contender) load(ctx context.Context, n, connections int, pace float64, body func(i int) []byte) (round, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	before, err := cpuOf(c.pid)
	if err != nil {
		return round{}, err
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
				due := time.Now()
				if pace > 0 {
					due = begun.Add(time.Duration(float64(i) / pace * 1e9))
					time.Sleep(time.Until(due))
				}
				failures[w] = post(ctx, client, c.url, body(i))
				latencies[i] = time.Since(due)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return round{}, fmt.Errorf("%s: %w", c.name, err)
	}
	wall := time.Since(begun)
	after, err := cpuOf(c.pid)
	if err != nil {
		return round{}, err
	}
	slices.Sort(latencies)
	return round{cpu: (after - before).Seconds() * 1e6 / float64(n), p50: latencies[n/2], p99: latencies[n*99/100], rate: float64(n) / wall.Seconds()}, nil
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
		err = fmt.Errorf("%s: %.500s", res.Status, answer)
	}
	return err
}

// cpuOf is the user and system time of a process and of all below it: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)).
func cpuOf(pid int) (time.Duration, error) {
	type process struct {
		parent int
		ticks  int64
	}
	all := map[int]process{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, rest, ok := strings.Cut(string(b), ") ") // the name may hold spaces
		fields := strings.Fields(rest)
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if !ok || err != nil || len(fields) < 13 {
			continue
		}
		parent, err1 := strconv.Atoi(fields[1])
		user, err2 := strconv.ParseInt(fields[11], 10, 64)
		system, err3 := strconv.ParseInt(fields[12], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return 0, err
		}
		all[id] = process{parent, user + system}
	}
	if _, ok := all[pid]; !ok {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	var ticks int64
	for id := range all {
		for up := id; up > 0; up = all[up].parent {
			if up == pid {
				ticks += all[id].ticks
				break
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// resident is the proportional share of memory of a process, bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup has no Pss")
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		return nil
	}
	for deadline := time.Now().Add(5 * time.Minute); ; {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log)
			return 0, nil, fmt.Errorf("it ended: %w\n%s", err, text)
		case <-time.After(50 * time.Millisecond):
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
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
