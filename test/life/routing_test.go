package life

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// strategy applies the toy with another deploy section.
func (s *server) strategy(dir, deploy string) {
	s.t.Helper()
	body := applyBody(dir, now())
	body["file"] = strings.Replace(toyFile, "deploy:\n  steps: [{to: 50%, requests: 100}, {to: 100%}]\n", "deploy: {"+deploy+"}\n", 1)
	s.must(http.MethodPost, "/api/v1/projects/toy/apply", body, nil)
	s.idle()
}

type routeState struct {
	Champion, Canary, Standby, Shadow int
	Variants                          []struct {
		Version int
		Share   float64
	}
	Rules  []struct{ Header string }
	Labels map[string]int
}

func (s *server) route() routeState {
	s.t.Helper()
	var d struct{ Route routeState }
	s.must(http.MethodGet, "/api/v1/deployments/toy", nil, &d)
	return d.Route
}

// by is the version that answers visit i.
func (s *server) by(i int, header ...string) int {
	s.t.Helper()
	body, err := json.Marshal(request(i))
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/api/v1/deployments/toy/predict", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var a answer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || len(a.Predictions) != 1 {
		s.t.Fatalf("%d, %v", res.StatusCode, err)
	}
	return a.Predictions[0].Version
}

func (s *server) post(verb string, body map[string]any) int {
	s.t.Helper()
	body["reason"] = "a test"
	status, err := s.call(http.MethodPost, "/api/v1/deployments/toy/"+verb, body, nil)
	if status == 0 || status >= 500 {
		s.t.Fatal(err)
	}
	return status
}

