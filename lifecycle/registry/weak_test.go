package registry

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func TestWeakSliceIsFoundAndCosted(t *testing.T) {
	const n = 4000
	r := rand.New(rand.NewPCG(1, 2))
	place := &table.Column{Name: "place", Kind: table.String}
	size := &table.Column{Name: "size", Kind: table.Double}
	h := &Held{Task: learn.Binary, Y: make([]float64, n), P: make([]float64, n)}
	for i := range n {
		name := []string{"a", "b", "c"}[i%3]
		place.Append(table.Value{S: name})
		size.Append(table.Value{F: r.Float64()})
		h.P[i] = 0.05 + 0.9*r.Float64()
		chance := h.P[i]
		if name == "c" {
			chance = 1 - chance // the model has it backwards here
		}
		if r.Float64() < chance {
			h.Y[i] = 1
		}
	}
	found, err := FindWeak(context.Background(), h, []*table.Column{place, size}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Slices) == 0 || found.N != n {
		t.Fatalf("found %+v", found)
	}
	worst := found.Slices[0]
	if len(worst.Conditions) != 1 || worst.Conditions[0].Column != "place" || worst.Conditions[0].Value != "c" {
		t.Errorf("the costliest slice is %+v", worst.Conditions)
	}
	if worst.Loss <= worst.Rest || worst.Q > 0.05 || math.Abs(worst.Loss-worst.Rest-(worst.Lo+worst.Hi)/2) > 1e-9 {
		t.Errorf("it is %+v", worst)
	}
}

func TestSearchIsBounded(t *testing.T) {
	for _, c := range []struct {
		n, columns, rows int
		pairs            bool
	}{
		{1000, 10, 1000, true},
		{100_000, 30, 100_000, true},
		{1_000_000, 20, 250_000, true},
		{100_000, 100, 10_000, true},
		{100_000, 200, 100_000, false},
		{3_000, 1000, 3_000, false},
	} {
		rows, pairs := searched(c.n, c.columns)
		if rows != c.rows || pairs != c.pairs {
			t.Errorf("%d rows x %d columns: %d, %v", c.n, c.columns, rows, pairs)
		}
		steps := rows * c.columns
		if pairs {
			steps *= c.columns
		}
		if steps > searchSteps {
			t.Errorf("%d rows x %d columns take %d steps", c.n, c.columns, steps)
		}
	}
}

func TestDecisionsOfSeveralClasses(t *testing.T) {
	h := &Held{Task: learn.Multiclass, K: 3, Y: []float64{0, 1, 2, 2}, P: []float64{.7, .2, .1, .5, .4, .1, .1, .1, .8, .2, .5, .3}}
	ev := Judge(h, 0.5, nil)
	want := [][]int{{1, 0, 0}, {1, 0, 0}, {0, 1, 1}} // actual x likeliest
	for i, row := range want {
		for j, n := range row {
			if got := ev.Decisions.Matrix[i][j]; got != n {
				t.Errorf("%d rows of class %d are decided %d, not %d", got, i, j, n)
			}
		}
	}
	if ev.Calibration.N != 4 {
		t.Errorf("calibration of %d rows", ev.Calibration.N)
	}
}
