package gbdt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/gbdt"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// every is a set for each objective, with the parameters that choose it.
var every = []struct{ objective, labels string }{
	{"l2", "number"}, {"l1", "number"}, {"quantile", "number"}, {"huber", "number"}, {"poisson", "count"},
	{"gamma", "amount"}, {"tweedie", "sparse"}, {"logistic", "binary"}, {"softmax", "class"}, {"lambdarank", "grade"},
}

func eachObjective(t *testing.T, check func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int)) {
	for _, e := range every {
		t.Run(e.objective, func(t *testing.T) {
			t.Parallel()
			task, classes := taskOf(e.objective)
			p := learner.Params{"objective": e.objective}
			for k, v := range goldenParams[e.objective] {
				p[k] = v
			}
			check(t, p, makeGolden(e.labels, 5, 0).set, task, classes)
		})
	}
}

func with(p learner.Params, more ...any) learner.Params {
	out := learner.Params{}
	for k, v := range p {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

func encoded(t testing.TB, m *gbdt.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tiled is the set n times over, so that it is larger than every piece work is cut into.
func tiled(s learner.Set, n int) learner.Set {
	var rows []int
	for range n {
		for i := range s.Y {
			rows = append(rows, i)
		}
	}
	out := learner.Set{X: s.X.Take(rows), Y: make([]float64, len(rows))}
	for i, r := range rows {
		out.Y[i] = s.Y[r]
		if s.Query != nil {
			out.Query = append(out.Query, s.Query[r]+int32(1e6*(i/len(s.Y))))
		}
	}
	return out
}

func TestObjectivesGiveTheSameBytes(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		set = tiled(set, 5)
		weights := make([]float64, len(set.Y))
		for i := range weights {
			weights[i] = float64(i%5) / 2
		}
		for _, c := range []struct {
			p       learner.Params
			w       []float64
			workers []int
		}{
			{with(p, "rounds", 2), nil, []int{2, 3, 8}},
			{with(p, "rounds", 2, "early_stopping_rounds", 2, "subsample", 0.7), weights, []int{3}},
			{with(p, "rounds", 2, "boosting", "rf", "subsample", 0.5), nil, []int{3}},
		} {
			one := encoded(t, fit(t, c.p, set, task, classes, learner.Options{Workers: 1, Seed: 3, Weights: c.w}))
			for _, workers := range c.workers {
				if !bytes.Equal(one, encoded(t, fit(t, c.p, set, task, classes, learner.Options{Workers: workers, Seed: 3, Weights: c.w}))) {
					t.Errorf("%v: %d workers give other bytes than one", c.p, workers)
				}
			}
		}
	})
}

// The loss falls, what is told of it is what the model has, and a fit ends at the round it is told to end at.
func TestProgressCancelAndPrune(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		l, err := gbdt.New(with(p, "rounds", 8))
		if err != nil {
			t.Fatal(err)
		}
		var told []float64
		var valid []float64
		opt := learner.Options{Valid: &set, Curve: func(done, total int, loss, v float64) {
			if done != len(told)+1 || total != 8 {
				t.Errorf("told %d of %d after %d rounds", done, total, len(told))
			}
			told, valid = append(told, loss), append(valid, v)
		}}
		m, err := l.Fit(context.Background(), set, task, classes, opt)
		if err != nil {
			t.Fatal(err)
		}
		if len(told) != 8 || told[7] >= told[0] {
			t.Errorf("losses %v", told)
		}
		for i := range told {
			if math.Abs(told[i]-valid[i]) > 1e-6*(1+math.Abs(told[i])) {
				t.Errorf("round %d: loss %v in training, %v on the same rows as validation", i+1, told[i], valid[i])
			}
		}
		out := make([]float64, len(set.Y)*m.Outputs())
		m.Predict(set.X, out)
		objective := p["objective"].(string)
		if got := lossOf(objective, set, out); math.Abs(got-told[7]) > 1e-6*(1+math.Abs(got)) {
			t.Errorf("the model's loss is %v, the last one told %v", got, told[7])
		}

		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		rounds := 0
		_, err = l.Fit(ctx, set, task, classes, learner.Options{Progress: func(done, _ int, _ float64) {
			if rounds = done; done == 2 {
				cancel()
			}
		}})
		if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) || rounds > 3 {
			t.Errorf("canceled: %v after %d rounds", err, rounds)
		}
		_, err = l.Fit(context.Background(), set, task, classes, learner.Options{Prune: func(done, _ int, _, _ float64) bool {
			rounds = done
			return done == 3
		}})
		if !errors.Is(err, learner.ErrPruned) || rounds != 3 {
			t.Errorf("pruned: %v after %d rounds", err, rounds)
		}
	})
}

