package mlflow

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// clients are the versions of the client and the modules of flows in client/ that each runs: the newest everything,
// the others what every version can do.
var clients = []struct {
	version string
	modules []string
}{
	{peer.Version, []string{"core", "tracking", "artifacts", "models", "registry", "webhooks", "autolog", "evaluating"}},
	{"3.6.0", []string{"core"}},
	{"3.1.4", []string{"core"}},
	{"2.22.5", []string{"core"}},
	{"2.9.2", []string{"core"}},
}

// TestClients runs the flows of every client version, one server and one process of Python for each version: most of the
// time goes into the imports.
func TestClients(t *testing.T) {
	for _, client := range clients {
		t.Run(client.version, func(t *testing.T) {
			t.Parallel()
			flows(t, client.version, tracking(t), client.modules...)
		})
	}
}

// flows runs modules of flows and makes each flow a subtest.
func flows(t *testing.T, version, url string, modules ...string) {
	t.Helper()
	python, err := peer.Python(version)
	if err != nil {
		if os.Getenv("TRIMTAB_PYTHON") == "" { // set by make test, which makes the environments too
			t.Skip(err)
		}
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(python, append([]string{"flows.py"}, modules...)...)
	cmd.Dir = "client"
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+url, "HOME="+home, "MPLCONFIGDIR="+filepath.Join(home, "matplotlib"), "TMPDIR="+home)
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
			t.Logf("%.1f s", outcome.Seconds)
			if outcome.Error != "" {
				t.Error(outcome.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil || ran == 0 {
		t.Fatalf("%d flows, %v\n%s", ran, err, stderr.String())
	}
}
