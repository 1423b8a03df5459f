package evaluate_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// golden is testdata/golden.json, written by testdata/golden.py with scikit-learn 1.9.1 and scipy 1.17.1.
type golden struct {
	Binary []struct {
		Y, P      []float64
		Threshold float64
		Want      map[string]float64
	}
	Multiclass []struct {
		Y, P []float64
		K    int
		Want map[string]float64
	}
	Regression []struct {
		Y, P []float64
		Want map[string]float64
	}
	Delong []struct {
		Y, A, B []float64
		Want    map[string]float64
	}
	Spearman []struct {
		A, B []float64
		Want float64
	}
	Wilson []struct{ K, N, Lo, Hi float64 }
}

func load(t *testing.T) (g golden) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func near(a, b, tolerance float64) bool {
	return math.Abs(a-b) <= tolerance*max(1, math.Abs(a), math.Abs(b))
}

// compare wants every metric of want in got, to 1e-12, and nothing that want leaves undefined.
func compare(t *testing.T, at int, got, want map[string]float64, defined ...string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok || !near(g, w, 1e-12) {
			t.Errorf("case %d: %s is %v, the reference says %v", at, name, g, w)
		}
	}
	for _, name := range defined {
		if _, ok := want[name]; !ok {
			if v, made := got[name]; made {
				t.Errorf("case %d: %s is %v, and is not defined", at, name, v)
			}
		}
	}
}

func TestMetricsAgainstScikitLearn(t *testing.T) {
	g := load(t)
	for i, c := range g.Binary {
		got := evaluate.Binary(c.Y, c.P, c.Threshold)
		compare(t, i, got, c.Want, "auc", "average_precision")
		if gap := c.Want["mean_prediction"] - c.Want["prevalence"]; !near(got["calibration_gap"], gap, 1e-12) {
			t.Errorf("case %d: calibration_gap is %v, not %v", i, got["calibration_gap"], gap)
		}
	}
	for i, c := range g.Multiclass {
		compare(t, i, evaluate.Multiclass(c.Y, c.P, c.K), c.Want, "auc")
	}
	for i, c := range g.Regression {
		compare(t, i, evaluate.Regression(c.Y, c.P), c.Want)
	}
	for i, c := range g.Spearman {
		rho, lo, hi := evaluate.Spearman(c.A, c.B)
		if !near(rho, c.Want, 1e-12) || !(lo <= rho && rho <= hi) {
			t.Errorf("spearman %d: %v in [%v, %v], scipy says %v", i, rho, lo, hi, c.Want)
		}
	}
	for _, c := range g.Wilson {
		if w := evaluate.Wilson(c.K, c.N, 0.95); !near(w.Lo, c.Lo, 1e-12) || !near(w.Hi, c.Hi, 1e-12) {
			t.Errorf("Wilson %v of %v: %v, scipy says [%v, %v]", c.K, c.N, w, c.Lo, c.Hi)
		}
	}
}

func TestDeLongAgainstItsDefinition(t *testing.T) {
	for i, c := range load(t).Delong {
		r := evaluate.DeLong(c.Y, c.A, c.B)
		compare(t, i, map[string]float64{"auc1": r.AUC1, "auc2": r.AUC2, "var1": r.Var1, "var2": r.Var2,
			"covariance": r.Covariance, "z": r.Z, "p": r.P}, c.Want)
		auc, lo, hi := evaluate.AUCInterval(c.Y, c.A, 0.95)
		half := 1.959963984540054 * math.Sqrt(c.Want["var1"]) // scipy.stats.norm.ppf(.975)
		if !near(auc, c.Want["auc1"], 1e-12) || !near(lo, max(auc-half, 0), 1e-9) || !near(hi, min(auc+half, 1), 1e-9) {
			t.Errorf("case %d: interval %v [%v, %v]", i, auc, lo, hi)
		}
	}
}

func TestDeLongWithoutVariance(t *testing.T) {
	y := []float64{0, 0, 1, 1}
	up, down := []float64{.1, .2, .8, .9}, []float64{.9, .8, .2, .1}
	if r := evaluate.DeLong(y, up, up); r.Z != 0 || r.P != 1 || !r.Defined {
		t.Errorf("a model against itself: %+v", r)
	}
	if r := evaluate.DeLong(y, up, down); r.Diff != 1 || r.P != 0 || math.IsInf(r.Z, 0) {
		t.Errorf("perfect against reversed: %+v", r)
	}
	if r := evaluate.DeLong([]float64{1, 0, 0}, []float64{1, 2, 3}, []float64{3, 2, 1}); r.Defined || r.P != 1 {
		t.Errorf("one positive: %+v", r)
	}
}

