package life

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/duck"
)

const trainingRows = 2000

// deployed starts a server with version 1 of the toy in traffic.
func deployed(t *testing.T) (*server, string) {
	t.Helper()
	dir := toyProject(t, trainingRows)
	state := filepath.Join(t.TempDir(), "state")
	s := start(t, state)
	s.must(http.MethodPost, "/api/v1/projects/toy/apply", applyBody(dir, now()), nil)
	s.idle()
	return s, dir
}

// now is the project's time after the training rows.
func now() time.Time {
	at, _, _, _, _ := visit(trainingRows)
	return at.Add(24 * time.Hour)
}

func TestKillWhileServingLosesNothing(t *testing.T) {
	s, _ := deployed(t)
	var mu sync.Mutex
	answered := map[string]bool{}
	for round := range 3 {
		var clients sync.WaitGroup
		stop := make(chan struct{})
		for c := range 8 {
			clients.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					var a answer
					if _, err := s.call(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows+round*100000+c*10000+i), &a); err != nil {
						return // killed
					}
					mu.Lock()
					answered[a.Predictions[0].ID] = true
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(150+round*100) * time.Millisecond) // how much was answered by then does not matter
		s.kill()
		close(stop)
		clients.Wait()
		s = start(t, s.dir)
	}
	if len(answered) < 50 {
		t.Fatalf("only %d answers before the kills", len(answered))
	}
	for id := range logged(t, s, "toy") {
		delete(answered, id)
	}
	if len(answered) > 0 {
		t.Fatalf("%d answered predictions are not in the log", len(answered))
	}
}

// logged is the ids in a deployment's exported log.
func logged(t *testing.T, s *server, deployment string) map[string]bool {
	t.Helper()
	res, err := http.Get(s.url + "/api/v1/deployments/" + deployment + "/log.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("export: %s, %v", res.Status, err)
	}
	path := filepath.Join(t.TempDir(), "log.parquet")
	write(t, path, string(data))
	db, err := duck.Open(duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Table(context.Background(), "SELECT prediction_id FROM read_parquet("+duck.Literal(path)+")")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, id := range rows.Columns[0].Strings {
		if ids[id] {
			t.Errorf("prediction %s is in the log twice", id)
		}
		ids[id] = true
	}
	return ids
}

func TestKillWhileBuildingGoesOn(t *testing.T) {
	dir := toyProject(t, trainingRows)
	for _, delay := range []time.Duration{5, 40, 90, 150, 250} {
		t.Run(fmt.Sprintf("%dms", delay), func(t *testing.T) {
			s := start(t, filepath.Join(t.TempDir(), "state"))
			s.must(http.MethodPost, "/api/v1/projects/toy/apply", applyBody(dir, now()), nil)
			time.Sleep(delay * time.Millisecond) // wherever it is by then
			s.kill()
			s = start(t, s.dir)
			s.idle()
			var versions struct {
				Items []struct {
					Version int
					State   string
				}
			}
			s.must(http.MethodGet, "/api/v1/models/toy/versions", nil, &versions)
			if len(versions.Items) != 1 || versions.Items[0].State != "accepted" {
				t.Fatalf("versions after the restart: %+v", versions.Items)
			}
			var a answer
			s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows), &a)
			if a.Predictions[0].Version != 1 {
				t.Fatalf("answered by v%d", a.Predictions[0].Version)
			}
		})
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	s, dir := deployed(t)
	for range 2 {
		s.must(http.MethodPost, "/api/v1/projects/toy/apply", applyBody(dir, now()), nil)
		s.idle()
	}
	var versions, datasets struct{ Items []any }
	s.must(http.MethodGet, "/api/v1/models/toy/versions", nil, &versions)
	s.must(http.MethodGet, "/api/v1/projects/toy/datasets/visits/versions", nil, &datasets)
	if len(versions.Items) != 1 || len(datasets.Items) != 1 {
		t.Fatalf("%d model versions and %d dataset versions after applying the same three times", len(versions.Items), len(datasets.Items))
	}
	var plan struct{ Changes []struct{ Action string } }
	s.must(http.MethodPost, "/api/v1/projects/toy/plan", applyBody(dir, now()), &plan)
	for _, c := range plan.Changes {
		if c.Action != "keep" {
			t.Errorf("the plan of what stands says %+v", plan.Changes)
		}
	}
}

func TestRolloutSurvivesAKill(t *testing.T) {
	s, _ := deployed(t)
	s.must(http.MethodPost, "/api/v1/models/toy/versions", map[string]any{"cause": "by hand"}, nil)
	s.idle()
	var before, after struct {
		State string
		To    int
		Step  int
	}
	s.must(http.MethodGet, "/api/v1/deployments/toy/rollout", nil, &before)
	if before.State != "running" || before.To != 2 {
		t.Fatalf("rollout of a trained version: %+v", before)
	}
	s.kill()
	s = start(t, s.dir)
	s.must(http.MethodGet, "/api/v1/deployments/toy/rollout", nil, &after)
	if after != before {
		t.Fatalf("rollout was %+v and is %+v", before, after)
	}
	arms := map[int]int{}
	for i := range 400 {
		var a answer
		s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows+i), &a)
		arms[a.Predictions[0].Version]++
	}
	if arms[1] < 120 || arms[2] < 120 { // a half each: 200 ± 8 standard deviations
		t.Fatalf("answers by version: %v", arms)
	}
	at, _, _, _, _ := visit(trainingRows + 500)
	s.must(http.MethodPost, "/api/v1/projects/toy/clock", map[string]any{"at": at.Add(24 * time.Hour)}, nil)
	s.must(http.MethodGet, "/api/v1/deployments/toy/rollout", nil, &after)
	if after.State != "promoted" && after.State != "running" {
		t.Fatalf("a good release ended %+v", after)
	}
}

func TestNothingKnownLaterIsTrainedOn(t *testing.T) {
	dir := toyProject(t, trainingRows)
	s := start(t, filepath.Join(t.TempDir(), "state"))
	asOf, _, _, _, _ := visit(1500) // the file holds 500 visits after this moment
	s.must(http.MethodPost, "/api/v1/projects/toy/apply", applyBody(dir, asOf), nil)
	s.idle()
	var v struct {
		AsOf     time.Time `json:"as_of"`
		Training struct {
			Rows      int
			TestRows  int `json:"test_rows"`
			Unlabeled int
			To        time.Time
		}
	}
	s.must(http.MethodGet, "/api/v1/models/toy/versions/1", nil, &v)
	// Labels are known after 24 h, and there is a visit every 10 minutes: 1500 - 144 visits, and the one at that very moment.
	if known := v.Training.Rows + v.Training.TestRows; known != 1357 || v.Training.Unlabeled != trainingRows-1357 {
		t.Fatalf("%d rows were trained and judged on, %d left out", known, v.Training.Unlabeled)
	}
	if last := v.Training.To.Add(24 * time.Hour); last.After(asOf) {
		t.Fatalf("a label known at %s went into a version as of %s", last, asOf)
	}
}

func TestSignatureNamesEachCategoryOnce(t *testing.T) {
	s, _ := deployed(t)
	var v struct {
		Signature struct {
			Inputs []struct {
				Name       string
				Categories []string
			}
		}
	}
	s.must(http.MethodGet, "/api/v1/models/toy/versions/1", nil, &v)
	for _, in := range v.Signature.Inputs {
		if in.Name == "shop" && !slices.Equal(in.Categories, []string{"a", "b", "c", "d"}) {
			t.Errorf("categories of shop: %v", in.Categories)
		}
	}
}
