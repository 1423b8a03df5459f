package graph

import (
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Tensor is an array in row-major order. Data is []float32, []float64, []int64, []string or []bool, with as many values as the
// product of Shape.
type Tensor struct {
	Shape []int
	Data  any
}

// New makes a tensor and checks that its shape fits.
func New[T float32 | float64 | int64 | string | bool](data []T, shape ...int) *Tensor {
	if size(shape) != len(data) {
		panic(fmt.Sprintf("graph: shape %v for %d values", shape, len(data)))
	}
	return &Tensor{Shape: shape, Data: data}
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func (t *Tensor) len() int { return size(t.Shape) }

// rows and cols see a tensor as a matrix: everything after the first dimension is a row.
func (t *Tensor) rows() int {
	if len(t.Shape) < 2 {
		return 1
	}
	return t.Shape[0]
}

func (t *Tensor) cols() int {
	if t.rows() == 0 {
		return 0
	}
	return t.len() / t.rows()
}

// floats is the values as float32, as ai.onnx.ml's operators read them.
func (t *Tensor) floats() ([]float32, error) {
	switch data := t.Data.(type) {
	case []float32:
		return data, nil
	case []float64:
		return convert[float64, float32](data), nil
	case []int64:
		return convert[int64, float32](data), nil
	case []bool:
		return convert[int64, float32](fromBool[int64](data)), nil
	}
	return nil, wrongType(t)
}

func (t *Tensor) ints() ([]int64, error) {
	switch data := t.Data.(type) {
	case []int64:
		return data, nil
	case []float32:
		return convert[float32, int64](data), nil
	case []float64:
		return convert[float64, int64](data), nil
	case []bool:
		return fromBool[int64](data), nil
	}
	return nil, wrongType(t)
}

// Float64s is the values as numbers; texts are an error.
func (t *Tensor) Float64s() ([]float64, error) {
	switch data := t.Data.(type) {
	case []float64:
		return data, nil
	case []float32:
		return convert[float32, float64](data), nil
	case []int64:
		return convert[int64, float64](data), nil
	case []bool:
		return fromBool[float64](data), nil
	}
	return nil, wrongType(t)
}

func wrongType(t *Tensor) error {
	return fault.New(fault.FormatNotServed, "a tensor of %T stands where numbers are expected", t.Data)
}

type number interface{ ~float32 | ~float64 | ~int64 }

func convert[A, B number](in []A) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = B(v)
	}
	return out
}

func fromBool[T number](in []bool) []T {
	out := make([]T, len(in))
	for i, v := range in {
		if v {
			out[i] = 1
		}
	}
	return out
}

// broadcast gives the common shape of two, and for each value of it the places in both.
func broadcast(a, b []int) (shape []int, at func(i int) (int, int), err error) {
	n := max(len(a), len(b))
	shape = make([]int, n)
	da, db := pad(a, n), pad(b, n)
	for i := range n {
		switch {
		case da[i] == db[i]:
			shape[i] = da[i]
		case da[i] == 1:
			shape[i] = db[i]
		case db[i] == 1:
			shape[i] = da[i]
		default:
			return nil, nil, fault.New(fault.Invalid, "shapes %v and %v do not fit together", a, b)
		}
	}
	if same(da, db) {
		return shape, func(i int) (int, int) { return i, i }, nil
	}
	sa, sb := strides(da), strides(db)
	return shape, func(i int) (int, int) {
		pa, pb := 0, 0
		for d := n - 1; d >= 0; d-- {
			k := i % shape[d]
			i /= shape[d]
			if da[d] != 1 {
				pa += k * sa[d]
			}
			if db[d] != 1 {
				pb += k * sb[d]
			}
		}
		return pa, pb
	}, nil
}

func pad(shape []int, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	copy(out[n-len(shape):], shape)
	return out
}

func same(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func strides(shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

func sigmoid(x float32) float32 {
	// The stable form, as onnxruntime computes it.
	v := 1 / (1 + float32(math.Exp(-math.Abs(float64(x)))))
	if x < 0 {
		return 1 - v
	}
	return v
}
