package calibrate_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/learnertest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sure is probabilities that are too sure of themselves: their log odds are three times what came true.
func sure(n int, seed uint64) (p, y []float64) {
	r := rand.New(rand.NewPCG(seed, 7))
	for range n {
		z := r.NormFloat64() * 1.5
		p = append(p, 1/(1+math.Exp(-3*z)))
		y = append(y, 0)
		if r.Float64() < 1/(1+math.Exp(-z)) {
			y[len(y)-1] = 1
		}
	}
	return p, y
}

func TestCalibrationHelpsOnOtherRows(t *testing.T) {
	p, y := sure(4000, 1)
	q, z := sure(4000, 2)
	before := metric.BinaryLogLoss(z, q, nil).Value
	for _, method := range calibrate.Methods() {
		c, err := calibrate.Fit(method, p, y, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := append([]float64(nil), q...)
		for i := range got {
			c.Apply(got[i : i+1])
		}
		after, ece := metric.BinaryLogLoss(z, got, nil).Value, metric.EqualWidth(z, got, nil, 10).ECE
		if after > 0.8*before || ece > 0.035 {
			t.Errorf("%s: log loss from %v to %v, calibration error %v", method, before, after, ece)
		}
		for i := range got { // the order is kept
			if i > 0 && (q[i] > q[i-1]) != (got[i] > got[i-1]) && got[i] != got[i-1] {
				t.Fatalf("%s turned the order of %v and %v", method, q[i-1], q[i])
			}
		}
	}
	// Log odds three times too large: T is 3, and Platt's A is -1/3 of the log odds.
	c, err := calibrate.FitPlatt(logits(p), y, nil)
	if err != nil || math.Abs(c.A+1.0/3) > 0.03 || math.Abs(c.B) > 0.1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func logits(p []float64) []float64 {
	out := make([]float64, len(p))
	for i, v := range p {
		out[i] = calibrate.Logit(v)
	}
	return out
}

func TestWeightsAreRepeatedRows(t *testing.T) {
	p, y := sure(60, 3)
	var w, pp, yy []float64
	for i := range p {
		n := i % 3
		w = append(w, float64(n))
		for range n {
			pp, yy = append(pp, p[i]), append(yy, y[i])
		}
	}
	for _, method := range calibrate.Methods() {
		a, err := calibrate.Fit(method, p, y, 1, w)
		if err != nil {
			t.Fatal(err)
		}
		b, err := calibrate.Fit(method, pp, yy, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for v := 0.01; v < 1; v += 0.07 {
			x, z := []float64{v}, []float64{v}
			a.Apply(x)
			b.Apply(z)
			if math.Abs(x[0]-z[0]) > 1e-9 {
				t.Errorf("%s at %v: %v weighted, %v repeated", method, v, x[0], z[0])
			}
		}
	}
}

// Data that leave a fit nothing to hold on to.
func TestEdges(t *testing.T) {
	if c, err := calibrate.FitPlatt([]float64{2, 2, 2}, []float64{0, 1, 1}, nil); err != nil || c.A != 0 || math.Abs(c.At(5)-(2*0.75+1.0/3)/3) > 1e-12 {
		t.Errorf("equal scores: %+v, %v", c, err) // the mean target: 3/4 twice and 1/3
	}
	if c, err := calibrate.FitPlatt([]float64{-1e300, 1e300}, []float64{0, 1}, nil); err != nil || !(c.At(1e300) > 0.6 && c.At(-1e300) < 0.4) {
		t.Errorf("huge scores: %+v, %v", c, err)
	}
	if c, err := calibrate.FitPlatt([]float64{1, 2, 3, 4}, []float64{0, 0, 1, 1}, nil); err != nil || math.IsInf(c.A, 0) || !(c.At(4) > 0.6) {
		t.Errorf("separable: %+v, %v", c, err)
	}
	// Turned probabilities: beta would need negative powers, and is constant instead.
	if c, err := calibrate.FitBeta([]float64{0.9, 0.8, 0.2, 0.1}, []float64{0, 0, 1, 1}, nil); err != nil || c.A != 0 || c.B != 0 || math.Abs(c.At(0.3)-0.5) > 1e-12 {
		t.Errorf("turned: %+v, %v", c, err)
	}
	if v, _, err := calibrate.FitTemperature([]float64{0, 1, 1, 0}, []int{1, 0}, 2, nil); err != nil || v != calibrate.LeastTemperature {
		t.Errorf("every row right: T = %v, %v", v, err)
	}
	if v, loss, err := calibrate.FitTemperature([]float64{0, 1, 1, 0}, []int{0, 1}, 2, nil); err != nil || v != calibrate.GreatestTemperature || math.Abs(loss-math.Ln2) > 1e-6 {
		t.Errorf("every row wrong: T = %v, %v", v, err)
	}
	for name, err := range map[string]error{
		"no rows":     second(calibrate.Fit("platt", nil, nil, 1, nil)),
		"one class":   second(calibrate.Fit("platt", []float64{.1, .2}, []float64{1, 1}, 1, nil)),
		"no weight":   second(calibrate.Fit("isotonic", []float64{.1, .2}, []float64{0, 1}, 1, []float64{0, 0})),
		"NaN":         second(calibrate.Fit("beta", []float64{.1, math.NaN()}, []float64{0, 1}, 1, nil)),
		"lengths":     second(calibrate.Fit("temperature", []float64{.1}, []float64{0, 1}, 1, nil)),
		"method":      second(calibrate.Fit("sigmoid", []float64{.1, .2}, []float64{0, 1}, 1, nil)),
		"class":       second(calibrate.Fit("platt", []float64{.1, .9, .5, .5}, []float64{0, 2}, 2, nil)),
		"infinite":    second(calibrate.FitPlatt([]float64{1, math.Inf(1)}, []float64{0, 1}, nil)),
		"logits":      third(calibrate.FitTemperature([]float64{1, math.NaN()}, []int{0}, 2, nil)),
		"odd weights": second(calibrate.FitIsotonic([]float64{1}, []float64{0}, []float64{-1})),
	} {
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func third(_, _ float64, err error) error { return err }

func folds(n, k int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i % k)
	}
	return out
}

func TestModel(t *testing.T) {
	for _, c := range []struct {
		task    learner.Task
		classes int
		learner string
		params  learn.Params
	}{{learner.Binary, 2, "gbdt", learn.Params{"rounds": 8}}, {learner.Multiclass, 3, "gbdt", learn.Params{"rounds": 8}}, {learner.Binary, 2, "logistic", nil}} {
		set := learnertest.Sample(900, c.task, c.classes, 4)
		l, err := learn.New(c.learner, c.params)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range calibrate.Methods() {
			m, err := calibrate.FitModel(context.Background(), l, set, c.task, c.classes, learner.Options{}, folds(900, 3), method)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			again, err := learn.Load(b)
			if err != nil {
				t.Fatal(err)
			}
			b2, _ := again.MarshalBinary()
			if !bytes.Equal(b, b2) || again.Kind() != calibrate.Kind || again.Task() != c.task {
				t.Errorf("%s: loaded as %s of %s, same bytes: %v", method, again.Kind(), again.Task(), bytes.Equal(b, b2))
			}
			k := m.Outputs()
			all, row := make([]float64, 900*k), make([]float64, k)
			again.Predict(set.X, all)
			wide, isWide := again.(learner.Wide)
			if inner, _, ok := calibrate.Unwrap(m); !ok || inner.Kind() != c.learner {
				t.Errorf("unwrapped to %v", inner)
			} else if _, ok := inner.(learner.Wide); ok != isWide {
				t.Errorf("reads float64: %v, the model within: %v", isWide, ok)
			}
			for i := range 900 {
				m.PredictRow(set.X.Row(i), row)
				sum := 0.0
				for j, v := range row {
					if v != all[i*k+j] || !(v >= 0 && v <= 1) {
						t.Fatalf("%s row %d: %v and %v", method, i, row, all[i*k:(i+1)*k])
					}
					sum += v
				}
				if k > 1 && math.Abs(sum-1) > 1e-12 {
					t.Fatalf("%s row %d sums to %v", method, i, sum)
				}
			}
			if isWide {
				x := make([]float64, len(set.X.Data))
				for i, v := range set.X.Data {
					x[i] = float64(v)
				}
				got := make([]float64, len(all))
				wide.PredictWide(x, 900, got)
				for i := range got {
					if math.Abs(got[i]-all[i]) > 1e-6 {
						t.Fatalf("%s: %v wide, %v narrow", method, got[i], all[i])
					}
				}
			}
			if n := testing.AllocsPerRun(20, func() { again.PredictRow(set.X.Row(0), row) }); n > 0 {
				t.Errorf("%s: a row allocates %v times", method, n)
			}
		}
	}
}

// The learner keeps the contract of learners.
func TestConformance(t *testing.T) {
	for _, s := range []learnertest.Subject{
		{Name: "calibrated", Task: learner.Binary, Params: learn.Params{"learner": "logistic", "calibration_folds": 3}, Rounds: true, Learns: 0.9},
		{Name: "calibrated", Task: learner.Multiclass, Params: learn.Params{"learner": "gbdt", "rounds": 6, "leaves": 6, "calibration_folds": 2, "method": "isotonic"}, Rounds: true, Ones: 0.5, Learns: 0.95}, // steps magnify what rounding moves
	} {
		s.New = func(p learn.Params) (learn.Learner, error) { return learn.New(s.Name, p) }
		s.Load = learn.Load
		t.Run(string(s.Task), func(t *testing.T) { learnertest.Run(t, s) })
	}
	for name, p := range map[string]learn.Params{
		"itself": {"learner": "calibrated"}, "unknown": {"learner": "gbtd"}, "parameter": {"learner": "logistic", "rounds": 3},
		"method": {"method": "sigmoid"}, "calibration_folds": {"calibration_folds": 1},
	} {
		if _, err := learn.New("calibrated", p); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOutOfFoldLeavesTheFoldOut(t *testing.T) {
	set := learnertest.Sample(300, learner.Binary, 2, 5)
	l, err := learn.New("logistic", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := folds(300, 3)
	for i := range 30 {
		f[i] = -1
	}
	p, err := calibrate.OutOfFold(context.Background(), l, set, learner.Binary, 2, learner.Options{}, f)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range p {
		if math.IsNaN(v) != (i < 30) {
			t.Fatalf("row %d: %v", i, v)
		}
	}
	// A label that turns does not change the prediction of its own row, only of other folds'.
	set.Y[40] = 1 - set.Y[40]
	q, err := calibrate.OutOfFold(context.Background(), l, set, learner.Binary, 2, learner.Options{}, f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		if i >= 30 && (q[i] == p[i]) != (f[i] == f[40]) {
			t.Fatalf("row %d of fold %d: %v, then %v", i, f[i], p[i], q[i])
		}
	}
	if _, err := calibrate.OutOfFold(context.Background(), l, set, learner.Binary, 2, learner.Options{}, make([]int32, 300)); !fault.Is(err, fault.Invalid) {
		t.Errorf("one fold: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	set := learnertest.Sample(60, learner.Binary, 2, 6)
	l, err := learn.New("logistic", nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, method := range calibrate.Methods() {
		m, err := calibrate.FitModel(context.Background(), l, set, learner.Binary, 2, learner.Options{}, folds(60, 2), method)
		if err != nil {
			f.Fatal(err)
		}
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := learn.Load(b)
		if err != nil {
			return
		}
		if _, _, ok := calibrate.Unwrap(m); !ok || m.Features() > 1<<12 || m.Outputs() > 1<<12 {
			return
		}
		row := make([]float64, m.Outputs())
		m.PredictRow(make([]float32, m.Features()), row)
	})
}
