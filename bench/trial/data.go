package trial

import (
	"math"
	"math/rand/v2"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Particles is a dense set of 28 numbers like those of the Higgs data: normal, skewed and correlated columns, and a
// label from a smooth non-linear score with interactions. The score is the same for every seed.
func Particles(rows int, seed uint64) learn.Set {
	const columns, hidden = 28, 12
	shape := rand.New(rand.NewPCG(7, 7))
	var weights [hidden][columns]float64
	var out [hidden]float64
	for k := range weights {
		for j := range weights[k] {
			if shape.Float64() < 0.25 {
				weights[k][j] = shape.NormFloat64()
			}
		}
		out[k] = shape.NormFloat64()
	}
	r := rand.New(rand.NewPCG(7, seed))
	x := table.NewMatrix(rows, make([]string, columns))
	y := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		for j := range row {
			row[j] = float32(r.NormFloat64())
		}
		row[5] = float32(math.Exp(0.6 * float64(row[5])))
		row[9] = float32(math.Abs(float64(row[9])))
		row[13] = row[13]/2 + row[2]/2
		var z float64
		for k := range weights {
			var h float64
			for j, v := range row {
				h += weights[k][j] * float64(v)
			}
			z += out[k] * math.Tanh(h/1.5)
		}
		z += 0.8*float64(row[0]*row[1]) - 0.6*math.Abs(float64(row[3])) + 0.5*math.Sin(2*float64(row[7]))*float64(row[8])
		if r.Float64() < 1/(1+math.Exp(-z/2)) {
			y[i] = 1
		}
	}
	return learn.Set{X: x, Y: y}
}
