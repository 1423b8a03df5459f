package compare

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden pictures anew")

func mean(rows []int32, v []float64) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += v[r]
	}
	return sum / float64(len(rows))
}

// Intervals of the mean of 30 skewed values hold the true mean about as often as they say. 400 repetitions have a
// standard error of 1.1 points at 95 %, and BCa is known to cover somewhat less with so few values.
func TestIntervalsCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const repetitions = 400
	held := 0
	for i := range repetitions {
		v := make([]float64, 30)
		for j := range v {
			v[j] = r.ExpFloat64()
		}
		e, err := Bootstrap(len(v), func(rows []int32) float64 { return mean(rows, v) }, Plan{Reps: 500, Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		if e.Lo <= 1 && 1 <= e.Hi {
			held++
		}
	}
	if share := float64(held) / repetitions; share < 0.89 || share > 0.98 {
		t.Errorf("95 %% intervals hold the mean in %v of the cases", share)
	}
}

func TestResamplesKeepStrataAndBlocks(t *testing.T) {
	const n = 103
	strata := make([]int32, n)
	for i := range strata {
		strata[i] = int32(i % 3)
	}
	check := func(rows []int32) float64 {
		counts := [3]int{}
		for _, r := range rows {
			counts[strata[r]]++
		}
		if len(rows) == n && counts != [3]int{35, 34, 34} {
			t.Errorf("a resample has %v rows of the strata", counts)
		}
		return float64(rows[0])
	}
	if _, err := Bootstrap(n, check, Plan{Reps: 50, Strata: strata}); err != nil {
		t.Fatal(err)
	}
	if _, err := Bootstrap(n, func(rows []int32) float64 {
		breaks := 0
		for i, r := range rows[1:] {
			if r != (rows[i]+1)%n {
				breaks++
			}
		}
		if breaks > n/10+1 { // the jackknife leaves one block out
			t.Errorf("a resample of blocks of ten is broken %d times", breaks)
		}
		return float64(rows[0])
	}, Plan{Reps: 50, Block: 10}); err != nil {
		t.Fatal(err)
	}
}

// Series need blocks: neighbours that are alike make the interval of single rows too narrow.
func TestBlocksWidenIntervalsOfSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	v := make([]float64, 600)
	for i := 1; i < len(v); i++ {
		v[i] = 0.9*v[i-1] + r.NormFloat64()
	}
	statistic := func(rows []int32) float64 { return mean(rows, v) }
	single, err := Bootstrap(len(v), statistic, Plan{Reps: 400})
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := Bootstrap(len(v), statistic, Plan{Reps: 400, Block: 40})
	if err != nil {
		t.Fatal(err)
	}
	// The long-run standard error is (1+.9)/(1-.9) to the half, 4.4, times that of independent values.
	if blocks.Error < 2.5*single.Error {
		t.Errorf("standard error %v by blocks, %v by rows", blocks.Error, single.Error)
	}
}

