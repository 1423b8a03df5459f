package track_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

const (
	killDir   = "TRIMTAB_TEST_TRACK_KILL_DIR" // set in the child
	killRound = "TRIMTAB_TEST_TRACK_KILL_ROUND"
	killAfter = 300 // acknowledged batches
	loggers   = 10  // into one run
	owners    = 20  // with a run each
)

// TestKilledWhileLogging kills a process in the middle of ten clients that log to one run and twenty that log to their own, three times on one
// folder: every batch that was acknowledged is there, once, and the latest values are what they would be without the kill.
func TestKilledWhileLogging(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		logUntilKilled(t, dir, os.Getenv(killRound))
		return
	}
	dir := t.TempDir()
	type point struct {
		run, key string
		step     int64
	}
	acknowledged := map[point]bool{}
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledWhileLogging$")
		child.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("%s=%d", killRound, round))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines, n := bufio.NewScanner(out), 0
		for lines.Scan() {
			var p point
			if _, err := fmt.Sscanf(lines.Text(), "ack %s %s %d", &p.run, &p.key, &p.step); err != nil {
				continue // a word of the test binary, or half a line
			}
			if !strings.HasSuffix(lines.Text(), ".") {
				continue
			}
			acknowledged[p] = true
			if n++; n == killAfter {
				must(t, child.Process.Kill())
			}
		}
		if err := child.Wait(); err == nil || n < killAfter {
			t.Fatalf("the child ended by itself after %d batches: %v", n, err)
		}
	}
	w := openWorld(t, catalogtest.Open(t, filepath.Join(dir, "catalog.db"), schemas...), dir)
	type curve struct{ run, key string }
	steps, top := map[curve]map[int64]int{}, map[curve]int64{}
	for p := range acknowledged {
		c := curve{p.run, p.key}
		if steps[c] == nil {
			steps[c] = map[int64]int{}
			points, _, err := w.History(t.Context(), p.run, p.key, "", 0)
			must(t, err)
			for _, m := range points {
				steps[c][m.Step]++
				top[c] = max(top[c], m.Step)
			}
		}
		if steps[c][p.step] != 1 {
			t.Errorf("%+v is there %d times", p, steps[c][p.step])
		}
		r := w.get(t, p.run)
		if r.Latest[p.key].Step != top[c] {
			t.Errorf("the latest of %s in %s is step %d, the history ends at %d", p.key, p.run, r.Latest[p.key].Step, top[c])
		}
		if r.Params[fmt.Sprintf("%s/%d", p.key, p.step)] != "v" {
			t.Errorf("the parameter of %+v is lost", p)
		}
	}
	if len(acknowledged) < 3*killAfter {
		t.Errorf("%d batches", len(acknowledged))
	}
}

func logUntilKilled(t *testing.T, dir, round string) {
	w := openWorld(t, catalogtest.Open(t, filepath.Join(dir, "catalog.db"), schemas...), dir)
	var out sync.Mutex
	log := func(run, key string) {
		for step := int64(0); ; step++ {
			must(t, w.LogBatch(context.Background(), run, track.Batch{Metrics: []track.Metric{{Key: key, Step: step, At: step, Value: float64(step)}, {Key: key, Step: step, At: step, Value: float64(step)}},
				Params: []track.Param{{Key: fmt.Sprintf("%s/%d", key, step), Value: "v"}}}))
			out.Lock()
			fmt.Printf("ack %s %s %d .\n", run, key, step)
			out.Unlock()
		}
	}
	shared := w.run(t, "0").ID
	var all sync.WaitGroup
	for i := range loggers {
		all.Go(func() { log(shared, fmt.Sprint("shared-", round, "-", i)) })
	}
	for range owners {
		own := w.run(t, "0").ID
		all.Go(func() { log(own, "own-"+round) })
	}
	all.Wait()
}
