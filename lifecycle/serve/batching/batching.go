// Package batching joins requests that wait for the same worker, where one call for many rows costs less than many calls.
//
// It owns the queue in front of an engine that lives in another process, and the model of its time: a·n + b for n rows, fitted to the
// last runs. It never makes anybody wait for company: a request that finds a worker idle runs at once and alone, and what has queued up
// behind a busy one is joined only when the fit says that this pays. It must never know what the rows mean, which deployment asks, or
// what an engine is made of.
//
// Rows keep their owners by construction: requests are joined along the first dimension only, only when names, types, the other
// dimensions, the wanted outputs and the parameters are equal, and an answer is split by the same offsets only when every output has
// one entry per row. An engine whose answer has another form is never asked for joined rows again.
package batching

import (
	"container/list"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Options bound a Batcher. Zero fields take the defaults.
type Options struct {
	Parallel int           // runs at the same time; default 1, and at least what the engine's Parallel() says, where it has one
	MaxRows  int           // of a joined run; default 256. A single request may have more and runs alone
	Queue    int           // requests that wait; default 256
	Timeout  time.Duration // of callers that have no deadline, waiting and running; 0 = none
	Off      bool          // never join: for models whose answer for a row depends on its neighbours
}

// Defaults of Options.
const (
	DefaultMaxRows = 256
	DefaultQueue   = 256
)

// Batcher is a Predictor in front of another. It is safe for concurrent use.
//
// Beside the errors of the engine it gives fault.TooMany when the queue is full, and fault.Unavailable for a request whose deadline
// would pass before its turn is over, at once rather than then. Both carry the detail retry_after_ms.
type Batcher struct {
	engine predictor.Predictor
	opt    Options
	rows   map[string]bool // inputs whose first dimension is that of the rows

	mu      sync.Mutex
	queue   list.List // of *waiting, in order of arrival
	busy    []*flight // under way, in no order
	fit     fit
	alone   bool // the engine's answers cannot be split
	closed  bool
	drained *sync.Cond
	tries   int64 // times that joining did not seem to pay
	stats   Stats
	sizes   [32]size // of runs, by the bits of their rows
}

type size struct{ runs, ns int64 }

// flight is a run under way.
type flight struct {
	rows  int // 0 = unknown
	since time.Time
	over  time.Time // expected
}

// waiting is a request in the queue. Its fields belong to the batcher's lock until it is taken out, then to its run.
type waiting struct {
	ctx      context.Context
	q        *predictor.Request
	rows     int  // 0 = unknown
	joins    bool // it may run with others
	deadline time.Time
	since    time.Time
	place    *list.Element // nil once taken
	copied   chan struct{} // closed when the run needs the caller's memory no more; nil for a run of its own
	done     chan struct{}
	out      []tensor.Named
	err      error
}

// New puts a Batcher in front of an engine. Close of the batcher closes the engine.
func New(engine predictor.Predictor, opt Options) *Batcher {
	opt.Parallel = max(opt.Parallel, 1)
	if e, ok := engine.(interface{ Parallel() int }); ok {
		opt.Parallel = max(opt.Parallel, e.Parallel()) // as many as it may come to have
	}
	if opt.MaxRows <= 0 {
		opt.MaxRows = DefaultMaxRows
	}
	if opt.Queue <= 0 {
		opt.Queue = DefaultQueue
	}
	b := &Batcher{engine: engine, opt: opt, rows: map[string]bool{}, alone: opt.Off}
	b.drained = sync.NewCond(&b.mu)
	for _, in := range engine.Inputs() {
		b.rows[in.Name] = len(in.Shape) > 0 && in.Shape[0] == -1
	}
	return b
}

// Inputs are the engine's.
func (b *Batcher) Inputs() []predictor.Field { return b.engine.Inputs() }

// Outputs are the engine's.
func (b *Batcher) Outputs() []predictor.Field { return b.engine.Outputs() }

// Status is the engine's, with the requests that wait here.
func (b *Batcher) Status() predictor.Status {
	var s predictor.Status
	if r, ok := b.engine.(predictor.Reporter); ok {
		s = r.Status()
	}
	b.mu.Lock()
	s.Queued += int64(b.queue.Len())
	b.mu.Unlock()
	return s
}

// Close refuses new requests, lets those that wait be answered, and closes the engine.
func (b *Batcher) Close() error {
	b.mu.Lock()
	b.closed = true
	for len(b.busy) > 0 {
		b.drained.Wait()
	}
	b.mu.Unlock()
	return b.engine.Close()
}

// Predict answers q, alone or with others.
func (b *Batcher) Predict(ctx context.Context, q *predictor.Request) ([]tensor.Named, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.opt.Timeout > 0 {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, b.opt.Timeout)
			defer cancel()
		}
	}
	w := &waiting{ctx: ctx, q: q, since: time.Now()}
	w.rows, w.joins = b.joinable(q)
	w.deadline, _ = ctx.Deadline()
	b.mu.Lock()
	b.stats.Requests++
	if b.closed {
		b.mu.Unlock()
		return nil, fault.New(fault.Unavailable, "the model is being unloaded").With("retry_after_ms", int64(1000))
	}
	if len(b.busy) < b.opt.Parallel {
		f := b.begin(w.since, w.rows)
		b.mu.Unlock()
		out, err := b.call(ctx, q)
		b.finish(f, err == nil)
		return out, err
	}
	if err := b.refuse(w); err != nil {
		b.mu.Unlock()
		return nil, err
	}
	w.done = make(chan struct{})
	w.place = b.queue.PushBack(w)
	b.mu.Unlock()
	select {
	case <-w.done:
		return w.out, w.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	if w.place != nil {
		b.queue.Remove(w.place)
		w.place = nil
		b.stats.Cancelled++
		b.mu.Unlock()
		return nil, ctx.Err()
	}
	b.mu.Unlock()
	if w.copied == nil { // a run of its own ends with its context, and reads the caller's memory until then
		<-w.done
		return w.out, w.err
	}
	<-w.copied
	select {
	case <-w.done:
		return w.out, w.err
	default:
		return nil, ctx.Err()
	}
}

