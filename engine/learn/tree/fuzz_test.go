package tree

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// stored is models with one of everything.
func stored(t testing.TB) [][]byte {
	var all [][]byte
	r := rand.New(rand.NewPCG(11, 11))
	for _, f := range []forest{
		{trees: 3, leaves: 9, features: 3, outputs: 1, levels: 5, single: true},
		{trees: 4, leaves: 20, features: 2, outputs: 2, categories: 40, average: true, zero: true},
		{trees: 1, leaves: 1, features: 1, outputs: 1},
	} {
		m, err := NewModel("forest", learner.Regression, *f.grow(r))
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// FuzzLoad reads any bytes as a model: a fault, or an ensemble that all kernels score as the definition says.
func FuzzLoad(f *testing.F) {
	for _, b := range stored(f) {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) { tryLoad(t, b) })
}

func tryLoad(t *testing.T, b []byte) {
	r, version, kind, err := wire.Open(b)
	if err != nil {
		return
	}
	m, err := Load(r, version, kind)
	if err != nil {
		if fault.CodeOf(err) == fault.Internal {
			t.Fatalf("not a fault: %v", err)
		}
		return
	}
	if m.Ensemble.Features > 64 || len(m.Base) > 8 {
		return
	}
	rows := 40
	x := make([]float64, rows*m.Ensemble.Features)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		if x[i] = (forest{levels: 9, categories: 50}).value(random); i%7 == 0 {
			x[i] = math.NaN()
		}
	}
	checkScorer(t, &m.Ensemble, x, rows)
}

// TestLoadsDamagedModels cuts models in many places and changes their bytes: a fault or a model, no panic.
func TestLoadsDamagedModels(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, b := range stored(t) {
		for range 200 {
			tryLoad(t, b[:r.IntN(len(b))])
			c := append([]byte(nil), b...)
			for range 1 + r.IntN(3) {
				c[r.IntN(len(c))] ^= 1 << r.IntN(8)
			}
			tryLoad(t, c)
		}
	}
}
