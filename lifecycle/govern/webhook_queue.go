package govern

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

const (
	maxWorkers   = 8                   // webhooks that are called at once
	disableAfter = 5 * 24 * time.Hour  // without one success
	keepFor      = 30 * 24 * time.Hour // deliveries
	keepMost     = 10_000              // finished deliveries of a webhook
	pruneEvery   = time.Hour
	maxTries     = 20 // attempts that a delivery shows
	repairWait   = 30 * time.Second
)

func (w *Webhooks) wanted(kind string) bool {
	return slices.ContainsFunc(*w.active.Load(), func(h Webhook) bool { return h.subscribes(kind) })
}

// enqueue writes a delivery for everyone who wants e, in the transaction of e.
func (w *Webhooks) enqueue(ctx context.Context, tx *catalog.Tx, e Event) error {
	active := *w.active.Load()
	if len(active) == 0 {
		return nil
	}
	var notices []Notice
	if w.cfg.Dialect.Translate != nil && slices.ContainsFunc(active, func(h Webhook) bool { return slices.ContainsFunc(h.Events, w.foreign) }) {
		var err error
		if notices, err = w.cfg.Dialect.Translate(ctx, tx, e); err != nil {
			return fmt.Errorf("tell webhooks of %s: %w", e.Kind, err)
		}
	}
	if w.wanted(e.Kind) {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("tell webhooks of %s: %w", e.Kind, err)
		}
		notices = append(notices, Notice{e.Kind, body})
	}
	told := false
	for _, n := range notices {
		for i := range active {
			// Patterns are for kinds of ours; a dialect's name is asked for word by word.
			if wants := slices.Contains(active[i].Events, n.Name); !wants && (w.foreign(n.Name) || !active[i].subscribes(n.Name)) {
				continue
			}
			if err := w.insert(ctx, tx, active[i].ID, e.ID, n); err != nil {
				return err
			}
			told = true
		}
	}
	if told {
		tx.OnCommit(w.kick)
	}
	return nil
}

func (w *Webhooks) insert(ctx context.Context, tx *catalog.Tx, webhook, event string, n Notice) error {
	var last int64
	row := tx.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2", catalog.Workspace, webhook)
	if err := row.Scan(&last); err != nil {
		return fmt.Errorf("queue a delivery: %w", err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO webhook_deliveries (workspace_id, webhook_id, number, id, event_id, kind, body, state, attempts, next_at, created_at, tries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, 0, $8, '[]')`,
		catalog.Workspace, webhook, last+1, id.New(), event, n.Name, string(n.Body), catalog.Micros(w.cfg.Now()))
	if err != nil {
		return fmt.Errorf("queue a delivery: %w", err)
	}
	return nil
}

func (w *Webhooks) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Start delivers until Stop. It also prunes the log.
func (w *Webhooks) Start(ctx context.Context) error {
	looping, quit := context.WithCancel(context.WithoutCancel(ctx))
	sending, kill := context.WithCancel(context.WithoutCancel(ctx))
	w.quit, w.kill = quit, kill
	w.loop.Go(func() { w.run(looping, sending) })
	return nil
}

// Stop lets attempts under way end, as long as ctx lasts; one that is cut is made again after the next start. It may be called more than
// once, and without Start.
func (w *Webhooks) Stop(ctx context.Context) error {
	if w.quit == nil {
		return nil
	}
	w.quit()
	ended := make(chan struct{})
	go func() {
		w.loop.Wait()
		w.workers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		w.kill()
		<-ended
	}
	w.kill()
	return nil
}

func (w *Webhooks) run(ctx, sending context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		now := w.cfg.Now()
		if now.Sub(pruned) >= pruneEvery {
			if err := w.prune(ctx, now); err != nil && ctx.Err() == nil {
				w.cfg.Log.Error("prune the log of webhooks", "error", err)
			}
			pruned = now
		}
		next, err := w.dispatch(ctx, sending)
		if err != nil && ctx.Err() == nil {
			w.cfg.Log.Error("webhooks cannot be delivered", "error", err)
			next = now.Add(repairWait)
		}
		wait := pruneEvery
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(now), time.Millisecond))
		}
		timer.Reset(wait)
	}
}

// head is the delivery of a webhook that is to be made next.
type head struct {
	webhook, id, kind, body, tries string
	number, attempts               int64
	next                           time.Time
}

// head finds the first waiting delivery of a webhook; nil when there is none. What is behind one waits for it, so that a receiver hears of
// things in their order, and what happened while it was away is kept until it is back.
func (w *Webhooks) head(ctx context.Context, webhook string) (*head, error) {
	d := &head{webhook: webhook}
	var next int64
	row := w.cfg.DB.Read().QueryRowContext(ctx, `SELECT number, id, kind, body, attempts, next_at, tries FROM webhook_deliveries
		WHERE workspace_id = $1 AND webhook_id = $2 AND state = 'waiting' ORDER BY number LIMIT 1`, catalog.Workspace, webhook)
	err := row.Scan(&d.number, &d.id, &d.kind, &d.body, &d.attempts, &next, &d.tries)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	d.next = catalog.Time(next)
	return d, nil
}

// dispatch begins to deliver what is due and gives the time when something else will be; zero when nothing waits.
func (w *Webhooks) dispatch(ctx, sending context.Context) (next time.Time, err error) {
	now := w.cfg.Now()
	for _, h := range *w.active.Load() {
		d, err := w.head(ctx, h.ID)
		if err != nil {
			return time.Time{}, err
		}
		if d == nil {
			continue
		}
		if d.next.After(now) {
			if next.IsZero() || d.next.Before(next) {
				next = d.next
			}
			continue
		}
		w.mu.Lock()
		taken := w.busy[h.ID]
		w.busy[h.ID] = true
		w.mu.Unlock()
		if taken {
			continue
		}
		w.workers.Go(func() {
			w.room <- struct{}{}
			err := w.deliverTo(ctx, sending, h.ID)
			<-w.room
			if err != nil && ctx.Err() == nil && sending.Err() == nil {
				w.cfg.Log.Error("a webhook cannot be delivered", "webhook", h.ID, "error", err)
				select { // its deliveries are where they were
				case <-ctx.Done():
				case <-time.After(repairWait):
				}
			}
			w.mu.Lock()
			delete(w.busy, h.ID)
			w.mu.Unlock()
			w.kick()
		})
	}
	return next, nil
}

// deliverTo delivers to one webhook until nothing is due. It ends between two attempts when ctx does, and within one when sending does.
func (w *Webhooks) deliverTo(ctx, sending context.Context, webhook string) error {
	for ctx.Err() == nil {
		d, err := w.head(sending, webhook)
		if err != nil || d == nil || d.next.After(w.cfg.Now()) {
			return err
		}
		s, err := w.find(sending, w.cfg.DB.Read(), webhook)
		if fault.Is(err, fault.NotFound) || err == nil && s.Status != WebhookActive {
			return nil // it was removed or disabled meanwhile
		}
		if err != nil {
			return err
		}
		a := w.send(sending, s, d.id, d.kind, []byte(d.body))
		if sending.Err() != nil {
			return sending.Err()
		}
		if err := w.settle(sending, d, a); err != nil {
			return err
		}
	}
	return nil
}

// settle notes an attempt: that the delivery is made, when it is tried again, or that it has failed.
func (w *Webhooks) settle(ctx context.Context, d *head, a Attempt) error {
	tries, err := appendTry(d.tries, a)
	if err != nil {
		return fmt.Errorf("delivery %s: %w", d.id, err)
	}
	now := w.cfg.Now().UTC().Truncate(time.Microsecond)
	state, next := Delivered, now
	switch n := int(d.attempts) + 1; {
	case a.OK():
	case a.final || n > len(backoff):
		state = Undelivered
	default:
		state, next = Pending, now.Add(w.wait(n, &a))
	}
	return w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE webhook_deliveries SET state = $1, attempts = $2, next_at = $3, tries = $4
			WHERE workspace_id = $5 AND webhook_id = $6 AND number = $7`, state, d.attempts+1, catalog.Micros(next), tries, catalog.Workspace, d.webhook, d.number)
		if err != nil {
			return fmt.Errorf("note a delivery: %w", err)
		}
		found, err := w.read(ctx, tx, "WHERE workspace_id = $1 AND id = $2", catalog.Workspace, d.webhook)
		if err != nil || len(found) == 0 {
			return err
		}
		return w.judge(ctx, tx, &found[0], a, state, now)
	})
}

