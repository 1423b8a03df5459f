package serve_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Kind and Features let the explainer say that it does not know the model.
func (m sum) Kind() string  { return "sum" }
func (m sum) Features() int { return 3 }

// forest is trees over temp, the code of dest and the hour, whose margins are whole numbers.
func forest(t testing.TB, outputs int) learn.Model {
	e := tree.Ensemble{Features: 3, Link: tree.Logistic, Scale: 1, Single: true}
	task := learn.Binary
	if outputs > 1 {
		e.Link, task = tree.Softmax, learn.Multiclass
	}
	for k := range outputs {
		e.Base = append(e.Base, float64(k))
		for f := range int32(3) {
			grown := tree.Tree{Output: k}
			grown.Add(f, 0.5, false, 0, 1, 4)
			grown.Left[0], grown.Right[0] = grown.Add(tree.Leaf, 0, false, -2, 0, 1), grown.Add(tree.Leaf, 0, false, 2*float64(k+1), 0, 3)
			e.Trees = append(e.Trees, grown)
		}
	}
	m, err := tree.NewModel("gbdt", task, e)
	must(t, err)
	return m
}

func (s *shop) grow(t testing.TB, version, outputs int) {
	p := &serve.Package{Model: "delays", Version: version, Signature: signature(), Fitted: fitted, Learned: forest(t, outputs), Threshold: 0.5}
	if outputs > 1 {
		p.Signature.Task, p.Signature.Classes = "multiclass", []string{"a", "b", "c"}[:outputs]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions[version] = p
}

func TestExplains(t *testing.T) {
	b := newBench(t)
	b.shop.grow(t, 5, 1)
	b.shop.grow(t, 6, 3)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 5}))
	got, err := b.Predict(t.Context(), "delays", 0, &serve.Batch{Rows: []serve.Row{full(), with(full(), "temp", number(-5))}, Explain: true})
	must(t, err)
	// A tree of one split adds -2 for a quarter of the training rows and 2 for the others: 1 on average.
	for i, want := range [][]float64{{1, 1, 1}, {-3, 1, 1}} {
		e := got[i].Explanation
		if e == nil || strings.Join(e.Features, " ") != "temp dest hour_at_hour" || e.Expected[0] != 3 {
			t.Fatalf("row %d: %+v", i, e)
		}
		sum := e.Expected[0]
		for j, c := range e.Contributions {
			if len(c) != 1 || math.Abs(c[0]-want[j]) > 1e-12 {
				t.Errorf("row %d: %s contributes %v, not %v", i, e.Features[j], c, want[j])
			}
			sum += c[0]
		}
		if p := 1 / (1 + math.Exp(-e.Margin[0])); math.Abs(sum-e.Margin[0]) > 1e-12 || math.Abs(p-got[i].Scores[0]) > 1e-12 {
			t.Errorf("row %d: margin %v, contributions add up to %v, score %v", i, e.Margin[0], sum, got[i].Scores[0])
		}
	}
	if got, err = b.Predict(t.Context(), "delays", 0, batch(full())); err != nil || got[0].Explanation != nil {
		t.Errorf("an explanation that nobody asked for: %+v, %v", got, err)
	}

	sig, rows, err := b.Explain(t.Context(), "delays", 6, []serve.Row{full(), with(full(), "dest", serve.Cell{})})
	must(t, err)
	for i, r := range rows {
		if len(r.Values) != 3 || r.Values[0].F != 2 || r.Values[2].F != 6 || r.Values[1].Null != (i == 1) || len(r.Margin) != 3 || len(r.Contributions) != 3 {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	// Class c adds -2 or 6 for each of its trees, 4 on average: two features are to the right.
	if c := rows[0].Contributions[0]; math.Abs(c[2]-2) > 1e-12 || rows[0].Expected[2] != 14 || rows[0].Label != "c" || len(sig.Margins()) != 3 {
		t.Errorf("%v, expected %v, %s", c, rows[0].Expected, rows[0].Label)
	}
}

func TestRefusesToExplain(t *testing.T) {
	b := newBench(t)
	b.shop.grow(t, 5, 1)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	ask := &serve.Batch{Rows: []serve.Row{full()}, Explain: true}
	if _, err := b.Predict(t.Context(), "delays", 0, ask); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("a model that cannot be explained: %v", err)
	}
	if _, _, err := b.Explain(t.Context(), "delays", 1, []serve.Row{full()}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a model that cannot be explained: %v", err)
	}
	// A canary that cannot explain refuses too: nothing is answered by half.
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 5, Canary: 1, CanaryShare: 1}))
	if _, err := b.Predict(t.Context(), "delays", 0, ask); !fault.Is(err, fault.Invalid) {
		t.Errorf("a canary that cannot be explained: %v", err)
	}
	if len(b.log.recs) > 0 {
		t.Error("a refused request was recorded")
	}
	if _, err := b.Predict(t.Context(), "delays", 5, &serve.Batch{Rows: make([]serve.Row, 1001), Explain: true}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too many rows: %v", err)
	}
	if _, _, err := b.Explain(t.Context(), "delays", 5, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("no rows: %v", err)
	}
	if _, _, err := b.Explain(t.Context(), "delays", 9, []serve.Row{full()}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a version that does not load: %v", err)
	}
}

// The explainer is made by the first request that asks, once for all, and its memory is counted from then on.
func TestExplainerIsMadeOnce(t *testing.T) {
	b := newBench(t)
	b.shop.grow(t, 5, 1)
	metrics := prometheus.NewRegistry()
	b.Service = serve.New(serve.Config{DB: b.db, Loader: b.shop, Recorder: b.log, Clock: func(string) clock.Clock { return clock.NewReplay(now) }, Metrics: metrics})
	must(t, b.Start(t.Context()))
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 5}))
	if n := gauge(t, metrics); n != 0 {
		t.Errorf("%v bytes are held before anybody asked", n)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := b.Predict(context.Background(), "delays", 0, &serve.Batch{Rows: []serve.Row{full()}, Explain: true}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := gauge(t, metrics); n < 100 {
		t.Errorf("%v bytes are held", n)
	}
}

func gauge(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	families, err := metrics.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "trimtab_explainer_bytes" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

func TestMarginsAreNamed(t *testing.T) {
	for _, c := range []struct {
		sig  registry.Signature
		want string
	}{
		{registry.Signature{Task: "binary", Label: "late", Positive: "yes"}, "yes"},
		{registry.Signature{Task: "binary", Label: "late"}, "late"},
		{registry.Signature{Task: "multiclass", Label: "species", Classes: []string{"a", "b"}}, "a b"},
		{registry.Signature{Task: "regression", Label: "delay"}, "delay"},
	} {
		if got := strings.Join(c.sig.Margins(), " "); got != c.want {
			t.Errorf("%s: %q, not %q", c.sig.Task, got, c.want)
		}
	}
}
