package gbdt

import (
	"math"
	"math/rand/v2"
	"testing"

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
	packed := make([]int64, len(set.Y))
	b.Run("binary", func(b *testing.B) {
		for b.Loop() {
			l.prepare()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(set.Y)), "ns/row")
	})
	b.Run("quantise", func(b *testing.B) {
		for b.Loop() {
			l.quantise(packed, 0, 1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(set.Y)), "ns/row")
	})
}

func BenchmarkHistogram(b *testing.B) {
	set := dense(1<<18, 28)
	d := bin(set.X, 255, 1)
	a := newArena(d, 1)
	q := make([]int64, d.rows)
	rows := make([]uint32, 0, d.rows)
	for i := range q {
		q[i] = pack(int64(i%5000)-2500, int64(i%3000))
		if mix(1, uint64(i), 0)%8 == 0 {
			rows = append(rows, uint32(i))
		}
	}
	run := func(name string, rows []uint32, q []int64) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a.give(a.build(d, rows, q, 1))
			}
			b.ReportMetric(float64(len(q)*28)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcells/s")
		})
	}
	run("all rows", nil, q)
	run("one row in eight", rows, q[:len(rows)])
}

// Keys sort as numbers do, and thresholds part every two neighbours of a column's distinct values.
func TestThresholdsPartNeighbours(t *testing.T) {
	inf := float32(math.Inf(1))
	up := func(v float32) float32 { return math.Nextafter32(v, inf) }
	values := []float32{-inf, -math.MaxFloat32, -1, up(-1), 0, math.SmallestNonzeroFloat32, 1, up(1), up(up(1)), 3, math.MaxFloat32, inf}
	var keys []uint32
	for i := range values {
		keys = append(keys, ordered(values[(i*5)%len(values)]))
	}
	keys = append(keys, ordered(float32(math.Copysign(0, -1))))
	keys = sortKeys(keys)
	distinct, counts := runs(keys)
	if len(distinct) != len(values) || counts[4] != 2 {
		t.Fatalf("%v occur %v times", distinct, counts)
	}
	cuts := thresholds(keys, 255)
	for i, v := range values {
		if distinct[i] != v {
			t.Errorf("number %d is %v, not %v", i, distinct[i], v)
		}
		if i > 0 && !(values[i-1] <= cuts[i-1] && cuts[i-1] < v) {
			t.Errorf("%v does not part %v from %v", cuts[i-1], values[i-1], v)
		}
	}
}

// A value's code says exactly on which side of each threshold it is, in float32; NaN has code 0. Bins are never more
// than asked for, and a value that fills half the column keeps a bin of its own.
func TestCodesAgreeWithThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, bins := range []int{2, 3, 7, 16, 255} {
		x := table.NewMatrix(3000, []string{"smooth", "half zero", "few", "constant", "all missing", "missing or one"})
		for i := range x.Rows {
			row := x.Row(i)
			nan := float32(math.NaN())
			row[0], row[1], row[2], row[3], row[4], row[5] = float32(r.NormFloat64()), 0, float32(r.IntN(5)), 7, nan, 1
			if i%2 == 0 {
				row[1], row[5] = float32(r.ExpFloat64()), nan
			}
			if i%11 == 0 {
				row[0] = nan
			}
		}
		d := bin(x, bins, 2)
		if len(d.columns) != 4 {
			t.Errorf("%d columns are kept; a constant and an empty one cannot be split", len(d.columns))
		}
		for c, col := range d.columns {
			if len(col.thresholds) > bins-1 {
				t.Errorf("%d bins: %d thresholds in column %d", bins, len(col.thresholds), col.source)
			}
			for i := range x.Rows {
				v, code := x.Row(i)[col.source], d.byCol[c][i]
				if d.byRow[i*d.stride+c] != code {
					t.Fatalf("row %d column %d: code %d by row, %d by column", i, c, d.byRow[i*d.stride+c], code)
				}
				if (v != v) != (code == 0) {
					t.Fatalf("value %v has code %d", v, code)
				}
				for k, cut := range col.thresholds {
					if v == v && (v <= cut) != (int(code) <= k+1) {
						t.Fatalf("value %v has code %d, threshold %d is %v", v, code, k, cut)
					}
				}
			}
			if col.source == 1 && bins > 2 {
				if first := col.thresholds[0]; first <= 0 || d.byCol[c][1] != 1 {
					t.Errorf("%d bins: zeros share their bin up to %v", bins, first)
				}
			}
		}
	}
}
