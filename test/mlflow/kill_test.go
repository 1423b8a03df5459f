package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// kills is how often the server is killed while many write.
func kills() int {
	if os.Getenv("TRIMTAB_SOAK") != "" {
		return 10
	}
	return 1
}

// acknowledged is what the server said it has, by run and key: the value of each step.
type acknowledged struct {
	mu     sync.Mutex
	points map[string]map[string]map[int64]float64
	total  int
}

func (a *acknowledged) add(run, key string, from int64, values []float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.points[run] == nil {
		a.points[run] = map[string]map[int64]float64{}
	}
	if a.points[run][key] == nil {
		a.points[run][key] = map[int64]float64{}
	}
	for i, v := range values {
		a.points[run][key][from+int64(i)] = v
	}
	a.total += len(values)
}

// TestKillLosesNoPoint lets ten threads write into one run and fifty runs write at once, kills the server in the middle,
// starts it again on the same directory, and goes on. In the end every acknowledged point is there, once.
func TestKillLosesNoPoint(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "state"))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var experiment struct {
		ID string `json:"experiment_id"`
	}
	mustAsk(t, client, s.url, "/experiments/create", map[string]any{"name": "kill"}, &experiment)
	runs := make([]string, 51) // the first one is everybody's
	for i := range runs {
		runs[i] = newRun(t, client, s.url, experiment.ID)
	}
	acked := &acknowledged{points: map[string]map[string]map[int64]float64{}}
	steps := make([]int64, 60) // of each writer; a step is never written again, acknowledged or not
	for round := range kills() {
		var writers sync.WaitGroup
		var begun sync.WaitGroup
		begun.Add(len(steps))
		for w := range steps {
			run, key, points := runs[0], fmt.Sprintf("thread %d", w), 1
			if w >= 10 {
				run, key, points = runs[w-9], "loss", 100
			}
			writers.Go(func() {
				first := sync.OnceFunc(begun.Done)
				defer first()
				for {
					values := make([]float64, points)
					metrics := make([]map[string]any, points)
					for i := range values {
						values[i] = float64(w)*1e6 + float64(steps[w]) + float64(i) + rand.Float64()
						metrics[i] = map[string]any{"key": key, "value": values[i], "timestamp": 1000 + steps[w] + int64(i), "step": steps[w] + int64(i)}
					}
					from := steps[w]
					steps[w] += int64(points)
					path, body := "/runs/log-batch", map[string]any{"run_id": run, "metrics": metrics}
					if points == 1 {
						path, body = "/runs/log-metric", metrics[0]
						body["run_id"] = run
					}
					code, text, err := ask(client, s.url, path, body, nil)
					if err != nil {
						return // killed
					}
					if code != http.StatusOK {
						t.Errorf("%d %s", code, text)
						return
					}
					acked.add(run, key, from, values)
					first()
				}
			})
		}
		begun.Wait() // every writer has at least one point acknowledged
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		s.kill()
		writers.Wait()
		s = start(t, s.dir)
		t.Logf("kill %d: %d points were acknowledged by then", round+1, acked.total)
		if round+1 < kills() && round%5 != 4 {
			continue
		}
		for run, keys := range acked.points {
			for key, want := range keys {
				compare(t, run, key, history(t, client, s.url, run, key), want)
			}
		}
	}
}

// compare wants each acknowledged point once, and no step twice.
func compare(t *testing.T, run, key string, got map[int64][]float64, want map[int64]float64) {
	t.Helper()
	lost, wrong, twice := 0, 0, 0
	for step, value := range want {
		switch values := got[step]; {
		case len(values) == 0:
			lost++
		case values[0] != value:
			wrong++
		}
	}
	for _, values := range got {
		if len(values) > 1 {
			twice++
		}
	}
	if lost+wrong+twice > 0 {
		t.Errorf("run %s, metric %q: of %d acknowledged points %d are lost, %d are others, %d steps are there twice", run, key, len(want), lost, wrong, twice)
	}
}

// history is all points of a metric by step.
func history(t *testing.T, client *http.Client, base, run, key string) map[int64][]float64 {
	t.Helper()
	points := map[int64][]float64{}
	for token := ""; ; {
		query := url.Values{"run_id": {run}, "metric_key": {key}, "max_results": {"25000"}}
		if token != "" {
			query.Set("page_token", token)
		}
		res, err := client.Get(base + "/api/2.0/mlflow/metrics/get-history?" + query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v %s %s", err, res.Status, body)
		}
		var page struct {
			Metrics []struct {
				Step  int64
				Value float64
			}
			Next string `json:"next_page_token"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Metrics {
			points[m.Step] = append(points[m.Step], m.Value)
		}
		if token = page.Next; token == "" {
			return points
		}
	}
}

func newRun(t *testing.T, client *http.Client, base, experiment string) string {
	t.Helper()
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	mustAsk(t, client, base, "/runs/create", map[string]any{"experiment_id": experiment, "start_time": 1}, &out)
	return out.Run.Info.ID
}

func mustAsk(t *testing.T, client *http.Client, base, path string, in, out any) {
	t.Helper()
	if code, text, err := ask(client, base, path, in, out); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %v %d %s", path, err, code, text)
	}
}

// ask posts JSON to a route of MLflow's API.
func ask(client *http.Client, base, path string, in, out any) (int, string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Post(base+"/api/2.0/mlflow"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && out != nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, out)
	}
	return res.StatusCode, string(text), err
}
