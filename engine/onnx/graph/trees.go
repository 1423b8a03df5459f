package graph

import (
	"math"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// fast scores a forest by the tree engine where that computes the same: leaves of one weight, one output for each
// tree, comparisons that are orders. It adds up float64 and rounds once, so that sums are the ones of float32 to their
// rounding, or nearer to the truth. A forest has one for rows of float32 and one for rows of float64.
type fast struct {
	once   sync.Once
	width  int // columns that the trees read
	scorer *tree.Scorer
}

// fewRows are better scored one by one.
const fewRows = 4

var sumsPool sync.Pool

func takeSums(n int) *[]float64 {
	p, _ := sumsPool.Get().(*[]float64)
	if p == nil || cap(*p) < n {
		s := make([]float64, n)
		return &s
	}
	*p = (*p)[:n]
	clear(*p)
	return p
}

func giveSums(p *[]float64) {
	if cap(*p) <= 1<<20 {
		sumsPool.Put(p)
	}
}

// scored writes the sums of the leaves' weights to sums, and reports false when the forest is not one for it.
func scored[T float32 | float64](f *forest, x []T, rows, cols int, sums []float64) bool {
	single, isSingle := any(x).([]float32)
	at := 0
	if !isSingle {
		at = 1
	}
	f.fast[at].once.Do(func() { f.compile(&f.fast[at], isSingle) })
	s, width := f.fast[at].scorer, f.fast[at].width
	if s == nil || cols < width {
		return false
	}
	if isSingle && rows <= fewRows {
		for i := range rows {
			s.Row(single[i*cols:(i+1)*cols], sums[i*f.outputs:])
		}
		return true
	}
	if cols > width {
		narrow := make([]T, 0, rows*width)
		for i := range rows {
			narrow = append(narrow, x[i*cols:][:width]...)
		}
		x = narrow
	}
	switch x := any(x).(type) {
	case []float32:
		s.Rows(x, rows, sums, 1)
	case []float64:
		s.RowsWide(x, rows, sums, 1)
	}
	return true
}

// compile makes a scorer when the forest is one for it.
func (f *forest) compile(into *fast, single bool) {
	if f.mean == "MIN" || f.mean == "MAX" || f.outputs == 0 {
		return
	}
	e := tree.Ensemble{Features: 1, Base: make([]float64, f.outputs), Single: single, Link: tree.Identity, Scale: 1}
	for i := range f.nodes {
		if f.nodes[i].mode != leaf {
			e.Features = max(e.Features, int(f.nodes[i].feature)+1)
		}
	}
	left := len(f.nodes) // a node that two trees share would be copied
	for _, root := range f.roots {
		t, ok := f.tree(root, &left, single)
		if !ok {
			return
		}
		e.Trees = append(e.Trees, t)
	}
	if e.Check() != nil {
		return
	}
	if s, err := tree.NewScorer(&e); err == nil {
		into.width, into.scorer = e.Features, s
	}
}

// below is the greatest number that is less than a threshold, among those that are compared with it.
func below(threshold float64, single bool) float64 {
	if single && float64(float32(threshold)) == threshold {
		return float64(math.Nextafter32(float32(threshold), float32(math.Inf(-1))))
	}
	return math.Nextafter(threshold, math.Inf(-1))
}

// tree is the tree of a root; it takes its nodes from left.
func (f *forest) tree(root int32, left *int, single bool) (tree.Tree, bool) {
	t := tree.Tree{Output: -1}
	queue := []int32{root}
	for at := 0; at < len(queue); at++ {
		if *left--; *left < 0 {
			return t, false
		}
		b := &f.nodes[queue[at]]
		if b.mode == leaf {
			value := 0.0
			switch weights := f.weights[b.from:b.to]; {
			case len(weights) > 1:
				return t, false
			case len(weights) == 1:
				if value = weights[0].value; t.Output >= 0 && t.Output != int(weights[0].output) {
					return t, false
				}
				t.Output = int(weights[0].output)
			}
			t.Add(tree.Leaf, 0, false, value, 0, 0)
			continue
		}
		threshold, less, missing := b.threshold, b.yes, b.missingTrue
		more := b.no
		switch b.mode {
		case branchGT, branchGTE:
			less, more, missing = more, less, !missing
		case branchLEQ, branchLT:
		default:
			return t, false
		}
		if threshold != threshold {
			return t, false
		}
		if b.mode == branchLT || b.mode == branchGTE {
			if math.IsInf(threshold, -1) || single && threshold < -math.MaxFloat32 {
				return t, false
			}
			threshold = below(threshold, single)
		}
		n := t.Add(b.feature, threshold, missing, 0, 0, 0)
		t.Left[n], t.Right[n] = int32(len(queue)), int32(len(queue)+1)
		queue = append(queue, less, more)
	}
	t.Output = max(t.Output, 0)
	return t, true
}
