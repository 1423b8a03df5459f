package linear

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is a fitted linear model. The margin of output k is Intercept[k] plus the sum over features of what each adds:
// for a number x Coef[k][j]*x, or Coef[k][j]*Fill[j] + Gap[k][j] when x is NaN; for a category the cell of its table.
// Binary probability is the logistic function of the one margin, multiclass probabilities are the softmax of K margins,
// a regression's value is its margin. It is immutable and safe for concurrent use; the exported fields must not be changed.
type Model struct {
	Coef      [][]float64 // outputs x features, in the inputs' units; 0 for categories
	Intercept []float64   // one per output
	Fill      []float64   // per feature, what stands in for a missing number: the training mean
	Scale     []float64   // per feature, the standard deviation in training; 0 for a column of one value and for categories
	Gap       [][]float64 // outputs x features, what a missing number adds besides
	// Tables are, per feature that holds categories, outputs numbers for each code, for an unseen category and for a
	// missing value, in that order; nil for numbers.
	Tables  [][]float64
	Average [][]float64 // outputs x features, the mean over training rows of what the feature adds to the margin
	// Alpha is the penalty that lasso and elastic_net were fitted with, chosen or given; 0 for others.
	Alpha float64

	kind   string
	task   learner.Task
	shares []float64
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return m.kind }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return len(m.Intercept) }

// Features implements learner.Model.
func (m *Model) Features() int { return len(m.Fill) }

// Margin writes the Outputs margins of one row to dst without allocating.
func (m *Model) Margin(x []float32, dst []float64) {
	x = x[:len(m.Fill)]
	for k, coef := range m.Coef {
		sum := m.Intercept[k]
		for j, v := range x {
			if v == v && m.Tables[j] == nil {
				sum += float64(coef[j] * float64(v))
			} else {
				sum += m.Contribution(k, j, v)
			}
		}
		if sum-sum != 0 { // infinite numbers count as the largest there are
			sum = m.Intercept[k]
			for j, v := range x {
				sum += m.Contribution(k, j, v)
			}
		}
		dst[k] = sum
	}
}

// Contribution is what the value v of feature j adds to the margin of output k. An infinite number counts as the
// largest float32.
func (m *Model) Contribution(k, j int, v float32) float64 {
	if table := m.Tables[j]; table != nil {
		outputs := len(m.Intercept)
		levels := len(table)/outputs - 2
		code := levels
		switch {
		case v != v:
			code = levels + 1
		case v >= 0 && v < float32(levels) && v == float32(int32(v)):
			code = int(v)
		}
		return table[code*outputs+k]
	}
	if v != v {
		return float64(m.Coef[k][j]*m.Fill[j]) + m.Gap[k][j]
	}
	return float64(m.Coef[k][j] * float64(min(max(v, -math.MaxFloat32), math.MaxFloat32)))
}

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	m.Margin(x, dst)
	switch m.task {
	case learner.Binary:
		dst[0] = 1 / (1 + math.Exp(-dst[0]))
	case learner.Multiclass:
		softmax(dst[:len(m.Intercept)])
	}
}

func softmax(m []float64) {
	top := m[0]
	for _, v := range m[1:] {
		top = max(top, v)
	}
	var sum float64
	for i, v := range m {
		m[i] = math.Exp(v - top)
		sum += m[i]
	}
	for i := range m {
		m[i] /= sum
	}
}

// predictBlock is the rows that one goroutine takes at a time.
const predictBlock = 1024

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != len(m.Fill) {
		panic("linear: matrix and model differ in features")
	}
	k := len(m.Intercept)
	dst = dst[:x.Rows*k]
	shard.Run(shard.Workers(0), shard.Blocks(x.Rows, predictBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, predictBlock)
		for i := lo; i < hi; i++ {
			m.PredictRow(x.Row(i), dst[i*k:(i+1)*k])
		}
	})
}

// Importance is each feature's share of the sum, over outputs and the columns that it became, of |coefficient| times
// standard deviation.
func (m *Model) Importance() []float64 { return slices.Clone(m.shares) }

