package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// forest says what a random ensemble is made of.
type forest struct {
	trees, leaves, features, outputs int
	levels                           int // distinct thresholds of a feature; 0: every threshold its own
	categories                       int // of the category sets; 0: none
	single, average, zero            bool
	full                             bool // every tree has all its leaves
}

// values that thresholds are drawn from, so that rows meet them exactly.
var awkward = []float64{0, math.Copysign(0, -1), 1e-35, -1e-35, 1e-36, math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
	math.MaxFloat32, 0.1, float64(float32(0.1)), math.Nextafter(0.1, 1), 1 << 24, 1<<24 + 1, math.SmallestNonzeroFloat64, 3, -0.5}

// grow makes a random ensemble. Leaves are split at random, so that trees are uneven.
func (f forest) grow(r *rand.Rand) *Ensemble {
	e := &Ensemble{Features: f.features, Single: f.single, Average: f.average, Link: Identity, Scale: 1}
	for range f.outputs {
		e.Base = append(e.Base, r.NormFloat64())
	}
	if f.zero {
		e.ZeroMissing = make([]bool, f.features)
		for i := range e.ZeroMissing {
			e.ZeroMissing[i] = r.IntN(2) == 0
		}
	}
	for i := range f.trees {
		t := Tree{Output: i % f.outputs}
		open := []int32{t.Add(Leaf, 0, false, r.NormFloat64(), 0, 0)}
		leaves := 1 + r.IntN(f.leaves)
		if f.full {
			leaves = f.leaves
		}
		for len(open) < leaves {
			at := r.IntN(len(open))
			n := open[at]
			t.Feature[n], t.Value[n], t.MissingLeft[n] = int32(r.IntN(f.features)), 0, r.IntN(2) == 0
			t.Threshold[n] = f.value(r)
			t.Left[n] = t.Add(Leaf, 0, false, r.NormFloat64(), 0, 0)
			t.Right[n] = t.Add(Leaf, 0, false, r.NormFloat64(), 0, 0)
			if f.categories > 0 && r.IntN(3) > 0 {
				var set []int
				for range 1 + r.IntN(5) {
					set = append(set, r.IntN(f.categories))
				}
				t.SetCategories(n, set)
			}
			open[at] = t.Left[n]
			open = append(open, t.Right[n])
		}
		e.Trees = append(e.Trees, t)
	}
	if err := e.Check(); err != nil {
		panic(err)
	}
	return e
}

// value is a threshold or a cell.
func (f forest) value(r *rand.Rand) float64 {
	switch {
	case r.IntN(8) == 0:
		return awkward[r.IntN(len(awkward))]
	case f.categories > 0 && r.IntN(2) == 0:
		return float64(r.IntN(f.categories+3) - 1)
	case f.levels > 0:
		v := float64(r.IntN(f.levels)) / 7
		switch r.IntN(4) {
		case 0:
			return math.Nextafter(v, math.Inf(1))
		case 1:
			return math.Nextafter(v, math.Inf(-1))
		}
		return v
	}
	return r.NormFloat64()
}

func (f forest) rows(r *rand.Rand, n int) []float64 {
	x := make([]float64, n*f.features)
	for i := range x {
		if x[i] = f.value(r); r.IntN(10) == 0 {
			x[i] = math.NaN()
		}
	}
	return x
}

// defined is the margins of a row by the definition.
func defined(e *Ensemble, x []float64, dst []float64) {
	count := make([]float64, len(e.Base))
	copy(dst, e.Base)
	if e.Average {
		clear(dst)
	}
	for i := range e.Trees {
		t := &e.Trees[i]
		dst[t.Output] += t.Value[e.Find(t, x)]
		count[t.Output]++
	}
	if e.Average {
		for k := range dst {
			dst[k] = e.Base[k] + float64(dst[k]*(1/max(count[k], 1)))
		}
	}
}

var forests = []forest{
	{trees: 20, leaves: 31, features: 28, outputs: 1, levels: 100},
	{trees: 20, leaves: 31, features: 28, outputs: 1, levels: 100, single: true},
	{trees: 30, leaves: 64, features: 5, outputs: 3, average: true},
	{trees: 12, leaves: 256, features: 3, outputs: 2, zero: true, full: true},
	{trees: 9, leaves: 300, features: 2, outputs: 1, single: true, full: true},
	{trees: 9, leaves: 300, features: 2, outputs: 1, categories: 4, zero: true},
	{trees: 40, leaves: 17, features: 4, outputs: 1, categories: 20},
	{trees: 40, leaves: 33, features: 4, outputs: 2, categories: 700, single: true, zero: true, average: true},
	{trees: 7, leaves: 1, features: 1, outputs: 1},
	{trees: 0, leaves: 1, features: 1, outputs: 2},
	{trees: 40, leaves: 2, features: 1, outputs: 1, levels: 2},
	{trees: 60, leaves: 255, features: 2, outputs: 1, single: true}, // several byte columns
	{trees: 60, leaves: 200, features: 1500, outputs: 1},            // wide, several parts
}

func TestScorersAgree(t *testing.T) {
	for _, f := range forests {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(f.leaves)))
			e := f.grow(r)
			for _, rows := range []int{1, 7, 40, 256, 300} {
				if f.features*f.leaves > 10_000 && rows > 256 {
					continue
				}
				checkScorer(t, e, f.rows(r, rows), rows)
			}
		})
	}
}

