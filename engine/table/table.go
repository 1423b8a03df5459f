// Package table holds columns of typed values in memory: what the data layer reads, recipes prepare and learners train on.
// It owns the value, the column, the table and the float32 matrix; it knows nothing of files, SQL or models.
//
// Shape faults (columns of unequal length, an index out of range) are defects of the program and panic;
// faults of the data (a name that is not there) are returned as errors.
package table

import (
	"fmt"
	"math"
)

// Kind is the type of a column.
type Kind string

// The kinds. Names are those of MLflow signatures, so that they mean the same in every door.
const (
	Double   Kind = "double"   // float64
	Long     Kind = "long"     // integers, held as float64: exact up to 2^53
	Boolean  Kind = "boolean"  // 0 or 1
	Datetime Kind = "datetime" // microseconds since the epoch, UTC
	String   Kind = "string"
)

// Value is one cell. F holds numbers, booleans (0, 1) and times (µs, exact until the year 2255); S holds text.
type Value struct {
	Null bool
	F    float64
	S    string
}

// Null is the missing value.
var Null = Value{Null: true}

// Number makes a number cell; NaN becomes null.
func Number(f float64) Value {
	if math.IsNaN(f) {
		return Null
	}
	return Value{F: f}
}

// Text makes a text cell.
func Text(s string) Value { return Value{S: s} }

// Column is a named sequence of cells of one kind. Text lives in Strings, everything else in Floats.
// Nulls is nil when nothing is missing. A missing number is also NaN in Floats, a missing text also "" in Strings.
type Column struct {
	Name    string
	Kind    Kind
	Floats  []float64
	Strings []string
	Nulls   []bool
}

// Len is the number of cells.
func (c *Column) Len() int {
	if c.Kind == String {
		return len(c.Strings)
	}
	return len(c.Floats)
}

// IsNull reports whether cell i is missing.
func (c *Column) IsNull(i int) bool { return c.Nulls != nil && c.Nulls[i] }

// Value is cell i.
func (c *Column) Value(i int) Value {
	if c.IsNull(i) {
		return Null
	}
	if c.Kind == String {
		return Value{S: c.Strings[i]}
	}
	return Value{F: c.Floats[i]}
}

// Append adds a cell at the end.
func (c *Column) Append(v Value) {
	n := c.Len()
	if v.Null && c.Nulls == nil {
		c.Nulls = make([]bool, n, n+1)
	}
	if c.Nulls != nil {
		c.Nulls = append(c.Nulls, v.Null)
	}
	switch {
	case c.Kind == String:
		c.Strings = append(c.Strings, v.S)
	case v.Null:
		c.Floats = append(c.Floats, math.NaN())
	default:
		c.Floats = append(c.Floats, v.F)
	}
}

// Take is a new column with the cells at rows, in that order.
func (c *Column) Take(rows []int) *Column {
	out := &Column{Name: c.Name, Kind: c.Kind}
	if c.Kind == String {
		out.Strings = make([]string, len(rows))
		for i, r := range rows {
			out.Strings[i] = c.Strings[r]
		}
	} else {
		out.Floats = make([]float64, len(rows))
		for i, r := range rows {
			out.Floats[i] = c.Floats[r]
		}
	}
	if c.Nulls != nil {
		out.Nulls = make([]bool, len(rows))
		for i, r := range rows {
			out.Nulls[i] = c.Nulls[r]
		}
	}
	return out
}

// Table is columns of equal length. It is not safe for concurrent writing.
type Table struct {
	Rows    int
	Columns []*Column
}

// New makes a table of the columns; it panics when their lengths differ.
func New(columns ...*Column) *Table {
	t := &Table{}
	if len(columns) > 0 {
		t.Rows = columns[0].Len()
	}
	for _, c := range columns {
		t.Add(c)
	}
	return t
}

// Add appends a column; it panics when the length differs from the others.
func (t *Table) Add(c *Column) {
	if len(t.Columns) == 0 {
		t.Rows = c.Len()
	}
	if c.Len() != t.Rows {
		panic(fmt.Sprintf("table: column %q has %d cells, the table has %d rows", c.Name, c.Len(), t.Rows))
	}
	t.Columns = append(t.Columns, c)
}

// Column finds a column by name; nil when it is not there.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Take is a new table with the given rows, in that order.
func (t *Table) Take(rows []int) *Table {
	out := &Table{Rows: len(rows)}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, c.Take(rows))
	}
	return out
}

// Matrix is rows x columns of float32 in row-major order; NaN is missing. It is what models read.
type Matrix struct {
	Rows, Cols int
	Data       []float32
	Names      []string // one per column
	// Levels is, per column, the number of categories when the column holds category codes 0 to Levels-1, and 0 when it
	// holds numbers; nil when every column does. Codes from Levels on stand for categories that training did not see.
	Levels []int32
}

// Categories is the number of categories of column j, 0 when it holds numbers.
func (m *Matrix) Categories(j int) int {
	if m.Levels == nil {
		return 0
	}
	return int(m.Levels[j])
}

// NewMatrix makes a zero matrix with the named columns.
func NewMatrix(rows int, names []string) *Matrix {
	return &Matrix{Rows: rows, Cols: len(names), Data: make([]float32, rows*len(names)), Names: names}
}

// Row is a view of row i; writing to it writes to the matrix.
func (m *Matrix) Row(i int) []float32 { return m.Data[i*m.Cols : (i+1)*m.Cols : (i+1)*m.Cols] }

// Take is a new matrix with the given rows, in that order.
func (m *Matrix) Take(rows []int) *Matrix {
	out := NewMatrix(len(rows), m.Names)
	out.Levels = m.Levels
	for i, r := range rows {
		copy(out.Row(i), m.Row(r))
	}
	return out
}
