package duck

import (
	"context"
	"fmt"
	"strings"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// SQLType is the one SQL type that a column of a kind has in every Parquet file that Trimtab writes.
func SQLType(k table.Kind) string {
	switch k {
	case table.Double:
		return "DOUBLE"
	case table.Long:
		return "BIGINT"
	case table.Boolean:
		return "BOOLEAN"
	case table.Datetime:
		return "TIMESTAMP"
	default:
		return "VARCHAR"
	}
}

// ParquetOptions is how every Parquet file is written: zstd at DuckDB's default level.
const ParquetOptions = "FORMAT parquet, COMPRESSION zstd"

// WriteParquet writes a table to a file at path, which it replaces. The rows keep their order. The file is not synced to disk:
// a blob store does that when it takes the file over.
func (d *DB) WriteParquet(ctx context.Context, t *table.Table, path string) error {
	s, err := d.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Fill(ctx, "written", t); err != nil {
		return err
	}
	return s.Exec(ctx, "COPY written TO "+Literal(path)+" ("+ParquetOptions+")")
}

// Fill makes a temporary table of this session with the rows of t.
func (s *Session) Fill(ctx context.Context, name string, t *table.Table) error {
	if len(t.Columns) == 0 {
		return fmt.Errorf("a table without columns cannot be written")
	}
	columns := make([]string, len(t.Columns))
	types := make([]mapping.LogicalType, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = Quote(c.Name) + " " + SQLType(c.Kind)
		types[i] = mapping.CreateLogicalType(typeOf(c.Kind))
		defer mapping.DestroyLogicalType(&types[i])
	}
	if err := s.Exec(ctx, "CREATE TEMP TABLE "+Quote(name)+" ("+strings.Join(columns, ", ")+")"); err != nil {
		return err
	}
	var appender mapping.Appender
	if mapping.AppenderCreateExt(s.conn, "temp", "main", name, &appender) == mapping.StateError {
		return fmt.Errorf("DuckDB gives no appender for %s", name)
	}
	defer mapping.AppenderDestroy(&appender)
	chunk := mapping.CreateDataChunk(types)
	defer mapping.DestroyDataChunk(&chunk)
	step := int(mapping.VectorSize())
	for from := 0; from < t.Rows; from += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(step, t.Rows-from)
		mapping.DataChunkReset(chunk)
		for i, c := range t.Columns {
			fill(mapping.DataChunkGetVector(chunk, mapping.IdxT(i)), c, from, n)
		}
		mapping.DataChunkSetSize(chunk, mapping.IdxT(n))
		if mapping.AppendDataChunk(appender, chunk) == mapping.StateError {
			return newError(mapping.AppenderError(appender))
		}
	}
	if mapping.AppenderClose(appender) == mapping.StateError {
		return newError(mapping.AppenderError(appender))
	}
	return nil
}

func typeOf(k table.Kind) mapping.Type {
	switch k {
	case table.Double:
		return mapping.TypeDouble
	case table.Long:
		return mapping.TypeBigInt
	case table.Boolean:
		return mapping.TypeBoolean
	case table.Datetime:
		return mapping.TypeTimestamp
	default:
		return mapping.TypeVarchar
	}
}

func fill(v mapping.Vector, c *table.Column, from, n int) {
	var validity unsafe.Pointer
	if c.Nulls != nil {
		mapping.VectorEnsureValidityWritable(v)
		validity = mapping.VectorGetValidity(v)
	}
	data := mapping.VectorGetData(v)
	for i := range n {
		row := from + i
		if c.IsNull(row) {
			mapping.ValiditySetRowInvalid(validity, mapping.IdxT(i))
			continue
		}
		if validity != nil {
			mapping.ValiditySetRowValid(validity, mapping.IdxT(i))
		}
		switch c.Kind {
		case table.String:
			mapping.VectorAssignStringElementLen(v, mapping.IdxT(i), []byte(c.Strings[row]))
		case table.Double:
			*(*float64)(unsafe.Add(data, i*8)) = c.Floats[row]
		case table.Boolean:
			*(*bool)(unsafe.Add(data, i)) = c.Floats[row] != 0
		default:
			*(*int64)(unsafe.Add(data, i*8)) = int64(c.Floats[row])
		}
	}
}
