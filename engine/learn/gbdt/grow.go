package gbdt

import (
	"encoding/binary"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// grower grows one tree after the other over the same rows.
type grower struct {
	Settings
	data    *bins.Set
	limits  *constraints
	workers int
	arena   *arena

	// The rows of a leaf are one stretch of rows, in ascending order. The spare half receives right-hand rows.
	rows, spare []uint32
}

func newGrower(s Settings, limits *constraints, d *bins.Set, workers int) *grower {
	return &grower{
		Settings: s, data: d, limits: limits, workers: workers, arena: newArena(d, workers),
		rows: make([]uint32, d.Rows), spare: make([]uint32, d.Rows),
	}
}

// set gives a row its quantised gradient, from -32,767 to 32,767, and hessian, from 0 to 32,767, for the next tree.
func (g *grower) set(row int, gradientQ, hessianQ int64) {
	d := g.data
	binary.LittleEndian.PutUint32(d.Records[row*d.Stride+d.Width:], gradient(gradientQ, hessianQ))
}

// growing is a tree under construction, in codes and in columns of the binned matrix.
type growing struct {
	nodes  []node
	leaves []leaf
}

// node is a split or, with split.column -1, a leaf.
type node struct {
	split       split
	slot        int32
	left, right int32
	sides       codeSet // slot codes that go left
	value       float64
	rows        int
}

// grow splits the leaf with the greatest gain until there are Leaves of them or nothing is gained. bag is the rows to
// train on, nil for all; allowed the columns, nil for all; quantumG and quantumH what one unit of the quantised gradients
// is worth; key drives the tree's random choices. The leaves' row stretches stay valid until the next call.
func (g *grower) grow(bag []uint32, quantumG, quantumH float64, allowed []bool, key uint64) *growing {
	n := g.start(bag)
	f := &search{Settings: &g.Settings, data: g.data, limits: g.limits, quantumG: quantumG, quantumH: quantumH, allowed: allowed, key: key}
	t := &growing{nodes: make([]node, 1, 2*min(g.Leaves, n)-1)}
	t.nodes[0] = node{split: split{column: -1}, rows: n}
	root := leaf{n: n, bounds: unbounded}
	if len(g.data.Columns) > 0 && f.divisible(&root) {
		listed := g.rows[:n]
		if bag == nil {
			listed = nil
		}
		root.hist = g.arena.build(g.data, listed, n, g.workers)
		root.sum = root.hist.slot(g.data.Slots[0])
		f.find(&root, g.workers)
	}
	t.leaves = append(make([]leaf, 0, min(g.Leaves, n)), root)
	q := queue{leaves: &t.leaves}
	q.push(0)
	for len(t.leaves) < g.Leaves && q.best() >= 0 {
		i := q.pop()
		g.split(t, i, f)
		q.push(i)
		q.push(len(t.leaves) - 1)
	}
	for i := range t.leaves {
		g.arena.give(t.leaves[i].hist)
		t.leaves[i].hist = histogram{}
	}
	return t
}

// start puts every row of the bag into one stretch and returns its length.
func (g *grower) start(bag []uint32) int {
	if bag != nil {
		return copy(g.rows, bag)
	}
	shard.Run(g.workers, shard.Blocks(g.data.Rows, shardRows), func(_, b int) {
		lo, hi := shard.Bounds(b, g.data.Rows, shardRows)
		for i := lo; i < hi; i++ {
			g.rows[i] = uint32(i)
		}
	})
	return g.data.Rows
}

// split replaces leaf i by its left child and appends the right one.
func (g *grower) split(t *growing, i int, f *search) {
	parent := t.leaves[i]
	s := &parent.split
	col := &g.data.Columns[s.column]
	p := &t.nodes[parent.node]
	p.split, p.slot = *s, int32(col.Slot)
	p.sides = sides(s, col, g.data.Slots[col.Slot].Codes)
	lo, hi := parent.start, parent.start+parent.n
	nLeft := g.partition(lo, hi, p, col)

	at := int32(len(t.nodes))
	p.left, p.right = at, at+1
	t.nodes = append(t.nodes, node{split: split{column: -1}, rows: nLeft}, node{split: split{column: -1}, rows: parent.n - nLeft})

	left := leaf{node: at, depth: parent.depth + 1, start: lo, n: nLeft, sum: s.left}
	right := leaf{node: at + 1, depth: parent.depth + 1, start: lo + nLeft, n: parent.n - nLeft,
		sum: sums{parent.sum.g - s.left.g, parent.sum.h - s.left.h}}
	g.limits.pass(&parent, &left, &right, g.L2, f.quantumG, f.quantumH)

	// The last split of a tree, and leaves that may not be split again, need no histogram.
	last := len(t.leaves)+1 == g.Leaves
	if last || (!f.divisible(&left) && !f.divisible(&right)) {
		g.arena.give(parent.hist)
	} else {
		small, large := &left, &right
		if left.n > right.n {
			small, large = large, small
		}
		small.hist = g.build(small)
		if parent.hist.empty() {
			large.hist = g.build(large)
		} else {
			large.hist = parent.hist.sibling(small.hist, large.n, g.arena)
		}
		f.find(large, g.workers)
		f.find(small, g.workers)
		for _, l := range [2]*leaf{small, large} {
			if l.split.gain <= 0 || g.arena.full() {
				g.arena.give(l.hist)
				l.hist = histogram{}
			}
		}
	}
	t.leaves[i] = left
	t.leaves = append(t.leaves, right)
}

func (g *grower) build(l *leaf) histogram {
	return g.arena.build(g.data, g.rows[l.start:l.start+l.n], l.n, g.workers)
}

// sides is the slot codes that a split sends left.
func sides(s *split, col *bins.Column, codes int) (left codeSet) {
	if col.Place == nil {
		for code := range codes {
			if s.goesLeft(uint8(code)) {
				left.add(uint8(code))
			}
		}
		return left
	}
	// Codes of the bundle's other columns go where the default code does.
	if s.goesLeft(col.Default) {
		for code := range codes {
			left.add(uint8(code))
		}
	}
	for code, p := range col.Place {
		if p == 0 {
			continue
		}
		if s.goesLeft(uint8(code)) {
			left.add(p)
		} else {
			left[p>>6] &^= 1 << (p & 63)
		}
	}
	return left
}

// find is the leaf node of a row that was not in the bag, by its record.
func (t *growing) find(record []uint8) int32 {
	n := int32(0)
	for t.nodes[n].split.column >= 0 {
		nd := &t.nodes[n]
		if nd.sides.has(record[nd.slot]) {
			n = nd.left
		} else {
			n = nd.right
		}
	}
	return n
}

// queue is the leaves that can be split, the one with the greatest gain on top and of equal ones the lowest index.
type queue struct {
	leaves *[]leaf
	heap   []int
}

func (q *queue) before(a, b int) bool {
	x, y := (*q.leaves)[a].split.gain, (*q.leaves)[b].split.gain
	return x > y || x == y && a < b
}

// best is the leaf on top, -1 when none can be split.
func (q *queue) best() int {
	if len(q.heap) == 0 {
		return -1
	}
	return q.heap[0]
}

func (q *queue) push(leaf int) {
	if (*q.leaves)[leaf].split.gain <= 0 {
		return
	}
	q.heap = append(q.heap, leaf)
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.before(q.heap[i], q.heap[up]) {
			return
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue) pop() int {
	top := q.heap[0]
	n := len(q.heap) - 1
	q.heap[0] = q.heap[n]
	q.heap = q.heap[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return top
		}
		if child+1 < n && q.before(q.heap[child+1], q.heap[child]) {
			child++
		}
		if !q.before(q.heap[child], q.heap[i]) {
			return top
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}