// TestStrategies takes versions to traffic in every way that is not a canary.
func TestStrategies(t *testing.T) {
	s, dir := deployed(t)
	s.strategy(dir, "strategy: blue_green, blue_green: {switch: by_hand}, limits: {max_rows: 2, concurrency: 8}")
	rows := request(trainingRows)
	rows["rows"] = append(rows["rows"].([]any), rows["rows"].([]any)[0], rows["rows"].([]any)[0])
	delete(rows, "keys")
	if status, err := s.call(http.MethodPost, "/api/v1/deployments/toy/predict", rows, nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("three rows where two are taken: %d, %v", status, err)
	}

	// Blue and green, switched by hand.
	s.train("green")
	if r := s.route(); r.Champion != 1 || r.Standby != 2 || s.rollout().State != "running" || s.by(trainingRows) != 1 {
		t.Fatalf("v2 stands by: %+v", r)
	}
	if status := s.post("swap", map[string]any{}); status != 200 {
		t.Fatalf("swap: %d", status)
	}
	if r := s.route(); r.Champion != 2 || r.Standby != 1 || s.rollout().State != "promoted" || s.by(trainingRows) != 2 || s.champion() != 2 {
		t.Fatalf("after the swap: %+v", r)
	}
	s.kill()
	s = start(t, s.dir)
	if status := s.post("back", map[string]any{}); status != 200 {
		t.Fatalf("back: %d", status)
	}
	if r := s.route(); r.Champion != 1 || r.Standby != 2 || s.by(trainingRows) != 1 || s.champion() != 1 {
		t.Fatalf("after going back: %+v", r)
	}

	// A shadow that takes over when it has shown itself.
	s.strategy(dir, "strategy: shadow, shadow: {requests: 250, then: immediate}")
	s.train("shadow")
	if r := s.route(); r.Champion != 1 || r.Shadow != 3 || r.Standby != 2 {
		t.Fatalf("v3 is the shadow: %+v", r)
	}
	for i := range 300 {
		if v := s.by(trainingRows + i); v != 1 {
			t.Fatalf("v%d answered", v)
		}
	}
	var shadow struct{ Version, Against, Rows, Errors, Dropped int }
	for deadline := time.Now().Add(30 * time.Second); shadow.Rows+shadow.Errors+shadow.Dropped < 300; time.Sleep(5 * time.Millisecond) {
		s.must(http.MethodGet, "/api/v1/deployments/toy/shadow", nil, &shadow)
		if time.Now().After(deadline) {
			t.Fatalf("%+v", shadow)
		}
	}
	if shadow.Version != 3 || shadow.Against != 1 || shadow.Errors != 0 || shadow.Dropped != 0 {
		t.Errorf("%+v", shadow)
	}
	at, _, _, _, _ := visit(trainingRows + 500)
	s.must(http.MethodPost, "/api/v1/projects/toy/clock", map[string]any{"at": at.Add(24 * time.Hour)}, nil)
	if r, ro := s.route(), s.rollout(); r.Champion != 3 || r.Shadow != 0 || ro.State != "promoted" {
		t.Fatalf("after 300 rows: %+v, %+v", r, ro)
	}

	// An A/B test, with routes by hand beside it.
	s.strategy(dir, "strategy: ab, ab: {share: 40%}") // the version that the file and the data make is v1: it is released again
	arms := map[int]int{}
	first := map[int]int{}
	for i := range 300 {
		v := s.by(trainingRows + i)
		arms[v]++
		first[i] = v
	}
	if len(arms) != 2 || arms[1] < 80 || arms[1] > 160 { // binomial, n = 300, p = 0.4: 120 ± 4.7 standard deviations
		t.Fatalf("answers by version: %v", arms)
	}
	for i := range 50 {
		if v := s.by(trainingRows + i); v != first[i] {
			t.Errorf("visit %d went from v%d to v%d", i, first[i], v)
		}
	}
	if status := s.post("route", map[string]any{"champion": 2}); status != http.StatusConflict {
		t.Errorf("another champion during a test: %d", status)
	}
	if status := s.post("route", map[string]any{"rules": []any{map[string]any{"header": "X-Tier", "value": "gold", "version": 2}}, "labels": map[string]int{"old": 2}}); status != 200 {
		t.Fatalf("rules during a test: %d", status)
	}
	if v := s.by(trainingRows, "X-Tier", "gold"); v != 2 {
		t.Errorf("gold is answered by v%d", v)
	}
	s.must(http.MethodPost, "/api/v1/deployments/toy/rollout/promote", map[string]any{"reason": "it won"}, nil)
	if r := s.route(); r.Champion != 1 || len(r.Variants) != 0 || len(r.Rules) != 1 || r.Labels["old"] != 2 {
		t.Errorf("after the test: %+v", r)
	}

	// By hand alone.
	for _, tc := range []struct {
		body map[string]any
		want int
	}{
		{map[string]any{}, http.StatusBadRequest},
		{map[string]any{"shadow": 99}, http.StatusNotFound},
		{map[string]any{"labels": map[string]int{"X": 1}}, http.StatusBadRequest},
		{map[string]any{"clear": []string{"everything"}}, http.StatusBadRequest},
		{map[string]any{"variants": []any{map[string]any{"version": 3, "share": 0.5}, map[string]any{"version": 1, "share": 0.5}}, "clear": []string{"rules"}}, 200},
	} {
		if status := s.post("route", tc.body); status != tc.want && (tc.want != http.StatusBadRequest || status != http.StatusUnprocessableEntity) {
			t.Errorf("%v: %d, not %d", tc.body, status, tc.want)
		}
	}
	if r := s.route(); len(r.Variants) != 2 || len(r.Rules) != 0 || r.Labels["old"] != 2 {
		t.Errorf("by hand: %+v", r)
	}
	if status := s.post("rollout", map[string]any{"version": 2}); status != http.StatusConflict {
		t.Errorf("a release during a test by hand: %d", status)
	}
	if status := s.post("route", map[string]any{"clear": []string{"variants"}, "champion": 3}); status != 200 || s.by(trainingRows) != 3 || s.champion() != 3 {
		t.Errorf("the end: %d, %+v", status, s.route())
	}
	var events struct{ Items []struct{ Kind string } }
	s.must(http.MethodGet, "/api/v1/events?limit=100", nil, &events)
	kinds := map[string]int{}
	for _, e := range events.Items {
		kinds[e.Kind]++
	}
	if kinds["route.changed"] != 3 || kinds["route.back"] != 1 || kinds["rollout.promoted"] < 3 {
		t.Errorf("events: %v", kinds)
	}
}