// layout is the version of the bytes below. Version 1 had neither Gap, Tables, Average, Alpha nor shares.
const layout = 2

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(m.kind, layout)
	w.Text(string(m.task))
	w.Floats(m.Fill)
	w.Floats(m.Scale)
	w.Floats(m.Intercept)
	for k := range m.Coef {
		w.Floats(m.Coef[k])
		w.Floats(m.Gap[k])
		w.Floats(m.Average[k])
	}
	for _, t := range m.Tables {
		w.Floats(t)
	}
	w.Floats(m.shares)
	w.Floats([]float64{m.Alpha})
	return w.Bytes, nil
}

// Load reads the body of a model of the kind after its opening.
func Load(r *wire.Reader, version uint32, kind string) (*Model, error) {
	if version < 1 || version > layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", kind, version)
	}
	m := &Model{kind: kind, task: learner.Task(r.Text(32)), Fill: r.Floats(), Scale: r.Floats(), Intercept: r.Floats()}
	for range m.Intercept {
		m.Coef = append(m.Coef, r.Floats())
		if version > 1 {
			m.Gap, m.Average = append(m.Gap, r.Floats()), append(m.Average, r.Floats())
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	m.Tables = make([][]float64, len(m.Fill))
	if version > 1 {
		for j := range m.Tables {
			if m.Tables[j] = r.Floats(); len(m.Tables[j]) == 0 {
				m.Tables[j] = nil
			}
		}
		m.shares = r.Floats()
		if alpha := r.Floats(); len(alpha) == 1 {
			m.Alpha = alpha[0]
		} else {
			r.Fail("the model has %d penalties", len(alpha))
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if version == 1 {
		m.upgrade()
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// NewModel wraps coefficients that were fitted elsewhere: per output an intercept and a coefficient for each feature.
// kind is the name of the format they came in, fill what stands in for missing values. The slices must not be changed
// afterwards. What does not fit together is fault.Corrupt.
func NewModel(kind string, task learner.Task, coef [][]float64, intercept, fill []float64) (*Model, error) {
	m := &Model{Coef: coef, Intercept: intercept, Fill: fill, Scale: make([]float64, len(fill)), Tables: make([][]float64, len(fill)), kind: kind, task: task}
	for j := range m.Scale {
		m.Scale[j] = 1
	}
	m.upgrade()
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Model) check() error {
	k, p := len(m.Intercept), len(m.Fill)
	own := slices.Contains(Names(), m.kind)
	switch {
	case m.task == learner.Multiclass && k >= 2 && (!own || m.kind == Logistic):
	case m.task == learner.Binary && k == 1 && (!own || m.kind == Logistic):
	case m.task == learner.Regression && k == 1 && m.kind != Logistic:
	case m.task == learner.Ranking && k == 1 && !own:
	default:
		return fault.New(fault.Corrupt, "a %s model of task %q cannot have %d outputs", m.kind, m.task, k)
	}
	ok := p > 0 && len(m.Scale) == p && len(m.shares) == p && len(m.Coef) == k
	for o := range m.Coef {
		ok = ok && len(m.Coef[o]) == p && len(m.Gap[o]) == p && len(m.Average[o]) == p
	}
	for _, t := range m.Tables {
		ok = ok && (t == nil || len(t)%k == 0 && len(t) >= 3*k)
	}
	if !ok {
		return fault.New(fault.Corrupt, "the model's arrays differ in length")
	}
	return nil
}

// upgrade sets what version 1 did not store: it knew numbers only, whose gaps are filled.
func (m *Model) upgrade() {
	p := len(m.Fill)
	m.shares = make([]float64, p)
	var total float64
	for _, coef := range m.Coef {
		average := make([]float64, p)
		for j := range min(p, len(coef), len(m.Scale)) {
			average[j] = float64(coef[j] * m.Fill[j])
			m.shares[j] += float64(math.Abs(coef[j]) * m.Scale[j])
			total += float64(math.Abs(coef[j]) * m.Scale[j])
		}
		m.Gap, m.Average = append(m.Gap, make([]float64, p)), append(m.Average, average)
	}
	if total > 0 {
		for j := range m.shares {
			m.shares[j] /= total
		}
	}
}
