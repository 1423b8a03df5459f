package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var sequences = map[string]operator{
	"SequenceConstruct": {run: func(c *call) {
		list := make([]*Tensor, len(c.in))
		for i := range list {
			list[i] = clone(c.arg(i))
		}
		c.sequence(list)
	}},
	"SequenceEmpty":  {run: func(c *call) { c.sequence(nil) }},
	"SequenceLength": {run: func(c *call) { alloc[int64](c, 0)[0] = int64(len(elementsOf(c.arg(0)))) }},
	"SequenceAt": {run: func(c *call) {
		list := elementsOf(c.arg(0))
		c.pass(0, list[place(as[int64](c.arg(1))[0], len(list))])
	}},
	"SequenceInsert": {run: func(c *call) {
		list := elementsOf(c.arg(0))
		at := len(list)
		if t := c.opt(2); t != nil {
			p := as[int64](t)[0]
			if p < 0 {
				p += int64(len(list))
			}
			if p < 0 || p > int64(len(list)) {
				throw(fault.Invalid, "place %d of %d", p, len(list))
			}
			at = int(p)
		}
		c.space(16, []int{len(list)})
		c.sequence(slices.Insert(slices.Clone(list), at, clone(c.arg(1))))
	}},
	"SequenceErase": {run: func(c *call) {
		list := elementsOf(c.arg(0))
		at := len(list) - 1
		if t := c.opt(1); t != nil {
			at = place(as[int64](t)[0], len(list))
		}
		c.sequence(slices.Delete(slices.Clone(list), at, at+1))
	}},
	"ConcatFromSequence": {run: func(c *call) {
		concat(c, elementsOf(c.arg(0)), c.attr.Int("axis", 0), c.attr.Int("new_axis", 0) != 0)
	}},
	"SplitToSequence": {run: splitToSequence},
}

// sequence makes output 0 of elements that own their memory.
func (c *call) sequence(list []*Tensor) {
	if list == nil {
		list = []*Tensor{}
	}
	c.pass(0, &Tensor{Shape: []int{len(list)}, Data: list})
}

func elementsOf(t *Tensor) []*Tensor {
	list, ok := t.Data.([]*Tensor)
	if !ok {
		throw(fault.Invalid, "a tensor of %s stands where a sequence is expected", kindName(t))
	}
	return list
}

func splitToSequence(c *call) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", 0), len(t.Shape))
	width := t.Shape[axis]
	var sizes []int
	single := c.opt(1) == nil
	switch s := c.opt(1); {
	case single:
		for range width {
			sizes = append(sizes, 1)
		}
	case len(s.Shape) == 0:
		each := int(as[int64](s)[0])
		if each < 1 {
			throw(fault.Invalid, "parts of %d", each)
		}
		for left := width; left > 0; left -= each {
			sizes = append(sizes, min(each, left))
		}
	default:
		sizes = ints(s)
	}
	list := make([]*Tensor, 0, len(sizes))
	begin := 0
	for _, n := range sizes {
		if n < 0 || begin+n > width {
			throw(fault.Invalid, "parts of %v of %d", sizes, width)
		}
		places := make([]int64, n)
		for i := range places {
			places[i] = int64(begin + i)
		}
		begin += n
		inner := call{node: c.node, run: c.run, out: make([]*Tensor, 1), kept: make([]*Tensor, 1), views: make([]*Tensor, 1)}
		form := []int{n}
		if single && c.attr.Int("keepdims", 1) == 0 {
			form = nil
		}
		inner.gather(t, places, form, axis)
		list = append(list, inner.out[0])
	}
	c.sequence(list)
}

// stacked is a sequence of tensors of one type and shape as one tensor, and any other as its elements' texts would be: not at all.
func stacked(t *Tensor) *Tensor {
	list := elementsOf(t)
	if len(list) == 0 {
		return New([]float32{}, 0)
	}
	for _, e := range list {
		if e.Type() != list[0].Type() || e.Type() == tensor.None || !slices.Equal(e.Shape, list[0].Shape) {
			throw(fault.FormatNotServed, "an output is a sequence of tensors of different shapes")
		}
	}
	c := call{node: &node{}, run: &run{limits: Limits{}.orDefault()}, out: make([]*Tensor, 1)}
	c.stack(0, list, 0)
	return c.out[0]
}