func TestResultsDoNotDependOnProcessors(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	y, a, b := make([]float64, 300), make([]float64, 300), make([]float64, 300)
	for i := range y {
		y[i], a[i], b[i] = float64(r.IntN(2)), r.Float64(), r.Float64()
	}
	brier := func(y, p []float64) float64 {
		sum := 0.0
		for i, v := range y {
			sum += (p[i] - v) * (p[i] - v)
		}
		return sum / float64(len(y))
	}
	run := func() []any {
		e, err1 := BootstrapDifference(y, a, b, brier, Plan{Reps: 200, Strata: ByClass(y), Seed: 3})
		p, err2 := Permutation(y, a, b, brier, 333, 5)
		s, err3 := SignFlipSampled(a, 777, 8)
		one, err4 := BootstrapMetric(y, a, brier, Plan{Reps: 100})
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		if e.Lo > e.Value || e.Hi < e.Value || math.Abs(e.Value-(brier(y, a)-brier(y, b))) > 1e-15 || one.Value != brier(y, a) {
			t.Errorf("%+v", e)
		}
		return []any{e, p, s, one}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := run()
	for _, n := range []int{2, 3, 8} {
		runtime.GOMAXPROCS(n)
		if got := run(); !reflect.DeepEqual(got, want) {
			t.Errorf("%d processors: %v, not %v", n, got, want)
		}
	}
}

func TestUndefinedResamplesAreCounted(t *testing.T) {
	e, err := Bootstrap(2, func(rows []int32) float64 {
		if len(rows) == 2 && rows[0] == rows[1] {
			return math.NaN()
		}
		return 3
	}, Plan{Reps: 100})
	if err != nil || e.Undefined == 0 || e.Undefined+e.Reps != 100 || e.Lo != 3 || e.Hi != 3 || e.Acceleration != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	e, err = Bootstrap(2, func([]int32) float64 { return math.NaN() }, Plan{Reps: 10})
	if err != nil || e.Reps != 0 || !math.IsNaN(e.Lo) || !math.IsNaN(e.Error) {
		t.Errorf("%+v, %v", e, err)
	}
}

// For the mean of predictions, exchanging the two predictions of a row turns the sign of its difference.
func TestPermutationOfMeansIsSignFlip(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	average := func(_, p []float64) float64 {
		sum := 0.0
		for _, v := range p {
			sum += v
		}
		return sum / float64(len(p))
	}
	for _, n := range []int{1, 2, 5, 11} {
		y, a, b, d := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range y {
			a[i], b[i] = math.Round(10*r.Float64()), math.Round(8*r.Float64())
			d[i] = a[i] - b[i]
		}
		want, err := SignFlip(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Permutation(y, a, b, average, 1<<n, 0)
		if err != nil || !got.Exact || got.P != want.P || got.Patterns != want.Patterns || math.Abs(got.Diff-want.Diff) > 1e-12 {
			t.Errorf("%d rows: %+v, %v, not %+v", n, got, err, want)
		}
		// A sample of N patterns has a standard error of at most 0.5/sqrt(N).
		sample, err := SignFlipSampled(d, 20000, 3)
		if err != nil || math.Abs(sample.P-want.P) > 0.015 || sample.Exact {
			t.Errorf("%d rows: sampled %v, exact %v, %v", n, sample.P, want.P, err)
		}
		drawn, err := Permutation(y, a, b, average, 1<<n-1, 3)
		if err != nil || drawn.Exact || drawn.P <= 0 || drawn.P > 1 {
			t.Errorf("%d rows: drawn %+v, %v", n, drawn, err)
		}
	}
}

// Wide rows, as of classes, are exchanged as a whole.
func TestPermutationKeepsRowsTogether(t *testing.T) {
	y, a, b := []float64{0, 1, 2}, []float64{1, 1, 2, 2, 3, 3}, []float64{4, 4, 5, 5, 6, 6}
	_, err := Permutation(y, a, b, func(_, p []float64) float64 {
		for i := 0; i < len(p); i += 2 {
			if p[i] != p[i+1] {
				t.Errorf("a row was torn: %v", p)
			}
		}
		return p[0]
	}, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyFlipsAreCountedExactly(t *testing.T) {
	d := make([]float64, 40) // all alike: only the two patterns of one sign are as extreme
	for i := range d {
		d[i] = 0.1
	}
	got, err := SignFlip(d)
	if err != nil || got.P != 2/math.Exp2(40) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNaNIsNoTest(t *testing.T) {
	p := []float64{0.01, math.NaN(), 0.04}
	for _, adjusted := range [][]float64{Holm(p), BenjaminiHochberg(p)} {
		if adjusted[0] != 0.02 || !math.IsNaN(adjusted[1]) || adjusted[2] != 0.04 {
			t.Errorf("%v", adjusted)
		}
	}
}

func TestCriticalDifferencePicture(t *testing.T) {
	x := make([][]float64, 12)
	r := rand.New(rand.NewPCG(3, 3))
	for i := range x {
		for _, skill := range []float64{0.9, 0.88, 0.7, 0.69, 0.5} {
			x[i] = append(x[i], skill+0.04*r.NormFloat64())
		}
	}
	d, err := Nemenyi(x, []string{"boosting", "forest & co <fast>", "linear", "a network with a very long name that is cut", "dummy"}, true, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(d.Ranks) || d.Models[4] != "dummy" || len(d.Cliques) == 0 {
		t.Errorf("%+v", d)
	}
	for i, c := range d.Cliques {
		if d.Ranks[c[1]]-d.Ranks[c[0]] >= d.CD || c[1] <= c[0] || i > 0 && (c[0] <= d.Cliques[i-1][0] || c[1] <= d.Cliques[i-1][1]) {
			t.Errorf("clique %v of %v", c, d.Cliques)
		}
	}
	svg := d.SVG()
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	const path = "testdata/ranks.svg"
	if *rewrite {
		if err := os.WriteFile(path, []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if svg != string(want) {
		t.Errorf("the picture changed; if that is right, run go test -rewrite\n%s", svg)
	}
	if (CriticalDifference{}).SVG() != "" {
		t.Error("a picture of nothing")
	}
}