// refuse says why w may not wait, if it may not. The lock is held.
func (b *Batcher) refuse(w *waiting) error {
	wait, known := b.wait(w.since)
	if b.queue.Len() >= b.opt.Queue {
		b.stats.Rejected++
		return fault.New(fault.TooMany, "%d requests wait for this model already", b.queue.Len()).
			With("retry_after_ms", max(wait, time.Second).Milliseconds()).WithHint("send fewer at once, or more rows in one request")
	}
	if w.deadline.IsZero() || !known {
		return nil
	}
	if need := wait + b.fit.cost(max(w.rows, 1)); w.since.Add(need).After(w.deadline) {
		b.stats.Late++
		return fault.New(fault.Unavailable, "the answer would take %s, and the caller waits %s", round(need), round(w.deadline.Sub(w.since))).
			With("retry_after_ms", max(wait, 100*time.Millisecond).Milliseconds()).WithHint("retry when the queue is shorter, or allow more time")
	}
	return nil
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// wait estimates when a request that joins the queue now has its turn; known is false before the fit knows anything. The lock is held.
func (b *Batcher) wait(now time.Time) (d time.Duration, known bool) {
	if b.fit.n == 0 {
		return 0, false
	}
	first := time.Duration(math.MaxInt64)
	for _, f := range b.busy {
		first = min(first, max(f.over.Sub(now), 0))
	}
	if len(b.busy) == 0 {
		first = 0
	}
	total, runs := 0, 0
	for e := b.queue.Front(); e != nil; e = e.Next() {
		total += max(e.Value.(*waiting).rows, 1)
		runs++
	}
	if !b.alone && b.fit.pays(2, 2) {
		runs = (total + b.opt.MaxRows - 1) / b.opt.MaxRows
	}
	return first + b.fit.costs(total, runs)/time.Duration(b.opt.Parallel), true
}

// begin notes a run of rows. The lock is held.
func (b *Batcher) begin(now time.Time, rows int) *flight {
	f := &flight{rows: rows, since: now, over: now.Add(b.fit.cost(max(rows, 1)))}
	b.busy = append(b.busy, f)
	return f
}

// finish notes the end of a run, learns from one that went well, and starts what waits.
func (b *Batcher) finish(f *flight, well bool) {
	now := time.Now()
	took := now.Sub(f.since)
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.busy, f)
	b.busy = slices.Delete(b.busy, i, i+1)
	b.stats.Runs++
	b.stats.Rows += int64(f.rows)
	b.stats.RunNS += took.Nanoseconds()
	s := &b.sizes[bucket(f.rows)]
	s.runs++
	s.ns += took.Nanoseconds()
	if well {
		b.fit.add(max(f.rows, 1), took)
	}
	for len(b.busy) < b.opt.Parallel {
		members := b.take(now)
		if len(members) == 0 {
			break
		}
		go b.run(members, b.begin(now, sum(members)))
	}
	if len(b.busy) == 0 {
		b.drained.Broadcast()
	}
}

func sum(members []*waiting) int {
	total := 0
	for _, w := range members {
		total += w.rows
	}
	return total
}

