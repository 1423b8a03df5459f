package graph

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxKept is the memory that a body keeps from one run for the next.
const maxKept = 16 << 20

// run is one evaluation with what it may still spend.
type run struct {
	ctx    context.Context
	limits Limits // counted down
}

// frame is the memory of one body in one run: its values, and the tensors that its nodes made in the run before.
type frame struct {
	values []*Tensor
	kept   []*Tensor // made by the node of the slot; its memory is used again
	views  []*Tensor // the same for other shapes of another slot's memory
	bytes  int64     // of kept
	call   call
	skip   []bool
}

// call is what an operator is run with. Results go to out: made by alloc, or by view from an input.
type call struct {
	*node
	run   *run
	frame *frame
	in    []*Tensor // nil for what is left out
	out   []*Tensor
	kept  []*Tensor
	views []*Tensor
}

// thrown carries an error out of an operator.
type thrown struct{ err error }

func throw(code fault.Code, format string, args ...any) {
	panic(thrown{fault.New(code, format, args...)})
}

// caught turns a panic into an error: what was thrown, or what a shape that does not fit made the program run into.
func caught(err *error, code fault.Code, format string, args ...any) {
	r := recover()
	if r == nil {
		return
	}
	cause := fault.New(code, "it cannot be evaluated on this input: %v", r)
	switch r := r.(type) {
	case thrown:
		*err = r.err
		if format == "" || len(args) == 0 && fault.CodeOf(r.err) == fault.FormatNotServed {
			return
		}
		*err = fault.Wrap(r.err, fault.CodeOf(r.err), format, args...)
		return
	case runtime.Error:
	default:
		if e, ok := r.(error); ok {
			cause = fault.New(code, "it cannot be evaluated on this input: %v", e)
		}
	}
	*err = cause
	if format != "" {
		*err = fault.Wrap(cause, code, format, args...)
	}
}

// Run evaluates the graph. The wanted outputs are given by name; what is missing among the feeds is fault.Invalid. Feeds are not
// changed, and the answer shares no memory with them.
func (g *Graph) Run(feeds map[string]*Tensor, wanted ...string) (map[string]*Tensor, error) {
	in := make([]*Tensor, len(g.Inputs))
	for i, input := range g.Inputs {
		if in[i] = feeds[input.Name]; in[i] == nil {
			return nil, fault.New(fault.Invalid, "the input %q is missing", input.Name)
		}
	}
	places := make([]int, len(wanted))
	for i, name := range wanted {
		if places[i] = slices.Index(g.Outputs, name); places[i] < 0 {
			return nil, fault.New(fault.Invalid, "the graph has no output %q", name)
		}
	}
	results, err := g.Eval(context.Background(), in, places)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*Tensor, len(wanted))
	for i, name := range wanted {
		out[name] = results[i]
	}
	return out, nil
}

// Eval evaluates the outputs of the given places on one tensor per input, in the order of Inputs. A tensor of another type than the
// input's is converted when no value changes. A sequence, and what the file does not give as a tensor, is a tensor where it can be
// one: a map of probabilities is one tensor of rows x classes.
func (g *Graph) Eval(ctx context.Context, in []*Tensor, wanted []int) (out []*Tensor, err error) {
	limits := g.Limits.orDefault()
	if limits.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limits.Timeout)
		defer cancel()
	}
	for i := range g.Inputs {
		fitted, err := g.Inputs[i].fit(in[i])
		if err != nil {
			return nil, err
		}
		if fitted != in[i] {
			in = slices.Clone(in)
			in[i] = fitted
		}
	}
	defer caught(&err, fault.Invalid, "")
	r := &run{ctx: ctx, limits: limits}
	f := g.body.frame()
	g.body.eval(r, f, in, nil, wanted)
	out = make([]*Tensor, len(wanted))
	for i, place := range wanted {
		out[i] = clone(f.values[g.body.outputs[place]])
		if _, ok := out[i].Data.([]*Tensor); ok {
			out[i] = stacked(out[i])
		}
	}
	g.body.free(f)
	return out, nil
}

