package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var scattering = map[string]operator{
	"GatherElements":  {run: gatherElements},
	"GatherND":        {run: gatherND},
	"Scatter":         {run: scatterElements},
	"ScatterElements": {run: scatterElements},
	"ScatterND":       {run: scatterND},
}

func place(p int64, width int) int {
	if p < 0 {
		p += int64(width)
	}
	if p < 0 || p >= int64(width) {
		throw(fault.Invalid, "place %d of %d", p, width)
	}
	return int(p)
}

// elementwise calls f with every place of an index tensor and where it leads in t: the same place but for one axis.
func elementwise(t, index *Tensor, axis int, f func(at, to int)) {
	if len(index.Shape) != len(t.Shape) {
		throw(fault.Invalid, "places of %d dimensions for %d", len(index.Shape), len(t.Shape))
	}
	places, step := as[int64](index), strides(t.Shape)
	for d := range t.Shape {
		if d != axis && index.Shape[d] > t.Shape[d] {
			throw(fault.Invalid, "places of the shape %v for %v", slices.Clone(index.Shape), slices.Clone(t.Shape))
		}
	}
	for at, p := range places {
		rest, to := at, 0
		for d := len(index.Shape) - 1; d >= 0; d-- {
			i := rest % index.Shape[d]
			rest /= index.Shape[d]
			if d == axis {
				i = place(p, t.Shape[d])
			}
			to += i * step[d]
		}
		f(at, to)
	}
}

func gatherElements(c *call) {
	t, index := c.arg(0), c.arg(1)
	axis := axisOf(c.attr.Int("axis", 0), len(t.Shape))
	out := c.made(0, t.Type(), index.Shape...)
	put := blocks(out, t)
	elementwise(t, index, axis, func(at, from int) { put(at, from, 1) })
}

func scatterElements(c *call) {
	t, index, updates := c.arg(0), c.arg(1), c.arg(2)
	axis := axisOf(c.attr.Int("axis", 0), len(t.Shape))
	if !slices.Equal(index.Shape, updates.Shape) {
		throw(fault.Invalid, "%v places for %v values", slices.Clone(index.Shape), slices.Clone(updates.Shape))
	}
	put := c.scatterInto(t, updates)
	elementwise(t, index, axis, func(at, to int) { put(to, at, 1) })
}

func gatherND(c *call) {
	t, index := c.arg(0), c.arg(1)
	batch := int(c.attr.Int("batch_dims", 0))
	rank := len(index.Shape)
	if rank == 0 || batch < 0 || batch >= rank || batch+index.Shape[rank-1] > len(t.Shape) {
		throw(fault.Invalid, "places of the shape %v in %v", slices.Clone(index.Shape), slices.Clone(t.Shape))
	}
	deep := index.Shape[rank-1]
	inner := size(t.Shape[batch+deep:])
	out := c.made(0, t.Type(), slices.Concat(index.Shape[:rank-1], t.Shape[batch+deep:])...)
	put, step := blocks(out, t), strides(t.Shape)
	places := as[int64](index)
	each := size(index.Shape[batch : rank-1])
	for k := range size(index.Shape[:rank-1]) {
		from := 0
		if batch > 0 {
			from = k / max(each, 1) * step[batch-1]
		}
		for d := range deep {
			from += place(places[k*deep+d], t.Shape[batch+d]) * step[batch+d]
		}
		put(k*inner, from, inner)
	}
}

func scatterND(c *call) {
	t, index, updates := c.arg(0), c.arg(1), c.arg(2)
	rank := len(index.Shape)
	if rank == 0 || index.Shape[rank-1] > len(t.Shape) {
		throw(fault.Invalid, "places of the shape %v in %v", slices.Clone(index.Shape), slices.Clone(t.Shape))
	}
	deep := index.Shape[rank-1]
	inner := size(t.Shape[deep:])
	n := size(index.Shape[:rank-1])
	if updates.Len() != n*inner {
		throw(fault.Invalid, "%d places for values of %v", n, slices.Clone(updates.Shape))
	}
	put, step := c.scatterInto(t, updates), strides(t.Shape)
	places := as[int64](index)
	for k := range n {
		to := 0
		for d := range deep {
			to += place(places[k*deep+d], t.Shape[d]) * step[d]
		}
		put(to, k*inner, inner)
	}
}

// scatterInto copies t to output 0 and gives what puts updates into it, joined with what is there as the attribute says.
func (c *call) scatterInto(t, updates *Tensor) func(to, from, n int) {
	out := c.made(0, t.Type(), t.Shape...)
	blocks(out, t)(0, 0, t.Len())
	var join func(a, b float64) float64
	switch c.attr.Text("reduction") {
	case "", "none":
		return blocks(out, updates)
	case "add":
		join = func(a, b float64) float64 { return a + b }
	case "mul":
		join = func(a, b float64) float64 { return a * b }
	case "max":
		join = func(a, b float64) float64 { return max(a, b) }
	case "min":
		join = func(a, b float64) float64 { return min(a, b) }
	default:
		throw(fault.FormatNotServed, "it joins values by %s", c.attr.Text("reduction"))
	}
	if updates.Type() != t.Type() {
		wrongType(updates)
	}
	switch d := out.Data.(type) {
	case []float32:
		return joiner(d, updates, join)
	case []float64:
		return joiner(d, updates, join)
	case []int64:
		return joiner(d, updates, join)
	case []int32:
		return joiner(d, updates, join)
	case []tensor.Float16:
		u := updates.Data.([]tensor.Float16)
		return func(to, from, n int) {
			for i := range n {
				d[to+i] = tensor.ToFloat16(float32(join(float64(d[to+i].Float32()), float64(u[from+i].Float32()))))
			}
		}
	}
	wrongType(t)
	return nil
}

func joiner[T number](d []T, updates *Tensor, join func(a, b float64) float64) func(to, from, n int) {
	u := updates.Data.([]T)
	return func(to, from, n int) {
		for i := range n {
			d[to+i] = T(join(float64(d[to+i]), float64(u[from+i])))
		}
	}
}
