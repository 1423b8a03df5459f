package gemm

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(r *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

// Every element is the sum of its terms in order, whatever the shapes, the layout and the workers.
func TestMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var m Multiplier
	for range 200 {
		rows, inner, columns := 1+r.IntN(70), 1+r.IntN(50), 1+r.IntN(70)
		switch r.IntN(20) {
		case 0:
			rows, inner, columns = 200+r.IntN(100), 100+r.IntN(50), 100+r.IntN(50)
		case 1: // more than one piece deep
			inner = 1 + r.IntN(3*depth)
		case 2:
			columns = 1
		}
		a, b := Dense(rows, inner, random(r, rows*inner)), Dense(inner, columns, random(r, inner*columns))
		if r.IntN(2) == 0 {
			a = Dense(inner, rows, a.Data).T()
		}
		if r.IntN(2) == 0 {
			b = Dense(columns, inner, b.Data).T()
		}
		got := random(r, rows*columns)
		m.Multiply(got, a, b, 1+r.IntN(3))
		for i := range rows {
			for j := range columns {
				var want float32
				for k := range inner {
					want = fused(a.Data[i*a.Row+k*a.Column], b.Data[k*b.Row+j*b.Column], want)
				}
				if v := got[i*columns+j]; math.Float32bits(v) != math.Float32bits(want) {
					t.Fatalf("%d x %d x %d: element %d, %d is %v, not %v", rows, inner, columns, i, j, v, want)
				}
			}
		}
	}
	zero := []float32{1, 2}
	m.Multiply(zero, Dense(1, 0, nil), Dense(0, 2, nil), 1)
	if zero[0] != 0 || zero[1] != 0 {
		t.Errorf("a product of nothing is %v", zero)
	}
}

// A sum of columns is a product with ones.
func TestOnes(t *testing.T) {
	x := random(rand.New(rand.NewPCG(1, 2)), 50*37)
	got := make([]float32, 37)
	new(Multiplier).Multiply(got, Ones(1, 50), Dense(50, 37, x), 1)
	for j, v := range got {
		var want float32
		for i := range 50 {
			want += x[i*37+j]
		}
		if v != want {
			t.Errorf("column %d sums to %v, not %v", j, v, want)
		}
	}
}

func BenchmarkMultiply(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 256
	x, y, z := random(r, n*n), random(r, n*n), make([]float32, n*n)
	var m Multiplier
	for _, c := range []struct {
		name string
		a, b Matrix
	}{
		{"plain", Dense(n, n, x), Dense(n, n, y)},
		{"left", Dense(n, n, x).T(), Dense(n, n, y)},
		{"right", Dense(n, n, x), Dense(n, n, y).T()},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				m.Multiply(z, c.a, c.b, 1)
			}
			b.ReportMetric(2*n*n*n*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
		})
	}
	b.Run("row", func(b *testing.B) {
		for b.Loop() {
			m.Multiply(z, Dense(1, n, x), Dense(n, n, y), 1)
		}
		b.ReportMetric(2*n*n*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF/s")
	})
}
