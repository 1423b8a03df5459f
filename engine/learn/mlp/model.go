package mlp

import (
	"math"
	"slices"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/gemm"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Model is a fitted network. It is immutable and safe for concurrent use; the exported fields must not be changed.
type Model struct {
	Median, Factor []float32 // of each expanded input
	Centre, Spread float64   // of the labels of a regression

	task              learner.Task
	features, outputs int
	expansion         *expand.Expansion
	activation        string
	layers            []linear

	widest  int
	scratch sync.Pool
}

// Layer is one of the model: out = in weight + bias, weights Inputs x Outputs.
type Layer = linear

// Layers are the model's, the input's first. They must not be changed.
func (m *Model) Layers() []Layer { return m.layers }

// Expansion is how features become the inputs of the first layer, before they are centred and squashed.
func (m *Model) Expansion() *expand.Expansion { return m.expansion }

// Activation is between layers: relu, selu or mish.
func (m *Model) Activation() string { return m.activation }

// The constants of selu (Klambauer et al., arXiv:1706.02515): scale and, below 0, the limit.
const (
	SeluScale = seluScale
	SeluLow   = seluLow
)

// linear is a Layer.
type linear struct {
	Inputs, Outputs int
	Weight, Bias    []float32
}

// memory is what predicting a block of rows needs.
type memory struct {
	a, b  []float32
	multi gemm.Multiplier
}

// predicted are the rows that one goroutine predicts at a time.
const predicted = 192

func (m *Model) prepare() {
	m.widest = m.expansion.Width()
	for _, y := range m.layers {
		m.widest = max(m.widest, y.Outputs)
	}
	m.scratch.New = func() any {
		return &memory{a: make([]float32, predicted*m.widest), b: make([]float32, predicted*m.widest)}
	}
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Name }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return m.outputs }

// Features implements learner.Model.
func (m *Model) Features() int { return m.features }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	s := m.scratch.Get().(*memory)
	m.rows(s, x[:m.features], 1, dst[:m.outputs])
	m.scratch.Put(s)
}

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.features {
		panic("mlp: matrix and model differ in features")
	}
	dst = dst[:x.Rows*m.outputs]
	shard.Run(shard.Workers(0), shard.Blocks(x.Rows, predicted), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, predicted)
		s := m.scratch.Get().(*memory)
		m.rows(s, x.Data[lo*x.Cols:hi*x.Cols], hi-lo, dst[lo*m.outputs:hi*m.outputs])
		m.scratch.Put(s)
	})
}

// rows predicts at most predicted rows.
func (m *Model) rows(s *memory, x []float32, n int, dst []float64) {
	w := m.expansion.Width()
	in := s.a[:n*w]
	for i := range n {
		row := in[i*w : (i+1)*w]
		m.expansion.Row(x[i*m.features:(i+1)*m.features], row)
		m.squashRow(row)
	}
	out := s.b
	for k := range m.layers {
		y := &m.layers[k]
		out = out[:n*y.Outputs]
		s.multi.Multiply(out, gemm.Dense(n, y.Inputs, in), gemm.Dense(y.Inputs, y.Outputs, y.Weight), 1)
		for i := range n {
			shift(out[i*y.Outputs:(i+1)*y.Outputs], y.Bias, 1)
		}
		if k < len(m.layers)-1 {
			activate(m.activation, out, out)
		}
		in, out = out, in[:cap(in)]
	}
	for i, v := range in[:n*m.outputs] {
		dst[i] = float64(v)
	}
	m.link(dst[:n*m.outputs])
}

// link turns outputs of the network into predictions, in place.
func (m *Model) link(out []float64) {
	switch m.task {
	case learner.Binary:
		for i, v := range out {
			out[i] = 1 / (1 + math.Exp(-v))
		}
	case learner.Multiclass:
		for ; len(out) >= m.outputs; out = out[m.outputs:] {
			row := out[:m.outputs]
			top := slices.Max(row)
			var sum float64
			for i, v := range row {
				row[i] = math.Exp(v - top)
				sum += row[i]
			}
			for i := range row {
				row[i] /= sum
			}
		}
	default:
		for i, v := range out {
			out[i] = m.Centre + float64(v*m.Spread)
		}
	}
}

// Importance is each input's share of the size of the first layer's weights, an approximation of its influence.
func (m *Model) Importance() []float64 {
	out := make([]float64, m.features)
	first := &m.layers[0]
	var total float64
	for j := range out {
		lo, hi := m.expansion.Columns(j)
		for i := lo; i < hi; i++ {
			for _, w := range first.Weight[i*first.Outputs : (i+1)*first.Outputs] {
				if m.Factor[i] != 0 {
					out[j] += math.Abs(float64(w))
				}
			}
		}
		total += out[j]
	}
	if total > 0 {
		for j := range out {
			out[j] /= total
		}
	}
	return out
}

const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(Name, layout)
	w.Text(string(m.task))
	w.Uint32(uint32(m.features))
	w.Uint32(uint32(m.outputs))
	w.Text(m.activation)
	m.expansion.Write(w)
	w.Singles(m.Median)
	w.Singles(m.Factor)
	w.Floats([]float64{m.Centre, m.Spread})
	w.Uint32(uint32(len(m.layers)))
	for _, y := range m.layers {
		w.Uint32(uint32(y.Inputs))
		w.Uint32(uint32(y.Outputs))
		w.Singles(y.Weight)
		w.Singles(y.Bias)
	}
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Name, version)
	}
	m := &Model{task: learner.Task(r.Text(32)), features: int(r.Uint32()), outputs: int(r.Uint32()), activation: r.Text(16)}
	m.expansion = expand.Read(r)
	m.Median, m.Factor = r.Singles(), r.Singles()
	labels := r.Floats()
	n := int(r.Uint32())
	for i := 0; i < n && r.Err() == nil; i++ {
		m.layers = append(m.layers, linear{Inputs: int(r.Uint32()), Outputs: int(r.Uint32()), Weight: r.Singles(), Bias: r.Singles()})
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if len(labels) != 2 || len(m.layers) == 0 || !slices.Contains(activations, m.activation) {
		return nil, fault.New(fault.Corrupt, "the network is not sound")
	}
	m.Centre, m.Spread = labels[0], labels[1]
	width := m.expansion.Width()
	switch {
	case m.task == learner.Multiclass && m.outputs >= 2:
	case (m.task == learner.Binary || m.task == learner.Regression) && m.outputs == 1:
	default:
		return nil, fault.New(fault.Corrupt, "a network of task %q cannot have %d outputs", m.task, m.outputs)
	}
	if m.expansion.Features() != m.features || len(m.Median) != width || len(m.Factor) != width {
		return nil, fault.New(fault.Corrupt, "the network's inputs do not go together")
	}
	for i, y := range m.layers {
		if y.Inputs != width || y.Inputs <= 0 || y.Outputs <= 0 || len(y.Bias) != y.Outputs || len(y.Weight)/y.Outputs != y.Inputs || len(y.Weight)%y.Outputs != 0 {
			return nil, fault.New(fault.Corrupt, "layer %d of the network is not sound", i)
		}
		width = y.Outputs
	}
	if width != m.outputs {
		return nil, fault.New(fault.Corrupt, "the network ends with %d outputs, not %d", width, m.outputs)
	}
	m.prepare()
	return m, nil
}
