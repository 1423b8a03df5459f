package linear

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is a fitted linear model. The margin of output k is Intercept[k] plus the sum over features j of Coef[k][j]
// times x[j], or times Fill[j] when x[j] is NaN. Binary probability is the logistic function of the one margin,
// multiclass probabilities are the softmax of K margins, a regression's value is its margin. The exported fields
// must not be changed.
type Model struct {
	Coef      [][]float64 // outputs x features, in the inputs' units
	Intercept []float64   // one per output
	Fill      []float64   // per feature, what stands in for a missing value: the training mean
	Scale     []float64   // per feature, the standard deviation in training; 0 for a column of one value

	kind string
	task learner.Task
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
			f := float64(v)
			if v != v {
				f = m.Fill[j]
			}
			sum += float64(coef[j] * f)
		}
		dst[k] = sum
	}
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

// Importance is each feature's share of the sum over outputs of |coefficient| times standard deviation.
func (m *Model) Importance() []float64 {
	out := make([]float64, len(m.Fill))
	var total float64
	for _, coef := range m.Coef {
		for j, c := range coef {
			v := math.Abs(c) * m.Scale[j]
			out[j] += v
			total += v
		}
	}
	if total > 0 {
		for j := range out {
			out[j] /= total
		}
	}
	return out
}

// layout is the version of the bytes below.
const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(m.kind, layout)
	w.Text(string(m.task))
	w.Floats(m.Fill)
	w.Floats(m.Scale)
	w.Floats(m.Intercept)
	for _, c := range m.Coef {
		w.Floats(c)
	}
	return w.Bytes, nil
}

// Load reads the body of a model of the kind after its opening.
func Load(r *wire.Reader, version uint32, kind string) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", kind, version)
	}
	m := &Model{kind: kind, task: learner.Task(r.Text(32)), Fill: r.Floats(), Scale: r.Floats(), Intercept: r.Floats()}
	for range m.Intercept {
		m.Coef = append(m.Coef, r.Floats())
		if r.Err() != nil {
			break
		}
	}
	if err := r.End(); err != nil {
		return nil, err
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
	m := &Model{Coef: coef, Intercept: intercept, Fill: fill, Scale: make([]float64, len(fill)), kind: kind, task: task}
	for j := range m.Scale {
		m.Scale[j] = 1
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Model) check() error {
	k, p := len(m.Intercept), len(m.Fill)
	switch {
	case m.task == learner.Multiclass && k >= 2 && m.kind != Linear:
	case m.task == learner.Binary && k == 1 && m.kind != Linear:
	case m.task == learner.Regression && k == 1 && m.kind != Logistic:
	case m.task == learner.Ranking && k == 1 && m.kind != Logistic && m.kind != Linear:
	default:
		return fault.New(fault.Corrupt, "a %s model of task %q cannot have %d outputs", m.kind, m.task, k)
	}
	if p == 0 || len(m.Scale) != p || len(m.Coef) != k {
		return fault.New(fault.Corrupt, "the model's arrays differ in length")
	}
	for _, c := range m.Coef {
		if len(c) != p {
			return fault.New(fault.Corrupt, "the model's arrays differ in length")
		}
	}
	return nil
}
