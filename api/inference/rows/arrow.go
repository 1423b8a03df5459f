package rows

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// bounded gives a body's reader memory up to a bound: sizes that a body claims are not believed.
type bounded struct {
	left  int64
	below memory.Allocator
}

// errMemory is what bounded panics with; the readers' callers recover it.
var errMemory = fault.New(fault.TooLarge, "the body needs more memory than a request may have").WithHint("send the rows in several requests")

func newBounded(limit int64) *bounded {
	return &bounded{left: 8 * limit, below: memory.NewGoAllocator()}
}

func (b *bounded) spend(n int) {
	if b.left -= int64(n); n < 0 || b.left < 0 {
		panic(errMemory)
	}
}

// Allocate, Reallocate and Free are memory.Allocator's.
func (b *bounded) Allocate(size int) []byte {
	b.spend(size)
	return b.below.Allocate(size)
}

// Reallocate grows or shrinks a piece.
func (b *bounded) Reallocate(size int, p []byte) []byte {
	b.spend(max(size-len(p), 0))
	return b.below.Reallocate(size, p)
}

// Free gives a piece back; what was spent stays spent.
func (b *bounded) Free(p []byte) { b.below.Free(p) }

// protect runs a reader of a foreign format: what it panics with is the body's fault.
func protect(format string, read func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			if fault.Is(p, fault.TooLarge) {
				err = p
			} else {
				err = fault.Wrap(p, fault.Invalid, "the body is no valid %s", format)
			}
		default:
			err = fault.New(fault.Invalid, "the body is no valid %s: %v", format, p)
		}
	}()
	err = read()
	if err != nil && fault.CodeOf(err) == fault.Internal {
		return fault.Wrap(err, fault.Invalid, "the body is no valid %s", format)
	}
	return err
}

var arrowMagic = []byte("ARROW1\x00\x00")

// readArrow reads an IPC stream or file. A file holds the stream between its magic bytes, so its footer is not looked at.
func readArrow(body []byte, limit int64) (columns []*column, err error) {
	body = bytes.TrimPrefix(body, arrowMagic)
	if err := verify(body); err != nil {
		return nil, err
	}
	err = protect("Arrow stream", func() error {
		mem := newBounded(limit)
		r, err := ipc.NewReader(bytes.NewReader(body), ipc.WithAllocator(mem))
		if err != nil {
			return tooMuch(mem, err)
		}
		defer r.Release()
		fields := r.Schema().Fields()
		if len(fields) > maxColumns {
			return fault.New(fault.TooLarge, "the body has more than %d columns", maxColumns)
		}
		for _, f := range fields {
			columns = append(columns, &column{name: f.Name, kind: kindOf(f.Type)})
		}
		rows := int64(0)
		for r.Next() {
			rec := r.RecordBatch()
			if rows += rec.NumRows(); rec.NumRows() < 0 || rows > serve.MaxRows {
				return codec.TooManyRows()
			}
			for i, c := range columns {
				if rec.Column(i).Len() != int(rec.NumRows()) {
					return damaged()
				}
				if err := c.arrow(rec.Column(i)); err != nil {
					return err
				}
			}
		}
		if err := r.Err(); err != nil && err != io.EOF {
			return tooMuch(mem, err)
		}
		return nil
	})
	return columns, err
}

// maxColumns bounds the columns of a body.
const maxColumns = 4096

// tooMuch tells an error that comes of the bound from others: the reader recovers panics itself.
func tooMuch(mem *bounded, err error) error {
	if mem.left < 0 {
		return errMemory
	}
	return err
}

func kindOf(t arrow.DataType) kind {
	switch t := t.(type) {
	case *arrow.Float64Type, *arrow.Float32Type, *arrow.Float16Type, *arrow.Decimal32Type, *arrow.Decimal64Type, *arrow.Decimal128Type, *arrow.Uint64Type, *arrow.NullType:
		return floats
	case *arrow.Int64Type, *arrow.Int32Type, *arrow.Int16Type, *arrow.Int8Type, *arrow.Uint32Type, *arrow.Uint16Type, *arrow.Uint8Type:
		return ints
	case *arrow.BooleanType:
		return bools
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType, *arrow.BinaryType, *arrow.LargeBinaryType:
		return texts
	case *arrow.TimestampType, *arrow.Date32Type, *arrow.Date64Type:
		return times
	case *arrow.DictionaryType:
		return kindOf(t.ValueType)
	case *arrow.FixedSizeListType:
		if inner := kindOf(t.Elem()); inner == floats || inner == ints {
			return floats
		}
	case *arrow.ListType:
		if inner := kindOf(t.Elem()); inner == floats || inner == ints {
			return floats
		}
	}
	return other
}

// arrow adds the values of an array.
func (c *column) arrow(a arrow.Array) error {
	if lists, ok := a.(array.ListLike); ok {
		return c.lists(lists)
	}
	values, index := a, func(i int) int { return i }
	if d, ok := a.(*array.Dictionary); ok {
		values, index = d.Dictionary(), d.GetValueIndex
	}
	put, err := c.putter(values)
	if err != nil {
		return err
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			c.missing()
			continue
		}
		at := index(i)
		if at < 0 || at >= values.Len() {
			return fault.New(fault.Invalid, "the column %q has an index outside of its dictionary", codec.Clip(c.name))
		}
		if values.IsNull(at) {
			c.missing()
			continue
		}
		if err := put(at); err != nil {
			return err
		}
	}
	return nil
}

