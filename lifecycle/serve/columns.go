package serve

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// boundColumn is where the values of an input come from: cells, or every stride-th element of a tensor.
type boundColumn struct {
	input          int
	cells          []Cell
	t              *tensor.Tensor
	stride, offset int
}

// cell is the value of a row. A number that is none (NaN) is a missing value.
func (b *boundColumn) cell(i int) Cell {
	if b.t == nil {
		return b.cells[i]
	}
	at := i*b.stride + b.offset
	switch d := b.t.Data.(type) {
	case []string:
		return Cell{Type: TextCell, Text: d[at]}
	case []bool:
		v, _ := b.t.Number(at)
		return Cell{Type: BoolCell, Number: v}
	case []int64:
		return Cell{Type: NumberCell, Number: float64(d[at])}
	}
	v, _ := b.t.Number(at)
	if v != v {
		return Cell{}
	}
	return Cell{Type: NumberCell, Number: v}
}

// height is the number of rows of the columns.
func (b *Batch) height() (int, error) {
	n := -1
	for i := range b.Columns {
		c := &b.Columns[i]
		rows := len(c.Cells)
		if c.Tensor != nil {
			rows = c.Tensor.Rows()
		}
		if n >= 0 && rows != n {
			return 0, fault.New(fault.Invalid, "the input %q has %d rows, %q has %d", clip(c.Name), rows, clip(b.Columns[0].Name), n).With("column", clip(c.Name))
		}
		n = rows
	}
	return max(n, 0), nil
}

func (c *Column) width() int {
	if c.Tensor == nil {
		return 1
	}
	return c.Tensor.Width()
}

// match finds the columns of the request that a version reads: by name, or one that stands for all its features.
func (x *call) match(c *compiled, n int) error {
	x.columns = x.columns[:0]
	b := x.batch
	var seen [4]uint64 // of the first 256 inputs; the others are looked for
	for i := range b.Columns {
		col := &b.Columns[i]
		at, ok := c.place[col.Name]
		if !ok {
			continue
		}
		if col.width() != 1 {
			return fault.New(fault.Invalid, "the input %q has %d values per row; it is one column", clip(col.Name), col.width()).With("column", clip(col.Name)).
				WithHint("shapes are [%d] or [%d, 1]", n, n)
		}
		twice := false
		if at < 256 {
			twice = seen[at/64]>>(at%64)&1 == 1
			seen[at/64] |= 1 << (at % 64)
		} else {
			for k := range x.columns {
				twice = twice || x.columns[k].input == at
			}
		}
		if twice {
			return fault.New(fault.Invalid, "the request carries the column %q twice", col.Name).With("column", col.Name)
		}
		x.columns = append(x.columns, boundColumn{input: at, cells: col.Cells, t: col.Tensor, stride: 1})
	}
	if len(x.columns) > 0 || len(b.Columns) != 1 {
		return nil // that nothing matched is said of the first row
	}
	only := &b.Columns[0]
	w, features := only.width(), c.featureInputs
	switch {
	case w == len(features):
	case only.Tensor == nil || w == 1:
		return nil
	default:
		return fault.New(fault.Invalid, "the input %q has %d values per row; the model has %d features", clip(only.Name), w, len(features)).With("column", clip(only.Name)).
			WithHint("send them in the order of the signature, or every feature as an input of its own name")
	}
	for k, at := range features {
		x.columns = append(x.columns, boundColumn{input: at, cells: only.Cells, t: only.Tensor, stride: w, offset: k})
	}
	return nil
}

