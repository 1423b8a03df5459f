package rows

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/frame"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// kind is what a column of a table holds.
type kind byte

const (
	floats kind = iota
	ints
	bools
	texts
	times // microseconds since the epoch, UTC
	other // what no input takes
)

// column is the values of a column of a table, read from a format or about to be written in one. One of the slices has a value per row;
// null tells which are missing, where any is.
type column struct {
	name   string
	kind   kind
	floats []float64
	ints   []int64 // and times
	bools  []bool
	texts  []string
	null   []bool
	rows   int
	width  int // values per row of a column of lists; 0 = one
}

func (c *column) missing() {
	for len(c.null) < c.rows {
		c.null = append(c.null, false)
	}
	c.null = append(c.null, true)
	switch c.kind {
	case floats:
		c.floats = append(c.floats, 0)
	case ints, times:
		c.ints = append(c.ints, 0)
	case bools:
		c.bools = append(c.bools, false)
	case texts:
		c.texts = append(c.texts, "")
	}
	c.rows++
}

func (c *column) there() {
	if c.null != nil {
		c.null = append(c.null, false)
	}
	c.rows++
}

func (c *column) float(v float64) { c.floats = append(c.floats, v); c.there() }
func (c *column) int(v int64)     { c.ints = append(c.ints, v); c.there() }
func (c *column) bool(v bool)     { c.bools = append(c.bools, v); c.there() }
func (c *column) text(v string)   { c.texts = append(c.texts, v); c.there() }

func (c *column) isNull(i int) bool { return c.null != nil && c.null[i] }

// cell is a value as requests spell it.
func (c *column) cell(i int) serve.Cell {
	if c.isNull(i) {
		return serve.Cell{}
	}
	switch c.kind {
	case floats:
		if v := c.floats[i]; v == v {
			return serve.Cell{Type: serve.NumberCell, Number: v}
		}
		return serve.Cell{}
	case ints, times:
		return serve.Cell{Type: serve.NumberCell, Number: float64(c.ints[i])}
	case bools:
		v := serve.Cell{Type: serve.BoolCell}
		if c.bools[i] {
			v.Number = 1
		}
		return v
	case texts:
		return serve.Cell{Type: serve.TextCell, Text: c.texts[i]}
	}
	return serve.Cell{Type: serve.OtherCell}
}

// tensor is the values where none is missing; nil otherwise.
func (c *column) tensor() *tensor.Tensor {
	if c.null != nil {
		return nil
	}
	if c.width > 0 {
		if c.kind == floats {
			return tensor.New(c.floats, c.rows, c.width)
		}
		return nil
	}
	switch c.kind {
	case floats:
		return tensor.New(c.floats, c.rows)
	case ints, times:
		return tensor.New(c.ints, c.rows)
	case bools:
		return tensor.New(c.bools, c.rows)
	case texts:
		return tensor.New(c.texts, c.rows)
	}
	return nil
}

// take puts columns into a batch. Times go only into inputs that are times: elsewhere they are texts, which serve refuses where it expects
// something else.
func take(b *serve.Batch, columns []*column, sig *registry.Signature) error {
	rows := 0
	for i, c := range columns {
		if i > 0 && c.rows != rows {
			return fault.New(fault.Invalid, "the column %q has %d rows, %q has %d", codec.Clip(c.name), c.rows, codec.Clip(columns[0].name), rows)
		}
		rows = c.rows
	}
	for _, c := range columns {
		switch c.name {
		case frame.ColumnKey:
			for i := range c.rows {
				cell := c.cell(i)
				if cell.Type == serve.NumberCell && c.kind == ints {
					cell.Text = strconv.FormatInt(c.ints[i], 10)
				} else if cell.Type != serve.TextCell && cell.Type != serve.NullCell {
					return fault.New(fault.Invalid, "row %d: %s is a text", i, c.name).With("row", i).With("column", c.name)
				}
				b.Keys = append(b.Keys, cell.Text)
			}
			continue
		case frame.ColumnAt:
			for i := range c.rows {
				cell := c.cell(i)
				us, ok := int64(cell.Number), cell.Type == serve.NumberCell && (c.kind == times || c.kind == ints)
				if cell.Type == serve.TextCell {
					us, ok = serve.ParseTime(cell.Text)
				}
				if !ok {
					return fault.New(fault.Invalid, "row %d: %s is a time", i, c.name).With("row", i).With("column", c.name)
				}
				b.At = append(b.At, us)
			}
			continue
		}
		col := serve.Column{Name: c.name}
		in, _ := sig.Input(c.name)
		if c.kind == times && (in == nil || in.Kind != table.Datetime) {
			c = c.asTexts()
		}
		if col.Tensor = c.tensor(); col.Tensor == nil {
			col.Cells = make([]serve.Cell, c.rows)
			for i := range col.Cells {
				if c.width > 0 {
					col.Cells[i].Type = serve.OtherCell
				} else {
					col.Cells[i] = c.cell(i)
				}
			}
		}
		b.Columns = append(b.Columns, col)
	}
	if len(b.Columns) == 0 || rows == 0 {
		return fault.New(fault.Invalid, "the request has no rows")
	}
	return nil
}

func (c *column) asTexts() *column {
	out := &column{name: c.name, kind: texts, null: c.null, rows: c.rows, texts: make([]string, c.rows)}
	for i := range out.texts {
		if !c.isNull(i) {
			out.texts[i] = time.UnixMicro(c.ints[i]).UTC().Format(time.RFC3339Nano)
		}
	}
	return out
}

