package worker

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// crashes in a row, without a request answered between, after which a pool is broken.
	crashes = 5
	// backoff before a worker is started again after the first crash; it doubles with each further one.
	backoff    = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
	// patience for a worker whose caller left: it is still at the request, and killing it costs a load.
	patience = time.Second
	// watch is how often memory is looked at.
	watch = 200 * time.Millisecond
	// soft is the share of the ceiling at which a worker is replaced before it fails.
	soft = 0.85
	// grace for a worker to end when it is asked to.
	grace = 2 * time.Second
)

// Pool is workers with one model. It implements predictor.Predictor and predictor.Reporter.
type Pool struct {
	manager *Manager
	spec    Spec
	in      *interpreter
	script  string
	number  int
	journal *journal
	model   Model
	since   time.Time
	names   map[string]bool // of outputs; nil = unknown

	mu       sync.Mutex
	born     int
	all      map[*process]bool
	idle     []*process // the last one was used last
	starting int
	waiting  []chan *process // nil is sent when there is nothing to wait for any more
	failed   int             // crashes in a row
	retry    time.Time       // no start before
	broken   string
	onBroken []func(reason string)
	closed   bool
	restarts int64
	rungs    []predictor.Rung

	done    chan struct{}
	running sync.WaitGroup
	metrics poolMetrics
	values  sync.Map // metrics of the model: name to *atomic.Uint64, the bits of a float64
	calls   atomic.Int64
}

var (
	_ predictor.Predictor = (*Pool)(nil)
	_ predictor.Reporter  = (*Pool)(nil)
)

func newPool(m *Manager, s Spec, in *interpreter, script string, number int) *Pool {
	p := &Pool{manager: m, spec: s, in: in, script: script, number: number, all: map[*process]bool{}, done: make(chan struct{}), since: time.Now().UTC(),
		journal: newJournal(filepath.Join(m.options.Dir, "log", fileName(s.Name)+".log"))}
	p.metrics = m.metrics.of(s.Name)
	return p
}

// open starts the first worker and, behind it, those up to Min.
func (p *Pool) open(ctx context.Context) error {
	w, err := p.start()
	if err != nil {
		return err
	}
	if err := w.load(ctx, &p.spec); err != nil {
		w.kill("")
		w.bury()
		return err
	}
	p.model = w.model
	if len(p.model.Outputs) > 0 {
		p.names = map[string]bool{}
		for _, o := range p.model.Outputs {
			if o.Type == tensor.None && o.Shape == nil { // what a program declares by halves
				p.names = nil
				break
			}
			p.names[o.Name] = true
		}
	}
	p.mu.Lock()
	p.rungs = p.ladder(w.rungs)
	p.enter(w)
	p.idle = append(p.idle, w)
	for len(p.all)+p.starting < p.spec.Min {
		p.spawn(nil)
	}
	p.mu.Unlock()
	p.running.Go(p.keepWatch)
	return nil
}

// enter makes a loaded worker one of the pool. The pool is locked.
func (p *Pool) enter(w *process) {
	p.all[w] = true
	p.running.Go(func() {
		<-w.ended
		p.gone(w)
		w.bury()
	})
}

// gone takes a worker that has ended out of the pool and has another one started in its place.
func (p *Pool) gone(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.all[w] {
		return
	}
	delete(p.all, w)
	if i := slices.Index(p.idle, w); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		p.journal.add(fmt.Sprintf("trimtab: worker %d ended between requests: %s", w.pid, w.ending()))
	}
	if w.state.Load() == "stopping" {
		p.refill()
		return
	}
	p.restarts++
	p.metrics.restarts.Inc()
	p.failed++
	p.crashed(w.ending())
}

// crashed notes a worker that was lost, and breaks the pool after too many in a row. The pool is locked.
func (p *Pool) crashed(why string) {
	if p.failed >= crashes {
		p.breakDown(fmt.Sprintf("%d workers ended one after the other; the last one: %s", p.failed, why))
		return
	}
	if p.failed > 1 { // the first one is replaced at once
		p.retry = time.Now().Add(min(backoff<<(p.failed-2), maxBackoff))
	}
	p.refill()
}