// bind makes the values of row i for a version.
func (x *call) bind(c *compiled, w *workspace, i int, vals []table.Value, p *Prediction) error {
	if len(x.batch.Columns) == 0 {
		return c.bind(w, x.batch.Rows[i], i, vals, p, x.service.pseudonymise)
	}
	for k := range vals {
		vals[k] = table.Null
	}
	p.Missing, p.Unseen, p.OutOfRange = 0, 0, 0
	features := 0
	for k := range x.columns {
		col := &x.columns[k]
		if c.inputs[col.input].feature {
			features++
		}
		cell := col.cell(i)
		if cell.Type == BoolCell && col.t != nil && c.inputs[col.input].kind != table.Boolean {
			cell.Type = NumberCell // typed data is read as numpy casts it: a BOOL is 0 or 1
		}
		if err := c.set(col.input, i, cell, vals, p, x.service.pseudonymise); err != nil {
			return err
		}
	}
	if features == 0 {
		names := make(Row, len(x.batch.Columns))
		for k := range x.batch.Columns {
			names[k].Name = x.batch.Columns[k].Name
		}
		return c.nothing(names, i)
	}
	for k := range vals {
		if vals[k].Null {
			p.Missing |= 1 << min(k, 64)
		}
	}
	return nil
}

// field finds a cell of row i by name.
func (x *call) field(i int, name string) *Cell {
	b := x.batch
	if len(b.Columns) == 0 {
		row := b.Rows[i]
		for f := range row {
			if row[f].Name == name {
				return &row[f].Cell
			}
		}
		return nil
	}
	for k := range b.Columns {
		if col := &b.Columns[k]; col.Name == name && col.width() == 1 {
			bound := boundColumn{cells: col.Cells, t: col.Tensor, stride: 1}
			cell := bound.cell(i)
			return &cell
		}
	}
	return nil
}

// key makes the key of a row from the signature's key columns; "" when the row does not carry all of them.
func (x *call) key(i int) string {
	c := x.first.compiled
	if len(c.keys) == 0 {
		return ""
	}
	var buf [128]byte
	b := buf[:0]
	for k, name := range c.keys {
		cell := x.field(i, name)
		if cell == nil || cell.Type == NullCell || cell.Type == OtherCell {
			return ""
		}
		part := cell.Text
		switch i, known := c.place[name]; {
		case known && c.inputs[i].kind == table.Datetime:
			v, ok := value(*cell, table.Datetime)
			if !ok {
				return ""
			}
			part = time.UnixMicro(int64(v.F)).UTC().Format(time.RFC3339Nano)
		case cell.Type == NumberCell:
			part = strconv.FormatFloat(cell.Number, 'f', -1, 64)
		case cell.Type == BoolCell:
			part = strconv.FormatBool(cell.Number != 0)
		}
		if i, known := c.place[name]; known && c.inputs[i].personal {
			part = x.service.pseudonymise(part)
		}
		if k > 0 {
			b = append(b, '|')
		}
		b = appendKeyPart(b, part)
	}
	return string(b)
}

// set reads a cell as input i of a version, into vals and the flags of p. pseudonymise replaces personal texts before anything sees them.
func (c *compiled) set(i, number int, cell Cell, vals []table.Value, p *Prediction, pseudonymise func(string) string) error {
	in := &c.inputs[i]
	if in.personal && cell.Type == NumberCell && in.kind == table.String && whole(cell.Number) {
		cell = Cell{Type: TextCell, Text: strconv.FormatFloat(cell.Number, 'f', -1, 64)} // as the data layer reads a number that it hashes
	}
	v, ok := value(cell, in.kind)
	if !ok {
		return mismatch(number, in, cell)
	}
	if v.Null {
		return nil
	}
	bit := uint64(1) << min(i, 64) // shifts to 0 after the 64th
	if in.kind == table.String {
		if in.personal {
			if v.S = pseudonymise(v.S); v.S == "" {
				return nil
			}
		}
		if known, ok := in.categories[v.S]; ok {
			v.S = known
		} else {
			if !in.personal {
				v.S = strings.Clone(v.S)
			}
			if in.categories != nil {
				p.Unseen |= bit
			}
		}
	} else if v.F < in.min || v.F > in.max {
		p.OutOfRange |= bit
	}
	vals[i] = v
	return nil
}

// finite tells whether all scores are numbers.
func finite(scores []float64) bool {
	for _, v := range scores {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
