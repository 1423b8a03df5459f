package neighbours_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/neighbours"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func matrix(rows [][]float32) *table.Matrix {
	x := table.NewMatrix(len(rows), make([]string, len(rows[0])))
	for i, r := range rows {
		copy(x.Row(i), r)
	}
	return x
}

func fit(t *testing.T, p learner.Params, set learner.Set, task learner.Task, opt learner.Options) learner.Model {
	t.Helper()
	l, err := neighbours.New(p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, 3, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Predictions equal scikit-learn's (testdata/golden.py, scikit-learn 1.9.1), which keeps standardised rows in float64: ours are
// rounded to float32, which moves distances by 1e-7.
func TestAgainstScikitLearn(t *testing.T) {
	var golden struct {
		Cases []struct {
			Params  learner.Params
			X, Q    [][]float32
			Y       map[string][]float64
			Answers struct {
				Number        []float64
				Binary, Multi [][]float64
			}
		}
	}
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	var x, q *table.Matrix
	var y map[string][]float64
	for i, c := range golden.Cases {
		if c.X != nil {
			x, q, y = matrix(c.X), matrix(c.Q), c.Y
		}
		t.Run(fmt.Sprint(i, c.Params), func(t *testing.T) {
			for name, task := range map[string]learner.Task{"number": learner.Regression, "binary": learner.Binary, "multi": learner.Multiclass} {
				m := fit(t, c.Params, learner.Set{X: x, Y: y[name]}, task, learner.Options{})
				got := make([]float64, q.Rows*m.Outputs())
				m.Predict(q, got)
				for i, v := range got {
					want := 0.0
					switch k := m.Outputs(); name {
					case "number":
						want = c.Answers.Number[i]
					case "binary":
						want = c.Answers.Binary[i][1]
					default:
						want = c.Answers.Multi[i/k][i%k]
					}
					if math.Abs(v-want) > 1e-6*max(1, math.Abs(want)) {
						t.Errorf("%s %d: %v, scikit-learn says %v", name, i, v, want)
					}
				}
			}
		})
	}
}

// Rows of different categories are 1 apart, like rows 1 standard deviation apart in a number.
func TestCategoriesAndGaps(t *testing.T) {
	nan := float32(math.NaN())
	x := matrix([][]float32{{0, -1}, {1, -1}, {2, 1}, {nan, 1}})
	x.Levels = []int32{3, 0}
	for _, metric := range []string{"euclidean", "manhattan"} {
		m := fit(t, learner.Params{"k": 1, "metric": metric}, learner.Set{X: x, Y: []float64{10, 20, 30, 40}}, learner.Regression, learner.Options{})
		for _, c := range []struct {
			row  []float32
			want float64
		}{
			{[]float32{1, -1}, 20}, {[]float32{nan, 0.9}, 40}, {[]float32{2, 0.1}, 30},
			{[]float32{2, -0.1}, 30}, // 0.9 off in the number and right in the category
			{[]float32{7, -1}, 10},   // unseen: as far from every category, the first row wins
		} {
			got := make([]float64, 1)
			if m.PredictRow(c.row, got); got[0] != c.want {
				t.Errorf("%s: %v is nearest to %v, not %v", metric, c.row, got[0], c.want)
			}
		}
	}
}

// A row's weight multiplies its vote; rows without weight are not there.
func TestWeights(t *testing.T) {
	x := matrix([][]float32{{0}, {1}, {2}, {3}})
	m := fit(t, learner.Params{"k": 2, "standardise": false}, learner.Set{X: x, Y: []float64{0, 1, 1, 0}}, learner.Binary, learner.Options{Weights: []float64{3, 1, 0, 1}})
	for at, want := range map[float32]float64{0: 0.25, 2: 0.5, 3: 0.5} {
		got := make([]float64, 1)
		if m.PredictRow([]float32{at}, got); got[0] != want {
			t.Errorf("at %v: %v, not %v", at, got[0], want)
		}
	}
}
