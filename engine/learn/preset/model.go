package preset

import (
	"encoding/json"
	"math"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/encode"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Kind is the kind of the models that presets make.
const Kind = "blend"

// Model is a weighted mean of members' margins: log odds of a binary task, logarithms of the probabilities of a
// multiclass one, numbers of a regression. It is immutable and safe for concurrent use.
type Model struct {
	Members []Member
	Report  Report

	preset                    string
	task                      learner.Task
	features, outputs, widest int
	scratch                   sync.Pool
}

// Member is one model of a blend.
type Member struct {
	Name    string
	Weight  float64
	Encoder *encode.Encoder // nil: the model reads the rows as they are
	Model   learner.Model
}

// Report is how the members and the baselines did on the rows that none of the compared models was trained on.
type Report struct {
	Rows   int      `json:"rows"`
	Loss   float64  `json:"loss"` // of the blend, on the rows that its weights were chosen on
	Scores []Score  `json:"scores"`
	Notes  []string `json:"notes,omitempty"`
}

// Score is one of them: mean log loss, or half the mean squared error.
type Score struct {
	Name   string  `json:"name"`
	Loss   float64 `json:"loss"`
	Weight float64 `json:"weight"`
}

// rowScratch is what one row needs.
type rowScratch struct {
	encoded []float32
	out     []float64
}

func (m *Model) prepare() error {
	m.widest = m.features
	for i := range m.Members {
		c := &m.Members[i]
		width := m.features
		if c.Encoder != nil {
			if c.Encoder.Inputs() != m.features {
				return fault.New(fault.Corrupt, "member %d encodes %d features of %d", i, c.Encoder.Inputs(), m.features)
			}
			width = c.Encoder.Outputs()
		}
		if c.Model.Features() != width || c.Model.Outputs() != m.outputs || c.Model.Task() != m.task || !(c.Weight >= 0 && c.Weight <= 1) {
			return fault.New(fault.Corrupt, "member %d does not go with the blend", i)
		}
		m.widest = max(m.widest, width)
	}
	if len(m.Members) == 0 {
		return fault.New(fault.Corrupt, "the blend has no members")
	}
	m.scratch.New = func() any {
		return &rowScratch{encoded: make([]float32, m.widest), out: make([]float64, m.outputs)}
	}
	return nil
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Kind }

// Preset is the preset that made the model.
func (m *Model) Preset() string { return m.preset }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return m.outputs }

// Features implements learner.Model.
func (m *Model) Features() int { return m.features }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	s := m.scratch.Get().(*rowScratch)
	x, dst = x[:m.features], dst[:m.outputs]
	clear(dst)
	for i := range m.Members {
		c := &m.Members[i]
		in := x
		if c.Encoder != nil {
			in = s.encoded[:c.Encoder.Outputs()]
			c.Encoder.Row(x, in)
		}
		c.Model.PredictRow(in, s.out)
		unlink(m.task, s.out)
		for k, v := range s.out {
			dst[k] += float64(c.Weight * v)
		}
	}
	link(m.task, dst, m.outputs)
	m.scratch.Put(s)
}

// Predict implements learner.Model.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	dst = dst[:x.Rows*m.outputs]
	clear(dst)
	var encoded *table.Matrix
	var by *encode.Encoder
	for i := range m.Members {
		c := &m.Members[i]
		in := x
		if c.Encoder != nil {
			if c.Encoder != by {
				encoded, by = c.Encoder.Apply(x), c.Encoder
			}
			in = encoded
		}
		out := make([]float64, len(dst))
		c.Model.Predict(in, out)
		unlink(m.task, out)
		for j, v := range out {
			dst[j] += float64(c.Weight * v)
		}
	}
	link(m.task, dst, m.outputs)
}

// Importance is the weighted mean of the members' shares; what an encoding added counts for the column it came from.
func (m *Model) Importance() []float64 {
	out := make([]float64, m.features)
	var total float64
	for i := range m.Members {
		c := &m.Members[i]
		for j, v := range c.Model.Importance() {
			if c.Encoder != nil {
				j = c.Encoder.Source(j)
			}
			out[j] += c.Weight * v
			total += c.Weight * v
		}
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
	report, err := json.Marshal(m.Report)
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(Kind, layout)
	w.Text(m.preset)
	w.Text(string(m.task))
	w.Uint32(uint32(m.features))
	w.Uint32(uint32(m.outputs))
	w.Text(string(report))
	w.Uint32(uint32(len(m.Members)))
	for i := range m.Members {
		c := &m.Members[i]
		body, err := c.Model.MarshalBinary()
		if err != nil {
			return nil, err
		}
		w.Text(c.Name)
		w.Floats([]float64{c.Weight})
		w.Bools([]bool{c.Encoder != nil})
		if c.Encoder != nil {
			c.Encoder.Write(w)
		}
		w.Text(string(body))
	}
	return w.Bytes, nil
}

// Load reads the body of a model after its opening; load reads the members.
func Load(r *wire.Reader, version uint32, load func([]byte) (learner.Model, error)) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Kind, version)
	}
	const limit = math.MaxInt32
	m := &Model{preset: r.Text(64), task: learner.Task(r.Text(32)), features: int(r.Uint32()), outputs: int(r.Uint32())}
	report := r.Text(limit)
	n := int(r.Uint32())
	for i := 0; i < n && r.Err() == nil; i++ {
		c := Member{Name: r.Text(64)}
		weight, encoded := r.Floats(), r.Bools()
		if r.Err() != nil {
			break
		}
		if len(weight) != 1 || len(encoded) != 1 {
			return nil, fault.New(fault.Corrupt, "member %d of the blend is not sound", i)
		}
		c.Weight = weight[0]
		if encoded[0] {
			var err error
			if c.Encoder, err = encode.Read(r); err != nil {
				return nil, err
			}
		}
		body := r.Text(limit)
		if r.Err() != nil {
			break
		}
		_, _, kind, err := wire.Open([]byte(body))
		if err == nil && kind == Kind {
			err = fault.New(fault.Corrupt, "a blend cannot hold a blend")
		}
		if err == nil {
			c.Model, err = load([]byte(body))
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "member %d of the blend", i)
		}
		m.Members = append(m.Members, c)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(report), &m.Report); err != nil {
		return nil, fault.New(fault.Corrupt, "the report of the blend cannot be read")
	}
	return m, m.prepare()
}

// least keeps logarithms of probabilities finite.
const least = 1e-15

// unlink turns predictions into margins, in place.
func unlink(task learner.Task, p []float64) {
	switch task {
	case learner.Binary:
		for i, v := range p {
			v = min(max(v, least), 1-least)
			p[i] = math.Log(v / (1 - v))
		}
	case learner.Multiclass:
		for i, v := range p {
			p[i] = math.Log(max(v, least))
		}
	}
}

// link turns margins into predictions, in place.
func link(task learner.Task, m []float64, outputs int) {
	switch task {
	case learner.Binary:
		for i, v := range m {
			m[i] = 1 / (1 + math.Exp(-v))
		}
	case learner.Multiclass:
		for ; len(m) >= outputs; m = m[outputs:] {
			row := m[:outputs]
			top := row[0]
			for _, v := range row[1:] {
				top = max(top, v)
			}
			var sum float64
			for i, v := range row {
				row[i] = math.Exp(v - top)
				sum += row[i]
			}
			for i := range row {
				row[i] /= sum
			}
		}
	}
}
