package onnx

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/mlp"
)

// network writes what a network predicts: inputs are expanded and squashed in double, layers are in single precision.
func (g *graph) network(m *mlp.Model, features string) string {
	width := int64(m.Expansion().Width())
	x := g.expand(m.Expansion(), features)
	wide := func(v []float32) []float64 {
		out := make([]float64, len(v))
		for i := range v {
			out[i] = float64(v[i])
		}
		return out
	}
	number := func(v float64) string { return g.doubles([]float64{v}, 1, 1) }
	s := g.node("Mul", []string{g.node("Sub", []string{x, g.doubles(wide(m.Median), 1, width)}), g.doubles(wide(m.Factor), 1, width)})
	third := g.node("Div", []string{s, number(3)})
	bent := g.node("Sqrt", []string{g.node("Add", []string{g.node("Mul", []string{third, third}), number(1)})})
	v := g.cast(g.node("Div", []string{s, bent}), typeFloat)
	layers := m.Layers()
	for i, y := range layers {
		v = g.node("MatMul", []string{v, g.floats(y.Weight, int64(y.Inputs), int64(y.Outputs))})
		v = g.node("Add", []string{v, g.floats(y.Bias, 1, int64(y.Outputs))})
		if i < len(layers)-1 {
			v = g.activation(m.Activation(), v)
		}
	}
	v = g.cast(v, typeDouble)
	switch m.Task() {
	case learn.Binary:
		return g.node("Sigmoid", []string{v})
	case learn.Multiclass:
		return g.node("Softmax", []string{v}, intAttribute("axis", 1))
	}
	return g.node("Add", []string{g.node("Mul", []string{v, number(m.Spread)}), number(m.Centre)})
}

// activation writes the function between layers of floats, from operators that every runtime has.
func (g *graph) activation(name, z string) string {
	number := func(v float32) string { return g.floats([]float32{v}, 1, 1) }
	switch name {
	case "relu":
		return g.node("Relu", []string{z})
	case "selu":
		low := g.node("Exp", []string{g.node("Min", []string{z, number(0)})})
		low = g.node("Sub", []string{g.node("Mul", []string{low, number(mlp.SeluLow)}), number(mlp.SeluLow)})
		return g.node("Where", []string{g.node("Greater", []string{z, number(0)}), g.node("Mul", []string{z, number(mlp.SeluScale)}), low})
	}
	// Mish: z tanh(log(1+e^z)) = z n/(n+2) with n = e(e+2), e = e^z; above 20 that is z.
	e := g.node("Exp", []string{g.node("Min", []string{z, number(20)})})
	n := g.node("Mul", []string{e, g.node("Add", []string{e, number(2)})})
	return g.node("Mul", []string{z, g.node("Div", []string{n, g.node("Add", []string{n, number(2)})})})
}

// expand writes the expanded row, double [N, width].
func (g *graph) expand(e *expand.Expansion, features string) string {
	n := int64(e.Features())
	x := g.cast(features, typeDouble)
	missing := g.node("IsNaN", []string{x})
	fill := make([]float64, n)
	for j := range fill {
		fill[j] = float64(e.Form(j).Fill)
	}
	numbers := g.node("Where", []string{missing, g.doubles(fill, 1, n), x})
	numbers = g.bound("Less", -math.MaxFloat32, g.bound("Greater", math.MaxFloat32, numbers))
	parts := []string{numbers, g.cast(missing, typeDouble)}
	next := 2 * n                        // the next column of all parts together
	order := make([]int64, 0, e.Width()) // the part column of each expanded one
	for j := range n {
		f := e.Form(int(j))
		switch {
		case f.OneHot > 0:
			codes := make([]float64, f.OneHot)
			for c := range codes {
				codes[c] = float64(c)
				order = append(order, next)
				next++
			}
			own := g.node("Gather", []string{x, g.int64s([]int64{j}, 1)}, intAttribute("axis", 1))
			parts = append(parts, g.cast(g.node("Equal", []string{own, g.doubles(codes, 1, int64(f.OneHot))}), typeDouble))
		case f.Rank != nil:
			table := make([]float64, 0, len(f.Rank)+2)
			for _, r := range f.Rank {
				table = append(table, float64(r))
			}
			parts = append(parts, g.cell(features, int(j), append(table, float64(len(f.Rank)), float64(f.Fill)), 1))
			order = append(order, next)
			next++
		default:
			order = append(order, j)
		}
		if f.Missing {
			order = append(order, n+j)
		}
	}
	all := g.node("Concat", parts, intAttribute("axis", 1))
	return g.node("Gather", []string{all, g.int64s(order, int64(len(order)))}, intAttribute("axis", 1))
}
