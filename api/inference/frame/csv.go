package frame

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Header says whether the first line of a CSV names the columns.
type Header int

// The headers of a CSV.
const (
	HeaderFirst Header = iota // it does
	HeaderNone                // it is a row; values are in the order of the signature's features
	HeaderMaybe               // it does when it holds the name of an input
)

// Missing are the texts that stand for a missing value in a CSV, as pandas.read_csv takes them without options.
var Missing = []string{"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}

// CSV reads rows of RFC 4180 from the exchange's body, in UTF-8, and reports whether its first line named the columns. A cell is read as
// the kind of its input; one that is not of that kind stays a text, which serve refuses by row and column. Missing texts are missing
// values.
func (f *Frame) CSV(header Header, missing []string) (named bool, err error) {
	body := bytes.TrimPrefix(f.x.Body, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(body) {
		return false, fault.New(fault.Invalid, "the body is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(body))
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	var blocks []*block
	var kinds []table.Kind
	for line := 0; ; line++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return named, fault.Wrap(err, fault.Invalid, "the body is no CSV")
		}
		if line == 0 {
			if named = header == HeaderFirst || header == HeaderMaybe && slices.ContainsFunc(record, f.known); named {
				if blocks, kinds, err = f.named(record); err != nil {
					return named, err
				}
				continue
			}
			if blocks, kinds, err = f.unnamed(len(record)); err != nil {
				return named, err
			}
		}
		if len(record) != len(blocks) {
			return named, fault.New(fault.Invalid, "row %d has %d values for %d columns", f.rows, len(record), len(blocks)).With("row", f.rows)
		}
		if f.rows >= serve.MaxRows {
			return named, codec.TooManyRows()
		}
		if f.values += len(record); f.values > maxValues {
			return named, fault.New(fault.TooLarge, "the request has more than %d values", maxValues).WithHint("send the rows in several requests")
		}
		for i, text := range record {
			if blocks[i] != nil {
				blocks[i].add(TextCell(text, kinds[i], missing))
			}
		}
		for _, b := range f.blocks {
			b.rows++
		}
		f.rows++
	}
	return named, nil
}

// named makes the columns of a header. Those that the version does not know are passed over.
func (f *Frame) named(record []string) ([]*block, []table.Kind, error) {
	blocks, kinds := make([]*block, len(record)), make([]table.Kind, len(record))
	if len(record) > maxColumns {
		return nil, nil, fault.New(fault.TooLarge, "the body has more than %d columns", maxColumns)
	}
	for i, name := range record {
		name = strings.TrimSpace(name)
		if f.byName[name] != nil {
			return nil, nil, fault.New(fault.Invalid, "the body has the column %q twice", codec.Clip(name)).With("column", name)
		}
		kinds[i] = f.kind(name)
		if name == ColumnKey || name == ColumnAt || f.known(name) {
			blocks[i] = f.block(strings.Clone(name))
			blocks[i].rank = 0
		}
	}
	if len(f.blocks) == 0 {
		return nil, nil, fault.New(fault.Invalid, "the first line names none of the model's inputs").WithHint("inputs are %s", shorten(f.inputNames()))
	}
	return blocks, kinds, nil
}

// unnamed makes the one block of rows without names.
func (f *Frame) unnamed(width int) ([]*block, []table.Kind, error) {
	if width > maxColumns {
		return nil, nil, fault.New(fault.TooLarge, "the body has more than %d columns", maxColumns)
	}
	b := f.block("")
	b.rank, b.shape = 1, []int{width}
	blocks, kinds := make([]*block, width), make([]table.Kind, width)
	names := featureNames(f.sig)
	if len(names) != width && len(f.sig.Inputs) == width {
		names = f.inputNames()
	}
	for i := range blocks {
		blocks[i] = b
		kinds[i] = table.Double
		if i < len(names) && len(names) == width {
			kinds[i] = f.kind(names[i])
		} else if f.tensors() && len(f.sig.TensorInputs) > 0 {
			kinds[i] = f.kind(f.sig.TensorInputs[0].Name)
		}
	}
	return blocks, kinds, nil
}

func (f *Frame) inputNames() []string {
	var names []string
	if f.tensors() {
		for i := range f.sig.TensorInputs {
			names = append(names, f.sig.TensorInputs[i].Name)
		}
		return names
	}
	for i := range f.sig.Inputs {
		names = append(names, f.sig.Inputs[i].Name)
	}
	return names
}

// kind is what the texts of a column are read as.
func (f *Frame) kind(name string) table.Kind {
	if f.tensors() {
		for i := range f.sig.TensorInputs {
			if in := &f.sig.TensorInputs[i]; in.Name == name {
				switch in.Type {
				case tensor.String:
					return table.String
				case tensor.Bool:
					return table.Boolean
				}
				return table.Double
			}
		}
	} else if in, _ := f.sig.Input(name); in != nil {
		return in.Kind
	}
	return table.String
}

// TextCell reads a text as the kind of an input. What is not of the kind stays a text.
func TextCell(text string, kind table.Kind, missing []string) serve.Cell {
	if slices.Contains(missing, text) {
		return serve.Cell{}
	}
	if kind == table.String {
		return serve.Cell{Type: serve.TextCell, Text: text}
	}
	bare := strings.TrimSpace(text)
	switch kind {
	case table.Boolean:
		switch bare {
		case "true", "True", "TRUE", "1":
			return serve.Cell{Type: serve.BoolCell, Number: 1}
		case "false", "False", "FALSE", "0":
			return serve.Cell{Type: serve.BoolCell}
		}
	case table.Double, table.Long:
		if v, ok := decimal(bare); ok {
			return v
		}
	case table.Datetime:
		if v, err := strconv.ParseInt(bare, 10, 64); err == nil {
			return serve.Cell{Type: serve.NumberCell, Number: float64(v)}
		}
		return serve.Cell{Type: serve.TextCell, Text: bare}
	}
	return serve.Cell{Type: serve.TextCell, Text: text}
}

// decimal reads a number as people write it; none of Go's other forms.
func decimal(text string) (serve.Cell, bool) {
	if text == "" || strings.ContainsAny(text, "xXpP_iInN") {
		return serve.Cell{}, false
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return serve.Cell{}, false
	}
	c := serve.Cell{Type: serve.NumberCell, Number: v}
	if (v > 1<<53 || v < -1<<53) && !strings.ContainsAny(text, ".eE") {
		c.Text = text
	}
	return c, true
}

// Lines reads one row per line: JSON lines, each an object or a list.
func (f *Frame) Lines() {
	s := &f.x.Scan
	for s.Err == nil && s.Space() != 0 {
		f.Instance()
	}
	s.End()
}