// Under the null the p-value is uniform: about 5 % of tests of equally good scores reject at .05.
func TestDeLongKeepsItsLevel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rejected, covered, tests := 0, 0, 1000
	for range tests {
		y, a, b := make([]float64, 150), make([]float64, 150), make([]float64, 150)
		for i := range y {
			y[i] = float64(r.IntN(2))
			shared := y[i] + r.NormFloat64()
			a[i], b[i] = shared+r.NormFloat64(), shared+r.NormFloat64()
		}
		res := evaluate.DeLong(y, a, b)
		if res.P < 0.05 {
			rejected++
		}
		if res.Lo <= 0 && 0 <= res.Hi {
			covered++
		}
	}
	// Binomial(1000, .05) lies in [27, 77] with probability .9998.
	if rejected < 27 || rejected > 77 || covered != tests-rejected {
		t.Errorf("%d of %d rejected, %d intervals hold 0", rejected, tests, covered)
	}
}

func TestPairedBootstrap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	y, a, b := make([]float64, 400), make([]float64, 400), make([]float64, 400)
	for i := range y {
		y[i] = float64(r.IntN(2))
		z := 2*y[i] - 1 + r.NormFloat64()
		a[i], b[i] = 1/(1+math.Exp(-z)), 1/(1+math.Exp(-z-r.NormFloat64()))
	}
	diff, lo, hi := evaluate.PairedBootstrap(y, a, b, evaluate.AUC, 1000, 9)
	d := evaluate.DeLong(y, a, b)
	if diff != d.Diff {
		t.Errorf("difference %v, not %v", diff, d.Diff)
	}
	// Two methods for one interval: on 400 rows they agree to a few thousandths.
	if math.Abs(lo-d.Lo) > 0.008 || math.Abs(hi-d.Hi) > 0.008 {
		t.Errorf("bootstrap [%v, %v], DeLong [%v, %v]", lo, hi, d.Lo, d.Hi)
	}
	if _, lo2, hi2 := evaluate.PairedBootstrap(y, a, b, evaluate.AUC, 1000, 9); lo2 != lo || hi2 != hi {
		t.Error("the same seed gave another interval")
	}
	if _, lo2, _ := evaluate.PairedBootstrap(y, a, b, evaluate.AUC, 1000, 10); lo2 == lo {
		t.Error("another seed gave the same interval")
	}
}

