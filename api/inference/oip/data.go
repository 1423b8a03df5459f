package oip

import (
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/api/inference/codec"
	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// elements reads the data of an input whose shape and datatype are known, flat or nested, in row-major order.
//
// A column of few rows becomes cells. Everything else becomes a tensor of its datatype, in which a missing number (null) is NaN where the
// type has one; a column of another type with missing values becomes cells.
func (c *call) elements(s *scan.Scanner, t *input) {
	t.read = true
	typ, ok := tensor.ParseType(t.datatype)
	if !ok {
		s.Refuse(noDatatype(t))
		return
	}
	n, ok := tensor.Volume(t.shape)
	if rest := s.Left(); !ok || n > rest { // an element has one byte or more
		s.Fail("the shape of %q has more elements than the request can hold", codec.Clip(t.name))
		return
	}
	t.typ, t.count, t.rows = typ, n, 1
	if len(t.shape) > 0 {
		t.rows = t.shape[0]
	}
	r := reader{scanner: s, input: t, left: n}
	column := n == t.rows
	switch {
	case c.sig.Task != registry.TaskTensors && column && n <= few:
		c.cellsOf(&r)
	case typ == tensor.String:
		d := make([]string, 0, n)
		missing := r.each(func() {
			if text, ok := r.text(); ok {
				d = append(d, text)
			}
		})
		c.keep(&r, column && missing, &tensor.Tensor{Data: d})
	case typ == tensor.Bool:
		d := make([]bool, 0, n)
		missing := r.each(func() {
			if v, ok := r.flag(); ok {
				d = append(d, v)
			}
		})
		c.keep(&r, column && missing, &tensor.Tensor{Data: d})
	case typ == tensor.FP64:
		d := make([]float64, 0, n)
		r.each(func() { d = append(d, r.float()) })
		c.keep(&r, false, &tensor.Tensor{Data: d})
	case typ == tensor.FP32:
		d := make([]float32, 0, n)
		r.each(func() { d = append(d, float32(r.float())) })
		c.keep(&r, false, &tensor.Tensor{Data: d})
	case typ == tensor.FP16:
		d := make([]tensor.Float16, 0, n)
		r.each(func() { d = append(d, tensor.ToFloat16(float32(r.float()))) })
		c.keep(&r, false, &tensor.Tensor{Data: d})
	case typ == tensor.BF16:
		d := make([]tensor.BFloat16, 0, n)
		r.each(func() { d = append(d, tensor.ToBFloat16(float32(r.float()))) })
		c.keep(&r, false, &tensor.Tensor{Data: d})
	case typ == tensor.Int64:
		whole[int64](c, &r, column)
	case typ == tensor.Int32:
		whole[int32](c, &r, column)
	case typ == tensor.Int16:
		whole[int16](c, &r, column)
	case typ == tensor.Int8:
		whole[int8](c, &r, column)
	case typ == tensor.Uint64:
		whole[uint64](c, &r, column)
	case typ == tensor.Uint32:
		whole[uint32](c, &r, column)
	case typ == tensor.Uint16:
		whole[uint16](c, &r, column)
	case typ == tensor.Uint8:
		whole[uint8](c, &r, column)
	}
}

func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](c *call, r *reader, column bool) {
	d := make([]T, 0, r.left)
	missing := r.each(func() {
		if v, ok := r.int(); ok {
			d = append(d, T(v))
		}
	})
	c.keep(r, column && missing, &tensor.Tensor{Data: d})
}

// keep takes what was read as the input's tensor. Where values are missing that the type cannot say, the data is read again as cells.
func (c *call) keep(r *reader, again bool, t *tensor.Tensor) {
	s, in := r.scanner, r.input
	if s.Err != nil {
		return
	}
	if again {
		first := s.From(in.data)
		cells := reader{scanner: &first, input: in, left: in.count}
		c.cellsOf(&cells)
		s.Err = first.Err
		return
	}
	if r.missing {
		s.Fail("an element of %q is null, and %s has no missing value", codec.Clip(in.name), in.datatype)
		return
	}
	t.Shape = append([]int(nil), in.shape...)
	in.t = t
}

// cellsOf reads a column as cells.
func (c *call) cellsOf(r *reader) {
	in := r.input
	in.from = len(c.cells)
	half := in.typ == tensor.FP16 || in.typ == tensor.BF16
	flag := serve.BoolCell
	if known, _ := c.sig.Input(in.name); in.typ == tensor.Bool && known != nil && known.Kind != table.Boolean {
		flag = serve.NumberCell // 0 or 1, as a tensor of many rows is read
	}
	r.each(func() {
		cell := serve.Cell{}
		switch {
		case in.typ == tensor.String:
			if text, ok := r.text(); ok {
				cell = serve.Cell{Type: serve.TextCell, Text: text}
			}
		case in.typ == tensor.Bool:
			if v, ok := r.flag(); ok {
				cell = serve.Cell{Type: flag}
				if v {
					cell.Number = 1
				}
			}
		case in.typ >= tensor.FP16:
			f := r.float()
			if in.typ == tensor.FP32 {
				f = float64(float32(f))
			} else if half {
				f = rounded(in.typ, f)
			}
			if !math.IsNaN(f) {
				cell = serve.Cell{Type: serve.NumberCell, Number: f}
			}
		default:
			if v, ok := r.int(); ok {
				f := float64(int64(v))
				if in.typ == tensor.Uint64 {
					f = float64(v)
				}
				cell = serve.Cell{Type: serve.NumberCell, Number: f}
			}
		}
		c.cells = append(c.cells, cell)
	})
	in.to = len(c.cells)
}

