package metric_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// The definitions themselves are held to scikit-learn by the cases of package cases; here is what has no peer.

// sample is rows with ties, labels and weights that are small whole numbers.
func sample(r *rand.Rand, n int) (y, p, w []float64) {
	for range n {
		p = append(p, math.Round(r.Float64()*20)/20)
		y = append(y, float64(r.IntN(2)))
		w = append(w, float64(r.IntN(3)))
	}
	y[0], y[1], w[0], w[1] = 0, 1, 1, 1
	return y, p, w
}

func near(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-12*max(1, math.Abs(a)) }

// A row of weight 2 is two rows, and one of weight 0 is none.
func TestWeightsAreRepeatedRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		y, p, w := sample(r, 3+r.IntN(40))
		var yy, pp []float64
		class, often := make([]int, len(y)), []int{}
		decided, decidedOften := make([]int, len(y)), []int{}
		for i := range y {
			class[i], decided[i] = int(y[i]), int(math.Round(p[i]))
			for range int(w[i]) {
				yy, pp = append(yy, y[i]), append(pp, p[i])
				often, decidedOften = append(often, class[i]), append(decidedOften, decided[i])
			}
		}
		a, b := metric.NewSweep(y, p, w), metric.NewSweep(yy, pp, nil)
		c, d := metric.Count(class, decided, 2, w), metric.Count(often, decidedOften, 2, nil)
		macro := metric.Averaging{By: metric.Macro}
		values := func(s *metric.Sweep, y, p, w []float64, c *metric.Counts) map[string]float64 {
			rel, mass := metric.EqualWidth(y, p, w, 7), metric.EqualMass(y, p, w, 5)
			return map[string]float64{
				"auc": s.AUC().Value, "partial": s.PartialAUC(0.3).Value, "ap": s.AveragePrecision().Value, "ks": s.KolmogorovSmirnov().Value,
				"log loss": metric.BinaryLogLoss(y, p, w).Value, "brier": metric.BinaryBrier(y, p, w).Value,
				"f1": c.F(1, macro).Value, "mcc": c.Matthews().Value, "balanced": c.BalancedAccuracy(true).Value,
				"mae": metric.MAE(y, p, w).Value, "median": metric.MedianAE(y, p, w).Value, "r2": metric.R2(y, p, w).Value,
				"ece": rel.ECE, "mce": rel.MCE, "resolution": rel.Brier.Resolution, "mass": mass.ECE, "ace": mass.ACE,
				"youden": s.Maximise(func(o metric.Outcomes) float64 { return o.Measure("youden") }).Value,
				"cost":   s.Minimise(metric.Costs{FP: 1, FN: 3}).Threshold, "gain": s.Gains(4)[0].Gain,
			}
		}
		got, want := values(a, y, p, w, c), values(b, yy, pp, nil, d)
		for name := range want {
			if !near(got[name], want[name]) && !(math.IsNaN(got[name]) && math.IsNaN(want[name])) {
				t.Fatalf("%s is %v with weights, %v with repeated rows", name, got[name], want[name])
			}
		}
	}
}

// The order of the rows is no part of the data.
func TestOrderOfRowsDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 100 {
		y, p, _ := sample(r, 30)
		order := r.Perm(30)
		yy, pp := make([]float64, 30), make([]float64, 30)
		for i, j := range order {
			yy[i], pp[i] = y[j], p[j]
		}
		a, b := metric.EqualMass(y, p, nil, 6), metric.EqualMass(yy, pp, nil, 6)
		if !near(a.ECE, b.ECE) || !near(a.ACE, b.ACE) || len(a.Bins) != len(b.Bins) {
			t.Fatalf("%+v, then %+v", a, b)
		}
		if x, z := metric.NewSweep(y, p, nil), metric.NewSweep(yy, pp, nil); x.AUC() != z.AUC() || !slices.Equal(x.TP, z.TP) {
			t.Fatalf("%+v, then %+v", x, z)
		}
	}
}

func TestBrierIsTheSumOfItsParts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	y, p, w := sample(r, 200)
	for bins := range 20 {
		v := metric.EqualWidth(y, p, w, bins+1)
		b := v.Brier
		if !near(b.Score, metric.BinaryBrier(y, p, w).Value) || !near(b.Score, b.Reliability-b.Resolution+b.Uncertainty+b.Within) {
			t.Errorf("%d bins: %+v", bins+1, b)
		}
		for _, c := range v.Bins {
			if c.Observed < c.BandLo || c.Observed > c.BandHi || c.Lo > c.Mean || c.Hi < c.Mean {
				t.Errorf("%+v", c)
			}
		}
	}
	// Twenty-one values, each alone in its bin: nothing is hidden within.
	if v := metric.EqualMass(y, p, nil, 1<<20); math.Abs(v.Brier.Within) > 1e-15 {
		t.Errorf("%+v", v.Brier)
	}
}