func TestCurves(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	y, p := make([]float64, 5000), make([]float64, 5000)
	for i := range y {
		p[i] = r.Float64()
		if r.Float64() < p[i] {
			y[i] = 1
		}
	}
	roc := evaluate.ROC(y, p)
	if len(roc.Points) > 200 || roc.Of != 5001 || roc.N != 5000 {
		t.Errorf("%d of %d points", len(roc.Points), roc.Of)
	}
	first, last := roc.Points[0], roc.Points[len(roc.Points)-1]
	if first.TruePositiveRate != 0 || first.FalsePositiveRate != 0 || last.TruePositiveRate != 1 || last.FalsePositiveRate != 1 {
		t.Errorf("from %+v to %+v", first, last)
	}
	var area float64
	for i, q := range roc.Points[1:] {
		area += (q.FalsePositiveRate - roc.Points[i].FalsePositiveRate) * (q.TruePositiveRate + roc.Points[i].TruePositiveRate) / 2
		c := evaluate.Confusion(y, p, q.Threshold)
		if c.Recall() != q.TruePositiveRate {
			t.Fatalf("at %v recall is %v, the curve says %v", q.Threshold, c.Recall(), q.TruePositiveRate)
		}
	}
	if math.Abs(area-*roc.AUC) > 1e-3 {
		t.Errorf("the thinned curve has area %v, the whole one %v", area, *roc.AUC)
	}
	pr := evaluate.PR(y, p)
	if len(pr.Points) > 200 || pr.Points[len(pr.Points)-1].Recall != 1 || *pr.AveragePrecision != evaluate.Binary(y, p, .5)["average_precision"] {
		t.Errorf("%d of %d points", len(pr.Points), pr.Of)
	}
	cal := evaluate.Calibration(y, p, 10)
	rows := 0
	for _, b := range cal.Bins {
		rows += b.N
		if b.MeanPrediction < b.Lo || b.MeanPrediction > b.Hi || b.Observed < b.Interval.Lo || b.Observed > b.Interval.Hi {
			t.Errorf("bin %+v", b)
		}
	}
	if rows != 5000 || len(cal.Bins) != 10 || cal.Error > 0.03 {
		t.Errorf("%d rows in %d bins, error %v", rows, len(cal.Bins), cal.Error)
	}
	for name, v := range map[string]any{"roc": evaluate.ROC(nil, nil), "pr": evaluate.PR([]float64{0}, []float64{.5}), "calibration": evaluate.Calibration(nil, nil, 10)} {
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
}

func TestUndefinedIsLeftOut(t *testing.T) {
	for name, m := range map[string]map[string]float64{
		"no rows":    evaluate.Binary(nil, nil, .5),
		"NaN":        evaluate.Binary([]float64{0, 1}, []float64{math.NaN(), .5}, .5),
		"one class":  evaluate.Multiclass([]float64{0, 0}, []float64{.5, .5, .7, .3}, 2),
		"one number": evaluate.Regression([]float64{1}, []float64{2}),
	} {
		if _, err := json.Marshal(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, undefined := range []string{"auc", "r2"} {
			if v, ok := m[undefined]; ok {
				t.Errorf("%s: %s is %v", name, undefined, v)
			}
		}
	}
	if rho, lo, hi := evaluate.Spearman([]float64{1, 1, 1, 1}, []float64{1, 2, 3, 4}); rho != 0 || lo != -1 || hi != 1 {
		t.Errorf("Spearman of a constant: %v [%v, %v]", rho, lo, hi)
	}
}

func TestEveryMetricIsListed(t *testing.T) {
	y, p := []float64{0, 1, 1, 0}, []float64{.2, .7, .4, .6}
	for task, m := range map[learner.Task]map[string]float64{
		learner.Binary:     evaluate.Evaluate(learner.Binary, y, p, .5),
		learner.Multiclass: evaluate.Evaluate(learner.Multiclass, []float64{0, 1}, []float64{.2, .8, .3, .7}, 0),
		learner.Regression: evaluate.Evaluate(learner.Regression, []float64{1, 2, 3, 4}, p, 0),
	} {
		listed := evaluate.MetricNames(task)
		for name := range m {
			if !slices.Contains(listed, name) {
				t.Errorf("%s: %s is not listed", task, name)
			}
		}
		if len(m) != len(listed) {
			t.Errorf("%s: %d metrics, %d listed", task, len(m), len(listed))
		}
	}
	if !evaluate.HigherIsBetter("auc") || evaluate.HigherIsBetter("log_loss") {
		t.Error("auc is better when higher, log loss when lower")
	}
}

// The error in per cent says nothing about values around 0: it is then left out.
func TestPercentErrorOfZero(t *testing.T) {
	if v, ok := evaluate.Regression([]float64{0, 1}, []float64{1, 1})["mape"]; ok {
		t.Errorf("mape is %v", v)
	}
	if v := evaluate.Regression([]float64{2, 4}, []float64{1, 5})["mape"]; v != 0.375 {
		t.Errorf("mape is %v, not the mean of 1/2 and 1/4", v)
	}
}

func TestSlices(t *testing.T) {
	n := 1000
	y, p, amount := make([]float64, n), make([]float64, n), make([]float64, n)
	city, gone := make([]string, n), make([]bool, n)
	for i := range y {
		y[i], p[i], amount[i] = float64(i%2), 0.25+0.5*float64(i%2), float64(i)
		city[i] = []string{"EWR", "JFK", "EWR", "LGA", "EWR"}[i%5]
		gone[i] = i%10 == 9
	}
	text := &table.Column{Name: "city", Kind: table.String, Strings: city, Nulls: gone}
	got := evaluate.Slices(text, learner.Binary, y, p, .5, 0)
	var values []string
	for _, s := range got {
		values = append(values, s.Value)
	}
	if want := []string{"EWR", "JFK", "LGA", "(missing)"}; !slices.Equal(values, want) {
		t.Fatalf("slices %v, not %v", values, want)
	}
	if s := got[0]; s.N != 500 || s.Column != "city" || s.Metrics["accuracy"] != 1 || s.Intervals["accuracy"].Lo > .995 || s.Intervals["accuracy"].Hi != 1 {
		t.Errorf("%+v", s)
	}
	got = evaluate.Slices(text, learner.Binary, y, p, .5, 2)
	if len(got) != 2 || got[1].Value != "(other)" || got[0].N+got[1].N != n {
		t.Errorf("two slices: %+v", got)
	}
	got = evaluate.Slices(&table.Column{Name: "amount", Kind: table.Double, Floats: amount}, learner.Binary, y, p, .5, 0)
	if len(got) != 4 || got[0].N != 250 || got[3].N != 250 {
		t.Errorf("quarters: %+v", got)
	}
	for _, s := range got {
		if s.Value == "> 749.25" && s.N == 250 {
			return
		}
	}
	t.Errorf("no slice above the upper quartile: %+v", got)
}
