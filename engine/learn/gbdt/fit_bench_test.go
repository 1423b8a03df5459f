package gbdt

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// BenchmarkFit trains on a dense set with a smooth score; its profile tells where training spends its time.
func BenchmarkFit(b *testing.B) {
	const rows, columns = 300_000, 28
	r := rand.New(rand.NewPCG(1, 1))
	x := table.NewMatrix(rows, make([]string, columns))
	y := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		var z float64
		for j := range row {
			v := r.NormFloat64()
			row[j] = float32(v)
			z += math.Sin(v*float64(j%5+1)) / 4
		}
		z += float64(row[0]*row[1]) - math.Abs(float64(row[2]))
		if r.Float64() < 1/(1+math.Exp(-z)) {
			y[i] = 1
		}
	}
	for _, leaves := range []int{31, 255} {
		b.Run(fmt.Sprint(leaves, " leaves"), func(b *testing.B) {
			l, err := New(learner.Params{"rounds": 50, "leaves": leaves, "l2": 1})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := l.Fit(context.Background(), learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{Workers: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
