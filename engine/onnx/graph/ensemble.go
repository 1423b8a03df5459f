package graph

import (
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var ensembles = map[string]operator{
	"ai.onnx.ml.TreeEnsembleClassifier": {prepare: func(a attributes) (any, error) { return newForest(a, "class") }, run: treeClassifier},
	"ai.onnx.ml.TreeEnsembleRegressor":  {prepare: func(a attributes) (any, error) { return newForest(a, "target") }, run: treeRegressor},
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
)

var modes = map[string]uint8{"LEAF": leaf, "BRANCH_LEQ": branchLEQ, "BRANCH_LT": branchLT, "BRANCH_GTE": branchGTE, "BRANCH_GT": branchGT, "BRANCH_EQ": branchEQ, "BRANCH_NEQ": branchNEQ}

// forest is a tree ensemble with its nodes side by side.
type forest struct {
	nodes    []branch
	roots    []int32
	weights  []weight // of leaves; a leaf names a range of them
	base     []float32
	outputs  int // scores of a row
	binary   bool
	positive bool // no weight is negative: a score is a probability
	post     string
	mean     string // of a regressor: SUM, AVERAGE, MIN, MAX
	fast     fast
}

type branch struct {
	feature     int32
	mode        uint8
	missingTrue bool
	threshold   float32
	yes, no     int32
	from, to    int32 // of a leaf: its weights
}

type weight struct {
	output int32
	value  float32
}

func newForest(a attributes, kind string) (*forest, error) {
	trees, ids := a.Ints("nodes_treeids"), a.Ints("nodes_nodeids")
	features, values := a.Ints("nodes_featureids"), a.Floats("nodes_values")
	yes, no, ways := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Texts("nodes_modes")
	missing := a.Ints("nodes_missing_value_tracks_true")
	n := len(trees)
	for _, size := range []int{len(ids), len(features), len(values), len(yes), len(no), len(ways)} {
		if size != n {
			return nil, fault.New(fault.Corrupt, "a tree ensemble has lists of %d and %d nodes", n, size)
		}
	}
	if n == 0 {
		if a["nodes_values_as_tensor"] != nil {
			return nil, fault.New(fault.FormatNotServed, "the tree ensemble is one of doubles, which is not evaluated here")
		}
		return nil, fault.New(fault.Corrupt, "a tree ensemble without nodes")
	}
	f := &forest{nodes: make([]branch, n), base: a.Floats("base_values"), post: a.Text("post_transform"), mean: a.Text("aggregate_function"), positive: true}
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
			return nil, fault.New(fault.Corrupt, "a tree has the branch %q on feature %d", ways[i], features[i])
		}
		b := branch{feature: int32(features[i]), mode: mode, threshold: values[i], missingTrue: i < len(missing) && missing[i] != 0}
		if mode != leaf {
			var okYes, okNo bool
			b.yes, okYes = places[[2]int64{trees[i], yes[i]}]
			b.no, okNo = places[[2]int64{trees[i], no[i]}]
			if !okYes || !okNo {
				return nil, fault.New(fault.Corrupt, "node %d of tree %d leads to nodes that are not there", ids[i], trees[i])
			}
			if b.yes <= int32(i) && b.no <= int32(i) {
				return nil, fault.New(fault.Corrupt, "node %d of tree %d leads back", ids[i], trees[i])
			}
		}
		f.nodes[i] = b
	}
	if err := f.weigh(a, kind, places); err != nil {
		return nil, err
	}
	return f, nil
}

// weigh gives the leaves their weights: they may come in any order.
func (f *forest) weigh(a attributes, kind string, places map[[2]int64]int32) error {
	trees, ids := a.Ints(kind+"_treeids"), a.Ints(kind+"_nodeids")
	outputs, values := a.Ints(kind+"_ids"), a.Floats(kind+"_weights")
	if len(trees) != len(ids) || len(trees) != len(outputs) || len(trees) != len(values) {
		return fault.New(fault.Corrupt, "a tree ensemble has lists of %d and %d weights", len(trees), len(values))
	}
	byLeaf := map[int32][]weight{}
	seen := map[int64]bool{}
	for i := range trees {
		at, ok := places[[2]int64{trees[i], ids[i]}]
		if !ok || outputs[i] < 0 || outputs[i] > 1<<20 {
			return fault.New(fault.Corrupt, "a weight belongs to node %d of tree %d and output %d, which are not there", ids[i], trees[i], outputs[i])
		}
		byLeaf[at] = append(byLeaf[at], weight{int32(outputs[i]), values[i]})
		f.outputs = max(f.outputs, int(outputs[i])+1)
		f.positive = f.positive && values[i] >= 0
		seen[outputs[i]] = true
	}
	for i := range f.nodes {
		if f.nodes[i].mode == leaf {
			f.nodes[i].from = int32(len(f.weights))
			f.weights = append(f.weights, byLeaf[int32(i)]...)
			f.nodes[i].to = int32(len(f.weights))
		}
	}
	if kind == "target" {
		f.outputs = max(f.outputs, int(a.Int("n_targets", 1)))
		return nil
	}
	labels := newClasses(a).count()
	f.binary = labels == 2 && len(seen) == 1
	if f.binary {
		for i := range f.weights {
			f.weights[i].output = 0
		}
		f.outputs = 1
		return nil
	}
	f.outputs = max(f.outputs, labels)
	return nil
}

