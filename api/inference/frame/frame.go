// Package frame reads what the JSON dialects of the data plane have in common: instances row by row, inputs column by column, and split
// tables; and writes answers as the values that such clients expect.
//
// It owns the step from nested JSON lists to the rows, columns or tensors of a request, by the signature of the version that is asked. It
// must never know a dialect's envelope or its errors, and it holds no rule about values: serve does.
package frame

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Columns that are no inputs of a model, in every dialect.
const (
	ColumnKey = "trimtab_key" // texts: the key of each row
	ColumnAt  = "trimtab_at"  // times: when the predicted event happens
)

// maxColumns and maxValues bound what a request may make of its bytes.
const (
	maxColumns = 4096
	maxValues  = 4 << 20
)

// Frame is the rows of one request while they are read. The scanner is the exchange's; after a reader has failed, its Err says why, and
// Finish gives it.
type Frame struct {
	B64    bool // an object {"b64": "…"} stands for the bytes that it encodes
	Single bool // after reading: the request has one row outside of any list

	x      *codec.Exchange
	sig    *registry.Signature
	blocks []*block
	byName map[string]*block
	rows   int // of blocks that were read row by row
	values int
	keys   []string // of rows of named values; "" = none
	at     []int64  // of rows of named values, as many as rows once one has it
}

// block is the values of a column, one row after the other.
type block struct {
	name  string
	rows  int
	rank  int   // of a row's value: 0 for a scalar; -1 = not known yet
	shape []int // of a row's value
	nums  []float64
	cells []serve.Cell // in place of nums from the first value on that is no number
}

// New begins reading a request for a version with this signature. The exchange has been begun.
func New(x *codec.Exchange, sig *registry.Signature) *Frame { return &Frame{x: x, sig: sig} }

// tensors tells whether the version takes tensors as they come.
func (f *Frame) tensors() bool { return f.sig.Task == registry.TaskTensors }

// block finds the block of a column, or makes it.
func (f *Frame) block(name string) *block {
	if b := f.byName[name]; b != nil {
		return b
	}
	if len(f.blocks) >= maxColumns {
		f.x.Scan.Fail("it has more than %d columns", maxColumns)
		return &block{rank: -1}
	}
	if f.byName == nil {
		f.byName = map[string]*block{}
	}
	b := &block{name: name, rank: -1}
	f.blocks = append(f.blocks, b)
	f.byName[name] = b
	return b
}

// Instances reads a list of rows. A row is an object of named values, a list of values in the order of the signature's features, or a
// single value where the model takes one.
func (f *Frame) Instances() {
	s := &f.x.Scan
	if s.Space() != '[' {
		s.Fail("a list of rows was expected at byte %d", s.Offset())
		return
	}
	for ok := s.Open('['); ok; ok = s.More('[') {
		f.Instance()
	}
}

// Instance reads one row.
func (f *Frame) Instance() {
	s := &f.x.Scan
	if f.rows >= serve.MaxRows {
		s.Refuse(codec.TooManyRows())
		return
	}
	if s.Space() == '{' && !f.encoded() {
		if f.features() {
			return
		}
		if f.byName[""] != nil {
			s.Fail("row %d is an object, and rows before it are lists or values (byte %d)", f.rows, s.Offset())
			return
		}
		f.object(nil)
	} else {
		if f.rows > 0 && f.byName[""] == nil {
			s.Fail("row %d is no object, and rows before it are objects (byte %d)", f.rows, s.Offset())
			return
		}
		f.value(f.block(""))
	}
	f.rows++
}

// Object reads a row of named values, which are added to those of context: values that all rows share.
func (f *Frame) Object(context []serve.Field) {
	s := &f.x.Scan
	if f.rows >= serve.MaxRows {
		s.Refuse(codec.TooManyRows())
		return
	}
	f.object(context)
	f.rows++
}

func (f *Frame) object(context []serve.Field) {
	s := &f.x.Scan
	for _, c := range context {
		f.x.Field(c.Name, c.Cell)
	}
	for ok := s.Open('{'); ok; ok = s.More('{') {
		name := s.Key()
		if f.tensors() {
			b := f.block(name)
			if b.rows > f.rows {
				s.Fail("row %d has %q twice", f.rows, codec.Clip(name))
				return
			}
			if b.rows < f.rows {
				s.Fail("row %d has %q, and a row before it has not", f.rows, codec.Clip(name))
				return
			}
			f.value(b)
			continue
		}
		cell := f.Cell()
		switch name {
		case ColumnKey:
			f.key(cell)
		case ColumnAt:
			f.time(cell)
		default:
			f.x.Field(name, cell)
		}
	}
	if !f.tensors() {
		f.x.EndRow()
		return
	}
	for _, b := range f.blocks {
		if b.rows != f.rows+1 {
			s.Fail("row %d lacks %q", f.rows, codec.Clip(b.name))
			return
		}
	}
}

