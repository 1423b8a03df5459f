package expand_test

import (
	"math"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var nan = float32(math.NaN())

func matrix(levels []int32, rows ...[]float32) *table.Matrix {
	x := table.NewMatrix(len(rows), []string{"n", "c", "g", "r"}[:len(rows[0])])
	x.Levels = levels
	for i, r := range rows {
		copy(x.Row(i), r)
	}
	return x
}

func TestRows(t *testing.T) {
	x := matrix([]int32{0, 3, 2, 4},
		[]float32{1, 0, 0, 2},
		[]float32{nan, 1, nan, 2},
		[]float32{5, 2, 1, 0},
		[]float32{6, 2, 1, nan})
	for _, weights := range [][]float64{nil, {1, 1, 1, 1}} {
		e, err := expand.Fit(x, weights, expand.Options{OneHot: 3, Indicators: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"n", "n=missing", "c=0", "c=1", "c=2", "g=0", "g=1", "g=missing", "r", "r=missing"}
		if got := e.Names(x.Names); !slices.Equal(got, want) || e.Width() != len(want) || e.Features() != 4 {
			t.Fatalf("columns %v, width %d", got, e.Width())
		}
		w := wire.NewWriter("test", 1)
		e.Write(w)
		r, _, _, err := wire.Open(w.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		read := expand.Read(r)
		if err := r.End(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ in, out []float32 }{
			{[]float32{1, 0, 0, 2}, []float32{1, 0, 1, 0, 0, 1, 0, 0, 0, 0}},
			{[]float32{nan, nan, nan, nan}, []float32{4, 1, 0, 0, 0, 0, 0, 1, float32(1) / 3, 1}},
			{[]float32{2, 3, -1, 9}, []float32{2, 0, 0, 0, 0, 0, 0, 0, 4, 0}},  // unseen codes
			{[]float32{2, .5, 1, 1}, []float32{2, 0, 0, 0, 0, 0, 1, 0, 4, 0}},  // a category without rows
			{[]float32{-2, 1, 1, 0}, []float32{-2, 0, 0, 1, 0, 0, 1, 0, 1, 0}}, // the second most frequent
			{[]float32{float32(math.Inf(1)), 1, 1, 0}, []float32{math.MaxFloat32, 0, 0, 1, 0, 0, 1, 0, 1, 0}},
		} {
			for _, e := range []*expand.Expansion{e, read} {
				got := make([]float32, e.Width())
				if e.Row(c.in, got); !slices.Equal(got, c.out) {
					t.Errorf("%v becomes %v, not %v", c.in, got, c.out)
				}
			}
		}
		if m := e.Matrix(x, 2); m.Cols != 10 || m.Rows != 4 || m.Row(1)[1] != 1 || m.Levels != nil {
			t.Errorf("the matrix has %d columns: %v", m.Cols, m.Data)
		}
	}
}

func TestNumbersStayWhereTheyAre(t *testing.T) {
	x := matrix(nil, []float32{1, 2}, []float32{3, 4})
	e, err := expand.Fit(x, nil, expand.Options{Indicators: true})
	if err != nil {
		t.Fatal(err)
	}
	if e.Matrix(x, 1) != x {
		t.Error("a matrix of numbers was copied")
	}
	if holes := matrix(nil, []float32{nan, 2}); e.Matrix(holes, 1).Data[0] != 2 {
		t.Error("a gap was not filled with the mean")
	}
	x.Data[1] = float32(math.Inf(-1))
	if _, err := expand.Fit(x, nil, expand.Options{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("infinite values: %v", err)
	}
}

// The mean that fills gaps is the weighted one, the same for any number of workers.
func TestFill(t *testing.T) {
	x := table.NewMatrix(1000, []string{"a"})
	weights := make([]float64, 1000)
	var sum, total float64
	for i := range x.Data {
		if x.Data[i] = float32(i % 37); i%5 == 0 {
			x.Data[i] = nan
			continue
		}
		weights[i] = float64(i % 3)
		sum += weights[i] * float64(i%37)
		total += weights[i]
	}
	for _, workers := range []int{1, 2, 8} {
		e, err := expand.Fit(x, weights, expand.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 1)
		if e.Row([]float32{nan}, got); got[0] != float32(sum/total) {
			t.Errorf("%d workers: filled with %v, not %v", workers, got[0], sum/total)
		}
	}
}
