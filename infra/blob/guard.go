package blob

import (
	"context"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Guard is a Store whose blobs may be swept while others put: a blob that was put a short while ago is kept, because the row that will
// hold it may not be written yet. That also goes for bytes that were there already when they were put.
type Guard struct {
	Store
	quiet time.Duration
	now   func() time.Time

	mu     sync.Mutex
	put    map[string]time.Time
	pruned int // how many there were after old ones were dropped
}

// NewGuard guards a store. Blobs that were put within quiet are not swept: it must be longer than what is between the putting of a
// blob and the row that names it. Everyone who puts has to do so through the guard.
func NewGuard(s Store, quiet time.Duration) *Guard {
	return &Guard{Store: s, quiet: quiet, now: time.Now, put: map[string]time.Time{}}
}

// Put stores what r gives.
func (g *Guard) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	hash, size, err := g.Store.Put(ctx, r)
	if err == nil {
		err = g.keep(ctx, hash)
	}
	return hash, size, err
}

// PutFile stores a file and removes it from its place.
func (g *Guard) PutFile(ctx context.Context, path string) (string, int64, error) {
	hash, size, err := g.Store.PutFile(ctx, path)
	if err == nil {
		err = g.keep(ctx, hash)
	}
	return hash, size, err
}

// Has tells whether a blob is there. Who asks means to use it, so that it is not swept for a while.
func (g *Guard) Has(ctx context.Context, hash string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	there, err := g.Store.Has(ctx, hash)
	if there {
		g.put[hash] = g.now()
	}
	return there, err
}

// keep notes that a blob was put, and that it is still there: a sweep may have come between.
func (g *Guard) keep(ctx context.Context, hash string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if there, err := g.Store.Has(ctx, hash); err != nil {
		return err
	} else if !there {
		return fault.New(fault.Unavailable, "the blob %s was swept while it was put", hash).WithHint("put it again")
	}
	g.put[hash] = g.now()
	if len(g.put) > 2*g.pruned+1024 {
		for hash, at := range g.put {
			if g.now().Sub(at) >= g.quiet {
				delete(g.put, hash)
			}
		}
		g.pruned = len(g.put)
	}
	return nil
}

// Sweep deletes a blob that nothing holds and reports whether it did: one that was put a short while ago stays.
func (g *Guard) Sweep(ctx context.Context, hash string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.recent(hash) {
		return false, nil
	}
	return true, g.Delete(ctx, hash)
}

// Recent tells whether a blob was put a short while ago.
func (g *Guard) Recent(hash string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.recent(hash)
}

func (g *Guard) recent(hash string) bool {
	at, ok := g.put[hash]
	return ok && g.now().Sub(at) < g.quiet
}

var hashForm = regexp.MustCompile(`[0-9a-f]{64,}`)

// Find calls f with everything in a text that has the form of a hash, such as the blobs that a document names. It may find more than
// there is, and never less.
func Find(text string, f func(hash string) error) error {
	for _, run := range hashForm.FindAllString(text, -1) {
		for ; len(run) >= 64; run = run[1:] {
			if err := f(run[:64]); err != nil {
				return err
			}
		}
	}
	return nil
}
