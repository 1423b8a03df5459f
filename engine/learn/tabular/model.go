package tabular

import (
	"encoding/json"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Kind opens a model file that holds a schema and a model.
const Kind = "tabular"

// Model is a model with the schema that its inputs are read by.
type Model struct {
	Schema *Schema
	Model  learner.Model
	// About is what is worth keeping of the fit: learner, parameters, metrics. It does not change predictions.
	About map[string]any
}

const layout = 1

// MarshalBinary is the model file.
func (m *Model) MarshalBinary() ([]byte, error) {
	body, err := m.Model.MarshalBinary()
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Schema *Schema        `json:"schema"`
		About  map[string]any `json:"about,omitempty"`
	}{m.Schema, m.About})
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(Kind, layout)
	w.Text(string(head))
	w.Text(string(body))
	return w.Bytes, nil
}

// Is reports whether the bytes are a model file of this package.
func Is(b []byte) bool {
	_, _, kind, err := wire.Open(b)
	return err == nil && kind == Kind
}

// Load reads a model file; bytes that are not one are fault.Corrupt.
func Load(b []byte) (*Model, error) {
	r, version, kind, err := wire.Open(b)
	if err != nil {
		return nil, err
	}
	if kind != Kind {
		return nil, fault.New(fault.Corrupt, "the file holds a model of kind %q without a schema", kind)
	}
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a model file of layout %d cannot be read by this version", version)
	}
	head := r.Text(len(b))
	body := r.Text(len(b))
	if err := r.End(); err != nil {
		return nil, err
	}
	m := &Model{}
	var h struct {
		Schema *Schema        `json:"schema"`
		About  map[string]any `json:"about"`
	}
	if err := json.Unmarshal([]byte(head), &h); err != nil || h.Schema == nil {
		return nil, fault.New(fault.Corrupt, "the schema of the model cannot be read")
	}
	if err := h.Schema.check(); err != nil {
		return nil, err
	}
	m.Schema, m.About = h.Schema, h.About
	m.Schema.index()
	if m.Model, err = learn.Load([]byte(body)); err != nil {
		return nil, err
	}
	names, _, _ := m.Schema.Features()
	classes := len(m.Schema.Classes)
	switch {
	case len(names) != m.Model.Features():
		return nil, fault.New(fault.Corrupt, "the schema has %d features, its model %d", len(names), m.Model.Features())
	case m.Schema.Task != m.Model.Task():
		return nil, fault.New(fault.Corrupt, "the schema is of task %q, its model of %q", m.Schema.Task, m.Model.Task())
	case m.Schema.Task == learner.Binary && classes != 2, m.Schema.Task == learner.Multiclass && classes != m.Model.Outputs():
		return nil, fault.New(fault.Corrupt, "the schema names %d classes, its model has %d outputs", classes, m.Model.Outputs())
	}
	return m, nil
}

// check refuses columns that Infer cannot have made: their number of features would not be what write fills.
func (s *Schema) check() error {
	for _, c := range s.Columns {
		sound := len(c.Parts) == 0
		switch c.Role {
		case Number, Category, Unused:
		case Date:
			sound = len(c.Parts) > 0
		default:
			sound = false
		}
		for _, p := range c.Parts {
			sound = sound && slices.Contains(parts, p)
		}
		if !sound {
			return fault.New(fault.Corrupt, "column %q of the schema is not sound", c.Name)
		}
	}
	return nil
}

// Predict is one column per class with its probability, named by the class, or one column "prediction".
func (m *Model) Predict(t *table.Table) (*table.Table, error) {
	x, err := m.Schema.Matrix(t)
	if err != nil {
		return nil, err
	}
	out := make([]float64, x.Rows*m.Model.Outputs())
	m.Model.Predict(x, out)
	return Answers(m.Schema.Task, m.Schema.Classes, out, x.Rows), nil
}

// Answers is a model's predictions as a table: a column per class, or "prediction".
func Answers(task learner.Task, classes []string, p []float64, rows int) *table.Table {
	column := func(name string, of func(i int) float64) *table.Column {
		c := &table.Column{Name: name, Kind: table.Double, Floats: make([]float64, rows)}
		for i := range c.Floats {
			c.Floats[i] = of(i)
		}
		return c
	}
	t := &table.Table{Rows: rows}
	switch task {
	case learner.Binary:
		t.Add(column(classes[0], func(i int) float64 { return 1 - p[i] }))
		t.Add(column(classes[1], func(i int) float64 { return p[i] }))
	case learner.Multiclass:
		for k, name := range classes {
			t.Add(column(name, func(i int) float64 { return p[i*len(classes)+k] }))
		}
	default:
		t.Add(column("prediction", func(i int) float64 { return p[i] }))
	}
	return t
}
