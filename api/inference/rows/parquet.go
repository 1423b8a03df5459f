package rows

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// readParquet reads a file whose columns are plain or have a dictionary. The footer is read by the library, once it is known to be sound;
// pages are read here, so that no bytes of a caller make a reader turn for ever or take memory that the bytes do not stand for.
func readParquet(body []byte, limit int64) (columns []*column, err error) {
	if err := verifyFooter(body); err != nil {
		return nil, err
	}
	err = protect("Parquet file", func() error {
		r, err := file.NewParquetReader(bytes.NewReader(body), file.WithReadProps(parquet.NewReaderProperties(newBounded(limit))))
		if err != nil {
			return err
		}
		defer r.Close()
		fields := r.MetaData().Schema
		if fields.NumColumns() > maxColumns {
			return fault.New(fault.TooLarge, "the body has more than %d columns", maxColumns)
		}
		rows := int64(0)
		for g := range r.NumRowGroups() {
			n := r.MetaData().RowGroup(g).NumRows()
			if rows += n; n < 0 || rows > serve.MaxRows {
				return codec.TooManyRows()
			}
		}
		left := 8 * limit
		for i := range fields.NumColumns() {
			field := fields.Column(i)
			if len(field.ColumnPath()) != 1 || field.MaxRepetitionLevel() > 0 {
				name := field.ColumnPath()[0]
				if len(columns) == 0 || columns[len(columns)-1].name != name {
					columns = append(columns, &column{name: name, kind: other, rows: int(rows)})
				}
				continue // a structure or a list: no input takes it
			}
			c := &column{name: field.Name()}
			read := c.reader(field)
			for g := range r.NumRowGroups() {
				group := r.MetaData().RowGroup(g)
				meta, err := group.ColumnChunk(i)
				if err != nil {
					return err
				}
				from, size := meta.DataPageOffset(), meta.TotalCompressedSize()
				if d := meta.DictionaryPageOffset(); meta.HasDictionaryPage() && d > 0 && d < from {
					from = d
				}
				if from < 0 || size < 0 || from > int64(len(body)) || size > int64(len(body))-from {
					return damagedParquet()
				}
				x := chunk{column: c, field: field, read: read, packing: meta.Compression(), rows: int(group.NumRows()), left: &left}
				if err := x.pages(body[from : from+size]); err != nil {
					return err
				}
			}
			columns = append(columns, c)
		}
		return nil
	})
	return columns, err
}

// chunk is a column of a row group while its pages are read.
type chunk struct {
	column     *column
	field      *schema.Column
	read       func(c *column, b []byte) int // adds one plain value and gives the bytes that it took; -1 when there are too few
	packing    compress.Compression
	dictionary *column
	rows       int    // that are still to come
	left       *int64 // bytes that all pages may still inflate to
}

func (x *chunk) pages(b []byte) error {
	if x.read == nil {
		x.column.kind = other
		x.column.rows += x.rows
		return nil
	}
	for x.rows > 0 {
		t := thrift{b: b}
		p := t.page()
		if t.bad || p.plain < 0 || p.packed < 0 || p.packed > int64(len(b)-t.at) || p.values < 0 || p.levels > p.packed || p.levels > p.plain {
			return damagedParquet()
		}
		if *x.left -= p.plain; *x.left < 0 {
			return errMemory
		}
		data := b[t.at : t.at+int(p.packed)]
		b = b[t.at+int(p.packed):]
		levels := data[:p.levels]
		if p.kind != pageData2 {
			levels = nil
		}
		if p.kind != pageData && p.kind != pageDictionary && p.kind != pageData2 {
			continue
		}
		plain, err := data[len(levels):], error(nil)
		if p.unpacked == 0 {
			if plain, err = inflated(plain, x.packing, p.plain-int64(len(levels))); err != nil {
				return err
			}
		}
		if p.kind == pageDictionary {
			if p.values > int64(len(plain)) || x.dictionary != nil {
				return damagedParquet()
			}
			x.dictionary = &column{name: x.column.name, kind: x.column.kind}
			for range p.values {
				n := x.read(x.dictionary, plain)
				if n < 0 {
					return damagedParquet()
				}
				plain = plain[n:]
			}
			continue
		}
		if p.values > int64(x.rows) {
			return damagedParquet()
		}
		if err := x.page(p, levels, plain); err != nil {
			return err
		}
		x.rows -= int(p.values)
	}
	return nil
}

