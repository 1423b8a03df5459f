package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// swapped is what was seen while the champion changed under load.
type swapped struct {
	changes                            int
	answers, failed, third             int64
	lastP50, lastP99, callP50, callP99 float64 // milliseconds
}

// measureSwaps trains a second version and lets the two take turns as champion, while requests come without a pause.
func measureSwaps(ctx context.Context, base, dir string, c *contender, o options) (*swapped, error) {
	progress("changes of the champion")
	if err := apply(ctx, base, dir, "bench", projectFile("bench", "{strategy: canary}", "monitor:\n  drift: {window: 1d}\n", trees-1)); err != nil {
		return nil, err
	}
	turn := func(version int) error {
		return call(ctx, http.MethodPost, base+"/api/v1/deployments/bench/rollback", map[string]any{"version": version, "reason": "benchmark"}, nil)
	}
	if err := turn(1); err != nil {
		return nil, fmt.Errorf("roll back: %w", err)
	}
	out := &swapped{changes: o.swaps}
	var last [3]atomic.Int64 // when an answer of version 1 or 2 was last seen, nanoseconds
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for w := range o.connections {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				version, err := servedBy(ctx, client, c.url, c.bodies[i%len(c.bodies)])
				atomic.AddInt64(&out.answers, 1)
				switch {
				case err != nil:
					atomic.AddInt64(&out.failed, 1)
				case version == "1":
					last[1].Store(time.Now().UnixNano())
				case version == "2":
					last[2].Store(time.Now().UnixNano())
				default:
					atomic.AddInt64(&out.third, 1)
				}
			}
		})
	}
	var waits, calls []float64
	var failed error
	for i := range o.swaps {
		to := 2 - i%2
		begun := time.Now()
		if failed = turn(to); failed != nil {
			break
		}
		calls = append(calls, time.Since(begun).Seconds()*1e3)
		time.Sleep(40 * time.Millisecond)
		waits = append(waits, max(0, time.Unix(0, last[3-to].Load()).Sub(begun).Seconds()*1e3))
	}
	close(stop)
	clients.Wait()
	if failed != nil {
		return nil, fmt.Errorf("change the champion: %w", failed)
	}
	slices.Sort(waits)
	slices.Sort(calls)
	n := len(waits)
	out.lastP50, out.lastP99, out.callP50, out.callP99 = waits[n/2], waits[n*99/100], calls[n/2], calls[n*99/100]
	return out, nil
}

func servedBy(ctx context.Context, client *http.Client, url string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Version string `json:"model_version"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", errors.New(answer.Error)
	}
	return answer.Version, nil
}

// density is how many models a process holds, and what of memory it takes.
type density struct {
	models, trees int
	idle, bytes   int64
}

// measureDensity deploys small models into a server of its own and asks each.
func measureDensity(ctx context.Context, o options, folder, dir string) (*density, error) {
	progress("%d small models", o.small)
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	base := "http://" + address
	pid, stop, err := start(ctx, []string{o.program, "server", "--dir", filepath.Join(dir, "dense"), "--listen", address}, base+"/health", filepath.Join(dir, "dense.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stop() }()
	out := &density{models: o.small, trees: smallTrees}
	if out.idle, err = resident(pid); err != nil {
		return nil, err
	}
	for i := range out.models {
		cmd := exec.CommandContext(ctx, o.program, "models", "import", filepath.Join(folder, "small", "model.txt"), "--name", fmt.Sprintf("small-%d", i), "--deploy", "--server", base)
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("import: %w\n%s", err, text)
		}
	}
	oip, _, err := bodies(1, 1)
	if err != nil {
		return nil, err
	}
	for i := range out.models {
		if err := post(ctx, http.DefaultClient, fmt.Sprintf("%s/v2/models/small-%d/infer", base, i), oip[0]); err != nil {
			return nil, err
		}
	}
	out.bytes, err = resident(pid)
	return out, err
}
