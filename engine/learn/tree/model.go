package tree

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is an ensemble with a task: the model that boosting, forests, single trees and foreign files become. It is
// immutable and safe for concurrent use; the exported fields must not be changed.
type Model struct {
	Ensemble

	kind   string
	task   learner.Task
	scorer *Scorer
}

// NewModel wraps an ensemble, which must not be changed afterwards. kind is the name of the learner, or of the foreign
// format, that made it. It fails with fault.Corrupt when the ensemble is not sound or its link does not go with the task.
func NewModel(kind string, task learner.Task, e Ensemble) (*Model, error) {
	m := &Model{Ensemble: e, kind: kind, task: task}
	if err := m.Check(); err != nil {
		return nil, err
	}
	ok := false
	switch task {
	case learner.Binary:
		ok = len(e.Base) == 1 && (e.Link == Logistic || e.Link == Identity || e.Link == Step)
	case learner.Multiclass:
		ok = len(e.Base) >= 2 && (e.Link == Softmax || e.Link == LogisticEach || e.Link == LogisticApart || e.Link == Identity)
	case learner.Regression, learner.Ranking:
		ok = e.Link == Identity || e.Link == Exp || e.Link == Logistic || e.Link == SignedSquare || e.Link == Softplus
	}
	if !ok {
		return nil, fault.New(fault.Corrupt, "a model of task %q cannot have %d outputs of link %q", task, len(e.Base), e.Link)
	}
	var err error
	m.scorer, err = NewScorer(&m.Ensemble)
	return m, err
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return m.kind }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Features implements learner.Model.
func (m *Model) Features() int { return m.Ensemble.Features }

// Rounds is the trees of each output.
func (m *Model) Rounds() int { return len(m.Trees) / len(m.Base) }

// Margin writes the Outputs margins of one row to dst without allocating.
func (m *Model) Margin(x []float32, dst []float64) { m.scorer.Row(x, dst) }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	m.scorer.Row(x, dst)
	m.link(dst[:len(m.Base)])
}

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.Ensemble.Features {
		panic("tree: matrix and model differ in features")
	}
	m.scorer.Rows(x.Data, x.Rows, dst, 0)
	m.linkRows(x.Rows, dst)
}

// PredictWide implements learner.Wide.
func (m *Model) PredictWide(x []float64, rows int, dst []float64) {
	m.scorer.RowsWide(x, rows, dst, 0)
	m.linkRows(rows, dst)
}

// Margins writes the Rows x Outputs margins of the rows, equal to those of Margin.
func (m *Model) Margins(x *table.Matrix, dst []float64) { m.scorer.Rows(x.Data, x.Rows, dst, 0) }

// MarginsWide is Margins for rows x Features values of float64.
func (m *Model) MarginsWide(x []float64, rows int, dst []float64) {
	m.scorer.RowsWide(x, rows, dst, 0)
}

func (m *Model) linkRows(rows int, dst []float64) {
	if m.Link == Identity {
		return
	}
	k := len(m.Base)
	for i := range rows {
		m.link(dst[i*k : (i+1)*k])
	}
}

// link turns margins into what the task predicts, in place.
func (e *Ensemble) link(margins []float64) {
	switch e.Link {
	case Logistic:
		margins[0] = 1 / (1 + math.Exp(-e.Scale*margins[0]))
	case Exp:
		for i, v := range margins {
			margins[i] = math.Exp(v)
		}
	case SignedSquare:
		for i, v := range margins {
			margins[i] = v * math.Abs(v)
		}
	case Softplus:
		for i, v := range margins {
			margins[i] = max(v, 0) + math.Log1p(math.Exp(-math.Abs(v)))
		}
	case Step:
		for i, v := range margins {
			margins[i] = 0
			if v > 0 {
				margins[i] = 1
			}
		}
	case LogisticApart:
		for i, v := range margins {
			margins[i] = 1 / (1 + math.Exp(-e.Scale*v))
		}
	case LogisticEach:
		var sum float64
		for i, v := range margins {
			margins[i] = 1 / (1 + math.Exp(-e.Scale*v))
			sum += margins[i]
		}
		if sum > 0 {
			for i := range margins {
				margins[i] /= sum
			}
		}
	case Softmax:
		top := margins[0]
		for _, v := range margins[1:] {
			top = max(top, v)
		}
		var sum float64
		for i, v := range margins {
			margins[i] = math.Exp(v - top)
			sum += margins[i]
		}
		for i := range margins {
			margins[i] /= sum
		}
	}
}

