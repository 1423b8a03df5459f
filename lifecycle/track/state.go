package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/series"
)

// Points go to the series store and nowhere else while a run logs. What the catalog shows of them, the latest of each key, is kept here
// and written behind: every second, when the run ends, and before a search. A row of runs with open = 1 says that points may be newer
// than the row, so that a start after a crash knows which runs to read again.

const (
	writeBehind = time.Second
	idleState   = 2 * time.Minute // a state that nobody asked for and that is written goes
	maxStates   = 10_000          // beyond, idle is a second
	maxFlush    = 32              // runs in one transaction of the write-behind
)

// latest is the newest point of a key; changed is the state's clock when it came.
type latest struct {
	series.Point
	changed uint64
}

// state is what logging to a run needs to know about it without asking the catalog.
type state struct {
	id                 string
	number, experiment int64

	// gate is held for reading while points are appended, and for writing while the run is removed for good.
	gate    sync.RWMutex
	removed bool

	mu      sync.Mutex
	stage   string
	stale   bool // the stage must be read again
	open    bool // the catalog knows that points may be newer than the row
	latest  map[string]*latest
	clock   uint64 // counts changes of latest
	flushed uint64 // changes up to this are in the catalog
	asked   time.Time
}

func newState(r *record) *state {
	st := &state{id: r.run.ID, number: r.number, experiment: r.experiment, stage: r.run.Stage, open: r.open, latest: make(map[string]*latest, len(r.latest)), asked: time.Now()}
	for key, p := range r.latest {
		st.latest[key] = &latest{Point: p}
	}
	return st
}

// overlay puts what is newer here into points.
func (st *state) overlay(points map[string]series.Point) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for key, l := range st.latest {
		if p, ok := points[key]; !ok || newer(l.Point, p) {
			points[key] = l.Point
		}
	}
}

// merge takes in points. It reports whether the state was clean before and is not any more.
func (st *state) merge(metrics []Metric) (dirtied bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	before := st.clock
	st.clock++
	for i := range metrics {
		m := &metrics[i]
		l := st.latest[m.Key]
		switch {
		case l == nil:
			st.latest[strings.Clone(m.Key)] = &latest{m.point(), st.clock}
		case newer(m.point(), l.Point):
			*l = latest{m.point(), st.clock}
		}
	}
	return st.flushed == before
}

// states holds the runs that were written or logged to lately.
type states struct {
	mu    sync.Mutex
	byID  map[string]*state
	dirty map[*state]struct{}
	epoch uint64 // raised by whatever could make a state outdated while it is being read
}

func newStates() *states { return &states{byID: map[string]*state{}, dirty: map[*state]struct{}{}} }

func (s *states) get(id string) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

func (s *states) put(st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[st.id] = st
}

// add keeps st unless something changed since the epoch in which it was read; another's state of that run wins.
func (s *states) add(st *state, epoch uint64) (kept *state, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byID[st.id]; old != nil {
		return old, true
	}
	if s.epoch != epoch {
		return nil, false
	}
	s.byID[st.id] = st
	return st, true
}

func (s *states) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// outdate has the stage of a run read again before the next point.
func (s *states) outdate(match func(*state) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for _, st := range s.byID {
		if match(st) {
			st.mu.Lock()
			st.stale = true
			st.mu.Unlock()
		}
	}
}

func (s *states) outdateRun(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if st := s.byID[id]; st != nil {
		st.mu.Lock()
		st.stale = true
		st.mu.Unlock()
	}
}

// drop forgets a run that is gone.
func (s *states) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if st := s.byID[id]; st != nil {
		delete(s.dirty, st)
		delete(s.byID, id)
	}
}

func (s *states) soil(st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[st] = struct{}{}
}

func (s *states) unwritten() []*state {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*state, 0, len(s.dirty))
	for st := range s.dirty {
		out = append(out, st)
	}
	return out
}

// clean takes st from the unwritten when it is written.
func (s *states) clean(st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.flushed == st.clock {
		delete(s.dirty, st)
	}
}

// idle gives the written states that nobody asked for since the time.
func (s *states) idle(since time.Time) []*state {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*state
	for _, st := range s.byID {
		if _, dirty := s.dirty[st]; dirty {
			continue
		}
		st.mu.Lock()
		if st.asked.Before(since) {
			out = append(out, st)
		}
		st.mu.Unlock()
	}
	return out
}

