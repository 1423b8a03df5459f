// Package dummy holds the learner that looks at no input: the baseline that every other learner has to beat. It owns
// its strategies, its model and its format.
package dummy

import (
	"context"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Name is the learner's name in configuration files and in model files.
const Name = "dummy"

// The strategies. Auto is Prior for classes and Mean for numbers. All but Stratified predict the same for every row.
const (
	Auto         = "auto"
	Prior        = "prior"         // the share of each class
	MostFrequent = "most_frequent" // 1 for the class with the largest share, the first of equals
	Stratified   = "stratified"    // 1 for a class drawn by the shares; the draw depends on the row's values and the seed
	Uniform      = "uniform"       // the same for each class
	Mean         = "mean"
	Median       = "median"
	AtQuantile   = "quantile" // that of the parameter quantile
	AtConstant   = "constant" // the number, or the class, of the parameter constant
)

// Learner is a configured baseline.
type Learner struct {
	Strategy string
	Quantile float64 // from 0 to 1; default 0.5
	Constant float64
	seed     uint64
	hasSeed  bool
}

// New reads the parameters strategy, quantile, constant and seed.
func New(p learner.Params) (*Learner, error) {
	r := learner.NewReader(Name, p)
	l := &Learner{
		Strategy: r.Text("strategy", Auto, Auto, Prior, MostFrequent, Stratified, Uniform, Mean, Median, AtQuantile, AtConstant),
		Quantile: r.Float("quantile", 0.5, 0, 1),
		Constant: r.Float("constant", 0, -1e25, 1e25),
	}
	l.seed, l.hasSeed = r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{"strategy": l.Strategy, "quantile": l.Quantile, "constant": l.Constant}
	if l.hasSeed {
		p["seed"] = l.seed
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
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Canceled, "training stopped")
	}
	m := &Model{task: task, features: train.X.Cols}
	var err error
	if task == learner.Regression || task == learner.Ranking {
		err = l.number(m, train.Y, opt.Weights)
	} else {
		if task == learner.Binary {
			classes = 2
		}
		err = l.classes(m, train.Y, opt, classes)
	}
	if err != nil {
		return nil, err
	}
	if opt.Progress == nil && opt.Curve == nil {
		return m, nil
	}
	loss := m.loss(&train)
	if opt.Progress != nil {
		opt.Progress(1, 1, loss)
	}
	if opt.Curve != nil {
		opt.Curve(1, 1, loss, m.loss(opt.Valid))
	}
	return m, nil
}

func (l *Learner) number(m *Model, y, weights []float64) error {
	var value float64
	switch l.Strategy {
	case Auto, Mean:
		var total float64
		for i, v := range y {
			w := 1.0
			if weights != nil {
				w = weights[i]
			}
			value += float64(w * v)
			total += w
		}
		value /= total
	case Median:
		value = weightedQuantile(y, weights, 0.5)
	case AtQuantile:
		if value = weightedQuantile(y, weights, l.Quantile); weights == nil {
			value = interpolated(y, l.Quantile)
		}
	case AtConstant:
		value = l.Constant
	default:
		return fault.New(fault.Invalid, "dummy: the strategy %s is for classes, and the task is %s", l.Strategy, m.task).
			WithHint("strategies for numbers are mean, median, quantile and constant")
	}
	m.values = []float64{value}
	return nil
}

// interpolated is numpy.quantile's linear method.
func interpolated(y []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(y))
	at := q * float64(len(s)-1)
	lo := int(at)
	if lo+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[lo] + float64((at-float64(lo))*(s[lo+1]-s[lo]))
}

// weightedQuantile is the least value up to which more than the share q of the weight lies; where exactly q does, the
// middle between that value and the next (numpy's averaged_inverted_cdf).
func weightedQuantile(y, weights []float64, q float64) float64 {
	order := make([]int, 0, len(y))
	var total float64
	weight := func(i int) float64 {
		if weights == nil {
			return 1
		}
		return weights[i]
	}
	for i := range y {
		if weight(i) > 0 {
			order = append(order, i)
			total += weight(i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case y[a] < y[b]:
			return -1
		case y[a] > y[b]:
			return 1
		}
		return 0
	})
	var below float64
	for n, i := range order {
		below += weight(i)
		switch {
		case n == len(order)-1 || below-q*total > 1e-12*total:
			return y[i]
		case math.Abs(below-q*total) <= 1e-12*total:
			return y[i] + (y[order[n+1]]-y[i])/2
		}
	}
	return 0
}

