// Package mlp is a multilayer perceptron for tables: the RealMLP-TD-S recipe (Holzmüller, Grinsztajn and Steinwart,
// "Better by Default", arXiv:2407.04491): robustly scaled and smoothly clipped inputs, one learnable factor per input,
// three hidden layers of 256 in the neural tangent parametrisation, SELU for classes and Mish for numbers, a last layer
// that starts at zero, Adam with a slow second moment and a learning rate that restarts four times, the best epoch on
// held-out rows. It owns network, training and model; it must never know where rows come from.
//
// Products of matrices come from package gemm, everything else is computed without fused operations: the same rows,
// parameters and seed give the same bytes for any number of workers, and on every processor on which Go's math.Exp, Log and
// Cos agree to the last bit.
package mlp

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Name is the learner's name in configuration files and in model files.
const Name = "mlp"

// Learner is a configured network.
type Learner struct {
	Hidden       []int   // hidden: widths of the hidden layers; default 256, 256, 256
	Activation   string  // activation: selu, mish or relu; default selu for classes, mish for numbers
	Epochs       int     // epochs; default 0: 256, fewer where rows are many, at least 20
	Batch        int     // batch: rows of a step; default 256
	LearningRate float64 // learning_rate; default 0: 0.04 for classes, 0.07 for numbers
	Smoothing    float64 // label_smoothing of classes; default 0.1
	Validation   float64 // validation_fraction held out when no validation rows are given; default 0.1, 0 for none
	Patience     int     // early_stopping_rounds: epochs without a better validation loss; default 0, off: the best epoch counts
	Seed         uint64  // default: the run's seed

	seedSet bool
}

// activations are the functions between layers.
var activations = []string{"selu", "mish", "relu"}

// New reads the parameters hidden, activation, epochs, batch, learning_rate, label_smoothing, validation_fraction,
// early_stopping_rounds and seed.
func New(p learner.Params) (*Learner, error) {
	r := learner.NewReader(Name, p)
	l := &Learner{
		Hidden:       r.Ints("hidden", []int{256, 256, 256}, 1, 8192),
		Activation:   r.Text("activation", "", append([]string{""}, activations...)...),
		Epochs:       r.Int("epochs", 0, 0, 100_000),
		Batch:        r.Int("batch", 256, 1, 1<<20),
		LearningRate: r.Float("learning_rate", 0, 0, 10),
		Smoothing:    r.Float("label_smoothing", .1, 0, .9),
		Validation:   r.Float("validation_fraction", .1, 0, .9),
		Patience:     r.Int("early_stopping_rounds", 0, 0, 100_000),
	}
	l.Seed, l.seedSet = r.Seed()
	if len(l.Hidden) > 16 {
		r.Refuse(fault.New(fault.Invalid, "mlp: hidden has %d layers; at most 16 can be", len(l.Hidden)))
	}
	return l, r.Done()
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{"hidden": l.Hidden, "activation": l.Activation, "epochs": l.Epochs, "batch": l.Batch, "learning_rate": l.LearningRate,
		"label_smoothing": l.Smoothing, "validation_fraction": l.Validation, "early_stopping_rounds": l.Patience}
	if l.seedSet {
		p["seed"] = l.Seed
	}
	return p
}

// Fit implements learner.Learner.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	if task == learner.Ranking {
		return nil, fault.New(fault.Invalid, "mlp does not learn rankings").WithHint("gbdt does")
	}
	seed := opt.Seed
	if l.seedSet {
		seed = l.Seed
	}
	workers := shard.Workers(opt.Workers)
	set, weights, valid := train, opt.Weights, opt.Valid
	if valid == nil && l.Validation > 0 {
		set, weights, valid = l.holdOut(train, opt.Weights, task, seed)
	}
	e, err := expand.Fit(set.X, weights, expand.Options{Indicators: true, Workers: workers})
	if err != nil {
		return nil, err
	}
	m := &Model{task: task, outputs: 1, features: train.X.Cols, expansion: e}
	if task == learner.Multiclass {
		m.outputs = classes
	}
	m.activation = l.Activation
	if m.activation == "" {
		m.activation = "selu"
		if task == learner.Regression {
			m.activation = "mish"
		}
	}
	x := e.Matrix(set.X, workers)
	m.scaleTo(x, workers)
	m.squash(x, workers)
	m.Centre, m.Spread = 0, 1
	if task == learner.Regression {
		m.Centre, m.Spread = moments(set.Y, weights)
	}
	t := newTrainer(l, m, x, set.Y, weights, seed, workers)
	if valid != nil {
		v := e.Matrix(valid.X, workers)
		m.squash(v, workers)
		t.watch(v, valid.Y)
	}
	if opt.Ready != nil {
		opt.Ready()
	}
	if err := t.run(ctx, opt); err != nil {
		return nil, err
	}
	t.store(m)
	m.prepare()
	return m, nil
}

