// Package bayes holds naive Bayes: features are taken as independent given the class. A number is Gaussian in each class,
// a column of categories has a share for each in each class (Laplace smoothing); a value that is missing, or a category
// that training did not see, says nothing. It owns the fit, the model and its format.
//
// It equals scikit-learn's GaussianNB on standardised columns, where its smoothing means a share of each column's own
// variance, and CategoricalNB; with columns of both kinds, the product of the two.
package bayes

import (
	"context"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Name is the learner's name in configuration files and in model files.
const Name = "naive_bayes"

// Learner is a configured naive Bayes classifier.
type Learner struct {
	Smoothing float64 // share of a column's variance that is added to its variance in each class; default 1e-9
	Alpha     float64 // rows that each category is given in each class beforehand; default 1
}

// New reads the parameters var_smoothing and alpha. A seed is accepted and has no effect.
func New(p learner.Params) (*Learner, error) {
	r := learner.NewReader(Name, p)
	l := &Learner{Smoothing: r.Float("var_smoothing", 1e-9, 1e-15, 1e6), Alpha: r.Float("alpha", 1, 1e-10, 1e12)}
	r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	return learner.Params{"var_smoothing": l.Smoothing, "alpha": l.Alpha}
}

// Fit implements learner.Learner. A number that is infinite is fault.Invalid.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	switch task {
	case learner.Binary:
		classes = 2
	case learner.Multiclass:
	default:
		return nil, fault.New(fault.Invalid, "naive_bayes predicts classes, and the task is %s", task).WithHint("use linear or gbdt")
	}
	f := &fitting{set: train, weights: opt.Weights, classes: classes, workers: shard.Workers(opt.Workers)}
	m := &Model{task: task, Prior: make([]float64, classes), Columns: make([]Feature, train.X.Cols)}
	var total float64
	for i, y := range train.Y {
		m.Prior[int(y)] += f.weight(i)
		total += f.weight(i)
	}
	for k := range m.Prior {
		m.Prior[k] = math.Log(m.Prior[k] / total)
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Canceled, "training stopped")
	}
	if err := f.fit(l, m); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Canceled, "training stopped")
	}
	if opt.Progress != nil || opt.Curve != nil {
		loss := m.loss(&train)
		if opt.Progress != nil {
			opt.Progress(1, 1, loss)
		}
		if opt.Curve != nil {
			opt.Curve(1, 1, loss, m.loss(opt.Valid))
		}
	}
	return m, nil
}

// pieces is how many parts the rows are cut into for sums, whatever the number of workers.
const pieces = 16

type fitting struct {
	set     learner.Set
	weights []float64
	classes int
	workers int
}

func (f *fitting) weight(i int) float64 {
	if f.weights == nil {
		return 1
	}
	return f.weights[i]
}

// sums adds up of(j, v) by weight over the values v of column j that are there, per column and cell, where cell is
// class, or class times categories plus category.
func (f *fitting) sums(offsets []int, of func(j int, v float64) float64) []float64 {
	x := f.set.X
	parts := make([][]float64, pieces)
	shard.Run(f.workers, pieces, func(_, b int) {
		s := make([]float64, offsets[x.Cols])
		for i := x.Rows * b / pieces; i < x.Rows*(b+1)/pieces; i++ {
			w, class := f.weight(i), int(f.set.Y[i])
			if w == 0 {
				continue
			}
			for j, v := range x.Row(i) {
				if v != v {
					continue
				}
				if n := x.Categories(j); n > 0 {
					if c := code(v, n); c >= 0 {
						s[offsets[j]+class*n+c] += w
					}
					continue
				}
				s[offsets[j]+class] += float64(w * of(j, float64(v)))
			}
		}
		parts[b] = s
	})
	out := parts[0]
	for _, p := range parts[1:] {
		for i, v := range p {
			out[i] += v
		}
	}
	return out
}

func code(v float32, levels int) int {
	if v >= 0 && v < float32(levels) && v == float32(int32(v)) {
		return int(v)
	}
	return -1
}

