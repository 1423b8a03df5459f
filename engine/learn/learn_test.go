package learn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learnertest"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sample is rows of six columns: two that matter together, one with missing values that matter, one categorical code,
// one constant and one of noise.
func sample(rows int, task learn.Task, classes int, seed uint64) learn.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	x := table.NewMatrix(rows, []string{"a", "b", "gaps", "code", "constant", "noise"})
	y := make([]float64, rows)
	for i := range rows {
		a, b, code := r.NormFloat64(), r.NormFloat64(), float64(r.IntN(7))
		row := x.Row(i)
		row[0], row[1], row[3], row[4], row[5] = float32(a), float32(b), float32(code), 3, float32(r.NormFloat64())
		z := 1.5*a - b + a*b + 0.4*code - 1
		if r.Float64() < 0.2 {
			row[2] = float32(math.NaN())
			z += 1
		} else {
			row[2] = float32(r.NormFloat64())
		}
		switch task {
		case learn.Binary:
			if r.Float64() < 1/(1+math.Exp(-z)) {
				y[i] = 1
			}
		case learn.Multiclass:
			y[i] = min(max(math.Floor(z+r.NormFloat64()/2+float64(classes)/2), 0), float64(classes-1))
		default:
			y[i] = z + r.NormFloat64()/4
		}
	}
	return learn.Set{X: x, Y: y}
}

// kinds is every learner with each task it has.
var kinds = []struct {
	name    string
	task    learn.Task
	classes int
	params  learn.Params
}{
	{"gbdt", learn.Binary, 2, learn.Params{"rounds": 20}},
	{"gbdt", learn.Multiclass, 4, learn.Params{"rounds": 8}},
	{"gbdt", learn.Regression, 0, learn.Params{"rounds": 20, "subsample": 0.7, "colsample": 0.6}},
	{"logistic", learn.Binary, 2, nil},
	{"logistic", learn.Multiclass, 4, nil},
	{"linear", learn.Regression, 0, nil},
}

