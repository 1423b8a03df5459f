package exchange

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// writeLightGBM writes a tree model as text of version v4. What LightGBM has no word for is said with what it has: a
// base becomes a tree of one leaf; a comparison of float32 becomes the same comparison of float64; a missing value
// that a categorical node sends left, which LightGBM's never do, meets a second node behind it.
func writeLightGBM(m learner.Model, names []string) ([]byte, error) {
	t, ok := m.(*tree.Model)
	if !ok {
		return nil, fault.New(fault.NotSupported, "a model of kind %s has no LightGBM form, which is for trees alone", m.Kind()).WithHint("write it as ONNX")
	}
	objective, err := lightgbmObjective(t)
	if err != nil {
		return nil, err
	}
	w := &lightgbmWriter{e: &t.Ensemble, outputs: len(t.Base)}
	rounds, err := w.rounds()
	if err != nil {
		return nil, err
	}
	var trees strings.Builder
	var sizes []string
	for i := range rounds {
		before := trees.Len()
		fmt.Fprintf(&trees, "Tree=%d\n", i)
		if err := w.tree(&trees, &rounds[i]); err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "tree %d", i)
		}
		trees.WriteByte('\n')
		sizes = append(sizes, strconv.Itoa(trees.Len()-before))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree\nversion=v4\nnum_class=%d\nnum_tree_per_iteration=%d\nlabel_index=0\nmax_feature_idx=%d\n", w.outputs, w.outputs, t.Features()-1)
	if objective != "" {
		fmt.Fprintf(&b, "objective=%s\n", objective)
	}
	if t.Average {
		b.WriteString("average_output\n")
	}
	if names == nil {
		names = t.Names
	}
	fmt.Fprintf(&b, "feature_names=%s\nfeature_infos=%s\ntree_sizes=%s\n\n", strings.Join(lightgbmNames(names, t.Features()), " "), strings.Join(w.infos(), " "), strings.Join(sizes, " "))
	b.WriteString(trees.String())
	b.WriteString("end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n")
	return []byte(b.String()), nil
}

// lightgbmObjective is the objective whose ConvertOutput is the model's link; "" is none, which predicts margins.
func lightgbmObjective(m *tree.Model) (string, error) {
	scale := strconv.FormatFloat(m.Scale, 'g', -1, 64)
	refused := fault.New(fault.NotSupported, "LightGBM has no objective that predicts %d outputs with the link %s", len(m.Base), m.Link).WithHint("write it as ONNX")
	if len(m.Base) > 1 && m.Link != tree.Identity && m.Link != tree.Softmax && m.Link != tree.LogisticApart {
		return "", refused
	}
	switch m.Link {
	case tree.Identity:
		switch {
		case m.Task() == learner.Ranking:
			return "lambdarank", nil
		case len(m.Base) == 1:
			return "regression", nil
		}
		return "", nil
	case tree.Logistic:
		if m.Task() == learner.Regression && m.Scale == 1 {
			return "cross_entropy", nil
		}
		return "binary sigmoid:" + scale, nil
	case tree.Softmax:
		return fmt.Sprintf("multiclass num_class:%d", len(m.Base)), nil
	case tree.LogisticApart:
		return fmt.Sprintf("multiclassova num_class:%d sigmoid:%s", len(m.Base), scale), nil
	case tree.Exp:
		return "poisson", nil
	case tree.SignedSquare:
		return "regression sqrt", nil
	case tree.Softplus:
		return "cross_entropy_lambda", nil
	}
	return "", refused
}

// lightgbmNames are names without the spaces that LightGBM separates them with.
func lightgbmNames(names []string, features int) []string {
	out := make([]string, features)
	for i := range out {
		out[i] = "Column_" + strconv.Itoa(i)
		if i < len(names) && names[i] != "" {
			out[i] = strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) || r == '=' {
					return '_'
				}
				return r
			}, names[i])
		}
	}
	return out
}

type lightgbmWriter struct {
	e       *tree.Ensemble
	outputs int
}

// round is a tree to be written: a leaf value v becomes (v+add)*factor. A nil tree is one leaf of value 0.
type round struct {
	tree        *tree.Tree
	add, factor float64
}

