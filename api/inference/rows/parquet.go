package rows

import (
	"bytes"
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

// readParquet reads a file's columns one by one with Parquet's own readers: the bridge to Arrow reads in goroutines of its own, where a
// hostile file's panic could not be caught.
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
		if err := verifyPages(r, body, 8*limit); err != nil {
			return err
		}
		fields := r.MetaData().Schema
		if fields.NumColumns() > maxColumns {
			return fault.New(fault.TooLarge, "the body has more than %d columns", maxColumns)
		}
		rows := int64(0)
		for g := range r.NumRowGroups() {
			n := r.RowGroup(g).NumRows()
			if rows += n; n < 0 || rows > serve.MaxRows {
				return codec.TooManyRows()
			}
		}
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
			for g := range r.NumRowGroups() {
				group := r.RowGroup(g)
				chunk, err := group.Column(i)
				if err != nil {
					return err
				}
				if err := c.parquet(chunk, field, int(group.NumRows())); err != nil {
					return err
				}
			}
			columns = append(columns, c)
		}
		return nil
	})
	return columns, err
}

// parquet adds the n values of a chunk.
func (c *column) parquet(chunk file.ColumnChunkReader, field *schema.Column, n int) error {
	logical := field.LogicalType()
	switch r := chunk.(type) {
	case *file.Float64ColumnChunkReader:
		return values(c, floats, r.ReadBatch, field, n, c.float)
	case *file.Float32ColumnChunkReader:
		return values(c, floats, r.ReadBatch, field, n, func(v float32) { c.float(float64(v)) })
	case *file.BooleanColumnChunkReader:
		return values(c, bools, r.ReadBatch, field, n, c.bool)
	case *file.Int32ColumnChunkReader:
		switch l := logical.(type) {
		case schema.DateLogicalType:
			return values(c, times, r.ReadBatch, field, n, func(v int32) { c.int(int64(v) * 86_400_000_000) })
		case schema.DecimalLogicalType:
			return values(c, floats, r.ReadBatch, field, n, func(v int32) { c.float(float64(v) / math.Pow10(int(l.Scale()))) })
		case schema.IntLogicalType:
			if !l.IsSigned() {
				return values(c, ints, r.ReadBatch, field, n, func(v int32) { c.int(int64(uint32(v))) })
			}
		}
		return values(c, ints, r.ReadBatch, field, n, func(v int32) { c.int(int64(v)) })
	case *file.Int64ColumnChunkReader:
		switch l := logical.(type) {
		case schema.TimestampLogicalType:
			switch l.TimeUnit() {
			case schema.TimeUnitMillis:
				return values(c, times, r.ReadBatch, field, n, func(v int64) { c.int(v * 1000) })
			case schema.TimeUnitNanos:
				return values(c, times, r.ReadBatch, field, n, func(v int64) { c.int(floorDiv(v, 1000)) })
			}
			return values(c, times, r.ReadBatch, field, n, c.int)
		case schema.DecimalLogicalType:
			return values(c, floats, r.ReadBatch, field, n, func(v int64) { c.float(float64(v) / math.Pow10(int(l.Scale()))) })
		case schema.IntLogicalType:
			if !l.IsSigned() {
				return values(c, floats, r.ReadBatch, field, n, func(v int64) { c.float(float64(uint64(v))) })
			}
		}
		return values(c, ints, r.ReadBatch, field, n, c.int)
	case *file.Int96ColumnChunkReader:
		return values(c, times, r.ReadBatch, field, n, func(v parquet.Int96) { c.int(v.ToTime().UnixMicro()) })
	case *file.ByteArrayColumnChunkReader:
		bad := -1
		err := values(c, texts, r.ReadBatch, field, n, func(v parquet.ByteArray) {
			if !utf8.Valid(v) && bad < 0 && isText(logical) {
				bad = c.rows
			}
			c.text(string(v))
		})
		if err == nil && bad >= 0 {
			return fault.New(fault.Invalid, "row %d, column %q: the text is not UTF-8", bad, codec.Clip(c.name)).With("row", bad).With("column", c.name)
		}
		return err
	}
	c.kind = other
	c.rows += n
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

// values reads n values of a chunk and gives those that are there to put.
func values[T any](c *column, k kind, read func(int64, []T, []int16, []int16) (int64, int, error), field *schema.Column, n int, put func(T)) error {
	c.kind = k
	const batch = 4096
	buffer := make([]T, min(n, batch))
	levels := make([]int16, min(n, batch))
	optional := field.MaxDefinitionLevel() > 0
	for n > 0 {
		want := min(n, batch)
		total, got, err := read(int64(want), buffer[:want], levels[:want], nil)
		if err != nil {
			return err
		}
		if total <= 0 || total > int64(want) {
			return fault.New(fault.Invalid, "the column %q has fewer values than the file has rows", codec.Clip(c.name))
		}
		at := 0
		for i := range int(total) {
			if optional && levels[i] < field.MaxDefinitionLevel() {
				c.missing()
				continue
			}
			if at >= got {
				return fault.New(fault.Invalid, "the column %q has fewer values than the file has rows", codec.Clip(c.name))
			}
			put(buffer[at])
			at++
		}
		n -= int(total)
	}
	return nil
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
