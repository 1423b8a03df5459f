package neighbours

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The tree finds what a look at every row finds, ties and all, for both metrics.
func TestTreeFindsWhatAllRowsGive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, width := range []int{1, 2, 5, 12} {
		for _, grid := range []bool{true, false} { // a grid has many equal distances and rows
			rows := make([]float32, 700*width)
			for i := range rows {
				if rows[i] = float32(r.NormFloat64()); grid {
					rows[i] = float32(r.IntN(4))
				}
			}
			for _, metric := range []bool{true, false} {
				m := &Model{manhattan: metric, tree: newTree(rows, width)}
				for range 200 {
					query := make([]float32, width)
					for j := range query {
						if query[j] = float32(2 * r.NormFloat64()); grid {
							query[j] = float32(r.IntN(5))
						}
					}
					all, found := near{k: 7}, near{k: 7}
					for i := range 700 {
						all.add(int32(i), m.measure(query, rows[i*width:(i+1)*width], math.Inf(1)))
					}
					m.search(0, query, &found)
					slices.Sort(all.row)
					slices.Sort(found.row)
					if !slices.Equal(all.row, found.row) {
						t.Fatalf("%d columns, manhattan %v: the tree finds %v, all rows give %v", width, metric, found.row, all.row)
					}
				}
			}
		}
	}
}
