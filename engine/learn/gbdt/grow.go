package gbdt

import (
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// grower grows one tree after the other over the same rows.
type grower struct {
	Settings
	data    *binned
	workers int
	arena   *arena

	packed []int64 // quantised gradients by row number, filled by the loss before each tree

	// The rows of a leaf are one stretch of rows, in ascending order, and grads holds their packed gradients in
	// tandem, so that the histogram reads gradients one after the other. The spare halves receive right-hand rows.
	rows, spareRows   []uint32
	grads, spareGrads []int64
}

func newGrower(s Settings, d *binned, workers int) *grower {
	return &grower{
		Settings: s, data: d, workers: workers, arena: newArena(d, workers),
		packed: make([]int64, d.rows),
		rows:   make([]uint32, d.rows), spareRows: make([]uint32, d.rows),
		grads: make([]int64, d.rows), spareGrads: make([]int64, d.rows),
	}
}

// growing is a tree under construction, in codes and in columns of the binned matrix.
type growing struct {
	nodes  []node
	leaves []leaf
}

// node is a split or, with column -1, a leaf.
type node struct {
	column      int32
	code        uint8
	missingLeft bool
	left, right int32
	gain        float64
	value       float64
	rows        int
}

// grow splits the leaf with the greatest gain until there are Leaves of them or nothing is gained. bag is the rows to
// train on, nil for all. The leaves' row stretches stay valid until the next call.
func (g *grower) grow(bag []uint32, loss *loss, allowed []bool) *growing {
	n := g.start(bag)
	lim := &limits{
		quantumG: loss.quantumG, quantumH: loss.quantumH,
		l2: g.L2, minLeaf: g.MinLeaf, minHessian: g.MinHessian, allowed: allowed,
	}
	t := &growing{nodes: make([]node, 1, 2*g.Leaves-1)}
	t.nodes[0] = node{column: -1, rows: n}
	root := leaf{n: n, sum: g.total(n)}
	if len(g.data.columns) > 0 && n >= 2*g.MinLeaf {
		listed := g.rows[:n]
		if bag == nil {
			listed = nil
		}
		root.hist = g.arena.build(g.data, listed, g.grads[:n], g.workers)
		findSplit(&root, g.data, lim, g.workers)
	}
	t.leaves = append(make([]leaf, 0, g.Leaves), root)
	for len(t.leaves) < g.Leaves {
		best := 0
		for i := range t.leaves {
			if t.leaves[i].split.gain > t.leaves[best].split.gain {
				best = i
			}
		}
		if t.leaves[best].split.gain <= 0 {
			break
		}
		g.split(t, best, lim)
	}
	for i := range t.leaves {
		g.arena.give(t.leaves[i].hist)
		t.leaves[i].hist = histogram{}
	}
	return t
}

// start puts every row of the bag into one stretch and returns its length.
func (g *grower) start(bag []uint32) int {
	if bag == nil {
		n := g.data.rows
		shard.Run(g.workers, shard.Blocks(n, shardRows), func(_, b int) {
			lo, hi := shard.Bounds(b, n, shardRows)
			copy(g.grads[lo:hi], g.packed[lo:hi])
			for i := lo; i < hi; i++ {
				g.rows[i] = uint32(i)
			}
		})
		return n
	}
	shard.Run(g.workers, shard.Blocks(len(bag), shardRows), func(_, b int) {
		lo, hi := shard.Bounds(b, len(bag), shardRows)
		for i := lo; i < hi; i++ {
			g.rows[i], g.grads[i] = bag[i], g.packed[bag[i]]
		}
	})
	return len(bag)
}

// total sums the gradients of the first n rows.
func (g *grower) total(n int) sums {
	parts := make([]sums, shard.Blocks(n, narrowRows))
	shard.Run(g.workers, len(parts), func(_, b int) {
		lo, hi := shard.Bounds(b, n, narrowRows)
		var v int64
		for _, q := range g.grads[lo:hi] {
			v += q
		}
		parts[b].g, parts[b].h = unpack(v)
	})
	var t sums
	for _, p := range parts {
		t.g += p.g
		t.h += p.h
	}
	return t
}

// split replaces leaf i by its left child and appends the right one.
func (g *grower) split(t *growing, i int, lim *limits) {
	parent := t.leaves[i]
	s := parent.split
	lo, hi := parent.start, parent.start+parent.n
	nLeft := g.partition(lo, hi, s)

	at := int32(len(t.nodes))
	t.nodes = append(t.nodes, node{column: -1, rows: nLeft}, node{column: -1, rows: parent.n - nLeft})
	p := &t.nodes[parent.node]
	p.column, p.code, p.missingLeft, p.gain = int32(s.column), s.code, s.missingLeft, s.gain
	p.left, p.right = at, at+1

	left := leaf{node: at, start: lo, n: nLeft, sum: s.left}
	right := leaf{node: at + 1, start: lo + nLeft, n: parent.n - nLeft,
		sum: sums{parent.sum.g - s.left.g, parent.sum.h - s.left.h}}

	// The last split of a tree, and leaves too small to split again, need no histogram.
	last := len(t.leaves)+1 == g.Leaves
	if last || (left.n < 2*g.MinLeaf && right.n < 2*g.MinLeaf) {
		g.arena.give(parent.hist)
	} else {
		small, large := &left, &right
		if left.n > right.n {
			small, large = large, small
		}
		a, b := small.start, small.start+small.n
		small.hist = g.arena.build(g.data, g.rows[a:b], g.grads[a:b], g.workers)
		large.hist = parent.hist.sibling(small.hist, large.n, g.arena)
		findSplit(large, g.data, lim, g.workers)
		findSplit(small, g.data, lim, g.workers)
	}
	t.leaves[i] = left
	t.leaves = append(t.leaves, right)
}

// partition moves the rows of [lo, hi) that go left to the front, keeping the order on both sides, and returns how many
// they are.
func (g *grower) partition(lo, hi int, s split) int {
	codes := g.data.byCol[s.column]
	// Codes are compared after subtracting first: 1 turns missing into 255, which goes right.
	first := uint8(1)
	if s.missingLeft {
		first = 0
	}
	last := s.code - first
	n := hi - lo
	pieces := 1
	if g.workers > 1 && n >= 2*shardRows {
		pieces = min(g.workers, n/shardRows)
	}
	lefts := make([]int, pieces)
	shard.Run(g.workers, pieces, func(_, p int) {
		a, b := lo+n*p/pieces, lo+n*(p+1)/pieces
		lefts[p] = partitionRows(codes, first, last, g.rows[a:b], g.grads[a:b], g.spareRows[a:b], g.spareGrads[a:b])
	})
	to := lo
	for p, k := range lefts {
		a := lo + n*p/pieces
		if to != a {
			copy(g.rows[to:], g.rows[a:a+k])
			copy(g.grads[to:], g.grads[a:a+k])
		}
		to += k
	}
	nLeft := to - lo
	for p, k := range lefts {
		a, b := lo+n*p/pieces, lo+n*(p+1)/pieces
		copy(g.rows[to:], g.spareRows[a:b-k])
		copy(g.grads[to:], g.spareGrads[a:b-k])
		to += b - a - k
	}
	return nLeft
}

// partitionRows keeps the rows that go left at the front of rows and grads and puts the others at the front of the
// spare slices. Every row is written to both sides and one of the two positions advances, so that there is no branch
// to mispredict.
func partitionRows(codes []uint8, first, last uint8, rows []uint32, grads []int64, spareRows []uint32, spareGrads []int64) int {
	grads = grads[:len(rows)]
	spareRows = spareRows[:len(rows)]
	spareGrads = spareGrads[:len(rows)]
	l, r := 0, 0
	for i, row := range rows {
		q := grads[i]
		left := 0
		if codes[row]-first <= last {
			left = 1
		}
		rows[l], grads[l] = row, q
		spareRows[r], spareGrads[r] = row, q
		l += left
		r += 1 - left
	}
	return l
}

// find is the leaf node of a row that was not in the bag, by its codes.
func (t *growing) find(codes []uint8) int32 {
	n := int32(0)
	for t.nodes[n].column >= 0 {
		nd := &t.nodes[n]
		code := codes[nd.column]
		if left := code <= nd.code && code > 0 || code == 0 && nd.missingLeft; left {
			n = nd.left
		} else {
			n = nd.right
		}
	}
	return n
}
