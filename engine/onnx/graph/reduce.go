package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// reducers compute one number of many, in float64.
var reducers = map[string]func(v []float64) float64{
	"ReduceSum":  sumOf,
	"ReduceMean": func(v []float64) float64 { return sumOf(v) / float64(len(v)) },
	"ReduceProd": func(v []float64) float64 {
		p := 1.0
		for _, x := range v {
			p *= x
		}
		return p
	},
	"ReduceMax": func(v []float64) float64 {
		m := math.Inf(-1)
		for _, x := range v {
			m = math.Max(m, x)
		}
		return m
	},
	"ReduceMin": func(v []float64) float64 {
		m := math.Inf(1)
		for _, x := range v {
			m = math.Min(m, x)
		}
		return m
	},
	"ReduceL1": func(v []float64) float64 {
		s := 0.0
		for _, x := range v {
			s += math.Abs(x)
		}
		return s
	},
	"ReduceL2":        func(v []float64) float64 { return math.Sqrt(squares(v)) },
	"ReduceSumSquare": squares,
	"ReduceLogSum":    func(v []float64) float64 { return math.Log(sumOf(v)) },
	"ReduceLogSumExp": func(v []float64) float64 {
		top := math.Inf(-1)
		for _, x := range v {
			top = math.Max(top, x)
		}
		if math.IsInf(top, 0) {
			return top
		}
		s := 0.0
		for _, x := range v {
			s += math.Exp(x - top)
		}
		return top + math.Log(s)
	},
}

// wholeReducers are those whose answers a float64 may not hold.
var wholeReducers = map[string]func(v []int64) int64{
	"ReduceSum": func(v []int64) int64 {
		s := int64(0)
		for _, x := range v {
			s += x
		}
		return s
	},
	"ReduceProd": func(v []int64) int64 {
		p := int64(1)
		for _, x := range v {
			p *= x
		}
		return p
	},
	"ReduceMean": func(v []int64) int64 {
		s := int64(0)
		for _, x := range v {
			s += x
		}
		return s / int64(max(len(v), 1))
	},
	"ReduceMax": func(v []int64) int64 {
		if len(v) == 0 {
			return math.MinInt64
		}
		return slices.Max(v)
	},
	"ReduceMin": func(v []int64) int64 {
		if len(v) == 0 {
			return math.MaxInt64
		}
		return slices.Min(v)
	},
	"ReduceSumSquare": func(v []int64) int64 {
		s := int64(0)
		for _, x := range v {
			s += x * x
		}
		return s
	},
}

func sumOf(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

func squares(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x * x
	}
	return s
}

var reductions = func() map[string]operator {
	out := map[string]operator{}
	for name := range reducers {
		out[name] = operator{run: halves(func(c *call) { reduce(c, name) })}
	}
	return out
}()

func reduce(c *call, name string) {
	t := c.arg(0)
	named := c.axes(1)
	if len(named) == 0 && c.attr.Int("noop_with_empty_axes", 0) != 0 {
		reduceNothing(c, name, t)
		return
	}
	axes := make([]int, 0, len(t.Shape))
	for _, a := range named {
		axes = append(axes, axisOf(a, len(t.Shape)))
	}
	if len(named) == 0 {
		for i := range t.Shape {
			axes = append(axes, i)
		}
	}
	final := without(t.Shape, axes, c.attr.Int("keepdims", 1) != 0)
	t, width := c.trailing(t, axes)
	count := size(final)
	if whole, ok := wholeReducers[name]; ok {
		switch x := t.Data.(type) {
		case []int64:
			out := alloc[int64](c, 0, final...)
			for i := range out {
				out[i] = whole(x[i*width : (i+1)*width])
			}
			return
		case []bool:
			if name == "ReduceMax" || name == "ReduceMin" {
				out := alloc[bool](c, 0, final...)
				for i := range out {
					row := x[i*width : (i+1)*width]
					out[i] = slices.Contains(row, name == "ReduceMax") == (name == "ReduceMax")
				}
				return
			}
		}
	}
	f := reducers[name]
	if x, ok := t.Data.([]float32); ok {
		out := alloc[float32](c, 0, final...)
		row := make([]float64, width)
		for i := range out {
			for k, v := range x[i*width : (i+1)*width] {
				row[k] = float64(v)
			}
			out[i] = float32(f(row))
		}
		return
	}
	x := as[float64](t)
	values := make([]float64, count)
	for i := range values {
		values[i] = f(x[i*width : (i+1)*width])
	}
	if kind := t.Type(); width == 0 && kind.Numeric() && kind < tensor.FP16 && (name == "ReduceMax" || name == "ReduceMin") {
		// The least and the greatest of nothing are the ends of the type.
		ends, _ := castTensor(New([]int64{math.MinInt32, math.MaxInt32}, 2), tensor.Int64, false)
		at := 0
		if name == "ReduceMin" {
			at = 1
		}
		for i := range values {
			values[i] = float64(ends.Data.([]int64)[at])
		}
	}
	c.like(0, t, values, final...)
}

// reduceNothing is a reduction over no axis: each number by itself.
func reduceNothing(c *call, name string, t *Tensor) {
	f := reducers[name]
	values := as[float64](t)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = f([]float64{v})
	}
	c.like(0, t, out, t.Shape...)
}

// without is a shape with some dimensions taken away, or made 1.
func without(shape, axes []int, keep bool) []int {
	out := make([]int, 0, len(shape))
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

// trailing turns a tensor so that the axes are its last, and gives the product of their sizes.
func (c *call) trailing(t *Tensor, axes []int) (*Tensor, int) {
	width := 1
	seen := make([]bool, len(t.Shape))
	for _, a := range axes {
		if !seen[a] {
			width *= t.Shape[a]
		}
		seen[a] = true
	}
	order, moved := make([]int, 0, len(t.Shape)), false
	for i := range t.Shape {
		if !seen[i] {
			moved = moved || len(order) < i
			order = append(order, i)
		}
	}
	if !moved {
		return t, width
	}
	for i := range t.Shape {
		if seen[i] {
			order = append(order, i)
		}
	}
	inner := call{node: c.node, run: c.run, out: make([]*Tensor, 1), kept: make([]*Tensor, 1), views: make([]*Tensor, 1)}
	inner.transposed(0, t, order)
	return inner.out[0], width
}