// A forest's loss is told as its mean of trees has it.
func TestForestTellsItsLoss(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		var train, valid float64
		m := fit(t, with(p, "rounds", 5, "boosting", "rf", "subsample", 0.6), set, task, classes, learner.Options{
			Valid: &set, Curve: func(_, _ int, l, v float64) { train, valid = l, v }})
		out := make([]float64, len(set.Y)*m.Outputs())
		m.Predict(set.X, out)
		got := lossOf(p["objective"].(string), set, out)
		if !m.Average || math.Abs(got-train) > 1e-7*(1+math.Abs(got)) || math.Abs(got-valid) > 1e-7*(1+math.Abs(got)) {
			t.Errorf("average %v, loss %v, told %v and %v", m.Average, got, train, valid)
		}
	})
}

// Rounds and then more rounds are as many rounds at once, to the byte.
func TestGoingOn(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		for name, more := range map[string]learner.Params{
			"plain": {}, "sampled": {"subsample": 0.6, "colsample": 0.5}, "forest": {"boosting": "rf", "subsample": 0.6},
		} {
			for k, v := range p {
				more[k] = v
			}
			opt := learner.Options{Seed: 4}
			whole := fit(t, with(more, "rounds", 6), set, task, classes, opt)
			first := fit(t, with(more, "rounds", 3), set, task, classes, opt)
			l, err := gbdt.New(with(more, "rounds", 3))
			if err != nil {
				t.Fatal(err)
			}
			l.Init = first
			second, err := l.Fit(context.Background(), set, task, classes, opt)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encoded(t, whole), encoded(t, second.(*gbdt.Model))) {
				t.Errorf("%s: other bytes than in one go", name)
			}
			if len(first.Trees)*2 != len(whole.Trees) {
				t.Errorf("%s: the model gone on from was changed", name)
			}
		}
	})
}

