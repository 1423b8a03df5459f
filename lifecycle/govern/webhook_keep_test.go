package govern_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

func TestSecretsAreKeptEncrypted(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, nil)
		h := w.add(r.URL, "a.")
		if shown, err := json.Marshal(h); err != nil || !h.Signed || strings.Contains(string(shown), "s3cret") {
			w.Errorf("shown as %s (%v)", shown, err)
		}
		var secret []byte
		if err := w.db.Read().QueryRowContext(w.Context(), "SELECT secret FROM webhooks").Scan(&secret); err != nil || len(secret) < 28 || bytes.Contains(secret, []byte("s3cret")) {
			w.Errorf("stored as %q (%v)", secret, err)
		}
		none := ""
		h, err := w.hooks.Update(w.Context(), h.ID, govern.WebhookChange{Secret: &none})
		if err != nil || h.Signed {
			w.Fatalf("%+v (%v)", h, err)
		}
		w.happen("a.unsigned")
		w.drain()
		if got := r.messages(); len(got) != 1 || got[0].header.Get("Webhook-Signature") != "" || got[0].header.Get("Webhook-Id") == "" {
			w.Errorf("%+v", got)
		}
		other := w.add(r.URL, "a.")
		err = w.db.Write(w.Context(), func(tx *catalog.Tx) error { // a row's secret is of no use in another
			_, err := tx.ExecContext(w.Context(), "UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = $1) WHERE id = $2", other.ID, h.ID)
			return err
		})
		if err != nil {
			w.Fatal(err)
		}
		w.happen("a.stolen")
		w.drain()
		if got := len(r.messages()); got != 2 {
			w.Errorf("%d messages, want one more: that of the webhook whose secret it is", got)
		}
		w.same("log", w.log(h.ID), []string{"a.unsigned delivered 1", "a.stolen failed 1"})
	})
}

func TestWhatCannotBeAWebhook(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		good := govern.NewWebhook{Name: "ci", URL: "https://93.184.215.14/", Events: []string{"a."}}
		for what, change := range map[string]func(n *govern.NewWebhook){
			"no name":           func(n *govern.NewWebhook) { n.Name = "" },
			"a long name":       func(n *govern.NewWebhook) { n.Name = strings.Repeat("a", 64) },
			"a name with space": func(n *govern.NewWebhook) { n.Name = "a b" },
			"no events":         func(n *govern.NewWebhook) { n.Events = nil },
			"many events":       func(n *govern.NewWebhook) { n.Events = make([]string, 101) },
			"no kind":           func(n *govern.NewWebhook) { n.Events = []string{"version"} },
			"a pattern inside":  func(n *govern.NewWebhook) { n.Events = []string{"version.*"} },
			"no address":        func(n *govern.NewWebhook) { n.URL = "" },
			"a private address": func(n *govern.NewWebhook) { n.URL = "https://192.168.1.1/" },
			"a long secret":     func(n *govern.NewWebhook) { n.Secret = strings.Repeat("a", 1001) },
			"a long text":       func(n *govern.NewWebhook) { n.Description = strings.Repeat("a", 5001) },
		} {
			n := good
			change(&n)
			if _, err := w.hooks.Create(w.Context(), n); !fault.Is(err, fault.Invalid) {
				w.Errorf("%s: %v", what, err)
			}
		}
		h, err := w.hooks.Create(w.Context(), good)
		if err != nil {
			w.Fatal(err)
		}
		odd, url := "sleeping", "http://127.0.0.2/"
		for _, c := range []govern.WebhookChange{{Status: &odd}, {URL: &url}, {Events: []string{}}} {
			if _, err := w.hooks.Update(w.Context(), h.ID, c); !fault.Is(err, fault.Invalid) {
				w.Errorf("%+v: %v", c, err)
			}
		}
		if _, err := w.hooks.Update(w.Context(), "nope", govern.WebhookChange{}); !fault.Is(err, fault.NotFound) {
			w.Error(err)
		}
	})
}

// TestNotify: what is worth no record is told to those who want it, and costs nothing when nobody does.
func TestNotify(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, nil)
		w.add(r.URL, "run.")
		if !w.events.Wanted("run.finished") || w.events.Wanted("model.created") {
			w.Error("who wants what is not known")
		}
		for _, kind := range []string{"run.finished", "other.thing"} {
			if err := w.events.Notify(w.Context(), nil, govern.Event{Kind: kind, Subject: "run/1"}); err != nil {
				w.Fatal(err)
			}
		}
		w.drain()
		w.same("told", r.kinds(w.T), []string{"run.finished"})
		if found, err := w.events.List(w.Context(), govern.Filter{Kind: "run."}); err != nil || len(found) != 0 {
			w.Errorf("%+v (%v)", found, err)
		}
	})
}
