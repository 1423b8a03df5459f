// Package neighbours predicts a row from the training rows that lie nearest to it. It owns the search, which is by a k-d
// tree for few columns and over all rows for many, the model, which holds the training rows, and its format.
//
// Columns become numbers as package expand says, with a column of gaps beside each number that has some. Numbers are
// standardised unless that is switched off; two rows of different categories are 1 apart in that column, and so are a
// row with a gap and one without. Of rows at the same distance the one that came first in training is the nearer.
package neighbours

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
const Name = "knn"

// Values of the parameters weights and metric.
const (
	Uniform   = "uniform"  // every neighbour counts the same
	Distance  = "distance" // neighbours count by 1/distance; those at distance 0, when there are any, alone
	Euclidean = "euclidean"
	Manhattan = "manhattan"
)

// Learner is a configured search for neighbours.
type Learner struct {
	K           int    // neighbours; default 5
	Weights     string // Uniform or Distance
	Metric      string // Euclidean or Manhattan
	Standardise bool   // default true
}

// New reads the parameters k, weights, metric and standardise. A seed is accepted and has no effect.
func New(p learner.Params) (*Learner, error) {
	r := learner.NewReader(Name, p)
	l := &Learner{
		K:           r.Int("k", 5, 1, 10_000),
		Weights:     r.Text("weights", Uniform, Uniform, Distance),
		Metric:      r.Text("metric", Euclidean, Euclidean, Manhattan),
		Standardise: r.Bool("standardise", true),
	}
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
	return learner.Params{"k": l.K, "weights": l.Weights, "metric": l.Metric, "standardise": l.Standardise}
}

// maxCells bounds the model: 8 GiB of numbers.
const maxCells = 1 << 31

// Fit implements learner.Learner: it keeps the rows. Rows without weight are left out; the weights of the others count
// in votes and means, not in what is near. A number that is infinite is fault.Invalid.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	switch task {
	case learner.Ranking:
		return nil, fault.New(fault.Invalid, "knn predicts classes and numbers, and the task is %s", task).WithHint("use gbdt")
	case learner.Multiclass:
	default:
		classes = 1
	}
	e, err := expand.Fit(train.X, opt.Weights, expand.Options{Indicators: true, Workers: opt.Workers})
	if err != nil {
		return nil, err
	}
	if cells := int64(train.X.Rows) * int64(e.Width()); cells > maxCells {
		return nil, fault.New(fault.TooLarge, "knn would keep %d numbers; at most %d are supported", cells, int64(maxCells)).WithHint("train on a sample of the rows")
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Canceled, "training stopped")
	}
	m := &Model{task: task, outputs: classes, k: l.K, distance: l.Weights == Distance, manhattan: l.Metric == Manhattan, expansion: e}
	m.keep(train, opt.Weights, l.Standardise)
	m.index()
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

// keep takes the rows that have weight, expanded and scaled.
func (m *Model) keep(train learner.Set, weights []float64, standardise bool) {
	e := m.expansion
	x := e.Matrix(train.X, 1)
	m.scale(x, weights, standardise)
	width := e.Width()
	for i := range x.Rows {
		if weights != nil {
			if weights[i] == 0 {
				continue
			}
			m.weights = append(m.weights, weights[i])
		}
		m.labels = append(m.labels, train.Y[i])
		m.rows = append(m.rows, x.Row(i)...)
		m.place(m.rows[len(m.rows)-width:])
	}
}

// scale sets the centre and the factor of each expanded column.
func (m *Model) scale(x *table.Matrix, weights []float64, standardise bool) {
	e := m.expansion
	width := e.Width()
	m.centre, m.factor = make([]float32, width), make([]float64, width)
	sum, square, total := make([]float64, width), make([]float64, width), 0.0
	weight := func(i int) float64 {
		if weights == nil {
			return 1
		}
		return weights[i]
	}
	for i := range x.Rows {
		w := weight(i)
		total += w
		for j, v := range x.Row(i) {
			sum[j] += float64(w * float64(v))
		}
	}
	for i := range x.Rows {
		w := weight(i)
		for j, v := range x.Row(i) {
			d := float64(v) - sum[j]/total
			square[j] += float64(w * float64(d*d))
		}
	}
	for f := range e.Features() {
		lo, hi := e.Columns(f)
		categories := e.Categories(f)
		for c := lo; c < hi; c++ {
			m.factor[c] = 1
			switch {
			case hi-lo >= categories && categories > 0: // a column for each category: two of them differ
				m.factor[c] = math.Sqrt(0.5)
				if m.manhattan {
					m.factor[c] = 0.5
				}
			case c > lo: // gaps
			case standardise:
				mean, deviation := sum[c]/total, math.Sqrt(square[c]/total)
				if m.factor[c] = 0; deviation > 1e-12*math.Abs(mean) && deviation > 1e-55 {
					m.centre[c], m.factor[c] = float32(mean), 1/deviation
				}
			}
		}
	}
}

// place scales one expanded row.
func (m *Model) place(row []float32) {
	for j, v := range row {
		s := (float64(v) - float64(m.centre[j])) * m.factor[j]
		row[j] = float32(min(max(s, -math.MaxFloat32), math.MaxFloat32))
	}
}

func (m *Model) loss(set *learner.Set) float64 {
	if set == nil {
		return math.NaN()
	}
	p := make([]float64, set.X.Rows*m.outputs)
	m.Predict(set.X, p)
	return learner.MeanLoss(m.task, set.Y, p)
}

// block is the rows that one goroutine predicts at a time.
const block = 64

func (m *Model) blocks(rows int, do func(i int, s *scratch)) {
	shard.Run(shard.Workers(0), shard.Blocks(rows, block), func(_, b int) {
		s := m.scratch()
		defer m.pool.Put(s)
		lo, hi := shard.Bounds(b, rows, block)
		for i := lo; i < hi; i++ {
			do(i, s)
		}
	})
}
