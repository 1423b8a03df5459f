package gbdt

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func TestExpNeg(t *testing.T) {
	for x := -40.0; x <= 40; x += 0.00137 {
		if got, want := expNeg(x), math.Exp(-x); math.Abs(got/want-1) > 1e-9 {
			t.Fatalf("e^-%v is %v, not %v", x, got, want)
		}
	}
	for x, want := range map[float64]float64{0: 1, math.Inf(1): math.Exp(-40), -1e300: math.Exp(40)} {
		if got := expNeg(clamp(x)); math.Abs(got/want-1) > 1e-9 {
			t.Errorf("e^-%v is %v, not %v", x, got, want)
		}
	}
}

func dense(rows, columns int) learner.Set {
	r := rand.New(rand.NewPCG(1, 1))
	x := table.NewMatrix(rows, make([]string, columns))
	y := make([]float64, rows)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	for i := range y {
		y[i] = float64(r.IntN(2))
	}
	return learner.Set{X: x, Y: y}
}

func BenchmarkGradients(b *testing.B) {
	set := dense(1<<17, 1)
	l, err := newLoss(logisticLoss{}, Rows{Y: set.Y, Outputs: 1}, 1)
	if err != nil {
		b.Fatal(err)
	}
	for i := range l.margins {
		l.margins[i] = float64(set.X.Data[i])
	}
	g := newGrower(Settings{}, &constraints{}, makeBins(set.X), 1)
	b.Run("binary", func(b *testing.B) {
		for b.Loop() {
			l.prepare()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(set.Y)), "ns/row")
	})
	b.Run("quantise", func(b *testing.B) {
		for b.Loop() {
			l.quantise(g, 1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(set.Y)), "ns/row")
	})
}

func BenchmarkHistogram(b *testing.B) {
	set := dense(1<<18, 28)
	d := makeBins(set.X)
	g := newGrower(Settings{}, &constraints{}, d, 1)
	a := newArena(d, 1)
	rows := make([]uint32, 0, d.Rows)
	for i := range d.Rows {
		g.set(i, int64(i%5000)-2500, int64(i%3000))
		if bins.Mix(1, uint64(i), 0)%8 == 0 {
			rows = append(rows, uint32(i))
		}
	}
	run := func(name string, rows []uint32, n int) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a.give(a.build(d, rows, n, 1))
			}
			b.ReportMetric(float64(n*28)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcells/s")
		})
	}
	run("all rows", nil, d.Rows)
	run("one row in eight", rows, len(rows))
}

func makeBins(x *table.Matrix) *bins.Set {
	return bins.Make(x, bins.Options{Bins: 255, Workers: 1, Bundle: true, Records: true, Room: gradientRoom})
}

// boosted trains on bins made with or without bundles, with leaves that may hold most histograms, 0 for the usual number.
func boosted(t testing.TB, set learner.Set, p learner.Params, bundle bool, most int) (model string, d *bins.Set) {
	t.Helper()
	l, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := l.plan(set, learner.Regression, 0, learner.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBooster(plan, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.data = bins.Make(set.X, bins.Options{Bins: 255, Workers: 1, Bundle: bundle, Records: true, Room: gradientRoom})
	b.grower = newGrower(b.Settings, &constraints{}, b.data, 1)
	if most > 0 {
		b.grower.arena.most = most
	}
	m, err := b.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes), b.data
}

// Bundling changes neither splits nor values: the model is the one that columns with slots of their own give. Nor does it
// matter how many leaves keep their histogram.
func TestBundlesLoseNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const families, levels = 6, 25
	x := table.NewMatrix(4000, make([]string, families*levels+2))
	y := make([]float64, x.Rows)
	for i := range y {
		row := x.Row(i)
		for f := range families {
			switch level := r.IntN(levels); {
			case f == 0: // sparse numbers of several values, and gaps
				row[level] = float32(1 + r.IntN(5))
				if r.IntN(20) == 0 {
					row[level] = float32(math.NaN())
				}
			default:
				row[f*levels+level] = 1
			}
			y[i] += float64(row[f*levels+3]) - 2*float64(row[f*levels+9])
		}
		row[families*levels] = float32(r.NormFloat64())
		row[families*levels+1] = float32(i % 3)
		y[i] += float64(row[families*levels])
		if y[i] != y[i] {
			y[i] = 4
		}
	}
	set, p := learner.Set{X: x, Y: y}, learner.Params{"rounds": 8, "leaves": 60, "min_leaf": 5}
	plain, alone := boosted(t, set, p, false, 0)
	bundled, shared := boosted(t, set, p, true, 0)
	if plain != bundled {
		t.Error("bundles give another model")
	}
	if len(shared.Slots)*10 > len(alone.Slots) {
		t.Errorf("%d slots become %d", len(alone.Slots), len(shared.Slots))
	}
	for _, most := range []int{1, 3, 7} {
		if few, _ := boosted(t, set, p, true, most); few != plain {
			t.Errorf("leaves with %d histograms give another model", most)
		}
	}
}

// BenchmarkWideSparse trains on 2,000 one-hot columns in bundles and without.
func BenchmarkWideSparse(b *testing.B) {
	r := rand.New(rand.NewPCG(12, 12))
	const families, levels = 20, 100
	x := table.NewMatrix(20_000, make([]string, families*levels))
	y := make([]float64, x.Rows)
	for i := range y {
		for f := range families {
			level := r.IntN(levels)
			x.Row(i)[f*levels+level] = 1
			y[i] += float64(level*f%7) / 3
		}
	}
	for _, bundle := range []bool{false, true} {
		b.Run(fmt.Sprint("bundles ", bundle), func(b *testing.B) {
			var d *bins.Set
			for b.Loop() {
				_, d = boosted(b, learner.Set{X: x, Y: y}, learner.Params{"rounds": 10}, bundle, 0)
			}
			b.ReportMetric(float64(len(d.Records)+len(d.Slots)*d.Rows)/1e6, "MB/codes")
		})
	}
}
