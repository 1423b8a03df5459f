package bayes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/bayes"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Probabilities equal scikit-learn's (testdata/golden.py, scikit-learn 1.9.1).
func TestAgainstScikitLearn(t *testing.T) {
	var golden struct {
		Cases []struct {
			Params  learner.Params
			Classes int
			X       [][]float32
			Levels  []int32
			Y       []float64
			Weights []float64
			P       [][]float64
		}
	}
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		t.Run(fmt.Sprint(i, c.Params), func(t *testing.T) {
			x := table.NewMatrix(len(c.X), make([]string, len(c.X[0])))
			x.Levels = c.Levels
			for r, row := range c.X {
				copy(x.Row(r), row)
			}
			task := learner.Multiclass
			if c.Classes == 2 {
				task = learner.Binary
			}
			l, err := bayes.New(c.Params)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.Fit(context.Background(), learner.Set{X: x, Y: c.Y}, task, c.Classes, learner.Options{Weights: c.Weights})
			if err != nil {
				t.Fatal(err)
			}
			k := m.Outputs()
			got := make([]float64, x.Rows*k)
			m.Predict(x, got)
			for i, p := range got {
				want := c.P[i/k][i%k]
				if k == 1 {
					want = c.P[i][1]
				}
				if math.Abs(p-want) > 1e-10 {
					t.Fatalf("row %d: %v, scikit-learn says %v", i/k, p, want)
				}
			}
		})
	}
}

// What is missing or unseen says nothing: the prior is left.
func TestNothingKnown(t *testing.T) {
	nan := float32(math.NaN())
	x := table.NewMatrix(8, []string{"a", "c"})
	x.Levels = []int32{0, 2}
	y := make([]float64, 8)
	for i := range 8 {
		x.Row(i)[0], x.Row(i)[1] = float32(i*i), float32(i%2)
		if i < 2 {
			y[i] = 1
		}
	}
	l, err := bayes.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, 1)
	for _, row := range [][]float32{{nan, nan}, {nan, 2}, {nan, -1}} {
		if m.PredictRow(row, got); math.Abs(got[0]-0.25) > 1e-15 {
			t.Errorf("%v: %v, not the share of 0.25", row, got[0])
		}
	}
}
