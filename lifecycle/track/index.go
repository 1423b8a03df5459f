package track

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

// Searches look at columns in memory: the attributes of all runs, and one column for every parameter, metric and tag that was asked for
// lately. The catalog stays the truth: every search first takes in the rows whose revision is higher than what it has seen, whichever server
// wrote them. A run has a slot, its place in every column; slots are in the order of runs.number.

// defaultIndexBytes bounds the columns of parameters, metrics, tags and datasets; those that were not used for longest go.
const defaultIndexBytes = 128 << 20

// Stages of a slot.
const (
	slotGone = iota // removed for good
	slotActive
	slotDeleted
)

// noTime is the end of a run that has none.
const noTime = -1 << 63

type columnKey struct {
	kind filter.Kind
	name string
}

// readingsKey is the one column of datasets.
var readingsKey = columnKey{kind: filter.Dataset}

// column is one of texts, numbers and readings.
type column struct {
	texts    *texts
	numbers  *numbers
	readings *readings
	used     uint64
}

func (c *column) size() int64 {
	switch {
	case c.texts != nil:
		return c.texts.size()
	case c.numbers != nil:
		return c.numbers.size()
	}
	return c.readings.size()
}

// index holds the columns. What is read from the catalog is read by one at a time, who has the turn; what is in memory changes under mu, and only
// with the turn. So one with the turn may read everything, and one with mu for reading sees one moment. mu is locked only for a change, because
// that waits for the searches that are looking.
type index struct {
	db     *catalog.DB
	budget int64
	turn   chan struct{}
	begun  atomic.Uint64 // refreshes
	done   atomic.Uint64 // the number of the last one that succeeded

	mu              sync.RWMutex
	loaded          bool
	revision, epoch int64  // up to which everything is known
	layout          uint64 // raised when slots change their meaning
	base
	columns map[columnKey]*column
	clock   uint64

	lists lists
}

// base is what every run has, by slot.
type base struct {
	numbers  []int64
	ids      []shortID
	odd      map[int32]string // ids that are not 32 digits
	stages   []uint8
	started  []int64 // milliseconds
	finished []int64
	names    *texts
	users    *texts
	states   *texts // as MLflow spells them
	uris     *texts // those that do not follow from the id
	gone     int    // stages that are slotGone

	// Experiments have dense numbers here.
	experiment    []uint32 // by slot
	experimentIDs []string
	changed       []int64          // the revision of the last change to any run
	order         map[int64]uint32 // the number of an experiment's id
}

func newIndex(db *catalog.DB, budget int64) *index {
	if budget <= 0 {
		budget = defaultIndexBytes
	}
	x := &index{db: db, budget: budget, turn: make(chan struct{}, 1)}
	x.reset()
	return x
}

// reset forgets everything; the caller has the turn and mu.
func (x *index) reset() {
	x.loaded = false
	x.revision, x.epoch = 0, 0
	x.layout++
	x.base = newBase()
	x.columns = map[columnKey]*column{}
	x.lists.clear()
}

// look brings the index up to date, loads the columns that are needed, and has f look at them. f must not keep x, nor read the catalog.
// Columns that are only liked are kept from being the next to go when they are there.
func (x *index) look(ctx context.Context, needed, liked []columnKey, f func()) error {
	if err := x.enter(ctx, needed, liked); err != nil {
		return err
	}
	defer x.mu.RUnlock()
	f()
	return nil
}

// enter leaves x.mu locked for reading unless it fails.
func (x *index) enter(ctx context.Context, needed, liked []columnKey) error {
	asked := x.begun.Load()
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-x.turn }()
	if err := x.prepare(ctx, asked, needed, liked); err != nil {
		return err
	}
	x.mu.RLock() // before the turn goes, so that nothing changes in between
	return nil
}

func (x *index) prepare(ctx context.Context, asked uint64, needed, liked []columnKey) error {
	// A refresh that began after this search did has seen everything that was there when it did.
	if x.done.Load() <= asked {
		number := x.begun.Add(1)
		if err := x.refresh(ctx); err != nil {
			return err
		}
		x.done.Store(number)
	}
	x.clock++
	for _, key := range liked {
		if c := x.columns[key]; c != nil {
			c.used = x.clock
		}
	}
	for _, key := range needed {
		c := x.columns[key]
		if c == nil {
			var err error
			if c, err = x.load(ctx, key); err != nil {
				return err
			}
			x.mu.Lock()
			x.columns[key] = c
			x.mu.Unlock()
		}
		c.used = x.clock
	}
	x.evict()
	return nil
}

// evict drops columns that nobody needs just now until the rest is within the budget.
func (x *index) evict() {
	var total int64
	for _, c := range x.columns {
		total += c.size()
	}
	for total > x.budget {
		var oldest columnKey
		var least *column
		for key, c := range x.columns {
			if c.used < x.clock && (least == nil || c.used < least.used) {
				oldest, least = key, c
			}
		}
		if least == nil {
			return
		}
		total -= least.size()
		x.mu.Lock()
		delete(x.columns, oldest)
		x.mu.Unlock()
	}
}

// bytes is about how much memory the index takes.
func (x *index) bytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := int64(8*cap(x.numbers)+16*cap(x.ids)+cap(x.stages)+8*cap(x.started)+8*cap(x.finished)+4*cap(x.experiment)) + int64(len(x.odd))*80
	n += x.names.size() + x.users.size() + x.states.size() + x.uris.size() + int64(len(x.experimentIDs))*64
	for _, c := range x.columns {
		n += c.size()
	}
	return n + x.lists.size()
}
