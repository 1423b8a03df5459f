package grpcdoor

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// contentsField is the field of InferTensorContents that holds values of a type; 0 for those that only travel raw.
func contentsField(kind tensor.Type) protowire.Number {
	switch kind {
	case tensor.Bool:
		return 1
	case tensor.Int8, tensor.Int16, tensor.Int32:
		return 2
	case tensor.Int64:
		return 3
	case tensor.Uint8, tensor.Uint16, tensor.Uint32:
		return 4
	case tensor.Uint64:
		return 5
	case tensor.FP32:
		return 6
	case tensor.FP64:
		return 7
	case tensor.String:
		return 8
	}
	return 0
}

var contentsNames = [...]string{"", "bool_contents", "int_contents", "int64_contents", "uint_contents", "uint64_contents", "fp32_contents", "fp64_contents", "bytes_contents"}

// readContents reads n values of a type from an InferTensorContents. Numbers may be packed or not, as protobuf allows. Narrow types
// come in a wider field; a value that does not fit is refused.
func readContents(t *tensor.Tensor, kind tensor.Type, shape []int, n int, b []byte) error {
	want := contentsField(kind)
	if want == 0 {
		return fault.New(fault.Invalid, "%s has no typed contents", kind).WithHint("send it in raw_input_contents")
	}
	if n > len(b) { // a value takes a byte or more
		return fault.New(fault.Invalid, "the shape %v asks for %d values; the contents have fewer", shape, n)
	}
	t.Shape = shape
	switch kind {
	case tensor.Bool:
		return fill(t, want, b, make([]bool, 0, n), func(v uint64) (bool, bool) { return v != 0, true })
	case tensor.Int8:
		return fill(t, want, b, make([]int8, 0, n), signed[int8])
	case tensor.Int16:
		return fill(t, want, b, make([]int16, 0, n), signed[int16])
	case tensor.Int32:
		return fill(t, want, b, make([]int32, 0, n), signed[int32])
	case tensor.Int64:
		return fill(t, want, b, make([]int64, 0, n), signed[int64])
	case tensor.Uint8:
		return fill(t, want, b, make([]uint8, 0, n), unsigned[uint8])
	case tensor.Uint16:
		return fill(t, want, b, make([]uint16, 0, n), unsigned[uint16])
	case tensor.Uint32:
		return fill(t, want, b, make([]uint32, 0, n), unsigned[uint32])
	case tensor.Uint64:
		return fill(t, want, b, make([]uint64, 0, n), unsigned[uint64])
	case tensor.FP32:
		return fill(t, want, b, make([]float32, 0, n), func(v uint64) (float32, bool) { return math.Float32frombits(uint32(v)), true })
	case tensor.FP64:
		return fill(t, want, b, make([]float64, 0, n), func(v uint64) (float64, bool) { return math.Float64frombits(v), true })
	default:
		return fillTexts(t, want, b, make([]string, 0, n))
	}
}

// signed reads an int32 or int64 of protobuf, which is a varint of 64 bits in two's complement.
func signed[T int8 | int16 | int32 | int64](v uint64) (T, bool) {
	x := T(int64(v))
	return x, int64(x) == int64(v)
}

func unsigned[T uint8 | uint16 | uint32 | uint64](v uint64) (T, bool) {
	x := T(v)
	return x, uint64(x) == v
}

