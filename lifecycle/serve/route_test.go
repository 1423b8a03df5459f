package serve_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// versions puts n versions into the shop; version v scores v/100 more than the row's sum.
func (b *bench) versions(t testing.TB, n int) {
	t.Helper()
	for v := 1; v <= n; v++ {
		b.shop.put(v, sum{offset: float64(v) / 100}, nil)
	}
	b.start(t)
	_, err := b.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
}

func header(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestRulesAndLabels(t *testing.T) {
	b := newBench(t)
	b.versions(t, 6)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Canary: 2, CanaryShare: 1, Standby: 3,
		Rules:  []serve.Rule{{Header: "X-Tier", Value: "gold", Version: 4}, {Header: "x-tier", Value: "*", Version: 5}},
		Labels: map[string]int{"eu": 6, "stable": 5}}))
	for _, tc := range []struct {
		name   string
		choice serve.Choice
		header func(string) string
		want   int // 0 = refused
	}{
		{"the route", serve.Choice{}, nil, 2},
		{"another header", serve.Choice{}, header("x-other", "gold"), 2},
		{"the first rule", serve.Choice{}, header("x-tier", "gold"), 4},
		{"the second rule", serve.Choice{}, header("x-tier", "silver"), 5},
		{"a label comes before rules", serve.Choice{Label: "eu"}, header("x-tier", "gold"), 6},
		{"a version comes before all", serve.Choice{Version: 3}, header("x-tier", "gold"), 3},
		{"a label of the route's own", serve.Choice{Label: "stable"}, nil, 5},
		{"champion", serve.Choice{Label: "champion"}, nil, 1},
		{"canary", serve.Choice{Label: "canary"}, nil, 2},
		{"standby", serve.Choice{Label: "standby"}, nil, 3},
		{"no such label", serve.Choice{Label: "us"}, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := batch(full())
			q.Header = tc.header
			a, err := b.Infer(t.Context(), "delays", tc.choice, q)
			if tc.want == 0 {
				if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "champion, stable, canary, standby, eu") {
					t.Errorf("%v, hint %q", err, fault.HintOf(err))
				}
				return
			}
			must(t, err)
			if a.Version != tc.want || a.Predictions[0].Version != tc.want {
				t.Errorf("v%d answered, not v%d", a.Version, tc.want)
			}
		})
	}
}

func TestRoutesThatCannotBe(t *testing.T) {
	b := newBench(t)
	b.versions(t, 9)
	for _, tc := range []struct {
		r    serve.Route
		want string
	}{
		{serve.Route{Champion: 1, Shadow: 1}, "its own shadow"},
		{serve.Route{Champion: 1, Shadow: 2, ShadowShare: 2}, "a shadow of 2"},
		{serve.Route{Shadow: 2}, "no champion"},
		{serve.Route{Champion: 1, Canary: 2, Variants: []serve.Variant{{3, 0.5}}}, "divide the same traffic"},
		{serve.Route{Champion: 1, Variants: []serve.Variant{{2, 0.6}, {3, 0.6}}}, "1.2 of the keys"},
		{serve.Route{Champion: 1, Variants: []serve.Variant{{2, 0.1}, {2, 0.1}}}, "variant twice"},
		{serve.Route{Champion: 1, Variants: []serve.Variant{{2, 0}}}, "at 0 of the keys"},
		{serve.Route{Champion: 1, Rules: []serve.Rule{{"x y", "1", 2}}}, "is no header"},
		{serve.Route{Champion: 1, Rules: []serve.Rule{{"Authorization", "Bearer 1", 2}}}, "a secret"},
		{serve.Route{Champion: 1, Rules: []serve.Rule{{"x", "", 2}}}, "needs a value"},
		{serve.Route{Champion: 1, Rules: []serve.Rule{{"x", "1", 0}}}, "names no version"},
		{serve.Route{Champion: 1, Labels: map[string]int{"EU": 2}}, "is no label"},
		{serve.Route{Champion: 1, Labels: map[string]int{"eu": -2}}, "no version -2"},
		{serve.Route{Champion: 1, Labels: map[string]int{"a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "f": 7, "g": 8, "h": 9}}, "at most 8"},
	} {
		if err := b.SetRoute(t.Context(), nil, "delays", tc.r); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.r, err, tc.want)
		}
	}
}

// Keys stay with their variant, for as long as the salt stays, and the shares are kept.
func TestVariantsAreSticky(t *testing.T) {
	b := newBench(t)
	b.versions(t, 3)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Salt: "test", Variants: []serve.Variant{{1, 0.5}, {2, 0.3}, {3, 0.2}}}))
	q := &serve.Batch{}
	for i := range 4000 {
		q.Rows, q.Keys = append(q.Rows, full()), append(q.Keys, fmt.Sprint("user-", i))
	}
	a, err := b.Infer(t.Context(), "delays", serve.Choice{}, q)
	must(t, err)
	counts := map[int]int{}
	for _, p := range a.Predictions {
		counts[p.Version]++
		if contender := p.Version != 1; contender != (p.Arm == serve.Contender) || p.Champion != nil {
			t.Fatalf("v%d is the arm %s", p.Version, p.Arm)
		}
	}
	// Binomial, n = 4,000: four standard deviations are 126, 116 and 101.
	if d := counts[1] - 2000; d < -126 || d > 126 {
		t.Errorf("v1 has %d", counts[1])
	}
	if d := counts[2] - 1200; d < -116 || d > 116 {
		t.Errorf("v2 has %d", counts[2])
	}
	again, err := b.Infer(t.Context(), "delays", serve.Choice{}, q)
	must(t, err)
	for i := range again.Predictions {
		if again.Predictions[i].Version != a.Predictions[i].Version {
			t.Fatalf("row %d went from v%d to v%d", i, a.Predictions[i].Version, again.Predictions[i].Version)
		}
	}
}

