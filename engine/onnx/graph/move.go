package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var moving = map[string]operator{
	"Concat":    {run: func(c *call) { concat(c, c.in, c.attr.Int("axis", 1), false) }},
	"Split":     {run: split},
	"Slice":     {run: slice},
	"Transpose": {run: func(c *call) { c.transposed(0, c.arg(0), permutation(c.attr.Ints("perm"), len(c.arg(0).Shape))) }},
	"Expand": {run: func(c *call) {
		t := c.arg(0)
		shape, s := spreadOver(t.Shape, ints(c.arg(1)))
		c.spreadOut(t, shape, &s)
	}},
	"Tile":     {run: tile},
	"Pad":      {run: pad},
	"Trilu":    {run: trilu},
	"Compress": {run: compress},
	"NonZero":  {run: nonZero},
	"Gather": {run: func(c *call) {
		c.gather(c.arg(0), as[int64](c.arg(1)), c.arg(1).Shape, axisOf(c.attr.Int("axis", 0), len(c.arg(0).Shape)))
	}},
}

// concat joins tensors along an axis, or along a new one.
func concat(c *call, in []*Tensor, along int64, fresh bool) {
	if len(in) == 0 || in[0] == nil {
		throw(fault.Corrupt, "it joins nothing")
	}
	rank := len(in[0].Shape)
	if fresh {
		rank++
	}
	axis := axisOf(along, rank)
	parts := make([][]int, len(in))
	total := 0
	for i, t := range in {
		if t == nil {
			throw(fault.Corrupt, "its input %d is missing", i)
		}
		parts[i] = t.Shape
		if fresh {
			parts[i] = slices.Insert(slices.Clone(t.Shape), axis, 1)
		}
		if len(parts[i]) != rank {
			throw(fault.Invalid, "it joins tensors of %d and %d dimensions", rank, len(parts[i]))
		}
		for d := range rank {
			if d != axis && parts[i][d] != parts[0][d] {
				throw(fault.Invalid, "it joins the shapes %v and %v", slices.Clone(parts[0]), slices.Clone(parts[i]))
			}
		}
		total += parts[i][axis]
	}
	shape := slices.Clone(parts[0])
	shape[axis] = total
	out := c.made(0, in[0].Type(), shape...)
	outer, inner := size(shape[:axis]), size(shape[axis+1:])
	begin := 0
	for i, t := range in {
		width := parts[i][axis] * inner
		if width > 0 {
			put := blocks(out, t)
			for k := range outer {
				put(k*total*inner+begin, k*width, width)
			}
		}
		begin += width
	}
}

func split(c *call) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", 0), len(t.Shape))
	sizes := splitSizes(c, t.Shape[axis])
	outer, inner := size(t.Shape[:axis]), size(t.Shape[axis+1:])
	begin := 0
	for i, n := range sizes {
		if i >= len(c.out) {
			break
		}
		shape := slices.Clone(t.Shape)
		shape[axis] = n
		if n > 0 {
			out := c.made(i, t.Type(), shape...)
			put := blocks(out, t)
			for k := range outer {
				put(k*n*inner, (k*t.Shape[axis]+begin)*inner, n*inner)
			}
		} else {
			c.made(i, t.Type(), shape...)
		}
		begin += n
	}
}

func splitSizes(c *call, width int) []int {
	given := c.attr.Ints("split")
	if s := c.opt(1); s != nil {
		given = as[int64](s)
	}
	sizes := make([]int, len(c.out))
	if given == nil {
		each := (width + len(c.out) - 1) / max(len(c.out), 1)
		left := width
		for i := range sizes {
			sizes[i] = min(each, left)
			left -= sizes[i]
		}
		return sizes
	}
	sum := 0
	sizes = make([]int, len(given))
	for i, n := range given {
		if n < 0 || n > int64(width) {
			throw(fault.Invalid, "a part of %d of %d", n, width)
		}
		sizes[i] = int(n)
		sum += int(n)
	}
	if sum != width {
		throw(fault.Invalid, "parts of %v of %d", sizes, width)
	}
	return sizes
}

