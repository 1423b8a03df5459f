package neighbours

import (
	"math"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is the training rows with a way to find the near ones. It is immutable and safe for concurrent use.
type Model struct {
	task                learner.Task
	outputs, k          int
	distance, manhattan bool
	expansion           *expand.Expansion
	centre              []float32 // per expanded column, what is taken off
	factor              []float64 // and what it is multiplied by then
	rows                []float32 // expanded and scaled
	labels              []float64
	weights             []float64 // nil for all ones

	tree *tree
	pool sync.Pool
}

// scratch is what a prediction needs besides the model.
type scratch struct {
	query []float32
	found near
}

func (m *Model) scratch() *scratch {
	s := m.pool.Get().(*scratch)
	s.found.row, s.found.dist = s.found.row[:0], s.found.dist[:0]
	return s
}

// index prepares the search.
func (m *Model) index() {
	width, k := m.expansion.Width(), min(m.k, len(m.labels))
	m.pool.New = func() any {
		return &scratch{query: make([]float32, width), found: near{k: k, row: make([]int32, 0, k), dist: make([]float64, 0, k)}}
	}
	if width <= treeColumns && len(m.labels) > 4*leafRows {
		m.tree = newTree(m.rows, width)
	}
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Name }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return m.outputs }

// Features implements learner.Model.
func (m *Model) Features() int { return m.expansion.Features() }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	s := m.scratch()
	m.predict(x, dst, s)
	m.pool.Put(s)
}

// Predict implements learner.Model. Rows are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.Features() {
		panic("neighbours: matrix and model differ in features")
	}
	k := m.outputs
	m.blocks(x.Rows, func(i int, s *scratch) { m.predict(x.Row(i), dst[i*k:(i+1)*k], s) })
}

func (m *Model) predict(x []float32, dst []float64, s *scratch) {
	dst = dst[:m.outputs]
	m.expansion.Row(x, s.query)
	m.place(s.query)
	found := &s.found
	found.row, found.dist = found.row[:0], found.dist[:0]
	if m.tree != nil {
		m.search(0, s.query, found)
	} else {
		width := len(s.query)
		for i := range m.labels {
			found.add(int32(i), m.measure(s.query, m.rows[i*width:(i+1)*width], found.bound()))
		}
	}
	clear(dst)
	var total float64
	least := found.dist[0]
	for _, d := range found.dist {
		least = min(least, d)
	}
	for i, row := range found.row {
		w := 1.0
		if m.distance {
			w = m.closeness(found.dist[i], least)
		}
		if m.weights != nil {
			w *= m.weights[row]
		}
		total += w
		if m.outputs > 1 {
			dst[int(m.labels[row])] += w
		} else {
			dst[0] += float64(w * m.labels[row])
		}
	}
	for i := range dst {
		dst[i] /= total
	}
	if m.task == learner.Binary {
		dst[0] = min(dst[0], 1) // the quotient of equal sums may round up
	}
}

// closeness is the weight of a neighbour: least/distance, which is in proportion to 1/distance and never overflows. A
// row at distance 0 has all of it.
func (m *Model) closeness(d, least float64) float64 {
	switch {
	case d == least:
		return 1
	case least == 0:
		return 0
	case m.manhattan:
		return least / d
	}
	return math.Sqrt(least / d)
}

// Importance gives every feature that tells rows apart the same share: distance knows no better.
func (m *Model) Importance() []float64 {
	out := make([]float64, m.Features())
	width := m.expansion.Width()
	var used float64
	for f := range out {
		lo, hi := m.expansion.Columns(f)
		for i := 1; i < len(m.labels) && out[f] == 0; i++ {
			for c := lo; c < hi; c++ {
				if m.rows[i*width+c] != m.rows[c] {
					out[f] = 1
				}
			}
		}
		used += out[f]
	}
	if used > 0 {
		for f := range out {
			out[f] /= used
		}
	}
	return out
}

const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(Name, layout)
	w.Text(string(m.task))
	w.Uint32(uint32(m.outputs))
	w.Uint32(uint32(m.k))
	w.Bools([]bool{m.distance, m.manhattan})
	m.expansion.Write(w)
	w.Singles(m.centre)
	w.Floats(m.factor)
	w.Floats(m.labels)
	w.Floats(m.weights)
	w.Singles(m.rows)
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Name, version)
	}
	m := &Model{task: learner.Task(r.Text(32)), outputs: int(r.Uint32()), k: int(r.Uint32())}
	flags := r.Bools()
	m.expansion = expand.Read(r)
	m.centre, m.factor, m.labels, m.weights, m.rows = r.Singles(), r.Floats(), r.Floats(), r.Floats(), r.Singles()
	if err := r.End(); err != nil {
		return nil, err
	}
	if len(m.weights) == 0 {
		m.weights = nil
	}
	width, n := m.expansion.Width(), len(m.labels)
	classes := m.outputs
	switch m.task {
	case learner.Binary:
		classes = 2
	case learner.Multiclass, learner.Regression:
	default:
		classes = 0
	}
	if classes < 1 || (m.task == learner.Multiclass) != (m.outputs > 1) || m.k < 1 || len(flags) != 2 || width < 1 || n < 1 ||
		len(m.centre) != width || len(m.factor) != width || len(m.rows)%width != 0 || len(m.rows)/width != n || m.weights != nil && len(m.weights) != n {
		return nil, fault.New(fault.Corrupt, "the model does not hold together")
	}
	if m.outputs > 1<<16 && m.outputs > n {
		return nil, fault.New(fault.Corrupt, "the model claims %d classes", m.outputs)
	}
	for _, y := range m.labels {
		if y-y != 0 || m.task != learner.Regression && (y < 0 || y >= float64(classes) || y != math.Trunc(y)) {
			return nil, fault.New(fault.Corrupt, "the model has the label %v", y)
		}
	}
	for _, w := range m.weights {
		if !(w > 0) || w-w != 0 {
			return nil, fault.New(fault.Corrupt, "the model has the weight %v", w)
		}
	}
	for j, f := range m.factor {
		if f-f != 0 || m.centre[j]-m.centre[j] != 0 {
			return nil, fault.New(fault.Corrupt, "the model scales column %d by %v", j, f)
		}
	}
	for _, v := range m.rows {
		if v-v != 0 {
			return nil, fault.New(fault.Corrupt, "the model has the value %v", v)
		}
	}
	m.distance, m.manhattan = flags[0], flags[1]
	m.index()
	return m, nil
}
