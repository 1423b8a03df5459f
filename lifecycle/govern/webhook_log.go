package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The states of a delivery.
const (
	Pending     = "waiting"
	Delivered   = "delivered"
	Undelivered = "failed"
)

// Delivery is one message to one webhook and what became of it.
type Delivery struct {
	ID        string          `json:"id" doc:"the same in every attempt: a receiver that has seen it may leave it"`
	Webhook   string          `json:"webhook"`
	Number    int64           `json:"number" doc:"ascending in the order in which things happened"`
	Event     string          `json:"event" doc:"id of the event that caused it"`
	Kind      string          `json:"kind" example:"version.accepted"`
	State     string          `json:"state" enum:"waiting,delivered,failed"`
	Attempts  int64           `json:"attempts"`
	NextAt    *time.Time      `json:"next_at,omitempty" doc:"not before this, while it waits"`
	CreatedAt time.Time       `json:"created_at"`
	Tries     []Attempt       `json:"tries" doc:"the latest attempts, the oldest first"`
	Body      json.RawMessage `json:"body,omitempty" doc:"what is sent"`
}

// DeliveryFilter selects deliveries of a webhook.
type DeliveryFilter struct {
	State  string
	Before int64 // only those with a lower number; 0 = all
	Limit  int   // 0 = 100, at most 1,000
	Bodies bool
}

// Deliveries lists what was and will be delivered to a webhook, the newest first.
func (w *Webhooks) Deliveries(ctx context.Context, webhook string, f DeliveryFilter) ([]Delivery, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fault.New(fault.Invalid, "limit %d is outside 1..%d", f.Limit, MaxLimit)
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	if _, err := w.Get(ctx, webhook); err != nil {
		return nil, err
	}
	where, args := []string{"workspace_id = $1", "webhook_id = $2"}, []any{catalog.Workspace, webhook}
	add := func(clause string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(clause, len(args)))
	}
	if f.State != "" {
		add("state = $%d", f.State)
	}
	if f.Before > 0 {
		add("number < $%d", f.Before)
	}
	return w.deliveries(ctx, w.cfg.DB.Read(), f.Bodies, fmt.Sprintf("WHERE %s ORDER BY number DESC LIMIT $%d", strings.Join(where, " AND "), len(args)+1), append(args, f.Limit)...)
}

func (w *Webhooks) deliveries(ctx context.Context, q catalog.Querier, bodies bool, where string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, webhook_id, number, event_id, kind, state, attempts, next_at, created_at, tries, body FROM webhook_deliveries "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	found := []Delivery{}
	for rows.Next() {
		var d Delivery
		var next, created int64
		var tries, body string
		if err := rows.Scan(&d.ID, &d.Webhook, &d.Number, &d.Event, &d.Kind, &d.State, &d.Attempts, &next, &created, &tries, &body); err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		if err := json.Unmarshal([]byte(tries), &d.Tries); err != nil {
			return nil, fmt.Errorf("delivery %s: %w", d.ID, err)
		}
		d.CreatedAt = catalog.Time(created)
		if d.State == Pending {
			at := catalog.Time(max(next, created))
			d.NextAt = &at
		}
		if bodies {
			d.Body = json.RawMessage(body)
		}
		found = append(found, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return found, nil
}

// Delivery finds one delivery with its body.
func (w *Webhooks) Delivery(ctx context.Context, webhook, delivery string) (*Delivery, error) {
	return w.delivery(ctx, w.cfg.DB.Read(), webhook, delivery)
}

func (w *Webhooks) delivery(ctx context.Context, q catalog.Querier, webhook, delivery string) (*Delivery, error) {
	found, err := w.deliveries(ctx, q, true, "WHERE workspace_id = $1 AND webhook_id = $2 AND id = $3", catalog.Workspace, webhook, delivery)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "webhook %.100s has no delivery %.100s", webhook, delivery).WithHint("see them all: trimtab webhooks log %.100s", webhook)
	}
	return &found[0], nil
}

// Replay delivers once more what was delivered or has failed, with the same id and body, and tries what waits at once.
func (w *Webhooks) Replay(ctx context.Context, webhook, delivery string) (*Delivery, error) {
	var d *Delivery
	err := w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		var err error
		if d, err = w.delivery(ctx, tx, webhook, delivery); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_at = 0 WHERE workspace_id = $1 AND webhook_id = $2 AND number = $3`,
			catalog.Workspace, webhook, d.Number)
		if err != nil {
			return fmt.Errorf("replay a delivery: %w", err)
		}
		d, err = w.delivery(ctx, tx, webhook, delivery)
		tx.OnCommit(w.kick)
		return err
	})
	return d, err
}