// judge keeps how a webhook does, and disables one that has failed for days.
func (w *Webhooks) judge(ctx context.Context, tx *catalog.Tx, s *stored, a Attempt, state string, now time.Time) error {
	if a.OK() {
		if s.FailingSince == nil && s.Problem == "" {
			return nil
		}
		s.FailingSince, s.Problem = nil, ""
		return w.store(ctx, tx, s)
	}
	if s.FailingSince == nil {
		s.FailingSince = &now
	}
	s.Problem = a.Error
	about := map[string]any{"webhook": s.ID, "name": s.Name, "reason": a.Error}
	if now.Sub(*s.FailingSince) >= disableAfter && s.Status == WebhookActive {
		s.Status = WebhookDisabled
		err := w.cfg.Events.Append(ctx, tx, Event{Kind: "webhook.disabled", Subject: "webhook/" + s.ID, Actor: "webhooks", Level: Bad, Data: about,
			Message: fmt.Sprintf("webhook %s to %s was disabled: no delivery succeeded for %d days; the last problem: %s", s.Name, hostOf(s.URL), disableAfter/(24*time.Hour), a.Error)})
		if err != nil {
			return err
		}
	}
	return w.store(ctx, tx, s)
}

func appendTry(tries string, a Attempt) (string, error) {
	var all []Attempt
	if err := json.Unmarshal([]byte(tries), &all); err != nil {
		return "", err
	}
	all = append(all, a)
	doc, err := json.Marshal(all[max(0, len(all)-maxTries):])
	return string(doc), err
}

// prune removes what the log keeps no longer, and what was queued for a webhook that is gone.
func (w *Webhooks) prune(ctx context.Context, now time.Time) error {
	all, err := w.List(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		err := w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2 AND state <> 'waiting' AND number <=
				(SELECT coalesce(max(number), 0) - $3 FROM webhook_deliveries WHERE workspace_id = $1 AND webhook_id = $2)`, catalog.Workspace, h.ID, keepMost)
			return err
		})
		if err != nil {
			return fmt.Errorf("prune deliveries: %w", err)
		}
	}
	return w.cfg.DB.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM webhook_deliveries WHERE workspace_id = $1 AND (created_at < $2 OR webhook_id NOT IN
			(SELECT id FROM webhooks WHERE workspace_id = $1))`, catalog.Workspace, catalog.Micros(now.Add(-keepFor)))
		if err != nil {
			return fmt.Errorf("prune deliveries: %w", err)
		}
		return nil
	})
}
