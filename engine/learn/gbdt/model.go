package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Tree is one regression tree as flat arrays of equal length, one entry per node; node 0 is the root. Where Feature is
// -1 the node is a leaf and Value is what it adds to the margin, learning rate included. Elsewhere a row goes to node
// Left when x[Feature] <= Threshold, compared as float32, or when x[Feature] is NaN and MissingLeft is set, and
// to node Right otherwise. Children come after their parents. Gain is what a split took off the training loss (times
// two), Cover the training rows that reached the node.
type Tree struct {
	Feature     []int32
	Threshold   []float32
	Left, Right []int32
	MissingLeft []bool
	Value       []float64
	Gain        []float64
	Cover       []float64
}

// Model is a boosted ensemble. Trees come round by round, and within a round one for each output: tree i adds to
// output i mod Outputs. The margin of output k is Base[k] plus its trees' values. Binary probabilities are the
// logistic function of the margin, multiclass ones the softmax of the margins; a regression's margin is its value.
// The exported fields must not be changed.
type Model struct {
	Trees []Tree
	Base  []float64
	Gain  []float64 // per feature, summed over the trees

	task     learner.Task
	features int
	flat     flat
}

// tree is the grown tree in columns and thresholds of the matrix. It adds the splits' gains to gain, per column.
func (t *growing) tree(d *binned, gain []float64) Tree {
	n := len(t.nodes)
	out := Tree{
		Feature: make([]int32, n), Threshold: make([]float32, n), Left: make([]int32, n), Right: make([]int32, n),
		MissingLeft: make([]bool, n), Value: make([]float64, n), Gain: make([]float64, n), Cover: make([]float64, n),
	}
	for i, nd := range t.nodes {
		out.Cover[i] = float64(nd.rows)
		if nd.column < 0 {
			out.Feature[i], out.Value[i] = -1, nd.value
			continue
		}
		c := &d.columns[nd.column]
		out.Feature[i] = int32(c.source)
		out.Threshold[i] = float32(math.Inf(1)) // the last code: every value goes left, only missing goes right
		if k := int(nd.code) - 1; k < len(c.thresholds) {
			out.Threshold[i] = c.thresholds[k]
		}
		out.Left[i], out.Right[i] = nd.left, nd.right
		out.MissingLeft[i] = nd.missingLeft
		out.Gain[i] = nd.gain
		gain[c.source] += nd.gain
	}
	return out
}

func gainOf(trees []Tree, features int) []float64 {
	gain := make([]float64, features)
	for i := range trees {
		for j, f := range trees[i].Feature {
			if f >= 0 {
				gain[f] += trees[i].Gain[j]
			}
		}
	}
	return gain
}

// Kind implements learner.Model.
func (m *Model) Kind() string { return Name }

// Task implements learner.Model.
func (m *Model) Task() learner.Task { return m.task }

// Outputs implements learner.Model.
func (m *Model) Outputs() int { return len(m.Base) }

// Features implements learner.Model.
func (m *Model) Features() int { return m.features }

// Rounds is the boosting rounds that the model keeps.
func (m *Model) Rounds() int { return len(m.Trees) / len(m.Base) }

// Importance is each feature's share of the gain of all splits.
func (m *Model) Importance() []float64 {
	out := make([]float64, len(m.Gain))
	var total float64
	for _, g := range m.Gain {
		total += g
	}
	if total > 0 {
		for i, g := range m.Gain {
			out[i] = g / total
		}
	}
	return out
}

// layout is the version of the bytes below.
const layout = 1

// MarshalBinary implements learner.Model.
func (m *Model) MarshalBinary() ([]byte, error) {
	w := wire.NewWriter(Name, layout)
	w.Text(string(m.task))
	w.Uint32(uint32(m.features))
	w.Floats(m.Base)
	w.Uint32(uint32(len(m.Trees)))
	for i := range m.Trees {
		t := &m.Trees[i]
		w.Ints(t.Feature)
		w.Singles(t.Threshold)
		w.Ints(t.Left)
		w.Ints(t.Right)
		w.Bools(t.MissingLeft)
		w.Floats(t.Value)
		w.Floats(t.Gain)
		w.Floats(t.Cover)
	}
	return w.Bytes, nil
}

// Load reads the body of a model after its opening.
func Load(r *wire.Reader, version uint32) (*Model, error) {
	if version != layout {
		return nil, fault.New(fault.FormatNotServed, "a %s model of layout %d cannot be read by this version", Name, version)
	}
	m := &Model{task: learner.Task(r.Text(32)), features: int(r.Uint32()), Base: r.Floats()}
	count := int(r.Uint32())
	for i := 0; i < count && r.Err() == nil; i++ {
		m.Trees = append(m.Trees, Tree{
			Feature: r.Ints(), Threshold: r.Singles(), Left: r.Ints(), Right: r.Ints(),
			MissingLeft: r.Bools(), Value: r.Floats(), Gain: r.Floats(), Cover: r.Floats(),
		})
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	m.Gain = gainOf(m.Trees, m.features)
	if err := m.flatten(); err != nil {
		return nil, err
	}
	return m, nil
}

// maxFeatures bounds what a model file may claim, so that a few altered bytes cannot ask for gigabytes.
const maxFeatures = 1 << 24

// check makes sure that no prediction can leave the arrays or fail to end, and that each node has one parent at most,
// without which a small file could unfold into a huge tree.
func (m *Model) check() error {
	k := len(m.Base)
	switch {
	case m.task == learner.Multiclass && k >= 2:
	case (m.task == learner.Binary || m.task == learner.Regression) && k == 1:
	default:
		return fault.New(fault.Corrupt, "a model of task %q cannot have %d outputs", m.task, k)
	}
	if m.features < 1 || m.features > maxFeatures {
		return fault.New(fault.Corrupt, "the model claims %d features", m.features)
	}
	if len(m.Trees)%k != 0 {
		return fault.New(fault.Corrupt, "the model has %d trees for %d outputs", len(m.Trees), k)
	}
	for i := range m.Trees {
		if err := m.Trees[i].check(m.features); err != nil {
			return fault.Wrap(err, fault.Corrupt, "tree %d", i)
		}
	}
	return nil
}

func (t *Tree) check(features int) error {
	n := len(t.Feature)
	if n == 0 || len(t.Threshold) != n || len(t.Left) != n || len(t.Right) != n || len(t.MissingLeft) != n ||
		len(t.Value) != n || len(t.Gain) != n || len(t.Cover) != n {
		return fault.New(fault.Corrupt, "its arrays differ in length")
	}
	reached := make([]bool, n)
	for i, f := range t.Feature {
		if f == -1 {
			continue
		}
		if f < 0 || int(f) >= features {
			return fault.New(fault.Corrupt, "node %d splits on feature %d of %d", i, f, features)
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
