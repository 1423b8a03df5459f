package govern

import (
	"context"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// The states of a webhook.
const (
	WebhookActive   = "active"
	WebhookDisabled = "disabled"
)

// Bounds of what a webhook says about itself.
const (
	maxWebhooks           = 500
	maxWebhookURL         = 2048
	maxWebhookDescription = 5000
	maxWebhookSecret      = 1000
	maxWebhookEvents      = 100
)

// Webhook is an address that hears of events. Its secret is never shown.
type Webhook struct {
	ID           string     `json:"id"`
	Name         string     `json:"name" example:"ci"`
	Description  string     `json:"description,omitempty"`
	URL          string     `json:"url" example:"https://ci.example.com/hooks/trimtab"`
	Events       []string   `json:"events" doc:"kinds of events; a prefix that ends in a dot takes all below it, * takes every kind" example:"[\"version.\",\"alias.moved\"]"`
	Status       string     `json:"status" enum:"active,disabled"`
	Signed       bool       `json:"signed" doc:"it has a secret, with which deliveries are signed"`
	Problem      string     `json:"problem,omitempty" doc:"why the last attempt failed, or why it was disabled"`
	FailingSince *time.Time `json:"failing_since,omitempty" doc:"since when no attempt succeeded"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
}

// NewWebhook is a webhook to be made.
type NewWebhook struct {
	Name, Description, URL string
	Events                 []string
	Secret                 string
	Disabled               bool
}

// WebhookChange changes what is not nil. An empty secret takes the secret away.
type WebhookChange struct {
	Name, Description, URL, Secret, Status *string
	Events                                 []string
}

// Dialect is how another system names events and writes them down.
type Dialect struct {
	Names  []string // what can be subscribed to; none is also a kind of ours
	Header string   // what its headers begin with: X-MLflow
	// Translate gives the dialect's view of an event, as it is seen from q. It must be cheap for kinds that it does not know.
	Translate func(ctx context.Context, q catalog.Querier, e Event) ([]Notice, error)
	// Example is a body to test a webhook with.
	Example func(name string, at time.Time) ([]byte, error)
}

// Notice is an event in a dialect.
type Notice struct {
	Name string
	Body []byte // JSON
}

// WebhookConfig is what webhooks stand on.
type WebhookConfig struct {
	DB      *catalog.DB
	Events  *Service
	Key     []byte // 32 bytes that encrypt the secrets; kept outside of the catalog
	Allow   []string
	Dialect Dialect // zero = none

	Resolver Resolver         // nil = the machine's
	Now      func() time.Time // nil = time.Now
	Jitter   func() float64   // in 0…1; nil = random
	Log      *slog.Logger     // nil = discard
}

// Webhooks keeps webhooks and delivers to them what happens, at least once and in order. A delivery is written in the transaction of the
// event that caused it. It is safe for concurrent use.
type Webhooks struct {
	cfg    WebhookConfig
	aead   cipher.AEAD
	guard  *guard
	client *http.Client
	active atomic.Pointer[[]Webhook] // what Append looks at

	wake    chan struct{}
	mu      sync.Mutex
	busy    map[string]bool // webhooks that are being delivered to
	workers sync.WaitGroup
	room    chan struct{}      // bounds the workers
	quit    context.CancelFunc // ends the loop
	kill    context.CancelFunc // ends attempts under way
	loop    sync.WaitGroup
}

// OpenWebhooks reads the webhooks and has the events tell them what happens from then on. Nothing is delivered before Start.
func OpenWebhooks(ctx context.Context, cfg WebhookConfig) (*Webhooks, error) {
	w := &Webhooks{cfg: cfg, wake: make(chan struct{}, 1), busy: map[string]bool{}, room: make(chan struct{}, maxWorkers)}
	if err := w.defaults(); err != nil {
		return nil, err
	}
	if err := w.reload(ctx); err != nil {
		return nil, err
	}
	wanted, deliver := w.wanted, w.enqueue
	cfg.Events.wanted.Store(&wanted)
	cfg.Events.deliver.Store(&deliver)
	return w, nil
}

const webhookColumns = "id, name, description, url, events, status, secret, problem, failing_since, created_at, updated_at"

// stored is a webhook with its secret, still encrypted.
type stored struct {
	Webhook
	secret []byte
}

func (w *Webhooks) read(ctx context.Context, q catalog.Querier, where string, args ...any) ([]stored, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+webhookColumns+" FROM webhooks "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read webhooks: %w", err)
	}
	defer rows.Close()
	var found []stored
	for rows.Next() {
		var s stored
		var events string
		var failing, created, updated int64
		if err := rows.Scan(&s.ID, &s.Name, &s.Description, &s.URL, &events, &s.Status, &s.secret, &s.Problem, &failing, &created, &updated); err != nil {
			return nil, fmt.Errorf("read webhooks: %w", err)
		}
		if err := json.Unmarshal([]byte(events), &s.Events); err != nil {
			return nil, fmt.Errorf("webhook %s: %w", s.ID, err)
		}
		s.CreatedAt, s.UpdatedAt, s.Signed = catalog.Time(created), catalog.Time(updated), len(s.secret) > 0
		if failing != 0 {
			since := catalog.Time(failing)
			s.FailingSince = &since
		}
		found = append(found, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read webhooks: %w", err)
	}
	return found, nil
}

func (w *Webhooks) find(ctx context.Context, q catalog.Querier, id string) (*stored, error) {
	found, err := w.read(ctx, q, "WHERE workspace_id = $1 AND id = $2", catalog.Workspace, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "Webhook with ID %.100s not found.", id)
	}
	return &found[0], nil
}

// Get finds a webhook.
func (w *Webhooks) Get(ctx context.Context, id string) (*Webhook, error) {
	found, err := w.find(ctx, w.cfg.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	return &found.Webhook, nil
}

// List gives every webhook, the newest first. There are few.
func (w *Webhooks) List(ctx context.Context) ([]Webhook, error) {
	found, err := w.read(ctx, w.cfg.DB.Read(), "WHERE workspace_id = $1 ORDER BY created_at DESC, id DESC", catalog.Workspace)
	if err != nil {
		return nil, err
	}
	out := make([]Webhook, len(found))
	for i := range found {
		out[i] = found[i].Webhook
	}
	return out, nil
}

// Create makes a webhook. Its address is checked as far as it can be now, and once more whenever it is called.
func (w *Webhooks) Create(ctx context.Context, n NewWebhook) (*Webhook, error) {
	now := w.cfg.Now().UTC().Truncate(time.Microsecond)
	s := stored{Webhook: Webhook{ID: id.New(), Name: n.Name, Description: n.Description, URL: n.URL, Events: slices.Clone(n.Events), Status: WebhookActive, CreatedAt: now, UpdatedAt: now}}
	if n.Disabled {
		s.Status = WebhookDisabled
	}
	if err := w.check(ctx, &s.Webhook); err != nil {
		return nil, err
	}
	if err := w.setSecret(&s, n.Secret); err != nil {
		return nil, err
	}
	err := w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		var many int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM webhooks WHERE workspace_id = $1", catalog.Workspace).Scan(&many); err != nil {
			return fmt.Errorf("count webhooks: %w", err)
		}
		if many >= maxWebhooks {
			return fault.New(fault.Invalid, "there are %d webhooks already", many).WithHint("remove one that is not needed: trimtab webhooks rm ID")
		}
		if err := w.store(ctx, tx, &s); err != nil {
			return err
		}
		return w.cfg.Events.Append(ctx, tx, Event{Kind: "webhook.created", Subject: "webhook/" + s.ID,
			Message: fmt.Sprintf("webhook %s to %s was made", s.Name, hostOf(s.URL)), Data: map[string]any{"webhook": s.ID, "name": s.Name, "events": s.Events}})
	})
	if err != nil {
		return nil, err
	}
	return &s.Webhook, nil
}

// Update changes a webhook. One that is activated again goes on with what it has missed.
func (w *Webhooks) Update(ctx context.Context, id string, c WebhookChange) (*Webhook, error) {
	before, err := w.find(ctx, w.cfg.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	next := before.Webhook
	c.apply(&next)
	if err := w.check(ctx, &next); err != nil { // outside of the transaction, because it may look names up
		return nil, err
	}
	var after *stored
	err = w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		if after, err = w.find(ctx, tx, id); err != nil {
			return err
		}
		activated := after.Status == WebhookDisabled
		c.apply(&after.Webhook)
		if activated = activated && after.Status == WebhookActive; activated {
			after.Problem, after.FailingSince = "", nil
			_, err := tx.ExecContext(ctx, "UPDATE webhook_deliveries SET next_at = 0 WHERE workspace_id = $1 AND webhook_id = $2 AND state = 'waiting'", catalog.Workspace, id)
			if err != nil {
				return fmt.Errorf("change webhook: %w", err)
			}
		}
		if c.Secret != nil {
			if err := w.setSecret(after, *c.Secret); err != nil {
				return err
			}
		}
		after.UpdatedAt = w.cfg.Now().UTC().Truncate(time.Microsecond)
		if err := w.store(ctx, tx, after); err != nil {
			return err
		}
		tx.OnCommit(w.kick)
		return w.cfg.Events.Append(ctx, tx, Event{Kind: "webhook.changed", Subject: "webhook/" + id, Message: fmt.Sprintf("webhook %s was changed", after.Name),
			Data: map[string]any{"webhook": id, "name": after.Name, "status": after.Status, "events": after.Events}})
	})
	if err != nil {
		return nil, err
	}
	return &after.Webhook, nil
}

func (c *WebhookChange) apply(h *Webhook) {
	for _, f := range []struct{ from, to *string }{{c.Name, &h.Name}, {c.Description, &h.Description}, {c.URL, &h.URL}, {c.Status, &h.Status}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Events != nil {
		h.Events = slices.Clone(c.Events)
	}
}

// Delete removes a webhook with its deliveries.
func (w *Webhooks) Delete(ctx context.Context, id string) error {
	return w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		s, err := w.find(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, table := range []string{"DELETE FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2", "DELETE FROM webhooks WHERE workspace_id = $1 AND id = $2"} {
			if _, err := tx.ExecContext(ctx, table, catalog.Workspace, id); err != nil {
				return fmt.Errorf("delete webhook: %w", err)
			}
		}
		w.reloadAfter(ctx, tx)
		return w.cfg.Events.Append(ctx, tx, Event{Kind: "webhook.deleted", Subject: "webhook/" + id, Level: Attention, Message: fmt.Sprintf("webhook %s was removed", s.Name),
			Data: map[string]any{"webhook": id, "name": s.Name}})
	})
}

func (w *Webhooks) store(ctx context.Context, tx *catalog.Tx, s *stored) error {
	events, err := json.Marshal(s.Events)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", s.ID, err)
	}
	failing := int64(0)
	if s.FailingSince != nil {
		failing = catalog.Micros(*s.FailingSince)
	}
	if s.secret == nil {
		s.secret = []byte{}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO webhooks (workspace_id, `+webhookColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, description = excluded.description, url = excluded.url, events = excluded.events,
		status = excluded.status, secret = excluded.secret, problem = excluded.problem, failing_since = excluded.failing_since, updated_at = excluded.updated_at`,
		catalog.Workspace, s.ID, s.Name, s.Description, s.URL, string(events), s.Status, s.secret, s.Problem, failing, catalog.Micros(s.CreatedAt), catalog.Micros(s.UpdatedAt))
	if err != nil {
		return fmt.Errorf("store webhook: %w", err)
	}
	w.reloadAfter(ctx, tx)
	return nil
}

func (w *Webhooks) reloadAfter(ctx context.Context, tx *catalog.Tx) {
	tx.OnCommit(func() {
		if err := w.reload(context.WithoutCancel(ctx)); err != nil {
			w.cfg.Log.Error("read the webhooks again", "error", err)
		}
	})
}

// reload reads the webhooks that Append tells of events. The server is alone on its catalog, so that nobody else changes them.
func (w *Webhooks) reload(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := w.List(ctx)
	if err != nil {
		return err
	}
	active := slices.DeleteFunc(all, func(h Webhook) bool { return h.Status != WebhookActive })
	w.active.Store(&active)
	return nil
}

var (
	webhookName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	eventName   = regexp.MustCompile(`^(\*|[a-z][a-z_]*\.([a-z][a-z_]*)?)$`)
)

// check refuses what cannot be a webhook. The words are those of MLflow where it has some.
func (w *Webhooks) check(ctx context.Context, h *Webhook) error {
	switch {
	case !webhookName.MatchString(h.Name):
		return fault.New(fault.Invalid, "Webhook name '%.100s' is invalid. It must start and end with a letter or digit, be less than 63 characters long, "+
			"and contain only letters, digits, dots (.), underscores (_), and hyphens (-).", h.Name)
	case len(h.Description) > maxWebhookDescription:
		return fault.New(fault.Invalid, "the description of a webhook has at most %d bytes", maxWebhookDescription)
	case h.Status != WebhookActive && h.Status != WebhookDisabled:
		return fault.New(fault.Invalid, "status %q is not active or disabled", h.Status)
	case len(h.Events) == 0:
		return fault.New(fault.Invalid, "Webhook events must be a non-empty list of WebhookEvent objects: [].")
	case len(h.Events) > maxWebhookEvents:
		return fault.New(fault.Invalid, "a webhook has at most %d events", maxWebhookEvents)
	}
	slices.Sort(h.Events)
	h.Events = slices.Compact(h.Events)
	for _, name := range h.Events {
		if !eventName.MatchString(name) {
			return fault.New(fault.Invalid, "event %.100q is not a kind of events", name).WithHint(`name one like version.accepted, a prefix like "version." or * for all`)
		}
	}
	return w.guard.checkURL(ctx, h.URL)
}

// subscribes reports whether a webhook wants a kind of ours, by its name or by a pattern.
func (h *Webhook) subscribes(kind string) bool {
	return slices.ContainsFunc(h.Events, func(want string) bool {
		return want == kind || want == "*" || strings.HasSuffix(want, ".") && strings.HasPrefix(kind, want)
	})
}

// defaults fills in what the configuration leaves out.
func (w *Webhooks) defaults() (err error) {
	c := &w.cfg
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if w.aead, err = newAEAD(c.Key); err != nil {
		return err
	}
	if w.guard, err = newGuard(c.Resolver, c.Allow); err != nil {
		return err
	}
	w.client = w.guard.newClient()
	return nil
}
