package preset_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// shops is rows of a shop among many, each with a level of its own, a day and a number with gaps.
func shops(rows int, seed uint64) (*table.Matrix, []float64) {
	const levels = 300
	r := rand.New(rand.NewPCG(seed, 3))
	level := make([]float64, levels)
	for i := range level {
		level[i] = 1.5 * rand.New(rand.NewPCG(7, uint64(i))).NormFloat64()
	}
	x := table.NewMatrix(rows, []string{"shop", "day", "size"})
	x.Levels = []int32{levels, 7, 0}
	z := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		shop := r.IntN(levels)
		row[0], row[1], row[2] = float32(shop), float32(r.IntN(7)), float32(r.NormFloat64())
		z[i] = level[shop] + math.Sin(float64(row[1])) + .7*float64(row[2])
		if r.IntN(10) == 0 {
			row[2] = float32(math.NaN())
		}
	}
	return x, z
}

func labels(task learner.Task, z []float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 5))
	y := make([]float64, len(z))
	for i, v := range z {
		switch task {
		case learner.Binary:
			if r.Float64() < 1/(1+math.Exp(-v)) {
				y[i] = 1
			}
		case learner.Multiclass:
			y[i] = math.Floor(min(max(v+r.NormFloat64()+1.5, 0), 2.999))
		default:
			y[i] = v + .5*r.NormFloat64()
		}
	}
	return y
}

func fit(t *testing.T, name string, set learner.Set, task learner.Task, opt learner.Options) *preset.Model {
	t.Helper()
	l, err := learn.New(name, learner.Params{"seed": 3})
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, 3, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*preset.Model)
}

// A preset beats the plain booster on rows it has not seen, its report holds the baselines, and the same seed gives
// the same bytes for any workers.
func TestBeatsPlainBoosting(t *testing.T) {
	for _, task := range []learner.Task{learner.Binary, learner.Multiclass, learner.Regression} {
		x, z := shops(2500, 1)
		set := learner.Set{X: x, Y: labels(task, z, 1)}
		xt, zt := shops(2500, 2)
		yt := labels(task, zt, 2)
		loss := func(m learner.Model) float64 {
			p := make([]float64, xt.Rows*m.Outputs())
			m.Predict(xt, p)
			return learner.MeanLoss(task, yt, p)
		}
		m := fit(t, preset.Fast, set, task, learner.Options{Workers: 1})
		plain, err := learn.New("gbdt", nil)
		if err != nil {
			t.Fatal(err)
		}
		base, err := plain.Fit(context.Background(), set, task, 3, learner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: preset %.4f, plain %.4f, report %+v", task, loss(m), loss(base), m.Report)
		if loss(m) > loss(base) {
			t.Errorf("%s: the preset's loss is %v, plain boosting's %v", task, loss(m), loss(base))
		}
		if n := len(m.Report.Scores); n < 3 || m.Report.Scores[n-1].Name != "dummy" {
			t.Errorf("%s: the report is %+v", task, m.Report)
		}
		one, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again, err := fit(t, preset.Fast, set, task, learner.Options{Workers: 2}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, again) {
			t.Errorf("%s: two workers give another model than one", task)
		}
		back, err := learn.Load(one)
		if err != nil {
			t.Fatal(err)
		}
		p, q := make([]float64, m.Outputs()), make([]float64, m.Outputs()*xt.Rows)
		back.Predict(xt, q)
		for i := range 200 {
			m.PredictRow(xt.Row(i), p)
			for k, v := range p {
				if math.Abs(v-q[i*len(p)+k]) > 1e-12 {
					t.Fatalf("%s: row %d: %v alone, %v in the loaded model's batch", task, i, p, q[i*len(p):(i+1)*len(p)])
				}
			}
		}
	}
}

func TestFewRows(t *testing.T) {
	x, z := shops(4, 1)
	m := fit(t, preset.Good, learner.Set{X: x, Y: z}, learner.Regression, learner.Options{})
	if len(m.Report.Notes) == 0 || len(m.Members) != 1 {
		t.Errorf("%+v", m.Report)
	}
}

func TestGoodKeepsEveryFold(t *testing.T) {
	x, z := shops(600, 1)
	m := fit(t, preset.Good, learner.Set{X: x, Y: labels(learner.Binary, z, 1)}, learner.Binary, learner.Options{})
	if len(m.Members)%5 != 0 {
		t.Errorf("%d members", len(m.Members))
	}
	var sum float64
	for _, c := range m.Members {
		sum += c.Weight
	}
	if math.Abs(sum-1) > 1e-12 {
		t.Errorf("weights sum to %v", sum)
	}
}