func TestGoingOnFromAnotherModel(t *testing.T) {
	numbers, classes := makeGolden("number", 5, 0).set, makeGolden("class", 5, 0).set
	counts, renamed := makeGolden("count", 5, 0).set, makeGolden("number", 5, 0).set
	renamed.X.Names = []string{"a", "b", "c", "d", "e", "f", "g"}
	for name, c := range map[string]struct {
		init    *gbdt.Model
		params  learner.Params
		message string
	}{
		"task":     {fit(t, learner.Params{"rounds": 1}, classes, learner.Multiclass, 4, learner.Options{}), nil, "4 outputs and link softmax"},
		"link":     {fit(t, learner.Params{"rounds": 1, "objective": "poisson"}, counts, learner.Regression, 0, learner.Options{}), nil, "link exp"},
		"boosting": {fit(t, learner.Params{"rounds": 1}, numbers, learner.Regression, 0, learner.Options{}), learner.Params{"boosting": "rf", "subsample": 0.5}, "cannot go on"},
		"names":    {fit(t, learner.Params{"rounds": 1}, renamed, learner.Regression, 0, learner.Options{}), nil, "has other features"},
	} {
		l, err := gbdt.New(c.params)
		if err != nil {
			t.Fatal(err)
		}
		l.Init = c.init
		if _, err := l.Fit(context.Background(), numbers, learner.Regression, 0, learner.Options{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without validation rows some are held out; the refit takes 1.1 times the best rounds of the search on all rows.
func TestHeldOutRows(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		stop := with(p, "rounds", 60, "early_stopping_rounds", 3, "learning_rate", 0.4, "leaves", 12)
		var curve []float64
		opt := learner.Options{Seed: 2, Curve: func(done, _ int, _, v float64) {
			if done != len(curve)+1 || math.IsNaN(v) {
				t.Errorf("round %d after %d, validation loss %v", done, len(curve), v)
			}
			curve = append(curve, v)
		}}
		search := fit(t, with(stop, "refit", false), set, task, classes, opt)
		best := 0
		for i, v := range curve {
			if v < curve[best] {
				best = i
			}
		}
		if search.Rounds() != best+1 || len(curve) != min(best+4, 60) {
			t.Errorf("%d rounds kept, %d run, the best was round %d", search.Rounds(), len(curve), best+1)
		}
		whole := fit(t, with(p, "rounds", int(math.Ceil(1.1*float64(best+1))), "learning_rate", 0.4, "leaves", 12), set, task, classes, learner.Options{Seed: 2})
		curve = nil
		if refit := fit(t, stop, set, task, classes, opt); !bytes.Equal(encoded(t, refit), encoded(t, whole)) {
			t.Errorf("the refit has %d rounds, not %d, or other trees", refit.Rounds(), whole.Rounds())
		}
	})
}

// Every metric stops somewhere, and min_delta stops earlier.
func TestMetricsStop(t *testing.T) {
	for _, c := range []struct {
		labels  string
		task    learner.Task
		classes int
		extra   []string
	}{
		{"binary", learner.Binary, 2, nil}, {"class", learner.Multiclass, 4, nil}, {"amount", learner.Regression, 0, nil},
		{"grade", learner.Ranking, 0, []string{"ndcg@3"}},
	} {
		set, valid := makeGolden(c.labels, 5, 0).set, makeGolden(c.labels, 6, 0).set
		for _, metric := range append(gbdt.Metrics(c.task), c.extra...) {
			p := learner.Params{"rounds": 40, "early_stopping_rounds": 4, "learning_rate": 0.5, "leaves": 12, "metric": metric}
			m := fit(t, p, set, c.task, c.classes, learner.Options{Valid: &valid})
			if m.Rounds() < 1 || m.Rounds() > 36 {
				t.Errorf("%s %s: %d rounds", c.task, metric, m.Rounds())
			}
			if n := fit(t, with(p, "min_delta", 1e6), set, c.task, c.classes, learner.Options{Valid: &valid}).Rounds(); n != 1 {
				t.Errorf("%s %s: %d rounds although nothing is better by a million", c.task, metric, n)
			}
		}
	}
}

// The weights of classes are weights of their rows.
func TestClassWeights(t *testing.T) {
	binary, classes := makeGolden("binary", 5, 0).set, makeGolden("class", 5, 0).set
	own := make([]float64, len(binary.Y))
	for i := range own {
		own[i] = float64(1 + i%3)
	}
	weights := func(set learner.Set, of []float64) []float64 {
		out := make([]float64, len(set.Y))
		for i, y := range set.Y {
			out[i] = of[int(y)] * own[i]
		}
		return out
	}
	balanced := make([]float64, 4)
	for _, y := range classes.Y {
		balanced[int(y)]++
	}
	for k, n := range balanced {
		balanced[k] = float64(len(classes.Y)) / (4 * n)
	}
	for _, c := range []struct {
		p       learner.Params
		set     learner.Set
		task    learner.Task
		classes int
		of      []float64
	}{
		{learner.Params{"scale_pos_weight": 3.0}, binary, learner.Binary, 2, []float64{1, 3}},
		{learner.Params{"class_weight": []any{2, 0.5}}, binary, learner.Binary, 2, []float64{2, 0.5}},
		{learner.Params{"class_weight": map[string]any{"1": 4}}, binary, learner.Binary, 2, []float64{1, 4}},
		{learner.Params{"class_weight": "balanced"}, classes, learner.Multiclass, 4, balanced},
		{learner.Params{"class_weight": map[int]float64{2: 0, 0: 2}}, classes, learner.Multiclass, 4, []float64{2, 1, 0, 1}},
	} {
		got := fit(t, with(c.p, "rounds", 3), c.set, c.task, c.classes, learner.Options{Weights: own})
		want := fit(t, learner.Params{"rounds": 3}, c.set, c.task, c.classes, learner.Options{Weights: weights(c.set, c.of)})
		if !bytes.Equal(encoded(t, got), encoded(t, want)) {
			t.Errorf("%v: not the model of weights %v", c.p, c.of)
		}
		l, err := gbdt.New(c.p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := gbdt.New(l.Params())
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprint(l.Params()), fmt.Sprint(again.Params()); a != b {
			t.Errorf("parameters %s become %s", a, b)
		}
	}
}

func TestRefusedParameters(t *testing.T) {
	numbers, classes := makeGolden("number", 5, 0).set, makeGolden("class", 5, 0).set
	for message, c := range map[string]struct {
		p       learner.Params
		set     learner.Set
		task    learner.Task
		classes int
	}{
		`objective cannot be "poison"`:                   {learner.Params{"objective": "poison"}, numbers, learner.Regression, 0},
		"objective poisson needs labels at least 0":      {learner.Params{"objective": "poisson"}, numbers, learner.Regression, 0},
		"objective logistic is not one for a regression": {learner.Params{"objective": "logistic"}, numbers, learner.Regression, 0},
		"objective l1 is not one for a multiclass":       {learner.Params{"objective": "l1"}, classes, learner.Multiclass, 4},
		"alpha of objective quantile must be below 1":    {learner.Params{"objective": "quantile", "alpha": 3}, numbers, learner.Regression, 0},
		"metric auc is not one for a regression":         {learner.Params{"metric": "auc"}, numbers, learner.Regression, 0},
		`metric cannot be "ndcg@0"`:                      {learner.Params{"metric": "ndcg@0"}, numbers, learner.Regression, 0},
		"metric ndcg@5 is not one for a regression":      {learner.Params{"metric": "ndcg@5"}, numbers, learner.Regression, 0},
		"boosting rf grows the same tree every round":    {learner.Params{"boosting": "rf"}, numbers, learner.Regression, 0},
		"class_weight is for classes":                    {learner.Params{"class_weight": "balanced"}, numbers, learner.Regression, 0},
		"class_weight has 5 weights for 4 classes":       {learner.Params{"class_weight": []float64{1, 1, 1, 1, 1}}, classes, learner.Multiclass, 4},
		"class_weight must be balanced, a list or a map": {learner.Params{"class_weight": "even"}, classes, learner.Multiclass, 4},
		"class_weight names the class x":                 {learner.Params{"class_weight": map[string]any{"x": 1}}, classes, learner.Multiclass, 4},
		"class_weight gives class 1 the weight -2":       {learner.Params{"class_weight": map[string]any{"1": -2}}, classes, learner.Multiclass, 4},
		"scale_pos_weight is for binary tasks":           {learner.Params{"scale_pos_weight": 2}, classes, learner.Multiclass, 4},
		"needs labels above 0":                           {learner.Params{"objective": "l2", "metric": "gamma", "early_stopping_rounds": 3}, numbers, learner.Regression, 0},
	} {
		l, err := gbdt.New(c.p)
		if err == nil {
			_, err = l.Fit(context.Background(), c.set, c.task, c.classes, learner.Options{})
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), message) {
			t.Errorf("%v: %v, not %q", c.p, err, message)
		}
	}
}

// Labels, weights and values of any size give predictions that are numbers.
func TestExtremeLabels(t *testing.T) {
	for _, e := range every[:7] {
		set := makeGolden(e.labels, 5, 0).set
		for i := range set.Y {
			if set.Y[i] = math.Abs(set.Y[i]) + 1e-30; i%50 == 0 {
				set.Y[i] = 1e25
			} else if i%51 == 0 {
				set.Y[i] = 1e-300
			}
		}
		weights := make([]float64, len(set.Y))
		for i := range weights {
			weights[i] = math.Pow(10, float64(i%25)-12)
		}
		for _, w := range [][]float64{nil, weights} {
			m := fit(t, learner.Params{"objective": e.objective, "rounds": 20, "learning_rate": 1, "l2": 0, "alpha": 0.5}, set, learner.Regression, 0, learner.Options{Weights: w})
			p := make([]float64, len(set.Y))
			m.Predict(set.X, p)
			for i, v := range p {
				if math.IsNaN(v) {
					t.Fatalf("%s: prediction %d is %v", e.objective, i, v)
				}
			}
		}
	}
}

// fourth is an objective of a user's: (m-y)⁴/4 for numbers, or the same towards 1 for the own class among several.
type fourth struct {
	outputs int
	spoilt  bool
}

func (fourth) Name() string                              { return "fourth" }
func (fourth) Link() tree.Link                           { return tree.Identity }
func (o fourth) Outputs(learner.Task, int) (int, error)  { return o.outputs, nil }
func (o fourth) Bind(rows gbdt.Rows) (gbdt.Bound, error) { return fourthBound{rows, o}, nil }

type fourthBound struct {
	gbdt.Rows
	fourth
}

func (b fourthBound) Base() []float64 { return make([]float64, b.Rows.Outputs) }

func (b fourthBound) target(i, k int) float64 {
	switch {
	case b.outputs == 1:
		return b.Y[i]
	case int(b.Y[i]) == k:
		return 1
	}
	return 0
}

func (b fourthBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i := range margins {
		d := margins[i] - b.target(lo+i/b.outputs, i%b.outputs)
		grads[2*i], grads[2*i+1] = float32(d*d*d), float32(3*d*d)
		if b.spoilt && lo+i/b.outputs == 2345 {
			grads[2*i] = float32(math.NaN())
		}
	}
}

func (b fourthBound) Losses(lo, hi int, margins, losses []float64) {
	clear(losses)
	for i := range margins {
		d := margins[i] - b.target(lo+i/b.outputs, i%b.outputs)
		losses[i/b.outputs] += d * d * d * d / 4
	}
}

// median is a metric of a user's: half of the errors are below it.
type median struct{ asked *int }

func (median) Name() string { return "median" }
func (median) Higher() bool { return false }
func (m median) Measure(set *learner.Set, _, p []float64) float64 {
	*m.asked++
	return math.Abs(p[0] - set.Y[0])
}

func TestObjectiveAndMetricOfTheUser(t *testing.T) {
	numbers, classes := makeGolden("number", 5, 0).set, makeGolden("class", 5, 0).set
	learn := func(o gbdt.Objective, set learner.Set, task learner.Task, workers int) (learner.Model, []float64, error) {
		l, err := gbdt.New(learner.Params{"rounds": 10, "learning_rate": 0.3})
		if err != nil {
			t.Fatal(err)
		}
		l.CustomObjective = o
		var losses []float64
		m, err := l.Fit(context.Background(), set, task, 4, learner.Options{Workers: workers, Valid: &set,
			Curve: func(_, _ int, train, valid float64) {
				if math.Abs(train-valid) > 1e-9*(1+train) {
					t.Errorf("training loss %v, on the same rows %v", train, valid)
				}
				losses = append(losses, train)
			}})
		return m, losses, err
	}
	for _, c := range []struct {
		set     learner.Set
		task    learner.Task
		outputs int
	}{{numbers, learner.Regression, 1}, {classes, learner.Multiclass, 4}} {
		big := tiled(c.set, 5)
		m, losses, err := learn(fourth{outputs: c.outputs}, big, c.task, 1)
		if err != nil {
			t.Fatal(err)
		}
		if losses[9] > 0.8*losses[0] {
			t.Errorf("%s: losses %v", c.task, losses)
		}
		other, _, err := learn(fourth{outputs: c.outputs}, big, c.task, 8)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoded(t, m.(*gbdt.Model)), encoded(t, other.(*gbdt.Model))) {
			t.Errorf("%s: other bytes with 8 workers", c.task)
		}
		if _, _, err := learn(fourth{outputs: c.outputs, spoilt: true}, big, c.task, 2); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "gives row 2345 a gradient") {
			t.Errorf("%s: a gradient that is no number: %v", c.task, err)
		}
	}
	if _, _, err := learn(fourth{outputs: 3}, makeGolden("binary", 5, 0).set, learner.Binary, 1); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "3 outputs") {
		t.Errorf("three outputs for two classes: %v", err)
	}

	asked := 0
	l, err := gbdt.New(learner.Params{"rounds": 30, "early_stopping_rounds": 2, "refit": false})
	if err != nil {
		t.Fatal(err)
	}
	l.CustomMetric = median{&asked}
	if _, err := l.Fit(context.Background(), numbers, learner.Regression, 0, learner.Options{}); err != nil || asked == 0 {
		t.Errorf("the metric was asked %d times: %v", asked, err)
	}
}

