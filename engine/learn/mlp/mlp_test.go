package mlp_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// rings is rows around the origin whose label no straight line can tell.
func rings(n int, seed uint64, task learner.Task) learner.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	x := table.NewMatrix(n, []string{"a", "b", "kind", "noise"})
	x.Levels = []int32{0, 0, 3, 0}
	y := make([]float64, n)
	for i := range y {
		a, b, kind := r.NormFloat64(), r.NormFloat64(), r.IntN(3)
		row := x.Row(i)
		row[0], row[1], row[2], row[3] = float32(100*a), float32(b), float32(kind), float32(r.NormFloat64())
		z := a*a + b*b - 1.5 + float64(kind-1)
		switch task {
		case learner.Binary:
			if z+.3*r.NormFloat64() > 0 {
				y[i] = 1
			}
		case learner.Multiclass:
			y[i] = math.Floor(min(max(z+1.5, 0), 2.99))
		default:
			y[i] = 1000 + 50*z + 5*r.NormFloat64()
		}
		if r.IntN(20) == 0 {
			row[1] = float32(math.NaN())
		}
	}
	return learner.Set{X: x, Y: y}
}

func fit(t *testing.T, p learner.Params, set learner.Set, task learner.Task, opt learner.Options) learner.Model {
	t.Helper()
	l, err := learn.New("mlp", p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, 3, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The network learns what is curved, gives the same bytes for any workers, and a stored one predicts the same.
func TestLearns(t *testing.T) {
	for task, most := range map[learner.Task]float64{learner.Binary: .35, learner.Multiclass: .45, learner.Regression: 350} {
		set, held := rings(1500, 1, task), rings(1000, 2, task)
		p := learner.Params{"hidden": []int{64, 64}, "epochs": 40, "label_smoothing": 0, "seed": 1}
		m := fit(t, p, set, task, learner.Options{Workers: 1})
		out := make([]float64, held.X.Rows*m.Outputs())
		m.Predict(held.X, out)
		loss := learner.MeanLoss(task, held.Y, out)
		t.Logf("%s: %v", task, loss)
		if !(loss < most) {
			t.Errorf("%s: the loss is %v, not below %v", task, loss, most)
		}
		one, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		three, err := fit(t, p, set, task, learner.Options{Workers: 3}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, three) {
			t.Errorf("%s: three workers give another network than one", task)
		}
		back, err := learn.Load(one)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float64, m.Outputs())
		for i := range 100 {
			back.PredictRow(held.X.Row(i), row)
			for k, v := range row {
				if v != out[i*len(row)+k] {
					t.Fatalf("%s: row %d: %v alone, %v in a batch", task, i, row, out[i*len(row):(i+1)*len(row)])
				}
			}
		}
	}
}

func BenchmarkFit(b *testing.B) {
	set := rings(4000, 1, learner.Binary)
	l, err := learn.New("mlp", learner.Params{"epochs": 5, "batch": 200, "activation": "relu", "validation_fraction": 0})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.Fit(context.Background(), set, learner.Binary, 2, learner.Options{Workers: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
