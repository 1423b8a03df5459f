// Package clients proves that the clients which people have already call this server unmodified: those of Triton and KServe, as their
// projects publish them.
package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// python is the interpreter of the environment that `make clients` makes.
func python(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/clients/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("TRIMTAB_PYTHON") == "" { // set by make test, which makes the environment too
			t.Skip("make clients installs what this test needs: " + err.Error())
		}
		t.Fatal(err)
	}
	return path
}

// trimtab runs a command of the program in a folder.
func trimtab(t *testing.T, folder string, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), asMain+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("trimtab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
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

// serve starts the server on a state directory and a free port, and gives its address.
func serve(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "server", "--dir", dir, "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asMain+"=1")
	var output logged
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Log(output.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		if data, err := os.ReadFile(filepath.Join(dir, "server.json")); err == nil {
			var info struct{ URL string }
			if json.Unmarshal(data, &info) == nil && info.URL != "" && healthy(info.URL) {
				return info.URL
			}
		}
		select {
		case <-done:
			t.Fatalf("the server ended: %s", output.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready: %s", output.String())
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

// shop is a server with a trained model that is deployed, penguins, and registered graphs that are not yet: simple, simple_string and
// echo. See client/prepare.py.
func shop(t *testing.T, python string) string {
	t.Helper()
	folder := t.TempDir()
	data, err := os.ReadFile("../../examples/penguins/penguins.csv")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "penguins.csv"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	trimtab(t, folder, "init", "--data", "penguins.csv", "--label", "species")
	trimtab(t, folder, "apply")
	url := serve(t, filepath.Join(folder, ".trimtab"))
	cmd := exec.Command(python, "prepare.py")
	cmd.Dir = "client"
	cmd.Env = append(os.Environ(), "TRIMTAB_SERVER="+url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("prepare: %v\n%s", err, out)
	}
	return url
}

// TestClients runs the flows of every module in a process of its own: the stubs of two clients do not live in one.
func TestClients(t *testing.T) {
	python := python(t)
	url := shop(t, python)
	for _, module := range []string{"triton_http", "triton_aio", "kserve_rest"} {
		t.Run(module, func(t *testing.T) { flows(t, python, url, module) })
	}
}

// flows runs the flows of a module and makes each a subtest.
func flows(t *testing.T, python, url, module string) {
	t.Helper()
	cmd := exec.Command(python, "flows.py", module)
	cmd.Dir = "client"
	cmd.Env = append(os.Environ(), "TRIMTAB_SERVER="+url, "HOME="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for lines := bufio.NewScanner(stdout); lines.Scan(); ran++ {
		var outcome struct {
			Flow    string
			Seconds float64
			Error   string
		}
		if err := json.Unmarshal(lines.Bytes(), &outcome); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		t.Run(outcome.Flow, func(t *testing.T) {
			t.Logf("%.2f s", outcome.Seconds)
			if outcome.Error != "" {
				t.Error(outcome.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil || ran == 0 {
		t.Fatalf("%d flows, %v\n%s", ran, err, stderr.String())
	}
}
