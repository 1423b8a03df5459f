// Package clock gives the time to everything whose behaviour depends on it, so that tests and replays set it.
//
// Durations of machine work (latency, progress, timeouts) are monotonic wall time and do not come from here.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time. Implementations are safe for concurrent use and return UTC.
type Clock interface {
	Now() time.Time
}

// Wall is the machine's clock.
type Wall struct{}

// Now is the machine's time in UTC, to the microsecond.
func (Wall) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Replay is a clock that is moved by what it is told: now is the greatest time seen.
// The zero value starts at the zero time.
type Replay struct {
	mu  sync.RWMutex
	now time.Time
}

// NewReplay starts a replay clock at now.
func NewReplay(now time.Time) *Replay { return &Replay{now: now.UTC()} }

// Now is the greatest time seen.
func (r *Replay) Now() time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now
}

// Advance moves the clock to at if that is later, and returns the time before and after.
// A time in the past leaves it where it is: the clock never goes back.
func (r *Replay) Advance(at time.Time) (before, after time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.now
	if at.After(r.now) {
		r.now = at.UTC()
	}
	return before, r.now
}
