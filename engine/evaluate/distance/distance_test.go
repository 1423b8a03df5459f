package distance_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/distance"
)

// scipy 1.17.1, scipy.stats.kstwo.sf(d, n): every branch of the distribution on both sides of its limits.
func TestKolmogorovTail(t *testing.T) {
	for _, c := range []struct {
		n       int
		d, want float64
	}{
		{5, 0.3, 0.664}, {50, 0.1, 0.6623112704658186}, {50, 0.12, 0.4337679661310233}, {50, 0.25, 0.0030657620198693003},
		{140, 0.05, 0.8576480297656114}, {139, 0.09, 0.1978714785974135}, {140, 0.18, 0.0001932001834783552},
		{141, 0.05, 0.854845693009663}, {141, 0.2, 2.0276784223976912e-05}, {200, 0.09, 0.07358925139953587},
		{1000, 0.03, 0.3226902143914636}, {1000, 0.0375, 0.11708982571842952}, {1000, 0.05, 0.013012074781090332},
		{5000, 0.01, 0.6954557253913853}, {5000, 0.02, 0.03613941395325637}, {20000, 0.01, 0.03638603905248727},
		{100000, 0.0006, 0.9999999999999791}, {100000, 0.004, 0.08130148920222469}, {200000, 0.001, 0.9881500208855729},
		{200000, 0.002, 0.39995085369038097}, {1000000, 0.0012, 0.11215991901443556}, {1000000, 0.002, 0.0006700277103670718},
		{37, 0.6, 2.8774204355004707e-13}, {10, 0.95, 1.9531250000000172e-13}, {10, 0.06, 0.9999999999628411}, {300, 0.003, 1},
	} {
		if got := distance.KolmogorovTail(c.n, c.d); math.Abs(got-c.want) > 1e-8*c.want {
			t.Errorf("n %d, d %v: %v, not %v", c.n, c.d, got, c.want)
		}
	}
	if got := distance.KolmogorovTail(1000, 0.7); got > 1e-300 {
		t.Errorf("a far tail is %v", got)
	}
}

// The exact p-value of two samples is a count of lattice paths, here in whole numbers.
func TestExactPathsAreCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		n, m := 1+r.IntN(30), 1+r.IntN(30)
		x, y := make([]float64, n), make([]float64, m)
		for i := range x {
			x[i] = r.Float64()
		}
		for i := range y {
			y[i] = r.Float64() + r.Float64()/2
		}
		d, p := distance.KolmogorovSmirnov(x, y, distance.Exact)
		// Paths from (0, 0) to (n, m) that stay nearer than d everywhere.
		steps := int(math.Round(d * float64(n*m)))
		inside := make([]*big.Int, m+1)
		for i := range n + 1 {
			for j := range m + 1 {
				v := new(big.Int)
				if i == 0 && j == 0 {
					v.SetInt64(1)
				}
				if i > 0 {
					v.Add(v, inside[j])
				}
				if j > 0 {
					v.Add(v, inside[j-1])
				}
				if gap := i*m - j*n; max(gap, -gap) >= steps {
					v.SetInt64(0)
				}
				inside[j] = v
			}
		}
		all := new(big.Int).Binomial(int64(n+m), int64(n))
		want, _ := new(big.Rat).SetFrac(new(big.Int).Sub(all, inside[m]), all).Float64()
		if math.Abs(p-want) > 1e-12*want {
			t.Fatalf("%d and %d values, d %v: p %v, not %v", n, m, d, p, want)
		}
	}
}

func TestNothingToCompare(t *testing.T) {
	nan := math.NaN()
	if d, p := distance.KolmogorovSmirnov(nil, []float64{1}, distance.Auto); !math.IsNaN(d) || !math.IsNaN(p) {
		t.Errorf("KS of nothing: %v, %v", d, p)
	}
	for name, v := range map[string]float64{
		"PSI of no counts": distance.PSI([]float64{0}, []float64{1}), "of unequal ones": distance.PSI([]float64{1}, nil),
		"of a NaN": distance.PSIOf([]float64{1, nan}, []float64{1}, 10), "of no bins": distance.PSIOf([]float64{1}, []float64{1}, 0),
		"Wasserstein of nothing": distance.Wasserstein(nil, []float64{1}, nil, nil), "without weight": distance.Wasserstein([]float64{1}, []float64{1}, []float64{0}, nil),
	} {
		if !math.IsNaN(v) {
			t.Errorf("%s is %v", name, v)
		}
	}
	if d, v := distance.JensenShannon(nil, nil); !math.IsNaN(d) || !math.IsNaN(v) {
		t.Errorf("Jensen-Shannon of nothing: %v, %v", d, v)
	}
	if s, df, p := distance.Chi2Homogeneity([]float64{3, 0}, []float64{9, 0}); s != 0 || df != 0 || p != 1 {
		t.Errorf("one cell: %v, %v, %v", s, df, p)
	}
}
