package graph

import (
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var elementwise = map[string]operator{
	"Add": arithmetic(func(a, b float64) float64 { return a + b }, func(a, b float32) float32 { return a + b }, func(a, b int64) int64 { return a + b }),
	"Sub": arithmetic(func(a, b float64) float64 { return a - b }, func(a, b float32) float32 { return a - b }, func(a, b int64) int64 { return a - b }),
	"Mul": arithmetic(func(a, b float64) float64 { return a * b }, func(a, b float32) float32 { return a * b }, func(a, b int64) int64 { return a * b }),
	"Div": arithmetic(func(a, b float64) float64 { return a / b }, func(a, b float32) float32 { return a / b }, func(a, b int64) int64 {
		if b == 0 {
			return 0
		}
		return a / b
	}),
	"Pow": arithmetic(math.Pow, func(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) }, func(a, b int64) int64 { return int64(math.Pow(float64(a), float64(b))) }),
	"Max": arithmetic(math.Max, func(a, b float32) float32 { return float32(math.Max(float64(a), float64(b))) }, func(a, b int64) int64 { return max(a, b) }),
	"Min": arithmetic(math.Min, func(a, b float32) float32 { return float32(math.Min(float64(a), float64(b))) }, func(a, b int64) int64 { return min(a, b) }),

	"Greater":        comparison(func(a, b float64) bool { return a > b }),
	"GreaterOrEqual": comparison(func(a, b float64) bool { return a >= b }),
	"Less":           comparison(func(a, b float64) bool { return a < b }),
	"LessOrEqual":    comparison(func(a, b float64) bool { return a <= b }),
	"Equal":          {run: equal},
	"And":            logic(func(a, b bool) bool { return a && b }),
	"Or":             logic(func(a, b bool) bool { return a || b }),
	"Xor":            logic(func(a, b bool) bool { return a != b }),
	"Not": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		flags, ok := in[0].Data.([]bool)
		if !ok {
			return nil, wrongType(in[0])
		}
		out := make([]bool, len(flags))
		for i, f := range flags {
			out[i] = !f
		}
		return one(New(out, in[0].Shape...), nil)
	}},
	"IsNaN": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		values, err := in[0].Float64s()
		if err != nil {
			return nil, err
		}
		out := make([]bool, len(values))
		for i, v := range values {
			out[i] = math.IsNaN(v)
		}
		return one(New(out, in[0].Shape...), nil)
	}},

	"Relu":       unary(func(x float64) float64 { return max(x, 0) }),
	"Sigmoid":    {run: sigmoids},
	"Tanh":       unary(math.Tanh),
	"Exp":        unary(math.Exp),
	"Log":        unary(math.Log),
	"Neg":        unary(func(x float64) float64 { return -x }),
	"Abs":        unary(math.Abs),
	"Sqrt":       unary(math.Sqrt),
	"Floor":      unary(math.Floor),
	"Ceil":       unary(math.Ceil),
	"Round":      unary(math.RoundToEven),
	"Erf":        unary(math.Erf),
	"Reciprocal": unary(func(x float64) float64 { return 1 / x }),
	"Sign": unary(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return 0
	}),

	"Identity": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) { return in[:1], need(in, 1) }},
	"Cast":     {run: cast},
	"Clip":     {run: clip},
	"Where":    {run: where},
	"Constant": {run: constant},
}

func arithmetic(d func(a, b float64) float64, f func(a, b float32) float32, i func(a, b int64) int64) operator {
	return operator{run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		out := in[0]
		for _, next := range in[1:] { // Max and Min take any number of inputs
			var err error
			if out, err = pair(out, next, d, f, i); err != nil {
				return nil, err
			}
		}
		return one(out, nil)
	}}
}

