package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var shaping = map[string]operator{
	"Reshape":   {run: reshape},
	"Flatten":   {run: flatten},
	"Squeeze":   {run: squeeze},
	"Unsqueeze": {run: unsqueeze},
	"Shape": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		return one(New(convertInts(in[0].Shape), len(in[0].Shape)), nil)
	}},
	"Concat":          {run: concat},
	"Gather":          {run: gather},
	"Transpose":       {run: transpose},
	"ArgMax":          {run: argMax},
	"ReduceSum":       reduction(0, func(a, b float64) float64 { return a + b }, nil),
	"ReduceMax":       reduction(math.Inf(-1), math.Max, nil),
	"ReduceMin":       reduction(math.Inf(1), math.Min, nil),
	"ReduceMean":      reduction(0, func(a, b float64) float64 { return a + b }, func(v float64, n int) float64 { return v / float64(n) }),
	"ReduceLogSumExp": reduction(math.Inf(-1), logAddExp, nil),
	"Softmax":         {run: softmax},
}

// logAddExp is log(e^a + e^b) without overflow.
func logAddExp(a, b float64) float64 {
	if math.IsInf(a, -1) {
		return b
	}
	if math.IsInf(b, -1) {
		return a
	}
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}

func convertInts(v []int) []int64 {
	out := make([]int64, len(v))
	for i, d := range v {
		out[i] = int64(d)
	}
	return out
}

// with gives the same values another shape.
func with(t *Tensor, shape []int) (*Tensor, error) {
	if size(shape) != t.len() {
		return nil, fault.New(fault.Invalid, "%d values do not have the shape %v", t.len(), shape)
	}
	return &Tensor{shape, t.Data}, nil
}

func reshape(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	wanted := n.attr.Ints("shape")
	if len(in) > 1 && in[1] != nil {
		var err error
		if wanted, err = in[1].ints(); err != nil {
			return nil, err
		}
	}
	shape := make([]int, len(wanted))
	open, known := -1, 1
	for i, d := range wanted {
		switch {
		case d == -1:
			open = i
			continue
		case d == 0 && i < len(in[0].Shape):
			d = int64(in[0].Shape[i])
		}
		shape[i] = int(d)
		known *= int(d)
	}
	if open >= 0 && known > 0 {
		shape[open] = in[0].len() / known
	}
	return one(with(in[0], shape))
}

// axisOf makes a negative axis positive and checks it.
func axisOf(axis int64, rank int) (int, error) {
	if axis < 0 {
		axis += int64(rank)
	}
	if axis < 0 || axis >= int64(rank) {
		return 0, fault.New(fault.Corrupt, "axis %d of %d dimensions", axis, rank)
	}
	return int(axis), nil
}

func flatten(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	axis := n.attr.Int("axis", 1)
	if axis < 0 {
		axis += int64(len(in[0].Shape))
	}
	if axis < 0 || axis > int64(len(in[0].Shape)) {
		return nil, fault.New(fault.Corrupt, "axis %d", axis)
	}
	first := size(in[0].Shape[:axis])
	return one(with(in[0], []int{first, size(in[0].Shape[axis:])}))
}

// axesOf reads axes from the attribute of old opsets or from the second input of new ones.
func axesOf(n *node, in []*Tensor) ([]int64, error) {
	if len(in) > 1 && in[1] != nil {
		return in[1].ints()
	}
	return n.attr.Ints("axes"), nil
}

func squeeze(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	axes, err := axesOf(n, in)
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for i, d := range in[0].Shape {
		named := slices.Contains(axes, int64(i)) || slices.Contains(axes, int64(i-len(in[0].Shape)))
		if d == 1 && (named || len(axes) == 0) {
			continue
		}
		shape = append(shape, d)
	}
	return one(with(in[0], shape))
}

