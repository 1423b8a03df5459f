package track

import (
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/trimtab-ml/trimtab/infra/series"
)

// parquetPoints writes row groups of exportBatch points. It uses Parquet's own column writers: the bridge from Arrow would bring all of gRPC
// into the program.
type parquetPoints struct {
	file             *file.Writer
	runs, keys       []parquet.ByteArray
	steps, times     []int64
	values           []float64
	run, key         string
	runText, keyText parquet.ByteArray
}

func newParquetPoints(w io.Writer) (*parquetPoints, error) {
	fields := schema.FieldList{}
	for _, c := range []struct {
		name    string
		kind    parquet.Type
		logical schema.LogicalType
	}{
		{"run_id", parquet.Types.ByteArray, schema.StringLogicalType{}},
		{"key", parquet.Types.ByteArray, schema.StringLogicalType{}},
		{"step", parquet.Types.Int64, schema.NoLogicalType{}},
		{"timestamp", parquet.Types.Int64, schema.NoLogicalType{}},
		{"value", parquet.Types.Double, schema.NoLogicalType{}},
	} {
		node, err := schema.NewPrimitiveNodeLogical(c.name, parquet.Repetitions.Required, c.logical, c.kind, 0, -1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, node)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return nil, err
	}
	properties := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd))
	return &parquetPoints{file: file.NewParquetWriter(w, root, file.WithWriterProps(properties))}, nil
}

func (p *parquetPoints) write(run string, e series.Entry) error {
	if run != p.run || p.runText == nil {
		p.run, p.runText = run, parquet.ByteArray(run)
	}
	if e.Key != p.key || p.keyText == nil {
		p.key, p.keyText = e.Key, parquet.ByteArray(e.Key)
	}
	p.runs, p.keys = append(p.runs, p.runText), append(p.keys, p.keyText)
	p.steps, p.times, p.values = append(p.steps, e.Step), append(p.times, e.At), append(p.values, e.Value)
	if len(p.values) < exportBatch {
		return nil
	}
	return p.flush()
}

func (p *parquetPoints) flush() error {
	if len(p.values) == 0 {
		return nil
	}
	group := p.file.AppendRowGroup()
	for i := range 5 {
		column, err := group.NextColumn()
		if err != nil {
			return err
		}
		switch w := column.(type) {
		case *file.ByteArrayColumnChunkWriter:
			texts := p.runs
			if i == 1 {
				texts = p.keys
			}
			_, err = w.WriteBatch(texts, nil, nil)
		case *file.Int64ColumnChunkWriter:
			numbers := p.steps
			if i == 3 {
				numbers = p.times
			}
			_, err = w.WriteBatch(numbers, nil, nil)
		case *file.Float64ColumnChunkWriter:
			_, err = w.WriteBatch(p.values, nil, nil)
		}
		if err != nil {
			return err
		}
		if err := column.Close(); err != nil {
			return err
		}
	}
	p.runs, p.keys, p.steps, p.times, p.values = p.runs[:0], p.keys[:0], p.steps[:0], p.times[:0], p.values[:0]
	return group.Close()
}

func (p *parquetPoints) close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.file.Close()
}