func pair(a, b *Tensor, d func(a, b float64) float64, f func(a, b float32) float32, i func(a, b int64) int64) (*Tensor, error) {
	shape, at, err := broadcast(a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	switch x := a.Data.(type) {
	case []float32:
		if y, ok := b.Data.([]float32); ok {
			return New(zip(x, y, size(shape), at, f), shape...), nil
		}
	case []float64:
		if y, ok := b.Data.([]float64); ok {
			return New(zip(x, y, size(shape), at, d), shape...), nil
		}
	case []int64:
		if y, ok := b.Data.([]int64); ok {
			return New(zip(x, y, size(shape), at, i), shape...), nil
		}
	}
	return nil, fault.New(fault.Corrupt, "it joins %T and %T", a.Data, b.Data)
}

func zip[A, B, C any](x []A, y []B, n int, at func(int) (int, int), f func(A, B) C) []C {
	out := make([]C, n)
	for i := range out {
		p, q := at(i)
		out[i] = f(x[p], y[q])
	}
	return out
}

func comparison(f func(a, b float64) bool) operator {
	return operator{run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 2); err != nil {
			return nil, err
		}
		shape, at, err := broadcast(in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		x, err := in[0].Float64s()
		if err != nil {
			return nil, err
		}
		y, err := in[1].Float64s()
		if err != nil {
			return nil, err
		}
		return one(New(zip(x, y, size(shape), at, f), shape...), nil)
	}}
}

func equal(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 2); err != nil {
		return nil, err
	}
	x, texts := in[0].Data.([]string)
	y, both := in[1].Data.([]string)
	if texts != both {
		return nil, fault.New(fault.Corrupt, "it compares %T and %T", in[0].Data, in[1].Data)
	}
	if !texts {
		return comparison(func(a, b float64) bool { return a == b }).run(nil, 0, in)
	}
	shape, at, err := broadcast(in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	return one(New(zip(x, y, size(shape), at, func(a, b string) bool { return a == b }), shape...), nil)
}

func logic(f func(a, b bool) bool) operator {
	return operator{run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 2); err != nil {
			return nil, err
		}
		x, okX := in[0].Data.([]bool)
		y, okY := in[1].Data.([]bool)
		if !okX || !okY {
			return nil, wrongType(in[0])
		}
		shape, at, err := broadcast(in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		return one(New(zip(x, y, size(shape), at, f), shape...), nil)
	}}
}

func unary(f func(float64) float64) operator {
	return operator{run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 1); err != nil {
			return nil, err
		}
		switch x := in[0].Data.(type) {
		case []float32:
			return one(New(each(x, f), in[0].Shape...), nil)
		case []float64:
			return one(New(each(x, f), in[0].Shape...), nil)
		case []int64:
			return one(New(each(x, f), in[0].Shape...), nil)
		}
		return nil, wrongType(in[0])
	}}
}

func each[T number](x []T, f func(float64) float64) []T {
	out := make([]T, len(x))
	for i, v := range x {
		out[i] = T(f(float64(v)))
	}
	return out
}

func sigmoids(n *node, opset int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	if x, ok := in[0].Data.([]float32); ok {
		out := make([]float32, len(x))
		for i, v := range x {
			out[i] = sigmoid(v)
		}
		return one(New(out, in[0].Shape...), nil)
	}
	return unary(func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }).run(n, opset, in)
}

func cast(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	to := n.attr.Int("to", format.Float)
	if texts, ok := in[0].Data.([]string); ok {
		return castTexts(texts, in[0].Shape, to)
	}
	switch to {
	case format.Float:
		v, err := in[0].floats()
		return one(&Tensor{in[0].Shape, v}, err)
	case format.Double:
		v, err := in[0].Float64s()
		return one(&Tensor{in[0].Shape, v}, err)
	case format.Int64, format.Int32:
		v, err := in[0].ints()
		return one(&Tensor{in[0].Shape, v}, err)
	}
	values, err := in[0].Float64s()
	if err != nil {
		return nil, err
	}
	switch to {
	case format.Bool:
		out := make([]bool, len(values))
		for i, v := range values {
			out[i] = v != 0
		}
		return one(New(out, in[0].Shape...), nil)
	case format.String:
		bits := 64
		if _, ok := in[0].Data.([]float32); ok {
			bits = 32
		}
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = strconv.FormatFloat(v, 'g', -1, bits)
		}
		return one(New(out, in[0].Shape...), nil)
	}
	return nil, fault.New(fault.FormatNotServed, "it casts to the element type %d", to)
}

