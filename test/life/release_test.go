package life

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type rolloutState struct {
	State  string
	To     int
	Reason string
}

func (s *server) rollout() (r rolloutState) {
	s.t.Helper()
	s.must(http.MethodGet, "/api/v1/deployments/toy/rollout", nil, &r)
	return r
}

func (s *server) champion() int {
	s.t.Helper()
	return s.championOf("toy")
}

func (s *server) championOf(model string) int {
	s.t.Helper()
	var m struct{ Aliases map[string]int }
	s.must(http.MethodGet, "/api/v1/models/"+model, nil, &m)
	return m.Aliases["champion"]
}

func (s *server) train(cause string) {
	s.t.Helper()
	s.must(http.MethodPost, "/api/v1/models/toy/versions", map[string]any{"cause": cause}, nil)
	s.idle()
}

func TestTrafficByHand(t *testing.T) {
	s, _ := deployed(t)
	why := map[string]any{"reason": "by hand"}
	s.train("first")
	if r := s.rollout(); r.State != "running" || r.To != 2 {
		t.Fatalf("after a training: %+v", r)
	}
	if status, err := s.call(http.MethodPost, "/api/v1/deployments/toy/rollout", map[string]any{"version": 1, "reason": "two at once"}, nil); status != http.StatusConflict {
		t.Errorf("a second rollout: %d, %v", status, err)
	}
	if status, _ := s.call(http.MethodPost, "/api/v1/deployments/toy/rollout/pause", map[string]any{"reason": ""}, nil); status != http.StatusBadRequest {
		t.Errorf("no reason: %d", status)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/pause", why, nil)
	if r := s.rollout(); r.State != "paused" {
		t.Errorf("paused: %+v", r)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/resume", why, nil)
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/abort", why, nil)
	if r, c := s.rollout(), s.champion(); r.State != "aborted" || r.Reason != "by hand" || c != 1 {
		t.Errorf("aborted: %+v, champion v%d", r, c)
	}
	s.train("second")
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/promote", why, nil)
	if r, c := s.rollout(), s.champion(); r.State != "promoted" || c != 3 {
		t.Errorf("promoted: %+v, champion v%d", r, c)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollback", why, nil)
	var a answer
	s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows), &a)
	if c := s.champion(); c != 1 || a.Predictions[0].Version != 1 {
		t.Errorf("rolled back to v%d, answered by v%d", c, a.Predictions[0].Version)
	}
	var history struct {
		Items []struct{ Alias, Reason string }
	}
	s.must(http.MethodGet, "/api/v1/models/toy/history", nil, &history)
	if len(history.Items) < 5 || history.Items[0].Reason != "rollback: by hand" {
		t.Errorf("history: %+v", history.Items)
	}
}

func TestABadReleaseIsRefusedOrForcedAndSentBack(t *testing.T) {
	s, _ := deployed(t)
	s.must(http.MethodPost, "/api/v1/models/toy/versions", map[string]any{"cause": "shuffled", "permute_labels": true}, nil)
	s.idle()
	var triggers struct {
		Items []struct {
			State, Note string
			Version     int
		}
	}
	s.must(http.MethodGet, "/api/v1/projects/toy/retrain", nil, &triggers)
	if len(triggers.Items) != 1 || triggers.Items[0].State != "refused" || !strings.Contains(triggers.Items[0].Note, "auc >= 0.55") {
		t.Fatalf("a version trained on shuffled labels: %+v", triggers.Items)
	}
	if status, _ := s.call(http.MethodPost, "/api/v1/deployments/toy/rollout", map[string]any{"version": 2, "reason": "try"}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("releasing a refused version: %d", status)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout", map[string]any{"version": 2, "reason": "forced", "force": true}, nil)
	for i := range 900 {
		s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(trainingRows+i), nil)
	}
	at, _, _, _, _ := visit(trainingRows + 900)
	s.must(http.MethodPost, "/api/v1/projects/toy/clock", map[string]any{"at": at.Add(48 * time.Hour)}, nil)
	if r, c := s.rollout(), s.champion(); r.State != "aborted" || !strings.Contains(r.Reason, "Rank correlation") || c != 1 {
		t.Errorf("the canary of shuffled labels: %+v, champion v%d", r, c)
	}
}

// outcomes tells the truth about visits from, to.
func (s *server) outcomes(from, to int) {
	s.t.Helper()
	var list []map[string]any
	for i := from; i < to; i++ {
		at, _, _, _, y := visit(i)
		list = append(list, map[string]any{"key": fmt.Sprint(i), "at": at, "known_at": at.Add(24 * time.Hour), "values": map[string]any{"y": y}})
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/outcomes", map[string]any{"outcomes": list}, nil)
}

func TestPolicyTrainsOnNewLabelsAndKeepsItsCooldown(t *testing.T) {
	dir := toyProject(t, trainingRows)
	s := start(t, filepath.Join(t.TempDir(), "state"))
	body := applyBody(dir, now())
	body["file"] = strings.Replace(toyFile, "when: [performance], cooldown: 7d", "when: ['new_labels: 150'], cooldown: 3d", 1)
	s.must(http.MethodPost, "/api/v1/projects/toy/apply", body, nil)
	s.idle()
	send := func(from, to int) {
		for i := from; i < to; i++ {
			s.must(http.MethodPost, "/api/v1/deployments/toy/predict", request(i), nil)
		}
		s.outcomes(from, to)
		at, _, _, _, _ := visit(to)
		s.must(http.MethodPost, "/api/v1/projects/toy/clock", map[string]any{"at": at.Add(24 * time.Hour)}, nil)
		s.idle()
	}
	first := trainingRows + 144 // the first visit after the project's now
	send(first, first+200)
	var triggers struct {
		Items []struct {
			State, Policy, Held string
			Version             int
		}
	}
	s.must(http.MethodGet, "/api/v1/projects/toy/retrain", nil, &triggers)
	released := 0
	for _, tr := range triggers.Items {
		if tr.Policy == "new_labels" && tr.State == "released" {
			released++
		}
	}
	if released != 1 || len(triggers.Items) > 2 { // while it trained, the condition may have been asked about once more
		t.Fatalf("after 200 new labels: %+v", triggers.Items)
	}
	var v struct {
		Training struct{ Served int }
	}
	s.must(http.MethodGet, "/api/v1/models/toy/versions/2", nil, &v)
	if v.Training.Served != 200 {
		t.Errorf("%d rows of the inference log were trained on, want 200", v.Training.Served)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/abort", map[string]any{"reason": "make room"}, nil)
	send(first+200, first+400) // a day and a half later: the cooldown of three days holds
	s.must(http.MethodGet, "/api/v1/projects/toy/retrain", nil, &triggers)
	if got := triggers.Items[0]; got.State != "held" || !strings.Contains(got.Held, "cooldown") {
		t.Errorf("within the cooldown: %+v", got)
	}
}
