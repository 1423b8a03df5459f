package graph

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var ensembles = map[string]operator{
	"ai.onnx.ml.TreeEnsembleClassifier": {prepare: func(n *node) any { return newForest(n.attr, "class") }, run: treeClassifier},
	"ai.onnx.ml.TreeEnsembleRegressor":  {prepare: func(n *node) any { return newForest(n.attr, "target") }, run: treeRegressor},
	"ai.onnx.ml.TreeEnsemble":           {prepare: func(n *node) any { return newEnsemble(n.attr) }, run: treeRegressor},
}

// The ways in which a branch compares a value with its threshold.
const (
	leaf = iota
	branchLEQ
	branchLT
	branchGTE
	branchGT
	branchEQ
	branchNEQ
	branchMember
)

var modes = map[string]uint8{"LEAF": leaf, "BRANCH_LEQ": branchLEQ, "BRANCH_LT": branchLT, "BRANCH_GTE": branchGTE, "BRANCH_GT": branchGT, "BRANCH_EQ": branchEQ, "BRANCH_NEQ": branchNEQ}

// forest is a tree ensemble with its nodes side by side.
type forest struct {
	nodes    []branch
	roots    []int32
	weights  []weight // of leaves; a leaf names a range of them
	members  [][]float64
	base     []float64
	outputs  int // scores of a row
	classes  classes
	labels   int
	seen     map[int64]bool // outputs that have weights
	positive bool           // no weight is negative: a score is a probability
	post     string
	mean     string // of a regressor: SUM, AVERAGE, MIN, MAX
	fast     [2]fast
	wide     bool // the answer has the type of the input
}

type branch struct {
	feature     int32
	mode        uint8
	missingTrue bool
	threshold   float64
	yes, no     int32
	from, to    int32 // of a leaf: its weights; from of a member branch: its set
}

type weight struct {
	output int32
	value  float64
}

// doublesOf is a list of floats, or the tensor of doubles that stands for it.
func doublesOf(a attributes, name string) []float64 {
	for _, key := range []string{name + "_as_tensor", name} {
		if t, ok := a[key].(*Tensor); ok && t.Len() > 0 {
			return as[float64](t)
		}
	}
	return convert[float32, float64](a.Floats(name))
}

func newForest(a attributes, kind string) *forest {
	trees, ids := a.Ints("nodes_treeids"), a.Ints("nodes_nodeids")
	features, values := a.Ints("nodes_featureids"), doublesOf(a, "nodes_values")
	yes, no, ways := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Texts("nodes_modes")
	missing := a.Ints("nodes_missing_value_tracks_true")
	n := len(trees)
	for _, size := range []int{len(ids), len(features), len(values), len(yes), len(no), len(ways)} {
		if size != n {
			throw(fault.Corrupt, "a tree ensemble has lists of %d and %d nodes", n, size)
		}
	}
	if n == 0 {
		throw(fault.Corrupt, "a tree ensemble without nodes")
	}
	f := &forest{nodes: make([]branch, n), base: doublesOf(a, "base_values"), post: a.Text("post_transform"), mean: a.Text("aggregate_function"),
		positive: true, seen: map[int64]bool{}, classes: newClasses(a)}
	places := make(map[[2]int64]int32, n)
	for i := range n {
		places[[2]int64{trees[i], ids[i]}] = int32(i)
		if i == 0 || trees[i] != trees[i-1] {
			f.roots = append(f.roots, int32(i))
		}
	}
	for i := range n {
		mode, known := modes[ways[i]]
		if !known || features[i] < 0 || features[i] > math.MaxInt32 {
			throw(fault.Corrupt, "a tree has the branch %q on feature %d", ways[i], features[i])
		}
		b := branch{feature: int32(features[i]), mode: mode, threshold: values[i], missingTrue: i < len(missing) && missing[i] != 0}
		if mode != leaf {
			var okYes, okNo bool
			b.yes, okYes = places[[2]int64{trees[i], yes[i]}]
			b.no, okNo = places[[2]int64{trees[i], no[i]}]
			if !okYes || !okNo {
				throw(fault.Corrupt, "node %d of tree %d leads to nodes that are not there", ids[i], trees[i])
			}
			if b.yes <= int32(i) && b.no <= int32(i) {
				throw(fault.Corrupt, "node %d of tree %d leads back", ids[i], trees[i])
			}
		}
		f.nodes[i] = b
	}
	f.weigh(a, kind, places)
	return f
}

