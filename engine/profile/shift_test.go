package profile

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// scipy 1.17.1, scipy.stats.kstwo.sf(d, N): the one-sample law at N = n·m/(n+m), which scipy takes for two samples of this size.
func TestKolmogorovP(t *testing.T) {
	for _, c := range []struct{ d, size, want float64 }{
		{.1, 50, .6623112704658186}, {.05, 1000, .013012074781090332}, {.02, 5000, .03613941395325637}, {.01, 20000, .03638603905248727},
	} {
		if got := KolmogorovP(c.d, 2*c.size, 2*c.size); math.Abs(got-c.want) > .03*c.want {
			t.Errorf("p of %v at %v is %v, want %v within 3 %%", c.d, c.size, got, c.want)
		}
	}
	for _, d := range []float64{0, 1e-9, 1} {
		if p := KolmogorovP(d, 50, 350); p < 0 || p > 1 || d < 0.1 && p != 1 {
			t.Errorf("p of %v is %v", d, p)
		}
	}
}

func TestUsual(t *testing.T) {
	// Squares 1, 1, 1, 1: no variance, so that all four count. scipy.stats.t.sf(3, 4)*2 = 0.03994196807171883.
	u := UsualOf([]float64{1, 1, 1, 1})
	if u.Size != 1 || u.DF != 4 || math.Abs(u.P(3)-.03994196807171883) > 1e-12 {
		t.Errorf("%+v, p %v", u, u.P(3))
	}
	if bar := u.Bar(u.P(3)); math.Abs(bar-3) > 1e-9 {
		t.Errorf("the bar of p(3) is %v", bar)
	}
	// Squares 0, 0, 0, 16: mean 4, variance 64, degrees of freedom 2·4²/(64/4) = 2: a rare storm is one observation, not four.
	if u := UsualOf([]float64{0, 0, 0, 4}); u.Size != 2 || u.DF != 2 {
		t.Errorf("%+v", u)
	}
	if u := UsualOf(nil); u.P(5) != 1 || !math.IsInf(u.Bar(.01), 1) {
		t.Error("nothing is known, and something is said")
	}
	if u := UsualOf([]float64{0, 0}); u.P(0) != 1 || u.P(.1) != 0 {
		t.Error("a column that never moved moves")
	}
}

// Levels of windows that are normal around a common one: no more than alpha of them may be over the bar.
func TestUsualShiftsAreNotTold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const alpha, tries = .01, 20_000
	over := 0
	for range tries {
		past := make([]float64, 28)
		for i := range past {
			past[i] = math.Abs(r.NormFloat64()) * 7
		}
		if math.Abs(r.NormFloat64())*7 >= UsualOf(past).Bar(alpha) {
			over++
		}
	}
	if rate := float64(over) / tries; rate > alpha*1.2 || rate < alpha/2 {
		t.Errorf("%.4f of the windows are over the bar of %v", rate, alpha)
	}
}

func TestShift(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	number, word := &table.Column{Name: "x", Kind: table.Double}, &table.Column{Name: "w", Kind: table.String}
	for range 20_000 {
		number.Append(table.Number(50 + 10*r.NormFloat64()))
		word.Append(table.Text(string(rune('a' + r.IntN(4)))))
	}
	ref := BuildReference(&table.Table{Rows: 20_000, Columns: []*table.Column{number, word}}, Options{})
	x, w := ref.Columns[0], ref.Columns[1]
	fill := func(c *RefColumn, n int, draw func() table.Value) *Counts {
		out := c.New()
		for range n {
			out.add(c, draw())
		}
		return out
	}
	at := func(mean float64) *Counts {
		return fill(x, 5000, func() table.Value {
			if r.IntN(10) == 0 {
				return table.Null
			}
			return table.Number(mean + 10*r.NormFloat64())
		})
	}
	// The Wasserstein distance of two normal distributions of one variance is that of their means, wherever training was.
	shift, floor, p := Shift(x, at(80), at(25), 5000, 5000)
	if math.Abs(shift-55) > 1 || math.Abs(floor-5) > .1 || p > 1e-9 {
		t.Errorf("shift %v, floor %v, p %v", shift, floor, p)
	}
	if shift, _, p := Shift(x, at(80), at(80), 5000, 5000); shift > 1 || p < .001 {
		t.Errorf("no shift is %v, p %v", shift, p)
	}
	// As few independent values say little.
	if _, _, p := Shift(x, at(50), at(54), 40, 40); p < .05 {
		t.Errorf("p of 40 values is %v", p)
	}
	letters := func(k int) *Counts {
		return fill(w, 4000, func() table.Value { return table.Text(string(rune('a' + r.IntN(k)))) })
	}
	if shift, floor, p := Shift(w, letters(4), letters(1), 4000, 4000); shift < floor || p > 1e-9 || floor != ShiftFloorText {
		t.Errorf("shift of words %v, floor %v, p %v", shift, floor, p)
	}
	if shift, floor, p := Shift(w, letters(4), letters(4), 4000, 4000); shift > floor || p < .001 {
		t.Errorf("no shift of words is %v, floor %v, p %v", shift, floor, p)
	}
	if shift, _, p := Shift(x, x.New(), at(50), 0, 5000); shift != 0 || p != 1 {
		t.Errorf("a shift from nothing is %v, p %v", shift, p)
	}
}
