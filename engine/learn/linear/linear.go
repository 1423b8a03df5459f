// Package linear holds the learners whose margin is a weighted sum of the inputs: logistic (binary and multinomial,
// with an L2 penalty) and linear (ridge regression). It owns their fitting, their model and its format; it must never
// know where a matrix comes from or what its columns mean.
//
// Inputs are standardised for the fit and the result is given in the inputs' own units. A missing value (NaN) counts as
// the training mean of its column, in training and in prediction; the mean is kept in the model as Fill. The penalty
// acts on standardised coefficients and not on the intercept, so that its meaning does not depend on units: l2 is
// scikit-learn's 1/C for logistic and alpha for ridge, both on standardised inputs.
package linear

import (
	"context"
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The learners' names in configuration files and in model files.
const (
	Logistic = "logistic"
	Linear   = "linear"
)

// Learner is a configured linear model.
type Learner struct {
	Kind       string  // Logistic or Linear
	L2         float64 // penalty; default 1
	Iterations int     // most iterations of logistic; default 300
	Tolerance  float64 // logistic stops when no component of the mean loss's gradient is larger; default 1e-7
}

// New reads the parameters l2, and for logistic max_iterations and tolerance. A seed is accepted and has no effect:
// nothing is drawn.
func New(name string, p learner.Params) (*Learner, error) {
	r := learner.NewReader(name, p)
	l := &Learner{Kind: name, L2: r.Float("l2", 1, 0, math.MaxFloat64)}
	if name == Logistic {
		l.Iterations = r.Int("max_iterations", 300, 1, 100_000)
		l.Tolerance = r.Float("tolerance", 1e-7, 1e-14, 1)
	}
	r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return l.Kind }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{"l2": l.L2}
	if l.Kind == Logistic {
		p["max_iterations"], p["tolerance"] = l.Iterations, l.Tolerance
	}
	return p
}

// Fit implements learner.Learner. A value that is infinite is fault.Invalid.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	if l.Kind == Logistic && task == learner.Regression {
		return nil, fault.New(fault.Invalid, "logistic predicts classes, and the task is regression").WithHint("use linear or gbdt")
	}
	if l.Kind == Linear && task != learner.Regression {
		return nil, fault.New(fault.Invalid, "linear predicts numbers, and the task is %s", task).WithHint("use logistic or gbdt")
	}
	d, err := standardise(train, opt.Weights, shard.Workers(opt.Workers))
	if err != nil {
		return nil, err
	}
	if l.Kind == Linear {
		return l.fitRidge(ctx, d, opt)
	}
	if task == learner.Binary {
		classes = 2
	}
	return l.fitLogistic(ctx, d, task, classes, opt)
}

// pieces is how many parts the rows are cut into for sums; it depends on nothing but this constant, so that floating
// point sums are the same for any number of workers.
const pieces = 16

// design is the training set with what standardising needs. A standardised value is (x-mean)*inv, or 0 when x is NaN.
type design struct {
	x       *table.Matrix
	y       []float64
	weights []float64 // nil for all ones
	total   float64   // sum of the weights
	mean    []float64
	inv     []float64 // 1/standard deviation, 0 for a column of one value
	scale   []float64 // standard deviation
	workers int
}

func (d *design) weight(i int) float64 {
	if d.weights == nil {
		return 1
	}
	return d.weights[i]
}

// rows is the row range of a piece.
func (d *design) rows(piece int) (lo, hi int) {
	return d.x.Rows * piece / pieces, d.x.Rows * (piece + 1) / pieces
}

// standardise computes weighted means and standard deviations of what is there in each column.
func standardise(set learner.Set, weights []float64, workers int) (*design, error) {
	x := set.X
	p := x.Cols
	d := &design{x: x, y: set.Y, weights: weights, workers: workers,
		mean: make([]float64, p), inv: make([]float64, p), scale: make([]float64, p)}
	for i := range set.Y {
		d.total += d.weight(i)
	}
	present := make([]float64, p)
	d.sum(present, d.mean, func(j int, v float64) float64 { return v })
	for j := range d.mean {
		if math.IsInf(d.mean[j], 0) || math.IsNaN(d.mean[j]) {
			return nil, fault.New(fault.Invalid, "column %s has infinite values", columnName(x, j)).
				WithHint("clip it in the recipe, or use gbdt")
		}
		if present[j] > 0 {
			d.mean[j] /= present[j]
		}
	}
	d.sum(present, d.scale, func(j int, v float64) float64 { return (v - d.mean[j]) * (v - d.mean[j]) })
	for j := range d.scale {
		// Missing values sit at the mean, so the variance is over all rows.
		d.scale[j] = math.Sqrt(d.scale[j] / d.total)
		// A column of one value has nothing but rounding here.
		if d.scale[j] > 1e-12*math.Abs(d.mean[j]) {
			d.inv[j] = 1 / d.scale[j]
		} else {
			d.scale[j] = 0
		}
	}
	return d, nil
}

// sum adds up weights into present and weighted of(value) into out per column, over the values that are there.
func (d *design) sum(present, out []float64, of func(j int, v float64) float64) {
	p := d.x.Cols
	parts := make([][]float64, pieces)
	shard.Run(d.workers, pieces, func(_, b int) {
		s := make([]float64, 2*p)
		lo, hi := d.rows(b)
		for i := lo; i < hi; i++ {
			w := d.weight(i)
			for j, v := range d.x.Row(i) {
				if v == v {
					s[j] += w
					s[p+j] += float64(w * of(j, float64(v)))
				}
			}
		}
		parts[b] = s
	})
	clear(present)
	clear(out)
	for _, s := range parts {
		for j := range p {
			present[j] += s[j]
			out[j] += s[p+j]
		}
	}
}

func columnName(x *table.Matrix, j int) string {
	if j < len(x.Names) {
		return x.Names[j]
	}
	return strconv.Itoa(j)
}

// row writes the standardised values of row i.
func (d *design) row(i int, dst []float64) {
	for j, v := range d.x.Row(i) {
		if v == v {
			dst[j] = (float64(v) - d.mean[j]) * d.inv[j]
		} else {
			dst[j] = 0
		}
	}
}

// model turns standardised coefficients (outputs x columns) and intercepts into units of the inputs.
func (d *design) model(kind string, task learner.Task, coef [][]float64, intercept []float64) *Model {
	m := &Model{kind: kind, task: task, Fill: d.mean, Scale: d.scale}
	for k := range coef {
		own := make([]float64, len(coef[k]))
		b := intercept[k]
		for j, c := range coef[k] {
			own[j] = c * d.inv[j]
			b -= float64(own[j] * d.mean[j])
		}
		m.Coef = append(m.Coef, own)
		m.Intercept = append(m.Intercept, b)
	}
	return m
}