func (l *Learner) classes(m *Model, y []float64, opt learner.Options, classes int) error {
	share := make([]float64, classes)
	var total float64
	for i, v := range y {
		w := 1.0
		if opt.Weights != nil {
			w = opt.Weights[i]
		}
		share[int(v)] += w
		total += w
	}
	most := 0
	for k := range share {
		share[k] /= total
		if share[k] > share[most] {
			most = k
		}
	}
	one := func(k int) {
		clear(share)
		share[k] = 1
	}
	switch l.Strategy {
	case Auto, Prior:
	case MostFrequent:
		one(most)
	case Uniform:
		for k := range share {
			share[k] = 1 / float64(classes)
		}
	case Stratified:
		m.drawn, m.seed = true, opt.Seed
		if l.hasSeed {
			m.seed = l.seed
		}
	case AtConstant:
		if l.Constant < 0 || l.Constant >= float64(classes) || l.Constant != math.Trunc(l.Constant) {
			return fault.New(fault.Invalid, "dummy: the constant %v is not a class from 0 to %d", l.Constant, classes-1)
		}
		one(int(l.Constant))
	default:
		return fault.New(fault.Invalid, "dummy: the strategy %s is for numbers, and the task is %s", l.Strategy, m.task).
			WithHint("strategies for classes are prior, most_frequent, stratified, uniform and constant")
	}
	m.values = share
	if m.task == learner.Binary {
		m.values = share[1:]
	}
	return nil
}

// Model predicts without looking, or, when it draws, without looking for meaning. It is immutable and safe for
// concurrent use.
type Model struct {
	task     learner.Task
	features int
	values   []float64 // what is predicted, one number per output
	drawn    bool      // a class is drawn by values
	seed     uint64
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Name }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return len(m.values) }

// Features implements learner.Model.
func (m *Model) Features() int { return m.features }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	dst = dst[:len(m.values)]
	copy(dst, m.values)
	if !m.drawn {
		return
	}
	u := m.draw(x[:m.features])
	if len(dst) == 1 {
		if dst[0] = 0; u < m.values[0] {
			dst[0] = 1
		}
		return
	}
	clear(dst)
	last := 0
	for k, v := range m.values {
		if v > 0 {
			if last = k; u < v {
				break
			}
		}
		u -= v
	}
	dst[last] = 1
}

// draw is a number in [0, 1) that the row's values and the seed decide: their FNV-1a hash, mixed by SplitMix64.
func (m *Model) draw(x []float32) float64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, v := range x {
		if v != v {
			v = math.MaxFloat32 // every NaN is one
		}
		h = (h ^ uint64(math.Float32bits(v))) * prime
	}
	z := h + (m.seed+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// Predict implements learner.Model.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.features {
		panic("dummy: matrix and model differ in features")
	}
	k := len(m.values)
	const block = 4096
	shard.Run(shard.Workers(0), shard.Blocks(x.Rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, block)
		for i := lo; i < hi; i++ {
			m.PredictRow(x.Row(i), dst[i*k:(i+1)*k])
		}
	})
}

// Importance is zero for every feature.
func (m *Model) Importance() []float64 { return make([]float64, m.features) }

func (m *Model) loss(set *learner.Set) float64 {
	if set == nil {
		return math.NaN()
	}
	p := make([]float64, set.X.Rows*len(m.values))
	m.Predict(set.X, p)
	return learner.MeanLoss(m.task, set.Y, p)
}

const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(Name, layout)
	w.Text(string(m.task))
	w.Uint32(uint32(m.features))
	w.Floats(m.values)
	w.Bools([]bool{m.drawn})
	w.Words([]uint32{uint32(m.seed), uint32(m.seed >> 32)})
	return w.Bytes, nil
}

// maxFeatures bounds what a stored model may claim; Importance makes a number for each.
const maxFeatures = 1 << 20

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Name, version)
	}
	m := &Model{task: learner.Task(r.Text(32)), features: int(r.Uint32()), values: r.Floats()}
	drawn, seed := r.Bools(), r.Words()
	if err := r.End(); err != nil {
		return nil, err
	}
	k := len(m.values)
	switch m.task {
	case learner.Binary, learner.Regression, learner.Ranking:
		k--
	case learner.Multiclass:
		k = min(max(2-k, 0), 1)
	default:
		k = -1
	}
	if k != 0 || m.features < 1 || m.features > maxFeatures || len(drawn) != 1 || len(seed) != 2 {
		return nil, fault.New(fault.Corrupt, "the model does not hold together")
	}
	for _, v := range m.values {
		if v-v != 0 {
			return nil, fault.New(fault.Corrupt, "the model predicts %v", v)
		}
	}
	m.drawn, m.seed = drawn[0], uint64(seed[0])|uint64(seed[1])<<32
	return m, nil
}
