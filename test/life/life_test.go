// Package life tests the whole program from outside: the real process, its public API, a kill at any moment.
package life

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/trimtab-ml/trimtab/cli"
)

// asMain makes this test binary run as trimtab itself.
const asMain = "TRIMTAB_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) == "1" {
		os.Exit(cli.Main())
	}
	os.Exit(m.Run())
}

// server is a trimtab process on a state directory.
type server struct {
	t    *testing.T
	dir  string
	url  string
	cmd  *exec.Cmd
	done chan struct{}
	log  bytes.Buffer
}

func start(t *testing.T, dir string) *server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, done: make(chan struct{})}
	_ = os.Remove(filepath.Join(dir, "server.json")) // left by a killed one
	s.cmd = exec.Command(self, "server", "--dir", dir, "--listen", "127.0.0.1:0")
	s.cmd.Env = append(os.Environ(), asMain+"=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.kill)
	deadline := time.Now().Add(30 * time.Second)
	for {
		if data, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil {
			var info struct{ URL string }
			if json.Unmarshal(data, &info) == nil && info.URL != "" {
				if res, err := http.Get(info.URL + "/health"); err == nil {
					res.Body.Close()
					if res.StatusCode == http.StatusOK {
						s.url = info.URL
						return s
					}
				}
			}
		}
		select {
		case <-s.done:
			t.Fatalf("the server ended: %s", s.log.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready: %s", s.log.String())
		}
	}
}

// kill ends the process as a power cut would, and waits for it.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// call speaks JSON; it returns the status and leaves the answer in out.
func (s *server) call(method, path string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err
	}
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, data)
	}
	if out != nil {
		return res.StatusCode, json.Unmarshal(data, out)
	}
	return res.StatusCode, nil
}

func (s *server) must(method, path string, in, out any) {
	s.t.Helper()
	if _, err := s.call(method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

// idle waits until the toy has no job.
func (s *server) idle() {
	s.t.Helper()
	s.idleOf("toy")
}

// idleOf waits until the project has no job.
func (s *server) idleOf(project string) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var out struct{ Idle bool }
		s.must(http.MethodGet, "/api/v1/projects/"+project+"/idle", nil, &out)
		if out.Idle {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("jobs do not end")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const toyFile = `project: toy
clock: replay
data:
  visits:
    files: visits.csv
    key: [id]
    time: at
    contract:
      - {column: x, between: [-100, 100]}
model:
  name: toy
  from: visits
  label: {bought: y >= 1, known_after: 24h}
  inputs: [x, z, shop, hour(at)]
  split: {by: time, test: 20%}
  train: {learner: gbdt, rounds: 20, leaves: 7}
evaluate:
  gates: ["auc >= 0.55", "auc >= champion.auc - 0.05"]
deploy:
  steps: [{to: 50%, requests: 100}, {to: 100%}]
monitor:
  quality: {window: 1d}
  drift: {window: 7d}
  performance: {window: 7d, when: "auc < 0.55"}
retrain: {when: [performance], cooldown: 7d}
`

var day0 = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

// visit is row i of the toy's world; y follows x and z.
func visit(i int) (at time.Time, x, z float64, shop string, y int) {
	rng := rand.New(rand.NewPCG(3, uint64(i)))
	at = day0.Add(time.Duration(i) * 10 * time.Minute)
	x, z = rng.NormFloat64(), rng.Float64()
	shop = string(rune('a' + rng.IntN(4)))
	if rng.Float64() < 1/(1+math.Exp(-(2*x+z-0.5))) {
		y = 1
	}
	return at, x, z, shop, y
}

// toyProject writes the file and n rows of data.
func toyProject(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("id,at,x,z,shop,y\n")
	for i := range n {
		at, x, z, shop, y := visit(i)
		fmt.Fprintf(&b, "%d,%s,%g,%g,%s,%d\n", i, at.Format(time.RFC3339), x, z, shop, y)
	}
	write(t, filepath.Join(dir, "visits.csv"), b.String())
	write(t, filepath.Join(dir, "trimtab.yaml"), toyFile)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func applyBody(dir string, at time.Time) map[string]any {
	return map[string]any{"file": toyFile, "dir": dir, "at": at, "cause": "test"}
}

// request is the prediction request of visit i.
func request(i int) map[string]any {
	at, x, z, shop, _ := visit(i)
	return map[string]any{"rows": []any{map[string]any{"x": x, "z": z, "shop": shop, "at": at.Format(time.RFC3339)}}, "keys": []string{fmt.Sprint(i)}, "at": at.Format(time.RFC3339)}
}

type answer struct {
	Predictions []struct {
		ID      string
		Version int
		Score   float64
	}
}
