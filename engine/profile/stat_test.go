package profile

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

// The numbers are of scipy 1.10.1: chi2_contingency, spatial.distance.jensenshannon(base=2), and PSI by its definition in numpy.
func TestDistancesOfTwoRowsOfCounts(t *testing.T) {
	r, c := []float64{16, 18, 16, 14, 12, 12}, []float64{16, 16, 16, 16, 16, 8}
	near(t, "PSI", PSI(r, c, 0), 0.0372183816, 1e-10)
	near(t, "JS", JensenShannon(r, c), 0.0817342133, 1e-10)
	near(t, "KS", KolmogorovSmirnov(r, c), 0.0454545455, 1e-10)
	stat, df, p := ChiSquare(r, c)
	near(t, "chi2", stat, 1.6224089636, 1e-10)
	near(t, "p", p, 0.8985262394, 1e-10)
	if df != 5 {
		t.Errorf("df = %d, want 5", df)
	}
}

// numpy: p=[.5,.3,.2,0], q=[.4,.3,.2,.1] with half a row added at n=m=1000 is .5515.
func TestPSIOfAnEmptyCellIsFinite(t *testing.T) {
	near(t, "PSI", PSI([]float64{500, 300, 200, 0}, []float64{400, 300, 200, 100}, 0.5), 0.5515, 5e-5)
	if got := PSI([]float64{5, 0}, []float64{0, 0}, 0.5); got < 0 || math.IsNaN(got) {
		t.Errorf("PSI of an empty side = %v", got)
	}
}

// scipy chi2.ppf(.95, 9) = 16.918977604620448: with n=m=1000 the bar is .0338, with n=m=200 it is .169.
func TestNullBar(t *testing.T) {
	near(t, "bar at 1000", NullBar(0, 0.05, 1000, 1000, 10), 0.002*16.918977604620448, 1e-9)
	near(t, "bar at 1000 with the floor", NullBar(Floor, 0.05, 1000, 1000, 10), Floor, 0)
	near(t, "bar at 200", NullBar(Floor, 0.05, 200, 200, 10), 0.01*16.918977604620448, 1e-9)
}

// The 25 p-values are the worked example of McDonald, Handbook of Biological Statistics; scipy.stats.false_discovery_control rejects
// 1 at .05 and 6 at .25.
func TestBenjaminiHochberg(t *testing.T) {
	p := []float64{.001, .008, .039, .041, .042, .060, .074, .205, .212, .216, .222, .251, .269, .275, .34, .341, .384, .569, .594, .696, .762, .94, .942, .975, .986}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
	adjusted := BenjaminiHochberg(p)
	for _, want := range []struct {
		q float64
		n int
	}{{.05, 1}, {.25, 6}} {
		n := 0
		for _, a := range adjusted {
			if a <= want.q+1e-12 {
				n++
			}
		}
		if n != want.n {
			t.Errorf("%d rejections at %v, want %d", n, want.q, want.n)
		}
	}
}

// By the formula in Python: z = (b/m - a/n) / sqrt(r(1-r)(1/n+1/m)) = 1.7532171833, p = erfc(z/sqrt 2) = .0795647346.
func TestTwoProportion(t *testing.T) {
	z, p := TwoProportion(18, 1000, 30, 1000)
	near(t, "z", z, 1.75322, 5e-6)
	near(t, "p", p, 0.07957, 1e-5)
	if _, p := TwoProportion(0, 100, 0, 100); p != 1 {
		t.Errorf("p of two zero rates = %v, want 1", p)
	}
}

// PSI between samples of one distribution is (1/n+1/m) chi-square: at n=m=1000 and ten cells numpy gave a mean of .01789.
func TestPSIUnderNoShift(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	total, over := 0.0, 0
	const runs = 2000
	for range runs {
		a, b := make([]float64, 10), make([]float64, 10)
		for range 1000 {
			a[r.IntN(10)]++
			b[r.IntN(10)]++
		}
		psi := PSI(a, b, 0.5)
		total += psi
		if psi > NullBar(0, 0.05, 1000, 1000, 10) {
			over++
		}
	}
	near(t, "mean PSI", total/runs, 0.0180, 0.0006)
	if share := float64(over) / runs; share < 0.035 || share > 0.065 {
		t.Errorf("%.3f of windows without a shift pass the 5 %% bar", share)
	}
}

func TestChiSquarePoolsSmallCells(t *testing.T) {
	_, df, p := ChiSquare([]float64{1000, 1000, 1, 1, 1}, []float64{1000, 1000, 1, 0, 2})
	if df != 1 || p < 0.9 {
		t.Errorf("df %d, p %v: three stray rows are no news", df, p)
	}
	if _, df, p := ChiSquare([]float64{10, 0}, []float64{10, 0}); df != 0 || p != 1 {
		t.Errorf("one cell: df %d, p %v", df, p)
	}
}
