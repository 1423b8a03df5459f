package govern_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// message is one request that a receiver got.
type message struct {
	header http.Header
	body   []byte
}

// receiver is an address that webhooks call.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []message
	answer func(n int, w http.ResponseWriter, req *http.Request) // n counts from 0; nil = 200
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, req *http.Request)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || req.Method != http.MethodPost {
			t.Errorf("%s: %v", req.Method, err)
		}
		r.mu.Lock()
		n := len(r.got)
		r.got = append(r.got, message{req.Header.Clone(), body})
		r.mu.Unlock()
		if r.answer != nil {
			r.answer(n, w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// statuses answers with each in turn, the last one for good.
func statuses(all ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(all[min(n, len(all)-1)]) }
}

func (r *receiver) messages() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) kinds(t *testing.T) []string {
	var out []string
	for _, m := range r.messages() {
		var e govern.Event
		if err := json.Unmarshal(m.body, &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Kind)
	}
	return out
}

// hookWorld is webhooks on a catalog, with a clock that a test turns.
type hookWorld struct {
	*testing.T
	events *govern.Service
	hooks  *govern.Webhooks
	db     *catalog.DB
	now    time.Time
}

func (w *hookWorld) config() govern.WebhookConfig {
	return govern.WebhookConfig{DB: w.db, Events: w.events, Key: bytes.Repeat([]byte{7}, 32), Allow: []string{"127.0.0.1"},
		Now: func() time.Time { return w.now }, Jitter: func() float64 { return 0 },
		Dialect: govern.Dialect{Names: []string{"thing.made"}, Header: "X-Other",
			Translate: func(_ context.Context, _ catalog.Querier, e govern.Event) ([]govern.Notice, error) {
				if e.Kind != "model.created" {
					return nil, nil
				}
				return []govern.Notice{{Name: "thing.made", Body: []byte(`{"other":"words"}`)}}, nil
			},
			Example: func(name string, _ time.Time) ([]byte, error) { return []byte(`{"example":"` + name + `"}`), nil }}}
}

func eachHook(t *testing.T, test func(w *hookWorld)) {
	catalogtest.Each(t, []fs.FS{govern.Schema}, func(t *testing.T, db *catalog.DB) {
		w := &hookWorld{T: t, db: db, now: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)}
		w.reopen()
		test(w)
	})
}

// reopen is the next start of the server.
func (w *hookWorld) reopen() {
	w.Helper()
	w.events = govern.New(w.db)
	var err error
	if w.hooks, err = govern.OpenWebhooks(w.Context(), w.config()); err != nil {
		w.Fatal(err)
	}
}

func (w *hookWorld) add(url string, events ...string) *govern.Webhook {
	w.Helper()
	h, err := w.hooks.Create(w.Context(), govern.NewWebhook{Name: "ci", URL: url, Events: events, Secret: "s3cret"})
	if err != nil {
		w.Fatal(err)
	}
	return h
}

