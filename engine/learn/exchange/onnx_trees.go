package exchange

import (
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// onnxTrees are the nodes of a tree operator, those of all trees together.
type onnxTrees struct {
	nodes   []onnxNode
	roots   []int32
	weights []onnxWeight
	single  bool
	zero    []bool
	size    int // of the file
}

type onnxNode struct {
	mode        uint8
	feature     int32
	threshold   float64
	missingTrue bool
	yes, no     int32
	members     []int // of branchMember
	cover       float64
	from, to    int32 // of a leaf: its weights
}

type onnxWeight struct {
	output int32
	value  float64
}

// How a branch compares a value with its threshold, numbered as in TreeEnsemble's nodes_modes.
const (
	branchLEQ = iota
	branchLT
	branchGTE
	branchGT
	branchEQ
	branchNEQ
	branchMember
	branchLeaf
)

var onnxModes = map[string]uint8{"LEAF": branchLeaf, "BRANCH_LEQ": branchLEQ, "BRANCH_LT": branchLT, "BRANCH_GTE": branchGTE, "BRANCH_GT": branchGT, "BRANCH_EQ": branchEQ, "BRANCH_NEQ": branchNEQ}

// numbersOf is a list of floats, or the tensor of doubles that stands for it.
func numbersOf(a format.Attributes, name string) []float64 {
	if t := a.Tensor(name + "_as_tensor"); t != nil {
		return t.Floats()
	}
	if t := a.Tensor(name); t != nil {
		return t.Floats()
	}
	list := a.Floats(name)
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = float64(v)
	}
	return out
}

// flatTrees reads the lists of TreeEnsembleRegressor (kind target) and TreeEnsembleClassifier (kind class), which have
// leaves among their nodes.
func (w *walk) flatTrees(a format.Attributes, x *symbol, kind string) (*onnxTrees, error) {
	trees, ids, features, values := a.Ints("nodes_treeids"), a.Ints("nodes_nodeids"), a.Ints("nodes_featureids"), numbersOf(a, "nodes_values")
	yes, no, modes := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Texts("nodes_modes")
	missing := a.Ints("nodes_missing_value_tracks_true")
	n := len(trees)
	for _, size := range []int{len(ids), len(features), len(values), len(yes), len(no), len(modes)} {
		if size != n {
			return nil, fault.New(fault.Corrupt, "it has lists of %d and %d nodes", n, size)
		}
	}
	t := &onnxTrees{nodes: make([]onnxNode, n), single: x.single, zero: x.zero, size: w.size}
	covers := numbersOf(a, "nodes_hitrates")
	if len(covers) != n || all(covers, func(v float64) bool { return v == 1 }) { // converters that do not know write 1
		covers = make([]float64, n)
	}
	places := make(map[[2]int64]int32, n)
	for i := range n {
		places[[2]int64{trees[i], ids[i]}] = int32(i)
		if i == 0 || trees[i] != trees[i-1] {
			t.roots = append(t.roots, int32(i))
		}
	}
	for i := range n {
		mode, there := onnxModes[modes[i]]
		if !there || features[i] < 0 || features[i] > math.MaxInt32 {
			return nil, fault.New(fault.Corrupt, "a node has the mode %q and feature %d", modes[i], features[i])
		}
		b := onnxNode{mode: mode, feature: int32(features[i]), threshold: values[i], missingTrue: i < len(missing) && missing[i] != 0, cover: known(covers[i])}
		if mode != branchLeaf {
			var okYes, okNo bool
			b.yes, okYes = places[[2]int64{trees[i], yes[i]}]
			b.no, okNo = places[[2]int64{trees[i], no[i]}]
			if !okYes || !okNo {
				return nil, fault.New(fault.Corrupt, "node %d of tree %d leads to nodes that are not there", ids[i], trees[i])
			}
		}
		t.nodes[i] = b
	}
	trees, ids = a.Ints(kind+"_treeids"), a.Ints(kind+"_nodeids")
	outputs, weights := a.Ints(kind+"_ids"), numbersOf(a, kind+"_weights")
	if len(trees) != len(ids) || len(trees) != len(outputs) || len(trees) != len(weights) {
		return nil, fault.New(fault.Corrupt, "it has lists of %d and %d weights", len(trees), len(weights))
	}
	at := make([]int32, len(trees))
	order := make([]int32, len(trees))
	for i := range trees {
		place, ok := places[[2]int64{trees[i], ids[i]}]
		if !ok || outputs[i] < 0 || outputs[i] > math.MaxInt32 {
			return nil, fault.New(fault.Corrupt, "a weight belongs to node %d of tree %d and output %d", ids[i], trees[i], outputs[i])
		}
		at[i], order[i] = place, int32(i)
	}
	slices.SortStableFunc(order, func(i, j int32) int { return int(at[i]) - int(at[j]) })
	for _, i := range order {
		node := &t.nodes[at[i]]
		if node.to == 0 {
			node.from = int32(len(t.weights))
		}
		t.weights = append(t.weights, onnxWeight{int32(outputs[i]), weights[i]})
		node.to = int32(len(t.weights))
	}
	return t, nil
}