// fewest are the rows below which none is held out.
const fewest = 50

// holdOut keeps a share of the rows, drawn by their hashes, for choosing the epoch.
func (l *Learner) holdOut(train learner.Set, weights []float64, task learner.Task, seed uint64) (learner.Set, []float64, *learner.Set) {
	n := len(train.Y)
	if n < fewest {
		return train, weights, nil
	}
	var in, out []int
	limit := uint64(l.Validation * (1 << 53))
	for i := range n {
		if mix(seed, 0x76616c69, uint64(i))>>11 < limit {
			out = append(out, i)
		} else {
			in = append(in, i)
		}
	}
	take := func(rows []int) learner.Set {
		s := learner.Set{X: train.X.Take(rows), Y: make([]float64, len(rows))}
		for i, r := range rows {
			s.Y[i] = train.Y[r]
		}
		return s
	}
	inside := take(in)
	if len(out) == 0 || task == learner.Binary && !both(inside.Y) {
		return train, weights, nil
	}
	var w []float64
	if weights != nil {
		w = make([]float64, len(in))
		var total float64
		for i, r := range in {
			w[i] = weights[r]
			total += w[i]
		}
		if total == 0 {
			return train, weights, nil
		}
	}
	held := take(out)
	return inside, w, &held
}

func both(y []float64) bool {
	for _, v := range y {
		if v != y[0] {
			return true
		}
	}
	return false
}

// moments are the weighted mean and standard deviation of y, the deviation 1 where there is none.
func moments(y, w []float64) (mean, sd float64) {
	var total float64
	weight := func(i int) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
	for i, v := range y {
		total += weight(i)
		mean += float64(weight(i) * v)
	}
	mean /= total
	for i, v := range y {
		sd += float64(weight(i) * float64((v-mean)*(v-mean)))
	}
	sd = math.Sqrt(sd / total)
	if !(sd > 0) || math.IsInf(sd, 0) {
		sd = 1
	}
	return mean, sd
}

// mix is a hash of three numbers: SplitMix64's finaliser (Steele, Lea and Flood 2014) over their combination.
func mix(a, b, c uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1) + 0xd1b54a32d192ed03*(c+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// normal is a standard normal number for a hash: the polar form of Box and Muller (1958) on two hashes.
func normal(a, b, c uint64) float32 {
	u := (float64(mix(a, b, 2*c)>>11) + .5) / (1 << 53)
	v := float64(mix(a, b, 2*c+1)>>11) / (1 << 53)
	return float32(math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v))
}

// rowsAtOnce is how many rows a goroutine takes at a time.
const rowsAtOnce = 64

// each calls do for blocks of rows.
func each(workers, rows int, do func(lo, hi int)) {
	if rows < 4*rowsAtOnce {
		workers = 1
	}
	shard.Run(workers, shard.Blocks(rows, rowsAtOnce), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, rowsAtOnce)
		do(lo, hi)
	})
}

// scaleTo learns the centre and the factor of every input: the median, and one over the range of the middle half, or
// two over the whole range where the middle half is one value, or nothing where all is.
func (m *Model) scaleTo(x *table.Matrix, workers int) {
	m.Median, m.Factor = make([]float32, x.Cols), make([]float32, x.Cols)
	shard.Run(workers, x.Cols, func(_, j int) {
		v := make([]float32, x.Rows)
		for i := range v {
			v[i] = x.Data[i*x.Cols+j]
		}
		q := quantiles(v)
		m.Median[j] = q[2]
		lo, hi := float64(q[1]), float64(q[3])
		factor := 1 / (hi - lo)
		if !(hi > lo) {
			lo, hi = float64(q[0]), float64(q[4])
			factor = 2 / (hi - lo)
		}
		if !(hi > lo) || math.IsInf(factor, 0) || math.IsNaN(factor) {
			factor = 0
		}
		m.Factor[j] = float32(factor)
	})
}

// squash brings inputs to the network's scale, in place: x/sqrt(1+(x/3)²) of the scaled value.
func (m *Model) squash(x *table.Matrix, workers int) {
	each(workers, x.Rows, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			m.squashRow(x.Data[i*x.Cols : (i+1)*x.Cols])
		}
	})
}

func (m *Model) squashRow(row []float32) {
	for j, v := range row {
		s := (float64(v) - float64(m.Median[j])) * float64(m.Factor[j])
		third := s / 3
		row[j] = float32(s / math.Sqrt(1+float64(third*third)))
	}
}
