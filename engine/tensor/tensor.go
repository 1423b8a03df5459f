// Package tensor is the array that models are asked with and answer with: a shape and typed values in row-major order.
//
// It owns the element types of the Open Inference Protocol, their raw little-endian form and the safe changes from one type to another.
// It must never know of models, requests or files.
package tensor

import (
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Float16 and BFloat16 are the bits of a half-precision number (IEEE 754 binary16) and of a bfloat16.
type (
	Float16  uint16
	BFloat16 uint16
)

// Type is the type of an element. Its text is the datatype of the Open Inference Protocol.
type Type uint8

// The types. The zero type is none.
const (
	None Type = iota
	Bool
	Uint8
	Uint16
	Uint32
	Uint64
	Int8
	Int16
	Int32
	Int64
	FP16
	BF16
	FP32
	FP64
	String // BYTES: any bytes, most often a text in UTF-8
)

var names = [...]string{"", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES"}

var sizes = [...]int{0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 0}

// String is the protocol's datatype.
func (t Type) String() string {
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}

// Size is the bytes of one element in raw form; 0 for texts, whose elements carry their length.
func (t Type) Size() int { return sizes[t] }

// Numeric tells whether elements are numbers; a BOOL is not.
func (t Type) Numeric() bool { return t >= Uint8 && t <= FP64 }

// ParseType reads a datatype of the protocol; ok is false for a text that is none.
func ParseType(text string) (t Type, ok bool) {
	for i := 1; i < len(names); i++ {
		if names[i] == text {
			return Type(i), true
		}
	}
	return None, false
}

// MarshalText writes the protocol's datatype.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads it.
func (t *Type) UnmarshalText(text []byte) error {
	kind, ok := ParseType(string(text))
	if !ok && len(text) > 0 { // none is a type that is not known
		return fault.New(fault.Invalid, "%q is no datatype", text).WithHint("datatypes are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 and BYTES")
	}
	*t = kind
	return nil
}

// Element is what a tensor can hold.
type Element interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | Float16 | BFloat16 | float32 | float64 | string
}

// Tensor is an array in row-major order. Data is a slice of an Element with as many values as the product of Shape; a shape without
// dimensions is one value. Tensors are not changed once they are handed on.
type Tensor struct {
	Shape []int
	Data  any
}

// Named is a tensor under the name of an input or output.
type Named struct {
	Name string
	*Tensor
}

// New makes a tensor. It panics when the shape does not fit the data: that is a mistake of the program.
func New[T Element](data []T, shape ...int) *Tensor {
	if n, ok := Volume(shape); !ok || n != len(data) {
		panic(fmt.Sprintf("tensor: shape %v for %d values", shape, len(data)))
	}
	return &Tensor{Shape: shape, Data: data}
}

// Volume is the number of elements of a shape; ok is false when a size is negative or the product is beyond an int.
func Volume(shape []int) (n int, ok bool) {
	n = 1
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d > 0 && n > math.MaxInt/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// Type is the type of the elements.
func (t *Tensor) Type() Type {
	switch t.Data.(type) {
	case []bool:
		return Bool
	case []uint8:
		return Uint8
	case []uint16:
		return Uint16
	case []uint32:
		return Uint32
	case []uint64:
		return Uint64
	case []int8:
		return Int8
	case []int16:
		return Int16
	case []int32:
		return Int32
	case []int64:
		return Int64
	case []Float16:
		return FP16
	case []BFloat16:
		return BF16
	case []float32:
		return FP32
	case []float64:
		return FP64
	case []string:
		return String
	}
	return None
}

// Len is the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Rows is the first dimension; 1 for a tensor without dimensions.
func (t *Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Width is the elements of a row; 0 when there are no rows.
func (t *Tensor) Width() int {
	if rows := t.Rows(); rows > 0 {
		return t.Len() / rows
	}
	return 0
}

// Reshape is the same data under another shape; fault.Invalid when the sizes differ.
func (t *Tensor) Reshape(shape ...int) (*Tensor, error) {
	if n, ok := Volume(shape); !ok || n != t.Len() {
		return nil, fault.New(fault.Invalid, "%d values do not fit the shape %v", t.Len(), shape)
	}
	return &Tensor{Shape: shape, Data: t.Data}, nil
}

// Slice is the rows from..to of a tensor with at least one dimension, as a view of the same memory.
func (t *Tensor) Slice(from, to int) *Tensor {
	w := t.Width()
	shape := append([]int{to - from}, t.Shape[1:]...)
	a, b := from*w, to*w
	out := &Tensor{Shape: shape}
	switch d := t.Data.(type) {
	case []bool:
		out.Data = d[a:b:b]
	case []uint8:
		out.Data = d[a:b:b]
	case []uint16:
		out.Data = d[a:b:b]
	case []uint32:
		out.Data = d[a:b:b]
	case []uint64:
		out.Data = d[a:b:b]
	case []int8:
		out.Data = d[a:b:b]
	case []int16:
		out.Data = d[a:b:b]
	case []int32:
		out.Data = d[a:b:b]
	case []int64:
		out.Data = d[a:b:b]
	case []Float16:
		out.Data = d[a:b:b]
	case []BFloat16:
		out.Data = d[a:b:b]
	case []float32:
		out.Data = d[a:b:b]
	case []float64:
		out.Data = d[a:b:b]
	case []string:
		out.Data = d[a:b:b]
	}
	return out
}

// Number is element i as a float64; ok is false for a text. A BOOL is 0 or 1. Whole numbers beyond 2^53 are rounded.
func (t *Tensor) Number(i int) (v float64, ok bool) {
	switch d := t.Data.(type) {
	case []float32:
		return float64(d[i]), true
	case []float64:
		return d[i], true
	case []int64:
		return float64(d[i]), true
	case []int32:
		return float64(d[i]), true
	case []bool:
		if d[i] {
			return 1, true
		}
		return 0, true
	case []uint8:
		return float64(d[i]), true
	case []uint16:
		return float64(d[i]), true
	case []uint32:
		return float64(d[i]), true
	case []uint64:
		return float64(d[i]), true
	case []int8:
		return float64(d[i]), true
	case []int16:
		return float64(d[i]), true
	case []Float16:
		return float64(d[i].Float32()), true
	case []BFloat16:
		return float64(d[i].Float32()), true
	}
	return 0, false
}

// Float64s is the values as numbers; texts are fault.Invalid. A tensor of FP64 gives its own memory.
func (t *Tensor) Float64s() ([]float64, error) {
	if d, ok := t.Data.([]float64); ok {
		return d, nil
	}
	if t.Type() == String || t.Type() == None {
		return nil, fault.New(fault.Invalid, "a tensor of %s stands where numbers are expected", t.Type())
	}
	out := make([]float64, t.Len())
	for i := range out {
		out[i], _ = t.Number(i)
	}
	return out, nil
}

// Make is a tensor of zeros.
func Make(kind Type, shape ...int) *Tensor {
	n, ok := Volume(shape)
	if !ok {
		panic(fmt.Sprintf("tensor: shape %v", shape))
	}
	t := &Tensor{Shape: shape}
	switch kind {
	case Bool:
		t.Data = make([]bool, n)
	case Uint8:
		t.Data = make([]uint8, n)
	case Uint16:
		t.Data = make([]uint16, n)
	case Uint32:
		t.Data = make([]uint32, n)
	case Uint64:
		t.Data = make([]uint64, n)
	case Int8:
		t.Data = make([]int8, n)
	case Int16:
		t.Data = make([]int16, n)
	case Int32:
		t.Data = make([]int32, n)
	case Int64:
		t.Data = make([]int64, n)
	case FP16:
		t.Data = make([]Float16, n)
	case BF16:
		t.Data = make([]BFloat16, n)
	case FP32:
		t.Data = make([]float32, n)
	case FP64:
		t.Data = make([]float64, n)
	case String:
		t.Data = make([]string, n)
	default:
		panic("tensor: no type")
	}
	return t
}
