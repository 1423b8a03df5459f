package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var shaping = map[string]operator{
	"Reshape":         {run: reshape},
	"Flatten":         {run: flatten},
	"Squeeze":         {run: squeeze},
	"Unsqueeze":       {run: unsqueeze},
	"Shape":           {run: shapeOf},
	"Size":            {run: func(c *call) { alloc[int64](c, 0)[0] = int64(c.arg(0).Len()) }},
	"Constant":        {prepare: constant, run: func(c *call) { c.pass(0, c.prepared.(*Tensor)) }},
	"ConstantOfShape": {run: constantOfShape},
	"EyeLike":         {run: eyeLike},
	"Range":           {run: rangeOf},
	"OneHot":          {run: oneHotOf},
}

func reshape(c *call) {
	t := c.arg(0)
	wanted := c.attr.Ints("shape")
	if given := c.opt(1); given != nil {
		wanted = as[int64](given)
	}
	shape := make([]int, len(wanted), 8)
	open, known := -1, 1
	for i, d := range wanted {
		switch {
		case d == -1:
			if open >= 0 {
				throw(fault.Corrupt, "two sizes are left open")
			}
			open = i
			continue
		case d == 0 && i < len(t.Shape) && c.attr.Int("allowzero", 0) == 0:
			d = int64(t.Shape[i])
		}
		if d < 0 || d > 1<<40 || known > 1<<40 {
			throw(fault.Corrupt, "the shape %v", slices.Clone(wanted))
		}
		shape[i] = int(d)
		known *= int(d)
	}
	if open >= 0 {
		if known > 0 {
			shape[open] = t.Len() / known
		}
	}
	c.view(0, t, shape...)
}

func flatten(c *call) {
	t := c.arg(0)
	axis := c.attr.Int("axis", 1)
	if axis < 0 {
		axis += int64(len(t.Shape))
	}
	if axis < 0 || axis > int64(len(t.Shape)) {
		throw(fault.Corrupt, "axis %d", axis)
	}
	c.view(0, t, size(t.Shape[:axis]), size(t.Shape[axis:]))
}

// axes are an attribute of old opsets and an input of new ones; nil when neither says.
func (c *call) axes(input int) []int64 {
	if list := c.attr.Ints("axes"); list != nil {
		return list
	}
	if t := c.opt(input); t != nil {
		return as[int64](t)
	}
	return nil
}

func squeeze(c *call) {
	t := c.arg(0)
	drop := make([]bool, len(t.Shape))
	named := c.axes(1)
	for _, a := range named {
		axis := axisOf(a, len(t.Shape))
		if t.Shape[axis] != 1 {
			throw(fault.Invalid, "dimension %d of %v is not 1", axis, slices.Clone(t.Shape))
		}
		drop[axis] = true
	}
	shape := make([]int, 0, 8)
	for i, d := range t.Shape {
		if !(drop[i] || named == nil && d == 1) {
			shape = append(shape, d)
		}
	}
	c.view(0, t, shape...)
}

func unsqueeze(c *call) {
	t := c.arg(0)
	named := c.axes(1)
	rank := len(t.Shape) + len(named)
	shape := make([]int, rank)
	for _, a := range named {
		axis := axisOf(a, rank)
		if shape[axis] != 0 {
			throw(fault.Corrupt, "an axis is named twice")
		}
		shape[axis] = -1
	}
	next := 0
	for i := range shape {
		if shape[i] == -1 {
			shape[i] = 1
			continue
		}
		shape[i] = t.Shape[next]
		next++
	}
	c.view(0, t, shape...)
}

func shapeOf(c *call) {
	dims := c.arg(0).Shape
	bound := func(v int64) int {
		if v < 0 {
			v += int64(len(dims))
		}
		return int(max(0, min(v, int64(len(dims)))))
	}
	begin, end := bound(c.attr.Int("start", 0)), bound(c.attr.Int("end", int64(len(dims))))
	dims = dims[begin:max(begin, end)]
	out := alloc[int64](c, 0, len(dims))
	for i, d := range dims {
		out[i] = int64(d)
	}
}

