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

// golden is the form of testdata/golden.json.
type golden struct {
	Sets map[string]struct {
		X [][]*float64
		Y map[string][]float64
	}
	Cases []struct {
		Learner, Set, Label string
		Params              learner.Params
		Weights             []float64
		Coef                [][]float64
		Intercept           []float64
		Alpha               *float64
	}
}

func matrix(rows [][]*float64) *table.Matrix {
	names := make([]string, len(rows[0]))
	for j := range names {
		names[j] = fmt.Sprint("c", j)
	}
	x := table.NewMatrix(len(rows), names)
	for r, row := range rows {
		for j, v := range row {
			if x.Row(r)[j] = float32(math.NaN()); v != nil {
				x.Row(r)[j] = float32(*v)
			}
		}
	}
	return x
}

// Coefficients equal scikit-learn's (testdata/golden.py, scikit-learn 1.9.1), of which those without a closed form were
// stopped by a tolerance of 1e-13 to 1e-15.
func TestCoefficientsAgainstScikitLearn(t *testing.T) {
	var g golden
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range g.Cases {
		t.Run(fmt.Sprint(i, " ", c.Learner, " ", c.Set, " ", c.Label, " ", c.Params), func(t *testing.T) {
			set := learner.Set{X: matrix(g.Sets[c.Set].X), Y: g.Sets[c.Set].Y[c.Label]}
			task := map[string]learner.Task{"number": learner.Regression, "binary": learner.Binary, "multi": learner.Multiclass}[c.Label]
			tolerance := 1e-9
			if c.Learner == linear.Logistic {
				c.Params["tolerance"], c.Params["max_iterations"] = 1e-12, 20000
				tolerance = 1e-6
			} else if c.Alpha != nil {
				tolerance = 1e-6
			}
			l, err := linear.New(c.Learner, c.Params)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.Fit(context.Background(), set, task, len(c.Coef), learner.Options{Weights: c.Weights})
			if err != nil {
				t.Fatal(err)
			}
			got := m.(*linear.Model)
			if c.Alpha != nil && math.Abs(got.Alpha-*c.Alpha) > 1e-9**c.Alpha {
				t.Errorf("alpha is %v, scikit-learn chooses %v", got.Alpha, *c.Alpha)
			}
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