// outputsOf is the number of outputs, from what is claimed and what weights name.
func (t *onnxTrees) outputsOf(claimed int64) (int, error) {
	if claimed < 1 || claimed > 1<<16 {
		return 0, fault.New(fault.Corrupt, "it claims %d outputs", claimed)
	}
	for _, weight := range t.weights {
		if int64(weight.output) >= claimed {
			return 0, fault.New(fault.Corrupt, "a weight belongs to output %d of %d", weight.output, claimed)
		}
	}
	return int(claimed), nil
}

// begin makes scores of trees and base values, with the operator's own post-transformation; nil when it has none here.
func (t *onnxTrees) begin(outputs int, base []float64, post string) (*scores, error) {
	s := &scores{trees: t, base: make([]float64, outputs), factor: make([]float64, outputs), link: tree.Identity}
	if len(base) != 0 && len(base) != 1 && len(base) != outputs {
		return nil, fault.New(fault.Corrupt, "it has %d base values for %d outputs", len(base), outputs)
	}
	for k := range outputs {
		s.factor[k] = 1
		if len(base) > 0 {
			s.base[k] = base[k%len(base)]
		}
	}
	switch post {
	case "", "NONE":
	case "LOGISTIC":
		s.link = logisticOf(outputs)
	case "SOFTMAX":
		if outputs < 2 {
			return nil, nil
		}
		s.link = tree.Softmax
	default:
		return nil, nil
	}
	return s, nil
}

// aggregate applies how the trees' weights come together.
func (s *scores) aggregate(how string) *scores {
	switch how {
	case "", "SUM":
		return s
	case "AVERAGE":
		for k := range s.factor {
			s.factor[k] /= float64(max(len(s.trees.roots), 1))
		}
		return s
	}
	return nil
}

func (w *walk) treeRegressor(a format.Attributes, x *symbol) ([]*symbol, error) {
	if x.fill != nil {
		return nil, nil
	}
	t, err := w.flatTrees(a, x, "target")
	if err != nil {
		return nil, err
	}
	outputs, err := t.outputsOf(a.Int("n_targets", 1))
	if err != nil {
		return nil, err
	}
	s, err := t.begin(outputs, numbersOf(a, "base_values"), a.Text("post_transform"))
	if err != nil || s == nil {
		return nil, err
	}
	if s = s.aggregate(a.Text("aggregate_function")); s == nil {
		return nil, nil
	}
	return []*symbol{{kind: isScores, scores: s}}, nil
}

