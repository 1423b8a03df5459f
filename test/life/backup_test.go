package life

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/catalog/postgrestest"
)

// commandLine runs the program to its end.
func commandLine(t *testing.T, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("trimtab %v: %v: %s", args, err, out)
	}
}

// acknowledged is what a server has confirmed.
type acknowledged struct {
	mu          sync.Mutex
	predictions map[string]bool
	runs        map[string]int // run and how many points it has
}

func (a *acknowledged) copy() *acknowledged {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &acknowledged{predictions: maps.Clone(a.predictions), runs: maps.Clone(a.runs)}
}

func (a *acknowledged) counts() (predictions, points int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.runs {
		points += n
	}
	return len(a.predictions), points
}

// load writes to a server until stop is closed: predictions, new runs, and points of their metrics.
func (a *acknowledged) load(t *testing.T, s *server, stop chan struct{}) *sync.WaitGroup {
	var work sync.WaitGroup
	until := func(step func(i int) error) {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := step(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for c := range 2 {
		until(func(i int) error {
			var got answer
			if _, err := s.call(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows+c*100_000+i), &got); err != nil {
				return err
			}
			a.mu.Lock()
			a.predictions[got.Predictions[0].ID] = true
			a.mu.Unlock()
			return nil
		})
	}
	var run string
	until(func(i int) error {
		if i%20 == 0 {
			var made struct {
				Run struct {
					Info struct {
						RunID string `json:"run_id"`
					}
				}
			}
			if _, err := s.call(http.MethodPost, "/api/2.0/mlflow/runs/create", map[string]any{"experiment_id": "0", "start_time": 1}, &made); err != nil {
				return err
			}
			run = made.Run.Info.RunID
		}
		point := map[string]any{"run_id": run, "key": "loss", "value": float64(i), "timestamp": i + 1, "step": i}
		if _, err := s.call(http.MethodPost, "/api/2.0/mlflow/runs/log-metric", point, nil); err != nil {
			return err
		}
		a.mu.Lock()
		a.runs[run]++
		a.mu.Unlock()
		return nil
	})
	return &work
}

// TestBackupUnderLoad backs up a server that is written to, and restores it elsewhere: what was acknowledged before the
// backup began is there, and every blob is what its name says.
func TestBackupUnderLoad(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		onPostgres := catalog.IsURL(place)
		if onPostgres {
			t.Setenv("TRIMTAB_CATALOG", place)
		}
		s, _ := deployed(t)
		sent := &acknowledged{predictions: map[string]bool{}, runs: map[string]int{}}
		stop := make(chan struct{})
		work := sent.load(t, s, stop)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if predictions, points := sent.counts(); predictions >= 200 && points >= 100 {
				break
			}
			if t.Failed() || time.Now().After(deadline) {
				t.Fatal("the load does not go on")
			}
		}
		before := sent.copy()
		file := filepath.Join(t.TempDir(), "backup.tar.zst")
		commandLine(t, "--dir", s.dir, "backup", "--out", file)
		close(stop)
		work.Wait()
		s.kill()

		if onPostgres {
			t.Setenv("TRIMTAB_CATALOG", postgrestest.URL(t))
		}
		restored := filepath.Join(t.TempDir(), "restored")
		commandLine(t, "--dir", restored, "restore", file)
		commandLine(t, "--dir", restored, "doctor")
		s = start(t, restored)
		for id := range logged(t, s, "toy") {
			delete(before.predictions, id)
		}
		if len(before.predictions) > 0 {
			t.Errorf("%d predictions that were answered before the backup are not in it", len(before.predictions))
		}
		for run, want := range before.runs {
			var history struct{ Metrics []struct{ Step int } }
			s.must(http.MethodGet, fmt.Sprintf("/api/2.0/mlflow/metrics/get-history?run_id=%s&metric_key=loss", run), nil, &history)
			if len(history.Metrics) < want {
				t.Errorf("%d points of run %s, want at least the %d that were acknowledged before the backup", len(history.Metrics), run, want)
			}
		}
		var a answer
		s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows), &a)
		if a.Predictions[0].Version != 1 {
			t.Errorf("answered by v%d", a.Predictions[0].Version)
		}
	})
}
