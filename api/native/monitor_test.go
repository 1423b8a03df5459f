package native_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/api/route"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// nothing is a project with one monitored deployment that never had a row.
type nothing struct{}

func (nothing) Plans(context.Context, string) ([]monitor.Plan, error) {
	return []monitor.Plan{{Project: "p", Deployment: "d", Model: "m", Monitor: project.Monitor{
		Drift:       &project.Window{Window: project.Duration(7 * 24 * time.Hour), Times: "2 of 3"},
		Performance: &project.Performance{Window: project.Duration(7 * 24 * time.Hour), When: "auc < 0.6", Times: "2 of 3"},
	}}}, nil
}

func (nothing) Rows(context.Context, string, time.Time, time.Time, bool) ([]feedback.Labeled, error) {
	return nil, nil
}

func (nothing) Coverage(context.Context, string, time.Time, time.Time) (int64, int64, error) {
	return 0, 0, nil
}

func TestMonitorsOfADeploymentWithoutRows(t *testing.T) {
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), govern.Schema, monitor.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := monitor.New(monitor.Options{DB: db, Events: govern.New(db), Plans: nothing{}, Log: nothing{}})
	r := route.New(route.Config{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	native.RegisterMonitors(r, s)
	server := httptest.NewServer(r)
	defer server.Close()
	for path, want := range map[string]int{
		"monitors": 200, "monitors/d": 200, "monitors/unknown": 404, "monitors/d/verdicts": 200, "monitors/d/verdicts?kind=mood": 400,
		"monitors/d/verdicts?limit=0": 400, "monitors/d/drift": 404, "monitors/d/performance": 200, "alerts": 200, "alerts/unknown": 404,
	} {
		res, err := http.Get(server.URL + route.Prefix + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d %v, want %d", path, res.StatusCode, body, want)
		}
		if path == "monitors/d" && body["state"] != monitor.Inconclusive {
			t.Errorf("a deployment without rows is %v", body["state"])
		}
	}
}