// treeClassifier follows onnxruntime where two classes have the weights of one: then the score is the probability of
// the second class when no weight is negative, and its margin when one is.
func (w *walk) treeClassifier(a format.Attributes, x *symbol) ([]*symbol, error) {
	if x.fill != nil {
		return nil, nil
	}
	t, err := w.flatTrees(a, x, "class")
	if err != nil {
		return nil, err
	}
	classes := classesOf(a)
	outputs, err := t.outputsOf(int64(max(len(classes), 1)))
	if err != nil || len(classes) < 2 {
		return nil, err
	}
	label := &symbol{kind: isLabel}
	base, post := numbersOf(a, "base_values"), a.Text("post_transform")
	named := map[int32]bool{}
	negative := false
	for _, weight := range t.weights {
		named[weight.output] = true
		negative = negative || weight.value < 0
	}
	if outputs == 2 && len(named) == 1 {
		for i := range t.weights {
			t.weights[i].output = 0
		}
		if len(base) == 2 {
			base = base[1:]
		}
		if !negative && post == "LOGISTIC" || negative && post != "LOGISTIC" {
			return []*symbol{label}, nil // what runtimes do then is no probability
		}
		s, err := t.begin(1, base, post)
		if err != nil || s == nil {
			return nil, err
		}
		s.classifier, s.classes = true, classes
		return []*symbol{label, {kind: isPair, scores: s}}, nil
	}
	s, err := t.begin(outputs, base, post)
	if err != nil || s == nil {
		return nil, err
	}
	s.classifier, s.classes = true, classes
	return []*symbol{label, {kind: isScores, scores: s}}, nil
}

func classesOf(a format.Attributes) []string {
	for _, name := range []string{"classlabels_strings", "classlabels_int64s", "classlabels_ints"} {
		if v := a.Texts(name); v != nil {
			return v
		}
		if v := a.Ints(name); v != nil {
			out := make([]string, len(v))
			for i, n := range v {
				out[i] = strconv.FormatInt(n, 10)
			}
			return out
		}
	}
	return nil
}

// treeEnsemble reads TreeEnsemble of ai.onnx.ml 5, which has leaves of their own.
func (w *walk) treeEnsemble(a format.Attributes, x *symbol) ([]*symbol, error) {
	if x.fill != nil {
		return nil, nil
	}
	modes, splits, features := a.Tensor("nodes_modes").Floats(), a.Tensor("nodes_splits").Floats(), a.Ints("nodes_featureids")
	yes, no, yesLeaf, noLeaf := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Ints("nodes_trueleafs"), a.Ints("nodes_falseleafs")
	targets, weights := a.Ints("leaf_targetids"), a.Tensor("leaf_weights").Floats()
	missing, roots := a.Ints("nodes_missing_value_tracks_true"), a.Ints("tree_roots")
	n := len(modes)
	for _, size := range []int{len(splits), len(features), len(yes), len(no), len(yesLeaf), len(noLeaf)} {
		if size != n {
			return nil, fault.New(fault.Corrupt, "it has lists of %d and %d nodes", n, size)
		}
	}
	if len(targets) != len(weights) {
		return nil, fault.New(fault.Corrupt, "it has %d weights for %d leaves", len(weights), len(targets))
	}
	t := &onnxTrees{nodes: make([]onnxNode, n, n+len(weights)), single: x.single, zero: x.zero, size: w.size}
	members := a.Tensor("membership_values").Floats()
	child := func(at, leaf int64) (int32, bool) {
		if leaf != 0 {
			return int32(int64(n) + at), at >= 0 && at < int64(len(weights))
		}
		return int32(at), at >= 0 && at < int64(n)
	}
	for i := range n {
		var okYes, okNo bool
		b := onnxNode{mode: uint8(modes[i]), threshold: splits[i], missingTrue: i < len(missing) && missing[i] != 0}
		b.yes, okYes = child(yes[i], yesLeaf[i])
		b.no, okNo = child(no[i], noLeaf[i])
		if modes[i] < branchLEQ || modes[i] > branchMember || features[i] < 0 || features[i] > math.MaxInt32 || !okYes || !okNo {
			return nil, fault.New(fault.Corrupt, "node %d has the mode %v, feature %d and children %d and %d", i, modes[i], features[i], yes[i], no[i])
		}
		b.feature = int32(features[i])
		if b.mode == branchMember { // the next list, up to NaN
			for len(members) > 0 && members[0] == members[0] {
				if !(members[0] >= 0 && members[0] < maxCategory && members[0] == math.Trunc(members[0])) {
					return nil, nil
				}
				b.members, members = append(b.members, int(members[0])), members[1:]
			}
			if len(members) > 0 {
				members = members[1:]
			}
		}
		t.nodes[i] = b
	}
	for i := range weights {
		if targets[i] < 0 || targets[i] > math.MaxInt32 {
			return nil, fault.New(fault.Corrupt, "a leaf adds to output %d", targets[i])
		}
		t.weights = append(t.weights, onnxWeight{int32(targets[i]), weights[i]})
		t.nodes = append(t.nodes, onnxNode{mode: branchLeaf, from: int32(i), to: int32(i + 1)})
	}
	for _, r := range roots {
		if r < 0 || r >= int64(n) {
			return nil, fault.New(fault.Corrupt, "a tree begins at node %d of %d", r, n)
		}
		t.roots = append(t.roots, int32(r))
	}
	outputs, err := t.outputsOf(a.Int("n_targets", 1))
	if err != nil {
		return nil, err
	}
	post, known := map[int64]string{0: "NONE", 1: "SOFTMAX", 2: "LOGISTIC"}[a.Int("post_transform", 0)]
	how, sums := map[int64]string{0: "AVERAGE", 1: "SUM"}[a.Int("aggregate_function", 1)]
	if !known || !sums {
		return nil, nil
	}
	s, err := t.begin(outputs, nil, post)
	if err != nil || s == nil {
		return nil, err
	}
	return []*symbol{{kind: isScores, scores: s.aggregate(how)}}, nil
}