// weigh gives the leaves their weights: they may come in any order.
func (f *forest) weigh(a attributes, kind string, places map[[2]int64]int32) {
	trees, ids := a.Ints(kind+"_treeids"), a.Ints(kind+"_nodeids")
	outputs, values := a.Ints(kind+"_ids"), doublesOf(a, kind+"_weights")
	if len(trees) != len(ids) || len(trees) != len(outputs) || len(trees) != len(values) {
		throw(fault.Corrupt, "a tree ensemble has lists of %d and %d weights", len(trees), len(values))
	}
	byLeaf := map[int32][]weight{}
	alone := kind == "target" && a.Int("n_targets", 1) == 1
	for i := range trees {
		at, ok := places[[2]int64{trees[i], ids[i]}]
		if !ok || outputs[i] < 0 || outputs[i] > 1<<20 {
			throw(fault.Corrupt, "a weight belongs to node %d of tree %d and output %d, which are not there", ids[i], trees[i], outputs[i])
		}
		if alone && len(byLeaf[at]) == 1 {
			continue // of one target the first weight of a leaf counts, as onnxruntime has it
		}
		byLeaf[at] = append(byLeaf[at], weight{int32(outputs[i]), values[i]})
		f.outputs = max(f.outputs, int(outputs[i])+1)
		f.positive = f.positive && values[i] >= 0
		f.seen[outputs[i]] = true
	}
	for i := range f.nodes {
		if f.nodes[i].mode == leaf {
			f.nodes[i].from = int32(len(f.weights))
			f.weights = append(f.weights, byLeaf[int32(i)]...)
			f.nodes[i].to = int32(len(f.weights))
		}
	}
	if kind == "target" {
		f.outputs = max(f.outputs, int(max(0, min(a.Int("n_targets", 1), 1<<20))))
		return
	}
	f.labels = f.classes.count()
	f.outputs = max(f.outputs, f.labels)
}

