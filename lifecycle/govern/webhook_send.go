package govern

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/internal/id"
)

// maxSnippet is how much of an answer is kept.
const maxSnippet = 1 << 10

// backoff are the waits after the first failures; after one more a delivery has failed. They add up to 55 minutes.
var backoff = []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second, 135 * time.Second, 405 * time.Second, 15 * time.Minute, 30 * time.Minute}

// maxWait bounds what an answer's Retry-After may ask for.
const maxWait = time.Hour

// Attempt is one call of a webhook.
type Attempt struct {
	At      time.Time `json:"at"`
	Status  int       `json:"status,omitempty" doc:"of the answer; left out when there was none"`
	Latency float64   `json:"latency_ms"`
	Error   string    `json:"error,omitempty" doc:"why it is not a success"`
	Answer  string    `json:"answer,omitempty" doc:"the beginning of the answer's body"`

	final bool          // trying again would not help
	after time.Duration // what the answer's Retry-After asks for
}

// OK reports whether the attempt succeeded.
func (a *Attempt) OK() bool { return a.Error == "" }

// headers are the names of id, time and signature.
func (w *Webhooks) headers(kind string) (id, at, signature string) {
	if w.foreign(kind) {
		h := w.cfg.Dialect.Header
		return h + "-Delivery-Id", h + "-Timestamp", h + "-Signature"
	}
	return "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"
}

func (w *Webhooks) foreign(kind string) bool { return slices.Contains(w.cfg.Dialect.Names, kind) }

// send calls a webhook once. The time in the signature is that of the attempt, so that a receiver can refuse old messages.
func (w *Webhooks) send(ctx context.Context, s *stored, delivery, kind string, body []byte) Attempt {
	begun := w.cfg.Now()
	a := Attempt{At: begun.UTC().Truncate(time.Microsecond)}
	req, err := w.request(ctx, s, delivery, kind, body)
	if err != nil {
		a.Error, a.final = err.Error(), true
		return a
	}
	res, err := w.client.Do(req)
	if err != nil {
		a.Latency = float64(w.cfg.Now().Sub(begun).Microseconds()) / 1000
		a.Error, a.final = reason(err), errors.Is(err, errBlocked)
		return a
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxSnippet))
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // lets the connection be used again; the answer does not matter
	}
	a.Latency = float64(w.cfg.Now().Sub(begun).Microseconds()) / 1000
	a.Status, a.Answer = res.StatusCode, snippet(text)
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
	case res.StatusCode >= 300 && res.StatusCode < 400:
		a.Error, a.final = "it answered "+res.Status+" to another place", true
	case res.StatusCode == http.StatusRequestTimeout || res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		a.Error, a.after = "it answered "+res.Status, retryAfter(res.Header.Get("Retry-After"), begun)
	default:
		a.Error, a.final = "it answered "+res.Status, true
	}
	return a
}

func (w *Webhooks) request(ctx context.Context, s *stored, delivery, kind string, body []byte) (*http.Request, error) {
	secret, err := w.secretOf(s)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its address is not an http or https address")
	}
	idName, atName, signatureName := w.headers(kind)
	at := strconv.FormatInt(w.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "trimtab")
	req.Header.Set(idName, delivery)
	req.Header.Set(atName, at)
	switch {
	case secret == "":
	case w.foreign(kind):
		req.Header.Set(signatureName, signWith([]byte(secret), delivery, at, body))
	default:
		req.Header.Set(signatureName, sign(secret, delivery, at, body))
	}
	return req, nil
}

// reason is an error of a call without the address, which may hold a secret.
func reason(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return fmt.Sprintf("no answer within %s", webhookTimeout)
		}
		err = wrapped.Err
	}
	return snippet([]byte(err.Error()))
}

// snippet is text that every catalog keeps.
func snippet(b []byte) string {
	b = b[:min(len(b), maxSnippet)]
	for cut := 0; cut < utf8.UTFMax && !utf8.Valid(b) && len(b) > 0; cut++ { // a character that the bound has cut
		if r, n := utf8.DecodeLastRune(b); r != utf8.RuneError || n != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\x00", "\uFFFD")
}

// retryAfter reads the header: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return min(time.Duration(max(seconds, 0))*time.Second, maxWait)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}

// wait is how long to wait after the n-th failure of a delivery, with up to a fifth more, so that what failed together does not come
// back together.
func (w *Webhooks) wait(n int, a *Attempt) time.Duration {
	d := backoff[n-1]
	return max(d+time.Duration(w.cfg.Jitter()*float64(d)/5), a.after)
}

// TestWebhook is the outcome of a test.
type TestWebhook struct {
	Attempt
	Event string `json:"event"`
}

// Test calls a webhook with an example of an event, active or not; "" takes the first that it wants. Nothing is logged.
func (w *Webhooks) Test(ctx context.Context, webhook, event string) (*TestWebhook, error) {
	s, err := w.find(ctx, w.cfg.DB.Read(), webhook)
	if err != nil {
		return nil, err
	}
	if event == "" {
		event = s.Events[0]
	}
	body, err := w.example(s, event)
	if err != nil {
		return nil, err
	}
	return &TestWebhook{Attempt: w.send(ctx, s, id.New(), event, body), Event: event}, nil
}

func (w *Webhooks) example(s *stored, event string) ([]byte, error) {
	now := w.cfg.Now().UTC().Truncate(time.Microsecond)
	if w.foreign(event) {
		return w.cfg.Dialect.Example(event, now)
	}
	kind := strings.TrimSuffix(strings.TrimSuffix(event, "*"), ".")
	if !strings.Contains(kind, ".") {
		kind = "webhook.tested"
	}
	return json.Marshal(Event{ID: id.New(), At: now, Recorded: now, Kind: kind, Subject: "webhook/" + s.ID, Actor: "test", Level: Info,
		Message: "This is a test of webhook " + s.Name + ".", Data: map[string]any{"test": true}})
}
