package track_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// TestRunsTellWebhooksThatAsk: runs leave no events behind, but who asks for them is told when they begin and end.
func TestRunsTellWebhooksThatAsk(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		hooks, err := govern.OpenWebhooks(t.Context(), govern.WebhookConfig{DB: w.db, Events: w.events, Key: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		silent, err := w.CreateRun(t.Context(), track.NewRun{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := hooks.Create(t.Context(), govern.NewWebhook{Name: "ci", URL: "https://93.184.215.14/", Events: []string{"run."}})
		if err != nil {
			t.Fatal(err)
		}
		run, err := w.CreateRun(t.Context(), track.NewRun{Name: "r"})
		if err != nil {
			t.Fatal(err)
		}
		failed, finished, name := track.Failed, track.Finished, "new"
		for _, change := range []struct {
			id     string
			change track.RunChange
		}{{run.ID, track.RunChange{Name: &name}}, {run.ID, track.RunChange{State: &failed}}, {run.ID, track.RunChange{State: &failed}}, {silent.ID, track.RunChange{State: &finished}}} {
			if _, err := w.UpdateRun(t.Context(), change.id, change.change); err != nil {
				t.Fatal(err)
			}
		}
		own, err := w.Start(t.Context(), track.Run{Project: "p", StartedAt: silent.StartedAt})
		if err != nil {
			t.Fatal(err)
		}
		own.State = track.Finished
		if err := w.db.Write(t.Context(), func(tx *catalog.Tx) error { return w.Finish(t.Context(), tx, own) }); err != nil {
			t.Fatal(err)
		}
		queued, err := hooks.Deliveries(t.Context(), h.ID, govern.DeliveryFilter{Bodies: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range slices.Backward(queued) {
			var e govern.Event
			if err := json.Unmarshal(d.Body, &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Kind+" "+e.Subject)
		}
		want := []string{"run.started run/" + run.ID, "run.failed run/" + run.ID, "run.finished run/" + silent.ID, "run.started run/" + own.ID, "run.finished run/" + own.ID}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		if events, err := w.events.List(t.Context(), govern.Filter{Kind: "run."}); err != nil || len(events) != 0 {
			t.Errorf("%d events (%v)", len(events), err)
		}
	})
}