// fill reads the values of the field want; another field with values is refused.
func fill[T tensor.Element](t *tensor.Tensor, want protowire.Number, b []byte, to []T, convert func(uint64) (T, bool)) error {
	wire := protowire.VarintType
	switch want {
	case 6:
		wire = protowire.Fixed32Type
	case 7:
		wire = protowire.Fixed64Type
	}
	add := func(v uint64) error {
		if len(to) == cap(to) {
			return fault.New(fault.Invalid, "the contents have more values than the shape %v asks for", t.Shape)
		}
		x, ok := convert(v)
		if !ok {
			return fault.New(fault.Invalid, "the value %d does not fit", int64(v)).With("row", len(to))
		}
		to = append(to, x)
		return nil
	}
	var f field
	for len(b) > 0 {
		n := f.next(b)
		if n < 0 {
			return broken("InferTensorContents")
		}
		b = b[n:]
		if f.number != want {
			if err := otherContents(&f, want); err != nil {
				return err
			}
			continue
		}
		if f.kind == wire {
			if err := add(f.value); err != nil {
				return err
			}
			continue
		}
		if err := f.wants(protowire.BytesType, "InferTensorContents"); err != nil {
			return err
		}
		for p := f.bytes; len(p) > 0; {
			var v uint64
			var n int
			switch wire {
			case protowire.Fixed32Type:
				var w uint32
				w, n = protowire.ConsumeFixed32(p)
				v = uint64(w)
			case protowire.Fixed64Type:
				v, n = protowire.ConsumeFixed64(p)
			default:
				v, n = protowire.ConsumeVarint(p)
			}
			if n < 0 {
				return broken("InferTensorContents")
			}
			p = p[n:]
			if err := add(v); err != nil {
				return err
			}
		}
	}
	if len(to) != cap(to) {
		return fault.New(fault.Invalid, "the shape %v asks for %d values; %s has %d", t.Shape, cap(to), contentsNames[want], len(to))
	}
	t.Data = to
	return nil
}

// otherContents refuses values in a field that is not the datatype's; empty ones and unknown fields pass.
func otherContents(f *field, want protowire.Number) error {
	if int(f.number) >= len(contentsNames) || f.kind == protowire.BytesType && len(f.bytes) == 0 && f.number != 8 {
		return nil
	}
	return fault.New(fault.Invalid, "its values stand in %s; those of its datatype belong in %s", contentsNames[f.number], contentsNames[want])
}

func fillTexts(t *tensor.Tensor, want protowire.Number, b []byte, to []string) error {
	var f field
	for len(b) > 0 {
		n := f.next(b)
		if n < 0 {
			return broken("InferTensorContents")
		}
		b = b[n:]
		if f.number != want {
			if err := otherContents(&f, want); err != nil {
				return err
			}
			continue
		}
		if err := f.wants(protowire.BytesType, "InferTensorContents"); err != nil {
			return err
		}
		if len(to) == cap(to) {
			return fault.New(fault.Invalid, "the contents have more values than the shape %v asks for", t.Shape)
		}
		to = append(to, text(f.bytes))
	}
	if len(to) != cap(to) {
		return fault.New(fault.Invalid, "the shape %v asks for %d values; bytes_contents has %d", t.Shape, cap(to), len(to))
	}
	t.Data = to
	return nil
}

// readRaw reads n values of a type from their raw form. Texts alias raw.
func readRaw(t *tensor.Tensor, kind tensor.Type, shape []int, n int, raw []byte) error {
	if kind != tensor.String {
		made, err := tensor.FromRaw(kind, shape, raw)
		if err != nil {
			return err
		}
		*t = *made
		return nil
	}
	if n > len(raw)/4 {
		return fault.New(fault.Invalid, "%d bytes do not hold %d texts with their lengths", len(raw), n)
	}
	texts := make([]string, n)
	for i := range texts {
		if len(raw) < 4 {
			return fault.New(fault.Invalid, "the data ends before the length of text %d", i)
		}
		size := binary.LittleEndian.Uint32(raw)
		raw = raw[4:]
		if uint64(size) > uint64(len(raw)) {
			return fault.New(fault.Invalid, "text %d says that it has %d bytes, and %d are left", i, size, len(raw))
		}
		texts[i], raw = text(raw[:size]), raw[size:]
	}
	if len(raw) > 0 {
		return fault.New(fault.Invalid, "%d bytes are left after %d texts", len(raw), n)
	}
	t.Shape, t.Data = shape, texts
	return nil
}
