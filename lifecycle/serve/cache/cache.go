// Package cache keeps answers of an engine that is dear to ask, so that the same question is not asked twice.
//
// It owns the canonical form of a question and the memory that answers may take. It is for engines that answer the same tensors the
// same way every time; whether one does is for its owner to say. It must never know who asks: what identifies a caller is no part of a
// question, and answers hold nothing of it.
package cache

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// Options bound a Cache.
type Options struct {
	Bytes int64         // of questions and answers; 0 = nothing is kept
	TTL   time.Duration // how long an answer is good; 0 = until its place is needed
}

// Cache holds the answers of the versions of one deployment, within one bound; the least recently used go first. It is safe for
// concurrent use.
type Cache struct {
	mu      sync.Mutex
	opt     Options
	entries map[string]*list.Element
	order   list.List // of *entry; the last used last
	bytes   int64

	on                             atomic.Bool // something may be kept
	hits, misses, evicted, expired atomic.Int64
}

type entry struct {
	version int
	key     string
	answer  []tensor.Named
	bytes   int64
	until   time.Time // zero = for good
}

// New makes a cache.
func New(opt Options) *Cache {
	c := &Cache{opt: opt, entries: map[string]*list.Element{}}
	c.on.Store(opt.Bytes > 0)
	return c
}

// Set changes the bounds; what no longer fits is dropped.
func (c *Cache) Set(opt Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if opt.TTL != c.opt.TTL {
		c.clear(func(*entry) bool { return true })
	}
	c.opt = opt
	c.on.Store(opt.Bytes > 0)
	c.shrink()
}

// Invalidate drops the answers of a version.
func (c *Cache) Invalidate(version int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear(func(e *entry) bool { return e.version == version })
}

func (c *Cache) clear(which func(*entry) bool) {
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if which(e.Value.(*entry)) {
			c.drop(e)
		}
		e = next
	}
}

func (c *Cache) drop(e *list.Element) {
	x := e.Value.(*entry)
	c.order.Remove(e)
	delete(c.entries, x.key)
	c.bytes -= x.bytes
}

func (c *Cache) shrink() {
	for c.bytes > c.opt.Bytes {
		c.drop(c.order.Front())
		c.evicted.Add(1)
	}
}

// find gives the answer to a question, if it is there and still good.
func (c *Cache) find(key []byte) ([]tensor.Named, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[string(key)]
	if e == nil {
		c.misses.Add(1)
		return nil, false
	}
	x := e.Value.(*entry)
	if !x.until.IsZero() && time.Now().After(x.until) {
		c.drop(e)
		c.expired.Add(1)
		c.misses.Add(1)
		return nil, false
	}
	c.order.MoveToBack(e)
	c.hits.Add(1)
	return x.answer, true
}

// overhead is what an entry takes beside its key and its answer, about.
const overhead = 256

func (c *Cache) keep(version int, key string, answer []tensor.Named) {
	bytes := int64(len(key) + overhead)
	for _, o := range answer {
		bytes += int64(len(o.Name) + o.RawSize() + 64)
		if o.Type() == tensor.String {
			bytes += 12 * int64(o.Len()) // a text's header is larger than its length in raw form
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes > c.opt.Bytes/4 || c.entries[key] != nil { // one answer must not push out all others
		return
	}
	x := &entry{version: version, key: key, answer: make([]tensor.Named, len(answer)), bytes: bytes}
	for i, o := range answer { // a part of a joined run would hold on to all of it
		own, err := tensor.FromRaw(o.Type(), slices.Clone(o.Shape), o.AppendRaw(nil))
		if err != nil {
			return // an answer whose values do not fit its shape
		}
		x.answer[i] = tensor.Named{Name: o.Name, Tensor: own}
	}
	if c.opt.TTL > 0 {
		x.until = time.Now().Add(c.opt.TTL)
	}
	c.entries[key] = c.order.PushBack(x)
	c.bytes += bytes
	c.shrink()
}

// Stats is what a cache holds and did since it was made.
type Stats struct {
	Hits    int64 `json:"hits"`
	Misses  int64 `json:"misses"`
	Evicted int64 `json:"evicted"`
	Expired int64 `json:"expired"`
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// Stats reads the counts.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Evicted: c.evicted.Load(), Expired: c.expired.Load(), Entries: len(c.entries), Bytes: c.bytes}
}

// Wrap puts the cache in front of the engine of a version. Close of the result closes the engine and drops the version's answers.
// Questions are compared whole, after their inputs are put into order by name: type, shape, every value, the wanted outputs and the
// parameters. Errors are not kept. Answers are shared between callers and are not changed.
func (c *Cache) Wrap(engine predictor.Predictor, version int) predictor.Predictor {
	return &cached{Predictor: engine, cache: c, version: version}
}

type cached struct {
	predictor.Predictor
	cache   *Cache
	version int
	closed  atomic.Bool

	hits, misses, hitNS, missNS atomic.Int64
}

// Counted is an engine behind a cache: how often each happened, and how long it took, the engine's time included.
type Counted interface {
	Counts() (hits, misses int64, hitNS, missNS int64)
}

// Counts implements Counted.
func (p *cached) Counts() (hits, misses int64, hitNS, missNS int64) {
	return p.hits.Load(), p.misses.Load(), p.hitNS.Load(), p.missNS.Load()
}

var keys = sync.Pool{New: func() any { return new([]byte) }}

// Predict implements predictor.Predictor.
func (p *cached) Predict(ctx context.Context, q *predictor.Request) ([]tensor.Named, error) {
	if !p.cache.on.Load() {
		return p.Predictor.Predict(ctx, q)
	}
	buf := keys.Get().(*[]byte)
	defer keys.Put(buf)
	key, ok := appendKey((*buf)[:0], p.version, q)
	*buf = key
	if !ok {
		return p.Predictor.Predict(ctx, q)
	}
	begun := time.Now()
	if answer, ok := p.cache.find(key); ok {
		p.hits.Add(1)
		p.hitNS.Add(time.Since(begun).Nanoseconds())
		return answer, nil
	}
	question := string(key)
	answer, err := p.Predictor.Predict(ctx, q)
	p.misses.Add(1)
	p.missNS.Add(time.Since(begun).Nanoseconds())
	if err == nil && !p.closed.Load() {
		p.cache.keep(p.version, question, answer)
	}
	return answer, err
}

// Close implements predictor.Predictor.
func (p *cached) Close() error {
	p.closed.Store(true)
	err := p.Predictor.Close()
	p.cache.Invalidate(p.version)
	return err
}

// Status implements predictor.Reporter.
func (p *cached) Status() predictor.Status {
	if r, ok := p.Predictor.(predictor.Reporter); ok {
		return r.Status()
	}
	return predictor.Status{}
}
