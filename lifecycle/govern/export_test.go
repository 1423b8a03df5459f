package govern

import (
	"context"
	"net/netip"
	"time"
)

// Drain delivers until nothing is due, and gives the time when something will be; zero when nothing waits.
func (w *Webhooks) Drain(ctx context.Context) (time.Time, error) {
	for {
		next, err := w.dispatch(ctx, ctx)
		w.workers.Wait()
		if err != nil {
			return next, err
		}
		due := false
		next = time.Time{}
		for _, h := range *w.active.Load() {
			d, err := w.head(ctx, h.ID)
			if err != nil {
				return next, err
			}
			if d == nil {
				continue
			}
			if due = due || !d.next.After(w.cfg.Now()); next.IsZero() || d.next.Before(next) {
				next = d.next
			}
		}
		if !due {
			return next, nil
		}
	}
}

// Prune removes what the log keeps no longer.
func (w *Webhooks) Prune(ctx context.Context, now time.Time) error { return w.prune(ctx, now) }

// CheckURL asks the guard about an address.
func CheckURL(ctx context.Context, r Resolver, allow []string, url string) error {
	g, err := newGuard(r, allow)
	if err != nil {
		return err
	}
	return g.checkURL(ctx, url)
}

// Dial connects through the guard and hangs up.
func Dial(ctx context.Context, r Resolver, allow []string, address string) error {
	g, err := newGuard(r, allow)
	if err != nil {
		return err
	}
	conn, err := g.dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// ErrBlocked is the guard's refusal.
var ErrBlocked = errBlocked

// Public asks whether an address is public.
func Public(a netip.Addr) bool { return public(a) }

// Sign signs as deliveries of a dialect are signed.
func Sign(secret, id, at string, body []byte) string { return signWith([]byte(secret), id, at, body) }

// SignStandard signs as deliveries of events of ours are signed.
func SignStandard(secret, id, at string, body []byte) string { return sign(secret, id, at, body) }

// Bounds that tests go to.
const (
	DisableAfter = disableAfter
	KeepMost     = keepMost
	KeepFor      = keepFor
)

// Backoff are the waits between attempts.
var Backoff = backoff