// fit checks a tensor against what the file says of the input and converts its type.
func (in *Input) fit(t *Tensor) (*Tensor, error) {
	if t == nil {
		return nil, fault.New(fault.Invalid, "the input %q is missing", in.Name)
	}
	if in.Known && len(t.Shape) != len(in.Shape) {
		// A column is a matrix of one column, and the other way round.
		wide, narrow := len(in.Shape) == 2 && len(t.Shape) == 1, len(in.Shape) == 1 && len(t.Shape) == 2 && t.Shape[1] == 1
		switch {
		case wide && in.Shape[1] == 1, wide && in.Shape[1] < 0 && in.Shape[0] != 1:
			t = &Tensor{Shape: []int{t.Shape[0], 1}, Data: t.Data}
		case wide && in.Shape[0] <= 1 && (in.Shape[1] == t.Shape[0] || in.Shape[1] < 0):
			t = &Tensor{Shape: []int{1, t.Shape[0]}, Data: t.Data}
		case narrow:
			t = &Tensor{Shape: t.Shape[:1], Data: t.Data}
		default:
			return nil, fault.New(fault.Invalid, "the input %q has %d dimensions and takes %d", in.Name, len(t.Shape), len(in.Shape))
		}
	}
	if in.Known {
		for i, d := range in.Shape {
			// Exporters leave the number of rows that they tried.
			if i > 0 && d > 0 && t.Shape[i] != d {
				return nil, fault.New(fault.Invalid, "the input %q has the shape %v and takes %v", in.Name, t.Shape, in.Shape)
			}
		}
	}
	if t.Type() == in.Type {
		return t, nil
	}
	converted, err := t.Convert(in.Type)
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "the input %q is %s", in.Name, in.Type)
	}
	return converted, nil
}

func (b *body) frame() *frame {
	if f, ok := b.pool.Get().(*frame); ok {
		return f
	}
	return &frame{values: make([]*Tensor, b.slots), kept: make([]*Tensor, b.slots), views: make([]*Tensor, b.slots), skip: make([]bool, len(b.nodes))}
}

// free keeps a frame for the next run. One that an operator left by throwing is not kept: it is not known what became of it.
func (b *body) free(f *frame) {
	clear(f.values)
	f.call.in, f.call.out = f.call.in[:0], f.call.out[:0]
	f.call.run, f.call.node = nil, nil
	for _, v := range f.views {
		if v != nil {
			v.Data = nil // it is others' memory
		}
	}
	if f.bytes <= maxKept {
		b.pool.Put(f)
	}
}

// eval runs what the wanted outputs need. values of the graph around are those of the captures.
func (b *body) eval(r *run, f *frame, in []*Tensor, around []*Tensor, wanted []int) {
	for _, c := range b.fixed {
		f.values[c.slot] = c.value
	}
	for i, slot := range b.inputs {
		f.values[slot] = in[i]
	}
	for _, c := range b.captures {
		f.values[c.inner] = around[c.outer]
	}
	for i := range f.skip {
		f.skip[i] = true
	}
	for _, w := range wanted {
		for i, need := range b.need[w] {
			if need {
				f.skip[i] = false
			}
		}
	}
	c := &f.call
	c.run, c.frame = r, f
	for i := range b.nodes {
		if f.skip[i] {
			continue
		}
		n := &b.nodes[i]
		r.step()
		c.node = n
		c.in = resize(c.in, len(n.in))
		for k, slot := range n.in {
			if slot >= 0 {
				c.in[k] = f.values[slot]
			}
		}
		c.out = resize(c.out, len(n.out))
		c.kept, c.views = resize(c.kept, len(n.out)), resize(c.views, len(n.out))
		for k, slot := range n.out {
			if slot >= 0 {
				c.kept[k], c.views[k] = f.kept[slot], f.views[slot]
			}
		}
		c.do()
		for k, slot := range n.out {
			if slot >= 0 {
				f.values[slot], f.kept[slot], f.views[slot] = c.out[k], c.kept[k], c.views[k]
			}
		}
	}
	for _, w := range wanted {
		if slot := b.outputs[w]; slot < 0 || f.values[slot] == nil {
			throw(fault.Corrupt, "an output is not computed")
		}
	}
}

// do runs the node and names it in what it throws.
func (c *call) do() {
	defer func() {
		if r := recover(); r != nil {
			var err error
			func() {
				defer caught(&err, fault.Invalid, "node %s (%s)", c.name, c.op)
				panic(r)
			}()
			panic(thrown{err})
		}
	}()
	c.node.run(c)
}

func resize(list []*Tensor, n int) []*Tensor {
	if cap(list) < n {
		return make([]*Tensor, n)
	}
	list = list[:n]
	clear(list)
	return list
}