func (f *fitting) fit(l *Learner, m *Model) error {
	x, k := f.set.X, f.classes
	offsets := make([]int, x.Cols+1)
	for j := range x.Cols {
		offsets[j+1] = offsets[j] + k*max(x.Categories(j), 1)
	}
	count := f.sums(offsets, func(int, float64) float64 { return 1 })
	sum := f.sums(offsets, func(_ int, v float64) float64 { return v })
	mean := make([]float64, len(sum))
	overall := make([]float64, x.Cols)
	for j := range x.Cols {
		if x.Categories(j) > 0 {
			continue
		}
		var n, s float64
		for c := offsets[j]; c < offsets[j+1]; c++ {
			if n, s = n+count[c], s+sum[c]; count[c] > 0 {
				mean[c] = sum[c] / count[c]
			}
		}
		if s-s != 0 {
			return fault.New(fault.Invalid, "column %s has infinite values", expand.Name(x.Names, j)).WithHint("clip it in the recipe, or use gbdt")
		}
		if n > 0 {
			overall[j] = s / n
		}
	}
	// Deviations are taken from the column's mean first: those from the means of the classes follow.
	square := f.sums(offsets, func(j int, v float64) float64 { return (v - overall[j]) * (v - overall[j]) })
	gain := make([]float64, x.Cols)
	for j := range x.Cols {
		lo, hi := offsets[j], offsets[j+1]
		if n := x.Categories(j); n > 0 {
			m.Columns[j], gain[j] = l.categorical(count[lo:hi], n, m.Prior)
		} else {
			m.Columns[j], gain[j] = l.gaussian(count[lo:hi], mean[lo:hi], square[lo:hi], overall[j], m.Prior)
		}
	}
	var total float64
	for _, g := range gain {
		total += g
	}
	if total > 0 {
		for j := range gain {
			gain[j] /= total
		}
	}
	m.shares = gain
	return nil
}

// gaussian is the feature of a numeric column, and the mean over classes of the Kullback-Leibler divergence of its
// distribution in the class from the one over all rows, in nats.
func (l *Learner) gaussian(count, mean, square []float64, overall float64, prior []float64) (Feature, float64) {
	var n, all float64
	for c := range count {
		n, all = n+count[c], all+square[c]
	}
	if all /= n; n == 0 || !(math.Sqrt(all) > 1e-12*math.Abs(overall)) || all < 1e-180 {
		return Feature{}, 0 // a column of one value says nothing
	}
	var out Feature
	var gain float64
	for c := range count {
		center, variance := overall, all
		if count[c] > 0 {
			d := mean[c] - overall
			center, variance = mean[c], max(square[c]/count[c]-float64(d*d), 0)
		}
		variance += float64(l.Smoothing * all)
		out.Mean = append(out.Mean, center)
		out.Variance = append(out.Variance, variance)
		out.scale = append(out.scale, -math.Log(2*math.Pi*variance)/2)
		if p := math.Exp(prior[c]); p > 0 {
			d := center - overall
			gain += p * max((variance/all+float64(d*d)/all-1-math.Log(variance/all))/2, 0)
		}
	}
	return out, gain
}

// categorical is the feature of a column of categories, and its divergence as for gaussian.
func (l *Learner) categorical(count []float64, levels int, prior []float64) (Feature, float64) {
	k := len(count) / levels
	share := make([]float64, levels) // over all rows
	out := Feature{Log: make([]float64, len(count))}
	for c := range k {
		own := count[c*levels : (c+1)*levels]
		total := l.Alpha * float64(levels)
		for _, n := range own {
			total += n
		}
		for v, n := range own {
			p := (n + l.Alpha) / total
			out.Log[c*levels+v] = math.Log(p)
			share[v] += float64(math.Exp(prior[c]) * p)
		}
	}
	var gain float64
	for i, lp := range out.Log {
		if p := math.Exp(prior[i/levels]); p > 0 && share[i%levels] > 0 {
			gain += p * math.Exp(lp) * (lp - math.Log(share[i%levels]))
		}
	}
	return out, max(gain, 0)
}

func (m *Model) loss(set *learner.Set) float64 {
	if set == nil {
		return math.NaN()
	}
	p := make([]float64, set.X.Rows*m.Outputs())
	m.Predict(set.X, p)
	return learner.MeanLoss(m.task, set.Y, p)
}

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != len(m.Columns) {
		panic("bayes: matrix and model differ in features")
	}
	k := m.Outputs()
	const block = 1024
	shard.Run(shard.Workers(0), shard.Blocks(x.Rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, block)
		for i := lo; i < hi; i++ {
			m.PredictRow(x.Row(i), dst[i*k:(i+1)*k])
		}
	})
}

// Importance is each feature's share of the mean divergence of its distribution in a class from that over all rows.
func (m *Model) Importance() []float64 { return slices.Clone(m.shares) }