// checkScorer holds every way of scoring to the definition, bit for bit.
func checkScorer(t *testing.T, e *Ensemble, x []float64, rows int) {
	t.Helper()
	k, p := len(e.Base), e.Features
	single, rounded := make([]float32, len(x)), make([]float64, len(x))
	for i, v := range x {
		single[i] = float32(v)
		rounded[i] = float64(single[i])
	}
	wantWide, want := make([]float64, rows*k), make([]float64, rows*k)
	for i := range rows {
		defined(e, x[i*p:(i+1)*p], wantWide[i*k:(i+1)*k])
		defined(e, rounded[i*p:(i+1)*p], want[i*k:(i+1)*k])
	}
	kernels(t, func(t *testing.T) {
		s, err := NewScorer(e)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, rows*k)
		for i := range rows {
			s.Row(single[i*p:(i+1)*p], got[i*k:(i+1)*k])
		}
		same(t, "Row", got, want, k)
		clear(got)
		quick := newQuick(e, s.leaves)
		s.quick.Store(&quick)
		for i := range rows {
			s.Row(single[i*p:(i+1)*p], got[i*k:(i+1)*k])
		}
		same(t, "quick Row", got, want, k)
		for _, seen := range []int64{0, planRows} {
			s.seen.Store(seen)
			clear(got)
			s.Rows(single, rows, got, 2)
			same(t, "Rows", got, want, k)
			clear(got)
			s.RowsWide(x, rows, got, 2)
			same(t, "RowsWide", got, wantWide, k)
		}
		// The plan for any number of rows, also where walking is cheaper.
		plan := newPlan(e, s.leaves)
		for from := 0; from < rows; from += block {
			n := min(block, rows-from)
			clear(got)
			scoreBlock(s, plan, single[from*p:], n, got)
			same(t, "sliced", got[:n*k], want[from*k:], k)
			if !e.Single {
				clear(got)
				scoreBlock(s, plan, x[from*p:], n, got)
				same(t, "sliced wide", got[:n*k], wantWide[from*k:], k)
			}
		}
	})
}

func same(t *testing.T, way string, got, want []float64, k int) {
	t.Helper()
	for i := range got {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("%s: output %d of row %d is %v, not %v", way, i%k, i/k, got[i], want[i])
		}
	}
}

// kernels runs a test with each kernel that the processor has.
func kernels(t *testing.T, do func(t *testing.T)) {
	t.Helper()
	best := level
	defer func() { level = best }()
	for level = range levels {
		do(t)
	}
}

func TestRowDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, f := range forests[:8] {
		e := f.grow(r)
		s, err := NewScorer(e)
		if err != nil {
			t.Fatal(err)
		}
		x, dst := make([]float32, f.features), make([]float64, f.outputs)
		for range 2 {
			if n := testing.AllocsPerRun(10, func() { s.Row(x, dst) }); n != 0 && !racing {
				t.Errorf("%+v: Row allocates %v times", f, n)
			}
			quick := newQuick(e, s.leaves)
			s.quick.Store(&quick)
			s.Row(x, dst)
		}
	}
}

// benchmarkEnsemble is like a model trained on 255 bins: each feature has at most 254 distinct thresholds.
func benchmarkEnsemble(trees, leaves, features int) (*Scorer, []float32) {
	r := rand.New(rand.NewPCG(5, 5))
	f := forest{trees: trees, leaves: leaves, features: features, outputs: 1, full: true}
	e := f.grow(r)
	for i := range e.Trees {
		t := e.Trees[i].Threshold
		for j := range t {
			t[j] = math.Sqrt2 * math.Erfinv(float64(1+r.IntN(254))/127.5-1)
		}
	}
	s, err := NewScorer(e)
	if err != nil {
		panic(err)
	}
	x := make([]float32, 4096*features)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return s, x
}

func BenchmarkRows(b *testing.B) {
	for _, size := range [][2]int{{100, 31}, {500, 31}, {500, 64}, {500, 255}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s, x := benchmarkEnsemble(size[0], size[1], 28)
			dst := make([]float64, 4096)
			s.Rows(x, 4096, dst, 1)
			for b.Loop() {
				s.Rows(x, 4096, dst, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/row")
		})
	}
}

func BenchmarkRow(b *testing.B) {
	for _, size := range [][2]int{{100, 31}, {500, 31}, {500, 255}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s, x := benchmarkEnsemble(size[0], size[1], 28)
			dst := make([]float64, 1)
			for i := 0; b.Loop(); i++ {
				s.Row(x[i%4096*28:][:28], dst)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	s, _ := benchmarkEnsemble(500, 31, 28)
	for b.Loop() {
		n, err := NewScorer(s.e)
		if err != nil {
			b.Fatal(err)
		}
		newPlan(n.e, n.leaves)
	}
}

// TestEmptySetHasNoCategory asks a set of no category for values next to 0: a file may have one, and none is in it.
func TestEmptySetHasNoCategory(t *testing.T) {
	own := Tree{}
	own.Add(0, 0, false, 0, 0, 2)
	own.SetCategories(0, nil)
	own.Add(Leaf, 0, false, 1, 0, 1)
	own.Add(Leaf, 0, false, 2, 0, 1)
	own.Left[0], own.Right[0] = 1, 2
	for _, v := range []float64{-0.5, 0, 0.5, 31, math.Inf(1)} {
		if own.GoesLeft(0, v, false) {
			t.Errorf("%v is in a set of none", v)
		}
	}
}
