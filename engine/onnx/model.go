package onnx

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/bayes"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/mlp"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Features is the input of a file that ExportModel writes, float [N, features], and the key of its metadata that has
// the features' names as a JSON list.
const Features = "features"

// ExportModel writes a model without a recipe: its input is the matrix that the model reads. The outputs are those of
// Export, with the threshold 0.5; the same arguments give the same bytes. names are those of the features, nil when
// they have none. A model of a kind that has no ONNX form is fault.NotSupported.
func ExportModel(m learn.Model, names []string) ([]byte, error) {
	meta := map[string]string{}
	if names != nil {
		text, err := json.Marshal(names)
		if err != nil {
			return nil, err
		}
		meta[Features] = string(text)
	}
	g := newGraph(nil)
	g.inputs = append(g.inputs, valueInfo(Features, typeFloat, int64(m.Features()), ""))
	if err := g.predict(m, Features, 0.5); err != nil {
		return nil, err
	}
	return g.model(m.Kind(), meta), nil
}

// predict writes the model on features, float [N, features], and its outputs.
func (g *graph) predict(m learn.Model, features string, threshold float64) error {
	predictions, err := g.predictions(m, features)
	if err != nil {
		return err
	}
	g.finish(m, predictions, threshold)
	return nil
}

// predictions writes what the model predicts, double [N, outputs].
func (g *graph) predictions(m learn.Model, features string) (string, error) {
	if inner, c, ok := calibrate.Unwrap(m); ok {
		predictions, err := g.predictions(inner, features)
		if err != nil {
			return "", err
		}
		return g.calibrate(c, predictions)
	}
	switch m := m.(type) {
	case *bayes.Model:
		return g.bayes(m, features), nil
	case *mlp.Model:
		return g.network(m, features), nil
	}
	link, scale, margins := tree.LinkOf(m.Task()), 1.0, ""
	switch m := m.(type) {
	case *tree.Model:
		link, scale = m.Link, m.Scale
		var err error
		if margins, err = g.trees(m, features); err != nil {
			return "", err
		}
	case *linear.Model:
		margins = g.linear(m, features)
	default:
		return "", fault.New(fault.NotSupported, "a model of kind %s has no ONNX form yet", m.Kind())
	}
	return g.link(link, scale, margins), nil
}

// link writes the predictions of margins, double [N, outputs].
func (g *graph) link(link tree.Link, scale float64, margins string) string {
	constant := func(v float64) string { return g.doubles([]float64{v}, 1, 1) }
	logistic := func() string {
		if scale != 1 {
			margins = g.node("Mul", []string{margins, constant(scale)})
		}
		return g.node("Sigmoid", []string{margins})
	}
	switch link {
	case tree.Logistic, tree.LogisticApart:
		return logistic()
	case tree.LogisticEach:
		shares := logistic()
		sum := g.node("ReduceSum", []string{shares, g.int64s([]int64{1}, 1)}, intAttribute("keepdims", 1))
		return g.node("Div", []string{shares, sum})
	case tree.Softmax:
		return g.node("Softmax", []string{margins}, intAttribute("axis", 1))
	case tree.Exp:
		return g.node("Exp", []string{margins})
	case tree.SignedSquare:
		return g.node("Mul", []string{margins, g.node("Abs", []string{margins})})
	case tree.Softplus: // max(m, 0) + log(1 + e^-|m|)
		small := g.node("Exp", []string{g.node("Neg", []string{g.node("Abs", []string{margins})})})
		log := g.node("Log", []string{g.node("Add", []string{small, constant(1)})})
		return g.node("Add", []string{g.node("Max", []string{margins, constant(0)}), log})
	case tree.Step:
		return g.cast(g.node("Greater", []string{margins, constant(0)}), typeDouble)
	}
	return margins
}

// finish turns predictions, double [N, outputs], into the outputs of the task.
func (g *graph) finish(m learn.Model, predictions string, threshold float64) {
	k := int64(m.Outputs())
	switch m.Task() {
	case learn.Regression, learn.Ranking:
		g.output(Variable, g.cast(predictions, typeFloat), typeFloat, k)
	case learn.Binary:
		negative := g.node("Sub", []string{g.doubles([]float64{1}, 1, 1), predictions})
		both := g.node("Concat", []string{negative, predictions}, intAttribute("axis", 1))
		reached := g.node("GreaterOrEqual", []string{predictions, g.doubles([]float64{threshold}, 1, 1)})
		label := g.node("Reshape", []string{g.cast(reached, typeInt64), g.int64s([]int64{-1}, 1)})
		g.output(Probabilities, g.cast(both, typeFloat), typeFloat, 2)
		g.output(Label, label, typeInt64, 0)
	default:
		g.output(Probabilities, g.cast(predictions, typeFloat), typeFloat, k)
		g.output(Label, g.node("ArgMax", []string{predictions}, intAttribute("axis", 1), intAttribute("keepdims", 0)), typeInt64, 0)
	}
}