// Too few rows to hold one out is a fault; so is one query.
func TestTooFewRowsToHoldOut(t *testing.T) {
	x := table.NewMatrix(3, []string{"a"})
	for name, c := range map[string]struct {
		set  learner.Set
		task learner.Task
	}{
		"one row":   {learner.Set{X: table.NewMatrix(1, []string{"a"}), Y: []float64{1}}, learner.Regression},
		"one query": {learner.Set{X: x, Y: []float64{0, 1, 2}, Query: []int32{7, 7, 7}}, learner.Ranking},
		"one each":  {learner.Set{X: table.NewMatrix(2, []string{"a"}), Y: []float64{0, 1}}, learner.Binary},
	} {
		l, err := gbdt.New(learner.Params{"early_stopping_rounds": 3})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Fit(context.Background(), c.set, c.task, 0, learner.Options{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "rows to hold out") {
			t.Errorf("%s: %v", name, err)
		}
	}
	two := learner.Set{X: table.NewMatrix(2, []string{"a"}), Y: []float64{0, 1}}
	fit(t, learner.Params{"early_stopping_rounds": 3}, two, learner.Regression, 0, learner.Options{})
}

// A time budget that ends the search ends the fit: there is none left to train on all rows.
func TestTimeBudgetEndsTheFit(t *testing.T) {
	set := makeGolden("number", 5, 0).set
	asked := 0
	m := fit(t, learner.Params{"early_stopping_rounds": 5}, set, learner.Regression, 0, learner.Options{Enough: func() bool {
		asked++
		return asked >= 7
	}})
	if asked != 7 || m.Rounds() != 7 {
		t.Errorf("asked %d times, %d rounds", asked, m.Rounds())
	}
	// One that ends the second run leaves the first one's model, which is the better of the two.
	asked = 0
	search := fit(t, learner.Params{"early_stopping_rounds": 5, "refit": false, "learning_rate": 0.5}, set, learner.Regression, 0, learner.Options{})
	run := 0
	m = fit(t, learner.Params{"early_stopping_rounds": 5, "learning_rate": 0.5}, set, learner.Regression, 0, learner.Options{
		Progress: func(done, _ int, _ float64) {
			if done == 1 {
				run++
			}
		},
		Enough: func() bool { return run == 2 },
	})
	if !bytes.Equal(encoded(t, m), encoded(t, search)) {
		t.Errorf("%d rounds, the search kept %d", m.Rounds(), search.Rounds())
	}
}

// Bounds of monotone columns hold whatever gives the leaves their values.
func TestObjectivesKeepDirections(t *testing.T) {
	eachObjective(t, func(t *testing.T, p learner.Params, set learner.Set, task learner.Task, classes int) {
		if task == learner.Multiclass {
			t.Skip("margins rise, shares need not")
		}
		m := fit(t, with(p, "rounds", 15, "monotone", []int{-1, 1, 0, 0, 0, 0, 0}), set, task, classes, learner.Options{})
		var last, now [1]float64
		for i := range 300 {
			row := append([]float32(nil), set.X.Row(i)...)
			for column, direction := range []float64{-1, 1} {
				x := append([]float32(nil), row...)
				for step := range 50 {
					x[column] = float32(step) / 50
					if m.Margin(x, now[:]); step > 0 && direction*(now[0]-last[0]) < 0 {
						t.Fatalf("row %d: %v becomes %v as column %d rises to %v", i, last[0], now[0], column, x[column])
					}
					last = now
				}
			}
		}
	})
}