// putter gives what adds one value of an array.
func (c *column) putter(a arrow.Array) (func(int) error, error) {
	number := func(of func(int) float64) (func(int) error, error) {
		return func(i int) error { c.float(of(i)); return nil }, nil
	}
	whole := func(of func(int) int64) (func(int) error, error) {
		return func(i int) error { c.int(of(i)); return nil }, nil
	}
	text := func(of func(int) string) (func(int) error, error) {
		return func(i int) error {
			v := of(i)
			if !utf8.ValidString(v) && a.DataType().ID() != arrow.BINARY && a.DataType().ID() != arrow.LARGE_BINARY {
				return fault.New(fault.Invalid, "row %d, column %q: the text is not UTF-8", c.rows, codec.Clip(c.name)).With("row", c.rows).With("column", c.name)
			}
			c.text(v)
			return nil
		}, nil
	}
	switch a := a.(type) {
	case *array.Float64:
		return number(a.Value)
	case *array.Float32:
		return number(func(i int) float64 { return float64(a.Value(i)) })
	case *array.Float16:
		return number(func(i int) float64 { return float64(a.Value(i).Float32()) })
	case *array.Uint64:
		return number(func(i int) float64 { return float64(a.Value(i)) })
	case *array.Decimal32:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return number(func(i int) float64 { return a.Value(i).ToFloat64(scale) })
	case *array.Decimal64:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return number(func(i int) float64 { return a.Value(i).ToFloat64(scale) })
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return number(func(i int) float64 { return a.Value(i).ToFloat64(scale) })
	case *array.Int64:
		return whole(a.Value)
	case *array.Int32:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int16:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int8:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint32:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint16:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Uint8:
		return whole(func(i int) int64 { return int64(a.Value(i)) })
	case *array.Boolean:
		return func(i int) error { c.bool(a.Value(i)); return nil }, nil
	case *array.String:
		return text(a.Value)
	case *array.LargeString:
		return text(a.Value)
	case *array.StringView:
		return text(a.Value)
	case *array.Binary:
		return text(a.ValueString)
	case *array.LargeBinary:
		return text(a.ValueString)
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return whole(func(i int) int64 { return a.Value(i).ToTime(unit).UnixMicro() })
	case *array.Date32:
		return whole(func(i int) int64 { return a.Value(i).ToTime().UnixMicro() })
	case *array.Date64:
		return whole(func(i int) int64 { return a.Value(i).ToTime().UnixMicro() })
	case *array.Null:
		return func(int) error { c.missing(); return nil }, nil
	}
	return func(int) error { c.there(); return nil }, nil
}

// lists adds lists of numbers that all have the same length.
func (c *column) lists(a array.ListLike) error {
	if c.kind == other {
		for range a.Len() {
			c.there()
		}
		return nil
	}
	flat := &column{name: c.name, kind: kindOf(a.ListValues().DataType())}
	put, err := flat.putter(a.ListValues())
	if err != nil {
		return err
	}
	for i := range a.Len() {
		from, to := a.ValueOffsets(i)
		if a.IsNull(i) || to <= from || c.width > 0 && to-from != int64(c.width) || to > int64(a.ListValues().Len()) || from < 0 {
			return fault.New(fault.Invalid, "row %d, column %q: lists are there and have the same length in every row", c.rows, codec.Clip(c.name)).With("row", c.rows).With("column", c.name)
		}
		c.width = int(to - from)
		for k := from; k < to; k++ {
			if a.ListValues().IsNull(int(k)) {
				return fault.New(fault.Invalid, "row %d, column %q: a value of the list is missing", c.rows, codec.Clip(c.name)).With("row", c.rows).With("column", c.name)
			}
			flat.floats, flat.ints = flat.floats[:0], flat.ints[:0]
			if err := put(int(k)); err != nil {
				return err
			}
			if flat.kind == ints {
				c.floats = append(c.floats, float64(flat.ints[0]))
			} else {
				c.floats = append(c.floats, flat.floats[0])
			}
		}
		c.rows++
	}
	return nil
}

// writeArrow writes an IPC stream, or a file.
func writeArrow(w *bytes.Buffer, columns []*column, asFile bool) error {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Nullable: true, Type: map[kind]arrow.DataType{
			floats: arrow.PrimitiveTypes.Float64, ints: arrow.PrimitiveTypes.Int64, bools: arrow.FixedWidthTypes.Boolean, texts: arrow.BinaryTypes.String,
			times: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
		}[c.kind]}
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, c := range columns {
		valid := make([]bool, c.rows)
		for k := range valid {
			valid[k] = !c.isNull(k)
		}
		switch f := b.Field(i).(type) {
		case *array.Float64Builder:
			f.AppendValues(c.floats, valid)
		case *array.Int64Builder:
			f.AppendValues(c.ints, valid)
		case *array.BooleanBuilder:
			f.AppendValues(c.bools, valid)
		case *array.StringBuilder:
			f.AppendValues(c.texts, valid)
		case *array.TimestampBuilder:
			for k, v := range c.ints {
				if valid[k] {
					f.Append(arrow.Timestamp(v))
				} else {
					f.AppendNull()
				}
			}
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if asFile {
		f, err := ipc.NewFileWriter(w, ipc.WithSchema(schema))
		if err != nil {
			return fmt.Errorf("write an Arrow file: %w", err)
		}
		if err := f.Write(rec); err != nil {
			return fmt.Errorf("write an Arrow file: %w", err)
		}
		return f.Close()
	}
	s := ipc.NewWriter(w, ipc.WithSchema(schema))
	if err := s.Write(rec); err != nil {
		return fmt.Errorf("write an Arrow stream: %w", err)
	}
	return s.Close()
}