// leave takes a state away unless it was used meanwhile.
func (s *states) leave(st *state, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, dirty := s.dirty[st]; !dirty && st.clock == st.flushed && st.asked.Before(since) && s.byID[st.id] == st {
		delete(s.byID, st.id)
	}
}

func (s *states) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

// state is the state of a run, deleted or not; fault.NotFound when there is no such run.
func (s *Service) state(ctx context.Context, id string) (*state, error) {
	for {
		epoch := s.states.now()
		st := s.states.get(id)
		if st != nil {
			st.mu.Lock()
			stale := st.stale
			st.asked = time.Now()
			st.mu.Unlock()
			if !stale {
				return st, nil
			}
			var stage string
			err := s.db.Read().QueryRowContext(ctx, `SELECT stage FROM runs WHERE workspace_id = 'default' AND id = $1`, id).Scan(&stage)
			if errors.Is(err, sql.ErrNoRows) {
				s.states.drop(id)
				return nil, noRun(id)
			}
			if err != nil {
				return nil, fmt.Errorf("read run: %w", err)
			}
			if s.states.now() != epoch {
				continue
			}
			st.mu.Lock()
			st.stage, st.stale = stage, false
			st.mu.Unlock()
			return st, nil
		}
		r, err := s.record(ctx, s.db.Read(), id)
		if err != nil {
			return nil, err
		}
		if st, ok := s.states.add(newState(r), epoch); ok {
			return st, nil
		}
	}
}

// appendPoints stores points of a run that is active.
func (s *Service) appendPoints(ctx context.Context, id string, metrics []Metric) error {
	for {
		st, err := s.state(ctx, id)
		if err != nil {
			return err
		}
		st.mu.Lock()
		stage, open := st.stage, st.open
		st.mu.Unlock()
		if stage != StageActive {
			return notActive("run", id, stage)
		}
		if len(metrics) == 0 {
			return nil
		}
		if !open {
			// Not under the gate: its holder must not wait for the catalog, whose holder may wait for the gate.
			if err := s.markOpen(ctx, st); err != nil {
				return err
			}
		}
		if done, err := s.appendTo(st, metrics); done || err != nil {
			return err
		}
	}
}

// appendTo reports false when the run was closed meanwhile.
func (s *Service) appendTo(st *state, metrics []Metric) (done bool, err error) {
	st.gate.RLock()
	defer st.gate.RUnlock()
	if st.removed {
		return false, noRun(st.id)
	}
	st.mu.Lock()
	open := st.open
	st.mu.Unlock()
	if !open {
		return false, nil
	}
	if err := s.append(st.id, metrics); err != nil {
		return false, err
	}
	if st.merge(metrics) {
		s.states.soil(st)
	}
	return true, nil
}

var entryPool = sync.Pool{New: func() any { e := make([]series.Entry, 0, MaxMetrics); return &e }}

func (s *Service) append(id string, metrics []Metric) error {
	pooled := entryPool.Get().(*[]series.Entry)
	entries := (*pooled)[:0]
	for i := range metrics {
		entries = append(entries, series.Entry{Key: metrics[i].Key, Point: metrics[i].point()})
	}
	err := s.series.Append(id, entries)
	clear(entries)
	*pooled = entries
	entryPool.Put(pooled)
	return err
}