// slice takes its bounds as attributes before opset 10.
func slice(c *call) {
	t := c.arg(0)
	rank := len(t.Shape)
	list := func(name string, input int) []int64 {
		if c.opset < 10 {
			return c.attr.Ints(name)
		}
		if in := c.opt(input); in != nil {
			return as[int64](in)
		}
		return nil
	}
	starts, ends, axes, steps := list("starts", 1), list("ends", 2), list("axes", 3), list("steps", 4)
	if len(starts) != len(ends) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		throw(fault.Corrupt, "it has %d beginnings and %d ends", len(starts), len(ends))
	}
	shape, step, base := slices.Clone(t.Shape), strides(t.Shape), 0
	for i := range starts {
		axis := i
		if axes != nil {
			axis = axisOf(axes[i], rank)
		} else if i >= rank {
			throw(fault.Corrupt, "it cuts dimension %d of %d", i, rank)
		}
		by := int64(1)
		if steps != nil {
			by = steps[i]
		}
		if by == 0 || by == -1<<63 {
			throw(fault.Corrupt, "a step of %d", by)
		}
		width := int64(t.Shape[axis])
		low, high := int64(0), width
		if by < 0 {
			low, high = -1, width-1
		}
		bound := func(v int64) int64 {
			if v < 0 {
				v += width
			}
			return max(low, min(v, high))
		}
		begin, end := bound(starts[i]), bound(ends[i])
		n := int64(0)
		if by > 0 && end > begin {
			n = (end-begin-1)/by + 1
		} else if by < 0 && end < begin {
			n = (begin-end-1)/(-by) + 1
		}
		shape[axis] = int(n)
		base += int(begin) * step[axis]
		if n > 1 {
			step[axis] *= int(by)
		}
	}
	c.strided(0, t, shape, step, base)
}

// strided makes output i of the elements of t at base + the sum of index x step.
func (c *call) strided(i int, t *Tensor, shape, step []int, base int) {
	out := c.made(i, t.Type(), shape...)
	if out.Len() == 0 {
		return
	}
	s := spread{shape: slices.Clone(shape), steps: [][]int{slices.Clone(step)}}
	s.collapse()
	put := blocks(out, t)
	s.runs(func(at, n int, from, steps []int) {
		if steps[0] == 1 {
			put(at, base+from[0], n)
			return
		}
		p := base + from[0]
		for k := range n {
			put(at+k, p, 1)
			p += steps[0]
		}
	})
}

func (c *call) spreadOut(t *Tensor, shape []int, s *spread) {
	out := c.made(0, t.Type(), shape...)
	if out.Len() == 0 {
		return
	}
	put := blocks(out, t)
	s.runs(func(at, n int, from, steps []int) {
		if steps[0] == 1 {
			put(at, from[0], n)
			return
		}
		for k := range n {
			put(at+k, from[0]+k*steps[0], 1)
		}
	})
}

func permutation(given []int64, rank int) []int {
	out := make([]int, rank)
	if given == nil {
		for i := range out {
			out[i] = rank - 1 - i
		}
		return out
	}
	seen := make([]bool, rank)
	if len(given) != rank {
		throw(fault.Corrupt, "it orders %d of %d dimensions", len(given), rank)
	}
	for i, a := range given {
		out[i] = axisOf(a, rank)
		if seen[out[i]] {
			throw(fault.Corrupt, "it names dimension %d twice", out[i])
		}
		seen[out[i]] = true
	}
	return out
}

func (c *call) transposed(i int, t *Tensor, order []int) {
	from := strides(t.Shape)
	shape, step := make([]int, len(order)), make([]int, len(order))
	for k, axis := range order {
		shape[k], step[k] = t.Shape[axis], from[axis]
	}
	c.strided(i, t, shape, step, 0)
}

func tile(c *call) {
	t, times := c.arg(0), ints(c.arg(1))
	if c.opset < 6 { // one number of tiles and their axis
		axis := axisOf(as[int64](c.arg(2))[0], len(t.Shape))
		n := times[0]
		times = make([]int, len(t.Shape))
		for i := range times {
			times[i] = 1
		}
		times[axis] = n
	}
	if len(times) != len(t.Shape) {
		throw(fault.Invalid, "%d repeats for %d dimensions", len(times), len(t.Shape))
	}
	// A tiled dimension is two: repeated, and passed.
	from := strides(t.Shape)
	shape, step, final := []int{}, []int{}, []int{}
	for i, d := range t.Shape {
		shape, step = append(shape, times[i], d), append(step, 0, from[i])
		final = append(final, checked(times[i], d))
	}
	if n, ok := tensor.Volume(shape); !ok || n < 0 {
		throw(fault.TooLarge, "%v times %v", times, slices.Clone(t.Shape))
	}
	c.strided(0, t, shape, step, 0)
	c.view(0, c.out[0], final...)
}

func checked(a, b int) int {
	n, ok := tensor.Volume([]int{a, b})
	if !ok {
		throw(fault.TooLarge, "%d times %d", a, b)
	}
	return n
}

