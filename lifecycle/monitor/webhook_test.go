package monitor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// receiver is a webhook that answers with the given statuses in turn, the last one for good.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	bodies   []Message
	keys     map[string]bool
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	r := &receiver{statuses: statuses, keys: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		var m Message
		if err := json.NewDecoder(req.Body).Decode(&m); err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s with %v: %v", req.Method, req.Header, err)
		}
		r.bodies = append(r.bodies, m)
		r.keys[req.Header.Get("Idempotency-Key")] = true
		status := r.statuses[0]
		if len(r.statuses) > 1 {
			r.statuses = r.statuses[1:]
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "http://169.254.169.254/")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(r.Close)
	return r
}

// silent is a world in which an alert has fired for the targets.
func silent(t *testing.T, env map[string]string, targets ...string) *world {
	w, n := natureWorld(t, 20)
	w.plan.Monitor.Alert = targets
	w.s.Getenv = func(name string) string { return env[name] }
	w.s.Backoff = []time.Duration{time.Second, 10 * time.Second, time.Minute}
	w.live(n, start, start.Add(3*oneDay), 50, nil)
	w.tick(start.Add(5 * oneDay))
	if a := w.alerts(AlertFilter{State: Firing}); len(a) != 1 {
		t.Fatalf("one alert is due:%s", text(a))
	}
	return w
}

func (w *world) deliver(now time.Time) time.Time {
	w.t.Helper()
	next, err := w.s.deliver(w.t.Context(), now)
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func TestWebhooksAreTriedAgain(t *testing.T) {
	hook := newReceiver(t, 500, 503, 200)
	w := silent(t, map[string]string{"TRIMTAB_WEBHOOK_OPS_WEBHOOK": hook.URL}, "ops-webhook")
	now := time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)
	var waits []time.Duration
	for at := now; !at.IsZero(); {
		next := w.deliver(at)
		if !next.IsZero() {
			waits = append(waits, next.Sub(at))
		}
		at = next
	}
	if len(waits) != 2 || waits[0] != time.Second || waits[1] != 10*time.Second {
		t.Errorf("waits %v, want 1 s and 10 s", waits)
	}
	if len(hook.bodies) != 3 || len(hook.keys) != 1 {
		t.Fatalf("%d tries with %d keys, want 3 of one", len(hook.bodies), len(hook.keys))
	}
	if m := hook.bodies[2]; m.Event != "alert.fired" || m.Alert.Subject != Volume || m.Alert.Deployment != "d" || m.Alert.Link == "" {
		t.Errorf("message %+v", m)
	}
}

func TestWebhooksThatFailForGoodAreToldOnce(t *testing.T) {
	for name, target := range map[string]string{
		"always 500":             newReceiver(t, 500).URL + "/secret-token",
		"a redirect":             newReceiver(t, 302).URL,
		"a name without address": "nobody",
		"the metadata service":   "http://169.254.169.254/latest/meta-data",
		"a file":                 "file:///etc/passwd",
	} {
		t.Run(name, func(t *testing.T) {
			w := silent(t, nil, target)
			tries := 0
			for at := time.Unix(1e9, 0); !at.IsZero(); tries++ {
				at = w.deliver(at)
			}
			if tries != 4 {
				t.Errorf("%d tries, want one and three more", tries)
			}
			events, err := w.s.Events.List(t.Context(), govern.Filter{Kind: "alert.undelivered"})
			if err != nil {
				t.Fatal(err)
			}
			if len(events) != 1 || strings.Contains(events[0].Message, "secret-token") {
				t.Errorf("events %+v", events)
			}
		})
	}
}

func TestAddressesThatWebhooksMayNotCall(t *testing.T) {
	for address, want := range map[string]bool{
		"10.1.2.3:443": true, "127.0.0.1:9000": true, "[::1]:80": true, "93.184.216.34:443": true,
		"169.254.169.254:80": false, "[::ffff:169.254.169.254]:80": false, "[fe80::1]:80": false, "100.100.100.200:80": false,
		"[fd00:ec2::254]:80": false, "0.0.0.0:80": false, "224.0.0.1:80": false, "nonsense": false,
	} {
		if got := allowed(address) == nil; got != want {
			t.Errorf("%s allowed: %v, want %v", address, got, want)
		}
	}
}

func TestTheLoopDeliversAndStops(t *testing.T) {
	hook := newReceiver(t, 200)
	w := silent(t, nil, hook.URL)
	if err := w.s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		var n int
		row := w.db.Read().QueryRowContext(done, "SELECT count(*) FROM monitor_outbox WHERE state = 'delivered'")
		if err := row.Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			break
		}
	}
	if err := w.s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
