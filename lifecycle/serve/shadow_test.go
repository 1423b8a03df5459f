package serve_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// until waits for the shadow of delays to have the rows.
func (b *bench) until(t *testing.T, what string, holds func(s *serve.ShadowStats) bool) *serve.ShadowStats {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s, err := b.Shadow("delays", 0)
		must(t, err)
		if holds(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, s)
		}
		time.Sleep(time.Millisecond)
	}
}

// ask sends n requests of a row, each with a context that ends when its answer is there, as a door's does.
func (b *bench) ask(t *testing.T, n int, row func(i int) serve.Row) {
	t.Helper()
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		a, err := b.Infer(ctx, "delays", serve.Choice{}, batch(row(i)))
		cancel()
		must(t, err)
		if a.Version != 1 {
			t.Fatalf("v%d answered", a.Version)
		}
	}
}

func TestShadowIsCompared(t *testing.T) {
	b := newBench(t)
	b.versions(t, 2)
	b.shop.put(1, sum{offset: -1}, nil)
	b.shop.put(2, sum{offset: -0.75, strict: true}, nil) // a quarter more, and no answer without temp
	b.start(t)
	_, err := b.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Shadow: 2}))
	// Scores of the champion are -1 + (temp + 1 + 6)/10: 0.2, 0.3, 0.4 for temp 5, 6, 7. The threshold is 0.5, so that 0.3 and 0.4 flip.
	b.ask(t, 300, func(i int) serve.Row { return with(full(), "temp", number(float64(5+i%3))) })
	b.ask(t, 20, func(int) serve.Row { return with(full(), "temp", serve.Cell{}) })
	s := b.until(t, "all are compared", func(s *serve.ShadowStats) bool { return s.Rows+s.Errors+s.Dropped == 320 })
	if s.Dropped != 0 || s.Errors != 20 || s.Rows != 300 || s.Flips != 200 || s.Scored != 300 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
	if math.Abs(s.Difference-0.25) > 1e-9 || math.Abs(s.Shift-0.25) > 1e-9 || math.Abs(s.Greatest-0.25) > 1e-9 || s.Rank < 0.999 || s.RankRows != 300 {
		t.Errorf("%+v", s)
	}
	if len(s.Disagreements) != 20 || s.Disagreements[0].PredictionID == "" || math.Abs(s.Disagreements[0].Difference-0.25) > 1e-9 {
		t.Errorf("%+v", s.Disagreements)
	}
	if st := b.Stats("delays", 2); st.Requests != 0 {
		t.Errorf("the shadow counts as answering: %+v", st)
	}
	if len(b.log.recs) != 320 {
		t.Errorf("%d predictions are logged", len(b.log.recs))
	}
	// What was found is there after a restart; another champion begins anew.
	must(t, b.Stop(t.Context()))
	b.start(t)
	if again := b.until(t, "kept", func(*serve.ShadowStats) bool { return true }); again.Rows != 300 || again.Flips != 200 || math.Abs(again.Difference-s.Difference) > 1e-12 || len(again.Disagreements) != 20 {
		t.Errorf("%+v", again)
	}
	b.shop.put(3, sum{}, nil)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 3, Shadow: 2}))
	if anew := b.until(t, "anew", func(*serve.ShadowStats) bool { return true }); anew.Rows != 0 || anew.Against != 3 {
		t.Errorf("%+v", anew)
	}
}

// A shadow that never answers costs requests nothing: they are answered, what waits is bounded, and the rest is counted.
func TestAShadowIsNeverWaitedFor(t *testing.T) {
	b := newBench(t)
	m := stuck{may: make(chan struct{}), asked: &atomic.Int64{}}
	b.shop.versions[2].Learned = m
	b.start(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Shadow: 2}))
	const n = 5000
	b.ask(t, n, func(int) serve.Row { return full() })
	s := b.until(t, "one is asked", func(*serve.ShadowStats) bool { return m.asked.Load() == 1 })
	if s.Rows != 0 || s.Waiting > 1024 || int64(s.Waiting)+s.Dropped != n-1 {
		t.Errorf("%d wait, %d are dropped, %d compared", s.Waiting, s.Dropped, s.Rows)
	}
	if st := b.Stats("delays", 1); st.Requests != n || st.Errors != 0 {
		t.Errorf("the champion answered %+v", st)
	}
	close(m.may)
	waiting := int64(s.Waiting)
	if s := b.until(t, "the rest is asked", func(s *serve.ShadowStats) bool { return s.Rows == waiting+1 }); s.Dropped != n-1-waiting {
		t.Errorf("%+v", s)
	}
}

// Stop does not wait for what is queued.
func TestStopDropsWhatWaitsForTheShadow(t *testing.T) {
	b := newBench(t)
	m := stuck{may: make(chan struct{}), asked: &atomic.Int64{}}
	b.shop.versions[2].Learned = m
	b.start(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Shadow: 2}))
	b.ask(t, 100, func(int) serve.Row { return full() })
	b.until(t, "one is asked", func(*serve.ShadowStats) bool { return m.asked.Load() == 1 })
	done := make(chan error)
	go func() { done <- b.Stop(context.WithoutCancel(t.Context())) }()
	close(m.may)
	must(t, <-done)
	if m.asked.Load() > 2 {
		t.Errorf("%d were asked", m.asked.Load())
	}
}

func TestShadowShare(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Shadow: 2, ShadowShare: 0.25}))
	b.ask(t, 2000, func(int) serve.Row { return full() })
	s := b.until(t, "done", func(s *serve.ShadowStats) bool { return s.Waiting == 0 && s.Rows > 0 && s.Rows+s.Dropped > 380 })
	// Binomial, n = 2,000, p = 0.25: six standard deviations are 116.
	if n := s.Rows + s.Dropped; n < 384 || n > 616 {
		t.Errorf("%d of 2,000 were mirrored", n)
	}
	if _, err := b.Infer(t.Context(), "delays", serve.Choice{Version: 1}, batch(full())); err != nil {
		t.Error(err)
	}
	if _, err := b.Shadow("delays", 7); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// A shadow that reads other columns than the champion gets them from the request.
func TestShadowWithColumnsOfItsOwn(t *testing.T) {
	b := newBench(t)
	b.shop.put(2, sum{offset: 0.25}, func(sig *registry.Signature) {
		sig.Inputs = append(sig.Inputs, registry.Input{Name: "wind", Kind: table.Double, Role: registry.RoleFeature})
		sig.Features = []string{"wind", "dest", "hour_at_hour"}
	})
	b.start(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Shadow: 2}))
	b.ask(t, 10, func(int) serve.Row { return with(full(), "wind", number(12)) }) // temp is 2: the shadow's score is one more
	s := b.until(t, "done", func(s *serve.ShadowStats) bool { return s.Rows+s.Errors == 10 })
	if s.Errors != 0 || math.Abs(s.Shift-1) > 1e-9 {
		t.Errorf("%+v", s)
	}
}