func unsqueeze(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	axes, err := axesOf(n, in)
	if err != nil {
		return nil, err
	}
	rank := len(in[0].Shape) + len(axes)
	shape, next := make([]int, rank), 0
	for i := range shape {
		if slices.Contains(axes, int64(i)) || slices.Contains(axes, int64(i-rank)) {
			shape[i] = 1
			continue
		}
		shape[i] = in[0].Shape[next]
		next++
	}
	return one(with(in[0], shape))
}

func concat(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, len(in)); err != nil || len(in) == 0 {
		return nil, fault.New(fault.Corrupt, "it joins nothing")
	}
	axis, err := axisOf(n.attr.Int("axis", 1), len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	switch in[0].Data.(type) {
	case []float32:
		return join[float32](in, axis)
	case []float64:
		return join[float64](in, axis)
	case []int64:
		return join[int64](in, axis)
	case []string:
		return join[string](in, axis)
	case []bool:
		return join[bool](in, axis)
	}
	return nil, wrongType(in[0])
}

func join[T float32 | float64 | int64 | string | bool](in []*Tensor, axis int) ([]*Tensor, error) {
	shape := slices.Clone(in[0].Shape)
	shape[axis] = 0
	parts := make([][]T, len(in))
	widths := make([]int, len(in))
	for i, t := range in {
		data, ok := t.Data.([]T)
		if !ok || len(t.Shape) != len(shape) {
			return nil, fault.New(fault.Corrupt, "it joins %T of %v with %T of %v", in[0].Data, in[0].Shape, t.Data, t.Shape)
		}
		parts[i], widths[i] = data, size(t.Shape[axis:])
		shape[axis] += t.Shape[axis]
	}
	outer := size(shape[:axis])
	out := make([]T, 0, size(shape))
	for k := range outer {
		for i := range parts {
			out = append(out, parts[i][k*widths[i]:(k+1)*widths[i]]...)
		}
	}
	return one(New(out, shape...), nil)
}

func gather(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 2); err != nil {
		return nil, err
	}
	axis, err := axisOf(n.attr.Int("axis", 0), len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	places, err := in[1].ints()
	if err != nil {
		return nil, err
	}
	switch data := in[0].Data.(type) {
	case []float32:
		return take(data, in[0].Shape, axis, places, in[1].Shape)
	case []float64:
		return take(data, in[0].Shape, axis, places, in[1].Shape)
	case []int64:
		return take(data, in[0].Shape, axis, places, in[1].Shape)
	case []string:
		return take(data, in[0].Shape, axis, places, in[1].Shape)
	}
	return nil, wrongType(in[0])
}

func take[T float32 | float64 | int64 | string | bool](data []T, from []int, axis int, places []int64, form []int) ([]*Tensor, error) {
	shape := slices.Concat(from[:axis], form, from[axis+1:])
	outer, inner := size(from[:axis]), size(from[axis+1:])
	out := make([]T, 0, size(shape))
	for k := range outer {
		for _, p := range places {
			if p < 0 {
				p += int64(from[axis])
			}
			if p < 0 || p >= int64(from[axis]) {
				return nil, fault.New(fault.Invalid, "place %d of %d", p, from[axis])
			}
			begin := (k*from[axis] + int(p)) * inner
			out = append(out, data[begin:begin+inner]...)
		}
	}
	return one(New(out, shape...), nil)
}

func transpose(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	rank := len(in[0].Shape)
	order := n.attr.Ints("perm")
	if order == nil {
		for d := rank - 1; d >= 0; d-- {
			order = append(order, int64(d))
		}
	}
	switch data := in[0].Data.(type) {
	case []float32:
		return turn(data, in[0].Shape, order)
	case []float64:
		return turn(data, in[0].Shape, order)
	case []int64:
		return turn(data, in[0].Shape, order)
	}
	return nil, wrongType(in[0])
}

