package calibrate

import (
	"context"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Kind is the kind of a model with its calibration.
const Kind = "calibrated"

// layout is the version of the bytes that MarshalBinary writes.
const layout = 1

// Model is a classifier whose probabilities are calibrated. It is immutable and safe for concurrent use.
type Model struct {
	inner learner.Model
	cal   *Calibrator
}

// wide is a Model whose inner one also reads float64.
type wide struct{ *Model }

// New wraps a model of a binary or multiclass task. A calibrator of another number of outputs is fault.Invalid, and so
// is a model that is calibrated already.
func New(inner learner.Model, cal *Calibrator) (learner.Model, error) {
	if inner.Task() != learner.Binary && inner.Task() != learner.Multiclass {
		return nil, fault.New(fault.Invalid, "a model of task %q has no probabilities to calibrate", inner.Task())
	}
	if inner.Outputs() != cal.Outputs() {
		return nil, fault.New(fault.Invalid, "the model has %d outputs, its calibration %d", inner.Outputs(), cal.Outputs())
	}
	if inner.Kind() == Kind {
		return nil, fault.New(fault.Invalid, "the model is calibrated already").WithHint("calibrate the model within it")
	}
	m := &Model{inner, cal}
	if _, ok := inner.(learner.Wide); ok {
		return wide{m}, nil
	}
	return m, nil
}

// Unwrap is the model within and its calibration; ok is false for any other kind of model.
func Unwrap(m learner.Model) (inner learner.Model, cal *Calibrator, ok bool) {
	switch m := m.(type) {
	case *Model:
		return m.inner, m.cal, true
	case wide:
		return m.inner, m.cal, true
	}
	return nil, nil, false
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Kind }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.inner.Task() }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return m.inner.Outputs() }

// Features implements learner.Model.
func (m *Model) Features() int { return m.inner.Features() }

// Inner is the model whose probabilities are calibrated.
func (m *Model) Inner() learner.Model { return m.inner }

// Importance implements learner.Model: it is that of the model within.
func (m *Model) Importance() []float64 { return m.inner.Importance() }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	m.inner.PredictRow(x, dst)
	m.cal.Apply(dst)
}

// Predict implements learner.Model.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	m.inner.Predict(x, dst)
	m.apply(x.Rows, dst)
}

func (m *Model) apply(rows int, dst []float64) {
	k := m.cal.outputs
	for i := range rows {
		m.cal.Apply(dst[i*k : (i+1)*k])
	}
}

// PredictWide implements learner.Wide.
func (m wide) PredictWide(x []float64, rows int, dst []float64) {
	m.inner.(learner.Wide).PredictWide(x, rows, dst)
	m.apply(rows, dst)
}

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	body, err := m.inner.MarshalBinary()
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(Kind, layout)
	m.cal.write(w)
	w.Text(string(body))
	return w.Bytes, nil
}

// Load reads the body of a calibrated model after its opening; load reads the model within.
func Load(r *wire.Reader, version uint32, load func([]byte) (learner.Model, error)) (learner.Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Kind, version)
	}
	cal := read(r)
	body := []byte(r.Text(math.MaxInt32))
	if err := r.End(); err != nil {
		return nil, err
	}
	_, _, kind, err := wire.Open(body)
	if err == nil && kind == Kind {
		err = fault.New(fault.Corrupt, "a calibrated model cannot hold another one")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the model within its calibration")
	}
	inner, err := load(body)
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "the model within its calibration")
	}
	m, err := New(inner, cal)
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the calibrated model is not sound")
	}
	return m, nil
}

// OutOfFold predicts every row by a model that did not see its fold: folds has a number a row, and rows of a negative
// number are trained on each time and not predicted (NaN). opt.Weights are those of the rows; opt.Progress, Curve and
// Prune are not called. At least two folds are needed.
func OutOfFold(ctx context.Context, l learner.Learner, set learner.Set, task learner.Task, classes int, opt learner.Options, folds []int32) ([]float64, error) {
	if set.X == nil || len(folds) != set.X.Rows || len(set.Y) != set.X.Rows {
		return nil, fault.New(fault.Invalid, "there are %d fold numbers for %d labels", len(folds), len(set.Y))
	}
	ids := slices.Compact(slices.Sorted(slices.Values(folds)))
	ids = slices.DeleteFunc(ids, func(f int32) bool { return f < 0 })
	if len(ids) < 2 {
		return nil, fault.New(fault.Invalid, "predictions out of fold need at least two folds, not %d", len(ids))
	}
	var out []float64
	outputs := 0
	for _, id := range ids {
		var in, held []int
		for i, f := range folds {
			if f == id {
				held = append(held, i)
			} else {
				in = append(in, i)
			}
		}
		own := learner.Options{Workers: opt.Workers, Seed: opt.Seed, Valid: opt.Valid}
		train := learner.Set{X: set.X.Take(in)}
		for _, i := range in {
			train.Y = append(train.Y, set.Y[i])
			if set.Query != nil {
				train.Query = append(train.Query, set.Query[i])
			}
			if opt.Weights != nil {
				own.Weights = append(own.Weights, opt.Weights[i])
			}
		}
		m, err := l.Fit(ctx, train, task, classes, own)
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "fit without fold %d", id)
		}
		if out == nil {
			outputs = m.Outputs()
			out = make([]float64, len(folds)*outputs)
			for i := range out {
				out[i] = math.NaN()
			}
		}
		p := make([]float64, len(held)*outputs)
		m.Predict(set.X.Take(held), p)
		for at, i := range held {
			copy(out[i*outputs:(i+1)*outputs], p[at*outputs:(at+1)*outputs])
		}
	}
	return out, nil
}

// FitModel trains on all rows and calibrates by predictions out of fold: the calibration sees as many rows as the model,
// and none that it was trained on.
func FitModel(ctx context.Context, l learner.Learner, set learner.Set, task learner.Task, classes int, opt learner.Options, folds []int32, method Method) (learner.Model, error) {
	if task != learner.Binary && task != learner.Multiclass {
		return nil, fault.New(fault.Invalid, "a model of task %q has no probabilities to calibrate", task)
	}
	m, err := l.Fit(ctx, set, task, classes, opt) // first, so that a poor one is pruned before the folds are fitted
	if err != nil {
		return nil, err
	}
	p, err := OutOfFold(ctx, l, set, task, classes, opt, folds)
	if err != nil {
		return nil, err
	}
	outputs := len(p) / len(folds)
	var own, y, w []float64
	for i, f := range folds {
		if f < 0 {
			continue
		}
		own, y = append(own, p[i*outputs:(i+1)*outputs]...), append(y, set.Y[i])
		if opt.Weights != nil {
			w = append(w, opt.Weights[i])
		}
	}
	cal, err := Fit(method, own, y, outputs, w)
	if err != nil {
		return nil, err
	}
	return New(m, cal)
}
