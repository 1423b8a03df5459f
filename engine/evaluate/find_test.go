package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// noise is columns of texts and numbers, some missing, and losses that have nothing to do with them.
func noise(rows, columns int, seed uint64) ([]*table.Column, []float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []*table.Column
	for j := range columns {
		c := &table.Column{Name: fmt.Sprintf("c%d", j), Nulls: make([]bool, rows)}
		if j%2 == 0 {
			c.Kind, c.Strings = table.String, make([]string, rows)
		} else {
			c.Kind, c.Floats = table.Double, make([]float64, rows)
		}
		for i := range rows {
			switch {
			case j%4 == 3 && r.IntN(10) == 0:
				c.Nulls[i] = true
			case j%2 == 0:
				c.Strings[i] = string(rune('a' + r.IntN(3+j)%40))
			default:
				c.Floats[i] = math.Round(r.NormFloat64()*100) / 10
			}
		}
		out = append(out, c)
	}
	loss := make([]float64, rows)
	for i := range loss {
		loss[i] = r.ExpFloat64()
	}
	return out, loss
}

func find(t *testing.T, columns []*table.Column, loss []float64, o evaluate.FindOptions) evaluate.WeakSlices {
	t.Helper()
	out, err := evaluate.FindSlices(context.Background(), columns, loss, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFindsPlantedSlicesOnly(t *testing.T) {
	columns, loss := noise(8000, 10, 2)
	if got := find(t, columns, loss, evaluate.FindOptions{}); got.Found != 0 || got.Tested < 1000 {
		t.Errorf("in noise, %d of %d slices: %+v", got.Found, got.Tested, got.Slices)
	}
	for i := range loss {
		if columns[0].Strings[i] == "b" { // a third of the rows
			loss[i] += 0.7
		}
		if columns[4].Strings[i] == "c" && !columns[3].IsNull(i) && columns[3].Floats[i] > 10 { // about 2 % of them
			loss[i] += 3
		}
	}
	got := find(t, columns, loss, evaluate.FindOptions{})
	if len(got.Slices) < 2 || !reflect.DeepEqual(got.Slices[0].Conditions, []evaluate.Condition{{Column: "c0", Value: "b"}}) {
		t.Fatalf("found %+v", got.Slices)
	}
	var pair *evaluate.WeakSlice
	for i, s := range got.Slices {
		for _, c := range s.Conditions { // what is planted on two columns shows, weaker, on each
			if c.Column != "c0" && c.Column != "c3" && c.Column != "c4" {
				t.Errorf("a slice that was not planted: %+v", s)
			}
		}
		if len(s.Conditions) == 2 && s.Conditions[0].Column == "c3" && s.Conditions[1] == (evaluate.Condition{Column: "c4", Value: "c"}) {
			pair = &got.Slices[i]
		}
		if s.Q > 0.05 || s.Q < s.P || s.Effect < 0.2 || s.Lo <= 0 || s.N < 50 || math.Abs(s.Excess-float64(s.N)*(s.Loss-s.Rest)) > 1e-9*s.Excess {
			t.Errorf("numbers that do not agree: %+v", s)
		}
	}
	if pair == nil || pair.Loss-pair.Rest < 2 {
		t.Errorf("the pair was not found in %+v", got.Slices)
	}
	if one := find(t, columns, loss, evaluate.FindOptions{OneColumn: true, Most: 1}); len(one.Slices) != 1 || one.Tested >= got.Tested || one.Found < 1 {
		t.Errorf("of one column: %+v", one)
	}
}

func TestSearchIsTheSameForAnyWorkers(t *testing.T) {
	columns, loss := noise(3000, 8, 5)
	for i := range loss {
		if columns[2].Strings[i] < "c" {
			loss[i] *= 2
		}
	}
	want := find(t, columns, loss, evaluate.FindOptions{Workers: 1})
	if want.Found == 0 {
		t.Fatal("nothing found")
	}
	for _, workers := range []int{2, 3, 8} {
		if got := find(t, columns, loss, evaluate.FindOptions{Workers: workers}); !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers find other slices", workers)
		}
	}
}

// The numbers are scipy 1.17.1's: stats.ttest_ind([1.5, 2.25, 3, 4.5, 2], [0.5, 1, 1.25, 0.75, 2, 0.25, 1.5],
// equal_var=False), with alternative="greater" for P.
func TestWelch(t *testing.T) {
	loss := []float64{1.5, 2.25, 3, 4.5, 2, 0.5, 1, 1.25, 0.75, 2, 0.25, 1.5}
	c := &table.Column{Name: "c", Kind: table.Boolean, Floats: []float64{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}}
	got := find(t, []*table.Column{c}, loss, evaluate.FindOptions{MinRows: 2, Alpha: 0.5})
	if len(got.Slices) != 1 || got.Tested != 2 {
		t.Fatalf("found %+v", got)
	}
	s := got.Slices[0]
	const wantT, wantP, wantLo, wantHi = 2.8343897064671033, 0.0162804841514134, 0.19174035743000317, 3.036831071141425
	for name, v := range map[string][2]float64{"t": {s.T, wantT}, "p": {s.P, wantP}, "q": {s.Q, 2 * wantP}, "lo": {s.Lo, wantLo}, "hi": {s.Hi, wantHi}} {
		if !near(v[0], v[1], 1e-12) {
			t.Errorf("%s is %v, not %v", name, v[0], v[1])
		}
	}
}

func TestOddLosses(t *testing.T) {
	c := &table.Column{Name: "c", Kind: table.String, Strings: make([]string, 200)}
	loss := make([]float64, 200)
	for i := range loss {
		c.Strings[i] = "x"
		if i < 100 {
			c.Strings[i], loss[i] = "y", 1
		}
	}
	got := find(t, []*table.Column{c, c}, loss, evaluate.FindOptions{})
	if got.Found != 2 || got.Slices[0].P != 0 || got.Slices[0].Effect != math.MaxFloat64 || got.Slices[0].Conditions[0].Value != "y" {
		t.Errorf("a certain difference: %+v", got)
	}
	if got := find(t, []*table.Column{c}, make([]float64, 200), evaluate.FindOptions{}); got.Found != 0 {
		t.Errorf("equal losses: %+v", got)
	}
	if got := find(t, nil, nil, evaluate.FindOptions{}); got.N != 0 || got.Slices == nil {
		t.Errorf("nothing: %+v", got)
	}
	loss[7] = math.NaN()
	var f *fault.Error
	if _, err := evaluate.FindSlices(context.Background(), []*table.Column{c}, loss, evaluate.FindOptions{}); !errors.As(err, &f) || f.Code != fault.Invalid {
		t.Errorf("a NaN loss: %v", err)
	}
	if _, err := evaluate.FindSlices(context.Background(), []*table.Column{c}, loss[:9], evaluate.FindOptions{}); !errors.As(err, &f) || f.Code != fault.Invalid {
		t.Errorf("too few losses: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := evaluate.FindSlices(ctx, []*table.Column{c}, make([]float64, 200), evaluate.FindOptions{}); !errors.As(err, &f) || f.Code != fault.Canceled {
		t.Errorf("a search that was stopped: %v", err)
	}
}

func TestRowLosses(t *testing.T) {
	if got := evaluate.RowLosses(learner.Binary, []float64{1, 0}, []float64{0.25, 0.5}); got[0] != math.Log(4) || got[1] != math.Log(2) {
		t.Error(got)
	}
	if got := evaluate.RowLosses(learner.Multiclass, []float64{2}, []float64{0.25, 0.25, 0.5}); got[0] != math.Log(2) {
		t.Error(got)
	}
	if got := evaluate.RowLosses(learner.Regression, []float64{2}, []float64{5}); got[0] != 9 {
		t.Error(got)
	}
}

func BenchmarkFindSlices(b *testing.B) {
	columns, loss := noise(100_000, 30, 9)
	for b.Loop() {
		start := time.Now()
		out, err := evaluate.FindSlices(context.Background(), columns, loss, evaluate.FindOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(out.Tested)/time.Since(start).Seconds(), "slices/s")
	}
}