func (w *hookWorld) happen(kinds ...string) {
	w.Helper()
	for _, kind := range kinds {
		if err := w.events.Append(w.Context(), nil, govern.Event{Kind: kind, Project: "p", Subject: "model/m/1", Actor: "user:alice", Data: map[string]any{"reason": "why"}}); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *hookWorld) drain() time.Time {
	w.Helper()
	next, err := w.hooks.Drain(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return next
}

// log is what the deliveries of a webhook say, the oldest first: "kind state attempts".
func (w *hookWorld) log(webhook string) []string {
	w.Helper()
	found, err := w.hooks.Deliveries(w.Context(), webhook, govern.DeliveryFilter{Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, d := range slices.Backward(found) {
		out = append(out, fmt.Sprintf("%s %s %d", d.Kind, d.State, d.Attempts))
	}
	return out
}

func (w *hookWorld) same(what string, got, want []string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestWebhooksHearWhatTheyAskedFor(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		for _, test := range []struct {
			events []string
			want   []string
		}{
			{[]string{"version.accepted"}, []string{"version.accepted"}},
			{[]string{"version."}, []string{"version.accepted", "version.refused"}},
			{[]string{"alias.moved", "version.refused"}, []string{"version.refused", "alias.moved"}},
			{[]string{"*"}, []string{"model.created", "version.accepted", "version.refused", "alias.moved"}},
			{[]string{"versions."}, nil},
			{[]string{"thing.made"}, []string{""}},
			{[]string{"thing."}, nil}, // a dialect's name is asked for word by word
		} {
			r := newReceiver(w.T, nil)
			h := w.add(r.URL, test.events...)
			w.happen("model.created", "version.accepted", "version.refused", "alias.moved")
			w.drain()
			w.same(fmt.Sprint(test.events), r.kinds(w.T), test.want)
			if err := w.hooks.Delete(w.Context(), h.ID); err != nil {
				w.Fatal(err)
			}
		}
		w.happen("version.accepted")
		if next := w.drain(); !next.IsZero() {
			w.Error("something waits for a webhook that is gone")
		}
	})
}

func TestADeliveryIsTheEventAndIsSigned(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, nil)
		w.add(r.URL+"/hook?a=b", "alias.", "thing.made")
		w.happen("alias.moved", "model.created")
		w.drain()
		got := r.messages()
		if len(got) != 2 {
			w.Fatalf("%d messages", len(got))
		}
		var e govern.Event
		if err := json.Unmarshal(got[0].body, &e); err != nil {
			w.Fatal(err)
		}
		listed, err := w.events.List(w.Context(), govern.Filter{Kind: "alias.moved"})
		if err != nil || len(listed) != 1 || e.ID != listed[0].ID || e.Actor != "user:alice" || e.Data["reason"] != "why" || !e.At.Equal(listed[0].At) {
			w.Errorf("%+v is not %+v (%v)", e, listed, err)
		}
		id, at := got[0].header.Get("Webhook-Id"), got[0].header.Get("Webhook-Timestamp")
		if sent := got[0].header.Get("Webhook-Signature"); sent != govern.SignStandard("s3cret", id, at, got[0].body) || at != strconv.FormatInt(w.now.Unix(), 10) {
			w.Errorf("headers %v", got[0].header)
		}
		if string(got[1].body) != `{"other":"words"}` {
			w.Errorf("body %s", got[1].body)
		}
		id, at = got[1].header.Get("X-Other-Delivery-Id"), got[1].header.Get("X-Other-Timestamp")
		if sent := got[1].header.Get("X-Other-Signature"); sent != govern.Sign("s3cret", id, at, got[1].body) || got[1].header.Get("Content-Type") != "application/json" {
			w.Errorf("headers %v", got[1].header)
		}
	})
}

func TestSignatures(t *testing.T) {
	// mlflow 3.17.2: mlflow.webhooks.delivery._generate_hmac_signature("s3cret", "0197f3c2", "1700000000", '{"a": "ü"}')
	if got := govern.Sign("s3cret", "0197f3c2", "1700000000", []byte(`{"a": "ü"}`)); got != "v1,d4ZMVEUfk2VOH1jER4CeKD/oZZBjy8WmPklElST7vp4=" {
		t.Errorf("as MLflow: %s", got)
	}
	// https://github.com/standard-webhooks/standard-webhooks, libraries/go/webhook_test.go, TestWebhookSign
	got := govern.SignStandard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("as Standard Webhooks: %s", got)
	}
}

func TestNothingIsToldOfWhatWasRolledBack(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, nil)
		h := w.add(r.URL, "*")
		err := w.db.Write(w.Context(), func(tx *catalog.Tx) error {
			if err := w.events.Append(w.Context(), tx, govern.Event{Kind: "version.accepted"}); err != nil {
				return err
			}
			return fault.New(fault.Conflict, "no")
		})
		if !fault.Is(err, fault.Conflict) {
			w.Fatal(err)
		}
		w.drain()
		if n := len(r.messages()); n != 0 || len(w.log(h.ID)) != 0 {
			w.Errorf("%d messages of what never happened", n)
		}
	})
}

func TestFailuresAreTriedAgainInOrder(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, statuses(500, 503, 408, 429, 200))
		h := w.add(r.URL, "a.")
		w.happen("a.one", "a.two")
		var waits []time.Duration
		for next := w.drain(); !next.IsZero(); next = w.drain() {
			waits = append(waits, next.Sub(w.now))
			w.now = next
		}
		if !slices.Equal(waits, govern.Backoff[:4]) {
			w.Errorf("waits %v, want %v", waits, govern.Backoff[:4])
		}
		w.same("order", r.kinds(w.T), []string{"a.one", "a.one", "a.one", "a.one", "a.one", "a.two"})
		w.same("log", w.log(h.ID), []string{"a.one delivered 5", "a.two delivered 1"})
		ids, times := map[string]bool{}, map[string]bool{}
		for _, m := range r.messages()[:5] {
			ids[m.header.Get("Webhook-Id")], times[m.header.Get("Webhook-Timestamp")] = true, true
		}
		if len(ids) != 1 || len(times) != 5 {
			w.Errorf("%d ids and %d times in five attempts, want 1 and 5", len(ids), len(times))
		}
	})
}

