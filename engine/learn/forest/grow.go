package forest

import (
	"math"
	"math/rand/v2"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// node is a split or, with column -1, a leaf.
type node struct {
	split
	left, right int32
	rows        int32
	weight      float64
}

// split is where a node is cut: codes of its column in left go left.
type split struct {
	column      int32 // of the binned matrix
	code        uint8 // the last to go left in a numeric column
	missingLeft bool
	sides       codeSet
	gain        float64
}

// codeSet is a set of codes.
type codeSet [4]uint64

func (s *codeSet) add(code uint8)      { s[code>>6] |= 1 << (code & 63) }
func (s *codeSet) has(code uint8) bool { return s[code>>6]>>(code&63)&1 == 1 }

// grown is one tree in codes. values are outputs per node: the mean label, or the class shares.
type grown struct {
	nodes  []node
	values []float64
	bag    []uint16 // how often each row was drawn; nil without drawing
}

// work is a node whose rows have not been split yet.
type work struct {
	node, lo, hi, depth int
	split               split
}

// grower grows one tree after the other; its memory serves all of them.
type grower struct {
	*fit
	random *rand.Rand
	drawn  []uint16

	rows, spare []uint32  // the rows of a node are one stretch, in ascending order
	byRow       []pair    // of each row
	weights     []float64 // weight of each row of the node's stretch
	targets     []float64 // weight * label, or with classes the weight of the largest class
	columnsLeft []int32   // columns in the order drawn
	center      float64   // what labels are counted from, so that squares keep their digits

	part  cell // the node at hand
	cells [256]cell
	list  [256]entry
	total *classes // with more than two classes

	nodes []node
	out   []float64
}

// pair is the weight of a row in the tree at hand, and that times its label.
type pair struct{ w, y float64 }

func newGrower(f *fit) *grower {
	n := f.data.Rows
	g := &grower{fit: f, rows: make([]uint32, n), spare: make([]uint32, n)}
	if f.Bootstrap || f.Subsample < 1 {
		g.drawn = make([]uint16, n)
	}
	g.byRow, g.weights, g.targets = make([]pair, n), make([]float64, n), make([]float64, n)
	g.columnsLeft = make([]int32, len(f.data.Columns))
	if f.outputs > 1 {
		g.total = newClasses(f.outputs, n)
	}
	if f.task == learner.Regression {
		var sum, weight float64
		for i, y := range f.train.Y {
			sum += float64(f.weight(i) * y)
			weight += f.weight(i)
		}
		g.center = sum / weight
	}
	return g
}

// grow grows the tree of the given key.
func (g *grower) grow(key uint64) *grown {
	g.random = rand.New(rand.NewPCG(key, 0x666f72657374))
	n := g.bag()
	for _, row := range g.rows[:n] {
		w := g.weight(int(row))
		if g.drawn != nil {
			w *= float64(g.drawn[row])
		}
		g.byRow[row] = pair{w, w * (g.train.Y[row] - g.center)}
	}
	g.nodes, g.out = nil, nil
	for c := range g.columnsLeft {
		g.columnsLeft[c] = int32(c)
	}
	root := g.add(0, n, 0)
	if g.Leaves == 0 {
		g.depthFirst(root)
	} else {
		g.bestFirst(root)
	}
	t := &grown{nodes: g.nodes, values: g.out}
	if g.track != nil && g.drawn != nil {
		t.bag = append([]uint16(nil), g.drawn...)
	}
	return t
}

// bag draws the tree's rows and returns how many different ones there are.
func (g *grower) bag() int {
	n := g.data.Rows
	k := 0
	if g.drawn == nil {
		for i := range n {
			if g.weight(i) > 0 {
				g.rows[k] = uint32(i)
				k++
			}
		}
		return k
	}
	clear(g.drawn)
	take := max(1, int(g.Subsample*float64(n)))
	for i := range n {
		switch {
		case g.Bootstrap:
			if i < take {
				if j := g.random.IntN(n); g.drawn[j] < math.MaxUint16 {
					g.drawn[j]++
				}
			}
		case g.random.IntN(n-i) < take: // selection sampling: each row with what is still to take of what is left
			g.drawn[i] = 1
			take--
		}
	}
	for i, d := range g.drawn {
		if d > 0 && g.weight(i) > 0 {
			g.rows[k] = uint32(i)
			k++
		}
	}
	if k == 0 { // every row drawn has weight 0
		for i := range n {
			if g.weight(i) > 0 {
				g.drawn[i], g.rows[0] = 1, uint32(i)
				return 1
			}
		}
	}
	return k
}

// add makes a leaf of the rows from lo to hi and finds its split.
func (g *grower) add(lo, hi, depth int) work {
	w := work{node: len(g.nodes), lo: lo, hi: hi, depth: depth}
	pure := g.load(lo, hi)
	n := node{split: split{column: -1}, rows: int32(hi - lo)}
	n.weight = g.part.w
	if g.outputs == 1 {
		g.out = append(g.out, g.center+g.part.y/g.part.w)
	} else {
		for _, v := range g.total.all {
			g.out = append(g.out, v/g.part.w)
		}
	}
	g.nodes = append(g.nodes, n)
	w.split.column = -1
	if !pure && hi-lo >= g.MinSplit && hi-lo >= 2*g.MinLeaf && (g.MaxDepth == 0 || depth < g.MaxDepth) {
		w.split = g.find(g.rows[lo:hi])
	}
	return w
}

// load puts the weights and targets of the rows from lo to hi side by side and sums them, and reports whether all labels
// are alike.
func (g *grower) load(lo, hi int) (pure bool) {
	rows := g.rows[lo:hi]
	weights, targets := g.weights[:len(rows)], g.targets[:len(rows)]
	g.part = cell{n: int32(len(rows))}
	if g.total == nil {
		for i, row := range rows {
			p := &g.byRow[row]
			weights[i], targets[i] = p.w, p.y
			g.part.w += p.w
			g.part.y += p.y
		}
		if g.task == learner.Binary {
			return g.part.y == 0 || g.part.y == g.part.w
		}
		return g.alike(rows)
	}
	g.total.start(len(rows))
	for i, row := range rows {
		w := g.byRow[row].w
		weights[i] = w
		g.part.w += w
		g.total.add(i, int32(g.train.Y[row]), w)
	}
	// Categories are sorted by their share of the largest class.
	major := g.total.major()
	for i := range rows {
		targets[i] = 0
		if g.total.class[i] == major {
			targets[i] = weights[i]
		}
	}
	g.part.y = g.total.all[major]
	return g.alike(rows)
}

// alike reports whether all rows have the same label.
func (g *grower) alike(rows []uint32) bool {
	y := g.train.Y
	for _, row := range rows[1:] {
		if y[row] != y[rows[0]] {
			return false
		}
	}
	return true
}

func (g *grower) depthFirst(root work) {
	stack := []work{root}
	for steps := 0; len(stack) > 0; steps++ {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if w.split.column < 0 {
			continue
		}
		if steps&1023 == 0 && g.ctx.Err() != nil {
			return
		}
		left, right := g.divide(&w)
		stack = append(stack, right, left)
	}
}

// bestFirst splits the node of the greatest gain, of equal ones the earliest, until there are Leaves of them.
func (g *grower) bestFirst(root work) {
	open := []work{root}
	for leaves := 1; leaves < g.Leaves && g.ctx.Err() == nil; leaves++ {
		best := -1
		for i := range open {
			if open[i].split.column >= 0 && (best < 0 || open[i].split.gain > open[best].split.gain) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		left, right := g.divide(&open[best])
		open[best] = left
		open = append(open, right)
	}
}

// divide splits a node's rows and finds the splits of both halves.
func (g *grower) divide(w *work) (left, right work) {
	col := &g.data.Columns[w.split.column]
	codes := g.data.Codes[col.Slot]
	rows, spare := g.rows[w.lo:w.hi], g.spare[:w.hi-w.lo]
	var table [256]uint8
	for c := range table {
		table[c] = uint8(w.split.sides[c>>6] >> (c & 63) & 1)
	}
	l, r := 0, 0
	for _, row := range rows {
		left := int(table[codes[row]])
		rows[l], spare[r] = row, row
		l += left
		r += 1 - left
	}
	copy(rows[l:], spare[:r])
	n := &g.nodes[w.node]
	n.split = w.split
	n.left = int32(len(g.nodes))
	left = g.add(w.lo, w.lo+l, w.depth+1)
	g.nodes[w.node].right = int32(len(g.nodes))
	right = g.add(w.lo+l, w.hi, w.depth+1)
	return left, right
}

// trees is the tree once per output, in thresholds and categories of the matrix; only the values differ.
func (t *grown) trees(f *fit) []tree.Tree {
	n := len(t.nodes)
	shared := tree.Tree{
		Feature: make([]int32, n), Threshold: make([]float64, n), Left: make([]int32, n), Right: make([]int32, n),
		MissingLeft: make([]bool, n), Value: make([]float64, n), Gain: make([]float64, n), Cover: make([]float64, n),
	}
	for i := range t.nodes {
		nd := &t.nodes[i]
		shared.Cover[i] = nd.weight
		if nd.column < 0 {
			shared.Feature[i] = tree.Leaf
			continue
		}
		c := &f.data.Columns[nd.column]
		shared.Feature[i], shared.Left[i], shared.Right[i] = int32(c.Source), nd.left, nd.right
		shared.MissingLeft[i], shared.Gain[i] = nd.missingLeft, nd.gain
		if c.Categorical() {
			var chosen []int
			for k, category := range c.Categories {
				if nd.sides.has(uint8(k + 1)) {
					chosen = append(chosen, int(category))
				}
			}
			shared.SetCategories(int32(i), chosen)
			continue
		}
		shared.Threshold[i] = math.Inf(1) // every value goes left, only missing goes right
		if k := int(nd.code) - 1; k < len(c.Thresholds) {
			shared.Threshold[i] = float64(c.Thresholds[k])
		}
	}
	out := make([]tree.Tree, f.outputs)
	for k := range out {
		out[k] = shared
		out[k].Output = k
		out[k].Value = make([]float64, n)
		for i, feature := range shared.Feature {
			if feature == tree.Leaf {
				out[k].Value[i] = t.values[i*f.outputs+k]
			}
		}
	}
	return out
}

// leaf is the node where a row ends.
func (t *grown) leaf(d *bins.Set, row int) int32 {
	n := int32(0)
	for t.nodes[n].column >= 0 {
		nd := &t.nodes[n]
		if nd.sides.has(d.Codes[d.Columns[nd.column].Slot][row]) {
			n = nd.left
		} else {
			n = nd.right
		}
	}
	return n
}
