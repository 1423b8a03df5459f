package track

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/trimtab-ml/trimtab/infra/series"
)

// exportBatch is how many points are held in memory while they are written.
const exportBatch = 1 << 16

// pointSchema is of exported points. Steps and values are exact; a time is in milliseconds since 1970.
var pointSchema = arrow.NewSchema([]arrow.Field{
	{Name: "run_id", Type: arrow.BinaryTypes.String},
	{Name: "key", Type: arrow.BinaryTypes.String},
	{Name: "step", Type: arrow.PrimitiveTypes.Int64},
	{Name: "timestamp", Type: arrow.PrimitiveTypes.Int64},
	{Name: "value", Type: arrow.PrimitiveTypes.Float64},
}, nil)

// pointWriter writes points in some format; close writes what is left.
type pointWriter interface {
	write(run string, e series.Entry) error
	close() error
}

// ExportMetrics writes every point of runs, run by run, then by key, time, step and value, as "csv", "arrow" (an IPC stream) or "parquet".
// It holds a batch of points in memory and never a history.
func (s *Service) ExportMetrics(ctx context.Context, runs []string, format string, w io.Writer) error {
	for _, run := range runs {
		if err := s.runThere(ctx, run); err != nil {
			return err
		}
	}
	var out pointWriter
	switch format {
	case "csv":
		out = newCSVPoints(w)
	case "arrow":
		stream := ipc.NewWriter(w, ipc.WithSchema(pointSchema))
		out = newArrowPoints(func(r arrow.RecordBatch) error { return stream.Write(r) }, stream.Close)
	case "parquet":
		file, err := newParquetPoints(w)
		if err != nil {
			return fmt.Errorf("export metrics: %w", err)
		}
		out = file
	default:
		return invalid("metrics cannot be exported as %s: ask for csv, arrow or parquet", pyRepr(cut(text(format), 40)))
	}
	for _, run := range runs {
		for e, err := range s.series.Export(run) {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err == nil {
				err = out.write(run, e)
			}
			if err != nil {
				return fmt.Errorf("export metrics: %w", err)
			}
		}
	}
	if err := out.close(); err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	return nil
}

type csvPoints struct {
	buffer *bufio.Writer
	rows   *csv.Writer
	row    []string
}

func newCSVPoints(w io.Writer) *csvPoints {
	c := &csvPoints{buffer: bufio.NewWriterSize(w, 1<<16), row: []string{"run_id", "key", "step", "timestamp", "value"}}
	c.rows = csv.NewWriter(c.buffer)
	_ = c.rows.Write(c.row) // an error of the writer comes back at the next write
	return c
}

func (c *csvPoints) write(run string, e series.Entry) error {
	c.row[0], c.row[1] = run, e.Key
	c.row[2], c.row[3], c.row[4] = strconv.FormatInt(e.Step, 10), strconv.FormatInt(e.At, 10), exactNumber(e.Value)
	return c.rows.Write(c.row)
}

// exactNumber is the shortest text that reads back as the same number.
func exactNumber(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (c *csvPoints) close() error {
	c.rows.Flush()
	if err := c.rows.Error(); err != nil {
		return err
	}
	return c.buffer.Flush()
}

type arrowPoints struct {
	rows *array.RecordBuilder
	held int
	emit func(arrow.RecordBatch) error
	end  func() error
}

func newArrowPoints(emit func(arrow.RecordBatch) error, end func() error) *arrowPoints {
	return &arrowPoints{rows: array.NewRecordBuilder(memory.DefaultAllocator, pointSchema), emit: emit, end: end}
}

func (a *arrowPoints) write(run string, e series.Entry) error {
	a.rows.Field(0).(*array.StringBuilder).Append(run)
	a.rows.Field(1).(*array.StringBuilder).Append(e.Key)
	a.rows.Field(2).(*array.Int64Builder).Append(e.Step)
	a.rows.Field(3).(*array.Int64Builder).Append(e.At)
	a.rows.Field(4).(*array.Float64Builder).Append(e.Value)
	if a.held++; a.held < exportBatch {
		return nil
	}
	return a.flush()
}

func (a *arrowPoints) flush() error {
	batch := a.rows.NewRecordBatch()
	defer batch.Release()
	a.held = 0
	return a.emit(batch)
}

func (a *arrowPoints) close() error {
	defer a.rows.Release()
	if err := a.flush(); err != nil {
		return err
	}
	return a.end()
}
