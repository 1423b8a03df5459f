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
