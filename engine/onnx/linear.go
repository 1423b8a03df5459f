package onnx

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/linear"
)

// linear writes margins = x * coefficients + intercept in double. A missing number is filled as the model fills it and
// adds its gap besides; an infinite one counts as the largest float32; a category adds its cell of the table.
func (g *graph) linear(m *linear.Model, features string) string {
	n, k := int64(m.Features()), int64(m.Outputs())
	x := g.cast(features, typeDouble)
	missing := g.node("IsNaN", []string{x})
	fill := slices.Clone(m.Fill)
	gaps := make([]float64, n*k)
	gap := false
	for out, list := range m.Gap {
		for j, v := range list {
			if v != v { // a prediction is NaN then
				fill[j] = v
				continue
			}
			gaps[int64(j)*k+int64(out)] = v
			gap = gap || v != 0
		}
	}
	coefficients := make([]float64, n*k)
	for out, list := range m.Coef {
		for j, c := range list {
			coefficients[int64(j)*k+int64(out)] = c
		}
	}
	for j, table := range m.Tables {
		if table != nil { // its column adds nothing as a number
			fill[j] = 0
		}
	}
	x = g.node("Where", []string{missing, g.doubles(fill, 1, n), x})
	x = g.bound("Less", -math.MaxFloat32, g.bound("Greater", math.MaxFloat32, x))
	margins := g.node("MatMul", []string{x, g.doubles(coefficients, n, k)})
	if gap {
		margins = g.node("Add", []string{margins, g.node("MatMul", []string{g.cast(missing, typeDouble), g.doubles(gaps, n, k)})})
	}
	for j, table := range m.Tables {
		if table != nil {
			margins = g.node("Add", []string{margins, g.cell(features, j, table, k)})
		}
	}
	return g.node("Add", []string{margins, g.doubles(m.Intercept, 1, k)})
}

// bound replaces what is beyond the limit by it; Clip need not keep NaN.
func (g *graph) bound(op string, limit float64, x string) string {
	at := g.doubles([]float64{limit}, 1, 1)
	return g.node("Where", []string{g.node(op, []string{x, at}), at, x})
}

// cell is the row of a feature's table, double [N, outputs], for the category in its column: those of the levels, then
// that of unseen categories, then that of missing ones.
func (g *graph) cell(features string, column int, table []float64, outputs int64) string {
	levels := int64(len(table))/outputs - 2
	number := func(v int64) string { return g.floats([]float32{float32(v)}, 1, 1) }
	x := g.node("Gather", []string{features, g.int64s([]int64{int64(column)}, 1)}, intAttribute("axis", 1))
	known := g.node("And", []string{g.node("Equal", []string{x, g.node("Floor", []string{x})}),
		g.node("And", []string{g.node("GreaterOrEqual", []string{x, number(0)}), g.node("Less", []string{x, number(levels)})})})
	row := g.node("Where", []string{known, x, number(levels)})
	row = g.node("Where", []string{g.node("IsNaN", []string{x}), number(levels + 1), row})
	flat := g.node("Reshape", []string{g.cast(row, typeInt64), g.int64s([]int64{-1}, 1)})
	return g.node("Gather", []string{g.doubles(table, levels+2, outputs), flat}, intAttribute("axis", 0))
}