// step counts a node and looks at the clock now and then.
func (r *run) step() {
	if r.limits.Steps--; r.limits.Steps < 0 {
		throw(fault.TooLarge, "it runs more operators than are allowed in one run")
	}
	if r.limits.Steps&63 == 0 {
		r.alive()
	}
}

// alive throws when the caller no longer waits.
func (r *run) alive() {
	if r.ctx == nil || r.ctx.Err() == nil {
		return
	}
	err := r.ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the deadline passed while the graph was evaluated: %w", err)
	}
	panic(thrown{err})
}

// work charges operations before they are done: factors are multiplied.
func (c *call) work(factors ...int) {
	n := int64(1)
	for _, f := range factors {
		if f > 0 && n > c.run.limits.Work/int64(f) {
			throw(fault.TooLarge, "it takes more operations than are allowed in one run")
		}
		n *= int64(max(f, 0))
	}
	c.run.limits.Work -= n
	if n > 1<<22 {
		c.run.alive()
	}
}

// arg is input i, which must be there.
func (c *call) arg(i int) *Tensor {
	if i >= len(c.in) || c.in[i] == nil {
		throw(fault.Corrupt, "its input %d is missing", i)
	}
	return c.in[i]
}

// opt is input i, or nil.
func (c *call) opt(i int) *Tensor {
	if i >= len(c.in) {
		return nil
	}
	return c.in[i]
}

// space checks that a tensor of the shape may exist and charges it.
func (c *call) space(size int, shape []int) int {
	n, ok := tensor.Volume(shape)
	if !ok || int64(n) > c.run.limits.Bytes/int64(size) {
		throw(fault.TooLarge, "a tensor of the shape %v is more than one run may hold", slices.Clone(shape))
	}
	c.run.limits.Bytes -= int64(n) * int64(size)
	return n
}

// alloc makes output i, of zeros, in the memory that it had in the last run where that is enough.
func alloc[T tensor.Element](c *call, i int, shape ...int) []T {
	var zero T
	size := 8
	switch any(zero).(type) {
	case float32, int32, uint32:
		size = 4
	case bool, uint8, int8:
		size = 1
	case string:
		size = 16
	}
	n := c.space(size, shape)
	if i >= len(c.out) {
		return make([]T, n) // nobody asked for it
	}
	kept := c.kept[i]
	if kept != nil {
		if d, ok := kept.Data.([]T); ok && cap(d) >= n {
			if len(d) != n {
				d = d[:n]
				kept.Data = d
			}
			clear(d)
			kept.Shape = append(kept.Shape[:0], shape...)
			c.out[i] = kept
			return d
		}
	}
	d := make([]T, n)
	c.kept[i] = &Tensor{Shape: slices.Clone(shape), Data: d}
	if c.frame != nil {
		c.frame.bytes += int64(n) * int64(size)
	}
	c.out[i] = c.kept[i]
	return d
}

// view makes output i another shape of the values of t.
func (c *call) view(i int, t *Tensor, shape ...int) {
	if i >= len(c.out) {
		return
	}
	if n, ok := tensor.Volume(shape); !ok || n != t.Len() {
		throw(fault.Invalid, "%d values do not have the shape %v", t.Len(), slices.Clone(shape))
	}
	v := c.views[i]
	if v == nil {
		v = &Tensor{}
		c.views[i] = v
	}
	v.Shape, v.Data = append(v.Shape[:0], shape...), t.Data
	c.out[i] = v
}

// pass makes output i the same as t.
func (c *call) pass(i int, t *Tensor) {
	if i < len(c.out) {
		c.out[i] = t
	}
}

// made makes output i of a type that is known when it runs.
func (c *call) made(i int, kind tensor.Type, shape ...int) *Tensor {
	switch kind {
	case tensor.FP32:
		alloc[float32](c, i, shape...)
	case tensor.FP64:
		alloc[float64](c, i, shape...)
	case tensor.Int64:
		alloc[int64](c, i, shape...)
	case tensor.Int32:
		alloc[int32](c, i, shape...)
	case tensor.Bool:
		alloc[bool](c, i, shape...)
	case tensor.String:
		alloc[string](c, i, shape...)
	case tensor.None:
		throw(fault.Corrupt, "a sequence stands where a tensor is expected")
	default:
		c.space(8, shape)
		t := tensor.Make(kind, slices.Clone(shape)...)
		if i < len(c.out) {
			c.out[i] = t
		}
		return t
	}
	if i >= len(c.out) {
		return tensor.Make(kind, slices.Clone(shape)...)
	}
	return c.out[i]
}