// newEnsemble reads TreeEnsemble of ai.onnx.ml 5, whose leaves have lists of their own.
func newEnsemble(a attributes) *forest {
	list := func(name string) []float64 {
		t, _ := a[name].(*Tensor)
		if t == nil {
			return nil
		}
		return as[float64](t)
	}
	ways, splits, features := list("nodes_modes"), list("nodes_splits"), a.Ints("nodes_featureids")
	yes, no, yesLeaf, noLeaf := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Ints("nodes_trueleafs"), a.Ints("nodes_falseleafs")
	targets, values, missing := a.Ints("leaf_targetids"), list("leaf_weights"), a.Ints("nodes_missing_value_tracks_true")
	n := len(ways)
	for _, size := range []int{len(splits), len(features), len(yes), len(no), len(yesLeaf), len(noLeaf)} {
		if size != n {
			throw(fault.Corrupt, "a tree ensemble has lists of %d and %d nodes", n, size)
		}
	}
	if len(targets) != len(values) || n+len(values) > math.MaxInt32 {
		throw(fault.Corrupt, "%d weights for %d leaves", len(values), len(targets))
	}
	f := &forest{nodes: make([]branch, n, n+len(values)), positive: true, wide: true, outputs: int(max(0, min(a.Int("n_targets", 1), 1<<20))),
		post: numbered(a.Int("post_transform", 0), "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"),
		mean: numbered(a.Int("aggregate_function", 1), "AVERAGE", "SUM", "MIN", "MAX")}
	sets := list("membership_values")
	child := func(at, isLeaf int64) int32 {
		if isLeaf != 0 {
			if at < 0 || at >= int64(len(values)) {
				throw(fault.Corrupt, "leaf %d of %d", at, len(values))
			}
			return int32(n + int(at))
		}
		if at < 0 || at >= int64(n) {
			throw(fault.Corrupt, "node %d of %d", at, n)
		}
		return int32(at)
	}
	for i := range n {
		if ways[i] < 0 || ways[i] > 6 || features[i] < 0 || features[i] > math.MaxInt32 {
			throw(fault.Corrupt, "a tree has the branch %v on feature %d", ways[i], features[i])
		}
		b := branch{feature: int32(features[i]), mode: uint8(ways[i]) + 1, threshold: splits[i], missingTrue: i < len(missing) && missing[i] != 0,
			yes: child(yes[i], yesLeaf[i]), no: child(no[i], noLeaf[i])}
		if b.mode == branchMember {
			end := 0
			for end < len(sets) && sets[end] == sets[end] {
				end++
			}
			b.from = int32(len(f.members))
			f.members = append(f.members, sets[:end])
			sets = sets[min(end+1, len(sets)):]
		}
		f.nodes[i] = b
	}
	for i, v := range values {
		if targets[i] < 0 || targets[i] > 1<<20 {
			throw(fault.Corrupt, "a leaf of output %d", targets[i])
		}
		f.outputs = max(f.outputs, int(targets[i])+1)
		f.nodes = append(f.nodes, branch{mode: leaf, from: int32(i), to: int32(i + 1)})
		f.weights = append(f.weights, weight{int32(targets[i]), v})
	}
	for _, r := range a.Ints("tree_roots") {
		f.roots = append(f.roots, child(r, 0))
	}
	return f
}

func numbered(i int64, names ...string) string {
	if i < 0 || i >= int64(len(names)) {
		throw(fault.Corrupt, "the setting %d of %v", i, names)
	}
	return names[i]
}

// leafOf walks a row down a tree. A walk is never longer than the ensemble has nodes.
func leafOf[T float32 | float64](f *forest, root int32, row []T) *branch {
	b := &f.nodes[root]
	for range len(f.nodes) {
		if b.mode == leaf {
			return b
		}
		if int(b.feature) >= len(row) {
			throw(fault.Invalid, "the trees read column %d and the row has %d", b.feature, len(row))
		}
		v, yes := float64(row[b.feature]), false
		switch b.mode {
		case branchLEQ:
			yes = v <= b.threshold
		case branchLT:
			yes = v < b.threshold
		case branchGTE:
			yes = v >= b.threshold
		case branchGT:
			yes = v > b.threshold
		case branchEQ:
			yes = v == b.threshold
		case branchNEQ:
			yes = v != b.threshold
		case branchMember:
			for _, m := range f.members[b.from] {
				yes = yes || m == v
			}
		}
		if v != v {
			yes = b.missingTrue || b.mode == branchNEQ
		}
		if yes {
			b = &f.nodes[b.yes]
		} else {
			b = &f.nodes[b.no]
		}
	}
	throw(fault.Corrupt, "a tree leads in a circle")
	return nil
}

// addUp adds up the weights of the leaves that a row reaches.
func addUp[T float32 | float64](f *forest, row []T, into []float64) {
	var reached []bool // of MIN and MAX: outputs that have a value
	if f.mean == "MIN" || f.mean == "MAX" {
		reached = make([]bool, f.outputs)
	}
	for _, root := range f.roots {
		b := leafOf(f, root, row)
		for _, w := range f.weights[b.from:b.to] {
			switch {
			case reached == nil || !reached[w.output]:
				into[w.output] += w.value
				if reached != nil {
					reached[w.output] = true
				}
			case f.mean == "MIN":
				into[w.output] = min(into[w.output], w.value)
			default:
				into[w.output] = max(into[w.output], w.value)
			}
		}
	}
}

