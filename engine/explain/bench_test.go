package explain

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// The nanoseconds are per row of 100 trees; bench/explain has the comparison with LightGBM.
func BenchmarkRows(b *testing.B) {
	for _, leaves := range []int{31, 255} {
		c := kind{features: 28, outputs: 1, trees: 100, leaves: leaves, single: true}
		r := rand.New(rand.NewPCG(1, 2))
		e, err := New(random(b, r, c))
		if err != nil {
			b.Fatal(err)
		}
		x := table.NewMatrix(2000, make([]string, c.features))
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		dst := make([]float64, len(x.Data))
		b.Run(fmt.Sprintf("batch/%d", leaves), func(b *testing.B) {
			for i := 0; i < b.N; i += x.Rows {
				e.Rows(x, dst, 1)
			}
		})
		b.Run(fmt.Sprintf("one/%d", leaves), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				e.Row(x.Row(i%x.Rows), dst)
			}
		})
	}
}