func TestReliabilityOfNothing(t *testing.T) {
	for _, v := range []*metric.Reliability{metric.EqualWidth(nil, nil, nil, 5), metric.EqualMass([]float64{1}, []float64{math.NaN()}, nil, 5),
		metric.EqualWidth([]float64{1}, []float64{.5}, []float64{0}, 5)} {
		if !math.IsNaN(v.ECE) || v.Why == "" || v.Bins == nil {
			t.Errorf("%+v", v)
		}
	}
}

func TestThresholds(t *testing.T) {
	y, p := []float64{0, 0, 1, 1, 0, 1}, []float64{.1, .4, .35, .8, .4, .9}
	s := metric.NewSweep(y, p, nil)
	for _, name := range metric.Objectives {
		best := s.Maximise(func(o metric.Outcomes) float64 { return o.Measure(name) })
		for _, at := range append([]float64{math.Inf(1)}, p...) {
			if o := metric.Decide(y, p, nil, at); o.Measure(name) > best.Value || at == best.Threshold && o != best.Outcomes {
				t.Errorf("%s: %v at %v, but %v at %v", name, best.Value, best.Threshold, o.Measure(name), at)
			}
		}
	}
	if best := s.Minimise(metric.Costs{FP: 1000, FN: 1}); best.Threshold != .8 || best.Value != 1 {
		t.Errorf("%+v", best) // one positive is missed
	}
	if best := s.Minimise(metric.Costs{FP: 1, FN: 1, TP: 5}); !math.IsInf(best.Threshold, 1) || best.Value != 3 {
		t.Errorf("%+v", best) // positive decisions cost more than they are worth
	}
	if best := metric.NewSweep([]float64{1}, []float64{math.NaN()}, nil).Maximise(nil); !math.IsNaN(best.Threshold) || best.Why == "" {
		t.Errorf("%+v", best)
	}
	if !math.IsNaN((metric.Outcomes{}).Measure("f3")) {
		t.Error("an unknown objective has a value")
	}
	// Wrong about the dear class costs ten: one in four is enough to decide for it.
	costs := [][]float64{{0, 1, 1}, {1, 0, 1}, {10, 10, 0}}
	if got := metric.Cheapest([]float64{.7, .05, .25, .9, .05, .05}, 3, costs); !slices.Equal(got, []int{2, 0}) {
		t.Errorf("%v", got)
	}
}

func TestGains(t *testing.T) {
	// Ten rows, four positive, all of them among the first five.
	y := []float64{1, 1, 0, 1, 1, 0, 0, 0, 0, 0}
	p := []float64{.9, .8, .7, .6, .5, .4, .3, .2, .1, .05}
	s := metric.NewSweep(y, p, nil)
	g := s.Gains(5)
	if len(g) != 5 || g[0].Lift != 2.5 || g[0].Gain != .5 || g[1].CumulativeLift != 0.75/0.4 || g[2].Gain != 1 || g[4].Share != 1 || g[4].CumulativeLift != 1 || g[0].Hi != .9 || g[0].Lo != .8 {
		t.Errorf("%+v", g)
	}
	share, gain, lift := s.GainCurve()
	if share[0] != 0 || gain[0] != 0 || lift[0] != 2.5 || share[10] != 1 || gain[10] != 1 || lift[10] != 1 {
		t.Errorf("%v %v %v", share, gain, lift)
	}
	// Equal scores stay together: one bin.
	if g := metric.NewSweep(y, make([]float64, 10), nil).Gains(5); len(g) != 1 || g[0].Weight != 10 || g[0].Lift != 1 {
		t.Errorf("%+v", g)
	}
	if metric.NewSweep([]float64{0}, []float64{1}, nil).Gains(5) != nil {
		t.Error("gains without a positive row")
	}
}