// markOpen notes in the catalog that points come, before the first one does.
func (s *Service) markOpen(ctx context.Context, st *state) error {
	err := s.writer.do(ctx, func(c *change) error {
		_, err := c.ExecContext(ctx, `UPDATE runs SET open = 1 WHERE workspace_id = 'default' AND id = $1`, st.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("open run %s: %w", st.id, err)
	}
	st.mu.Lock()
	st.open = true
	st.mu.Unlock()
	return nil
}

// writeLatest writes the latest points of a run to its row and its cells.
func (s *Service) writeLatest(ctx context.Context, c *change, st *state) error {
	st.mu.Lock()
	clock := st.clock
	if st.flushed == clock {
		st.mu.Unlock()
		return nil
	}
	all := make(map[string]series.Point, len(st.latest))
	changed := map[string]float64{}
	for key, l := range st.latest {
		all[key] = l.Point
		if l.changed > st.flushed {
			changed[key] = l.Value
		}
	}
	st.mu.Unlock()
	done, err := c.ExecContext(ctx, `UPDATE runs SET latest = $1, updated_at = $2, revision = $3 WHERE workspace_id = 'default' AND id = $4`,
		packLatest(all), s.now().UnixMicro(), c.revision, st.id)
	if err != nil {
		return fmt.Errorf("write the metrics of run %s: %w", st.id, err)
	}
	if n, err := done.RowsAffected(); err == nil && n == 0 { // removed for good, maybe by another server
		s.states.drop(st.id)
		return nil
	}
	if err := s.metricCells(ctx, c, st.experiment, st.number, changed); err != nil {
		return err
	}
	c.OnCommit(func() {
		st.mu.Lock()
		st.flushed = max(st.flushed, clock)
		st.mu.Unlock()
		s.states.clean(st)
	})
	return nil
}

// flush writes what was logged up to now to the catalog.
func (s *Service) flush(ctx context.Context) error { return s.flushStates(ctx, s.states.unwritten()) }

func (s *Service) flushStates(ctx context.Context, all []*state) error {
	for len(all) > 0 {
		n := min(len(all), maxFlush)
		some := all[:n]
		all = all[n:]
		err := s.writer.do(ctx, func(c *change) error {
			for _, st := range some {
				if err := s.writeLatest(ctx, c, st); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, st := range some {
			s.watchers.tell(Change{Run: st.id, Experiment: fmt.Sprint(st.experiment), What: ChangeMetrics})
		}
	}
	return nil
}

// keep is the goroutine of the service: it writes behind, hears of other servers' changes, and lets idle states go.
func (s *Service) keep(ctx context.Context) {
	timer := time.NewTimer(writeBehind)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		started := time.Now()
		if s.states.size() == 0 {
			s.heard = unheard
		} else {
			if err := s.flush(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the latest metrics wait to be written", "error", err)
			}
			if err := s.hear(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("changes of other servers are not known", "error", err)
			}
			s.rest()
		}
		// Runs with thousands of metrics make this costly: it may take a tenth of one processor.
		timer.Reset(max(writeBehind, 10*time.Since(started)))
	}
}

// unheard is the revision of one who did not listen.
const unheard = -1

// hear outdates the states of runs that changed in the catalog, by whatever server.
func (s *Service) hear(ctx context.Context) error {
	var revision, epoch int64
	err := s.db.Read().QueryRowContext(ctx, `SELECT a.value, b.value FROM track_counters a, track_counters b
		WHERE a.workspace_id = 'default' AND b.workspace_id = 'default' AND a.name = 'revision' AND b.name = 'epoch'`).Scan(&revision, &epoch)
	if err != nil {
		return err
	}
	if epoch != s.heardEpoch || s.heard == unheard {
		s.states.outdate(func(*state) bool { return true })
	} else if revision != s.heard {
		rows, err := s.db.Read().QueryContext(ctx, `SELECT id, stage FROM runs WHERE workspace_id = 'default' AND revision > $1`, s.heard)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, stage string
			if err := rows.Scan(&id, &stage); err != nil {
				return err
			}
			if st := s.states.get(id); st != nil {
				st.mu.Lock()
				other := st.stage != stage
				st.mu.Unlock()
				if other {
					s.states.outdateRun(id)
				}
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	s.heard, s.heardEpoch = revision, epoch
	return nil
}

// rest lets states go that nobody used for a while.
func (s *Service) rest() {
	since := time.Now().Add(-idleState)
	if s.states.size() > maxStates {
		since = time.Now().Add(-time.Second)
	}
	for _, st := range s.states.idle(since) {
		s.states.leave(st, since)
	}
}

// closeLatest writes the latest points of a run that ends and notes that the catalog has all. The caller holds st.gate.
func (s *Service) closeLatest(ctx context.Context, c *change, st *state) error {
	if err := s.writeLatest(ctx, c, st); err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, `UPDATE runs SET open = 0 WHERE workspace_id = 'default' AND id = $1`, st.id); err != nil {
		return fmt.Errorf("close run %s: %w", st.id, err)
	}
	c.OnCommit(func() {
		st.mu.Lock()
		st.open = false
		st.mu.Unlock()
	})
	return nil
}
