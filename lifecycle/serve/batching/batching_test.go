package batching

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// double answers twice its numbers and its texts twice. It fails for a negative number and counts what it is asked.
type double struct {
	cost    func(rows int) time.Duration // in the bubble of a test
	runs    atomic.Int64
	most    atomic.Int64 // rows of a run
	at      atomic.Int64 // runs at the same time now
	both    atomic.Int64 // at most
	odd     bool         // answers in a form without rows
	panics  bool
	closed  atomic.Bool
	started chan struct{} // told of every run, when not nil
}

func (d *double) Inputs() []predictor.Field {
	return []predictor.Field{{Name: "x", Type: tensor.FP64, Shape: []int{-1, -1}}, {Name: "s", Type: tensor.String, Shape: []int{-1}}, {Name: "fixed", Type: tensor.FP64, Shape: []int{3}}}
}
func (d *double) Outputs() []predictor.Field { return nil }
func (d *double) Close() error               { d.closed.Store(true); return nil }

var errNegative = errors.New("a negative number")

func (d *double) Predict(ctx context.Context, q *predictor.Request) ([]tensor.Named, error) {
	d.runs.Add(1)
	n := d.at.Add(1)
	defer d.at.Add(-1)
	for old := d.both.Load(); n > old && !d.both.CompareAndSwap(old, n); old = d.both.Load() {
	}
	rows := q.Inputs[0].Rows()
	for old := d.most.Load(); int64(rows) > old && !d.most.CompareAndSwap(old, int64(rows)); old = d.most.Load() {
	}
	if d.started != nil {
		d.started <- struct{}{}
	}
	if d.cost != nil {
		select {
		case <-time.After(d.cost(rows)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if d.panics {
		panic("broken")
	}
	var out []tensor.Named
	for _, in := range q.Inputs {
		o := tensor.Make(in.Type(), in.Shape...)
		switch data := in.Data.(type) {
		case []float64:
			for i, v := range data {
				if v < 0 {
					return nil, errNegative
				}
				o.Data.([]float64)[i] = 2 * v
			}
		case []string:
			for i, v := range data {
				o.Data.([]string)[i] = v + v
			}
		}
		if d.odd {
			o = tensor.New([]float64{1}, 1)
		}
		out = append(out, tensor.Named{Name: in.Name, Tensor: o})
	}
	return out, nil
}

func numbers(values ...float64) *predictor.Request {
	return &predictor.Request{Inputs: []tensor.Named{{Name: "x", Tensor: tensor.New(values, len(values), 1)}}}
}

// knowing makes the fit of b that of an engine that needs 10 ms for a run and 10 µs for a row.
func knowing(b *Batcher) {
	for i := range 10 {
		b.fit.add(1+i, 10*time.Millisecond+time.Duration(1+i)*10*time.Microsecond)
	}
}

func batchCost(rows int) time.Duration {
	return 10*time.Millisecond + time.Duration(rows)*10*time.Microsecond
}

func TestEveryRowGoesToItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: batchCost}
		b := New(d, Options{Parallel: 2, MaxRows: 40, Queue: 10_000})
		knowing(b)
		var wg sync.WaitGroup
		for i := range 2000 {
			rng := rand.New(rand.NewPCG(6, uint64(i)))
			n, width := 1+rng.IntN(12), 1+rng.IntN(2)
			x, s := make([]float64, n*width), make([]string, n)
			bad := rng.IntN(20) == 0
			for k := range x {
				x[k] = float64(i*1000 + k)
			}
			if bad {
				x[rng.IntN(len(x))] = -1
			}
			for k := range s {
				s[k] = fmt.Sprintf("%d/%d ", i, k)
			}
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			impatient := rng.IntN(20) == 0
			if impatient {
				ctx, cancel = context.WithCancel(ctx)
				time.AfterFunc(time.Duration(rng.IntN(500))*time.Millisecond, cancel)
			}
			q := &predictor.Request{Inputs: []tensor.Named{{Name: "x", Tensor: tensor.New(x, n, width)}, {Name: "s", Tensor: tensor.New(s, n)}}}
			if rng.IntN(4) == 0 {
				q.Params = map[string]any{"mode": "exact"}
			}
			if rng.IntN(10) == 0 { // an input whose rows are not free
				q.Inputs = append(q.Inputs, tensor.Named{Name: "fixed", Tensor: tensor.New([]float64{1, 2, 3}, 3)})
			}
			pause := time.Duration(rng.IntN(400)) * time.Millisecond
			wg.Go(func() {
				defer cancel()
				time.Sleep(pause) // the bubble's clock
				out, err := b.Predict(ctx, q)
				switch {
				case impatient && errors.Is(err, context.Canceled):
					return
				case bad:
					if !errors.Is(err, errNegative) {
						t.Errorf("request %d: %v", i, err)
					}
					return
				case err != nil:
					t.Errorf("request %d: %v", i, err)
					return
				}
				if got := out[0].Shape; len(got) != 2 || got[0] != n || got[1] != width {
					t.Errorf("request %d has the shape %v", i, got)
				}
				for k, v := range out[0].Data.([]float64) {
					if v != 2*x[k] {
						t.Errorf("request %d, value %d: %g, not %g", i, k, v, 2*x[k])
					}
				}
				for k, v := range out[1].Data.([]string) {
					if v != s[k]+s[k] {
						t.Errorf("request %d, text %d: %q", i, k, v)
					}
				}
			})
		}
		wg.Wait()
		st := b.Stats()
		if st.Joined < 500 || d.both.Load() > 2 || d.most.Load() > 40 || st.Retried == 0 || st.Waiting != 0 || st.Running != 0 {
			t.Errorf("%+v, at most %d runs and %d rows at once", st, d.both.Load(), d.most.Load())
		}
		if err := b.Close(); err != nil || !d.closed.Load() {
			t.Error("not closed", err)
		}
		if _, err := b.Predict(t.Context(), numbers(1)); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	})
}

