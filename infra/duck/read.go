package duck

import (
	"context"
	"fmt"
	"math"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Table runs a query and reads its result into columns, copying vectors rather than scanning rows.
//
// Whole numbers of any width become Long, floats and decimals Double, dates and timestamps Datetime in microseconds, text and
// enumerations String. NaN and infinite times become null. Any other type (a list, a blob) is a fault that names the column.
// Column names are DuckDB's.
func (d *DB) Table(ctx context.Context, sql string, args ...any) (*table.Table, error) {
	s, err := d.take()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Table(ctx, sql, args...)
}

// Table is DB.Table on this connection.
func (s *Session) Table(ctx context.Context, sql string, args ...any) (*table.Table, error) {
	res, err := s.run(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	defer mapping.DestroyResult(res)
	n := int(mapping.ColumnCount(res))
	readers := make([]*reader, n)
	for i := range readers {
		if readers[i], err = newReader(res, mapping.IdxT(i)); err != nil {
			return nil, err
		}
	}
	out := &table.Table{}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chunk := mapping.FetchChunk(*res)
		if chunk.Ptr == nil {
			break
		}
		rows := int(mapping.DataChunkGetSize(chunk))
		for i, r := range readers {
			v := mapping.DataChunkGetVector(chunk, mapping.IdxT(i))
			r.append(mapping.VectorGetData(v), mapping.VectorGetValidity(v), rows)
		}
		mapping.DestroyDataChunk(&chunk)
		out.Rows += rows
	}
	for _, r := range readers {
		out.Columns = append(out.Columns, r.column)
	}
	return out, nil
}

// reader appends the vectors of one result column to a table column.
type reader struct {
	column *table.Column
	number func(p unsafe.Pointer, i int) float64 // NaN is null
	text   func(p unsafe.Pointer, i int) string
}

func newReader(res *mapping.Result, i mapping.IdxT) (*reader, error) {
	name := mapping.ColumnName(res, i)
	logical := mapping.ColumnLogicalType(res, i)
	defer mapping.DestroyLogicalType(&logical)
	r := &reader{column: &table.Column{Name: name, Kind: table.Long}}
	switch t := mapping.GetTypeId(logical); t {
	case mapping.TypeBoolean:
		r.column.Kind, r.number = table.Boolean, cell[uint8](1)
	case mapping.TypeTinyInt:
		r.number = cell[int8](1)
	case mapping.TypeSmallInt:
		r.number = cell[int16](1)
	case mapping.TypeInteger:
		r.number = cell[int32](1)
	case mapping.TypeBigInt:
		r.number = cell[int64](1)
	case mapping.TypeUTinyInt:
		r.number = cell[uint8](1)
	case mapping.TypeUSmallInt:
		r.number = cell[uint16](1)
	case mapping.TypeUInteger:
		r.number = cell[uint32](1)
	case mapping.TypeUBigInt:
		r.number = cell[uint64](1)
	case mapping.TypeHugeInt:
		r.number = hugeInt(1)
	case mapping.TypeFloat:
		r.column.Kind, r.number = table.Double, cell[float32](1)
	case mapping.TypeDouble:
		r.column.Kind, r.number = table.Double, cell[float64](1)
	case mapping.TypeDecimal:
		r.column.Kind, r.number = table.Double, decimal(logical)
	case mapping.TypeDate:
		r.column.Kind, r.number = table.Datetime, date
	case mapping.TypeTimestamp, mapping.TypeTimestampTZ:
		r.column.Kind, r.number = table.Datetime, instant
	case mapping.TypeTimestampS:
		r.column.Kind, r.number = table.Datetime, cell[int64](1e-6)
	case mapping.TypeTimestampMS:
		r.column.Kind, r.number = table.Datetime, cell[int64](1e-3)
	case mapping.TypeTimestampNS:
		r.column.Kind, r.number = table.Datetime, nanoseconds
	case mapping.TypeVarchar:
		r.column.Kind, r.text = table.String, newInterner().read
	case mapping.TypeEnum:
		r.column.Kind, r.text = table.String, enumeration(logical)
	case mapping.TypeSQLNull:
		r.number = func(unsafe.Pointer, int) float64 { return math.NaN() }
	default:
		return nil, fault.New(fault.Invalid, "column %q has a type that a table cannot hold (DuckDB type %d)", name, t).
			WithHint("cast it to a number, a timestamp or VARCHAR in the query")
	}
	return r, nil
}

func (r *reader) append(data, validity unsafe.Pointer, rows int) {
	c := r.column
	start := c.Len()
	if r.text != nil {
		for i := range rows {
			if !valid(validity, i) {
				c.Strings = append(c.Strings, "")
				r.null(start + i)
				continue
			}
			c.Strings = append(c.Strings, r.text(data, i))
		}
	} else {
		for i := range rows {
			f := math.NaN()
			if valid(validity, i) {
				f = r.number(data, i)
			}
			if f != f {
				r.null(start + i)
			}
			c.Floats = append(c.Floats, f)
		}
	}
	if c.Nulls != nil {
		for len(c.Nulls) < start+rows {
			c.Nulls = append(c.Nulls, false)
		}
	}
}

func (r *reader) null(i int) {
	for len(r.column.Nulls) < i {
		r.column.Nulls = append(r.column.Nulls, false)
	}
	r.column.Nulls = append(r.column.Nulls, true)
}

func valid(mask unsafe.Pointer, i int) bool {
	return mask == nil || *(*uint64)(unsafe.Add(mask, i/64*8))>>(i%64)&1 == 1
}

func cell[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](perUnit float64) func(unsafe.Pointer, int) float64 {
	size := unsafe.Sizeof(T(0))
	if perUnit == 1 {
		return func(p unsafe.Pointer, i int) float64 { return float64(*(*T)(unsafe.Add(p, uintptr(i)*size))) }
	}
	return func(p unsafe.Pointer, i int) float64 {
		return math.Round(float64(*(*T)(unsafe.Add(p, uintptr(i)*size))) / perUnit)
	}
}

func instant(p unsafe.Pointer, i int) float64 {
	us := *(*int64)(unsafe.Add(p, i*8))
	if us == math.MaxInt64 || us == -math.MaxInt64 { // DuckDB's infinity and -infinity
		return math.NaN()
	}
	return float64(us)
}

func nanoseconds(p unsafe.Pointer, i int) float64 {
	return float64(*(*int64)(unsafe.Add(p, i*8)) / 1000)
}

func date(p unsafe.Pointer, i int) float64 {
	days := *(*int32)(unsafe.Add(p, i*4))
	if days == math.MaxInt32 || days == -math.MaxInt32 {
		return math.NaN()
	}
	return float64(days) * 86_400_000_000
}

func hugeInt(unit float64) func(unsafe.Pointer, int) float64 {
	return func(p unsafe.Pointer, i int) float64 {
		low, high := *(*uint64)(unsafe.Add(p, i*16)), *(*int64)(unsafe.Add(p, i*16+8))
		if high < 0 { // negate first: two's complement would cancel in floating point
			low = -low
			high = ^high
			if low == 0 {
				high++
			}
			return -(float64(uint64(high))*(1<<64) + float64(low)) / unit
		}
		return (float64(high)*(1<<64) + float64(low)) / unit
	}
}

func decimal(logical mapping.LogicalType) func(unsafe.Pointer, int) float64 {
	unit := math.Pow10(int(mapping.DecimalScale(logical)))
	scaled := func(whole func(unsafe.Pointer, int) float64) func(unsafe.Pointer, int) float64 {
		return func(p unsafe.Pointer, i int) float64 { return whole(p, i) / unit }
	}
	switch mapping.DecimalInternalType(logical) {
	case mapping.TypeSmallInt:
		return scaled(cell[int16](1))
	case mapping.TypeInteger:
		return scaled(cell[int32](1))
	case mapping.TypeBigInt:
		return scaled(cell[int64](1))
	default:
		return hugeInt(unit)
	}
}

func enumeration(logical mapping.LogicalType) func(unsafe.Pointer, int) string {
	words := make([]string, mapping.EnumDictionarySize(logical))
	for i := range words {
		words[i] = mapping.EnumDictionaryValue(logical, mapping.IdxT(i))
	}
	switch mapping.EnumInternalType(logical) {
	case mapping.TypeUTinyInt:
		return func(p unsafe.Pointer, i int) string { return words[*(*uint8)(unsafe.Add(p, i))] }
	case mapping.TypeUSmallInt:
		return func(p unsafe.Pointer, i int) string { return words[*(*uint16)(unsafe.Add(p, i*2))] }
	default:
		return func(p unsafe.Pointer, i int) string { return words[*(*uint32)(unsafe.Add(p, i*4))] }
	}
}

// interner gives repeated texts one string, because most text columns have few values; it stops learning when it is full.
type interner struct{ seen map[string]string }

func newInterner() *interner { return &interner{seen: map[string]string{}} }

const internedTexts = 8192

// read copies DuckDB's 16-byte string: length, then up to 12 bytes in place, or a prefix of 4 and a pointer.
func (n *interner) read(p unsafe.Pointer, i int) string {
	p = unsafe.Add(p, i*16)
	length := *(*uint32)(p)
	text := unsafe.Add(p, 4)
	if length > 12 {
		text = *(*unsafe.Pointer)(unsafe.Add(p, 8))
	}
	view := unsafe.Slice((*byte)(text), length)
	if s, ok := n.seen[string(view)]; ok {
		return s
	}
	s := string(view)
	if len(n.seen) < internedTexts {
		n.seen[s] = s
	}
	return s
}

// Scalar runs a query that gives one row and returns its cells by column name.
func (s *Session) Scalar(ctx context.Context, sql string, args ...any) (map[string]table.Value, error) {
	t, err := s.Table(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	if t.Rows != 1 {
		return nil, fmt.Errorf("a query for one row gave %d", t.Rows)
	}
	row := make(map[string]table.Value, len(t.Columns))
	for _, c := range t.Columns {
		row[c.Name] = c.Value(0)
	}
	return row, nil
}
