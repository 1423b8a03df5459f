// Package limit keeps a deployment from being asked more than it can answer: so many requests at once, so many waiting, the urgent
// first, and a clear refusal for the rest while refusing is still cheap.
//
// It owns the count of requests under way and the queue in front of them. It must never know what a request asks. Without a limit it
// costs one atomic addition.
package limit

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Options is what a deployment allows. Zero fields do not limit.
type Options struct {
	Concurrency int           `json:"concurrency,omitempty"` // requests answered at the same time
	Queue       int           `json:"queue,omitempty"`       // requests that wait for their turn; beyond: fault.TooMany. 0 = DefaultQueue
	Timeout     time.Duration `json:"timeout,omitempty"`     // of a request, waiting and answering
	MaxRows     int           `json:"max_rows,omitempty"`    // of a request
}

// DefaultQueue is how many requests wait where a concurrency is set and no queue.
const DefaultQueue = 100

// Priorities beyond these count as these.
const (
	Least = -10
	Most  = 10
)

// Limiter admits requests. The zero Limiter admits all. It is safe for concurrent use.
type Limiter struct {
	opt     atomic.Pointer[Options] // nil = no limits
	running atomic.Int64
	waiting atomic.Int64

	mu     sync.Mutex
	queues [Most - Least + 1]list.List // of *waiter; the urgent last
	mean   float64                     // of the time that a request took, in nanoseconds; exponentially weighted

	admitted, refused, displaced, late, expired, left atomic.Int64
	queueNS                                           atomic.Int64
}

// waiter is a request in a queue.
type waiter struct {
	turn  chan struct{} // closed when it may go on, or has been displaced
	err   error         // why not; set before turn is closed
	queue *list.List
	place *list.Element // nil once it is out of its queue
}

// New makes a limiter.
func New(opt Options) *Limiter {
	l := &Limiter{}
	l.Set(opt)
	return l
}

// Set changes the limits. Requests under way and waiting keep their places.
func (l *Limiter) Set(opt Options) {
	if opt == (Options{}) {
		l.opt.Store(nil)
	} else {
		if opt.Queue == 0 {
			opt.Queue = DefaultQueue
		}
		l.opt.Store(&opt)
	}
	l.mu.Lock()
	l.wake()
	l.mu.Unlock()
}

// Options is what Set was given; the queue's default is filled in.
func (l *Limiter) Options() Options {
	if opt := l.opt.Load(); opt != nil {
		return *opt
	}
	return Options{}
}

// Pass is a request that was admitted.
type Pass struct {
	l      *Limiter
	begun  time.Time // zero when nobody measures
	cancel context.CancelFunc
}

// Enter admits a request of rows, or waits for its turn. The request goes on with the context that it gives, which ends at the
// deployment's timeout, and calls Leave when it is done, whatever became of it.
//
// Errors: fault.TooLarge for more rows than are taken; fault.TooMany when too many wait, and for one that waits when a more urgent
// request takes its place; fault.Unavailable when the caller's time, or the timeout, would pass or passed before its turn; the
// context's error when the caller left. Those to be tried again carry the detail retry_after_ms.
func (l *Limiter) Enter(ctx context.Context, priority, rows int) (context.Context, Pass, error) {
	opt := l.opt.Load()
	if opt == nil {
		l.running.Add(1)
		return ctx, Pass{l: l}, nil
	}
	if opt.MaxRows > 0 && rows > opt.MaxRows {
		return nil, Pass{}, fault.New(fault.TooLarge, "the request has %d rows; this deployment takes %d", rows, opt.MaxRows).WithHint("send them in several requests")
	}
	p := Pass{l: l, cancel: func() {}}
	own := ctx
	if opt.Timeout > 0 {
		own, p.cancel = context.WithTimeoutCause(ctx, opt.Timeout, errTimeout)
	}
	if opt.Concurrency > 0 {
		if err := l.admit(own, opt, min(max(priority, Least), Most)); err != nil {
			p.cancel()
			return nil, Pass{}, err
		}
		p.begun = time.Now()
	} else {
		l.running.Add(1)
	}
	l.admitted.Add(1)
	return own, p, nil
}

var errTimeout = errors.New("the deployment's timeout")

// Expired makes the fault of a request that ran out of the deployment's own time; other errors stay what they are.
func Expired(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(context.Cause(ctx), errTimeout) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "the model did not answer in the time that its deployment allows").With("retry_after_ms", int64(1000)).
		WithHint("deploy.limits.timeout allows more")
}