// layout is the version of the bytes below. Layout 1 was gradient boosting alone, with float32 thresholds.
const layout = 2

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(m.kind, layout)
	w.Text(string(m.task))
	w.Uint32(uint32(m.Ensemble.Features))
	w.Texts(m.Names)
	w.Floats(m.Base)
	w.Bools([]bool{m.Average, m.Single})
	w.Text(string(m.Link))
	w.Floats([]float64{m.Scale})
	w.Bools(m.ZeroMissing)
	w.Uint32(uint32(len(m.Trees)))
	for i := range m.Trees {
		t := &m.Trees[i]
		w.Uint32(uint32(t.Output))
		w.Ints(t.Feature)
		w.Floats(t.Threshold)
		w.Ints(t.Left)
		w.Ints(t.Right)
		w.Bools(t.MissingLeft)
		w.Floats(t.Value)
		w.Floats(t.Gain)
		w.Floats(t.Cover)
		w.Ints(t.Set)
		w.Ints(t.Bounds)
		w.Words(t.Bits)
	}
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32, kind string) (*Model, error) {
	switch version {
	case 1:
		return loadFirst(r, kind)
	case layout:
	default:
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", kind, version)
	}
	task := learner.Task(r.Text(32))
	e := Ensemble{Features: int(r.Uint32()), Names: r.Texts(maxFeatures), Base: r.Floats()}
	flags := r.Bools()
	e.Link = Link(r.Text(32))
	scale := r.Floats()
	if r.Err() == nil && (len(flags) != 2 || len(scale) != 1) {
		r.Fail("the model has %d flags and %d scales", len(flags), len(scale))
	}
	if r.Err() == nil {
		e.Average, e.Single, e.Scale = flags[0], flags[1], scale[0]
	}
	e.ZeroMissing = r.Bools()
	count := int(r.Uint32())
	for i := 0; i < count && r.Err() == nil; i++ {
		e.Trees = append(e.Trees, Tree{
			Output: int(r.Uint32()), Feature: r.Ints(), Threshold: r.Floats(), Left: r.Ints(), Right: r.Ints(),
			MissingLeft: r.Bools(), Value: r.Floats(), Gain: r.Floats(), Cover: r.Floats(),
			Set: r.Ints(), Bounds: r.Ints(), Bits: r.Words(),
		})
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return NewModel(kind, task, e)
}

// loadFirst reads layout 1: trees come round by round, one for each output.
func loadFirst(r *wire.Reader, kind string) (*Model, error) {
	task := learner.Task(r.Text(32))
	e := Ensemble{Features: int(r.Uint32()), Base: r.Floats(), Single: true, Scale: 1, Link: LinkOf(task)}
	count := int(r.Uint32())
	for i := 0; i < count && r.Err() == nil; i++ {
		t := Tree{Output: i % max(len(e.Base), 1), Feature: r.Ints()}
		for _, v := range r.Singles() {
			t.Threshold = append(t.Threshold, float64(v))
		}
		t.Left, t.Right, t.MissingLeft = r.Ints(), r.Ints(), r.Bools()
		t.Value, t.Gain, t.Cover = r.Floats(), r.Floats(), r.Floats()
		e.Trees = append(e.Trees, t)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return NewModel(kind, task, e)
}

// LinkOf is the usual link of a task.
func LinkOf(task learner.Task) Link {
	switch task {
	case learner.Binary:
		return Logistic
	case learner.Multiclass:
		return Softmax
	}
	return Identity
}