// features reads {"features": […]} and {"data": {"features": {"values": […]}}}, the forms of SageMaker's own algorithms, unless the model
// has an input of that name. It reports whether it was one.
func (f *Frame) features() bool {
	s := &f.x.Scan
	probe := s.From(s.Offset())
	if !probe.Open('{') {
		return false
	}
	name := probe.Key()
	if name != "features" && name != "data" || f.known(name) {
		return false
	}
	depth := 1
	for probe.Space() == '{' && depth < 4 {
		if !probe.Open('{') {
			return false
		}
		depth++
		if inner := probe.Key(); inner != "features" && inner != "values" {
			return false
		}
	}
	if probe.Space() != '[' {
		return false
	}
	if f.rows > 0 && f.byName[""] == nil {
		s.Fail("row %d is a list of features, and rows before it are objects (byte %d)", f.rows, s.Offset())
		return true
	}
	for range depth {
		s.Open('{')
		s.Key()
	}
	f.value(f.block(""))
	for range depth {
		if s.More('{') {
			s.Fail("%q stands alone in its row (byte %d)", name, s.Offset())
		}
	}
	f.rows++
	return true
}

func (f *Frame) known(name string) bool {
	if f.tensors() {
		for i := range f.sig.TensorInputs {
			if f.sig.TensorInputs[i].Name == name {
				return true
			}
		}
		return false
	}
	in, _ := f.sig.Input(name)
	return in != nil
}

// Inputs reads columns: an object with a list of values per name, or one list whose elements are rows of the model's only input, or of all
// its features. Single values in place of lists are one row.
func (f *Frame) Inputs() {
	s := &f.x.Scan
	switch c := s.Space(); {
	case c == '{' && !f.encoded():
		for ok := s.Open('{'); ok; ok = s.More('{') {
			name := s.Key()
			if b := f.byName[name]; b != nil {
				s.Fail("it has the column %q twice", codec.Clip(name))
				return
			}
			f.column(f.block(name))
		}
	case c == '[':
		probe := s.From(s.Offset())
		if probe.Open('[') && probe.Space() == '{' {
			f.Instances() // records under the key of columns: what MLflow takes too
			return
		}
		f.column(f.block(""))
	default:
		f.column(f.block(""))
	}
}

// column reads all rows of a block.
func (f *Frame) column(b *block) {
	s := &f.x.Scan
	if s.Space() != '[' {
		f.Single = true
		f.value(b)
		return
	}
	for ok := s.Open('['); ok; ok = s.More('[') {
		if b.rows >= serve.MaxRows {
			s.Refuse(codec.TooManyRows())
			return
		}
		f.value(b)
	}
}

// Split reads a table as pandas' orient="split" writes it: {"columns": […], "index": […], "data": [[…]]}.
func (f *Frame) Split() {
	s := &f.x.Scan
	var columns []string
	named, data := false, -1
	for ok := s.Open('{'); ok; ok = s.More('{') {
		switch s.Key() {
		case "columns":
			named = true
			for ok := s.Open('['); ok; ok = s.More('[') {
				if len(columns) >= maxColumns {
					s.Fail("it has more than %d columns", maxColumns)
					return
				}
				switch c := codec.Cell(s); c.Type {
				case serve.TextCell:
					columns = append(columns, c.Text)
				case serve.NumberCell:
					columns = append(columns, strconv.FormatFloat(c.Number, 'f', -1, 64))
				default:
					s.Fail("columns are texts (byte %d)", s.Offset())
					return
				}
			}
		case "data":
			if data >= 0 {
				s.Fail("it has data twice")
				return
			}
			s.Space()
			data = s.Offset()
			s.Skip()
		default:
			s.Skip()
		}
	}
	switch {
	case s.Err != nil:
		return
	case data < 0:
		s.Refuse(fault.New(fault.Invalid, "dataframe_split has no data").WithHint(`send {"columns": [names], "data": [[values], …]}`))
		return
	}
	again := s.From(data)
	after := *s
	*s = again
	if named && !f.numbered(columns) {
		f.table(columns)
	} else {
		f.Instances() // columns without names: by place
	}
	if s.Err != nil {
		return
	}
	*s = after
}

// numbered tells whether columns have no names but their places, as a frame made of an array has.
func (f *Frame) numbered(columns []string) bool {
	for i, name := range columns {
		if name != strconv.Itoa(i) || f.known(name) {
			return false
		}
	}
	return true
}

// table reads rows of values of named columns.
func (f *Frame) table(columns []string) {
	s := &f.x.Scan
	blocks := make([]*block, len(columns))
	for i, name := range columns {
		if f.byName[name] != nil {
			s.Fail("it has the column %q twice", codec.Clip(name))
			return
		}
		blocks[i] = f.block(name)
	}
	for ok := s.Open('['); ok; ok = s.More('[') {
		if f.rows >= serve.MaxRows {
			s.Refuse(codec.TooManyRows())
			return
		}
		k := 0
		for ok := s.Open('['); ok; ok = s.More('[') {
			if k >= len(blocks) {
				s.Fail("row %d has more values than there are columns, %d", f.rows, len(blocks))
				return
			}
			f.value(blocks[k])
			k++
		}
		if k != len(blocks) && s.Err == nil {
			s.Fail("row %d has %d values for %d columns", f.rows, k, len(blocks))
			return
		}
		f.rows++
	}
}

