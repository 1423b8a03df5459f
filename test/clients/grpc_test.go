package clients

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/grpcdoor"
	"github.com/trimtab-ml/trimtab/api/inference/inferencetest"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/port"
)

// clientsPython is an interpreter with tritonclient[grpc], kserve and the gRPC health and reflection packages.
func clientsPython(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/clients/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if own := os.Getenv("TRIMTAB_CLIENTS_PYTHON"); own != "" {
		path = own
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("the clients of gRPC are not installed: " + err.Error())
	}
	return path
}

// grpcPort serves the models of inferencetest over gRPC and gives host:port.
func grpcPort(t *testing.T) string {
	t.Helper()
	r := route.New(route.Config{})
	door := grpcdoor.Register(r, inferencetest.Serving(t, &inferencetest.Log{}), codec.Options{Version: "0"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := port.New(listener, nil, slog.New(slog.DiscardHandler))
	web := &http.Server{Handler: r, ReadHeaderTimeout: time.Second}
	ended := make(chan error, 3)
	go func() { ended <- p.Serve() }()
	go func() { ended <- door.Serve(p.GRPC()) }()
	go func() { ended <- web.Serve(p.HTTP()) }()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := door.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := web.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for range 3 {
			<-ended
		}
	})
	return listener.Addr().String()
}

// TestGRPCClients runs tritonclient, kserve's client, and gRPC's own health and reflection clients.
func TestGRPCClients(t *testing.T) {
	python := clientsPython(t)
	address := grpcPort(t)
	for _, set := range []string{"triton", "kserve", "health"} {
		t.Run(set, func(t *testing.T) {
			cmd := exec.Command(python, "grpc_clients.py", set, address)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONSAFEPATH=1")
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
		})
	}
}
