package track

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/trimtab-ml/trimtab/infra/catalog"
)

// A commit costs a write through to the disk, however many rows it has. So small writes that come while another commits wait together and
// share the next one. One that is refused before it wrote anything fails alone; when one fails later, each of them gets a transaction of its own.

// maxShared bounds how long the one writing connection is held.
const maxShared = 128

// change is one write inside a transaction that may be shared.
type change struct {
	*catalog.Tx
	revision int64
	wrote    bool
	hooks    []func()

	keys map[name]int64 // names that this write has met
	used map[used]bool
}

// ExecContext runs a statement that returns no rows.
func (c *change) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.wrote = true
	return c.Tx.ExecContext(ctx, query, args...)
}

// OnCommit has f run after the commit. Unlike the hooks of the transaction those of a write that failed alone never run.
func (c *change) OnCommit(f func()) { c.hooks = append(c.hooks, f) }

type job struct {
	ctx   context.Context
	fn    func(c *change) error
	err   error
	panic any
	hooks []func()
	ready chan bool // true: lead the next transaction; false: done
}

type writer struct {
	db *catalog.DB

	mu    sync.Mutex
	queue []*job
	busy  bool
}

// do runs fn in a transaction with a fresh revision and returns when it is durable. fn must not write other than through c.
func (w *writer) do(ctx context.Context, fn func(c *change) error) error {
	j := &job{ctx: ctx, fn: fn, ready: make(chan bool, 1)}
	w.mu.Lock()
	w.queue = append(w.queue, j)
	lead := !w.busy
	w.busy = true
	w.mu.Unlock()
	if !lead && !<-j.ready {
		return j.result()
	}
	w.mu.Lock()
	n := min(len(w.queue), maxShared)
	shared := w.queue[:n:n]
	w.queue = w.queue[n:]
	w.mu.Unlock()

	w.run(ctx, shared)

	w.mu.Lock()
	if len(w.queue) == 0 {
		w.busy, w.queue = false, nil
	} else {
		w.queue[0].ready <- true
	}
	w.mu.Unlock()
	for _, other := range shared {
		if other != j {
			other.ready <- false
		}
	}
	return j.result()
}

func (j *job) result() error {
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

// errSpoiled undoes a shared transaction in which one write failed halfway.
var errSpoiled = errors.New("a write failed halfway")

// run does the jobs together, or one by one when that fails.
func (w *writer) run(ctx context.Context, jobs []*job) {
	err := w.try(ctx, jobs)
	if err == nil || len(jobs) == 1 {
		if err != nil && jobs[0].err == nil {
			jobs[0].err = err
		}
		return
	}
	for _, j := range jobs {
		if err := w.try(ctx, []*job{j}); err != nil && j.err == nil {
			j.err = err
		}
	}
}

// try does the jobs in one transaction. Each job's own refusal is in its err; an error says that nothing of any of them was done.
func (w *writer) try(ctx context.Context, jobs []*job) error {
	done := 0
	err := w.db.Write(context.WithoutCancel(ctx), func(tx *catalog.Tx) error {
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.err = context.Cause(j.ctx); j.err != nil {
				continue
			}
			c := &change{Tx: tx, revision: revision}
			j.call(c)
			switch {
			case j.err == nil:
				done++
			case c.wrote && len(jobs) > 1:
				return errSpoiled
			}
		}
		if done == 0 {
			return cmp.Or(jobs[0].err, errSpoiled) // there is nothing to commit
		}
		return nil
	})
	if done == 0 && err != nil && !errors.Is(err, errSpoiled) && refused(jobs) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.err == nil {
			for _, hook := range j.hooks {
				hook()
			}
		}
	}
	return nil
}

// refused reports whether every job has said no.
func refused(jobs []*job) bool {
	for _, j := range jobs {
		if j.err == nil {
			return false
		}
	}
	return true
}

func (j *job) call(c *change) {
	defer func() {
		if j.panic = recover(); j.panic != nil {
			j.err = fmt.Errorf("a write panicked: %v", j.panic)
			c.wrote = true
		}
	}()
	j.err = j.fn(c)
	j.hooks = c.hooks
}

// next raises a counter by n and gives its new value. The row stays locked until the transaction ends.
func next(ctx context.Context, tx *catalog.Tx, name string, n int64) (value int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE track_counters SET value = value + $1 WHERE workspace_id = 'default' AND name = $2 RETURNING value`, n, name).Scan(&value)
	if err != nil {
		return 0, fmt.Errorf("raise the counter %s: %w", name, err)
	}
	return value, nil
}

// nextRevision must be the first statement on runs in a transaction.
func nextRevision(ctx context.Context, tx *catalog.Tx) (int64, error) {
	return next(context.WithoutCancel(ctx), tx, "revision", 1)
}