// value reads what a row has in a column.
func (f *Frame) value(b *block) {
	b.rows++
	f.nested(b, 0)
}

func (f *Frame) nested(b *block, depth int) {
	s := &f.x.Scan
	if s.Space() != '[' {
		at := s.Offset()
		if b.rank >= 0 && b.rank != depth {
			s.Fail("%s: its lists are not nested as those before it (byte %d)", f.place(b), at)
			return
		}
		b.rank = depth
		if f.values++; f.values > maxValues {
			s.Refuse(fault.New(fault.TooLarge, "the request has more than %d values", maxValues).WithHint("send the rows in several requests"))
			return
		}
		b.add(f.Cell())
		return
	}
	if depth >= 8 || b.rank >= 0 && b.rank <= depth {
		s.Fail("%s: its lists are nested deeper than those before it (byte %d)", f.place(b), s.Offset())
		return
	}
	n := 0
	for ok := s.Open('['); ok; ok = s.More('[') {
		f.nested(b, depth+1)
		n++
	}
	if s.Err != nil {
		return
	}
	if n == 0 {
		s.Fail("%s: an empty list (byte %d)", f.place(b), s.Offset())
		return
	}
	for len(b.shape) <= depth {
		b.shape = append(b.shape, 0)
	}
	if b.shape[depth] == 0 {
		b.shape[depth] = n
	} else if b.shape[depth] != n {
		s.Fail("%s: a list of %d values, and %d in those before it", f.place(b), n, b.shape[depth])
	}
}

func (f *Frame) place(b *block) string {
	at := "row " + strconv.Itoa(b.rows-1)
	if b.name != "" {
		at += ", column " + strconv.Quote(codec.Clip(b.name))
	}
	return at
}

// add keeps a cell: as a number while all are.
func (b *block) add(c serve.Cell) {
	if c.Type == serve.NumberCell && c.Text == "" && b.cells == nil {
		b.nums = append(b.nums, c.Number)
		return
	}
	if b.cells == nil {
		b.cells = make([]serve.Cell, len(b.nums), len(b.nums)+16)
		for i, v := range b.nums {
			b.cells[i] = number(v)
		}
		b.nums = nil
	}
	if c.Type == serve.NumberCell && c.Text == "" {
		c = number(c.Number)
	}
	b.cells = append(b.cells, c)
}

// number is the cell of a number; one that is none is a missing value.
func number(v float64) serve.Cell {
	if v != v {
		return serve.Cell{}
	}
	return serve.Cell{Type: serve.NumberCell, Number: v}
}

func (b *block) len() int { return max(len(b.nums), len(b.cells)) }

// Cell reads a value of a row of named values. A list of one value stands for the value; NaN is a missing one. A whole number that a
// float64 does not hold keeps its digits in Text.
func (f *Frame) Cell() serve.Cell {
	s := &f.x.Scan
	switch s.Space() {
	case '{':
		if f.encoded() {
			return f.bytes()
		}
	case '[':
		probe := s.From(s.Offset())
		if n := 0; probe.Open('[') {
			for next := probe.Space(); next == '[' && n < 8; next = probe.Space() {
				n++
				if !probe.Open('[') {
					break
				}
			}
			if next := probe.Space(); next != '[' && next != '{' && next != ']' {
				cell := codec.Cell(&probe)
				closed := probe.Err == nil
				for range n + 1 {
					closed = closed && !probe.More('[') && probe.Err == nil
				}
				if closed {
					*s = s.From(probe.Offset())
					return plain(cell)
				}
			}
		}
	default:
		at := s.Offset()
		cell := codec.Cell(s)
		if cell.Type == serve.NumberCell && math.Abs(cell.Number) > 1<<53 && !math.IsInf(cell.Number, 0) && s.Err == nil {
			cell.Text = string(f.x.Body[at:s.Offset()])
		}
		return plain(cell)
	}
	return codec.Cell(s)
}

// plain makes NaN missing.
func plain(c serve.Cell) serve.Cell {
	if c.Type == serve.NumberCell && c.Number != c.Number {
		return serve.Cell{}
	}
	return c
}

// encoded tells whether the object that follows is {"b64": …} and stands for bytes.
func (f *Frame) encoded() bool {
	if !f.B64 || f.known("b64") {
		return false
	}
	s := &f.x.Scan
	probe := s.From(s.Offset())
	return probe.Space() == '{' && probe.Open('{') && probe.Key() == "b64" && probe.Space() == '"'
}

// bytes reads {"b64": "…"}.
func (f *Frame) bytes() serve.Cell {
	s := &f.x.Scan
	s.Open('{')
	s.Key()
	at := s.Offset()
	s.Space()
	text := s.Text()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(text); err != nil {
			s.Fail("the text at byte %d is not base64", at)
		}
	}
	if s.More('{') {
		s.Fail("b64 stands alone in its object (byte %d)", s.Offset())
	}
	return serve.Cell{Type: serve.TextCell, Text: string(raw)}
}
