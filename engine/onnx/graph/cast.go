package graph

import (
	"math"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var casts = map[string]operator{
	"Cast": {prepare: castKind, run: func(c *call) { cast(c, c.arg(0), c.prepared.(tensor.Type)) }},
	"CastLike": {run: func(c *call) {
		kind := c.arg(1).Type()
		if kind == tensor.None {
			wrongType(c.arg(1))
		}
		cast(c, c.arg(0), kind)
	}},
}

func castKind(n *node) any {
	to, named := n.attr["to"].(int64)
	if text, old := n.attr["to"].(string); old { // before opset 6
		for elem, name := range elements {
			if strings.EqualFold(name, text) {
				to, named = elem, true
			}
		}
	}
	kind := format.TypeOf(to)
	if !named || kind == tensor.None {
		throw(fault.FormatNotServed, "it casts to the element type %d, which is not evaluated here", to)
	}
	return kind
}

func cast(c *call, t *Tensor, kind tensor.Type) {
	if t.Type() == kind {
		c.pass(0, t)
		return
	}
	// The common ones use the output's memory again.
	switch kind {
	case tensor.FP32:
		switch x := t.Data.(type) {
		case []float64:
			fillFrom(alloc[float32](c, 0, t.Shape...), x)
			return
		case []int64:
			fillFrom(alloc[float32](c, 0, t.Shape...), x)
			return
		case []bool:
			out := alloc[float32](c, 0, t.Shape...)
			for i, v := range x {
				if v {
					out[i] = 1
				}
			}
			return
		}
	case tensor.FP64:
		if x, ok := t.Data.([]float32); ok {
			fillFrom(alloc[float64](c, 0, t.Shape...), x)
			return
		}
	case tensor.Int64:
		if x, ok := t.Data.([]float32); ok {
			fillFrom(alloc[int64](c, 0, t.Shape...), x)
			return
		}
	}
	c.space(8, t.Shape)
	out, ok := castTensor(t, kind, true)
	if !ok {
		throw(fault.Invalid, "it casts %s to %s", kindName(t), kind)
	}
	c.pass(0, out)
}

func fillFrom[A, B number](out []B, in []A) {
	for i, v := range in {
		out[i] = B(v)
	}
}

// castTensor makes a tensor of another type in memory of its own: floats lose their fraction and whole numbers their high bits. With
// texts, numbers are written and read.
func castTensor(t *Tensor, kind tensor.Type, withTexts bool) (*Tensor, bool) {
	from := t.Type()
	out := &Tensor{Shape: append([]int{}, t.Shape...)}
	if from == tensor.None || kind == tensor.None {
		return nil, false
	}
	if from == tensor.String || kind == tensor.String {
		if !withTexts {
			return nil, false
		}
		if from == tensor.String {
			return fromTexts(t, kind), true
		}
		out.Data = toTexts(t)
		return out, true
	}
	switch kind {
	case tensor.Bool:
		d := make([]bool, t.Len())
		for i := range d {
			v, _ := t.Number(i)
			d[i] = v != 0
		}
		out.Data = d
	case tensor.FP32:
		out.Data = own(as[float32](t))
	case tensor.FP64:
		out.Data = own(as[float64](t))
	case tensor.Int64:
		out.Data = own(as[int64](t))
	case tensor.Int32:
		out.Data = own(truncated[int32](t))
	case tensor.Int16:
		out.Data = own(truncated[int16](t))
	case tensor.Int8:
		out.Data = own(truncated[int8](t))
	case tensor.Uint64:
		if from == tensor.FP32 || from == tensor.FP64 {
			out.Data = own(as[uint64](t))
		} else {
			out.Data = own(truncated[uint64](t))
		}
	case tensor.Uint32:
		out.Data = own(truncated[uint32](t))
	case tensor.Uint16:
		out.Data = own(truncated[uint16](t))
	case tensor.Uint8:
		out.Data = own(truncated[uint8](t))
	case tensor.FP16:
		d := make([]tensor.Float16, t.Len())
		for i, v := range as[float32](t) {
			d[i] = tensor.ToFloat16(v)
		}
		out.Data = d
	case tensor.BF16:
		d := make([]tensor.BFloat16, t.Len())
		for i, v := range as[float32](t) {
			d[i] = tensor.ToBFloat16(v)
		}
		out.Data = d
	}
	return out, true
}

// truncated goes through int64, so that the low bits are what remains on every processor.
func truncated[T integer](t *Tensor) []T {
	if same, ok := t.Data.([]T); ok {
		return same
	}
	if _, ok := t.Data.([]uint64); ok {
		return as[T](t)
	}
	return convert[int64, T](as[int64](t))
}

// own copies what may be the tensor's own memory.
func own[T any](in []T) []T { return append(make([]T, 0, len(in)), in...) }

func toTexts(t *Tensor) []string {
	out := make([]string, t.Len())
	switch d := t.Data.(type) {
	case []int64:
		return textsOf(d)
	case []uint64:
		for i, v := range d {
			out[i] = strconv.FormatUint(v, 10)
		}
	case []bool:
		for i, v := range d {
			out[i] = "0"
			if v {
				out[i] = "1"
			}
		}
	default:
		precision, bits := 8, 32 // onnxruntime's
		if t.Type() == tensor.FP64 {
			precision, bits = 17, 64
		}
		for i := range out {
			v, _ := t.Number(i)
			switch {
			case v != v:
				out[i] = "NaN"
			case math.IsInf(v, 1):
				out[i] = "INF"
			case math.IsInf(v, -1):
				out[i] = "-INF"
			case t.Type() < tensor.FP16:
				out[i] = strconv.FormatInt(int64(v), 10)
			default:
				out[i] = strconv.FormatFloat(v, 'g', precision, bits)
			}
		}
	}
	return out
}

// fromTexts reads numbers as onnxruntime does: whole ones in decimal, others in any form of a float.
func fromTexts(t *Tensor, kind tensor.Type) *Tensor {
	words := t.Data.([]string)
	bad := func(s string) { throw(fault.Invalid, "%.40q is not a number of %s", s, kind) }
	switch kind {
	case tensor.FP32, tensor.FP64, tensor.FP16, tensor.BF16:
		values := make([]float64, len(words))
		for i, s := range words {
			v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil && !math.IsInf(v, 0) {
				bad(s)
			}
			values[i] = v
		}
		out, _ := castTensor(&Tensor{Shape: t.Shape, Data: values}, kind, false)
		return out
	case tensor.Uint64:
		values := make([]uint64, len(words))
		for i, s := range words {
			v, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
			if err != nil {
				bad(s)
			}
			values[i] = v
		}
		return &Tensor{Shape: append([]int{}, t.Shape...), Data: values}
	}
	values := make([]int64, len(words))
	for i, s := range words {
		v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if ferr != nil {
				bad(s)
			}
			v = int64(f)
		}
		values[i] = v
	}
	out, _ := castTensor(&Tensor{Shape: t.Shape, Data: values}, kind, false)
	return out
}
