package transfer

import (
	"context"
	"sync"
)

// group runs functions, so many at once, until the first error.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	slots  chan struct{}
	wg     sync.WaitGroup
}

func newGroup(ctx context.Context, n int) *group {
	g := &group{slots: make(chan struct{}, n)}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Do starts f when there is room; the error is that of an earlier one.
func (g *group) Do(f func(ctx context.Context) error) error {
	select {
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	case g.slots <- struct{}{}:
	}
	g.wg.Go(func() {
		defer func() { <-g.slots }()
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	})
	return nil
}

// Wait waits for all and gives the first error.
func (g *group) Wait() error {
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

// each calls f for every item, several at once.
func each[T any](ctx context.Context, items []T, f func(ctx context.Context, item T) error) error {
	g := newGroup(ctx, workers)
	for _, item := range items {
		if g.Do(func(ctx context.Context) error { return f(ctx, item) }) != nil {
			break
		}
	}
	return g.Wait()
}