// sums are the scores of rows before base values, in memory that give returns.
func (f *forest) sums(c *call) (out *[]float64, n int) {
	t := c.arg(0)
	n = rows(t)
	width := cols(t)
	c.work(n, max(len(f.roots), 1))
	c.space(8, []int{n, f.outputs})
	out = takeSums(n * f.outputs)
	sums := *out
	var done bool
	switch x := t.Data.(type) {
	case []float64:
		if done = scored(f, x, n, width, sums); !done {
			walked(c, f, x, n, width, sums)
		}
	default:
		y := as[float32](t)
		if done = scored(f, y, n, width, sums); !done {
			walked(c, f, y, n, width, sums)
		}
	}
	if f.mean == "AVERAGE" && len(f.roots) > 0 {
		for i := range sums {
			sums[i] /= float64(len(f.roots))
		}
	}
	return out, n
}

func walked[T float32 | float64](c *call, f *forest, x []T, n, width int, sums []float64) {
	for i := range n {
		if i%256 == 255 {
			c.run.alive()
		}
		addUp(f, x[i*width:(i+1)*width], sums[i*f.outputs:(i+1)*f.outputs])
	}
}

func treeRegressor(c *call) {
	f := c.prepared.(*forest)
	all, n := f.sums(c)
	defer giveSums(all)
	sums := *all
	for i := range sums {
		if k := i % max(f.outputs, 1); k < len(f.base) {
			sums[i] += f.base[k]
		}
	}
	if _, double := c.arg(0).Data.([]float64); f.wide && double && (f.post == "" || f.post == "NONE") {
		copy(alloc[float64](c, 0, n, f.outputs), sums)
		return
	}
	out := alloc[float32](c, 0, n, f.outputs)
	for i, v := range sums {
		out[i] = float32(v)
	}
	transformRows(f.post, out, f.outputs)
	if f.wide && c.arg(0).Type() != tensor.FP32 {
		cast(c, c.out[0], c.arg(0).Type())
	}
}

func treeClassifier(c *call) {
	f := c.prepared.(*forest)
	all, n := f.sums(c)
	defer giveSums(all)
	sums := *all
	label := f.classes.into(c, 0, n)
	out := alloc[float32](c, 1, n, f.outputs)
	if f.outputs == 2 && f.labels == 2 {
		for i := range n {
			f.two(sums[2*i], sums[2*i+1], out[2*i:2*i+2], i, label)
		}
		return
	}
	for i := range n {
		row := out[i*f.outputs : (i+1)*f.outputs]
		for k := range row {
			v := sums[i*f.outputs+k]
			if k < len(f.base) {
				v += f.base[k]
			}
			row[k] = float32(v)
		}
		best := highest(row)
		transform(f.post, row)
		label(i, best)
	}
}

// two gives the scores and the label of two classes as onnxruntime does. Where only one class has weights, its score stands for both,
// and the bar is one half when no weight is negative. Where both have, the bar of the second score is 0 and whole numbers as labels
// are 0 and 1.
func (f *forest) two(s0, s1 float64, out []float32, i int, label func(row, class int)) {
	bar := 0.0
	if f.positive {
		bar = 0.5
	}
	single := len(f.seen) == 1
	if len(f.base) > 0 && !(single && f.seen[1]) {
		s0 += f.base[0]
	}
	if len(f.base) > 1 && !(single && f.seen[0]) {
		s1 += f.base[1]
	}
	switch {
	case single && f.seen[0]:
		label(i, above(float32(s0), bar))
		if len(f.base) > 1 {
			out[0], out[1] = float32(s0), 0
			transform(f.post, out)
			return
		}
		bothClasses(f.post, float32(s0), f.positive, out)
		return
	case single:
		label(i, above(float32(s1), bar))
	default:
		label(i, above(float32(s1), 0))
	}
	out[0], out[1] = float32(s0), float32(s1)
	transform(f.post, out)
}

func above(v float32, bar float64) int {
	if float64(v) > bar {
		return 1
	}
	return 0
}
