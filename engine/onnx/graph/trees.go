package graph

import (
	"math"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// fast scores a forest by the tree engine where that computes the same: leaves of one weight, one output for each
// tree, comparisons that are orders. It adds up float64 and rounds once, so that sums are the ones of float32 to their
// rounding, or nearer to the truth.
type fast struct {
	once   sync.Once
	width  int // columns that the trees read
	scorer *tree.Scorer
}

// fewRows are better scored one by one.
const fewRows = 4

// scored writes the sums of the leaves' weights to out, and reports false when the forest is not one for it.
func (f *forest) scored(x []float32, rows, cols int, out []float32) bool {
	f.fast.once.Do(f.compile)
	s, width := f.fast.scorer, f.fast.width
	if s == nil || cols < width {
		return false
	}
	sums := make([]float64, rows*f.outputs)
	if rows <= fewRows {
		for i := range rows {
			s.Row(x[i*cols:(i+1)*cols], sums[i*f.outputs:])
		}
	} else {
		if cols > width {
			narrow := make([]float32, 0, rows*width)
			for i := range rows {
				narrow = append(narrow, x[i*cols:][:width]...)
			}
			x = narrow
		}
		s.Rows(x, rows, sums, 1)
	}
	for i, v := range sums {
		out[i] = float32(v)
	}
	return true
}

// compile makes the forest's scorer when it is one for it.
func (f *forest) compile() {
	if f.mean == "MIN" || f.mean == "MAX" {
		return
	}
	e := tree.Ensemble{Features: 1, Base: make([]float64, f.outputs), Single: true, Link: tree.Identity, Scale: 1}
	for i := range f.nodes {
		if f.nodes[i].mode != leaf {
			e.Features = max(e.Features, int(f.nodes[i].feature)+1)
		}
	}
	left := len(f.nodes) // a node that two trees share would be copied
	for _, root := range f.roots {
		t, ok := f.tree(root, &left)
		if !ok {
			return
		}
		e.Trees = append(e.Trees, t)
	}
	if e.Check() != nil {
		return
	}
	if s, err := tree.NewScorer(&e); err == nil {
		f.fast.width, f.fast.scorer = e.Features, s
	}
}

// tree is the tree of a root; it takes its nodes from left.
func (f *forest) tree(root int32, left *int) (tree.Tree, bool) {
	t := tree.Tree{Output: -1}
	queue := []int32{root}
	for at := 0; at < len(queue); at++ {
		if *left--; *left < 0 {
			return t, false
		}
		b := &f.nodes[queue[at]]
		if b.mode == leaf {
			value := float32(0)
			switch weights := f.weights[b.from:b.to]; {
			case len(weights) > 1:
				return t, false
			case len(weights) == 1:
				if value = weights[0].value; t.Output >= 0 && t.Output != int(weights[0].output) {
					return t, false
				}
				t.Output = int(weights[0].output)
			}
			t.Add(tree.Leaf, 0, false, float64(value), 0, 0)
			continue
		}
		threshold, below, missing := b.threshold, b.yes, b.missingTrue
		above := b.no
		switch b.mode {
		case branchGT, branchGTE:
			below, above, missing = above, below, !missing
		case branchLEQ, branchLT:
		default:
			return t, false
		}
		if b.mode == branchLT || b.mode == branchGTE {
			if math.IsInf(float64(threshold), -1) {
				return t, false
			}
			threshold = math.Nextafter32(threshold, float32(math.Inf(-1)))
		}
		n := t.Add(b.feature, float64(threshold), missing, 0, 0, 0)
		t.Left[n], t.Right[n] = int32(len(queue)), int32(len(queue)+1)
		queue = append(queue, below, above)
	}
	t.Output = max(t.Output, 0)
	return t, true
}
