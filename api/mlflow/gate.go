package mlflow

import (
	"context"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// gate bounds what is in flight: requests take weight (bytes of memory that they may need) and wait for it in order. When the queue is
// long, or the wait, the request is refused, and its client comes back later. It is safe for concurrent use.
type gate struct {
	mu       sync.Mutex
	free     int64
	total    int64
	queue    []*waiter
	longest  int           // requests that may wait
	patience time.Duration // how long one may
}

type waiter struct {
	weight int64
	ready  chan struct{} // closed when the weight is taken
}

func newGate(total int64, longest int, patience time.Duration) *gate {
	return &gate{free: total, total: total, longest: longest, patience: patience}
}

func busy() error {
	return fault.New(fault.TooMany, "The server is busy. Try again in a moment.")
}

// enter takes weight and gives the function that returns it.
func (g *gate) enter(ctx context.Context, weight int64) (leave func(), err error) {
	weight = min(max(weight, 1), g.total)
	leave = func() { g.leave(weight) }
	g.mu.Lock()
	if len(g.queue) == 0 && g.free >= weight {
		g.free -= weight
		g.mu.Unlock()
		return leave, nil
	}
	if len(g.queue) >= g.longest {
		g.mu.Unlock()
		return nil, busy()
	}
	w := &waiter{weight: weight, ready: make(chan struct{})}
	g.queue = append(g.queue, w)
	g.mu.Unlock()
	patience := time.NewTimer(g.patience)
	defer patience.Stop()
	select {
	case <-w.ready:
		return leave, nil
	case <-patience.C:
		err = busy()
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.queue {
		if g.queue[i] == w {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			g.admit() // those behind it may be lighter
			return nil, err
		}
	}
	return leave, nil // it was let in at the same moment
}

func (g *gate) leave(weight int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free += weight
	g.admit()
}

// admit lets in who is first as long as there is room.
func (g *gate) admit() {
	for len(g.queue) > 0 && g.free >= g.queue[0].weight {
		w := g.queue[0]
		g.queue = g.queue[1:]
		g.free -= w.weight
		close(w.ready)
	}
}
