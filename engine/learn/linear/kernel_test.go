package linear

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The vector kernels add in the order of the scalar ones: every bit is equal, for any number of rows and columns.
func TestVectorKernelsEqualScalar(t *testing.T) {
	if !vector {
		t.Skip("there are no vector kernels here")
	}
	defer func() { vector = true }()
	r := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= 67; n++ {
		for _, rows := range []int{1, 3, 4, 5, 8, 11} {
			x := make([]float32, rows*n)
			for i := range x {
				x[i] = float32(r.NormFloat64() * math.Exp(3*r.NormFloat64()))
			}
			w, res := make([]float64, padded(n)), make([]float64, rows)
			for j := range n {
				w[j] = r.NormFloat64()
			}
			for i := range res {
				res[i] = r.NormFloat64()
			}
			stride := padded(n)
			z := make([]float64, 4*stride)
			for j := range z {
				z[j] = r.NormFloat64()
			}
			var got [2][3][]float64
			for k, v := range []bool{true, false} {
				vector = v
				d, g, o := make([]float64, rows), make([]float64, padded(n)), make([]float64, stride)
				dots(d, w, x, n)
				axpys(g, res, x, n)
				outer(o, (*[4]float64)(w[:4:len(w)]), z, stride)
				got[k] = [3][]float64{d, g, o}
			}
			for what := range got[0] {
				for i, v := range got[0][what] {
					if math.Float64bits(v) != math.Float64bits(got[1][what][i]) {
						t.Fatalf("%d columns, %d rows: kernel %d gives %v at %d, the scalar one %v", n, rows, what, v, i, got[1][what][i])
					}
				}
			}
		}
	}
}

func BenchmarkDotsAndAxpys(b *testing.B) {
	const n, rows = 100, 64
	x, w, d := make([]float32, rows*n), make([]float64, padded(n)), make([]float64, rows)
	for i := range x {
		x[i] = float32(i%17) - 8
	}
	for _, v := range []bool{true, false} {
		b.Run(map[bool]string{true: "vector", false: "scalar"}[v], func(b *testing.B) {
			defer func(was bool) { vector = was }(vector)
			vector = v && vector
			b.SetBytes(4 * rows * n)
			for b.Loop() {
				dots(d, w, x, n)
				axpys(w, d, x, n)
			}
		})
	}
}
