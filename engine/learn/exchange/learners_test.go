package exchange

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// TestWritesLearnersAsONNX runs naive Bayes and networks here as their graphs: numbers with gaps and infinities, few
// categories and many, unseen ones, and a class that no row of weight has.
func TestWritesLearnersAsONNX(t *testing.T) {
	const rows, levels = 400, 60
	r := rand.New(rand.NewPCG(3, 9))
	draw := func(odd bool) *table.Matrix {
		m := table.NewMatrix(rows, []string{"a", "b", "few", "many"})
		m.Levels = []int32{0, 0, 4, levels}
		for i := range rows {
			row := m.Row(i)
			row[0], row[1], row[2], row[3] = float32(r.NormFloat64()), float32(100+r.ExpFloat64()), float32(r.IntN(4)), float32(r.IntN(levels))
			for j := range row {
				if r.IntN(7) == 0 {
					row[j] = float32(math.NaN())
				}
			}
			if odd && i%5 == 0 {
				row[r.IntN(4)] = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), -1, 2.5, 99, 1e30, 0}[r.IntN(7)]
			}
		}
		return m
	}
	train, test := draw(false), draw(true)
	for _, c := range []struct {
		name   string
		params learn.Params
		task   learn.Task
	}{
		{"naive_bayes", nil, learn.Binary}, {"naive_bayes", nil, learn.Multiclass},
		{"mlp", learn.Params{"epochs": 2, "hidden": []any{8, 8}}, learn.Binary},
		{"mlp", learn.Params{"epochs": 2, "hidden": []any{8}, "activation": "selu"}, learn.Multiclass},
		{"mlp", learn.Params{"epochs": 2, "hidden": []any{8}, "activation": "relu"}, learn.Regression},
	} {
		name := fmt.Sprintf("%s %s", c.name, c.task)
		l, err := learn.New(c.name, c.params)
		if err != nil {
			t.Fatal(err)
		}
		y, w := make([]float64, rows), make([]float64, rows)
		for i := range y {
			w[i] = 1 + float64(i%3)
			switch c.task {
			case learn.Binary:
				y[i] = float64(r.IntN(2))
			case learn.Multiclass:
				if y[i] = float64(r.IntN(3)); y[i] == 2 && c.name == "naive_bayes" {
					w[i] = 0
				}
			default:
				y[i] = 50 + r.NormFloat64()
			}
		}
		m, err := l.Fit(context.Background(), learn.Set{X: train, Y: y}, c.task, 3, learn.Options{Seed: 1, Weights: w})
		if err != nil {
			t.Fatal(name, err)
		}
		file, err := Write(ONNX, m, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		x := make([]float64, len(test.Data))
		for i, v := range test.Data {
			x[i] = float64(v)
		}
		want := make([]float64, rows*m.Outputs())
		m.Predict(test, want)
		if c.task == learn.Binary {
			both := make([]float64, 0, 2*len(want))
			for _, p := range want {
				both = append(both, 1-p, p)
			}
			want = both
		}
		hold(t, name, evaluate(t, file, x, rows), want, 1e-5)
	}
}
