package limit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

func enter(t *testing.T, l *limit.Limiter, priority int) limit.Pass {
	t.Helper()
	_, p, err := l.Enter(t.Context(), priority, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNeverMoreThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Concurrency: 3, Queue: 5000})
		var now, most, left atomic.Int64
		var wg sync.WaitGroup
		for i := range 3000 {
			rng := rand.New(rand.NewPCG(9, uint64(i)))
			wg.Go(func() {
				time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if rng.IntN(5) == 0 {
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(time.Duration(rng.IntN(2000))*time.Millisecond, cancel)
				}
				defer cancel()
				_, p, err := l.Enter(ctx, rng.IntN(40)-20, 1)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					left.Add(1)
					return
				}
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
				now.Add(-1)
				p.Leave()
			})
		}
		wg.Wait()
		st := l.Stats()
		if most.Load() != 3 || st.Running != 0 || st.Waiting != 0 || st.Admitted+left.Load() != 3000 {
			t.Errorf("at most %d, %d left, %+v", most.Load(), left.Load(), st)
		}
	})
}

func TestTheUrgentGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Concurrency: 1})
		first := enter(t, l, 0)
		var order []int
		for i, priority := range []int{0, 5, -3, 5, 1000} {
			go func() {
				p := enter(t, l, priority)
				order = append(order, i)
				p.Leave()
			}()
			synctest.Wait()
		}
		first.Leave()
		synctest.Wait()
		if !slices.Equal(order, []int{4, 1, 3, 0, 2}) {
			t.Errorf("the order is %v", order)
		}
	})
}

func TestTheLeastUrgentAreShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Concurrency: 1, Queue: 2})
		first := enter(t, l, 0)
		codes := make([]fault.Code, 5)
		for i, priority := range []int{0, 0, 0, 3, -1} { // two wait; full; takes the place of the second; full
			go func() {
				_, p, err := l.Enter(t.Context(), priority, 1)
				codes[i] = fault.CodeOf(err)
				var f *fault.Error
				if err != nil && (!errors.As(err, &f) || f.Details["retry_after_ms"].(int64) <= 0) {
					t.Error(err)
				}
				p.Leave()
			}()
			synctest.Wait()
		}
		first.Leave()
		synctest.Wait()
		if !slices.Equal(codes, []fault.Code{"", fault.TooMany, fault.TooMany, "", fault.TooMany}) {
			t.Errorf("codes are %q", codes)
		}
		if st := l.Stats(); st.Refused != 2 || st.Displaced != 1 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Concurrency: 1, Timeout: time.Second})
		ctx, p, err := l.Enter(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _, err = l.Enter(t.Context(), 0, 1) // waits for its turn until the timeout
		if !fault.Is(err, fault.Unavailable) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		<-ctx.Done()
		if err := limit.Expired(ctx, ctx.Err()); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		p.Leave()
		if err := limit.Expired(t.Context(), errNothing); err != errNothing {
			t.Error(err)
		}
		if st := l.Stats(); st.Expired != 1 || st.Running != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

var errNothing = errors.New("nothing")

func TestRefusesAtOnceWhatWouldBeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Concurrency: 1})
		for range 40 { // requests take 100 ms
			p := enter(t, l, 0)
			time.Sleep(100 * time.Millisecond)
			p.Leave()
		}
		p := enter(t, l, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond) // a turn and its own take 200 ms
		defer cancel()
		start := time.Now()
		if _, _, err := l.Enter(ctx, 0, 1); !fault.Is(err, fault.Unavailable) || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		p.Leave()
		if _, p, err := l.Enter(ctx, 0, 1); err != nil { // nobody is before it: it may try
			t.Error(err)
		} else {
			p.Leave()
		}
	})
}

func TestLimitsChangeUnderway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limit.Limiter
		free := enter(t, &l, 0)
		l.Set(limit.Options{Concurrency: 1, MaxRows: 10})
		done := make(chan limit.Pass, 2)
		for range 2 {
			go func() { done <- enter(t, &l, 0) }()
		}
		synctest.Wait()
		if st := l.Stats(); st.Waiting != 2 || st.Running != 1 {
			t.Errorf("%+v", st)
		}
		if _, _, err := l.Enter(t.Context(), 0, 11); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
		free.Leave() // it began without limits
		(<-done).Leave()
		(<-done).Leave()
		p := enter(t, &l, 0)
		go func() { done <- enter(t, &l, 0) }()
		synctest.Wait()
		l.Set(limit.Options{})
		(<-done).Leave()
		p.Leave()
		if st := l.Stats(); st.Waiting != 0 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func BenchmarkEnter(b *testing.B) {
	for _, tc := range []struct {
		name string
		opt  limit.Options
	}{{"without limits", limit.Options{}}, {"concurrency", limit.Options{Concurrency: 64}}} {
		b.Run(tc.name, func(b *testing.B) {
			l := limit.New(tc.opt)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				_, p, err := l.Enter(ctx, 0, 1)
				if err != nil {
					b.Fatal(err)
				}
				p.Leave()
			}
		})
	}
}