// page adds the values of a data page.
func (x *chunk) page(p page, levels, b []byte) error {
	n, there := int(p.values), int(p.values)
	var defined []uint32
	if x.field.MaxDefinitionLevel() > 0 {
		if p.kind == pageData {
			if len(b) < 4 {
				return damagedParquet()
			}
			size := int64(binary.LittleEndian.Uint32(b))
			if size > int64(len(b)-4) {
				return damagedParquet()
			}
			levels, b = b[4:4+size], b[4+size:]
		}
		ok := false
		if defined, ok = hybrid(levels, 1, n); !ok {
			return damagedParquet()
		}
		there = 0
		for _, d := range defined {
			there += int(d)
		}
	}
	next, err := x.values(p.encoding, b, there)
	if err != nil {
		return err
	}
	for i := range n {
		if defined != nil && defined[i] == 0 {
			x.column.missing()
		} else if !next() {
			return damagedParquet()
		}
	}
	return nil
}

// values gives what adds the next value of a page.
func (x *chunk) values(encoding int64, b []byte, n int) (func() bool, error) {
	isBool := x.column.kind == bools
	switch {
	case encoding == encodingDictionary || encoding == encodingOldDictionary:
		if x.dictionary == nil || len(b) == 0 && n > 0 {
			return nil, damagedParquet()
		}
		var places []uint32
		if n > 0 {
			ok := false
			if places, ok = hybrid(b[1:], int(b[0]), n); !ok {
				return nil, damagedParquet()
			}
		}
		at := 0
		return func() bool {
			k := int(places[at])
			at++
			return x.column.copy(x.dictionary, k)
		}, nil
	case isBool && (encoding == encodingRLE || encoding == encodingPlain):
		var bits []uint32
		if encoding == encodingRLE {
			if len(b) < 4 {
				return nil, damagedParquet()
			}
			ok := false
			if bits, ok = hybrid(b[4:], 1, n); !ok {
				return nil, damagedParquet()
			}
		} else if len(b) < (n+7)/8 {
			return nil, damagedParquet()
		}
		at := 0
		return func() bool {
			if bits != nil {
				x.column.bool(bits[at] == 1)
			} else {
				x.column.bool(b[at/8]>>(at%8)&1 == 1)
			}
			at++
			return true
		}, nil
	case encoding == encodingPlain:
		return func() bool {
			took := x.read(x.column, b)
			if took >= 0 {
				b = b[took:]
			}
			return took >= 0
		}, nil
	}
	return nil, fault.New(fault.Invalid, "a column is written with the encoding %d, which is not read", encoding).WithHint("write it plain or with a dictionary, as pandas and DuckDB do")
}

// copy adds value k of a dictionary.
func (c *column) copy(from *column, k int) bool {
	if k < 0 || k >= from.rows {
		return false
	}
	switch c.kind {
	case floats:
		c.float(from.floats[k])
	case ints, times:
		c.int(from.ints[k])
	case texts:
		c.text(from.texts[k])
	default:
		return false
	}
	return true
}

