package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var control = map[string]operator{
	"If":   {run: choice, impure: true},
	"Loop": {run: loop, impure: true},
	"Scan": {run: scan, impure: true},
}

func (c *call) inner(name string) *body {
	b := c.bodies[name]
	if b == nil {
		throw(fault.Corrupt, "it has no graph %s", name)
	}
	return b
}

// evaluate runs a graph of the node. The results own their memory; in must not be of the body's frames.
func (c *call) evaluate(b *body, in []*Tensor) []*Tensor {
	if len(in) != len(b.inputs) {
		throw(fault.Corrupt, "its graph takes %d inputs and gets %d", len(b.inputs), len(in))
	}
	wanted := make([]int, len(b.outputs))
	for i := range wanted {
		wanted[i] = i
	}
	f := b.frame()
	b.eval(c.run, f, in, c.frame.values, wanted)
	out := make([]*Tensor, len(b.outputs))
	for i, slot := range b.outputs {
		out[i] = clone(f.values[slot])
	}
	b.free(f)
	return out
}

func truth(t *Tensor) bool {
	d := flags(t)
	if len(d) != 1 {
		throw(fault.Invalid, "a condition has %d values", len(d))
	}
	return d[0]
}

func choice(c *call) {
	name := "else_branch"
	if truth(c.arg(0)) {
		name = "then_branch"
	}
	for i, t := range c.evaluate(c.inner(name), nil) {
		c.pass(i, t)
	}
}

func loop(c *call) {
	b := c.inner("body")
	most := int64(1<<63 - 1)
	if t := c.opt(0); t != nil {
		most = as[int64](t)[0]
	}
	goOn := true
	if t := c.opt(1); t != nil {
		goOn = truth(t)
	}
	if len(c.in) < 2 {
		throw(fault.Corrupt, "it has %d inputs", len(c.in))
	}
	state := slices.Clone(c.in[2:])
	for i := range state {
		if state[i] == nil {
			throw(fault.Corrupt, "a value that it carries is missing")
		}
	}
	kept := make([][]*Tensor, max(0, len(b.outputs)-1-len(state)))
	for i := int64(0); i < most && goOn; i++ {
		c.run.step()
		out := c.evaluate(b, append([]*Tensor{New([]int64{i}), New([]bool{goOn})}, state...))
		if len(out) < 1+len(state) {
			throw(fault.Corrupt, "its graph gives %d values for %d that it carries", len(out), len(state))
		}
		goOn = truth(out[0])
		copy(state, out[1:])
		for k := range kept {
			c.space(8, out[1+len(state)+k].Shape)
			kept[k] = append(kept[k], out[1+len(state)+k])
		}
	}
	for i, t := range state {
		c.pass(i, t)
	}
	for k, parts := range kept {
		if len(state)+k < len(c.out) {
			c.stack(len(state)+k, parts, 0)
		}
	}
}

// stack joins the results of the rounds along a new axis.
func (c *call) stack(i int, parts []*Tensor, axis int64) {
	if len(parts) == 0 {
		c.out[i] = New([]float32{}, 0)
		return
	}
	inner := call{node: c.node, run: c.run, out: make([]*Tensor, 1), kept: make([]*Tensor, 1), views: make([]*Tensor, 1)}
	concat(&inner, parts, axis, true)
	c.out[i] = inner.out[0]
}

// scan goes over slices of its last inputs. In opset 8 a batch comes first, and each of its elements is gone over by itself.
func scan(c *call) {
	b := c.inner("body")
	scanned := int(c.attr.Int("num_scan_inputs", 0))
	in := c.in
	if c.opset < 9 {
		if c.opt(0) != nil {
			throw(fault.FormatNotServed, "a scan over sequences of different lengths")
		}
		in = in[1:]
	}
	carried := len(in) - scanned
	if scanned < 1 || carried < 0 || len(b.outputs) < carried {
		throw(fault.Corrupt, "it goes over %d of %d inputs", scanned, len(in))
	}
	for i := range in {
		if in[i] == nil {
			throw(fault.Corrupt, "its input %d is missing", i)
		}
	}
	if c.opset >= 9 {
		for i, t := range c.scanned(b, in, carried, c.attr.Ints("scan_input_axes"), c.attr.Ints("scan_output_axes")) {
			c.pass(i, t)
		}
		return
	}
	batches := in[0].Shape[0]
	results := make([][]*Tensor, len(b.outputs))
	for k := range batches {
		parts := make([]*Tensor, len(in))
		for i, t := range in {
			parts[i] = c.piece(t, 0, k)
		}
		for i, t := range c.scanned(b, parts, carried, nil, nil) {
			results[i] = append(results[i], t)
		}
	}
	for i := range results {
		if i < len(c.out) {
			c.stack(i, results[i], 0)
		}
	}
}

// piece is a slice of t, one dimension less.
func (c *call) piece(t *Tensor, axis, at int) *Tensor {
	inner := call{node: c.node, run: c.run, out: make([]*Tensor, 1), kept: make([]*Tensor, 1), views: make([]*Tensor, 1)}
	inner.gather(t, []int64{int64(at)}, nil, axis)
	return inner.out[0]
}

func (c *call) scanned(b *body, in []*Tensor, carried int, inAxes, outAxes []int64) []*Tensor {
	state, over := slices.Clone(in[:carried]), in[carried:]
	backIn, backOut := c.attr.Ints("scan_input_directions"), c.attr.Ints("scan_output_directions")
	if backIn == nil {
		backIn = c.attr.Ints("directions")
	}
	axes := make([]int, len(over))
	rounds := -1
	for i, t := range over {
		if i < len(inAxes) {
			axes[i] = axisOf(inAxes[i], len(t.Shape))
		}
		if len(t.Shape) == 0 || rounds >= 0 && rounds != t.Shape[axes[i]] {
			throw(fault.Invalid, "it goes over tensors of different lengths")
		}
		rounds = t.Shape[axes[i]]
	}
	kept := make([][]*Tensor, len(b.outputs)-carried)
	for r := range rounds {
		c.run.step()
		args := slices.Clone(state)
		for i, t := range over {
			at := r
			if i < len(backIn) && backIn[i] != 0 {
				at = rounds - 1 - r
			}
			args = append(args, c.piece(t, axes[i], at))
		}
		out := c.evaluate(b, args)
		copy(state, out)
		for k := range kept {
			c.space(8, out[carried+k].Shape)
			kept[k] = append(kept[k], out[carried+k])
		}
	}
	outer := call{node: c.node, run: c.run, out: make([]*Tensor, len(kept))}
	for k, parts := range kept {
		if k < len(backOut) && backOut[k] != 0 {
			slices.Reverse(parts)
		}
		axis := int64(0)
		if k < len(outAxes) {
			axis = outAxes[k]
		}
		outer.stack(k, parts, axis)
	}
	return append(state, outer.out...)
}
