package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/test/mlflow/peer"
)

// modelled is how long the client waited for each server while it logged and loaded a model, and how often it asked.
type modelled struct {
	waited   [2][]time.Duration
	requests [2]int64
	whole    [2][]time.Duration // log_model + load_model as the user sees it
}

// clientScript logs a scikit-learn model and loads it again, once to warm and then as often as it is told by a line.
const clientScript = `
import sys, time, warnings
warnings.filterwarnings("ignore")
import mlflow, numpy, sklearn.linear_model
answers, sys.stdout = sys.stdout, sys.stderr
model = sklearn.linear_model.LinearRegression().fit(numpy.eye(4), [1, 2, 3, 4])
mlflow.set_experiment("models")
for line in sys.stdin:
    begun = time.time()
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"], registered_model_name="bench")
    mlflow.pyfunc.load_model(info.model_uri)
    mlflow.pyfunc.load_model(f"models:/bench/{info.registered_model_version}")
    print(time.time() - begun, file=answers, flush=True)
`

// measureModels has the real client log and load through a proxy that counts the time until each answer is complete.
func measureModels(ctx context.Context, o options, both []*contender, dir string) (*modelled, error) {
	python, err := peer.Python(peer.Version)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "client.py")
	if err := os.WriteFile(script, []byte(clientScript), 0o644); err != nil {
		return nil, err
	}
	out := &modelled{}
	var turns [2]func() (time.Duration, error)
	var waited, requests [2]atomic.Int64
	for k, c := range both {
		target, err := url.Parse(c.url)
		if err != nil {
			return nil, err
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun := time.Now()
			r.Host = target.Host
			proxy.ServeHTTP(w, r)
			waited[k].Add(int64(time.Since(begun)))
			requests[k].Add(1)
		}))
		defer front.Close()
		cmd := exec.CommandContext(ctx, python, script)
		cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+front.URL, "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		answers, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		defer func() { _ = in.Close(); _ = cmd.Wait() }() // its errors were met while reading its answers
		turns[k] = func() (time.Duration, error) {
			if _, err := fmt.Fprintln(in, "again"); err != nil {
				return 0, err
			}
			var seconds float64
			if _, err := fmt.Fscan(answers, &seconds); err != nil {
				return 0, fmt.Errorf("%s: the client ended: %w\n%s", c.name, err, stderr.String())
			}
			return time.Duration(seconds * float64(time.Second)), nil
		}
	}
	for i := range o.models + 1 {
		for k := range both {
			waited[k].Store(0)
			requests[k].Store(0)
			whole, err := turns[k]()
			if err != nil {
				return nil, err
			}
			if i == 0 {
				continue // imports and caches
			}
			out.waited[k] = append(out.waited[k], time.Duration(waited[k].Load()))
			out.whole[k] = append(out.whole[k], whole)
			out.requests[k] = requests[k].Load()
		}
	}
	return out, nil
}