func turn[T float32 | float64 | int64 | string | bool](data []T, from []int, order []int64) ([]*Tensor, error) {
	steps := strides(from)
	shape, by := make([]int, len(order)), make([]int, len(order))
	for i, d := range order {
		shape[i], by[i] = from[d], steps[d]
	}
	out := make([]T, len(data))
	for i := range out {
		at, rest := 0, i
		for d := len(shape) - 1; d >= 0; d-- {
			at += rest % shape[d] * by[d]
			rest /= shape[d]
		}
		out[i] = data[at]
	}
	return one(New(out, shape...), nil)
}

func argMax(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	axis, err := axisOf(n.attr.Int("axis", 0), len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	values, err := in[0].Float64s()
	if err != nil {
		return nil, err
	}
	outer, width, inner := size(in[0].Shape[:axis]), in[0].Shape[axis], size(in[0].Shape[axis+1:])
	out := make([]int64, 0, outer*inner)
	for k := range outer {
		for j := range inner {
			best := 0
			for i := 1; i < width; i++ {
				if values[(k*width+i)*inner+j] > values[(k*width+best)*inner+j] {
					best = i
				}
			}
			out = append(out, int64(best))
		}
	}
	return one(New(out, reduced(in[0].Shape, []int{axis}, n.attr.Int("keepdims", 1) != 0)...), nil)
}

func reduced(shape, axes []int, keep bool) []int {
	out := []int{}
	for i, d := range shape {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

func reduction(start float64, f func(a, b float64) float64, finish func(v float64, n int) float64) operator {
	return operator{run: func(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		named, err := axesOf(n, in)
		if err != nil {
			return nil, err
		}
		shape := in[0].Shape
		axes := []int{}
		for _, a := range named {
			axis, err := axisOf(a, len(shape))
			if err != nil {
				return nil, err
			}
			axes = append(axes, axis)
		}
		if len(axes) == 0 {
			for i := range shape {
				axes = append(axes, i)
			}
		}
		values, err := in[0].Float64s()
		if err != nil {
			return nil, err
		}
		kept := reduced(shape, axes, true)
		steps := strides(kept)
		out, counts := make([]float64, size(kept)), make([]int, size(kept))
		for i := range out {
			out[i] = start
		}
		for i, v := range values {
			at, rest := 0, i
			for d := len(shape) - 1; d >= 0; d-- {
				if kept[d] != 1 {
					at += rest % shape[d] * steps[d]
				}
				rest /= shape[d]
			}
			out[at] = f(out[at], v)
			counts[at]++
		}
		for i := range out {
			if finish != nil {
				out[i] = finish(out[i], counts[i])
			}
		}
		final := reduced(shape, axes, n.attr.Int("keepdims", 1) != 0)
		return one(like(in[0], out, final))
	}}
}

// like gives numbers the element type of t.
func like(t *Tensor, values []float64, shape []int) (*Tensor, error) {
	switch t.Data.(type) {
	case []float32:
		return New(convert[float64, float32](values), shape...), nil
	case []int64:
		return New(convert[float64, int64](values), shape...), nil
	}
	return New(values, shape...), nil
}

func softmax(n *node, opset int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	otherwise := int64(-1)
	if opset < 13 {
		otherwise = 1
	}
	axis, err := axisOf(n.attr.Int("axis", otherwise), len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	values, err := in[0].Float64s()
	if err != nil {
		return nil, err
	}
	width, inner := in[0].Shape[axis], size(in[0].Shape[axis+1:])
	if opset < 13 { // then everything from the axis on is one vector
		width, inner = size(in[0].Shape[axis:]), 1
	}
	out := slices.Clone(values)
	for begin := 0; begin < len(out); begin += width * inner {
		for j := range inner {
			top := math.Inf(-1)
			for i := range width {
				top = max(top, out[begin+i*inner+j])
			}
			sum := 0.0
			for i := range width {
				e := math.Exp(out[begin+i*inner+j] - top)
				out[begin+i*inner+j] = e
				sum += e
			}
			for i := range width {
				out[begin+i*inner+j] /= sum
			}
		}
	}
	return one(like(in[0], out, in[0].Shape))
}
