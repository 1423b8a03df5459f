package combine

import (
	"math"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
)

// TestTakesHashesApart undoes what Mix did, and holds Mix against calc_hash of CatBoost's export to Python, version 1.2.10:
// calc_hash(calc_hash(0, 7), 2**64 - 5).
func TestTakesHashesApart(t *testing.T) {
	minus := int32(-5)
	first := Mix(0, Sign(7))
	both := Mix(first, Sign(uint32(minus)))
	if both != 452205479563292174 {
		t.Errorf("the hash is %d", both)
	}
	if Unmix(both, Sign(uint32(minus))) != first || First(first) != 7 {
		t.Errorf("apart it is %d and %d", Unmix(both, Sign(uint32(minus))), First(first))
	}
}

// sample is a model of one tree over a combination of a number and a category, with a table of two rows.
func sample(t testing.TB) *Model {
	t.Helper()
	known := Mix(Mix(0, Sign(11)), 1)
	c := &Columns{Inputs: 2,
		Categories: []Categories{{Column: 1, Hashes: []uint32{11, 0, 12}, Known: []bool{true, false, true}, Missing: 2}},
		Combinations: []Combination{{Parts: []Part{{Kind: Category}, {Kind: Above, Of: 0, Border: 0.5, MissingAbove: true}},
			Tables: []Table{{Hashes: []uint64{known, Mix(Mix(0, Sign(12)), 0)}, Statistics: []Statistic{{[]float32{3, 1}, 0}, {[]float32{9, 9}, 8}}}}}}}
	e := tree.Ensemble{Features: 4, Base: []float64{0}, Link: tree.Identity, Scale: 1, Single: true}
	own := tree.Tree{}
	for _, split := range []struct {
		feature   int32
		threshold float64
	}{{2, 2}, {2, 0.5}} {
		own.Add(split.feature, split.threshold, true, 0, 1, 2)
	}
	for _, v := range []float64{30, 0, 10} {
		own.Add(tree.Leaf, 0, false, v, 0, 1)
	}
	own.Left[0], own.Right[0], own.Left[1], own.Right[1] = 1, 2, 3, 4
	e.Trees = []tree.Tree{own}
	trees, err := tree.NewModel("catboost", learner.Regression, e)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel("catboost_combined", c, trees)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLooksCombinationsUp(t *testing.T) {
	m, nan := sample(t), float32(math.NaN())
	for _, c := range []struct {
		x    []float32
		want float64
	}{
		{[]float32{1, 0}, 30}, {[]float32{nan, 0}, 30}, {[]float32{1, -0.5}, 30}, // -0.5 has the whole part 0, as in trees
		{[]float32{0.5, 0}, 0},                         // no training row had it
		{[]float32{0, 2}, 10}, {[]float32{0, nan}, 10}, // what is missing is a category that was trained on
		{[]float32{0, 1}, 0}, {[]float32{0, 3}, 0}, {[]float32{0, -1}, 0}, {[]float32{0, 1e30}, 0}, {[]float32{0, float32(math.Inf(1))}, 0},
	} {
		got := make([]float64, 1)
		if m.PredictRow(c.x, got); got[0] != c.want {
			t.Errorf("%v gives %v, want %v", c.x, got[0], c.want)
		}
	}
	if reads := m.Reads(); !reads[0] || !reads[1] {
		t.Errorf("the model reads %v", reads)
	}
	if shares := m.Importance(); shares[0] != 0 || shares[1] != 1 {
		t.Errorf("importances are %v", shares)
	}
}

func FuzzLoad(f *testing.F) {
	b, err := sample(f).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(_ *testing.T, b []byte) {
		r, version, kind, err := wire.Open(b)
		if err != nil {
			return
		}
		m, err := Load(r, version, kind)
		if err != nil || m.Features() > 1000 || m.Trees.Features() > 1000 || m.Outputs() > 100 {
			return
		}
		x, out := make([]float32, m.Features()), make([]float64, m.Outputs())
		for _, v := range []float32{0, -0.5, 1e30, float32(math.NaN())} {
			for j := range x {
				x[j] = v
			}
			m.PredictRow(x, out)
		}
		m.Importance()
		m.Reads()
	})
}