func TestADeliveryFailsAfterEightAttempts(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, statuses(500))
		h := w.add(r.URL, "a.one")
		w.happen("a.one")
		begun := w.now
		for next := w.drain(); !next.IsZero(); next = w.drain() {
			w.now = next
		}
		w.same("log", w.log(h.ID), []string{"a.one failed 8"})
		if took := w.now.Sub(begun); took < 50*time.Minute || took > 70*time.Minute {
			w.Errorf("it took %s, want about an hour", took)
		}
		h, err := w.hooks.Get(w.Context(), h.ID)
		if err != nil || h.FailingSince == nil || !h.FailingSince.Equal(begun) || !strings.Contains(h.Problem, "500") {
			w.Errorf("%+v (%v)", h, err)
		}
	})
}

func TestAnswersThatEndADelivery(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		for _, test := range []struct {
			name   string
			answer func(int, http.ResponseWriter, *http.Request)
			want   string
		}{
			{"200", statuses(200), "delivered 1"},
			{"204", statuses(204), "delivered 1"},
			{"400", statuses(400), "failed 1"},
			{"401", statuses(401), "failed 1"},
			{"404", statuses(404), "failed 1"},
			{"410", statuses(410), "failed 1"},
			{"408", statuses(408), "waiting 1"},
			{"429", statuses(429), "waiting 1"},
			{"501", statuses(501), "waiting 1"},
			{"a redirect elsewhere", func(_ int, w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
			}, "failed 1"},
			{"a redirect that changes the method", func(_ int, w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "/there", http.StatusFound)
			}, "failed 1"},
			{"a redirect on the same server", func(n int, w http.ResponseWriter, req *http.Request) {
				if n == 0 {
					http.Redirect(w, req, "/there", http.StatusPermanentRedirect)
				}
			}, "delivered 1"},
			{"redirects without end", func(_ int, w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, "/", http.StatusPermanentRedirect)
			}, "failed 1"},
			{"a connection that is cut", func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "waiting 1"},
			{"a long answer", func(_ int, w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(bytes.Repeat([]byte("ü"), 1<<20))
			}, "delivered 1"},
		} {
			r := newReceiver(w.T, test.answer)
			h := w.add(r.URL, "a.one")
			w.happen("a.one")
			w.drain()
			w.same(test.name, w.log(h.ID), []string{"a.one " + test.want})
			found, err := w.hooks.Deliveries(w.Context(), h.ID, govern.DeliveryFilter{})
			if err != nil || len(found) != 1 || len(found[0].Tries) != 1 || len(found[0].Tries[0].Answer) > 1024 {
				w.Fatalf("%+v (%v)", found, err)
			}
			if err := w.hooks.Delete(w.Context(), h.ID); err != nil {
				w.Fatal(err)
			}
		}
	})
}

func TestRetryAfterIsHeeded(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		header := []string{"120", "1", w.now.Add(10 * time.Minute).Format(http.TimeFormat), "9999999", "soon"}
		r := newReceiver(w.T, func(n int, rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", header[n])
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		w.add(r.URL, "a.one")
		w.happen("a.one")
		// One second is less than the wait of the second failure, an hour is the most that an answer may ask for.
		for i, want := range []time.Duration{2 * time.Minute, govern.Backoff[1], 10*time.Minute - 2*time.Minute - govern.Backoff[1], time.Hour, govern.Backoff[4]} {
			next := w.drain()
			if got := next.Sub(w.now); got != want {
				w.Errorf("after failure %d: %s, want %s", i+1, got, want)
			}
			w.now = next
		}
	})
}

func TestWhatWaitsSurvivesARestart(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		ctx, kill := context.WithCancel(w.Context())
		r := newReceiver(w.T, func(n int, rw http.ResponseWriter, req *http.Request) {
			if n == 1 { // the process ends after the receiver has the message and before it is noted
				kill()
				<-req.Context().Done()
			}
		})
		h := w.add(r.URL, "a.")
		w.happen("a.one", "a.two", "a.three")
		if _, err := w.hooks.Drain(ctx); err == nil {
			w.Fatal("the process lives")
		}
		w.reopen()
		w.drain()
		w.same("messages", r.kinds(w.T), []string{"a.one", "a.two", "a.two", "a.three"})
		got := r.messages()
		if got[1].header.Get("Webhook-Id") != got[2].header.Get("Webhook-Id") || !bytes.Equal(got[1].body, got[2].body) {
			w.Error("the message came twice with different ids")
		}
		w.same("log", w.log(h.ID), []string{"a.one delivered 1", "a.two delivered 1", "a.three delivered 1"})
	})
}

func TestOneWebhookDoesNotHoldUpAnother(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		bad, good := newReceiver(w.T, statuses(500)), newReceiver(w.T, nil)
		w.add(bad.URL, "a.")
		w.add(good.URL, "a.")
		w.happen("a.one", "a.two")
		w.drain()
		w.same("good", good.kinds(w.T), []string{"a.one", "a.two"})
		w.same("bad", bad.kinds(w.T), []string{"a.one"})
	})
}

