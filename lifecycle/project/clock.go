package project

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// backSlip is how far the machine's clock may go back and be waited for. A project's time stands still meanwhile; a
// greater step back means that the machine was wrong before, and its new time is taken.
const backSlip = time.Hour

const dayMicros = 24 * int64(time.Hour/time.Microsecond)

// projectClock is the time of one project, in microseconds since 1970 UTC. All fields that requests touch are atomic.
type projectClock struct {
	s      *Service
	replay atomic.Bool
	now    atomic.Int64 // replay: the greatest time seen; wall: the greatest time told
	ticked atomic.Int64 // hooks have done their work up to here
	due    atomic.Bool  // a replay has gone on for long enough since the hooks ran
	driven atomic.Bool  // Advance was called: somebody outside says when the hooks run

	hooks   sync.Mutex // held while hooks run
	storing sync.Mutex // guards what the catalog has:
	stored  struct{ now, ticked int64 }
}

// Now is the project's time.
func (c *projectClock) Now() time.Time {
	if c.replay.Load() {
		return catalog.Time(c.now.Load())
	}
	t := catalog.Micros(c.s.wall.Now())
	for {
		last := c.now.Load()
		if last > t && last-t <= int64(backSlip/time.Microsecond) {
			return catalog.Time(last)
		}
		if last == t || c.now.CompareAndSwap(last, t) {
			return catalog.Time(t)
		}
	}
}

// handle finds the clock of a name at every reading, so that one taken before the project exists follows it later.
type handle struct {
	s    *Service
	name string
}

func (h handle) Now() time.Time {
	if c, ok := h.s.clocks.Load(h.name); ok {
		return c.(*projectClock).Now()
	}
	return h.s.wall.Now()
}

func (s *Service) clockOf(name string) *projectClock {
	if c, ok := s.clocks.Load(name); ok {
		return c.(*projectClock)
	}
	c, _ := s.clocks.LoadOrStore(name, &projectClock{s: s})
	return c.(*projectClock)
}

// Clock is the clock of a project: the machine's, or that of its replay, which stands at the zero time until it begins.
// Of a project that does not exist it is the machine's.
func (s *Service) Clock(name string) clock.Clock { return handle{s, name} }