// trees writes the ensemble as a TreeEnsembleRegressor, whose target k is the sum of output k, and makes margins of the
// sums in double.
func (g *graph) trees(m *tree.Model, features string) (string, error) {
	outputs := int64(m.Outputs())
	base := g.doubles(m.Base, 1, outputs)
	if len(m.Trees) == 0 { // an empty ensemble is not valid: zero times a feature, without its NaN
		zero := g.node("MatMul", []string{g.cast(g.node("IsNaN", []string{features}), typeDouble), g.doubles(make([]float64, int64(m.Features())*outputs), int64(m.Features()), outputs)})
		return g.node("Add", []string{zero, base}), nil
	}
	var e ensemble
	count := make([]float64, outputs)
	for i := range m.Trees {
		if err := e.add(int64(i), int64(m.Trees[i].Output), &m.Trees[i]); err != nil {
			return "", err
		}
		count[m.Trees[i].Output]++
	}
	sum := g.ml("TreeEnsembleRegressor", []string{g.zeroMissing(m.ZeroMissing, features)},
		intAttribute("n_targets", outputs), stringAttribute("aggregate_function", "SUM"), stringAttribute("post_transform", "NONE"),
		intsAttribute("nodes_treeids", e.tree), intsAttribute("nodes_nodeids", e.node), intsAttribute("nodes_featureids", e.feature),
		stringsAttribute("nodes_modes", e.mode), floatsAttribute("nodes_values", e.threshold), floatsAttribute("nodes_hitrates", e.cover),
		intsAttribute("nodes_truenodeids", e.left), intsAttribute("nodes_falsenodeids", e.right), intsAttribute("nodes_missing_value_tracks_true", e.missingLeft),
		intsAttribute("target_treeids", e.leafTree), intsAttribute("target_nodeids", e.leafNode), intsAttribute("target_ids", e.target), floatsAttribute("target_weights", e.weight))
	sum = g.cast(sum, typeDouble)
	if m.Average {
		for k := range count {
			count[k] = 1 / max(count[k], 1)
		}
		sum = g.node("Mul", []string{sum, g.doubles(count, 1, outputs)})
	}
	return g.node("Add", []string{sum, base}), nil
}

// zeroMissing makes NaN of the values that count as missing for being next to zero.
func (g *graph) zeroMissing(flags []bool, features string) string {
	if !slices.Contains(flags, true) {
		return features
	}
	bars := make([]float32, len(flags)) // below 0: nothing is that small
	for j, zero := range flags {
		bars[j] = -1
		if zero {
			bars[j] = 1e-35
		}
	}
	small := g.node("LessOrEqual", []string{g.node("Abs", []string{features}), g.floats(bars, 1, int64(len(bars)))})
	return g.node("Where", []string{small, g.floats([]float32{float32(math.NaN())}, 1, 1), features})
}

// ensemble is the parallel lists of a TreeEnsembleRegressor.
type ensemble struct {
	tree, node, feature, left, right, missingLeft []int64
	mode                                          []string
	threshold, cover                              []float32
	leafTree, leafNode, target                    []int64
	weight                                        []float32

	categories int // comparisons with a category so far
}

// maxCategories is the most comparisons with a category: each is a node, and a row may have to pass all of a set's.
const maxCategories = 1 << 20

func (e *ensemble) add(number, output int64, t *tree.Tree) error {
	next := int64(len(t.Feature)) // the number of the next node that the tree here does not have
	for n, feature := range t.Feature {
		e.cover = append(e.cover, float32(t.Cover[n]))
		if feature < 0 {
			e.leafTree, e.leafNode, e.target = append(e.leafTree, number), append(e.leafNode, int64(n)), append(e.target, output)
			e.weight = append(e.weight, float32(t.Value[n]))
			e.split(number, int64(n), "LEAF", 0, 0, 0, 0, 0)
			continue
		}
		missingLeft := int64(0)
		if t.MissingLeft[n] {
			missingLeft = 1
		}
		if !t.Categorical(int32(n)) {
			e.split(number, int64(n), "BRANCH_LEQ", int64(feature), tree.Floor32(t.Threshold[n]), int64(t.Left[n]), int64(t.Right[n]), missingLeft)
			continue
		}
		// One comparison after the other, all leading to the same node when they hold.
		codes := codesOf(t.Words(int32(n)))
		if e.categories += len(codes); e.categories > maxCategories {
			return fault.New(fault.NotSupported, "the category sets of the model have over %d members, each of which would be a node of the ONNX file", maxCategories).
				WithHint("write it as LightGBM text, which has sets")
		}
		at := int64(n)
		for i, code := range codes {
			right := int64(t.Right[n])
			if i+1 < len(codes) {
				right = next
				next++
			}
			if i > 0 {
				e.cover = append(e.cover, float32(t.Cover[n]))
			}
			e.split(number, at, "BRANCH_EQ", int64(feature), code, int64(t.Left[n]), right, missingLeft)
			at, missingLeft = right, 0
		}
	}
	return nil
}

// codesOf are the categories of a set; a set of none gets a number that is no category.
func codesOf(words []uint32) (codes []float32) {
	for c := range 32 * len(words) {
		if words[c/32]>>(c%32)&1 == 1 {
			codes = append(codes, float32(c))
		}
	}
	if codes == nil {
		codes = []float32{-0.5}
	}
	return codes
}

func (e *ensemble) split(number, n int64, mode string, feature int64, threshold float32, left, right, missingLeft int64) {
	e.tree, e.node, e.mode = append(e.tree, number), append(e.node, n), append(e.mode, mode)
	e.feature, e.threshold = append(e.feature, feature), append(e.threshold, threshold)
	e.left, e.right, e.missingLeft = append(e.left, left), append(e.right, right), append(e.missingLeft, missingLeft)
}