// opposite tells whether the margins of the two outputs are each other's negative, so that their logistic functions add
// up to 1.
func (s *scores) opposite() bool {
	if s.link != tree.LogisticApart && s.link != tree.LogisticEach || s.base[0] != -s.base[1] {
		return false
	}
	if s.linear != nil {
		return s.linear.opposite(s)
	}
	for _, node := range s.trees.nodes {
		if node.mode != branchLeaf {
			continue
		}
		var sum float64
		for _, weight := range s.trees.weights[node.from:node.to] {
			sum += weight.value * s.factor[weight.output]
		}
		if sum != 0 {
			return false
		}
	}
	return true
}

// second is the second output plus sign times the first, as one of margins.
func (s *scores) second(sign float64) *scores {
	out := *s
	out.base, out.factor = []float64{s.base[1] + float64(sign*s.base[0])}, []float64{1}
	if s.linear != nil {
		out.linear = s.linear.second(s, sign)
		return &out
	}
	t := *s.trees
	t.weights = slices.Clone(t.weights)
	for i, weight := range t.weights {
		factor := s.factor[weight.output]
		if weight.output == 0 {
			factor *= sign
		}
		t.weights[i] = onnxWeight{0, weight.value * factor}
	}
	out.trees = &t
	return &out
}

// ensemble makes the trees: one for each output that a tree has weights for.
func (t *onnxTrees) ensemble(s *scores) (*tree.Ensemble, error) {
	e := &tree.Ensemble{Base: s.base, Link: s.link, Scale: 1, Single: t.single, ZeroMissing: t.zero}
	room := newReserve(t.size)
	nodes := 64 + 4*(len(t.nodes)+len(t.weights)) // of all trees
	for i, root := range t.roots {
		grown, sources, err := t.grow(root, room, &nodes)
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "tree %d", i)
		}
		var outputs []int32
		for _, source := range sources {
			if source >= 0 {
				for _, weight := range t.weights[t.nodes[source].from:t.nodes[source].to] {
					outputs = append(outputs, weight.output)
				}
			}
		}
		slices.Sort(outputs)
		for _, k := range slices.Compact(outputs) {
			if nodes -= len(sources); nodes < 0 {
				return nil, errSpread
			}
			own := *grown
			own.Output = int(k)
			own.Value, own.Gain = make([]float64, len(sources)), make([]float64, len(sources))
			for n, source := range sources {
				if source < 0 {
					continue
				}
				for _, weight := range t.weights[t.nodes[source].from:t.nodes[source].to] {
					if weight.output == k {
						own.Value[n] += weight.value * s.factor[k]
					}
				}
			}
			explained(&own)
			e.Trees = append(e.Trees, own)
		}
	}
	return e, nil
}