func pad(c *call) {
	t := c.arg(0)
	rank := len(t.Shape)
	amounts := c.attr.Ints("pads")
	value := New([]float32{c.attr.Float("value", 0)})
	if given := c.opt(1); given != nil {
		amounts = as[int64](given)
	}
	if given := c.opt(2); given != nil {
		value = given
	}
	value, ok := castTensor(value, t.Type(), t.Type() == tensor.String)
	if !ok {
		wrongType(t)
	}
	axes := make([]int, 0, rank)
	if given := c.opt(3); given != nil {
		for _, a := range as[int64](given) {
			axes = append(axes, axisOf(a, rank))
		}
	} else {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(amounts) != 2*len(axes) {
		throw(fault.Invalid, "%d amounts for %d dimensions", len(amounts), len(axes))
	}
	shape, begin := slices.Clone(t.Shape), make([]int, rank)
	for k, axis := range axes {
		before, after := amounts[k], amounts[k+len(axes)]
		if before < -1<<40 || before > 1<<40 || after < -1<<40 || after > 1<<40 {
			throw(fault.TooLarge, "it pads by %d and %d", before, after)
		}
		begin[axis] = int(before)
		shape[axis] = max(0, shape[axis]+int(before)+int(after))
	}
	mode := c.attr.Text("mode")
	out := c.made(0, t.Type(), shape...)
	put, fixed := blocks(out, t), blocks(out, value)
	index, from := make([]int, rank), strides(t.Shape)
	for at := range out.Len() {
		rest, place, inside := at, 0, true
		for d := rank - 1; d >= 0; d-- {
			index[d] = rest % shape[d]
			rest /= shape[d]
			i, n := index[d]-begin[d], t.Shape[d]
			if i < 0 || i >= n {
				switch {
				case n == 0:
					inside = false
				case mode == "edge":
					i = max(0, min(i, n-1))
				case mode == "wrap":
					i = (i%n + n) % n
				case mode == "reflect" && n > 1:
					period := 2 * (n - 1)
					if i = (i%period + period) % period; i >= n {
						i = period - i
					}
				case mode == "reflect":
					i = 0
				default:
					inside = false
				}
			}
			place += i * from[d]
		}
		if inside {
			put(at, place, 1)
		} else {
			fixed(at, 0, 1)
		}
	}
}

func trilu(c *call) {
	t := c.arg(0)
	rank := len(t.Shape)
	if rank < 2 {
		throw(fault.Invalid, "a matrix is needed, not %d dimensions", rank)
	}
	shift := int64(0)
	if k := c.opt(1); k != nil {
		shift = as[int64](k)[0]
	}
	upper := c.attr.Int("upper", 1) != 0
	out := c.made(0, t.Type(), t.Shape...)
	put := blocks(out, t)
	height, width := t.Shape[rank-2], t.Shape[rank-1]
	for at := range out.Len() {
		i, j := int64(at/max(width, 1)%max(height, 1)), int64(at%max(width, 1))
		if upper && j-i >= shift || !upper && j-i <= shift {
			put(at, at, 1)
		}
	}
}

func compress(c *call) {
	t, which := c.arg(0), flags(c.arg(1))
	axis, given := c.attr["axis"].(int64)
	if !given {
		t = &Tensor{Shape: []int{t.Len()}, Data: t.Data}
	}
	places := []int64{}
	along := axisOf(axis, len(t.Shape))
	for i, keep := range which {
		if keep && i < t.Shape[along] {
			places = append(places, int64(i))
		}
	}
	c.gather(t, places, []int{len(places)}, along)
}

func nonZero(c *call) {
	t := c.arg(0)
	found := []int{}
	texts, isText := t.Data.([]string)
	for i := range t.Len() {
		if isText {
			if texts[i] != "" {
				found = append(found, i)
			}
		} else if v, ok := t.Number(i); ok && v != 0 {
			found = append(found, i)
		}
	}
	rank := len(t.Shape)
	out := alloc[int64](c, 0, rank, len(found))
	for k, at := range found {
		for d := rank - 1; d >= 0; d-- {
			out[d*len(found)+k] = int64(at % t.Shape[d])
			at /= t.Shape[d]
		}
	}
}

// gather takes slices of t by their place on an axis; negative places count from the end.
func (c *call) gather(t *Tensor, places []int64, form []int, axis int) {
	width := t.Shape[axis]
	outer, inner := size(t.Shape[:axis]), size(t.Shape[axis+1:])
	shape := slices.Concat(t.Shape[:axis], form, t.Shape[axis+1:])
	for _, p := range places {
		if p < int64(-width) || p >= int64(width) {
			throw(fault.Invalid, "place %d of %d", p, width)
		}
	}
	out := c.made(0, t.Type(), shape...)
	put := blocks(out, t)
	at := 0
	for k := range outer {
		for _, p := range places {
			if p < 0 {
				p += int64(width)
			}
			put(at, (k*width+int(p))*inner, inner)
			at += inner
		}
	}
}