// constant is the value of a node that has one.
func constant(n *node) any {
	for name, value := range n.attr {
		switch v := value.(type) {
		case *Tensor:
			return v
		case float32:
			return New([]float32{v})
		case int64:
			return New([]int64{v})
		case string:
			return New([]string{v})
		case []float32:
			return New(v, len(v))
		case []int64:
			return New(v, len(v))
		case []string:
			return New(v, len(v))
		}
		switch name { // a list without values has no type
		case "value_floats":
			return New([]float32{}, 0)
		case "value_ints":
			return New([]int64{}, 0)
		case "value_strings":
			return New([]string{}, 0)
		}
		throw(fault.FormatNotServed, "its %s is of a kind that is not evaluated here", name)
	}
	throw(fault.Corrupt, "it has no value")
	return nil
}

func constantOfShape(c *call) {
	shape := ints(c.arg(0))
	value, _ := c.attr["value"].(*Tensor)
	if value == nil {
		alloc[float32](c, 0, shape...)
		return
	}
	out := c.made(0, value.Type(), shape...)
	put := blocks(out, value)
	for i := range out.Len() {
		put(i, 0, 1)
	}
}

func eyeLike(c *call) {
	t := c.arg(0)
	if len(t.Shape) != 2 {
		throw(fault.Invalid, "it makes a matrix like a tensor of %d dimensions", len(t.Shape))
	}
	kind := t.Type()
	if to, ok := c.attr["dtype"].(int64); ok {
		kind = format.TypeOf(to)
	}
	out := c.made(0, kind, t.Shape...)
	one, ok := castTensor(New([]float64{1}), kind, false)
	if !ok {
		throw(fault.FormatNotServed, "a unit matrix of %s", kind)
	}
	put := blocks(out, one)
	shift := c.attr.Int("k", 0)
	for i := range t.Shape[0] {
		if j := int64(i) + shift; j >= 0 && j < int64(t.Shape[1]) {
			put(i*t.Shape[1]+int(j), 0, 1)
		}
	}
}

func rangeOf(c *call) {
	first, limit, step := c.arg(0), c.arg(1), c.arg(2)
	a, b, d := as[float64](first)[0], as[float64](limit)[0], as[float64](step)[0]
	if d == 0 || d != d {
		throw(fault.Invalid, "a range in steps of %v", d)
	}
	n := max(0, (b-a)/d)
	if n != n || n > 1<<32 {
		throw(fault.TooLarge, "a range of %v values", n)
	}
	count := int(n)
	if float64(count) < n {
		count++
	}
	values := make([]float64, c.space(8, []int{count}))
	for i := range values {
		values[i] = a + float64(i)*d
	}
	if first.Type() == tensor.FP32 { // its sums are float32's
		v := float32(a)
		for i := range values {
			values[i] = float64(v)
			v += float32(d)
		}
	}
	c.like(0, first, values, count)
}

func oneHotOf(c *call) {
	t, values := c.arg(0), c.arg(2)
	depth := int(as[float64](c.arg(1))[0])
	if depth < 0 || values.Len() != 2 {
		throw(fault.Invalid, "a depth of %d and %d values", depth, values.Len())
	}
	axis := axisOf(c.attr.Int("axis", -1), len(t.Shape)+1)
	outer, inner := size(t.Shape[:axis]), size(t.Shape[axis:])
	out := c.made(0, values.Type(), slices.Insert(slices.Clone(t.Shape), axis, depth)...)
	put := blocks(out, values)
	for i := range out.Len() {
		put(i, 0, 1)
	}
	places := as[int64](t)
	for i := range outer {
		for j := range inner {
			at := places[i*inner+j]
			if at < 0 {
				at += int64(depth)
			}
			if at >= 0 && at < int64(depth) {
				put((i*depth+int(at))*inner+j, 1, 1)
			}
		}
	}
}
