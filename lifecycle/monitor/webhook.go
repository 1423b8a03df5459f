package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// States of a delivery.
const (
	waiting   = "waiting"
	delivered = "delivered"
	failed    = "failed"
)

// Message is what a webhook gets, as JSON.
type Message struct {
	Event string `json:"event" enum:"alert.fired,alert.resolved"`
	Alert Alert  `json:"alert"`
}

// webhookTimeout bounds one try, from the look-up of the name to the end of the answer.
const webhookTimeout = 10 * time.Second

// newWebhookClient calls the addresses that a project's file names. A file may come from anybody who can open a pull request, so the
// client follows no redirect, uses no proxy, and refuses addresses that only exist to hand out credentials of the machine.
func newWebhookClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error { return allowed(address) }}
	return &http.Client{
		Timeout:       webhookTimeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, Proxy: nil, MaxIdleConns: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Metadata services outside of the link-local range.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("192.0.0.192")}

// allowed refuses the address that a name was resolved to.
func allowed(address string) error {
	host, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.New(fault.Denied, "webhook address %s is not understood", address)
	}
	a := host.Addr().Unmap().WithZone("")
	refused := a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
	for _, m := range metadata {
		refused = refused || a == m
	}
	if refused {
		return fault.New(fault.Denied, "webhooks may not call %s", a)
	}
	return nil
}

// endpoint is the URL of an entry of monitor.alert: itself, or the one that the environment gives to a name.
func (s *Service) endpoint(target string) (string, error) {
	address := target
	if !strings.Contains(target, "://") {
		name := "TRIMTAB_WEBHOOK_" + strings.ToUpper(strings.ReplaceAll(target, "-", "_"))
		if address = s.Getenv(name); address == "" {
			return "", fault.New(fault.Invalid, "webhook %q has no address", target).WithHint("set %s", name)
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fault.New(fault.Invalid, "webhook %q is not an http or https address", target)
	}
	return address, nil
}

// post queues a message about an alert for every target of the plan. Names are stored, not what they stand for: addresses hold secrets.
func (s *Service) post(ctx context.Context, tx *catalog.Tx, p *Plan, event string, a *Alert) error {
	if len(p.Monitor.Alert) == 0 {
		return nil
	}
	body, err := json.Marshal(Message{Event: event, Alert: *a})
	if err != nil {
		return fmt.Errorf("encode an alert: %w", err)
	}
	for _, target := range p.Monitor.Alert {
		_, err := tx.ExecContext(ctx, `INSERT INTO monitor_outbox (workspace_id, id, project, alert_id, target, body, state, attempts, next_at, problem)
			VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, 0, '')`, catalog.Workspace, id.New(), a.Project, a.ID, target, string(body))
		if err != nil {
			return fmt.Errorf("queue a webhook: %w", err)
		}
	}
	tx.OnCommit(s.kick)
	return nil
}

func (s *Service) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// deliverLoop delivers until ctx ends. Deliveries go by the machine's clock: they are work, not windows.
func (s *Service) deliverLoop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicked:
		case <-timer.C:
		}
		next, err := s.deliver(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.Logger.Error("webhooks cannot be delivered", "error", err)
			next = time.Now().Add(30 * time.Second)
		}
		if !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

type delivery struct {
	id, project, alert, target, body string
	attempts                         int
}

// deliver tries what is due and gives the time when something will be due again; zero when nothing waits.
func (s *Service) deliver(ctx context.Context, now time.Time) (next time.Time, err error) {
	due, err := s.dueDeliveries(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	for _, d := range due {
		problem := s.send(ctx, d)
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
		if err := s.settle(ctx, d, problem, now); err != nil {
			return time.Time{}, err
		}
	}
	var at *int64
	row := s.DB.Read().QueryRowContext(ctx, `SELECT min(next_at) FROM monitor_outbox WHERE workspace_id = $1 AND state = 'waiting'`, catalog.Workspace)
	if err := row.Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read the outbox: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return time.UnixMicro(max(*at, 1)), nil
}

func (s *Service) dueDeliveries(ctx context.Context, now time.Time) ([]delivery, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT id, project, alert_id, target, body, attempts FROM monitor_outbox
		WHERE workspace_id = $1 AND state = 'waiting' AND next_at <= $2 ORDER BY id LIMIT 50`, catalog.Workspace, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	defer rows.Close()
	var out []delivery
	for rows.Next() {
		var d delivery
		if err := rows.Scan(&d.id, &d.project, &d.alert, &d.target, &d.body, &d.attempts); err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// send posts one message; any answer but 2xx is a failure.
func (s *Service) send(ctx context.Context, d delivery) error {
	address, err := s.endpoint(d.target)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(d.body)))
	if err != nil {
		return fault.New(fault.Invalid, "webhook %q is not an http or https address", d.target)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "trimtab")
	req.Header.Set("Idempotency-Key", d.id)
	res, err := s.HTTP.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address, which may hold a secret
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // lets the connection be used again; the answer does not matter
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return nil
}

// settle notes a delivery, or when to try again, or that it was given up.
func (s *Service) settle(ctx context.Context, d delivery, problem error, now time.Time) error {
	state, text, next := delivered, "", now
	if problem != nil {
		state, text = waiting, problem.Error()
		if d.attempts < len(s.Backoff) {
			next = now.Add(s.Backoff[d.attempts])
		} else {
			state = failed
		}
	}
	return s.DB.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE monitor_outbox SET state = $1, attempts = $2, next_at = $3, problem = $4 WHERE workspace_id = $5 AND id = $6`,
			state, d.attempts+1, next.UnixMicro(), text, catalog.Workspace, d.id)
		if err != nil {
			return fmt.Errorf("note a delivery: %w", err)
		}
		if state != failed {
			return nil
		}
		return s.Events.Append(ctx, tx, govern.Event{
			Project: d.project, Kind: "alert.undelivered", Subject: "alert/" + d.alert, Actor: "monitor", Level: govern.Attention,
			Message: fmt.Sprintf("Webhook %s was not reached in %d tries: %s", shown(d.target), d.attempts+1, text), Data: map[string]any{"alert": d.alert},
		})
	})
}

// shown is a target without the parts of an address that hold secrets.
func shown(target string) string {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	return target
}