// admit waits for a turn.
func (l *Limiter) admit(ctx context.Context, opt *Options, priority int) error {
	l.mu.Lock()
	if l.waiting.Load() == 0 && l.take(opt) {
		l.mu.Unlock()
		return nil
	}
	w, err := l.enqueue(ctx, opt, priority)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	l.wake() // a place may have become free before this request counted as waiting
	l.mu.Unlock()
	begun := time.Now()
	defer func() { l.queueNS.Add(time.Since(begun).Nanoseconds()) }()
	select {
	case <-w.turn:
		return w.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.place == nil { // its turn came at the same moment
		if w.err == nil {
			l.running.Add(-1)
			l.wake()
		}
	} else {
		w.queue.Remove(w.place)
		l.waiting.Add(-1)
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		l.expired.Add(1)
		return fault.New(fault.Unavailable, "the request waited %s and had no turn", opt.Timeout).With("retry_after_ms", l.after(opt)).WithHint("retry later, or send fewer at once")
	}
	l.left.Add(1)
	return ctx.Err()
}

// take takes a place when one is free.
func (l *Limiter) take(opt *Options) bool {
	for {
		n := l.running.Load()
		if opt.Concurrency > 0 && n >= int64(opt.Concurrency) {
			return false
		}
		if l.running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// enqueue puts a request into its queue, in the place of a less urgent one when all are full. The lock is held.
func (l *Limiter) enqueue(ctx context.Context, opt *Options, priority int) (*waiter, error) {
	if l.waiting.Load() >= int64(opt.Queue) && !l.displace(opt, priority) {
		l.refused.Add(1)
		return nil, l.full(opt)
	}
	if deadline, has := ctx.Deadline(); has && l.mean > 0 {
		before := 0
		for q := priority - Least; q < len(l.queues); q++ {
			before += l.queues[q].Len()
		}
		// Its own turn comes when those before it have had theirs, and takes as long as others.
		need := time.Duration(l.mean * (float64(before+1)/float64(max(opt.Concurrency, 1)) + 1))
		if left := time.Until(deadline); left < need {
			l.late.Add(1)
			return nil, fault.New(fault.Unavailable, "the answer would take about %s, and there is time for %s", need.Round(time.Millisecond), left.Round(time.Millisecond)).
				With("retry_after_ms", l.after(opt)).WithHint("retry later, or allow more time")
		}
	}
	w := &waiter{turn: make(chan struct{}), queue: &l.queues[priority-Least]}
	w.place = w.queue.PushBack(w)
	l.waiting.Add(1)
	return w, nil
}

func (l *Limiter) full(opt *Options) error {
	return fault.New(fault.TooMany, "%d requests are being answered and %d wait", opt.Concurrency, opt.Queue).With("retry_after_ms", l.after(opt)).
		WithHint("retry later, or send fewer at once")
}

// after is how long it takes until those that wait now are done, in milliseconds. The lock is held.
func (l *Limiter) after(opt *Options) int64 {
	return max(int64(l.mean*float64(l.waiting.Load()+1)/float64(max(opt.Concurrency, 1)))/int64(time.Millisecond), 100)
}

// displace sends away the youngest of the least urgent requests that wait, when there is one less urgent than priority. The lock is held.
func (l *Limiter) displace(opt *Options, priority int) bool {
	for q := range priority - Least {
		if e := l.queues[q].Back(); e != nil {
			w := e.Value.(*waiter)
			w.err = l.full(opt)
			l.out(w)
			l.displaced.Add(1)
			return true
		}
	}
	return false
}

func (l *Limiter) out(w *waiter) {
	w.queue.Remove(w.place)
	w.place = nil
	l.waiting.Add(-1)
	close(w.turn)
}

// wake gives free places to those that wait, the urgent first, and among equals the first. The lock is held.
func (l *Limiter) wake() {
	opt := l.opt.Load()
	if opt == nil {
		opt = &Options{}
	}
	for q := len(l.queues) - 1; q >= 0 && l.waiting.Load() > 0; q-- {
		for e := l.queues[q].Front(); e != nil; e = l.queues[q].Front() {
			if !l.take(opt) {
				return
			}
			l.out(e.Value.(*waiter))
		}
	}
}

// Leave ends a request.
func (p Pass) Leave() {
	l := p.l
	if l == nil {
		return
	}
	if p.cancel != nil {
		p.cancel()
	}
	l.running.Add(-1)
	if p.begun.IsZero() && l.waiting.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.begun.IsZero() {
		took := float64(time.Since(p.begun).Nanoseconds())
		if l.mean == 0 {
			l.mean = took
		}
		l.mean += (took - l.mean) / 16
	}
	l.wake()
}

// Stats is what a limiter did since it was made.
type Stats struct {
	Running   int64 `json:"running"`
	Waiting   int64 `json:"waiting"`
	Admitted  int64 `json:"admitted" doc:"while limits were set"`
	Refused   int64 `json:"refused" doc:"too many waited"`
	Displaced int64 `json:"displaced" doc:"gave their place in the queue to a more urgent request"`
	Late      int64 `json:"late" doc:"refused at once: the caller's time would have passed"`
	Expired   int64 `json:"expired" doc:"waited until the timeout"`
	Left      int64 `json:"left" doc:"callers that left while they waited"`
	QueueNS   int64 `json:"queue_ns" doc:"waited by all requests"`
}

// Stats reads the counts.
func (l *Limiter) Stats() Stats {
	return Stats{Running: l.running.Load(), Waiting: l.waiting.Load(), Admitted: l.admitted.Load(), Refused: l.refused.Load(), Displaced: l.displaced.Load(), Late: l.late.Load(),
		Expired: l.expired.Load(), Left: l.left.Load(), QueueNS: l.queueNS.Load()}
}
