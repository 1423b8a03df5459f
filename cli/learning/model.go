package learning

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// model is a model file that was opened: one of ours with its schema, or a foreign one that only knows the names, or
// the number, of its features.
type model struct {
	*tabular.Model
	path   string
	names  []string   // of the features of a foreign model; nil when it has none
	labels []string   // of the classes of a foreign model; nil when it does not say
	words  [][]string // per feature of a foreign model, the texts of its categories in order of their codes; nil: numbers
}

// openModel reads a model file of any readable format.
func openModel(path string) (*model, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no file %s", path)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s can't be read", path)
	}
	if tabular.Is(b) {
		m, err := tabular.Load(b)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "%s can't be read", path)
		}
		return &model{Model: m, path: path}, nil
	}
	m, err := openForeign(b)
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s can't be read", path)
	}
	m.path = path
	return m, nil
}

// foreign reports whether the model came without a schema.
func (m *model) foreign() bool { return m.Schema == nil }

// kinds are what the columns of a file must be read as. label adds the label.
func (m *model) kinds(label bool) map[string]table.Kind {
	if m.foreign() {
		return nil
	}
	out := map[string]table.Kind{}
	for _, c := range m.Schema.Columns {
		switch {
		case c.Role == tabular.Number && c.Kind != table.Boolean:
			out[c.Name] = table.Double
		case c.Role != tabular.Unused:
			out[c.Name] = c.Kind
		}
	}
	if label {
		out[m.Schema.Label] = m.Schema.LabelKind
	}
	return out
}

// predict is Outputs numbers per row.
func (m *model) predict(t *table.Table, label string) ([]float64, error) {
	k := m.Model.Model.Outputs()
	out := make([]float64, t.Rows*k)
	if !m.foreign() {
		x, err := m.Schema.Matrix(t)
		if err != nil {
			return nil, err
		}
		m.Model.Model.Predict(x, out)
		return out, nil
	}
	x, err := m.wide(t, label)
	if err != nil {
		return nil, err
	}
	if wide, ok := m.Model.Model.(learn.Wide); ok {
		wide.PredictWide(x, t.Rows, out)
		return out, nil
	}
	m.Model.Model.Predict(narrow(x, t.Rows, m.names), out)
	return out, nil
}

// wide is the rows of a foreign model's features, by name where the file has all of them, else by position among the
// columns that are not the label.
func (m *model) wide(t *table.Table, label string) ([]float64, error) {
	columns, err := m.columns(t, label)
	if err != nil {
		return nil, err
	}
	p := len(columns)
	x := make([]float64, t.Rows*p)
	read := m.read()
	for j, c := range columns {
		if !read[j] { // whatever the column holds, the model does not look
			for i := range t.Rows {
				x[i*p+j] = math.NaN()
			}
			continue
		}
		var codes map[string]int
		if m.words != nil && m.words[j] != nil {
			codes = map[string]int{}
			for k, w := range m.words[j] {
				codes[w] = k
			}
		}
		if c.Kind == table.String && codes == nil {
			for i := range c.Strings {
				if !c.IsNull(i) {
					return nil, fault.New(fault.Invalid, "column %q holds texts, such as %q, and the model does not say which numbers they were", c.Name, c.Strings[i]).
						WithHint("write the column as the numbers that the model was trained on")
				}
			}
		}
		for i := range t.Rows {
			v := math.NaN()
			switch {
			case c.IsNull(i):
			case codes != nil:
				if k, ok := codes[cell(c, i)]; ok {
					v = float64(k)
				}
			default:
				v = c.Floats[i]
			}
			x[i*p+j] = v
		}
	}
	return x, nil
}

// read tells for each feature of the model whether a prediction can depend on it. A feature that no split asks for has
// no list of its categories in some formats, and needs none.
func (m *model) read() []bool {
	if c, ok := m.Model.Model.(*combine.Model); ok {
		return c.Reads()
	}
	out := make([]bool, m.Model.Model.Features())
	trees, ok := m.Model.Model.(*tree.Model)
	for j := range out {
		out[j] = !ok
	}
	if ok {
		for _, t := range trees.Trees {
			for _, f := range t.Feature {
				if f != tree.Leaf {
					out[f] = true
				}
			}
		}
	}
	return out
}

// spelled is the column of a feature: of its name or, as LightGBM writes the spaces of names as underscores, the only
// one that is named so then.
func spelled(t *table.Table, feature string) *table.Column {
	if c := t.Column(feature); c != nil {
		return c
	}
	var found *table.Column
	for _, c := range t.Columns {
		if strings.ReplaceAll(c.Name, " ", "_") == feature {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

func (m *model) columns(t *table.Table, label string) ([]*table.Column, error) {
	n := m.Model.Model.Features()
	if len(m.names) == n {
		var out []*table.Column
		for _, name := range m.names {
			if c := spelled(t, name); c != nil {
				out = append(out, c)
			}
		}
		if len(out) == n {
			return out, nil
		}
		if len(out) > 0 {
			for _, name := range m.names {
				if spelled(t, name) == nil {
					return nil, fault.New(fault.Invalid, "the model's feature %q is not a column of the data", name)
				}
			}
		}
	}
	var out []*table.Column
	for _, c := range t.Columns {
		if c.Name != label {
			out = append(out, c)
		}
	}
	if len(out) != n {
		return nil, fault.New(fault.Invalid, "the model has %d features, the data %d columns besides the label", n, len(out)).
			WithHint("name the columns as the model's features, or leave out the ones it does not have; --label names the label")
	}
	return out, nil
}

// narrow is a matrix of the rows in float32.
func narrow(x []float64, rows int, names []string) *table.Matrix {
	p := len(x) / max(rows, 1)
	m := &table.Matrix{Rows: rows, Cols: p, Data: make([]float32, len(x)), Names: names}
	for i, v := range x {
		m.Data[i] = float32(v)
	}
	return m
}

// classes are the names of the classes; a foreign model's are their numbers.
func (m *model) classes() []string {
	if !m.foreign() {
		return m.Schema.Classes
	}
	if names := numbered(m.Model.Model); len(m.labels) != len(names) {
		return names
	}
	return m.labels
}

// load reads a file as the model needs it, and the label when one is named.
func (m *model) load(ctx context.Context, path, label string) (*table.Table, error) {
	return readTable(ctx, path, m.kinds(label != "" && !m.foreign() && label == m.Schema.Label))
}
