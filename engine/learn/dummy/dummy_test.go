package dummy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/dummy"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func fit(p learner.Params, y, weights []float64, task learner.Task, classes int) (learner.Model, error) {
	l, err := dummy.New(p)
	if err != nil {
		return nil, err
	}
	return l.Fit(context.Background(), learner.Set{X: table.NewMatrix(len(y), []string{"a"}), Y: y}, task, classes, learner.Options{Weights: weights})
}

// Predictions equal scikit-learn's (testdata/golden.py, scikit-learn 1.9.1).
func TestAgainstScikitLearn(t *testing.T) {
	var golden struct {
		Cases []struct {
			Params        learner.Params
			Y, Weights, P []float64
			Classes       int
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
		task := learner.Regression
		if c.Classes > 0 {
			task = learner.Multiclass
		}
		m, err := fit(c.Params, c.Y, c.Weights, task, c.Classes)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, m.Outputs())
		m.PredictRow([]float32{7}, got)
		for k, v := range got {
			if math.Abs(v-c.P[k]) > 1e-12*max(1, math.Abs(v)) {
				t.Errorf("case %d, %v, %d rows, weights %v: %v, scikit-learn says %v", i, c.Params, len(c.Y), c.Weights, got, c.P)
				break
			}
		}
	}
}

// Stratified draws classes by their shares, and the same for the same row.
func TestStratified(t *testing.T) {
	for task, y := range map[learner.Task][]float64{learner.Binary: {0, 1, 1, 1}, learner.Multiclass: {0, 2, 2, 2}} {
		m, err := fit(learner.Params{"strategy": "stratified"}, y, nil, task, 3)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 20_000
		x := table.NewMatrix(rows, []string{"a"})
		for i := range x.Data {
			x.Data[i] = float32(i)
		}
		k := m.Outputs()
		p, again := make([]float64, rows*k), make([]float64, rows*k)
		m.Predict(x, p)
		m.Predict(x, again)
		var share float64
		for i := range rows {
			share += p[i*k+k-1] / rows
		}
		if fmt.Sprint(p) != fmt.Sprint(again) || math.Abs(share-0.75) > 4*math.Sqrt(0.75*0.25/rows) {
			t.Errorf("%s: drawn in %v of the rows, the class has 0.75", task, share)
		}
	}
}

func TestStrategiesOfTheTask(t *testing.T) {
	for _, c := range []struct {
		p    learner.Params
		task learner.Task
	}{
		{learner.Params{"strategy": "mean"}, learner.Binary},
		{learner.Params{"strategy": "prior"}, learner.Regression},
		{learner.Params{"strategy": "constant", "constant": 2}, learner.Binary},
		{learner.Params{"strategy": "constant", "constant": 0.5}, learner.Binary},
		{learner.Params{"strategy": "best"}, learner.Binary},
	} {
		if _, err := fit(c.p, []float64{0, 1}, nil, c.task, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v for %s: %v", c.p, c.task, err)
		}
	}
}