// take chooses the next run from the queue: its head, and those behind it that may and should run with it. The lock is held.
func (b *Batcher) take(now time.Time) []*waiting {
	var members []*waiting
	total, limit := 0, time.Time{}
	for e := b.queue.Front(); e != nil && total < b.opt.MaxRows; e = e.Next() {
		w := e.Value.(*waiting)
		if w.ctx.Err() != nil {
			continue // its caller takes it out
		}
		if len(members) == 0 {
			members, total, limit = append(members, w), w.rows, w.deadline
			if b.alone || !w.joins {
				break
			}
			continue
		}
		if !w.joins || total+w.rows > b.opt.MaxRows || !alike(members[0].q, w.q) {
			continue
		}
		least := limit
		if least.IsZero() || !w.deadline.IsZero() && w.deadline.Before(least) {
			least = w.deadline
		}
		if !least.IsZero() && now.Add(b.fit.cost(total+w.rows)).After(least) {
			continue // together they would be late
		}
		members, total, limit = append(members, w), total+w.rows, least
	}
	if len(members) > 1 && !b.fit.pays(len(members), total) {
		b.tries++
		if b.fit.blind() || b.tries%probeEvery == 0 {
			members = members[:min(len(members), 4)] // what is not tried is never known
		} else {
			members = members[:1]
		}
	}
	for _, w := range members {
		b.queue.Remove(w.place)
		w.place = nil
		b.stats.QueueNS += now.Sub(w.since).Nanoseconds()
	}
	if len(members) > 1 {
		b.stats.Joined += int64(len(members))
		copied := make(chan struct{})
		for _, w := range members {
			w.copied = copied
		}
	}
	return members
}

// probeEvery is how often requests are joined although the fit sees no gain.
const probeEvery = 64

// run answers members in one call.
func (b *Batcher) run(members []*waiting, f *flight) {
	if len(members) == 1 {
		w := members[0]
		w.out, w.err = b.call(w.ctx, w.q)
		b.finish(f, w.err == nil)
		close(w.done)
		return
	}
	q := join(members)
	close(members[0].copied)
	ctx, stop := together(members)
	defer stop()
	out, err := b.call(ctx, q)
	if err == nil && splits(out, f.rows) {
		b.finish(f, true)
		at := 0
		for _, w := range members {
			w.out = make([]tensor.Named, len(out))
			for i, o := range out {
				w.out[i] = tensor.Named{Name: o.Name, Tensor: o.Slice(at, at+w.rows)}
			}
			at += w.rows
			close(w.done)
		}
		return
	}
	if err == nil { // a joined answer that cannot be taken apart belongs to nobody
		b.mu.Lock()
		b.alone = true
		b.mu.Unlock()
	}
	b.separately(members, q)
	b.finish(f, false)
}

// separately answers each member of a joined run by itself, so that a row which the engine does not take hurts its sender only.
func (b *Batcher) separately(members []*waiting, q *predictor.Request) {
	at := 0
	for _, w := range members {
		own := &predictor.Request{Inputs: make([]tensor.Named, len(q.Inputs)), Wanted: q.Wanted, Params: q.Params}
		for i, in := range q.Inputs {
			own.Inputs[i] = tensor.Named{Name: in.Name, Tensor: in.Slice(at, at+w.rows)}
		}
		at += w.rows
		if w.err = w.ctx.Err(); w.err == nil {
			w.out, w.err = b.call(w.ctx, own)
		}
		close(w.done)
		b.mu.Lock()
		b.stats.Retried++
		b.mu.Unlock()
	}
}

// call asks the engine. A panic of the engine is its failure and not the server's.
func (b *Batcher) call(ctx context.Context, q *predictor.Request) (out []tensor.Named, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fault.New(fault.Internal, "the model's engine failed: %v", p)
		}
	}()
	return b.engine.Predict(ctx, q)
}

// together is the context of a joined run: it ends when the last of its members has no more time, or when all have left.
func together(members []*waiting) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(members[0].ctx))
	var mu sync.Mutex
	left := len(members)
	stops := make([]func() bool, 0, len(members))
	for _, w := range members {
		stops = append(stops, context.AfterFunc(w.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				cancel()
			}
		}))
	}
	latest := members[0].deadline
	for _, w := range members {
		if latest.IsZero() || w.deadline.IsZero() {
			latest = time.Time{}
			break
		}
		if w.deadline.After(latest) {
			latest = w.deadline
		}
	}
	end := cancel
	if !latest.IsZero() {
		ctx, end = context.WithDeadline(ctx, latest)
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		end()
		cancel()
	}
}
