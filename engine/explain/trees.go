package explain

import (
	"sync"
	"unsafe"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// trees explains an ensemble.
type trees struct {
	e        *tree.Ensemble
	features int // that contribute
	compiled []*compiled
	rules    map[int]*rule // by chunks
	kept     bool          // every tree keeps its factors
	held     int
	work     int // splits of all trees, each as often as it has chunks
	splits   int // of the largest tree
	places   int
	scratch  sync.Pool // of *scratch
}

// keep is the memory that an explainer may hold for factors. Without them a batch computes them tree by tree, which
// costs it little, and a single row computes all of them.
const keep = 32 << 20

// newTrees explains an ensemble. of is for each of its columns the feature, below features, that contributes what splits on
// the column do; nil makes every column a feature.
func newTrees(e *tree.Ensemble, of []int32, features int) (explainer, []float64, error) {
	x := &trees{e: e, features: features, rules: map[int]*rule{}}
	count := make([]int, len(e.Base))
	known := false
	for i := range e.Trees {
		t := &e.Trees[i]
		count[t.Output]++
		for n, f := range t.Feature {
			known = known || f == tree.Leaf && t.Cover[n] > 0
		}
	}
	c := &compiler{e: e, of: of, last: make([]uint32, features)}
	expected, sums := append([]float64(nil), e.Base...), make([]float64, len(e.Base))
	factors := 0
	for i := range e.Trees {
		t := &e.Trees[i]
		scale := 1.0
		if e.Average {
			scale = 1 / float64(count[t.Output])
		}
		k, mean, err := c.compile(t, scale)
		if err != nil {
			return nil, nil, err
		}
		sums[t.Output] += mean
		if len(k.nodes) == 0 {
			continue
		}
		if !known {
			return nil, nil, fault.New(fault.NotSupported, "the model does not say how many training rows reached its leaves").
				WithHint("some formats, like ONNX, leave that out: explain the model in the format of the library that trained it")
		}
		x.compiled = append(x.compiled, k)
		if x.rules[k.chunks] == nil {
			x.rules[k.chunks] = newRule(k.chunks)
		}
		x.work += k.chunks * len(k.nodes)
		factors += k.chunks * len(k.nodes) * perNode * 8
		x.held += len(k.nodes) * int(unsafe.Sizeof(node{})+unsafe.Sizeof(share{}))
		x.splits, x.places = max(x.splits, len(k.nodes)), max(x.places, k.places)
	}
	for k := range expected {
		expected[k] += sums[k]
	}
	if x.kept = factors <= keep; x.kept {
		x.held += factors
		for _, k := range x.compiled {
			k.coefs = make([]float64, k.chunks*len(k.nodes)*perNode)
			for c := range k.chunks {
				k.fill(c, x.rules[k.chunks], k.coefs[c*len(k.nodes)*perNode:])
			}
		}
	}
	return x, expected, nil
}

func (x *trees) bytes() int { return x.held }

func (x *trees) steps() int { return 1 + x.work + len(x.e.Base)*x.features/16 }

// scratch is what one goroutine works with.
type scratch struct {
	coefs    []float64
	products []float64
	passed   []uint32 // per place: 1 when the row passed all splits on the way here whose feature is that of the last one
	at       []uint32 // rows x nodes of one tree
	sums     []float64
}

const (
	block    = 64      // rows that one tree is explained for before the next
	blockSum = 1 << 17 // sums of a block, unless a single row has more
)

func (x *trees) rows(data []float32, rows int, dst []float64, workers int) {
	p := x.e.Features
	x.run(rows, dst, workers, func(s *scratch, t *compiled, row int, at []uint32) {
		v := data[row*p : (row+1)*p]
		if t.plain {
			t.decide(v, s.passed, at)
			return
		}
		decideAny(x.e, t, v, s.passed, at)
	})
}

func (x *trees) wide(data []float64, rows int, dst []float64, workers int) {
	p := x.e.Features
	x.run(rows, dst, workers, func(s *scratch, t *compiled, row int, at []uint32) {
		decideAny(x.e, t, data[row*p:(row+1)*p], s.passed, at)
	})
}

// run explains blocks of rows, each on one goroutine and tree by tree, so that the factors of a tree are read from memory
// once per block. decide writes where the factors of each node of a tree begin for a row.
func (x *trees) run(rows int, dst []float64, workers int, decide func(s *scratch, t *compiled, row int, at []uint32)) {
	p, k := x.features, len(x.e.Base)
	size := max(1, min(block, rows, blockSum/(p*k*lanes)))
	shard.Run(shard.Workers(workers), shard.Blocks(rows, size), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, size)
		s, _ := x.scratch.Get().(*scratch)
		if s == nil {
			s = &scratch{}
		}
		defer x.scratch.Put(s)
		s.products, s.passed = grown(s.products, max(x.places, 1)*lanes), grown(s.passed, max(x.places, 1))
		s.sums, s.at = grown(s.sums, size*k*p*lanes), grown(s.at, size*x.splits)
		if !x.kept {
			s.coefs = grown(s.coefs, x.splits*perNode)
		}
		clear(s.sums)
		s.passed[0] = 1
		for _, t := range x.compiled {
			n, q := len(t.nodes), x.rules[t.chunks]
			for i := lo; i < hi; i++ {
				decide(s, t, i, s.at[(i-lo)*n:(i-lo+1)*n])
			}
			for c := range t.chunks {
				coefs := s.coefs
				if x.kept {
					coefs = t.coefs[c*n*perNode : (c+1)*n*perNode]
				} else {
					t.fill(c, q, coefs)
				}
				for i := range hi - lo {
					copy(s.products[:lanes], q.weight[c*lanes:])
					kernel(t.nodes, s.at[i*n:(i+1)*n], coefs, s.products, s.sums[(i*k+t.output)*p*lanes:])
				}
			}
		}
		out := dst[lo*k*p : hi*k*p]
		for i := range out {
			v := (*[lanes]float64)(s.sums[i*lanes:])
			out[i] = (v[0] + v[1]) + (v[2] + v[3])
		}
	})
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// decide finds the states of a plain tree's nodes for a row of float32.
func (t *compiled) decide(x []float32, passed, at []uint32) {
	base := uint32(0)
	for i := range t.nodes {
		n := &t.nodes[i]
		v := x[n.column]
		above, notBelow := uint32(0), uint32(0)
		if v > n.threshold {
			above = 1
		}
		if !(v <= n.threshold) {
			notBelow = 1 // above, or NaN
		}
		right := above | notBelow&n.missingRight
		before := passed[n.above]
		passed[n.left] = before &^ right
		passed[n.left+1] = before & right
		at[i] = base + perState*(before+before&right)
		base += perNode
	}
}

// decideAny finds the states of any tree's nodes, for values as they are or, with Single, rounded to float32.
func decideAny[T float32 | float64](e *tree.Ensemble, t *compiled, x []T, passed, at []uint32) {
	for i := range t.nodes {
		n := &t.nodes[i]
		v := float64(x[n.column])
		if e.Single {
			v = float64(float32(v))
		}
		right := uint32(1)
		if t.source.GoesLeft(n.number, v, e.Missing(int(n.column), v)) {
			right = 0
		}
		before := passed[n.above]
		passed[n.left] = before &^ right
		passed[n.left+1] = before & right
		at[i] = uint32(i)*perNode + perState*(before+before&right)
	}
}
