package onnx

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/bayes"
)

// bayes writes what naive Bayes predicts: in double, for each class the logarithm of its share, the Gaussians' logarithms
// and the cells of its tables. What is missing adds nothing, an infinite number counts as the largest float32.
func (g *graph) bayes(m *bayes.Model, features string) string {
	n, k := int64(m.Features()), int64(len(m.Prior))
	x := g.cast(features, typeDouble)
	missing := g.node("IsNaN", []string{x})
	x = g.node("Where", []string{missing, g.doubles([]float64{0}, 1, 1), x})
	x = g.bound("Less", -math.MaxFloat32, g.bound("Greater", math.MaxFloat32, x))
	there := g.cast(g.node("Not", []string{missing}), typeDouble)
	one := g.int64s([]int64{1}, 1)
	classes := make([]string, k)
	for c := range m.Prior {
		mean, weight, scale := make([]float64, n), make([]float64, n), make([]float64, n) // 0 for what is no Gaussian
		for j, f := range m.Columns {
			if f.Mean != nil {
				mean[j], weight[j], scale[j] = f.Mean[c], -0.5/f.Variance[c], -math.Log(2*math.Pi*f.Variance[c])/2
			}
		}
		d := g.node("Sub", []string{x, g.doubles(mean, 1, n)})
		log := g.node("Mul", []string{g.node("Mul", []string{d, d}), g.doubles(weight, 1, n)})
		log = g.node("Mul", []string{g.node("Add", []string{log, g.doubles(scale, 1, n)}), there})
		classes[c] = g.node("ReduceSum", []string{log, one}, intAttribute("keepdims", 1))
	}
	joint := g.node("Concat", classes, intAttribute("axis", 1))
	for j, f := range m.Columns {
		if f.Log == nil {
			continue
		}
		levels := int64(len(f.Log)) / k
		table := make([]float64, (levels+2)*k) // what is unseen or missing says nothing
		for c := range k {
			for v := range levels {
				table[v*k+c] = f.Log[c*levels+v]
			}
		}
		joint = g.node("Add", []string{joint, g.cell(features, j, table, k)})
	}
	joint = g.node("Add", []string{joint, g.doubles(m.Prior, 1, k)})
	if m.Task() == learn.Multiclass {
		return g.node("Softmax", []string{joint}, intAttribute("axis", 1))
	}
	class := func(i int64) string {
		return g.node("Gather", []string{joint, g.int64s([]int64{i}, 1)}, intAttribute("axis", 1))
	}
	return g.node("Sigmoid", []string{g.node("Sub", []string{class(1), class(0)})})
}
