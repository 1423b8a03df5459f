package tensor

import (
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Convert gives the values as another type when none of them changes: whole numbers in a wider or narrower type that holds them,
// numbers that a floating-point type holds exactly, BOOL as 0 and 1. Floating-point numbers are rounded to a narrower floating-point
// type, as every client that sends Python floats expects; they become whole numbers only when they are whole. The first value that
// does not fit is fault.Invalid and named by its place. Texts stay texts.
func (t *Tensor) Convert(kind Type) (*Tensor, error) {
	from := t.Type()
	if from == kind {
		return t, nil
	}
	if from == String || kind == String || kind == None || kind == Bool && !from.Numeric() {
		return nil, fault.New(fault.Invalid, "%s is not %s", from, kind)
	}
	n := t.Len()
	out := Make(kind, t.Shape...)
	bad := func(i int) error {
		v, _ := t.Number(i)
		return fault.New(fault.Invalid, "element %d, %s, does not fit %s", i, strconv.FormatFloat(v, 'g', -1, 64), kind).With("element", i)
	}
	// Whole numbers of 64 bits go their own way: a float64 does not hold them all.
	if whole, ok := t.int64At(); ok {
		for i := range n {
			if !out.setInt(i, whole(i)) {
				return nil, bad(i)
			}
		}
		return out, nil
	}
	for i := range n {
		v, _ := t.Number(i)
		if !out.setFloat(i, v) {
			return nil, bad(i)
		}
	}
	return out, nil
}

// int64At reads whole numbers that an int64 holds.
func (t *Tensor) int64At() (func(i int) int64, bool) {
	switch d := t.Data.(type) {
	case []int64:
		return func(i int) int64 { return d[i] }, true
	case []int32:
		return func(i int) int64 { return int64(d[i]) }, true
	case []int16:
		return func(i int) int64 { return int64(d[i]) }, true
	case []int8:
		return func(i int) int64 { return int64(d[i]) }, true
	case []uint8:
		return func(i int) int64 { return int64(d[i]) }, true
	case []uint16:
		return func(i int) int64 { return int64(d[i]) }, true
	case []uint32:
		return func(i int) int64 { return int64(d[i]) }, true
	case []bool:
		return func(i int) int64 {
			if d[i] {
				return 1
			}
			return 0
		}, true
	}
	return nil, false
}

func (t *Tensor) setInt(i int, v int64) bool {
	switch d := t.Data.(type) {
	case []int64:
		d[i] = v
		return true
	case []uint64:
		d[i] = uint64(v)
		return v >= 0
	case []float64:
		d[i] = float64(v)
		return v >= -1<<53 && v <= 1<<53
	case []float32:
		d[i] = float32(v)
		return true // rounded, as a float would be
	}
	return t.setFloat(i, float64(v))
}

func (t *Tensor) setFloat(i int, v float64) bool {
	whole := v == math.Trunc(v)
	in := func(low, high float64) bool { return whole && v >= low && v <= high }
	switch d := t.Data.(type) {
	case []float64:
		d[i] = v
		return true
	case []float32:
		d[i] = float32(v)
		return !math.IsInf(float64(d[i]), 0) || math.IsInf(v, 0)
	case []Float16:
		d[i] = ToFloat16(float32(v))
		return !math.IsInf(float64(d[i].Float32()), 0) || math.IsInf(v, 0)
	case []BFloat16:
		d[i] = ToBFloat16(float32(v))
		return !math.IsInf(float64(d[i].Float32()), 0) || math.IsInf(v, 0)
	case []bool:
		d[i] = v == 1
		return v == 0 || v == 1
	case []int64:
		if !in(-1<<63, 1<<63-1024) {
			return false
		}
		d[i] = int64(v)
	case []uint64:
		if !in(0, 1<<64-2048) {
			return false
		}
		d[i] = uint64(v)
	case []int32:
		if !in(math.MinInt32, math.MaxInt32) {
			return false
		}
		d[i] = int32(v)
	case []uint32:
		if !in(0, math.MaxUint32) {
			return false
		}
		d[i] = uint32(v)
	case []int16:
		if !in(math.MinInt16, math.MaxInt16) {
			return false
		}
		d[i] = int16(v)
	case []uint16:
		if !in(0, math.MaxUint16) {
			return false
		}
		d[i] = uint16(v)
	case []int8:
		if !in(math.MinInt8, math.MaxInt8) {
			return false
		}
		d[i] = int8(v)
	case []uint8:
		if !in(0, math.MaxUint8) {
			return false
		}
		d[i] = uint8(v)
	default:
		return false
	}
	return true
}
