package linear_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Coefficients equal scikit-learn's on the same standardised columns, with weights, with missing values at the mean
// and with a column of one value (testdata/golden.py, scikit-learn 1.9.1).
func TestCoefficientsAgainstScikitLearn(t *testing.T) {
	var golden struct {
		Cases []struct {
			Learner   string
			Classes   int
			L2        float64
			X         [][]*float64
			Y         []float64
			Weights   []float64
			Coef      [][]float64
			Intercept []float64
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
		t.Run(fmt.Sprint(i, c.Learner), func(t *testing.T) {
			x := table.NewMatrix(len(c.X), []string{"a", "b", "c", "d"})
			for r, row := range c.X {
				for j, v := range row {
					if x.Row(r)[j] = float32(math.NaN()); v != nil {
						x.Row(r)[j] = float32(*v)
					}
				}
			}
			task := map[int]learner.Task{0: learner.Regression, 2: learner.Binary, 3: learner.Multiclass}[c.Classes]
			p := learner.Params{"l2": c.L2}
			// scikit-learn's own solver stops at a gradient of 1e-12 of the mean loss; both minima agree to 1e-5.
			tolerance := 1e-9
			if c.Learner == linear.Logistic {
				p["tolerance"], p["max_iterations"] = 1e-10, 2000
				tolerance = 1e-5
			}
			l, err := linear.New(c.Learner, p)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.Fit(context.Background(), learner.Set{X: x, Y: c.Y}, task, c.Classes, learner.Options{Weights: c.Weights})
			if err != nil {
				t.Fatal(err)
			}
			got := m.(*linear.Model)
			for k := range c.Coef {
				for j, want := range c.Coef[k] {
					if math.Abs(got.Coef[k][j]-want) > tolerance*max(1, math.Abs(want)) {
						t.Errorf("coefficient %d of output %d is %v, scikit-learn says %v", j, k, got.Coef[k][j], want)
					}
				}
				if want := c.Intercept[k]; math.Abs(got.Intercept[k]-want) > tolerance*max(1, math.Abs(want)) {
					t.Errorf("intercept %d is %v, scikit-learn says %v", k, got.Intercept[k], want)
				}
			}
		})
	}
}

// Without a penalty a column that repeats another must not end the fit in NaN.
func TestDependentColumns(t *testing.T) {
	x := table.NewMatrix(50, []string{"a", "again", "b"})
	y := make([]float64, 50)
	for i := range y {
		a, b := float32(i%7), float32(i%3)
		copy(x.Row(i), []float32{a, 2 * a, b})
		y[i] = 3*float64(a) - float64(b) + 5
	}
	l, err := linear.New(linear.Linear, learner.Params{"l2": 0})
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, 50)
	m.Predict(x, got)
	for i := range y {
		if math.Abs(got[i]-y[i]) > 1e-9 {
			t.Fatalf("row %d: %v, not %v", i, got[i], y[i])
		}
	}
}