var errSpread = fault.New(fault.NotSupported, "its trees would be many times larger as trees of one output each").WithHint("%s", hintGraph)

// grow makes the tree below a root; sources are the leaf that each node comes from, or -1. Nodes of the file may lead
// to one node together, which trees here may not: it is then there more than once, as far as the nodes left allow.
func (t *onnxTrees) grow(root int32, room *reserve, left *int) (*tree.Tree, []int32, error) {
	type step struct {
		at, parent int32
		right      bool
	}
	out := &tree.Tree{}
	var sources []int32
	queue := []step{{at: root, parent: -1}}
	for i := 0; i < len(queue); i++ {
		if *left--; *left < 0 {
			return nil, nil, errSpread
		}
		at := queue[i]
		node := t.nodes[at.at]
		n := int32(len(out.Feature))
		if at.parent >= 0 && at.right {
			out.Right[at.parent] = n
		} else if at.parent >= 0 {
			out.Left[at.parent] = n
		}
		if node.mode == branchLeaf {
			out.Add(tree.Leaf, 0, false, 0, 0, node.cover)
			sources = append(sources, at.at)
			continue
		}
		sources = append(sources, -1)
		yes, no, err := t.split(out, node, room)
		if err != nil {
			return nil, nil, err
		}
		queue = append(queue, step{yes, n, false}, step{no, n, true})
	}
	return out, sources, nil
}

// split adds a branch and returns where its left and right sides lead.
func (t *onnxTrees) split(out *tree.Tree, node onnxNode, room *reserve) (left, right int32, err error) {
	below := math.Nextafter(node.threshold, math.Inf(-1))
	switch node.mode {
	case branchLEQ:
		out.Add(node.feature, node.threshold, node.missingTrue, 0, 0, node.cover)
		return node.yes, node.no, nil
	case branchLT:
		out.Add(node.feature, below, node.missingTrue, 0, 0, node.cover)
		return node.yes, node.no, nil
	case branchGTE:
		out.Add(node.feature, below, !node.missingTrue, 0, 0, node.cover)
		return node.no, node.yes, nil
	case branchGT:
		out.Add(node.feature, node.threshold, !node.missingTrue, 0, 0, node.cover)
		return node.no, node.yes, nil
	}
	members, missingLeft := node.members, node.missingTrue
	left, right = node.yes, node.no
	switch node.mode {
	case branchNEQ: // true for what is missing
		left, right, missingLeft = node.no, node.yes, false
		members, err = appendCategory(members, node.threshold)
	case branchEQ:
		// A chain of comparisons of one feature that all lead to the same node is a set.
		members, err = appendCategory(members, node.threshold)
		for steps := 0; err == nil; steps++ {
			next := t.nodes[right]
			if next.mode != branchEQ || next.feature != node.feature || next.yes != node.yes || steps > len(t.nodes) {
				break
			}
			members, err = appendCategory(members, next.threshold)
			missingLeft = missingLeft || next.missingTrue
			right = next.no
		}
	}
	for _, c := range members {
		if err == nil {
			err = room.category(c)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	room.close()
	n := out.Add(node.feature, 0, missingLeft, 0, 0, node.cover)
	out.SetCategories(n, members)
	return left, right, nil
}

// appendCategory adds what an equality compares with, a category's number. -0.5, which no category has, adds none.
func appendCategory(to []int, v float64) ([]int, error) {
	switch {
	case v == -0.5:
		return to, nil
	case v >= 0 && v < maxCategory && v == math.Trunc(v):
		return append(to, int(v)), nil
	}
	return nil, fault.New(fault.NotSupported, "it tests for equality with %v, which is no category", v).WithHint("%s", hintGraph)
}