// leafOf walks a row down a tree. A walk is never longer than the ensemble has nodes.
func (f *forest) leafOf(root int32, row []float32) (*branch, error) {
	b := &f.nodes[root]
	for range len(f.nodes) {
		if b.mode == leaf {
			return b, nil
		}
		if int(b.feature) >= len(row) {
			return nil, fault.New(fault.Invalid, "the trees read column %d and the row has %d", b.feature, len(row))
		}
		v, yes := row[b.feature], false
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
	return nil, fault.New(fault.Corrupt, "a tree leads in a circle")
}

// sum adds up the weights of the leaves that a row reaches.
func (f *forest) sum(row, into []float32) error {
	seen := false
	for _, root := range f.roots {
		b, err := f.leafOf(root, row)
		if err != nil {
			return err
		}
		for _, w := range f.weights[b.from:b.to] {
			switch {
			case f.mean == "MIN" && seen:
				into[w.output] = min(into[w.output], w.value)
			case f.mean == "MAX" && seen:
				into[w.output] = max(into[w.output], w.value)
			default:
				into[w.output] += w.value
			}
		}
		seen = true
	}
	return nil
}

// settle turns sums into scores.
func (f *forest) settle(sums []float32) {
	for i := range sums {
		if f.mean == "AVERAGE" {
			sums[i] /= float32(len(f.roots))
		}
		if k := i % f.outputs; k < len(f.base) {
			sums[i] += f.base[k]
		}
	}
}

func treeRegressor(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	f := n.prepared.(*forest)
	out, rows, err := f.score(in)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		transform(f.post, out[i*f.outputs:(i+1)*f.outputs])
	}
	return one(New(out, rows, f.outputs), nil)
}

func (f *forest) score(in []*Tensor) ([]float32, int, error) {
	if err := need(in, 1); err != nil {
		return nil, 0, err
	}
	x, err := in[0].floats()
	if err != nil {
		return nil, 0, err
	}
	rows, cols := in[0].rows(), in[0].cols()
	out := make([]float32, rows*f.outputs)
	if !f.scored(x, rows, cols, out) {
		for i := range rows {
			if err := f.sum(x[i*cols:(i+1)*cols], out[i*f.outputs:(i+1)*f.outputs]); err != nil {
				return nil, 0, err
			}
		}
	}
	f.settle(out)
	return out, rows, nil
}

func treeClassifier(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	f := n.prepared.(*forest)
	values, rows, err := f.score(in)
	if err != nil {
		return nil, err
	}
	c := newClasses(n.attr)
	best := make([]int, rows)
	if !f.binary {
		for i := range rows {
			row := values[i*f.outputs : (i+1)*f.outputs]
			best[i] = highest(row)
			transform(f.post, row)
		}
		return []*Tensor{c.labels(best), New(values, rows, f.outputs)}, nil
	}
	// One score stands for both classes: a probability when no weight is negative, else a margin.
	out := make([]float32, 0, 2*rows)
	for i, v := range values {
		bar := float32(0)
		p, q := -v, v
		switch {
		case f.positive:
			bar = 0.5
			p, q = 1-v, v
			if f.post == "LOGISTIC" {
				p, q = sigmoid(p), sigmoid(q)
			}
		case f.post == "LOGISTIC":
			p, q = sigmoid(-v), sigmoid(v)
		}
		out = append(out, p, q)
		if v > bar {
			best[i] = 1
		}
	}
	return []*Tensor{c.labels(best), New(out, rows, 2)}, nil
}