// Seen tells a replay that a prediction or an outcome carried the time at: now is the greatest one seen. It does nothing
// for a wall clock. It takes no lock and may be called for every request. Crossing a UTC day has RunTicks call the hooks; when
// Advance is used, which is the reproducible way, only going two days past the last advance does.
func (s *Service) Seen(name string, at time.Time) {
	v, ok := s.clocks.Load(name)
	if !ok {
		return
	}
	c := v.(*projectClock)
	if !c.replay.Load() {
		return
	}
	t := catalog.Micros(at)
	for {
		last := c.now.Load()
		if t <= last {
			return
		}
		if c.now.CompareAndSwap(last, t) {
			break
		}
	}
	c.ticked.CompareAndSwap(0, t)
	ticked := c.ticked.Load()
	late := t/dayMicros > ticked/dayMicros
	if c.driven.Load() {
		late = t-ticked > 2*dayMicros
	}
	if late && c.due.CompareAndSwap(false, true) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// OnTick adds a hook; hooks run in the order they were added.
func (s *Service) OnTick(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

// Advance moves the replay clock of a project to at, when that is later, and runs the hooks up to its time; they run even
// when the clock stood there already. It returns when they are done. A wall clock cannot be moved: fault.Conflict.
func (s *Service) Advance(ctx context.Context, name string, at time.Time) error {
	v, ok := s.clocks.Load(name)
	if !ok {
		return fault.New(fault.NotFound, "there is no project %q", name)
	}
	c := v.(*projectClock)
	if !c.replay.Load() {
		return fault.New(fault.Conflict, "the project %s lives by the wall clock, which cannot be moved", name).
			WithHint("write clock: replay in the trimtab.yaml of a new project")
	}
	if at.IsZero() {
		return fault.New(fault.Invalid, "the clock needs a time to move to").WithHint(`send {"at": "2013-04-01T00:00:00Z"}`)
	}
	c.driven.Store(true)
	t := catalog.Micros(at)
	for {
		last := c.now.Load()
		if t <= last || c.now.CompareAndSwap(last, t) {
			break
		}
	}
	c.hooks.Lock()
	defer c.hooks.Unlock()
	if err := s.store(ctx, name, c); err != nil {
		return err
	}
	return s.tick(ctx, name, c)
}

// tick runs the hooks from where they stood to now. The caller holds c.hooks.
func (s *Service) tick(ctx context.Context, name string, c *projectClock) error {
	to := c.Now()
	from := catalog.Time(c.ticked.Load())
	if from.IsZero() || from.After(to) {
		from = to
	}
	c.due.Store(false)
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.mu.Unlock()
	for _, h := range hooks {
		if err := h(ctx, name, from, to); err != nil {
			return fmt.Errorf("periodic work of project %s up to %s: %w", name, to.Format(time.RFC3339), err)
		}
	}
	c.ticked.Store(catalog.Micros(to))
	return nil
}

// store writes the clock to the catalog when it has moved.
func (s *Service) store(ctx context.Context, name string, c *projectClock) error {
	c.storing.Lock()
	defer c.storing.Unlock()
	now, ticked := c.now.Load(), c.ticked.Load()
	if now == c.stored.now && ticked == c.stored.ticked {
		return nil
	}
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE projects SET clock_now = $1, ticked = $2 WHERE workspace_id = $3 AND name = $4",
			now, ticked, catalog.Workspace, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing the clock of project %s: %w", name, err)
	}
	c.stored.now, c.stored.ticked = now, ticked
	return nil
}

// wallStore is how often the clock of a wall project is written: it only says from where to tick after a restart.
const wallStore = time.Minute

// RunTicks calls the hooks of wall projects every so often, and those of a replay when it has crossed a day, and stores
// the clocks that moved: a replay's at each round, a wall project's once a minute. It returns when ctx ends, after running
// hooks have returned and the clocks are stored. An error of a hook is logged and the hook is called again at the next round.
func (s *Service) RunTicks(ctx context.Context, every time.Duration) {
	var running sync.WaitGroup
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		round := false
		select {
		case <-ctx.Done():
			running.Wait()
			s.storeAll(context.WithoutCancel(ctx), true)
			return
		case <-s.wake:
		case <-ticker.C:
			round = true
		}
		s.eachClock(func(name string, c *projectClock) {
			due := c.due.Load() || round && !c.replay.Load()
			if !due || !c.hooks.TryLock() {
				return
			}
			running.Go(func() {
				defer c.hooks.Unlock()
				if err := s.tick(ctx, name, c); err != nil && ctx.Err() == nil {
					if c.replay.Load() {
						c.due.Store(true)
					}
					s.log.Error("periodic work failed; it is tried again", "project", name, "error", err)
				}
			})
		})
		if round {
			s.storeAll(ctx, false)
		}
	}
}

func (s *Service) eachClock(f func(name string, c *projectClock)) {
	s.clocks.Range(func(k, v any) bool {
		f(k.(string), v.(*projectClock))
		return true
	})
}

func (s *Service) storeAll(ctx context.Context, ending bool) {
	s.eachClock(func(name string, c *projectClock) {
		c.storing.Lock()
		moved := time.Duration(c.ticked.Load()-c.stored.ticked) * time.Microsecond
		c.storing.Unlock()
		if !ending && !c.replay.Load() && moved.Abs() < wallStore {
			return
		}
		if err := s.store(ctx, name, c); err != nil && ctx.Err() == nil {
			s.log.Error("a project's clock was not stored; it is tried again", "project", name, "error", err)
		}
	})
}
