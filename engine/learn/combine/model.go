package combine

import (
	"math"
	"slices"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sources are the columns of a combination's categories, or all of its columns when it has none.
func (c *Columns) sources(b *Combination) []int {
	var out []int
	for _, p := range b.Parts {
		if p.Kind == Category {
			out = append(out, c.Categories[p.Of].Column)
		}
	}
	if out == nil {
		out = c.columns(b)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// columns are those that a combination reads.
func (c *Columns) columns(b *Combination) (out []int) {
	for _, p := range b.Parts {
		column := p.Of
		if p.Kind != Above {
			column = c.Categories[p.Of].Column
		}
		out = append(out, column)
	}
	return out
}

// Model is trees that read rows with added columns. It is immutable and safe for concurrent use.
type Model struct {
	Columns *Columns
	Trees   *tree.Model // of Columns.Outputs() features

	kind    string
	scratch sync.Pool // of *[]float32
}

// NewModel puts the columns, which it checks, before the trees. kind is that of the model. Columns and trees that do not
// go together are fault.Corrupt.
func NewModel(kind string, columns *Columns, trees *tree.Model) (*Model, error) {
	if err := columns.Check(); err != nil {
		return nil, err
	}
	n := columns.Outputs()
	if columns.Inputs < 1 || trees.Features() != n {
		return nil, fault.New(fault.Corrupt, "the trees read %d features and there are %d columns, %d of them inputs", trees.Features(), n, columns.Inputs)
	}
	m := &Model{Columns: columns, Trees: trees, kind: kind}
	m.scratch.New = func() any {
		row := make([]float32, n)
		return &row
	}
	return m, nil
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return m.kind }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.Trees.Task() }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return m.Trees.Outputs() }

// Features implements learner.Model.
func (m *Model) Features() int { return m.Columns.Inputs }

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	row := m.scratch.Get().(*[]float32)
	m.Columns.Row(x[:m.Columns.Inputs], *row)
	m.Trees.PredictRow(*row, dst)
	m.scratch.Put(row)
}

// block is the rows that one goroutine widens at a time.
const block = 256

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.Columns.Inputs {
		panic("combine: matrix and model differ in features")
	}
	k := m.Outputs()
	shard.Run(shard.Workers(0), shard.Blocks(x.Rows, block), func(_, piece int) {
		lo, hi := shard.Bounds(piece, x.Rows, block)
		m.Trees.Predict(&table.Matrix{Rows: hi - lo, Cols: m.Trees.Features(), Data: m.Columns.Rows(x.Data, lo, hi)}, dst[lo*k:hi*k])
	})
}

// Rows are rows lo to hi of row-major x with the added columns.
func (c *Columns) Rows(x []float32, lo, hi int) []float32 {
	n, p := c.Outputs(), c.Inputs
	out := make([]float32, (hi-lo)*n)
	for i := lo; i < hi; i++ {
		c.Row(x[i*p:(i+1)*p], out[(i-lo)*n:(i-lo+1)*n])
	}
	return out
}

// Importance implements learner.Model: that of a combination is shared equally by its Sources.
func (m *Model) Importance() []float64 {
	out := make([]float64, m.Columns.Inputs)
	sources := m.Columns.Sources()
	for j, share := range m.Trees.Importance() {
		for _, from := range sources[j] {
			out[from] += share / float64(len(sources[j]))
		}
	}
	return out
}

// Reads tells for each feature whether a prediction can depend on it.
func (m *Model) Reads() []bool {
	out := make([]bool, m.Columns.Outputs())
	for i := range m.Trees.Trees {
		for _, f := range m.Trees.Trees[i].Feature {
			if f != tree.Leaf {
				out[f] = true
			}
		}
	}
	at := m.Columns.Inputs
	for i := range m.Columns.Combinations {
		b := &m.Columns.Combinations[i]
		for t := range b.Tables {
			for range b.Tables[t].Statistics {
				if out[at] {
					for _, from := range m.Columns.columns(b) {
						out[from] = true
					}
				}
				at++
			}
		}
	}
	return out[:m.Columns.Inputs]
}

const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	trees, err := m.Trees.MarshalBinary()
	if err != nil {
		return nil, err
	}
	w := wire.NewWriter(m.kind, layout)
	m.Columns.Write(w)
	w.Text(string(trees))
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32, kind string) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", kind, version)
	}
	columns := Read(r)
	body := []byte(r.Text(math.MaxInt32))
	if err := r.End(); err != nil {
		return nil, err
	}
	within, version, of, err := wire.Open(body)
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "the trees of the model")
	}
	trees, err := tree.Load(within, version, of)
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "the trees of the model")
	}
	return NewModel(kind, columns, trees)
}
