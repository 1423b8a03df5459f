package frame

import (
	"math"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Finish puts what was read into the exchange's batch, or says what was wrong with it.
func (f *Frame) Finish() error {
	if err := f.x.Scan.Err; err != nil {
		return err
	}
	b := &f.x.Batch
	f.x.Rows()
	if len(f.keys) > 0 {
		b.Keys = append(b.Keys[:0], f.keys...)
		for len(b.Keys) < f.rows {
			b.Keys = append(b.Keys, "")
		}
	}
	if len(f.at) > 0 {
		if len(f.at) != f.rows {
			return fault.New(fault.Invalid, "%d of %d rows have %s", len(f.at), f.rows, ColumnAt)
		}
		b.At = append(b.At[:0], f.at...)
	}
	for _, c := range f.blocks {
		var err error
		switch {
		case c.name == ColumnKey:
			err = f.takeKeys(c)
		case c.name == ColumnAt:
			err = f.takeTimes(c)
		case c.name == "":
			err = f.positional(c)
		case f.tensors():
			err = f.tensor(c)
		default:
			f.column1(c)
		}
		if err != nil {
			return err
		}
	}
	if len(b.Columns) == 0 && len(b.Rows) == 0 {
		return fault.New(fault.Invalid, "the request has no rows")
	}
	return nil
}

// Lacking names the features that a version needs and no row of the batch has: those that were never missing in training and that the
// server does not join.
func Lacking(b *serve.Batch, sig *registry.Signature) []string {
	if sig.Task == registry.TaskTensors || len(b.Columns) == 1 && b.Columns[0].Name == "" {
		return nil
	}
	var lacking []string
next:
	for i := range sig.Inputs {
		in := &sig.Inputs[i]
		if in.Role != registry.RoleFeature || in.Nullable || in.View != "" {
			continue
		}
		for k := range b.Columns {
			if b.Columns[k].Name == in.Name {
				continue next
			}
		}
		for _, row := range b.Rows {
			for k := range row {
				if row[k].Name == in.Name {
					continue next
				}
			}
		}
		lacking = append(lacking, in.Name)
	}
	return lacking
}

// key keeps the key of the row that is being read.
func (f *Frame) key(c serve.Cell) {
	if f.rows < len(f.keys) {
		f.x.Scan.Fail("row %d has %s twice", f.rows, ColumnKey)
		return
	}
	for len(f.keys) < f.rows {
		f.keys = append(f.keys, "")
	}
	text, ok := keyText(c)
	if !ok {
		f.x.Scan.Fail("row %d: %s is a text", f.rows, ColumnKey)
	}
	f.keys = append(f.keys, text)
}

func keyText(c serve.Cell) (string, bool) {
	switch c.Type {
	case serve.TextCell:
		return c.Text, true
	case serve.NumberCell:
		if c.Text != "" {
			return c.Text, true
		}
		return strconv.FormatFloat(c.Number, 'f', -1, 64), true
	}
	return "", c.Type == serve.NullCell
}

// time keeps the time of the row that is being read.
func (f *Frame) time(c serve.Cell) {
	us, ok := microseconds(c)
	if !ok || len(f.at) != f.rows {
		f.x.Scan.Fail("row %d: %s is a time such as 2013-04-01T10:00:00Z, or whole microseconds, and every row has one", f.rows, ColumnAt)
	}
	f.at = append(f.at, us)
}

func microseconds(c serve.Cell) (int64, bool) {
	switch c.Type {
	case serve.TextCell:
		return serve.ParseTime(c.Text)
	case serve.NumberCell:
		return int64(c.Number), c.Number == math.Trunc(c.Number) && math.Abs(c.Number) <= 1<<53
	}
	return 0, false
}

func (f *Frame) takeKeys(c *block) error {
	for i := range c.len() {
		text, ok := keyText(c.cell(i))
		if !ok || c.rank != 0 {
			return fault.New(fault.Invalid, "row %d: %s is a text", i, ColumnKey).With("row", i).With("column", ColumnKey)
		}
		f.x.Batch.Keys = append(f.x.Batch.Keys, text)
	}
	return nil
}

func (f *Frame) takeTimes(c *block) error {
	for i := range c.len() {
		us, ok := microseconds(c.cell(i))
		if !ok || c.rank != 0 {
			return fault.New(fault.Invalid, "row %d: %s is a time such as 2013-04-01T10:00:00Z, or whole microseconds", i, ColumnAt).With("row", i).With("column", ColumnAt)
		}
		f.x.Batch.At = append(f.x.Batch.At, us)
	}
	return nil
}

func (b *block) cell(i int) serve.Cell {
	if b.cells != nil {
		return b.cells[i]
	}
	return number(b.nums[i])
}

// width is the values of a row.
func (b *block) width() int {
	w := 1
	for _, d := range b.shape {
		w *= d
	}
	return w
}

// column1 hands a named column of a version with scores on. Lists of several values are left for serve to refuse, as it refuses every
// value of a type that is not the input's.
func (f *Frame) column1(c *block) {
	col := serve.Column{Name: c.name}
	switch {
	case c.width() != 1:
		col.Cells = make([]serve.Cell, c.rows)
		for i := range col.Cells {
			col.Cells[i].Type = serve.OtherCell
		}
	case c.cells != nil:
		col.Cells = c.cells
	default:
		col.Cells = make([]serve.Cell, len(c.nums))
		for i, v := range c.nums {
			col.Cells[i] = number(v)
		}
	}
	f.x.Batch.Columns = append(f.x.Batch.Columns, col)
}

// positional hands rows without names on: values in the order of the signature's features, or of all its inputs.
func (f *Frame) positional(c *block) error {
	if c.rows == 0 {
		return nil
	}
	if f.tensors() {
		return f.tensorsByPlace(c)
	}
	names := featureNames(f.sig)
	w := c.width()
	if w != len(names) && w == len(f.sig.Inputs) {
		names = names[:0:0]
		for i := range f.sig.Inputs {
			names = append(names, f.sig.Inputs[i].Name)
		}
	}
	if w != len(names) {
		return fault.New(fault.Invalid, "a row has %d values; the model has %d features", w, len(names)).
			WithHint("send the values in the order %s, or rows as objects of named values", shorten(names))
	}
	f.x.Batch.Columns = Columns(f.x.Batch.Columns, names, c.rows, c.nums, c.cells)
	return nil
}

// Columns adds the columns of rows without names, given one row after the other: as numbers, or as cells where that is not nil.
func Columns(to []serve.Column, names []string, rows int, nums []float64, cells []serve.Cell) []serve.Column {
	w := len(names)
	all := make([]serve.Cell, rows*w)
	for j, name := range names {
		column := all[j*rows : (j+1)*rows : (j+1)*rows]
		for i := range column {
			if cells != nil {
				column[i] = cells[i*w+j]
			} else {
				column[i] = number(nums[i*w+j])
			}
		}
		to = append(to, serve.Column{Name: name, Cells: column})
	}
	return to
}

// featureNames is the inputs that are features, in the signature's order: what rows without names hold.
func featureNames(sig *registry.Signature) []string {
	var names []string
	for i := range sig.Inputs {
		if sig.Inputs[i].Role == registry.RoleFeature {
			names = append(names, sig.Inputs[i].Name)
		}
	}
	return names
}

// FeatureNames is what a row of values without names holds, in order.
func FeatureNames(sig *registry.Signature) []string { return featureNames(sig) }

func shorten(names []string) string {
	if len(names) > 12 {
		return strings.Join(names[:12], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// tensor hands a named column of a version that takes tensors on.
func (f *Frame) tensor(c *block) error {
	for i := range f.sig.TensorInputs {
		if in := &f.sig.TensorInputs[i]; in.Name == c.name {
			return f.typed(c, in)
		}
	}
	return nil // what the version does not know is ignored
}

// tensorsByPlace hands rows without names on: those of the only input, or one value for each of several.
func (f *Frame) tensorsByPlace(c *block) error {
	needed := make([]*predictor.Field, 0, len(f.sig.TensorInputs))
	for i := range f.sig.TensorInputs {
		if !f.sig.TensorInputs[i].Optional {
			needed = append(needed, &f.sig.TensorInputs[i])
		}
	}
	if len(needed) == 0 && len(f.sig.TensorInputs) > 0 {
		needed = append(needed, &f.sig.TensorInputs[0])
	}
	switch {
	case len(needed) == 1:
		return f.typed(c, needed[0])
	case len(needed) > 0 && c.rank == 1 && c.width() == len(needed):
		for j, in := range needed {
			part := &block{name: in.Name, rows: c.rows}
			for i := range c.rows {
				part.add(c.cell(i*len(needed) + j))
			}
			if err := f.typed(part, in); err != nil {
				return err
			}
		}
		return nil
	}
	names := make([]string, len(needed))
	for i, in := range needed {
		names[i] = in.Name
	}
	return fault.New(fault.Invalid, "the model has %d inputs, and the rows do not name them", len(needed)).WithHint("send rows as objects of %s", shorten(names))
}

// typed makes a tensor of an input's type of a block.
func (f *Frame) typed(c *block, in *predictor.Field) error {
	shape := append([]int{c.rows}, c.shape...)
	if len(in.Shape) == len(shape)+1 && (in.Shape[len(shape)] == 1 || in.Shape[len(shape)] == -1) {
		shape = append(shape, 1) // rows of scalars for an input of [rows, 1]
	}
	t := tensor.Make(in.Type, shape...)
	if c.cells == nil && in.Type != tensor.String {
		out, err := (&tensor.Tensor{Shape: shape, Data: c.nums}).Convert(in.Type)
		if err == nil {
			f.x.Batch.Columns = append(f.x.Batch.Columns, serve.Column{Name: in.Name, Tensor: out})
			return nil
		}
	}
	w := max(c.width(), 1)
	for i := range c.len() {
		cell := c.cell(i)
		if !put(t, i, cell) {
			return fault.New(fault.Invalid, "row %d, column %q: expected %s, got %s", i/w, codec.Clip(in.Name), in.Type, shown(cell)).
				With("row", i/w).With("column", in.Name).With("expected", in.Type.String()).With("value", shown(cell))
		}
	}
	f.x.Batch.Columns = append(f.x.Batch.Columns, serve.Column{Name: in.Name, Tensor: t})
	return nil
}

// put sets an element; ok is false when the cell does not fit it.
func put(t *tensor.Tensor, i int, c serve.Cell) bool {
	kind := t.Type()
	switch c.Type {
	case serve.TextCell:
		texts, ok := t.Data.([]string)
		if ok {
			texts[i] = c.Text
		}
		return ok
	case serve.NullCell:
		c.Number = math.NaN()
		if kind != tensor.FP64 && kind != tensor.FP32 && kind != tensor.FP16 && kind != tensor.BF16 {
			return false
		}
	case serve.BoolCell:
		if kind == tensor.String {
			return false
		}
	case serve.NumberCell:
		if kind == tensor.String {
			return false
		}
		if c.Text != "" { // digits beyond what a float64 holds
			if whole, ok := t.Data.([]int64); ok {
				v, err := strconv.ParseInt(c.Text, 10, 64)
				whole[i] = v
				return err == nil
			}
			if whole, ok := t.Data.([]uint64); ok {
				v, err := strconv.ParseUint(c.Text, 10, 64)
				whole[i] = v
				return err == nil
			}
		}
	default:
		return false
	}
	one, err := tensor.New([]float64{c.Number}, 1).Convert(kind)
	if err != nil {
		return false
	}
	return setOne(t, i, one)
}

func setOne(t *tensor.Tensor, i int, from *tensor.Tensor) bool {
	switch d := t.Data.(type) {
	case []bool:
		d[i] = from.Data.([]bool)[0]
	case []uint8:
		d[i] = from.Data.([]uint8)[0]
	case []uint16:
		d[i] = from.Data.([]uint16)[0]
	case []uint32:
		d[i] = from.Data.([]uint32)[0]
	case []uint64:
		d[i] = from.Data.([]uint64)[0]
	case []int8:
		d[i] = from.Data.([]int8)[0]
	case []int16:
		d[i] = from.Data.([]int16)[0]
	case []int32:
		d[i] = from.Data.([]int32)[0]
	case []int64:
		d[i] = from.Data.([]int64)[0]
	case []tensor.Float16:
		d[i] = from.Data.([]tensor.Float16)[0]
	case []tensor.BFloat16:
		d[i] = from.Data.([]tensor.BFloat16)[0]
	case []float32:
		d[i] = from.Data.([]float32)[0]
	case []float64:
		d[i] = from.Data.([]float64)[0]
	default:
		return false
	}
	return true
}

func shown(c serve.Cell) string {
	switch c.Type {
	case serve.TextCell:
		return "the text " + strconv.Quote(strings.ToValidUTF8(codec.Clip(c.Text), "\uFFFD"))
	case serve.NumberCell:
		if c.Text != "" {
			return "the number " + codec.Clip(c.Text)
		}
		return "the number " + strconv.FormatFloat(c.Number, 'g', -1, 64)
	case serve.BoolCell:
		return strconv.FormatBool(c.Number != 0)
	case serve.NullCell:
		return "null"
	}
	return "an array or an object"
}