// breakDown gives up: who waits is told, and those who want to know. The pool is locked.
func (p *Pool) breakDown(reason string) {
	if p.broken != "" || p.closed {
		return
	}
	p.broken = reason
	p.metrics.broken.Set(1)
	p.journal.add("trimtab: " + reason)
	for _, ch := range p.waiting {
		ch <- nil
	}
	p.waiting = nil
	for _, call := range p.onBroken {
		p.running.Go(func() { call(reason) })
	}
}

// Broken is why the pool gave up; "" when it works.
func (p *Pool) Broken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// OnBroken has a function called, once, when the pool gives up after too many crashes in a row; at once when it already has.
func (p *Pool) OnBroken(call func(reason string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onBroken = append(p.onBroken, call)
	if reason := p.broken; reason != "" && !p.closed {
		p.running.Go(func() { call(reason) })
	}
}

// Retry lets a broken pool try again.
func (p *Pool) Retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == "" || p.closed {
		return
	}
	p.broken, p.failed, p.retry = "", 0, time.Time{}
	p.metrics.broken.Set(0)
	p.refill()
}

// refill starts workers up to Min, and one more for those who wait. The pool is locked.
func (p *Pool) refill() {
	for !p.closed && p.broken == "" && len(p.all)+p.starting < p.spec.Max && (len(p.all)+p.starting < p.spec.Min || p.starting < len(p.waiting)) {
		p.spawn(nil)
	}
}

// spawn starts a worker behind the scenes, after the backoff; old is the spent one that it replaces. The pool is locked.
func (p *Pool) spawn(old *process) {
	p.starting++
	wait := time.Until(p.retry)
	p.running.Go(func() {
		if wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-p.done:
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stop := make(chan struct{})
		defer close(stop)
		p.running.Go(func() {
			select {
			case <-p.done:
				cancel()
			case <-stop:
			}
		})
		w, err := p.start()
		if err == nil {
			if err = w.load(ctx, &p.spec); err != nil {
				w.kill("")
				w.bury()
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starting--
		if p.closed {
			if err == nil {
				p.enter(w)
				w.state.Store("stopping")
				w.kill("")
			}
			return
		}
		if err != nil {
			if old != nil {
				old.replaced = false
			}
			p.failed++
			p.journal.add("trimtab: " + err.Error())
			p.crashed(err.Error())
			return
		}
		p.enter(w)
		p.offer(w)
		if old != nil && p.all[old] {
			old.succeeded = true
			if i := slices.Index(p.idle, old); i >= 0 {
				p.idle = slices.Delete(p.idle, i, i+1)
				p.retire(old)
			}
		}
	})
}

// offer hands a free worker to who waits longest, or keeps it. The pool is locked.
func (p *Pool) offer(w *process) {
	if len(p.waiting) > 0 {
		ch := p.waiting[0]
		p.waiting = p.waiting[1:]
		w.state.Store("busy")
		ch <- w
		return
	}
	w.state.Store("ready")
	p.idle = append(p.idle, w)
}

// take gives a free worker, or waits for one.
func (p *Pool) take(ctx context.Context) (*process, error) {
	p.mu.Lock()
	if err := p.refuses(); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.state.Store("busy")
		p.mu.Unlock()
		return w, nil
	}
	if len(p.waiting) >= p.spec.MaxQueue {
		p.mu.Unlock()
		return nil, fault.New(fault.TooMany, "%d requests wait for the %d workers of %q already", p.spec.MaxQueue, p.spec.Max, p.spec.Name)
	}
	ch := make(chan *process, 1)
	p.waiting = append(p.waiting, ch)
	p.refill()
	p.mu.Unlock()
	select {
	case w := <-ch:
		if w == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			return nil, p.refuses()
		}
		return w, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, ch); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	} else if w := <-ch; w != nil { // it came at the same moment
		p.offer(w)
	}
	return nil, ctx.Err()
}

