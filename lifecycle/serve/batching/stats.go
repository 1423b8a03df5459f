package batching

import (
	"math/bits"
	"time"
)

// Stats is what a Batcher did since it was made.
type Stats struct {
	Requests  int64 `json:"requests"`
	Runs      int64 `json:"runs"`      // calls of the engine; joined requests that were answered separately count as one
	Rows      int64 `json:"rows"`      // of requests that could be joined
	Joined    int64 `json:"joined"`    // requests that shared a run
	Retried   int64 `json:"retried"`   // of those, answered by themselves after the shared run failed
	Rejected  int64 `json:"rejected"`  // the queue was full
	Late      int64 `json:"late"`      // refused at once: the deadline would have passed
	Cancelled int64 `json:"cancelled"` // callers that left before their turn
	QueueNS   int64 `json:"queue_ns"`  // waited by all requests
	RunNS     int64 `json:"run_ns"`

	Waiting int           `json:"waiting"`         // now
	Running int           `json:"running"`         // now
	PerRow  time.Duration `json:"per_row_ns"`      // a of a·n + b
	PerRun  time.Duration `json:"per_run_ns"`      // b
	Sizes   []Size        `json:"sizes,omitempty"` // of runs that happened, ascending
}

// Size counts runs by their rows.
type Size struct {
	AtMost int   `json:"at_most"` // rows: more than half of it; 0 for requests that cannot be joined
	Runs   int64 `json:"runs"`
	NS     int64 `json:"ns"`
}

// bucket is the place of a run of n rows: 0 for 0, i for n in (2^(i-2), 2^(i-1)].
func bucket(n int) int {
	if n <= 0 {
		return 0
	}
	return min(bits.Len(uint(n-1))+1, 31)
}

// Stats reads the counts.
func (b *Batcher) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Waiting, s.Running = b.queue.Len(), len(b.busy)
	s.PerRow, s.PerRun = time.Duration(b.fit.a), time.Duration(b.fit.b)
	for i, c := range b.sizes {
		if c.runs > 0 {
			size := Size{Runs: c.runs, NS: c.ns}
			if i > 0 {
				size.AtMost = 1 << (i - 1)
			}
			s.Sizes = append(s.Sizes, size)
		}
	}
	return s
}