// rounds puts the trees of the outputs in turns, as LightGBM wants them, filled up with trees that add nothing, and
// says the base.
func (w *lightgbmWriter) rounds() ([]round, error) {
	byOutput := make([][]*tree.Tree, w.outputs)
	for i := range w.e.Trees {
		t := &w.e.Trees[i]
		byOutput[t.Output] = append(byOutput[t.Output], t)
	}
	most := 0
	for _, list := range byOutput {
		most = max(most, len(list))
	}
	if most > math.MaxInt32/w.outputs {
		return nil, fault.New(fault.TooLarge, "the model has %d trees for %d outputs", most, w.outputs)
	}
	var out []round
	based := slices.ContainsFunc(w.e.Base, func(b float64) bool { return b != 0 })
	if based && !w.e.Average || most == 0 {
		for _, base := range w.e.Base {
			out = append(out, round{add: base, factor: 1})
		}
	}
	for i := range most {
		for k, list := range byOutput {
			r := round{factor: 1}
			switch {
			case w.e.Average && len(list) == 0: // no trees: the base stands alone in every round
				r.add = w.e.Base[k]
			case w.e.Average: // their mean is over all rounds
				r.add, r.factor = w.e.Base[k], float64(most)/float64(len(list))
				if i >= len(list) {
					r.add = 0
				}
			}
			if i < len(list) {
				r.tree = list[i]
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// tree writes the lines of one tree: inner nodes and leaves are numbered apart, a leaf as a child by the complement.
func (w *lightgbmWriter) tree(b *strings.Builder, r *round) error {
	t := &tree.Tree{}
	if r.tree == nil {
		t.Add(tree.Leaf, 0, false, 0, 0, 0)
	} else {
		var err error
		if t, err = missingRight(r.tree); err != nil {
			return err
		}
	}
	number := make([]int, len(t.Feature))
	inner, leaves := 0, 0
	for n, f := range t.Feature {
		if f == tree.Leaf {
			number[n] = ^leaves
			leaves++
		} else {
			number[n] = inner
			inner++
		}
	}
	count := wholeCovers(t)
	mean := means(t)
	lines := map[string][]string{}
	put := func(key string, v float64) {
		lines[key] = append(lines[key], strconv.FormatFloat(v, 'g', -1, 64))
	}
	whole := func(key string, v int) { lines[key] = append(lines[key], strconv.Itoa(v)) }
	sets := 0
	bounds, words := []string{"0"}, []string{}
	for n, f := range t.Feature {
		if f == tree.Leaf {
			put("leaf_value", (t.Value[n]+r.add)*r.factor)
			put("leaf_weight", t.Cover[n])
			whole("leaf_count", count[n])
			continue
		}
		whole("split_feature", int(f))
		put("split_gain", t.Gain[n])
		whole("left_child", number[t.Left[n]])
		whole("right_child", number[t.Right[n]])
		put("internal_value", (mean[n]+r.add)*r.factor)
		put("internal_weight", t.Cover[n])
		whole("internal_count", count[n])
		zero := w.e.ZeroMissing != nil && w.e.ZeroMissing[f]
		if t.Categorical(int32(n)) {
			if zero {
				return fault.New(fault.NotSupported, "feature %d has categories, and its zero counts as missing", f)
			}
			whole("threshold", sets)
			whole("decision_type", decideCategorical|missingNaN<<decideMissing)
			for _, word := range t.Words(int32(n)) {
				words = append(words, strconv.FormatUint(uint64(word), 10))
			}
			if len(t.Words(int32(n))) == 0 { // LightGBM reads at least one word
				words = append(words, "0")
			}
			bounds = append(bounds, strconv.Itoa(len(words)))
			sets++
			continue
		}
		decision := missingNaN << decideMissing
		if zero {
			decision = missingZero << decideMissing
		}
		if t.MissingLeft[n] {
			decision += decideDefaultLeft
		}
		whole("decision_type", decision)
		threshold := t.Threshold[n]
		if w.e.Single {
			threshold = ceil64(threshold)
		}
		lines["threshold"] = append(lines["threshold"], lightgbmNumber(threshold))
	}
	fmt.Fprintf(b, "num_leaves=%d\nnum_cat=%d\n", leaves, sets)
	for _, key := range []string{"split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count"} {
		fmt.Fprintf(b, "%s=%s\n", key, strings.Join(lines[key], " "))
	}
	if sets > 0 {
		fmt.Fprintf(b, "cat_boundaries=%s\ncat_threshold=%s\n", strings.Join(bounds, " "), strings.Join(words, " "))
	}
	b.WriteString("is_linear=0\nshrinkage=1\n\n")
	return nil
}

// lightgbmNumber writes a threshold; infinity as LightGBM's parser has it.
func lightgbmNumber(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// ceil64 is the largest float64 that, rounded to float32, is at most t. A node that rounds first and compares with t
// and one that compares with ceil64(t) send every float64 the same way.
func ceil64(t float64) float64 {
	at := tree.Floor32(t)
	if math.IsInf(float64(at), 1) {
		return math.Inf(1)
	}
	wide := func(v float32) float64 { // infinity in its place behind the largest float32
		if math.IsInf(float64(v), 0) {
			return math.Copysign(math.Ldexp(1, 128), float64(v))
		}
		return float64(v)
	}
	middle := (wide(at) + wide(math.Nextafter32(at, float32(math.Inf(1))))) / 2
	if float32(middle) <= at {
		return middle
	}
	return math.Nextafter(middle, math.Inf(-1))
}

// missingRight is a tree whose categorical nodes send what is missing right. One that sends it left gets a node behind
// its right side that sends what is missing to a copy of the left side.
func missingRight(t *tree.Tree) (*tree.Tree, error) {
	changes := false
	for n := range t.Set {
		changes = changes || t.Set[n] >= 0 && t.Feature[n] != tree.Leaf && t.MissingLeft[n]
	}
	if !changes {
		return t, nil
	}
	out := &tree.Tree{Output: t.Output}
	most := 64 + 8*len(t.Feature)
	var grow func(n int32) (int32, error)
	grow = func(n int32) (int32, error) {
		if len(out.Feature) > most {
			return 0, fault.New(fault.NotSupported, "missing values go with the categories in so many nodes that LightGBM's form would have over %d", most).
				WithHint("write it as ONNX")
		}
		missingLeft := t.MissingLeft[n] && !t.Categorical(n)
		own := out.Add(t.Feature[n], t.Threshold[n], missingLeft, t.Value[n], t.Gain[n], t.Cover[n])
		if t.Feature[n] == tree.Leaf {
			return own, nil
		}
		left, err := grow(t.Left[n])
		if err != nil {
			return 0, err
		}
		right, err := grow(t.Right[n])
		if err != nil {
			return 0, err
		}
		if t.Categorical(n) {
			out.SetCategories(own, nil)
			out.Bits = append(out.Bits, t.Words(n)...)
			out.Bounds[len(out.Bounds)-1] = int32(len(out.Bits))
			if t.MissingLeft[n] {
				gate := out.Add(t.Feature[n], -math.MaxFloat64, true, 0, 0, t.Cover[t.Right[n]])
				if out.Left[gate], err = grow(t.Left[n]); err != nil {
					return 0, err
				}
				out.Right[gate] = right
				right = gate
			}
		}
		out.Left[own], out.Right[own] = left, right
		return own, nil
	}
	if _, err := grow(0); err != nil {
		return nil, err
	}
	return out, out.Order()
}

// means are the mean leaf value below each node, weighted by cover.
func means(t *tree.Tree) []float64 {
	out := make([]float64, len(t.Feature))
	for n := len(out) - 1; n >= 0; n-- {
		if t.Feature[n] == tree.Leaf {
			out[n] = t.Value[n]
			continue
		}
		l, r := t.Left[n], t.Right[n]
		if sum := t.Cover[l] + t.Cover[r]; sum > 0 {
			out[n] = (out[l]*t.Cover[l] + out[r]*t.Cover[r]) / sum
		}
	}
	return out
}

// wholeCovers are the covers as LightGBM's counts, which are whole: covers that are not are given in millionths of the
// root's, so that their shares stay.
func wholeCovers(t *tree.Tree) []int {
	factor := 1.0
	for _, c := range t.Cover {
		if (c != math.Trunc(c) || c > math.MaxInt32) && t.Cover[0] > 0 {
			factor = 1e6 / t.Cover[0]
		}
	}
	out := make([]int, len(t.Cover))
	for n, c := range t.Cover {
		out[n] = int(math.Round(min(max(c*factor, 0), math.MaxInt32)))
	}
	return out
}

// infos are LightGBM's feature_infos: the range of the thresholds, the categories that are named, or none.
func (w *lightgbmWriter) infos() []string {
	low, high := make([]float64, w.e.Features), make([]float64, w.e.Features)
	sets := make([][]uint32, w.e.Features)
	used := make([]bool, w.e.Features)
	for i := range w.e.Trees {
		t := &w.e.Trees[i]
		for n, f := range t.Feature {
			switch {
			case f == tree.Leaf:
			case t.Categorical(int32(n)):
				for j, word := range t.Words(int32(n)) {
					if j == len(sets[f]) {
						sets[f] = append(sets[f], 0)
					}
					sets[f][j] |= word
				}
			case !math.IsInf(t.Threshold[n], 0):
				if !used[f] {
					low[f], high[f], used[f] = t.Threshold[n], t.Threshold[n], true
				}
				low[f], high[f] = min(low[f], t.Threshold[n]), max(high[f], t.Threshold[n])
			}
		}
	}
	out := make([]string, w.e.Features)
	for f := range out {
		var codes []string
		for c := range 32 * len(sets[f]) {
			if sets[f][c/32]>>(c%32)&1 == 1 {
				codes = append(codes, strconv.Itoa(c))
			}
		}
		switch {
		case len(codes) > 0:
			out[f] = strings.Join(codes, ":")
		case used[f]:
			out[f] = fmt.Sprintf("[%s:%s]", strconv.FormatFloat(low[f], 'g', -1, 64), strconv.FormatFloat(high[f], 'g', -1, 64))
		default:
			out[f] = "none"
		}
	}
	return out
}
