package gbdt

import (
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
	l := newLoss(learner.Binary, 1, set.Y, nil, 1)
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
