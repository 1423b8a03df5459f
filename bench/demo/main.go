// Command demo measures the demo as its reader lives it: wall time after the build, the server's memory, how soon a server is
// ready on an empty directory, and what retraining was worth, month by month. It runs bin/trimtab and writes its section of
// bench/RESULTS.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/cli/demo"
)

const title = "## The demo"

func main() {
	binary := flag.String("binary", "bin/trimtab", "the program")
	file := flag.String("results", results.File, "where to write")
	flag.Parse()
	if err := run(*binary, *file); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(binary, file string) error {
	ready, err := readiness(binary, 5)
	if err != nil {
		return err
	}
	summary, memory, err := replay(binary)
	if err != nil {
		return err
	}
	text := section(summary, memory, ready)
	fmt.Print(text)
	return results.Replace(file, title, text)
}

// readiness is how long a server takes from its start to its first OK, on an empty directory each time.
func readiness(binary string, repeats int) (time.Duration, error) {
	var took []time.Duration
	for range repeats {
		dir, err := os.MkdirTemp("", "trimtab-ready-")
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		cmd := exec.Command(binary, "server", "--dir", dir, "--listen", "127.0.0.1:0")
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		err = awaitOK(filepath.Join(dir, "server.json"), begun.Add(10*time.Second))
		took = append(took, time.Since(begun))
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was asked to end
		_ = os.RemoveAll(dir)
		if err != nil {
			return 0, err
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

func awaitOK(info string, deadline time.Time) error {
	for time.Now().Before(deadline) {
		var at struct{ URL string }
		if data, err := os.ReadFile(info); err == nil && json.Unmarshal(data, &at) == nil {
			if res, err := http.Get(at.URL + "/health"); err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("the server is not ready after 10 s")
}

// replay runs the whole demo and watches the memory of its server.
func replay(binary string) (*demo.Summary, int64, error) {
	cmd := exec.Command(binary, "demo", "--exit", "--json", "--listen", "127.0.0.1:0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var peak int64
	for {
		select {
		case err := <-done:
			if err != nil {
				return nil, 0, err
			}
			s := &demo.Summary{}
			return s, peak, json.Unmarshal(out.Bytes(), s)
		case <-time.After(100 * time.Millisecond):
			peak = max(peak, childPeak(cmd.Process.Pid))
		}
	}
}

// childPeak is the greatest memory, in KiB, that a child of the process has held; 0 when there is none.
func childPeak(parent int) int64 {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent)) // the pattern is well formed
	var peak int64
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that ended
		}
		for _, child := range strings.Fields(string(children)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(status)) {
				if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
					if kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64); err == nil {
						peak = max(peak, kb)
					}
				}
			}
		}
	}
	return peak
}

func section(s *demo.Summary, peakKB int64, ready time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nGoals: at most 90 s on 2 cores after the build, at most 1 GiB for the server, ready in at most 300 ms. `go run ./bench/demo`, %s, %s.\n\n",
		title, time.Now().UTC().Format(time.DateOnly), results.Processor())
	b.WriteString("| what | measured |\n|---|---|\n")
	fmt.Fprintf(&b, "| wall, from start to summary | **%.0f s** |\n| peak memory of the server process | **%.0f MiB** |\n| server ready on an empty directory, median of 5 | **%d ms** |\n",
		s.WallS, float64(peakKB)/1024, ready.Milliseconds())
	fmt.Fprintf(&b, "| requests, failed, lost | %d, %d, %d |\n| alerts, retrainings, promotions, rollbacks | %d, %d, %d, %d |\n\n", s.Requests, s.Failed, s.Lost, s.Alerts, s.Retrainings, s.Promotions, s.Rollbacks)
	b.WriteString("The living model beside the first one, never retrained, on the same labelled rows; a negative difference means that retraining helped.\n\n")
	b.WriteString("| month | labelled | AUC live | AUC frozen | log loss live | log loss frozen | difference |\n|---|---|---|---|---|---|---|\n")
	for _, m := range append(slices.Clone(s.Months), s.Year) {
		fmt.Fprintf(&b, "| %s | %d | %.3f | %.3f | %.4f | %.4f | %+.4f |\n", m.Month, m.N, m.AUCLive, m.AUCFrozen, m.LogLossLive, m.LogLossFrozen, m.LogLossLive-m.LogLossFrozen)
	}
	return b.String()
}
