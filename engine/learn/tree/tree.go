// Package tree is the one representation of trees in Trimtab: what training grows, what foreign files are read into,
// what scoring runs on and what explanations are computed from. It owns the tree, the ensemble, their checks, their
// scoring and the model that wraps them; it must never know how a tree was grown or which file it came from.
package tree

import (
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Leaf is the Feature of a node that is a leaf.
const Leaf = -1

// Tree is one tree as flat arrays of equal length, one entry per node; node 0 is the root and children come after
// their parents.
//
// A row leaves a numeric node (Set < 0) to the left when x[Feature] <= Threshold. A categorical node (Set >= 0) sends
// it left when the whole part of x[Feature] is in the node's set; negative and unknown categories go right. A value
// that is missing goes left when MissingLeft is set, and right otherwise, in both kinds of node.
type Tree struct {
	Output      int // the output that leaf values add to
	Feature     []int32
	Threshold   []float64
	Left, Right []int32
	MissingLeft []bool
	Value       []float64 // of a leaf: what it adds to the margin; 0 elsewhere
	Gain        []float64 // of a split: what it took off the training loss; 0 when unknown
	Cover       []float64 // training rows, or their weight, that reached the node; 0 when unknown

	// Set is the index of a categorical node's set, -1 in other nodes; nil when the tree has no categorical node.
	// Set s has bit c of Bits[Bounds[s]:Bounds[s+1]], 32 categories per word, for every category c in it.
	Set    []int32
	Bounds []int32
	Bits   []uint32
}

// A Link turns the margins of an ensemble into what it predicts.
type Link string

// The links. K is the number of outputs.
const (
	Identity     Link = "identity"      // the margin
	Logistic     Link = "logistic"      // 1 / (1 + e^-(scale * margin)), one output
	Softmax      Link = "softmax"       // over K >= 2 margins
	LogisticEach Link = "logistic_each" // Logistic of each of K >= 2 margins, then divided by their sum
	Exp          Link = "exp"           // e^margin: Poisson, gamma and Tweedie

	// Of foreign models only.
	LogisticApart Link = "logistic_apart" // Logistic of each of K >= 2 margins, which need not add up to 1
	SignedSquare  Link = "signed_square"  // margin * |margin|: LightGBM's reg_sqrt
	Softplus      Link = "softplus"       // log(1 + e^margin): LightGBM's cross_entropy_lambda
	Step          Link = "step"           // 1 when the margin is above 0, else 0: XGBoost's binary:hinge
)

// Ensemble is trees whose leaf values add up to margins. The margin of output k is Base[k] plus the values of the
// leaves that a row reaches in the trees of output k, or plus their mean with Average.
type Ensemble struct {
	Features int
	Names    []string // of the features; nil when unknown
	Base     []float64
	Trees    []Tree
	Average  bool
	Link     Link
	Scale    float64 // of the logistic links; 1 unless a foreign model says otherwise

	// Single says that values are rounded to float32 before they are compared, as in training on float32 and as
	// XGBoost, CatBoost and ONNX do. Without it float64 inputs are compared as they are, as LightGBM does.
	Single bool
	// ZeroMissing names the features whose values of at most 1e-35 in size count as missing (LightGBM's
	// zero_as_missing); nil when there are none.
	ZeroMissing []bool
}

// Outputs is the number of margins.
func (e *Ensemble) Outputs() int { return len(e.Base) }

// zeroMissing is LightGBM's kZeroThreshold, the float32 next to 1e-35.
const zeroMissing = float64(float32(1e-35))

// Limits on what a file may claim, so that a few altered bytes cannot ask for gigabytes.
const (
	maxFeatures   = 1 << 24
	maxOutputs    = 1 << 16
	maxCategories = 1 << 30
)

// Check makes sure that no prediction can leave the arrays or fail to end, and that each node has one parent at most,
// without which a small file could unfold into a huge tree. Faults are fault.Corrupt.
func (e *Ensemble) Check() error {
	k := len(e.Base)
	switch e.Link {
	case Identity, Exp, SignedSquare, Softplus, Step:
	case Logistic:
		if k != 1 {
			return fault.New(fault.Corrupt, "a logistic model has 1 output, not %d", k)
		}
	case Softmax, LogisticEach, LogisticApart:
		if k < 2 {
			return fault.New(fault.Corrupt, "a %s model has 2 outputs or more, not %d", e.Link, k)
		}
	default:
		return fault.New(fault.Corrupt, "unknown link %q", e.Link)
	}
	if k < 1 || k > maxOutputs {
		return fault.New(fault.Corrupt, "the model claims %d outputs", k)
	}
	if e.Features < 1 || e.Features > maxFeatures {
		return fault.New(fault.Corrupt, "the model claims %d features", e.Features)
	}
	if e.Names != nil && len(e.Names) != e.Features {
		return fault.New(fault.Corrupt, "the model names %d of its %d features", len(e.Names), e.Features)
	}
	if e.ZeroMissing != nil && len(e.ZeroMissing) != e.Features {
		return fault.New(fault.Corrupt, "the model says of %d of its %d features whether zero is missing", len(e.ZeroMissing), e.Features)
	}
	if (e.Link == Logistic || e.Link == LogisticEach || e.Link == LogisticApart) && !(e.Scale > 0 && e.Scale <= math.MaxFloat64) {
		return fault.New(fault.Corrupt, "the scale of the logistic link is %v", e.Scale)
	}
	for i, b := range e.Base {
		if math.IsNaN(b) {
			return fault.New(fault.Corrupt, "the base of output %d is not a number", i)
		}
	}
	for i := range e.Trees {
		t := &e.Trees[i]
		if t.Output < 0 || t.Output >= k {
			return fault.New(fault.Corrupt, "tree %d adds to output %d of %d", i, t.Output, k)
		}
		if err := t.check(e.Features); err != nil {
			return fault.Wrap(err, fault.Corrupt, "tree %d", i)
		}
	}
	return nil
}

func (t *Tree) check(features int) error {
	n := len(t.Feature)
	if n == 0 || len(t.Threshold) != n || len(t.Left) != n || len(t.Right) != n || len(t.MissingLeft) != n ||
		len(t.Value) != n || len(t.Gain) != n || len(t.Cover) != n || (t.Set != nil && len(t.Set) != n) {
		return fault.New(fault.Corrupt, "its arrays differ in length")
	}
	if err := t.checkSets(); err != nil {
		return err
	}
	reached := make([]bool, n)
	for i, f := range t.Feature {
		if f == Leaf {
			if math.IsNaN(t.Value[i]) {
				return fault.New(fault.Corrupt, "the value of leaf %d is not a number", i)
			}
			continue
		}
		if f < 0 || int(f) >= features {
			return fault.New(fault.Corrupt, "node %d splits on feature %d of %d", i, f, features)
		}
		if math.IsNaN(t.Threshold[i]) {
			return fault.New(fault.Corrupt, "the threshold of node %d is not a number", i)
		}
		for _, child := range [2]int32{t.Left[i], t.Right[i]} {
			if int(child) <= i || int(child) >= n || reached[child] {
				return fault.New(fault.Corrupt, "node %d has child %d of %d, which cannot be", i, child, n)
			}
			reached[child] = true
		}
	}
	return nil
}

func (t *Tree) checkSets() error {
	if t.Set == nil {
		return nil
	}
	sets := len(t.Bounds) - 1
	for s := range max(sets, 0) {
		if t.Bounds[s] < 0 || t.Bounds[s] > t.Bounds[s+1] || int(t.Bounds[s+1]) > len(t.Bits) {
			return fault.New(fault.Corrupt, "the bounds of category set %d are %d and %d of %d words", s, t.Bounds[s], t.Bounds[s+1], len(t.Bits))
		}
		if t.Bounds[s+1]-t.Bounds[s] > maxCategories/32 {
			return fault.New(fault.Corrupt, "category set %d claims more than %d categories", s, maxCategories)
		}
	}
	for i, s := range t.Set {
		if int(s) >= sets || s < -1 {
			return fault.New(fault.Corrupt, "node %d has category set %d of %d", i, s, sets)
		}
	}
	return nil
}

// Order renumbers the nodes breadth first from the root, so that children come after their parents and siblings stand
// side by side, and drops nodes that the root does not reach. Readers of foreign files, which number nodes as they
// like, call it before Check. A child outside the tree, or one that is reached twice, is fault.Corrupt.
func (t *Tree) Order() error {
	n := len(t.Feature)
	if n == 0 || len(t.Threshold) != n || len(t.Left) != n || len(t.Right) != n || len(t.MissingLeft) != n ||
		len(t.Value) != n || len(t.Gain) != n || len(t.Cover) != n || (t.Set != nil && len(t.Set) != n) {
		return fault.New(fault.Corrupt, "its arrays differ in length")
	}
	order := make([]int32, 1, n)
	place := make([]int32, n)
	seen := make([]bool, n)
	seen[0] = true
	for at := 0; at < len(order); at++ {
		i := order[at]
		place[i] = int32(at)
		if t.Feature[i] == Leaf {
			continue
		}
		for _, child := range [2]int32{t.Left[i], t.Right[i]} {
			if child < 0 || int(child) >= n || seen[child] {
				return fault.New(fault.Corrupt, "node %d has child %d of %d, which cannot be", i, child, n)
			}
			seen[child] = true
			order = append(order, child)
		}
	}
	old := *t
	*t = Tree{Output: old.Output, Bounds: old.Bounds, Bits: old.Bits}
	for _, i := range order {
		t.Feature = append(t.Feature, old.Feature[i])
		t.Threshold = append(t.Threshold, old.Threshold[i])
		left, right := int32(0), int32(0)
		if old.Feature[i] != Leaf {
			left, right = place[old.Left[i]], place[old.Right[i]]
		}
		t.Left, t.Right = append(t.Left, left), append(t.Right, right)
		t.MissingLeft = append(t.MissingLeft, old.MissingLeft[i])
		t.Value = append(t.Value, old.Value[i])
		t.Gain = append(t.Gain, old.Gain[i])
		t.Cover = append(t.Cover, old.Cover[i])
		if old.Set != nil {
			t.Set = append(t.Set, old.Set[i])
		}
	}
	return nil
}

// Add appends a node and returns its number. Feature Leaf makes a leaf; its children are set later.
func (t *Tree) Add(feature int32, threshold float64, missingLeft bool, value, gain, cover float64) int32 {
	t.Feature = append(t.Feature, feature)
	t.Threshold = append(t.Threshold, threshold)
	t.Left, t.Right = append(t.Left, 0), append(t.Right, 0)
	t.MissingLeft = append(t.MissingLeft, missingLeft)
	t.Value, t.Gain, t.Cover = append(t.Value, value), append(t.Gain, gain), append(t.Cover, cover)
	if t.Set != nil {
		t.Set = append(t.Set, -1)
	}
	return int32(len(t.Feature) - 1)
}

// SetCategories makes node n categorical: the categories, numbers from 0, go left.
func (t *Tree) SetCategories(n int32, categories []int) {
	if t.Set == nil {
		t.Set = make([]int32, len(t.Feature))
		for i := range t.Set {
			t.Set[i] = -1
		}
		t.Bounds = []int32{0}
	}
	words := 0
	for _, c := range categories {
		words = max(words, c/32+1)
	}
	from := len(t.Bits)
	t.Bits = append(t.Bits, make([]uint32, words)...)
	for _, c := range categories {
		t.Bits[from+c/32] |= 1 << (c % 32)
	}
	t.Set[n] = int32(len(t.Bounds) - 1)
	t.Bounds = append(t.Bounds, int32(len(t.Bits)))
}

// Categorical reports whether node n splits on a set of categories.
func (t *Tree) Categorical(n int32) bool { return t.Set != nil && t.Set[n] >= 0 }

// Words is the bit set of categorical node n.
func (t *Tree) Words(n int32) []uint32 {
	s := t.Set[n]
	return t.Bits[t.Bounds[s]:t.Bounds[s+1]]
}

// GoesLeft reports where node n, a split, sends the value v. missing says that v is missing: NaN, or a zero of a
// feature in ZeroMissing.
func (t *Tree) GoesLeft(n int32, v float64, missing bool) bool {
	switch {
	case missing:
		return t.MissingLeft[n]
	case t.Categorical(n):
		return contains(t.Words(n), v)
	}
	return v <= t.Threshold[n]
}

// contains reports whether the whole part of v is in the set.
func contains(words []uint32, v float64) bool {
	if !(v > -1 && v < float64(32*len(words))) || len(words) == 0 { // a set of none, and -0.5, whose whole part is 0
		return false
	}
	c := int(v)
	return words[c/32]>>(c%32)&1 == 1
}

// Missing reports whether v counts as missing in feature f.
func (e *Ensemble) Missing(f int, v float64) bool {
	return v != v || e.ZeroMissing != nil && e.ZeroMissing[f] && math.Abs(v) <= zeroMissing
}

// Find is the leaf of tree t that a row reaches. It is the plain definition that every scoring kernel is held to.
func (e *Ensemble) Find(t *Tree, x []float64) int32 {
	n := int32(0)
	for t.Feature[n] != Leaf {
		f := t.Feature[n]
		v := x[f]
		if e.Single {
			v = float64(float32(v))
		}
		if t.GoesLeft(n, v, e.Missing(int(f), v)) {
			n = t.Left[n]
		} else {
			n = t.Right[n]
		}
	}
	return n
}

// Importance is each feature's share of the gain of all splits; all zero when there are none or gains are unknown.
func (e *Ensemble) Importance() []float64 {
	out := make([]float64, e.Features)
	var total float64
	for i := range e.Trees {
		for n, f := range e.Trees[i].Feature {
			if f != Leaf {
				out[f] += e.Trees[i].Gain[n]
				total += e.Trees[i].Gain[n]
			}
		}
	}
	if total > 0 {
		for i := range out {
			out[i] /= total
		}
	}
	return out
}
