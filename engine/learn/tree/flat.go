package tree

import "math"

// flat is all trees in two arrays, each tree's nodes together. The children of a node stand side by side, so that the
// outcome of its comparison can be added to the first one's place: walking down has no branch to mispredict. A leaf
// leads to itself.
type flat struct {
	nodes   []step
	values  []float64 // per node; 0 where it is not a leaf
	roots   []int32
	outputs []int32 // per tree
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

// newFlat flattens an ensemble of so many nodes without category sets and ZeroMissing, for values of float32.
func newFlat(e *Ensemble, nodes int) flat {
	f := flat{nodes: make([]step, 0, nodes), values: make([]float64, 0, nodes)}
	for i := range e.Trees {
		f.roots = append(f.roots, int32(len(f.nodes)))
		f.outputs = append(f.outputs, int32(e.Trees[i].Output))
		f.add(&e.Trees[i])
	}
	return f
}

// row adds the leaf values of a row to dst.
func (f *flat) row(x []float32, dst []float64) {
	roots, outputs := f.roots, f.outputs
	for ; len(roots) >= 4; roots, outputs = roots[4:], outputs[4:] {
		v0, v1, v2, v3 := f.fourTrees(roots[0], roots[1], roots[2], roots[3], x)
		dst[outputs[0]] += v0
		dst[outputs[1]] += v1
		dst[outputs[2]] += v2
		dst[outputs[3]] += v3
	}
	for i, root := range roots {
		dst[outputs[i]] += f.leaf(root, x)
	}
}

// rows adds the leaf values of tree t to the sums of rows of p values, which stand apart by a step.
func (f *flat) rows(t int, data []float32, p, rows int, sums []float64, apart int) {
	root, i, j := f.roots[t], 0, 0
	for ; i+4 <= rows; i += 4 {
		v0, v1, v2, v3 := f.fourRows(root, data[i*p:(i+1)*p], data[(i+1)*p:(i+2)*p], data[(i+2)*p:(i+3)*p], data[(i+3)*p:(i+4)*p])
		sums[j] += v0
		sums[j+apart] += v1
		sums[j+2*apart] += v2
		sums[j+3*apart] += v3
		j += 4 * apart
	}
	for ; i < rows; i++ {
		sums[j] += f.leaf(root, data[i*p:(i+1)*p])
		j += apart
	}
}

// Floor32 is the largest float32 that is not above t: a float32 v is at most t exactly when it is at most Floor32(t).
func Floor32(t float64) float32 {
	v := float32(t)
	if float64(v) > t {
		return math.Nextafter32(v, float32(math.Inf(-1)))
	}
	return v
}

// add appends a tree breadth first.
func (f *flat) add(t *Tree) {
	queue := []int32{0}
	first := len(f.nodes)
	for at := 0; at < len(queue); at++ {
		j := queue[at]
		if t.Feature[j] == Leaf {
			f.nodes = append(f.nodes, step{threshold: float32(math.Inf(1)), child: int32(first + at)})
			f.values = append(f.values, t.Value[j])
			continue
		}
		s := step{threshold: Floor32(t.Threshold[j]), feature: uint32(t.Feature[j]), child: int32(first + len(queue)), missingRight: 1}
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
