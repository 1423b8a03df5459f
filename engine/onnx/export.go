package onnx

import (
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Names of the outputs.
const (
	Probabilities = "probabilities"
	Label         = "label"
	Variable      = "variable"
)

// Threshold is the key of meta that sets the decision threshold of a binary model; without it 0.5.
const Threshold = "threshold"

// Export writes the recipe and the model as an ONNX file; the same arguments give the same bytes. inputs are those of the recipe, in its order. meta is stored as the file's
// metadata. A model of a kind that has no ONNX form yet is fault.NotSupported.
func Export(inputs []recipe.Input, f *recipe.Fitted, m learn.Model, meta map[string]string) ([]byte, error) {
	own := f.Inputs()
	if len(inputs) != len(own) {
		return nil, fault.New(fault.Invalid, "the recipe has %d inputs, not %d", len(own), len(inputs))
	}
	for i, in := range inputs {
		if in.Name != own[i].Name || in.Kind != own[i].Kind {
			return nil, fault.New(fault.Invalid, "input %d of the recipe is %s, a %s; not %s, a %s", i, own[i].Name, own[i].Kind, in.Name, in.Kind)
		}
		if in.Name == Probabilities || in.Name == Label || in.Name == Variable {
			return nil, fault.New(fault.Invalid, "an input cannot be called %s, which is an output of the ONNX file", in.Name).WithHint("rename the column")
		}
	}
	if m.Features() != len(f.FeatureNames()) {
		return nil, fault.New(fault.Invalid, "the model reads %d features and the recipe makes %d", m.Features(), len(f.FeatureNames()))
	}
	threshold := 0.5
	if text, ok := meta[Threshold]; ok {
		var err error
		if threshold, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the threshold in the metadata")
		}
	}
	g := newGraph(own)
	features, err := g.features(f)
	if err != nil {
		return nil, err
	}
	margins := ""
	switch m := m.(type) {
	case *tree.Model:
		margins = g.trees(m, features)
	case *linear.Model:
		margins = g.linear(m, features)
	default:
		return nil, fault.New(fault.NotSupported, "a model of kind %s has no ONNX form yet", m.Kind())
	}
	g.finish(m, margins, threshold)
	return g.model(m.Kind(), meta), nil
}

// finish turns margins, double [N, outputs], into the outputs of the task.
func (g *graph) finish(m learn.Model, margins string, threshold float64) {
	k := int64(m.Outputs())
	switch m.Task() {
	case learn.Regression:
		g.output(Variable, g.cast(margins, typeFloat), typeFloat, 1)
	case learn.Binary:
		positive := g.node("Sigmoid", []string{margins})
		negative := g.node("Sub", []string{g.doubles([]float64{1}, 1, 1), positive})
		both := g.node("Concat", []string{negative, positive}, intAttribute("axis", 1))
		reached := g.node("GreaterOrEqual", []string{positive, g.doubles([]float64{threshold}, 1, 1)})
		label := g.node("Reshape", []string{g.cast(reached, typeInt64), g.int64s([]int64{-1}, 1)})
		g.output(Probabilities, g.cast(both, typeFloat), typeFloat, 2)
		g.output(Label, label, typeInt64, 0)
	default:
		shares := g.node("Softmax", []string{margins}, intAttribute("axis", 1))
		g.output(Probabilities, g.cast(shares, typeFloat), typeFloat, k)
		g.output(Label, g.node("ArgMax", []string{shares}, intAttribute("axis", 1), intAttribute("keepdims", 0)), typeInt64, 0)
	}
}

// linear writes margins = x * coefficients + intercept in double, with missing features filled as the model fills them.
func (g *graph) linear(m *linear.Model, features string) string {
	n, k := int64(m.Features()), int64(m.Outputs())
	x := g.cast(features, typeDouble)
	x = g.node("Where", []string{g.node("IsNaN", []string{x}), g.doubles(m.Fill, 1, n), x})
	coefficients := make([]float64, n*k)
	for out, list := range m.Coef {
		for j, c := range list {
			coefficients[int64(j)*k+int64(out)] = c
		}
	}
	return g.node("Add", []string{g.node("MatMul", []string{x, g.doubles(coefficients, n, k)}), g.doubles(m.Intercept, 1, k)})
}

// trees writes the ensemble as a TreeEnsembleRegressor, whose target k is the margin of output k, and adds the base in double.
func (g *graph) trees(m *tree.Model, features string) string {
	outputs := int64(m.Outputs())
	base := g.doubles(m.Base, 1, outputs)
	if len(m.Trees) == 0 { // an empty ensemble is not valid: zero times a feature, without its NaN
		zero := g.node("MatMul", []string{g.cast(g.node("IsNaN", []string{features}), typeDouble), g.doubles(make([]float64, int64(m.Features())*outputs), int64(m.Features()), outputs)})
		return g.node("Add", []string{zero, base})
	}
	var e ensemble
	for i := range m.Trees {
		e.add(int64(i), int64(m.Trees[i].Output), &m.Trees[i])
	}
	sum := g.ml("TreeEnsembleRegressor", []string{features},
		intAttribute("n_targets", outputs), stringAttribute("aggregate_function", "SUM"), stringAttribute("post_transform", "NONE"),
		intsAttribute("nodes_treeids", e.tree), intsAttribute("nodes_nodeids", e.node), intsAttribute("nodes_featureids", e.feature),
		stringsAttribute("nodes_modes", e.mode), floatsAttribute("nodes_values", e.threshold),
		intsAttribute("nodes_truenodeids", e.left), intsAttribute("nodes_falsenodeids", e.right), intsAttribute("nodes_missing_value_tracks_true", e.missingLeft),
		intsAttribute("target_treeids", e.leafTree), intsAttribute("target_nodeids", e.leafNode), intsAttribute("target_ids", e.target), floatsAttribute("target_weights", e.weight))
	return g.node("Add", []string{g.cast(sum, typeDouble), base})
}

// ensemble is the parallel lists of a TreeEnsembleRegressor.
type ensemble struct {
	tree, node, feature, left, right, missingLeft []int64
	mode                                          []string
	threshold                                     []float32
	leafTree, leafNode, target                    []int64
	weight                                        []float32
}

func (e *ensemble) add(number, output int64, t *tree.Tree) {
	for n, feature := range t.Feature {
		e.tree, e.node = append(e.tree, number), append(e.node, int64(n))
		if feature < 0 {
			e.leafTree, e.leafNode, e.target = append(e.leafTree, number), append(e.leafNode, int64(n)), append(e.target, output)
			e.weight = append(e.weight, float32(t.Value[n]))
			e.split("LEAF", 0, 0, 0, 0, 0)
			continue
		}
		missingLeft := int64(0)
		if t.MissingLeft[n] {
			missingLeft = 1
		}
		e.split("BRANCH_LEQ", int64(feature), tree.Floor32(t.Threshold[n]), int64(t.Left[n]), int64(t.Right[n]), missingLeft)
	}
}

func (e *ensemble) split(mode string, feature int64, threshold float32, left, right, missingLeft int64) {
	e.mode = append(e.mode, mode)
	e.feature, e.threshold = append(e.feature, feature), append(e.threshold, threshold)
	e.left, e.right, e.missingLeft = append(e.left, left), append(e.right, right), append(e.missingLeft, missingLeft)
}