// answered is the columns of an answer: those of the row form. A multiclass model has a column of scores per class, a flag the names of the
// inputs it is raised for, and an explanation a column per feature and output.
func answered(a *serve.Answer) ([]*column, error) {
	preds := a.Predictions
	id, version, arm := &column{name: "id", kind: texts}, &column{name: "version", kind: ints}, &column{name: "arm", kind: texts}
	key, at := &column{name: "key", kind: texts}, &column{name: "at", kind: times}
	columns := []*column{id, version, arm, key, at}
	for i := range preds {
		p := &preds[i]
		id.text(p.ID)
		version.int(int64(p.Version))
		arm.text(p.Arm.String())
		if p.Key == p.ID {
			key.missing()
		} else {
			key.text(p.Key)
		}
		at.int(p.At)
	}
	if a.Outputs != nil {
		return outputs(columns, a.Outputs, len(preds))
	}
	names := []string{"score"}
	sig := a.Signature
	if sig.Task == string(learn.Multiclass) {
		names = nil
		for _, class := range sig.Classes {
			names = append(names, "score_"+class)
		}
	}
	scores := make([]*column, len(names))
	for k, name := range names {
		scores[k] = &column{name: name, kind: floats}
	}
	for i := range preds {
		if len(preds[i].Scores) != len(scores) {
			return nil, fault.New(fault.Conflict, "two versions with different classes answered").WithHint("ask for one version: ?version=%d", a.Version)
		}
		for k, v := range preds[i].Scores {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				scores[k].missing()
			} else {
				scores[k].float(v)
			}
		}
	}
	columns = append(columns, scores...)
	if sig.Task != string(learn.Regression) {
		label := &column{name: "label", kind: texts}
		for i := range preds {
			label.text(preds[i].Label)
		}
		columns = append(columns, label)
	}
	for _, flag := range []struct {
		name string
		of   func(*serve.Prediction) uint64
	}{
		{"missing", func(p *serve.Prediction) uint64 { return p.Missing }},
		{"unseen", func(p *serve.Prediction) uint64 { return p.Unseen }},
		{"out_of_range", func(p *serve.Prediction) uint64 { return p.OutOfRange }},
	} {
		c := &column{name: flag.name, kind: texts}
		for i := range preds {
			if names := flagged(flag.of(&preds[i]), preds[i].Signature); names == "" {
				c.missing()
			} else {
				c.text(names)
			}
		}
		columns = append(columns, c)
	}
	return explained(columns, preds)
}

// flagged is the names of the inputs whose bits are set, with semicolons between.
func flagged(bits uint64, sig *registry.Signature) string {
	if bits == 0 {
		return ""
	}
	var b []byte
	for i := 0; i < len(sig.Inputs) && i < 64; i++ {
		if bits&(1<<i) != 0 {
			if len(b) > 0 {
				b = append(b, ';')
			}
			b = append(b, sig.Inputs[i].Name...)
		}
	}
	return string(b)
}

// explained adds what features contributed, when the request asked for it.
func explained(columns []*column, preds []serve.Prediction) ([]*column, error) {
	e := preds[0].Explanation
	if e == nil {
		return columns, nil
	}
	outputs := len(e.Expected)
	suffix := func(k int) string {
		if outputs == 1 {
			return ""
		}
		if classes := preds[0].Signature.Classes; k < len(classes) {
			return "_" + classes[k]
		}
		return "_" + strconv.Itoa(k)
	}
	for k := range outputs {
		expected := &column{name: "expected_value" + suffix(k), kind: floats}
		parts := make([]*column, len(e.Features))
		for j, name := range e.Features {
			parts[j] = &column{name: "contribution_" + name + suffix(k), kind: floats}
		}
		for i := range preds {
			own := preds[i].Explanation
			if own == nil || len(own.Expected) != outputs || len(own.Features) != len(parts) {
				return nil, fault.New(fault.Conflict, "two versions with different features answered").WithHint("ask for one version: ?version=%d", preds[0].Version)
			}
			expected.float(own.Expected[k])
			for j := range parts {
				parts[j].float(own.Contributions[j][k])
			}
		}
		columns = append(append(columns, expected), parts...)
	}
	return columns, nil
}

// outputs adds the tensors that a version answered: one column each, or one per value where a row has several.
func outputs(columns []*column, outputs []tensor.Named, rows int) ([]*column, error) {
	for _, t := range outputs {
		if len(t.Shape) == 0 || t.Rows() != rows || t.Width() > 4096 {
			return nil, fault.New(fault.Invalid, "the output %q has the shape %v: it has no value per row", t.Name, t.Shape).WithHint("accept application/json")
		}
		width := t.Width()
		for k := range width {
			c := &column{name: t.Name, kind: floats}
			if width > 1 {
				c.name += "_" + strconv.Itoa(k)
			}
			whole, isWhole := t.Data.([]int64)
			said, isText := t.Data.([]string)
			switch {
			case isWhole:
				c.kind = ints
			case isText:
				c.kind = texts
			}
			for i := range rows {
				at := i*width + k
				switch {
				case isWhole:
					c.int(whole[at])
				case isText && utf8.ValidString(said[at]):
					c.text(said[at])
				case isText:
					return nil, fault.New(fault.Invalid, "the output %q is not UTF-8", t.Name).WithHint("ask through the Open Inference Protocol for binary outputs")
				default:
					if v, _ := t.Number(at); math.IsNaN(v) {
						c.missing()
					} else {
						c.float(v)
					}
				}
			}
			columns = append(columns, c)
		}
	}
	return columns, nil
}
