// Package mlflow proves that the unmodified MLflow client works with this server: its flows in five versions, a replay
// of requests that the real MLflow server answered before, hostile requests, and a kill while many write.
package mlflow

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/trimtab-ml/trimtab/cli"
	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// asMain makes this test binary run as trimtab itself.
const asMain = "TRIMTAB_TEST_MAIN"

var onPeer = flag.Bool("peer", false, "run the flows against the real MLflow server instead of ours")

func TestMain(m *testing.M) {
	if os.Getenv(asMain) == "1" {
		os.Exit(cli.Main())
	}
	flag.Parse()
	os.Exit(m.Run())
}

// server is a trimtab process on a state directory.
type server struct {
	t    *testing.T
	dir  string
	url  string
	cmd  *exec.Cmd
	done chan struct{}
	log  logged
}

// logged is the output of a process, read while it runs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs this test binary as trimtab on dir and a free port, with further flags, and waits until it is healthy.
func start(t *testing.T, dir string, flags ...string) *server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, done: make(chan struct{})}
	_ = os.Remove(filepath.Join(dir, "server.json")) // left by a killed one
	s.cmd = exec.Command(self, append([]string{"server", "--dir", dir, "--listen", "127.0.0.1:0"}, flags...)...)
	s.cmd.Env = append(os.Environ(), asMain+"=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.kill)
	deadline := time.Now().Add(time.Minute)
	for {
		if data, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil {
			var info struct{ URL string }
			if json.Unmarshal(data, &info) == nil && info.URL != "" && healthy(info.URL) {
				s.url = info.URL
				return s
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

func healthy(url string) bool {
	res, err := http.Get(url + "/health")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// kill ends the process as a power cut would, and waits for it.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// tracking is the address of a server to test: ours, or with -peer the real MLflow's.
func tracking(t *testing.T) string {
	t.Helper()
	if !*onPeer {
		return start(t, filepath.Join(t.TempDir(), "state")).url
	}
	s, err := peer.Start(t.Context(), t.TempDir(), peer.Options{Workers: 1, Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.URL
}
