package serve

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A latency histogram has cells that grow by a tenth, so that a quantile read from it is within 5 %: cell i holds [1.1^i, 1.1^(i+1)) µs,
// the last everything from 100 s.
const (
	cells  = 194
	growth = 1.1
)

var logGrowth = math.Log(growth)

func cellOf(us int64) int {
	if us < 1 {
		return 0
	}
	return min(int(math.Log(float64(us))/logGrowth), cells-1)
}

// totals is a reading of counters.
type totals struct {
	rows, errors int64
	latency      [cells]int64
}

// The sliding window is windowSlots readings, one per slot of time.
const (
	slot        = 20 * time.Second
	windowSlots = 15 // 5 minutes
)

// counters counts what a version answered in a deployment since it was loaded. It is safe for concurrent use.
type counters struct {
	rows, errors atomic.Int64
	microseconds atomic.Int64
	latency      [cells]atomic.Int64

	requests requests

	mark atomic.Pointer[totals] // when the rollout that runs now began; nil = when the version was loaded

	slot     atomic.Int64 // of the last reading
	mu       sync.Mutex
	readings [windowSlots]reading
}

type reading struct {
	slot int64
	totals
}

var processStart = time.Now()

func (c *counters) answered(now time.Time, us int64) {
	c.tick(now)
	c.rows.Add(1)
	c.microseconds.Add(us)
	c.latency[cellOf(us)].Add(1)
}

func (c *counters) failed(now time.Time, n int64) {
	c.tick(now)
	c.rows.Add(n)
	c.errors.Add(n)
}

// tick keeps a reading when a slot of the window begins.
func (c *counters) tick(now time.Time) {
	s := int64(now.Sub(processStart)/slot) + 1
	if last := c.slot.Load(); last == s || !c.slot.CompareAndSwap(last, s) {
		return
	}
	c.mu.Lock()
	c.readings[s%windowSlots] = reading{slot: s, totals: c.read()}
	c.mu.Unlock()
}

func (c *counters) read() totals {
	t := totals{rows: c.rows.Load(), errors: c.errors.Load()}
	for i := range c.latency {
		t.latency[i] = c.latency[i].Load()
	}
	return t
}

// window is what was counted in the last minutes.
func (c *counters) window(now time.Time) Stats {
	c.tick(now)
	s := int64(now.Sub(processStart)/slot) + 1
	c.mu.Lock()
	defer c.mu.Unlock()
	var base *reading
	for i := range c.readings {
		if r := &c.readings[i]; r.slot > s-windowSlots && (base == nil || r.slot < base.slot) && r.slot > 0 {
			base = r
		}
	}
	if base == nil {
		return Stats{}
	}
	return c.read().since(&base.totals)
}

// Stats is what a version answered. Latencies are server time per row up to its log record, in milliseconds, within 5 %.
type Stats struct {
	Requests  int64   `json:"requests" doc:"rows, answered or failed"`
	Errors    int64   `json:"errors" doc:"rows that this version could not answer; a caller's mistake is not one"`
	ErrorRate float64 `json:"error_rate"`
	P50MS     float64 `json:"p50_ms"`
	P99MS     float64 `json:"p99_ms"`
}

func (t totals) since(base *totals) Stats {
	if base != nil {
		t.rows -= base.rows
		t.errors -= base.errors
		for i := range t.latency {
			t.latency[i] -= base.latency[i]
		}
	}
	s := Stats{Requests: t.rows, Errors: t.errors, P50MS: t.quantile(0.5), P99MS: t.quantile(0.99)}
	if t.rows > 0 {
		s.ErrorRate = float64(t.errors) / float64(t.rows)
	}
	return s
}

// quantile is in milliseconds; 0 when nothing was answered.
func (t *totals) quantile(q float64) float64 {
	var n int64
	for _, c := range t.latency {
		n += c
	}
	if n == 0 {
		return 0
	}
	rank := int64(math.Ceil(q * float64(n)))
	for i, c := range t.latency {
		if rank -= c; rank <= 0 {
			return math.Pow(growth, float64(i)+0.5) / 1000
		}
	}
	return math.Pow(growth, cells) / 1000
}

// Mark is a moment in the counts of a version; it is good for the life of the process.
type Mark struct {
	counters *counters
	base     totals
}

// Mark remembers the counts of a version now.
func (s *Service) Mark(deployment string, version int) Mark {
	c := s.countersOf(deployment, version)
	if c == nil {
		return Mark{}
	}
	return Mark{counters: c, base: c.read()}
}

// Since is what was counted after a mark. A mark of a version that was not resident counts nothing.
func (s *Service) Since(m Mark) Stats {
	if m.counters == nil {
		return Stats{}
	}
	return m.counters.read().since(&m.base)
}

// Stats is what a version answered since the rollout that runs now began (the route's salt changed), or since it was loaded.
// Counts are of this process: they begin again after a restart.
func (s *Service) Stats(deployment string, version int) Stats {
	c := s.countersOf(deployment, version)
	if c == nil {
		return Stats{}
	}
	return c.read().since(c.mark.Load())
}

// Window is what a version answered in the last five minutes of wall time.
func (s *Service) Window(deployment string, version int) Stats {
	c := s.countersOf(deployment, version)
	if c == nil {
		return Stats{}
	}
	return c.window(time.Now())
}

// Failed counts the rows of a deployment that were not answered although the caller made no mistake, since the server started: no
// version gave a score, or the answer could not be logged. A row that the champion answered for its canary is not among them.
func (s *Service) Failed(deployment string) int64 {
	e := s.endpoint(deployment)
	if e == nil {
		return 0
	}
	return e.failed.Load()
}