// An idle worker is used at once, whatever the fit says.
func TestNobodyWaitsForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: batchCost}
		b := New(d, Options{Parallel: 4})
		knowing(b)
		for range 4 {
			go func() { _, _ = b.Predict(t.Context(), numbers(1)) }()
		}
		synctest.Wait()
		if d.at.Load() != 4 || b.Stats().Waiting != 0 {
			t.Errorf("%d run and %d wait", d.at.Load(), b.Stats().Waiting)
		}
		time.Sleep(time.Second)
		if st := b.Stats(); st.QueueNS != 0 || st.Runs != 4 {
			t.Errorf("%+v", st)
		}
	})
}

func TestJoinsOnlyWhatPays(t *testing.T) {
	for _, tc := range []struct {
		name  string
		cost  func(rows int) time.Duration
		joins bool
	}{
		{"a run costs much, a row little", batchCost, true},
		{"a row costs all", func(rows int) time.Duration { return time.Duration(rows) * time.Millisecond }, false},
		{"rows cost more together", func(rows int) time.Duration { return time.Duration(rows*rows) * time.Millisecond }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &double{cost: tc.cost}
				b := New(d, Options{Queue: 1000})
				var wg sync.WaitGroup
				for range 400 {
					wg.Go(func() { _, _ = b.Predict(t.Context(), numbers(1)) })
				}
				wg.Wait()
				st := b.Stats()
				if joined := st.Joined > 300; joined != tc.joins {
					t.Errorf("%+v", st)
				}
				if tc.joins && (st.PerRun < 9*time.Millisecond || st.PerRun > 11*time.Millisecond) { // batchCost: 10 ms
					t.Errorf("a run is thought to cost %s", st.PerRun)
				}
			})
		})
	}
}

func TestRefusesWhatWouldBeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: batchCost}
		b := New(d, Options{MaxRows: 2})
		knowing(b)
		for range 8 { // one runs for 10 ms, seven wait for four runs
			go func() { _, _ = b.Predict(t.Context(), numbers(1)) }()
		}
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := b.Predict(ctx, numbers(1))
		if !fault.Is(err, fault.Unavailable) || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := b.Predict(ctx, numbers(1)); err != nil {
			t.Error(err)
		}
		if st := b.Stats(); st.Late != 1 {
			t.Errorf("%+v", st)
		}
		// An engine that has become slow is asked again once it is idle: nobody is refused for what was.
		for range 60 {
			b.fit.add(1, time.Minute)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Predict(ctx, numbers(1)); err != nil {
			t.Error(err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&double{cost: batchCost}, Options{Queue: 3})
		var full atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := b.Predict(t.Context(), numbers(1)); fault.Is(err, fault.TooMany) {
					full.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if full.Load() != 6 || b.Stats().Rejected != 6 {
			t.Errorf("%d were refused", full.Load())
		}
	})
}

func TestThoseWhoLeaveDoNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: batchCost}
		b := New(d, Options{Off: true})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = b.Predict(t.Context(), numbers(1)) }()
		synctest.Wait()
		for range 5 {
			go func() {
				if _, err := b.Predict(ctx, numbers(1)); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		cancel()
		time.Sleep(time.Second)
		if d.runs.Load() != 1 || b.Stats().Cancelled != 5 || b.Stats().Waiting != 0 {
			t.Errorf("%d runs, %+v", d.runs.Load(), b.Stats())
		}
	})
}

// A run that all members have left is stopped.
func TestARunNobodyWaitsForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: func(int) time.Duration { return time.Hour }, started: make(chan struct{}, 10)}
		b := New(d, Options{})
		knowing(b)
		first, stop := context.WithCancel(t.Context())
		go func() { _, _ = b.Predict(first, numbers(1)) }()
		<-d.started
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go func() { _, _ = b.Predict(ctx, numbers(1, 2)) }()
		}
		synctest.Wait()
		stop()
		<-d.started
		if st := b.Stats(); st.Joined != 3 {
			t.Errorf("%+v", st)
		}
		cancel()
		synctest.Wait()
		if st := b.Stats(); st.Running != 0 || d.at.Load() != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnswersThatCannotBeSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{cost: batchCost, odd: true}
		b := New(d, Options{})
		knowing(b)
		for range 2 {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if out, err := b.Predict(t.Context(), numbers(1, 2)); err != nil || out[0].Shape[0] != 1 {
						t.Error(out, err)
					}
				})
			}
			wg.Wait()
		}
		if st := b.Stats(); st.Retried != 19 { // the first round's queue, joined once and never again
			t.Errorf("%+v", st)
		}
	})
}

func TestAPanicIsTheModelsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&double{cost: batchCost, panics: true}, Options{})
		knowing(b)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := b.Predict(t.Context(), numbers(1)); !fault.Is(err, fault.Internal) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestFit(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b float64 // µs
		with func(i int) time.Duration
	}{
		{"exact", 20, 500, nil},
		{"with outliers", 20, 500, func(i int) time.Duration {
			if i%25 == 0 {
				return time.Minute
			}
			return 0
		}},
	} {
		var f fit
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 200 {
			n := 1 + rng.IntN(64)
			took := time.Duration((tc.a*float64(n) + tc.b) * 1000)
			if tc.with != nil {
				took += tc.with(i)
			}
			f.add(n, took)
		}
		if a, b := f.a/1000, f.b/1000; a < tc.a*.99 || a > tc.a*1.01 || b < tc.b*.99 || b > tc.b*1.01 {
			t.Errorf("%s: %g n + %g", tc.name, a, b)
		}
		if !f.pays(2, 2) || f.pays(1, 10) || f.pays(2, 1000) { // 500 of 1,040 µs; nothing; 500 of 21,000 µs
			t.Errorf("%s: pays", tc.name)
		}
	}
}

// BenchmarkIdle is what the batcher adds when a worker is free.
func BenchmarkIdle(b *testing.B) {
	batcher := New(&double{}, Options{})
	q := numbers(1, 2, 3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := batcher.Predict(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