// reader sets the kind of a column and gives what reads a plain value of it; nil for what no input takes.
func (c *column) reader(field *schema.Column) func(*column, []byte) int {
	le := binary.LittleEndian
	fixed := func(k kind, size int, put func(*column, []byte)) func(*column, []byte) int {
		c.kind = k
		return func(to *column, b []byte) int {
			if len(b) < size {
				return -1
			}
			put(to, b)
			return size
		}
	}
	switch logical := field.LogicalType(); field.PhysicalType() {
	case parquet.Types.Double:
		return fixed(floats, 8, func(to *column, b []byte) { to.float(math.Float64frombits(le.Uint64(b))) })
	case parquet.Types.Float:
		return fixed(floats, 4, func(to *column, b []byte) { to.float(float64(math.Float32frombits(le.Uint32(b)))) })
	case parquet.Types.Boolean:
		return fixed(bools, 1, func(to *column, b []byte) { to.bool(b[0] == 1) }) // bits: read elsewhere
	case parquet.Types.Int32:
		switch l := logical.(type) {
		case schema.DateLogicalType:
			return fixed(times, 4, func(to *column, b []byte) { to.int(int64(int32(le.Uint32(b))) * 86_400_000_000) })
		case schema.DecimalLogicalType:
			return fixed(floats, 4, func(to *column, b []byte) { to.float(float64(int32(le.Uint32(b))) / math.Pow10(int(l.Scale()))) })
		case schema.IntLogicalType:
			if !l.IsSigned() {
				return fixed(ints, 4, func(to *column, b []byte) { to.int(int64(le.Uint32(b))) })
			}
		}
		return fixed(ints, 4, func(to *column, b []byte) { to.int(int64(int32(le.Uint32(b)))) })
	case parquet.Types.Int64:
		switch l := logical.(type) {
		case schema.TimestampLogicalType:
			switch l.TimeUnit() {
			case schema.TimeUnitMillis:
				return fixed(times, 8, func(to *column, b []byte) { to.int(int64(le.Uint64(b)) * 1000) })
			case schema.TimeUnitNanos:
				return fixed(times, 8, func(to *column, b []byte) { to.int(floorDiv(int64(le.Uint64(b)), 1000)) })
			}
			return fixed(times, 8, func(to *column, b []byte) { to.int(int64(le.Uint64(b))) })
		case schema.DecimalLogicalType:
			return fixed(floats, 8, func(to *column, b []byte) { to.float(float64(int64(le.Uint64(b))) / math.Pow10(int(l.Scale()))) })
		case schema.IntLogicalType:
			if !l.IsSigned() {
				return fixed(floats, 8, func(to *column, b []byte) { to.float(float64(le.Uint64(b))) })
			}
		}
		return fixed(ints, 8, func(to *column, b []byte) { to.int(int64(le.Uint64(b))) })
	case parquet.Types.Int96:
		return fixed(times, 12, func(to *column, b []byte) {
			// Nanoseconds of the day, and the Julian day; 2440588 is 1970-01-01.
			to.int((int64(le.Uint32(b[8:]))-2440588)*86_400_000_000 + int64(le.Uint64(b))/1000)
		})
	case parquet.Types.ByteArray:
		c.kind = texts
		return func(to *column, b []byte) int {
			if len(b) < 4 || int64(le.Uint32(b)) > int64(len(b)-4) {
				return -1
			}
			n := 4 + int(le.Uint32(b))
			if isText(logical) && !utf8.Valid(b[4:n]) {
				return -1
			}
			to.text(string(b[4:n]))
			return n
		}
	}
	return nil
}

func isText(l schema.LogicalType) bool {
	_, text := l.(schema.StringLogicalType)
	return text
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// writeParquet writes a file with one row group.
func writeParquet(w *bytes.Buffer, columns []*column) error {
	fields := schema.FieldList{}
	for _, c := range columns {
		physical, logical := parquet.Types.Double, schema.LogicalType(schema.NoLogicalType{})
		switch c.kind {
		case ints:
			physical = parquet.Types.Int64
		case bools:
			physical = parquet.Types.Boolean
		case texts:
			physical, logical = parquet.Types.ByteArray, schema.StringLogicalType{}
		case times:
			physical, logical = parquet.Types.Int64, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
		}
		node, err := schema.NewPrimitiveNodeLogical(c.name, parquet.Repetitions.Optional, logical, physical, 0, -1)
		if err != nil {
			return fmt.Errorf("describe a column of Parquet: %w", err)
		}
		fields = append(fields, node)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return fmt.Errorf("describe a table of Parquet: %w", err)
	}
	f := file.NewParquetWriter(w, root, file.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy))))
	group := f.AppendRowGroup()
	for _, c := range columns {
		chunk, err := group.NextColumn()
		if err != nil {
			return fmt.Errorf("write a column of Parquet: %w", err)
		}
		if err := c.write(chunk); err != nil {
			return fmt.Errorf("write a column of Parquet: %w", err)
		}
		if err := chunk.Close(); err != nil {
			return fmt.Errorf("write a column of Parquet: %w", err)
		}
	}
	return f.Close()
}

func (c *column) write(chunk file.ColumnChunkWriter) error {
	levels := make([]int16, c.rows)
	for i := range levels {
		if !c.isNull(i) {
			levels[i] = 1
		}
	}
	var err error
	switch w := chunk.(type) {
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(dense(c, c.floats), levels, nil)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(dense(c, c.ints), levels, nil)
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(dense(c, c.bools), levels, nil)
	case *file.ByteArrayColumnChunkWriter:
		kept := dense(c, c.texts)
		raw := make([]parquet.ByteArray, len(kept))
		for i, s := range kept {
			raw[i] = parquet.ByteArray(s)
		}
		_, err = w.WriteBatch(raw, levels, nil)
	}
	return err
}

// dense is the values that are there.
func dense[T any](c *column, all []T) []T {
	if c.null == nil {
		return all
	}
	var out []T
	for i, v := range all {
		if !c.null[i] {
			out = append(out, v)
		}
	}
	return out
}