// rounded is a number as a half-precision type holds it.
func rounded(typ tensor.Type, f float64) float64 {
	if typ == tensor.FP16 {
		return float64(tensor.ToFloat16(float32(f)).Float32())
	}
	return float64(tensor.ToBFloat16(float32(f)).Float32())
}

// reader reads the elements of one input.
type reader struct {
	scanner *scan.Scanner
	input   *input
	left    int // elements that the shape still has
	at      int // where the element begins
	missing bool
}

// each calls read for every element, and checks that there are as many as the shape says. It tells whether some were null where the type
// has no missing value.
func (r *reader) each(read func()) (missing bool) {
	s := r.scanner
	if s.Space() == '[' {
		r.list(read)
	} else {
		r.one(read)
	}
	if s.Err == nil && r.left > 0 {
		s.Fail("the input %q has %d elements; its shape says %d", codec.Clip(r.input.name), r.input.count-r.left, r.input.count)
	}
	return r.missing
}

func (r *reader) list(read func()) {
	s := r.scanner
	for ok := s.Open('['); ok; ok = s.More('[') {
		if s.Space() == '[' {
			r.list(read)
			continue
		}
		r.one(read)
	}
}

func (r *reader) one(read func()) {
	s := r.scanner
	if r.left == 0 {
		s.Fail("the input %q has more elements than its shape says, %d", codec.Clip(r.input.name), r.input.count)
		return
	}
	r.at = s.Offset()
	read()
	r.left--
}

// null reads a null.
func (r *reader) null() bool {
	if r.scanner.Space() != 'n' {
		return false
	}
	return r.scanner.Literal() == 'n'
}

func (r *reader) text() (string, bool) {
	if r.scanner.Space() != '"' {
		if r.null() {
			r.missing = true
		} else {
			r.refuse()
		}
		return "", false
	}
	return r.scanner.Text(), true
}

func (r *reader) flag() (v, ok bool) {
	switch r.scanner.Space() {
	case 't', 'f':
		return r.scanner.Literal() == 't', true
	}
	if r.null() {
		r.missing = true
	} else {
		r.refuse()
	}
	return false, false
}

// float reads a number; null is NaN, and so are the texts for what JSON lacks.
func (r *reader) float() float64 {
	s := r.scanner
	var f float64
	switch k := s.Space(); {
	case k >= '0' && k <= '9' || k == '-':
		f = s.Number()
	case k == 'n':
		s.Literal()
		return math.NaN()
	case k == 'N' || k == 'I' || k == '+':
		return s.Number()
	case k == '"':
		switch s.Text() {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
		r.refuse()
		return 0
	default:
		r.refuse()
		return 0
	}
	if a := math.Abs(f); a > 65504 && !math.IsInf(f, 0) {
		if typ := r.input.typ; typ == tensor.FP32 && math.IsInf(float64(float32(f)), 0) ||
			(typ == tensor.FP16 || typ == tensor.BF16) && math.IsInf(rounded(typ, f), 0) {
			r.refuse()
		}
	}
	return f
}

// int reads a whole number that fits the type; of a negative one the result is the two's complement.
func (r *reader) int() (v uint64, ok bool) {
	s := r.scanner
	k := s.Space()
	if k == 'n' && r.null() {
		r.missing = true
		return 0, false
	}
	if k != '-' && (k < '0' || k > '9') {
		r.refuse()
		return 0, false
	}
	bits, signed := 8*r.input.typ.Size(), r.input.typ >= tensor.Int8
	size, negative, exact := s.Whole()
	if !exact {
		f := s.Number() // such as 5.0 or 1e3
		if s.Err != nil {
			return 0, false
		}
		if negative = f < 0; f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			r.refuse()
			return 0, false
		}
		size = uint64(math.Abs(f))
	}
	most := uint64(1)<<(bits-1) - 1 // of a signed type
	switch {
	case signed && negative && size <= most+1, !signed && negative && size == 0:
		return -size, true
	case signed && !negative && size <= most, !signed && !negative && (bits == 64 || size < 1<<bits):
		return size, true
	}
	r.refuse()
	return 0, false
}

// refuse is the fault of an element that is not of the datatype.
func (r *reader) refuse() {
	s, t := r.scanner, r.input
	if s.Err != nil {
		return
	}
	element := t.count - r.left
	row := element / max(1, t.count/max(1, t.rows))
	again := s.From(r.at)
	found := shown(codec.Cell(&again))
	if again.Err != nil { // not even JSON
		s.Refuse(again.Err)
		return
	}
	s.Refuse(fault.New(fault.Invalid, "the body is no valid request: element %d of %q is no %s: row %d has %s (byte %d)", element, codec.Clip(t.name), t.datatype, row, found, r.at).
		With("row", row).With("column", codec.Clip(t.name)).With("expected", t.datatype).With("byte", r.at))
}

func shown(c serve.Cell) string {
	switch c.Type {
	case serve.TextCell:
		return "the text " + strconv.Quote(codec.Clip(c.Text))
	case serve.NumberCell:
		return "the number " + strconv.FormatFloat(c.Number, 'g', -1, 64)
	case serve.BoolCell:
		return strconv.FormatBool(c.Number != 0)
	case serve.OtherCell:
		return "an array or an object"
	}
	return "null"
}