func castTexts(texts []string, shape []int, to int64) ([]*Tensor, error) {
	if to == format.String {
		return one(New(texts, shape...), nil)
	}
	values := make([]float64, len(texts))
	for i, s := range texts {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%.40q is not a number", s)
		}
		values[i] = v
	}
	switch to {
	case format.Float:
		return one(New(convert[float64, float32](values), shape...), nil)
	case format.Double:
		return one(New(values, shape...), nil)
	case format.Int64, format.Int32:
		return one(New(convert[float64, int64](values), shape...), nil)
	}
	return nil, fault.New(fault.FormatNotServed, "it casts text to the element type %d", to)
}

func clip(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 1); err != nil {
		return nil, err
	}
	lo, hi := math.Inf(-1), math.Inf(1)
	if v, ok := n.attr["min"].(float32); ok {
		lo = float64(v)
	}
	if v, ok := n.attr["max"].(float32); ok {
		hi = float64(v)
	}
	for i, bound := range []*float64{&lo, &hi} {
		if len(in) > i+1 && in[i+1] != nil {
			v, err := in[i+1].Float64s()
			if err != nil || len(v) == 0 {
				return nil, fault.New(fault.Corrupt, "a bound of it is no number")
			}
			*bound = v[0]
		}
	}
	return unary(func(x float64) float64 { return min(max(x, lo), hi) }).run(n, 0, in[:1])
}

func where(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 3); err != nil {
		return nil, err
	}
	when, ok := in[0].Data.([]bool)
	if !ok {
		return nil, wrongType(in[0])
	}
	both, _, err := broadcast(in[1].Shape, in[2].Shape)
	if err != nil {
		return nil, err
	}
	shape, _, err := broadcast(in[0].Shape, both)
	if err != nil {
		return nil, err
	}
	_, atWhen, _ := broadcast(shape, in[0].Shape)
	_, atYes, _ := broadcast(shape, in[1].Shape)
	_, atNo, _ := broadcast(shape, in[2].Shape)
	pick := func(i int) (int, bool, int) {
		_, w := atWhen(i)
		if when[w] {
			_, p := atYes(i)
			return p, true, 0
		}
		_, q := atNo(i)
		return 0, false, q
	}
	switch yes := in[1].Data.(type) {
	case []float32:
		return choose(yes, in[2], shape, pick)
	case []float64:
		return choose(yes, in[2], shape, pick)
	case []int64:
		return choose(yes, in[2], shape, pick)
	case []string:
		return choose(yes, in[2], shape, pick)
	}
	return nil, wrongType(in[1])
}

func choose[T float32 | float64 | int64 | string | bool](yes []T, other *Tensor, shape []int, pick func(int) (int, bool, int)) ([]*Tensor, error) {
	no, ok := other.Data.([]T)
	if !ok {
		return nil, fault.New(fault.Corrupt, "it chooses between %T and %T", yes, other.Data)
	}
	out := make([]T, size(shape))
	for i := range out {
		if p, first, q := pick(i); first {
			out[i] = yes[p]
		} else {
			out[i] = no[q]
		}
	}
	return one(New(out, shape...), nil)
}

func constant(n *node, _ int64, _ []*Tensor) ([]*Tensor, error) {
	for name, value := range n.attr {
		switch v := value.(type) {
		case *Tensor:
			return one(v, nil)
		case float32:
			return one(New([]float32{v}), nil)
		case int64:
			return one(New([]int64{v}), nil)
		case string:
			return one(New([]string{v}), nil)
		case []float32:
			return one(New(v, len(v)), nil)
		case []int64:
			return one(New(v, len(v)), nil)
		case []string:
			return one(New(v, len(v)), nil)
		}
		return nil, fault.New(fault.FormatNotServed, "its value %s is of a kind that is not evaluated here", name)
	}
	return nil, fault.New(fault.Corrupt, "it has no value")
}