func TestAWebhookThatFailsForDaysIsDisabledAndCanGoOn(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, statuses(500))
		h := w.add(r.URL+"/secret-path", "a.")
		watcher := newReceiver(w.T, nil)
		w.add(watcher.URL, "webhook.disabled")
		begun := w.now
		for i := range 400 {
			w.happen("a.one")
			if next := w.drain(); next.IsZero() {
				break
			}
			if w.now = w.now.Add(time.Hour); i > 300 {
				w.Fatal("it is still active")
			}
		}
		if took := w.now.Sub(begun); took < govern.DisableAfter || took > govern.DisableAfter+2*time.Hour {
			w.Errorf("disabled after %s", took)
		}
		h, err := w.hooks.Get(w.Context(), h.ID)
		if err != nil || h.Status != govern.WebhookDisabled || h.Problem == "" {
			w.Fatalf("%+v (%v)", h, err)
		}
		said, err := w.events.List(w.Context(), govern.Filter{Kind: "webhook.disabled"})
		if err != nil || len(said) != 1 || said[0].Level != govern.Bad || strings.Contains(said[0].Message, "secret-path") {
			w.Errorf("%+v (%v)", said, err)
		}
		w.same("others hear of it", watcher.kinds(w.T), []string{"webhook.disabled"})
		tried := len(r.messages())
		w.happen("a.two") // what happens now is not for it
		r.mu.Lock()
		r.answer = nil
		r.mu.Unlock()
		active := govern.WebhookActive
		if h, err = w.hooks.Update(w.Context(), h.ID, govern.WebhookChange{Status: &active}); err != nil || h.FailingSince != nil || h.Problem != "" {
			w.Fatalf("%+v (%v)", h, err)
		}
		waiting := 0
		for _, line := range w.log(h.ID) {
			if strings.Contains(line, "waiting") {
				waiting++
			}
		}
		if w.drain(); waiting == 0 || len(r.messages()) != tried+waiting {
			w.Errorf("%d were told of %d that waited", len(r.messages())-tried, waiting)
		}
	})
}

func TestReplay(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, statuses(400, 200))
		h := w.add(r.URL, "a.")
		w.happen("a.one")
		w.drain()
		found, err := w.hooks.Deliveries(w.Context(), h.ID, govern.DeliveryFilter{State: govern.Undelivered, Bodies: true})
		if err != nil || len(found) != 1 || len(found[0].Body) == 0 {
			w.Fatalf("%+v (%v)", found, err)
		}
		d, err := w.hooks.Replay(w.Context(), h.ID, found[0].ID)
		if err != nil || d.State != govern.Pending || d.NextAt == nil {
			w.Fatalf("%+v (%v)", d, err)
		}
		w.drain()
		if d, err = w.hooks.Delivery(w.Context(), h.ID, d.ID); err != nil || d.State != govern.Delivered || len(d.Tries) != 2 || d.Tries[0].Status != 400 || d.Tries[1].Status != 200 {
			w.Errorf("%+v (%v)", d, err)
		}
		if got := r.messages(); len(got) != 2 || got[0].header.Get("Webhook-Id") != got[1].header.Get("Webhook-Id") {
			w.Error("a replay has the id of the delivery")
		}
		if _, err := w.hooks.Replay(w.Context(), h.ID, "nope"); !fault.Is(err, fault.NotFound) {
			w.Errorf("err %v", err)
		}
	})
}

func TestTheLogIsPruned(t *testing.T) {
	eachHook(t, func(w *hookWorld) {
		r := newReceiver(w.T, nil)
		h := w.add(r.URL, "a.")
		w.happen("a.old")
		w.drain()
		w.now = w.now.Add(govern.KeepFor + time.Hour)
		w.happen("a.new")
		w.drain()
		if err := w.hooks.Prune(w.Context(), w.now); err != nil {
			w.Fatal(err)
		}
		w.same("by age", w.log(h.ID), []string{"a.new delivered 1"})
		err := w.db.Write(w.Context(), func(tx *catalog.Tx) error { // as if many had come since
			_, err := tx.ExecContext(w.Context(), "UPDATE webhook_deliveries SET number = number + $1", govern.KeepMost)
			return err
		})
		if err != nil {
			w.Fatal(err)
		}
		w.happen("a.next", "a.last")
		w.drain()
		err = w.db.Write(w.Context(), func(tx *catalog.Tx) error {
			_, err := tx.ExecContext(w.Context(), "UPDATE webhook_deliveries SET number = 1 WHERE kind = 'a.new'")
			return err
		})
		if err != nil {
			w.Fatal(err)
		}
		if err := w.hooks.Prune(w.Context(), w.now); err != nil {
			w.Fatal(err)
		}
		w.same("by number", w.log(h.ID), []string{"a.next delivered 1", "a.last delivered 1"})
	})
}
