package graph

import (
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// A sequence is a Tensor of one dimension whose Data is []*Tensor. Its elements own their memory.

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// rows and cols see a tensor as a matrix: everything after the first dimension is a row, and one dimension is one row.
func rows(t *Tensor) int {
	if len(t.Shape) < 2 {
		return 1
	}
	return t.Shape[0]
}

func cols(t *Tensor) int {
	if rows(t) == 0 {
		return size(t.Shape[1:])
	}
	return t.Len() / rows(t)
}

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

type real interface{ ~float32 | ~float64 }

type number interface{ integer | real }

func convert[A, B number](in []A) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = B(v)
	}
	return out
}

func wrongType(t *Tensor) {
	throw(fault.Invalid, "a tensor of %s stands where another type is expected", kindName(t))
}

func kindName(t *Tensor) string {
	if t == nil {
		return "nothing"
	}
	if kind := t.Type(); kind != tensor.None {
		return kind.String()
	}
	return "sequence"
}

// as gives the numbers of a tensor in a type, rounded as a cast does. The values may be the tensor's own memory.
func as[B number](t *Tensor) []B {
	switch data := t.Data.(type) {
	case []float32:
		return castTo[float32, B](data)
	case []float64:
		return castTo[float64, B](data)
	case []int64:
		return castTo[int64, B](data)
	case []int32:
		return castTo[int32, B](data)
	case []int16:
		return castTo[int16, B](data)
	case []int8:
		return castTo[int8, B](data)
	case []uint64:
		return castTo[uint64, B](data)
	case []uint32:
		return castTo[uint32, B](data)
	case []uint16:
		return castTo[uint16, B](data)
	case []uint8:
		return castTo[uint8, B](data)
	case []bool:
		out := make([]B, len(data))
		for i, v := range data {
			if v {
				out[i] = 1
			}
		}
		return out
	case []tensor.Float16:
		out := make([]B, len(data))
		for i, v := range data {
			out[i] = B(v.Float32())
		}
		return out
	case []tensor.BFloat16:
		out := make([]B, len(data))
		for i, v := range data {
			out[i] = B(v.Float32())
		}
		return out
	}
	wrongType(t)
	return nil
}

func castTo[A, B number](in []A) []B {
	if same, ok := any(in).([]B); ok {
		return same
	}
	return convert[A, B](in)
}

// ints is a list of whole numbers: sizes, axes, places.
func ints(t *Tensor) []int {
	if t == nil {
		return nil
	}
	switch t.Type() {
	case tensor.Int64, tensor.Int32, tensor.Int16, tensor.Int8, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64:
	default:
		throw(fault.Invalid, "a tensor of %s stands where whole numbers are expected", kindName(t))
	}
	return as[int](t)
}

// like makes output i with numbers of the element type of t.
func (c *call) like(i int, t *Tensor, values []float64, shape ...int) {
	switch t.Data.(type) {
	case []float32:
		out := alloc[float32](c, i, shape...)
		for k, v := range values {
			out[k] = float32(v)
		}
	case []float64:
		copy(alloc[float64](c, i, shape...), values)
	case []int64:
		out := alloc[int64](c, i, shape...)
		for k, v := range values {
			out[k] = int64(v)
		}
	case []int32:
		out := alloc[int32](c, i, shape...)
		for k, v := range values {
			out[k] = int32(v)
		}
	default:
		out := c.made(i, t.Type(), shape...)
		fill(out, values)
	}
}

// fill writes numbers into a tensor of any type of numbers.
func fill(t *Tensor, values []float64) {
	switch d := t.Data.(type) {
	case []int16:
		into(d, values)
	case []int8:
		into(d, values)
	case []uint64:
		into(d, values)
	case []uint32:
		into(d, values)
	case []uint16:
		into(d, values)
	case []uint8:
		into(d, values)
	case []tensor.Float16:
		for i, v := range values {
			d[i] = tensor.ToFloat16(float32(v))
		}
	case []tensor.BFloat16:
		for i, v := range values {
			d[i] = tensor.ToBFloat16(float32(v))
		}
	default:
		wrongType(t)
	}
}

func into[T number](d []T, values []float64) {
	for i, v := range values {
		d[i] = T(v)
	}
}

// clone copies a tensor; of a sequence the list, for its elements own their memory.
func clone(t *Tensor) *Tensor {
	out := &Tensor{Shape: slices.Clone(t.Shape)}
	if out.Shape == nil {
		out.Shape = []int{}
	}
	switch d := t.Data.(type) {
	case []float32:
		out.Data = slices.Clone(d)
	case []float64:
		out.Data = slices.Clone(d)
	case []int64:
		out.Data = slices.Clone(d)
	case []string:
		out.Data = slices.Clone(d)
	case []bool:
		out.Data = slices.Clone(d)
	case []int32:
		out.Data = slices.Clone(d)
	case []int16:
		out.Data = slices.Clone(d)
	case []int8:
		out.Data = slices.Clone(d)
	case []uint64:
		out.Data = slices.Clone(d)
	case []uint32:
		out.Data = slices.Clone(d)
	case []uint16:
		out.Data = slices.Clone(d)
	case []uint8:
		out.Data = slices.Clone(d)
	case []tensor.Float16:
		out.Data = slices.Clone(d)
	case []tensor.BFloat16:
		out.Data = slices.Clone(d)
	case []*Tensor:
		out.Data = slices.Clone(d)
	}
	return out
}

// blocks copies elements from one tensor to another of the same type: n of them from place from of src to place to of dst.
func blocks(dst, src *Tensor) func(to, from, n int) {
	switch d := dst.Data.(type) {
	case []float32:
		return copier(d, src)
	case []float64:
		return copier(d, src)
	case []int64:
		return copier(d, src)
	case []string:
		return copier(d, src)
	case []bool:
		return copier(d, src)
	case []int32:
		return copier(d, src)
	case []int16:
		return copier(d, src)
	case []int8:
		return copier(d, src)
	case []uint64:
		return copier(d, src)
	case []uint32:
		return copier(d, src)
	case []uint16:
		return copier(d, src)
	case []uint8:
		return copier(d, src)
	case []tensor.Float16:
		return copier(d, src)
	case []tensor.BFloat16:
		return copier(d, src)
	}
	wrongType(dst)
	return nil
}

func copier[T any](d []T, src *Tensor) func(to, from, n int) {
	s, ok := src.Data.([]T)
	if !ok {
		throw(fault.Invalid, "it joins tensors of other types: %T and %s", d, kindName(src))
	}
	return func(to, from, n int) {
		if n == 1 {
			d[to] = s[from]
			return
		}
		copy(d[to:to+n], s[from:from+n])
	}
}

// strides are the steps of a dense tensor.
func strides(shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

// axisOf makes a negative axis positive and checks it.
func axisOf(axis int64, rank int) int {
	if axis < 0 {
		axis += int64(rank)
	}
	if axis < 0 || axis >= int64(rank) {
		throw(fault.Corrupt, "axis %d of %d dimensions", axis, rank)
	}
	return int(axis)
}

func textsOf(numbers []int64) []string {
	out := make([]string, len(numbers))
	for i, v := range numbers {
		out[i] = strconv.FormatInt(v, 10)
	}
	return out
}