// A contender that cannot take a row is stood in for by the champion.
func TestTheChampionStandsInForAContender(t *testing.T) {
	b := newBench(t)
	b.versions(t, 2)
	b.shop.put(2, sum{offset: 0.02, strict: true}, nil)
	b.start(t)
	_, err := b.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Variants: []serve.Variant{{2, 1}}}))
	a, err := b.Infer(t.Context(), "delays", serve.Choice{}, batch(full(), with(full(), "temp", serve.Cell{})))
	must(t, err)
	if p := a.Predictions; p[0].Version != 2 || p[1].Version != 1 || p[1].Arm != serve.Champion {
		t.Errorf("v%d and v%d answered", p[0].Version, p[1].Version)
	}
}

// A route survives a restart with all its versions warm.
func TestRouteIsRestored(t *testing.T) {
	b := newBench(t)
	b.versions(t, 7)
	want := serve.Route{Champion: 1, Standby: 2, Shadow: 3, ShadowShare: 0.5, Variants: []serve.Variant{{4, 0.25}}, Rules: []serve.Rule{{"x-tier", "gold", 5}}, Labels: map[string]int{"eu": 6}}
	must(t, b.SetRoute(t.Context(), nil, "delays", want))
	b.start(t)
	d, err := b.Get(t.Context(), "delays")
	must(t, err)
	if fmt.Sprint(d.Route) != fmt.Sprint(want) || fmt.Sprint(d.Resident) != "[1 2 3 4 5 6]" {
		t.Errorf("the route is %+v, resident are %v", d.Route, d.Resident)
	}
}

// TestSwapsUnderLoad swaps two versions while requests run: none fails, no third version answers, and when a swap is over no request
// that begins later has the old one.
func TestSwapsUnderLoad(t *testing.T) {
	swaps := 100
	if os.Getenv("TRIMTAB_SOAK") != "" {
		swaps = 1000
	}
	b := newBench(t)
	b.versions(t, 3)
	b.log.keep = false
	route := func(champion int) {
		must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: champion, Standby: 3 - champion}))
	}
	route(1)
	var expected atomic.Int64 // four times the number of the swap, and the champion while none is under way; 0 meanwhile
	expected.Store(1)
	var answered atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := expected.Load()
				a, err := b.Infer(t.Context(), "delays", serve.Choice{}, batch(full(), full()))
				after := expected.Load()
				if err != nil {
					t.Error(err)
					return
				}
				v := a.Version
				if p := a.Predictions; v != 1 && v != 2 || p[0].Version != v || p[1].Version != v {
					t.Errorf("v%d answered v%d and v%d", v, p[0].Version, p[1].Version)
					return
				}
				if before != 0 && before == after && int64(v) != before%4 {
					t.Errorf("v%d answered after the swap to v%d", v, before%4)
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := range swaps {
		to := 2 - i%2
		expected.Store(0)
		route(to)
		expected.Store(int64(4*(i+1) + to))
		for n := answered.Load(); answered.Load() < n+8 && !t.Failed(); { // a swap that nobody was asked after shows nothing
			runtime.Gosched()
		}
	}
	close(stop)
	wg.Wait()
	if b.Failed("delays") != 0 {
		t.Errorf("%d rows failed", b.Failed("delays"))
	}
	t.Logf("%d requests over %d swaps", answered.Load(), swaps)
}

// stuck is a model that answers when it may, and counts.
type stuck struct {
	learn.Model
	may   chan struct{}
	asked *atomic.Int64
}

func (m stuck) Outputs() int { return 1 }
func (m stuck) PredictRow(x []float32, dst []float64) {
	m.asked.Add(1)
	<-m.may
	dst[0] = 0.9
}
