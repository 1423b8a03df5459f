package bayes

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is a fitted naive Bayes classifier. It is immutable and safe for concurrent use; the exported fields must not
// be changed.
type Model struct {
	Prior   []float64 // logarithm of each class's share; minus infinity for a class without weight
	Columns []Feature

	task   learner.Task
	shares []float64
}

// Feature is what a column says of the classes: Gaussians, a table, or nothing when both are empty.
type Feature struct {
	Mean, Variance []float64 // per class
	Log            []float64 // class by class, the logarithm of each category's share

	scale []float64 // per class, -log(2 pi variance)/2
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Name }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int {
	if m.task == learner.Binary {
		return 1
	}
	return len(m.Prior)
}

// Features implements learner.Model.
func (m *Model) Features() int { return len(m.Columns) }

// joint is the logarithm of the probability of the row together with class k.
func (m *Model) joint(x []float32, k int) float64 {
	sum := m.Prior[k]
	if math.IsInf(sum, -1) {
		return sum
	}
	for j, v := range x[:len(m.Columns)] {
		c := &m.Columns[j]
		switch {
		case v != v:
		case c.Mean != nil:
			d := float64(min(max(v, -math.MaxFloat32), math.MaxFloat32)) - c.Mean[k]
			sum += c.scale[k] - float64(d*d)/c.Variance[k]/2
		case c.Log != nil:
			levels := len(c.Log) / len(m.Prior)
			if i := code(v, levels); i >= 0 {
				sum += c.Log[k*levels+i]
			}
		}
	}
	return sum
}

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	if m.task == learner.Binary {
		dst[0] = 1 / (1 + math.Exp(m.joint(x, 0)-m.joint(x, 1)))
		return
	}
	dst = dst[:len(m.Prior)]
	top := math.Inf(-1)
	for k := range dst {
		dst[k] = m.joint(x, k)
		top = max(top, dst[k])
	}
	var sum float64
	for k, v := range dst {
		dst[k] = math.Exp(v - top)
		sum += dst[k]
	}
	for k := range dst {
		dst[k] /= sum
	}
}

const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(Name, layout)
	w.Text(string(m.task))
	w.Floats(m.Prior)
	w.Floats(m.shares)
	for _, c := range m.Columns {
		w.Floats(c.Mean)
		w.Floats(c.Variance)
		w.Floats(c.Log)
	}
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Name, version)
	}
	m := &Model{task: learner.Task(r.Text(32)), Prior: r.Floats(), shares: r.Floats()}
	k, some := len(m.Prior), false
	if m.task == learner.Binary && k != 2 || m.task == learner.Multiclass && k < 2 || m.task != learner.Binary && m.task != learner.Multiclass {
		r.Fail("a %s model of task %q cannot have %d classes", Name, m.task, k)
	}
	for _, p := range m.Prior {
		if some = some || p-p == 0; !(p <= 0) {
			r.Fail("the logarithm of a share in the model is %v", p)
		}
	}
	if !some || len(m.shares) == 0 {
		r.Fail("the model has no classes or no features")
	}
	for range m.shares {
		if r.Err() != nil {
			return nil, r.Err()
		}
		c := Feature{Mean: r.Floats(), Variance: r.Floats(), Log: r.Floats()}
		if n := len(c.Mean); n == 0 {
			c.Mean = nil
		} else if n != k {
			r.Fail("a feature of the model has %d means for %d classes", n, k)
		}
		if len(c.Variance) != len(c.Mean) || k > 0 && len(c.Log)%k != 0 || len(c.Mean) > 0 && len(c.Log) > 0 {
			r.Fail("a feature of the model does not hold together")
		}
		if len(c.Log) == 0 {
			c.Log = nil
		}
		for _, v := range c.Log {
			if !(v <= 1e-9) || v-v != 0 {
				r.Fail("the logarithm of a share in the model is %v", v)
				break
			}
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
		for i, v := range c.Variance {
			if !(v > 0) || v-v != 0 || c.Mean[i]-c.Mean[i] != 0 {
				r.Fail("a feature of the model has the variance %v", v)
			}
			c.scale = append(c.scale, -math.Log(2*math.Pi*v)/2)
		}
		m.Columns = append(m.Columns, c)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return m, nil
}