// Measures of tied documents are means over the orders they could have.
func TestTiedDocuments(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		n := 2 + r.IntN(5)
		q := metric.Ranked{Grade: make([]float64, n), Score: make([]float64, n)}
		for i := range n {
			q.Grade[i], q.Score[i] = float64(r.IntN(3)), float64(r.IntN(3))
		}
		k := 1 + r.IntN(n)
		var sums [5]float64
		orders := 0.0
		permute(n, func(order []int) {
			// Scores that break ties by the place in this order.
			one := metric.Ranked{Grade: q.Grade, Score: make([]float64, n)}
			for i := range n {
				one.Score[i] = q.Score[i] + float64(order[i])/100
			}
			orders++
			for at, v := range []float64{one.DCG(k, 2, metric.ExponentialGain), one.NDCG(k, metric.LinearGain), one.ReciprocalRank(k), one.Precision(k), one.Recall(k)} {
				sums[at] += v
			}
		})
		for at, v := range []float64{q.DCG(k, 2, metric.ExponentialGain), q.NDCG(k, metric.LinearGain), q.ReciprocalRank(k), q.Precision(k), q.Recall(k)} {
			if math.Abs(v-sums[at]/orders) > 1e-12 {
				t.Fatalf("measure %d of %+v at %d is %v, its mean over orders %v", at, q, k, v, sums[at]/orders)
			}
		}
	}
	if q := metric.Queries([]int32{7, 7, 3, 7}, []float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}); len(q) != 2 || !slices.Equal(q[0].Grade, []float64{1, 2, 4}) || !slices.Equal(q[1].Score, []float64{7}) {
		t.Errorf("%+v", q)
	}
}

func permute(n int, do func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var rec func(k int)
	rec = func(k int) {
		if k == n {
			do(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}

func TestUndefinedSaysWhy(t *testing.T) {
	nan := math.NaN()
	one := []float64{1}
	sweep := metric.NewSweep(one, one, nil)
	counts := metric.Count([]int{0}, []int{0}, 2, nil)
	class1 := metric.Averaging{By: metric.Micro, Classes: []int{1}, Zero: nan}
	for name, s := range map[string]metric.Score{
		"auc of one class": sweep.AUC(), "partial": sweep.PartialAUC(.5), "ks": sweep.KolmogorovSmirnov(), "fpr": sweep.PartialAUC(2),
		"precision": counts.Precision(class1), "recall": counts.Recall(class1), "f": counts.F(1, class1), "jaccard": counts.Jaccard(class1),
		"macro":     counts.F(1, metric.Averaging{By: metric.Macro, Classes: []int{1}, Zero: nan}),
		"adjusted":  counts.BalancedAccuracy(true),
		"kappa":     metric.Kappa(metric.Table([]int{0}, []int{0}, 2, nil), metric.AllAlike),
		"r2":        metric.R2(one, one, nil),
		"no rows":   metric.MAE(nil, nil, nil),
		"no weight": metric.MAE(one, one, []float64{0}),
		"NaN":       metric.MSE(one, []float64{nan}, nil),
		"msle":      metric.MSLE([]float64{-1}, one, nil),
		"tweedie":   metric.Tweedie(one, []float64{0}, nil, 1.5),
		"power":     metric.Tweedie(one, one, nil, .5),
		"multi":     metric.AUCMulti([]int{0, 0}, []float64{.5, .5, .1, .9}, 2, nil, metric.OneVsRest, metric.Macro),
		"pairs":     metric.AUCMulti([]int{0, 0}, []float64{.5, .5, .1, .9}, 2, nil, metric.OneVsOne, metric.Macro),
		"top":       metric.TopK([]int{0}, []float64{nan, 1}, 2, 1, nil),
		"d2":        metric.D2LogLoss([]int{0}, []float64{.5, .5}, 2, nil),
		"hinge":     metric.Hinge([]int{0}, one, 1, nil),
		"quantile":  metric.Percentile(nil, nil, 50),
	} {
		if s.Defined() || s.Why == "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestSum(t *testing.T) {
	var s metric.Sum
	for _, v := range []float64{1, 1e100, 1, -1e100} { // Neumaier's own example
		s.Add(v)
	}
	if s.Value() != 2 {
		t.Errorf("%v", s.Value())
	}
	var up metric.Sum
	for range 3 {
		up.Add(math.MaxFloat64)
	}
	if !math.IsInf(up.Value(), 1) {
		t.Errorf("overflow gives %v", up.Value())
	}
	up.Add(math.Inf(-1))
	if !math.IsNaN(up.Value()) {
		t.Errorf("opposite infinities give %v", up.Value())
	}
}

func TestLabels(t *testing.T) {
	mixed := []metric.Label{metric.Text("b"), metric.Number(10), metric.Number(-2), metric.Text("a"), metric.Number(math.Copysign(0, -1)), metric.Number(0)}
	classes := metric.Classes(mixed)
	var names []string
	for _, c := range classes {
		names = append(names, c.String())
	}
	if !slices.Equal(names, []string{"-2", "0", "10", "a", "b"}) {
		t.Errorf("%v", names)
	}
	if got := metric.Codes(classes, append(mixed, metric.Text("10"))); !slices.Equal(got, []int{4, 2, 0, 3, 1, 1, -1}) {
		t.Errorf("%v", got)
	}
}
