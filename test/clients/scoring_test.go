package clients

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/inference"
	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/mlflow"
	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// TestScoringClients runs MLflow's scoring client, pandas and pyarrow, as they are in MLflow's locked environment, against small models.
func TestScoringClients(t *testing.T) {
	python, err := peer.Python(peer.Version)
	if err != nil {
		if os.Getenv("TRIMTAB_PYTHON") == "" { // set by make test, which makes the environments too
			t.Skip(err)
		}
		t.Fatal(err)
	}
	r := route.New(route.Config{})
	native.RegisterServer(r, native.ServerOptions{Version: "0", Compatible: mlflow.Version, Metrics: prometheus.NewRegistry()})
	inference.Register(r, inferencetest.Serving(t, &inferencetest.Log{}), codec.Options{Version: "0"})
	server := httptest.NewServer(r)
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(python, "scoring.py", host, port)
	cmd.Env = append(os.Environ(), "HOME="+home, "MPLCONFIGDIR="+home, "TMPDIR="+home)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	ran := 0
	for line := range strings.Lines(string(out)) {
		var outcome struct{ Flow, Error string }
		if err := json.Unmarshal([]byte(line), &outcome); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		ran++
		t.Run(outcome.Flow, func(t *testing.T) {
			if outcome.Error != "" {
				t.Error(outcome.Error)
			}
		})
	}
	if ran == 0 {
		t.Fatal(stderr.String())
	}
}
