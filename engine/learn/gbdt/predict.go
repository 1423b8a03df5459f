package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// flat is all trees in two arrays, each tree's nodes together. The children of a node stand side by side, so that the
// outcome of its comparison can be added to the first one's place: walking down has no branch to mispredict. A leaf
// leads to itself.
type flat struct {
	nodes  []step
	values []float64 // per node; 0 where it is not a leaf
	roots  []int32
}

// step is a node in 16 bytes.
type step struct {
	threshold    float32 // +Inf in a leaf
	feature      uint32  // 0 in a leaf
	child        int32   // the left one; the right one follows it
	missingRight int32   // 1 when NaN goes right
}

// next is where a row with value v of the step's feature goes.
func (s *step) next(v float32) int32 {
	above, notBelow := int32(0), int32(0)
	if v > s.threshold {
		above = 1
	}
	if !(v <= s.threshold) {
		notBelow = 1 // above, or NaN
	}
	return s.child + (above | notBelow&s.missingRight)
}

// flatten builds the arrays that predictions run on.
func (m *Model) flatten() error {
	var total int
	for i := range m.Trees {
		total += len(m.Trees[i].Feature)
	}
	if total > math.MaxInt32 {
		return fault.New(fault.TooLarge, "the model has %d nodes; at most %d can be predicted with", total, math.MaxInt32)
	}
	f := flat{nodes: make([]step, 0, total), values: make([]float64, 0, total), roots: make([]int32, 0, len(m.Trees))}
	for i := range m.Trees {
		f.roots = append(f.roots, int32(len(f.nodes)))
		f.add(&m.Trees[i])
	}
	m.flat = f
	return nil
}

// add appends a tree breadth first.
func (f *flat) add(t *Tree) {
	queue := []int32{0}
	first := len(f.nodes)
	for at := 0; at < len(queue); at++ {
		j := queue[at]
		if t.Feature[j] < 0 {
			f.nodes = append(f.nodes, step{threshold: float32(math.Inf(1)), child: int32(first + at)})
			f.values = append(f.values, t.Value[j])
			continue
		}
		s := step{threshold: t.Threshold[j], feature: uint32(t.Feature[j]), child: int32(first + len(queue)), missingRight: 1}
		if t.MissingLeft[j] {
			s.missingRight = 0
		}
		f.nodes = append(f.nodes, s)
		f.values = append(f.values, 0)
		queue = append(queue, t.Left[j], t.Right[j])
	}
}

// leaf is the value of the leaf that x falls into, from the root.
func (f *flat) leaf(root int32, x []float32) float64 {
	for n := root; ; {
		s := &f.nodes[n]
		m := s.next(x[s.feature])
		if m == n {
			return f.values[n]
		}
		n = m
	}
}

// fourTrees walks one row down four trees at once: while one waits for memory the others go on.
func (f *flat) fourTrees(a, b, c, d int32, x []float32) (float64, float64, float64, float64) {
	nodes := f.nodes
	for {
		p, q, r, s := &nodes[a], &nodes[b], &nodes[c], &nodes[d]
		a1, b1, c1, d1 := p.next(x[p.feature]), q.next(x[q.feature]), r.next(x[r.feature]), s.next(x[s.feature])
		if (a^a1)|(b^b1)|(c^c1)|(d^d1) == 0 {
			return f.values[a], f.values[b], f.values[c], f.values[d]
		}
		a, b, c, d = a1, b1, c1, d1
	}
}

// fourRows walks four rows down one tree at once.
func (f *flat) fourRows(root int32, x0, x1, x2, x3 []float32) (float64, float64, float64, float64) {
	nodes := f.nodes
	a, b, c, d := root, root, root, root
	for {
		p, q, r, s := &nodes[a], &nodes[b], &nodes[c], &nodes[d]
		a1, b1, c1, d1 := p.next(x0[p.feature]), q.next(x1[q.feature]), r.next(x2[r.feature]), s.next(x3[s.feature])
		if (a^a1)|(b^b1)|(c^c1)|(d^d1) == 0 {
			return f.values[a], f.values[b], f.values[c], f.values[d]
		}
		a, b, c, d = a1, b1, c1, d1
	}
}

// Margin writes the Outputs margins of one row to dst without allocating.
func (m *Model) Margin(x []float32, dst []float64) {
	k := len(m.Base)
	x, dst = x[:m.features], dst[:k]
	copy(dst, m.Base)
	roots := m.flat.roots
	j := 0
	add := func(v float64) {
		dst[j] += v
		if j++; j == k {
			j = 0
		}
	}
	for ; len(roots) >= 4; roots = roots[4:] {
		v0, v1, v2, v3 := m.flat.fourTrees(roots[0], roots[1], roots[2], roots[3], x)
		add(v0)
		add(v1)
		add(v2)
		add(v3)
	}
	for _, root := range roots {
		add(m.flat.leaf(root, x))
	}
}

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	m.Margin(x, dst)
	link(m.task, dst[:len(m.Base)])
}

// predictBlock is the rows that one tree is walked for before the next: few enough for their values to stay in the
// first cache, many enough for the tree to be read once for all of them.
const predictBlock = 64

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.features {
		panic("gbdt: matrix and model differ in features")
	}
	k := len(m.Base)
	dst = dst[:x.Rows*k]
	workers := 1
	if x.Rows >= 16*predictBlock {
		workers = shard.Workers(0)
	}
	shard.Run(workers, shard.Blocks(x.Rows, predictBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, predictBlock)
		out := dst[lo*k : hi*k]
		for i := range hi - lo {
			copy(out[i*k:], m.Base)
		}
		for t, root := range m.flat.roots {
			j, i := t%k, lo
			for ; i+4 <= hi; i += 4 {
				v0, v1, v2, v3 := m.flat.fourRows(root, x.Row(i), x.Row(i+1), x.Row(i+2), x.Row(i+3))
				out[j] += v0
				out[j+k] += v1
				out[j+2*k] += v2
				out[j+3*k] += v3
				j += 4 * k
			}
			for ; i < hi; i++ {
				out[j] += m.flat.leaf(root, x.Row(i))
				j += k
			}
		}
		for i := range hi - lo {
			link(m.task, out[i*k:(i+1)*k])
		}
	})
}

// link turns margins into what the task predicts, in place.
func link(task learner.Task, margins []float64) {
	switch task {
	case learner.Binary:
		margins[0] = 1 / (1 + math.Exp(-margins[0]))
	case learner.Multiclass:
		top := margins[0]
		for _, v := range margins[1:] {
			top = max(top, v)
		}
		var sum float64
		for i, v := range margins {
			margins[i] = math.Exp(v - top)
			sum += margins[i]
		}
		for i := range margins {
			margins[i] /= sum
		}
	}
}