func fit(t testing.TB, name string, p learn.Params, set learn.Set, task learn.Task, classes int, opt learn.Options) learn.Model {
	t.Helper()
	l, err := learn.New(name, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, classes, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encoded(t testing.TB, m learn.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The same set, parameters and seed give the same bytes however many workers share the work. The set is larger than
// every piece that work is cut into, so that each stage really is shared.
func TestSameBytesForAnyWorkers(t *testing.T) {
	const rows = 40_000
	for _, k := range kinds {
		t.Run(fmt.Sprint(k.name, " ", k.task), func(t *testing.T) {
			t.Parallel()
			set := sample(rows, k.task, k.classes, 7)
			weights := make([]float64, rows)
			for i := range weights {
				weights[i] = float64(i%5) / 2
			}
			p := learn.Params{}
			for n, v := range k.params {
				p[n] = v
			}
			if k.name == "gbdt" {
				p["rounds"] = 3
			}
			for _, w := range [][]float64{nil, weights} {
				one := encoded(t, fit(t, k.name, p, set, k.task, k.classes, learn.Options{Workers: 1, Seed: 3, Weights: w}))
				for _, workers := range []int{2, 8} {
					got := encoded(t, fit(t, k.name, p, set, k.task, k.classes, learn.Options{Workers: workers, Seed: 3, Weights: w}))
					if !bytes.Equal(one, got) {
						t.Errorf("%d workers: other bytes than with one (weights %v)", workers, w != nil)
					}
				}
			}
		})
	}
}

// A model that was stored and loaded predicts the same bits, and one row predicts what the matrix predicts.
func TestStoredModelPredictsTheSame(t *testing.T) {
	for _, k := range kinds {
		t.Run(fmt.Sprint(k.name, " ", k.task), func(t *testing.T) {
			set := sample(3000, k.task, k.classes, 1)
			m := fit(t, k.name, k.params, set, k.task, k.classes, learn.Options{})
			b := encoded(t, m)
			loaded, err := learn.Load(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, encoded(t, loaded)) {
				t.Error("the loaded model has other bytes")
			}
			if loaded.Kind() != k.name || loaded.Task() != k.task || loaded.Features() != 6 || loaded.Outputs() != m.Outputs() {
				t.Errorf("loaded %s %s with %d features, %d outputs", loaded.Kind(), loaded.Task(), loaded.Features(), loaded.Outputs())
			}
			all := make([]float64, set.X.Rows*m.Outputs())
			loaded.Predict(set.X, all)
			row := make([]float64, m.Outputs())
			for i := range set.X.Rows {
				m.PredictRow(set.X.Row(i), row)
				for j, v := range row {
					if v != all[i*len(row)+j] {
						t.Fatalf("row %d output %d: %v alone, %v in the matrix", i, j, v, all[i*len(row)+j])
					}
				}
			}
			var sum float64
			for _, v := range m.Importance() {
				sum += v
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("importance adds up to %v", sum)
			}
			if n := testing.AllocsPerRun(100, func() { m.PredictRow(set.X.Row(0), row) }); n != 0 {
				t.Errorf("%v allocations for one row", n)
			}
		})
	}
}

// Every learner beats the best constant on rows it has not seen, on the loss it minimises.
func TestLearnsSomething(t *testing.T) {
	for _, k := range kinds {
		t.Run(fmt.Sprint(k.name, " ", k.task), func(t *testing.T) {
			set, unseen := sample(8000, k.task, k.classes, 1), sample(4000, k.task, k.classes, 2)
			var losses, valid []float64
			opt := learn.Options{Valid: &unseen, Curve: func(_, _ int, l, v float64) { losses, valid = append(losses, l), append(valid, v) }}
			p := learn.Params{"l2": 1.0}
			if k.name == "gbdt" {
				p["rounds"] = 60
			}
			m := fit(t, k.name, p, set, k.task, k.classes, opt)
			constant := constantLoss(set, k.task, k.classes)
			if got := valid[len(valid)-1]; !(got < 0.85*constant) {
				t.Errorf("loss %v on unseen rows, the best constant has %v", got, constant)
			}
			if got := meanLoss(m, unseen, k.task); math.Abs(got-valid[len(valid)-1]) > 1e-9 {
				t.Errorf("the last loss told is %v, the model's is %v", valid[len(valid)-1], got)
			}
			if got := meanLoss(m, set, k.task); math.Abs(got-losses[len(losses)-1]) > 1e-7 {
				t.Errorf("the last training loss told is %v, the model's is %v", losses[len(losses)-1], got)
			}
		})
	}
}

func constantLoss(set learn.Set, task learn.Task, classes int) float64 {
	if task == learn.Regression {
		var mean, sum float64
		for _, y := range set.Y {
			mean += y / float64(len(set.Y))
		}
		for _, y := range set.Y {
			sum += (y - mean) * (y - mean) / 2
		}
		return sum / float64(len(set.Y))
	}
	count := make([]float64, max(classes, 2))
	for _, y := range set.Y {
		count[int(y)]++
	}
	var sum float64
	for _, c := range count {
		sum -= c * math.Log(c/float64(len(set.Y)))
	}
	return sum / float64(len(set.Y))
}

func meanLoss(m learn.Model, set learn.Set, task learn.Task) float64 {
	p := make([]float64, set.X.Rows*m.Outputs())
	m.Predict(set.X, p)
	var sum float64
	for i, y := range set.Y {
		switch task {
		case learn.Regression:
			sum += (p[i] - y) * (p[i] - y) / 2
		case learn.Binary:
			sum -= math.Log(y*p[i] + (1-y)*(1-p[i]))
		default:
			sum -= math.Log(p[i*m.Outputs()+int(y)])
		}
	}
	return sum / float64(len(set.Y))
}

func TestRefusals(t *testing.T) {
	good := sample(200, learn.Binary, 2, 1)
	with := func(change func(*learn.Set)) learn.Set {
		s := learn.Set{X: good.X.Take(seq(200)), Y: append([]float64(nil), good.Y...)}
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		learner string
		params  learn.Params
		set     learn.Set
		task    learn.Task
		classes int
		opt     learn.Options
		message string
		hint    string
	}{
		"learner":    {learner: "gdbt", message: `no learner "gdbt"`, hint: `did you mean "gbdt"?`},
		"parameter":  {learner: "gbdt", params: learn.Params{"leafs": 3}, message: `no parameter "leafs"`, hint: `did you mean "leaves"?`},
		"far off":    {learner: "linear", params: learn.Params{"zzz": 3}, message: `no parameter "zzz"`, hint: "parameters are l2, missing_indicators, seed"},
		"type":       {learner: "gbdt", params: learn.Params{"rounds": "many"}, message: "rounds must be a whole number"},
		"fraction":   {learner: "gbdt", params: learn.Params{"rounds": 1.5}, message: "rounds must be a whole number, not 1.5"},
		"range":      {learner: "gbdt", params: learn.Params{"bins": 256}, message: "bins must be from 2 to 255, not 256"},
		"negative":   {learner: "logistic", params: learn.Params{"l2": -1}, message: "l2 must be at least 0, not -1"},
		"empty":      {learner: "gbdt", set: learn.Set{X: table.NewMatrix(0, []string{"a"})}, message: "training set is empty"},
		"lengths":    {learner: "gbdt", set: with(func(s *learn.Set) { s.Y = s.Y[:10] }), message: "10 labels for 200 rows"},
		"label":      {learner: "gbdt", set: with(func(s *learn.Set) { s.Y[3] = math.NaN() }), message: "label of row 3 is NaN"},
		"number":     {learner: "linear", task: learn.Regression, set: with(func(s *learn.Set) { s.Y[7] = 1e300 }), message: "label of row 7 is 1e+300"},
		"one class":  {learner: "gbdt", set: with(func(s *learn.Set) { clear(s.Y) }), message: "every label is 0"},
		"class":      {learner: "logistic", task: learn.Multiclass, classes: 1, message: "at least 2 classes"},
		"index":      {learner: "gbdt", task: learn.Multiclass, classes: 2, set: with(func(s *learn.Set) { s.Y[9] = 2 }), message: "label of row 9 is 2"},
		"task":       {learner: "gbdt", task: "sorting", message: `unknown task "sorting"`},
		"logistic":   {learner: "logistic", task: learn.Regression, message: "the task is regression", hint: "linear or gbdt"},
		"linear":     {learner: "linear", message: "the task is binary", hint: "logistic or gbdt"},
		"infinite":   {learner: "logistic", set: with(func(s *learn.Set) { s.X.Row(5)[1] = float32(math.Inf(1)) }), message: "column b has infinite values"},
		"weights":    {learner: "gbdt", opt: learn.Options{Weights: []float64{1}}, message: "1 weights for 200 rows"},
		"bad weight": {learner: "gbdt", opt: learn.Options{Weights: append(make([]float64, 199), -1)}, message: "weight of row 199 is -1"},
		"no weight":  {learner: "gbdt", opt: learn.Options{Weights: make([]float64, 200)}, message: "every weight is 0"},
		"patience": {learner: "gbdt", task: learn.Regression, params: learn.Params{"early_stopping_rounds": 5},
			set: learn.Set{X: table.NewMatrix(1, []string{"a"}), Y: []float64{1}}, message: "needs rows to hold out", hint: "validation rows"},
		"validation": {learner: "gbdt", opt: learn.Options{Valid: &learn.Set{X: table.NewMatrix(1, []string{"a"}), Y: []float64{1}}}, message: "does not have the training set's shape"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.task == "" {
				c.task = learn.Binary
			}
			if c.set.X == nil {
				c.set = good
			}
			l, err := learn.New(c.learner, c.params)
			if err == nil {
				_, err = l.Fit(context.Background(), c.set, c.task, c.classes, c.opt)
			}
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.message) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
		})
	}
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func TestCanceled(t *testing.T) {
	for _, name := range []string{"gbdt", "logistic"} {
		ctx, cancel := context.WithCancel(context.Background())
		l, err := learn.New(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		rounds := 0
		_, err = l.Fit(ctx, sample(2000, learn.Binary, 2, 1), learn.Binary, 2, learn.Options{Progress: func(done, _ int, _ float64) {
			if rounds = done; done == 2 {
				cancel()
			}
		}})
		if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) || rounds > 3 {
			t.Errorf("%s: %v after %d rounds", name, err, rounds)
		}
		cancel()
	}
}

// Whatever the bytes, Load answers with a model that can predict or with a fault.
func FuzzLoad(f *testing.F) {
	for _, k := range kinds {
		p := learn.Params{}
		if k.name == "gbdt" {
			p = learn.Params{"rounds": 2, "leaves": 3}
		}
		f.Add(encoded(f, fit(f, k.name, p, sample(200, k.task, k.classes, 1), k.task, k.classes, learn.Options{})))
	}
	for _, k := range subjects {
		f.Add(encoded(f, fit(f, k.Name, k.Params, learnertest.Sample(60, k.Task, 4, 1), k.Task, 4, learn.Options{})))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := learn.Load(b)
		if err != nil {
			if fault.CodeOf(err) == fault.Internal {
				t.Errorf("not a fault: %v", err)
			}
			return
		}
		m.PredictRow(make([]float32, m.Features()), make([]float64, m.Outputs()))
		m.Importance()
	})
}

// Every cut and every flipped byte of a model file is refused or still predicts in bounds.
func TestDamagedModel(t *testing.T) {
	for _, k := range kinds[:4] {
		p := learn.Params{}
		if k.name == "gbdt" {
			p = learn.Params{"rounds": 1, "leaves": 3}
		}
		b := encoded(t, fit(t, k.name, p, sample(200, k.task, k.classes, 1), k.task, k.classes, learn.Options{}))
		for i := range b {
			if _, err := learn.Load(b[:i]); err == nil {
				t.Fatalf("%s: loaded from %d of %d bytes", k.name, i, len(b))
			}
			for _, flip := range []byte{1, 0x80, 0xff} {
				c := bytes.Clone(b)
				c[i] ^= flip
				if m, err := learn.Load(c); err == nil {
					m.PredictRow(make([]float32, m.Features()), make([]float64, m.Outputs()))
				}
			}
		}
	}
}
