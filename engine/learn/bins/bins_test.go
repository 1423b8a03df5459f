package bins

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// Keys sort as numbers do, and thresholds part every two neighbours of a column's distinct values.
func TestThresholdsPartNeighbours(t *testing.T) {
	inf := float32(math.Inf(1))
	up := func(v float32) float32 { return math.Nextafter32(v, inf) }
	values := []float32{-inf, -math.MaxFloat32, -1, up(-1), 0, math.SmallestNonzeroFloat32, 1, up(1), up(up(1)), 3, math.MaxFloat32, inf}
	var keys []uint32
	for i := range values {
		keys = append(keys, ordered(values[(i*5)%len(values)]))
	}
	keys = append(keys, ordered(float32(math.Copysign(0, -1))))
	distinct, counts := runs(keys, make([]uint32, len(keys)))
	if len(distinct) != len(values) || counts[4] != 2 {
		t.Fatalf("%v occur %v times", distinct, counts)
	}
	cuts := thresholds(distinct, counts, len(keys), 255)
	for i, v := range values {
		if distinct[i] != v {
			t.Errorf("number %d is %v, not %v", i, distinct[i], v)
		}
		if i > 0 && !(values[i-1] <= cuts[i-1] && cuts[i-1] < v) {
			t.Errorf("%v does not part %v from %v", cuts[i-1], values[i-1], v)
		}
	}
}

// A value's code says exactly on which side of each threshold it is, in float32; NaN has code 0. Bins are never more
// than asked for, and a value that fills half the column keeps a bin of its own.
func TestCodesAgreeWithThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, bins := range []int{2, 3, 7, 16, 255} {
		x := table.NewMatrix(3000, []string{"smooth", "half zero", "few", "constant", "all missing", "missing or one"})
		for i := range x.Rows {
			row := x.Row(i)
			nan := float32(math.NaN())
			row[0], row[1], row[2], row[3], row[4], row[5] = float32(r.NormFloat64()), 0, float32(r.IntN(5)), 7, nan, 1
			if i%2 == 0 {
				row[1], row[5] = float32(r.ExpFloat64()), nan
			}
			if i%11 == 0 {
				row[0] = nan
			}
		}
		d := Make(x, Options{Bins: bins, Workers: 2, Records: true})
		if len(d.Columns) != 4 {
			t.Errorf("%d columns are kept; a constant and an empty one cannot be split", len(d.Columns))
		}
		for c, col := range d.Columns {
			if len(col.Thresholds) > bins-1 {
				t.Errorf("%d bins: %d thresholds in column %d", bins, len(col.Thresholds), col.Source)
			}
			for i := range x.Rows {
				v, code := x.Row(i)[col.Source], d.Codes[c][i]
				if d.Records[i*d.Stride+c] != code {
					t.Fatalf("row %d column %d: code %d by row, %d by column", i, c, d.Records[i*d.Stride+c], code)
				}
				if (v != v) != (code == 0) {
					t.Fatalf("value %v has code %d", v, code)
				}
				for k, cut := range col.Thresholds {
					if v == v && (v <= cut) != (int(code) <= k+1) {
						t.Fatalf("value %v has code %d, threshold %d is %v", v, code, k, cut)
					}
				}
			}
			if col.Source == 1 && bins > 2 {
				if first := col.Thresholds[0]; first <= 0 || d.Codes[c][1] != 1 {
					t.Errorf("%d bins: zeros share their bin up to %v", bins, first)
				}
			}
		}
	}
}

// Codes of bundled columns are those that they have in slots of their own, and columns that meet in any row, in the
// sample or outside it, do not share a slot.
func TestBundlesKeepTheCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, rows := range []int{500, sampleRows + 5_000} {
		x := table.NewMatrix(rows, make([]string, 9))
		used := map[int]bool{}
		for _, i := range sample(rows) {
			used[i] = true
		}
		met := false
		for i := range rows {
			row := x.Row(i)
			row[6], row[7] = float32(r.NormFloat64()), 1
			switch k := r.IntN(9); {
			case k < 3:
				row[k] = float32(1 + r.IntN(4))
			case k == 3:
				row[3] = float32(math.NaN())
			case k == 4: // usually missing
				row[4], row[7] = -2, -1
			}
			if row[4] == 0 {
				row[4] = float32(math.NaN())
			}
			row[5] = row[2] // always together
			row[8] = row[0]
			if row[0] != 0 {
				row[8] = 0
			} else if r.IntN(50) == 0 {
				row[8] = 3
			}
			if rows > sampleRows && !used[i] && !met {
				met = true
				row[0], row[1] = 2, 2
			}
		}
		plain := Make(x, Options{Bins: 255, Workers: 2})
		for _, workers := range []int{1, 3} {
			d := Make(x, Options{Bins: 255, Workers: workers, Bundle: true, Records: true, Room: 4})
			if len(d.Columns) != len(plain.Columns) {
				t.Fatalf("%d columns, %d without bundles", len(d.Columns), len(plain.Columns))
			}
			if len(d.Slots) >= len(plain.Slots) {
				t.Errorf("%d rows: %d slots for %d columns", rows, len(d.Slots), len(d.Columns))
			}
			if met && d.Columns[0].Slot == d.Columns[1].Slot && d.Columns[0].Place != nil {
				t.Error("two columns share a slot though they meet in a row outside the sample")
			}
			for c := range d.Columns {
				col := &d.Columns[c]
				for i := range rows {
					code := d.Codes[col.Slot][i]
					if d.Records[i*d.Stride+col.Slot] != code {
						t.Fatalf("row %d slot %d: %d by row, %d by slot", i, col.Slot, d.Records[i*d.Stride+col.Slot], code)
					}
					if got, want := col.At(code), plain.Codes[c][i]; got != want {
						t.Fatalf("row %d column %d: code %d in a bundle, %d alone", i, c, got, want)
					}
				}
			}
		}
	}
}

// Categories are coded by frequency; beyond 254 the rest shares a code, with values that are no category.
func TestCategoryCodes(t *testing.T) {
	x := table.NewMatrix(0, []string{"few", "many"})
	x.Levels = []int32{5, 600}
	for k := range 600 {
		for range 1 + k/100 {
			x.Data = append(x.Data, float32(k%4), float32(k))
			x.Rows++
		}
	}
	x.Data = append(x.Data, float32(math.NaN()), float32(math.NaN()), 3.7, 7000, 1, -2)
	x.Rows += 3
	d := Make(x, Options{Bins: 16, Workers: 2})
	few, many := d.Columns[0], d.Columns[1]
	if len(few.Categories) != 4 || few.Others || few.Count() != 5 {
		t.Errorf("few: %+v", few)
	}
	if len(many.Categories) != Most-1 || !many.Others || many.Count() != Most+1 || many.Categories[0] != 500 || many.Categories[100] != 400 {
		t.Errorf("many: %d categories from %v, others %v", len(many.Categories), many.Categories[:2], many.Others)
	}
	codes := d.Codes[1]
	if n := x.Rows; codes[n-3] != 0 || codes[n-2] != Most || codes[n-1] != Most || codes[0] != Most || codes[n-4] != 100 {
		t.Errorf("missing %d, strays %d %d, rare %d, frequent %d", codes[n-3], codes[n-2], codes[n-1], codes[0], codes[n-4])
	}
	if d.Codes[0][x.Rows-2] != d.Codes[0][3] {
		t.Error("the whole part of a category does not decide")
	}
}