// refuses tells why the pool takes no requests. It is locked.
func (p *Pool) refuses() error {
	switch {
	case p.closed:
		return fault.New(fault.Unavailable, "the workers of %q were ended", p.spec.Name)
	case p.broken != "":
		return fault.New(fault.Unavailable, "the model %q does not run: %s", p.spec.Name, p.broken).WithHint("see its log; another version can be routed to")
	}
	return nil
}

// give returns a worker that has answered. One that has done its share is replaced: it goes on until its successor is there.
func (p *Pool) give(w *process) {
	n := w.requests.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed, p.retry = 0, time.Time{}
	if p.spec.MaxRequests > 0 && n >= p.spec.MaxRequests {
		w.spent.Store(true)
	}
	if p.closed || w.succeeded {
		p.retire(w)
		return
	}
	p.replace(w)
	p.offer(w)
}

// replace has a successor started for a worker that is spent. The pool is locked.
func (p *Pool) replace(w *process) {
	if w.spent.Load() && !w.replaced && !p.closed && p.broken == "" && time.Now().After(p.retry) {
		w.replaced = true
		p.spawn(w)
	}
}

// retire ends a worker that nobody uses. The pool is locked.
func (p *Pool) retire(w *process) {
	w.state.Store("stopping")
	p.running.Go(func() { w.drain(grace) })
}

// keepWatch looks at the memory of the workers, and ends those that nobody has used for long.
func (p *Pool) keepWatch() {
	ticker := time.NewTicker(watch)
	defer ticker.Stop()
	quiet, calls := time.Now(), int64(-1)
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		now := make([]*process, 0, len(p.all))
		for w := range p.all {
			now = append(now, w)
		}
		p.mu.Unlock()
		var total int64
		for _, w := range now {
			used := resident(w.pid)
			w.memory.Store(used)
			total += used
			if p.spec.Memory <= 0 {
				continue
			}
			if used > p.spec.Memory {
				w.kill(fmt.Sprintf("it used %d bytes of memory, more than the %d that it may", used, p.spec.Memory))
			} else if float64(used) > soft*float64(p.spec.Memory) && !w.spent.Swap(true) {
				p.journal.add(fmt.Sprintf("trimtab: worker %d uses %d of %d bytes and is replaced", w.pid, used, p.spec.Memory))
			}
		}
		p.metrics.memory.Set(float64(total))
		if n := p.calls.Load(); n != calls {
			quiet, calls = time.Now(), n
		}
		p.shrink(time.Since(quiet))
	}
}

// shrink ends one worker beyond Min when none was needed for long, and replaces those that are spent and free.
func (p *Pool) shrink(quiet time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.workers.Set(float64(len(p.all)))
	for _, w := range p.idle {
		p.replace(w)
	}
	if quiet >= p.spec.Idle && len(p.all) > p.spec.Min && len(p.idle) > 0 && !p.closed {
		w := p.idle[0]
		p.idle = p.idle[1:]
		p.retire(w)
	}
}

// Inputs implements predictor.Predictor: what the model says that it takes; none when it does not tell.
func (p *Pool) Inputs() []predictor.Field { return p.model.Inputs }

// Outputs implements predictor.Predictor.
func (p *Pool) Outputs() []predictor.Field { return p.model.Outputs }

// Model is what the first worker told.
func (p *Pool) Model() Model { return p.model }

// Close implements predictor.Predictor: who waits is refused, requests under way are answered, within Spec.Deadline.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.running.Wait()
		return nil
	}
	p.closed = true
	close(p.done)
	for _, ch := range p.waiting {
		ch <- nil
	}
	p.waiting = nil
	for _, w := range p.idle {
		p.retire(w)
	}
	p.idle = nil
	p.mu.Unlock()
	p.running.Wait()
	p.metrics.forget()
	p.journal.close()
	return nil
}
