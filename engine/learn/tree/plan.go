package tree

import (
	"math"
	"slices"
)

// A block is the rows that are scored together. For each of its comparisons a block has one bit per row.
const (
	block = 256
	words = block / 64
)

// rowBits is one bit for each row of a block.
type rowBits [words]uint64

// Limits of the sliced way of scoring. A tree with more leaves is walked, as its leaf would not fit a byte; so is
// everything when there are more outputs than sums that stay near.
const (
	maxLeaves  = 256
	maxSums    = 512
	maxCuts    = 8192 // distinct comparisons of the trees scored between two computations of them: 256 KiB
	chunk      = 255  // thresholds that a rank of one byte tells apart
	slotBytes  = 32
	onesSlot   = 2*maxLeaves - 1 // holds every row; the other slots are the nodes of a tree
	totalSlots = 2 * maxLeaves
)

// plan is an ensemble arranged for sliced scoring. For each block of rows
//
//  1. every value becomes the number of the ensemble's thresholds below it, its rank, so that what follows compares
//     bytes, whatever the values were;
//  2. each distinct comparison ("feature 3 above its 17th threshold, or missing") becomes a cut: one bit per row that
//     says whether the row goes right;
//  3. each tree is a few operations per node on bits: the rows that reach the left and the right child are those that
//     reach the node without and with its cut. The bits of the leaves add up to the leaf's number, bit plane by bit
//     plane, for 256 rows at a time;
//  4. the planes become one byte for each row, which looks the leaf's value up.
//
// No step depends on the values by a branch.
type plan struct {
	columns []column
	ranks   int // byte columns: of each numeric column, one for each 255 thresholds
	masks   int // columns whose missing rows are noted
	codes   int // columns that are read as categories
	parts   []part
}

// column is a feature that some tree compares.
type column struct {
	feature int
	wide    []float64 // its distinct thresholds in ascending order

	// Tables of the thresholds, a chunk each, and of what they are among values of float32: the largest float32 not
	// above each.
	wideTables   []rankTable[float64]
	singleTables []rankTable[float32]

	rank int // its first byte column
	mask int // place of its missing rows
	code int // place of its categories; -1 when it has no category set
}

// rankTable is ascending thresholds, at most chunk, in a form that ranks are found in by two looks at sixteen of them:
// every sixteenth, then all of them; NaN, which is below nothing, fills up both.
type rankTable[T float32 | float64] []T

func newRankTable[T float32 | float64](thresholds []T) rankTable[T] {
	t := make(rankTable[T], 16+16*(len(thresholds)/16+1))
	for i := range t {
		t[i] = T(math.NaN())
	}
	copy(t[16:], thresholds)
	for i := 15; i < len(thresholds); i += 16 {
		t[i/16] = thresholds[i]
	}
	return t
}

// rank is the number of thresholds below v.
func (t rankTable[T]) rank(v T) uint8 {
	a := below((*[16]T)(t), v)
	return uint8(a*16 + below((*[16]T)(t[16+16*a:]), v))
}

// below is the number of the first fifteen below v.
func below[T float32 | float64](t *[16]T, v T) int {
	n := 0
	if t[7] < v {
		n = 8
	}
	if t[n+3] < v {
		n += 4
	}
	if t[n+1] < v {
		n += 2
	}
	if t[n] < v {
		n++
	}
	return n
}

// part is a run of trees: one that is walked, or some whose cuts are computed together.
type part struct {
	first  int // number of the first tree
	walked bool

	runs   []cutRun
	sets   []setCut
	trees  []slicedTree
	nodes  []slicedNode
	values []float64 // of the leaves, tree by tree, then 64 that may be read and are not used
}

// cutRun is the cuts of one byte column: a row goes right when its rank is above cuts[i].
type cutRun struct {
	rank  int
	mask  int // rows that go right because they are missing; -1 for none
	first int // place of the first cut
	cuts  []uint8
}

// setCut is the cut of a category set: a row goes right when its category is not in the set.
type setCut struct {
	code, mask   int
	missingRight bool
	words        []uint32
	place        int
}

// slicedTree is read by assembly.
type slicedTree struct {
	nodes  uint32
	leaves uint32
	output uint32
	_      uint32
}

// slicedNode is a split: the rows in slot from that are in the cut go to slot right, the others to slot left. Slots
// are counted in bytes. It is read by assembly.
type slicedNode struct {
	cut               uint16
	from, left, right uint16
}

// sliceable reports whether the plan can score the tree of so many leaves.
func sliceable(leaves int) bool { return leaves <= maxLeaves }

// newPlan arranges an ensemble. leaves is the number of leaves of each tree.
func newPlan(e *Ensemble, leaves []int) *plan {
	b := &planner{e: e, place: make([]int32, e.Features), sets: map[string]int{}, met: map[setOf]int32{}}
	b.collect(leaves)
	for i := 0; i < len(e.Trees); {
		if !sliceable(leaves[i]) {
			b.parts = append(b.parts, part{first: i, walked: true})
			i++
			continue
		}
		i = b.group(i, leaves)
	}
	p := b.plan // without what making it took
	return &p
}

// planner numbers the distinct comparisons of an ensemble: for each byte column first those that send missing rows
// left, then the others, a number for each threshold of the column; behind them, category sets as they are met.
type planner struct {
	plan
	e     *Ensemble
	place []int32         // of each feature in columns, one more than that
	bytes []byteColumn    // of each byte column
	total int             // numbers of thresholds
	sets  map[string]int  // numbers of category sets
	met   map[setOf]int32 // numbers of the tree's uses of its sets: a large set may have many
	all   []setCut
	keys  []int32 // the numbers of the splits of the group, in their order
	cuts  []int32 // of each number, its place in the group; -1 when the group has it, yet without place; else 0
	queue []int32
}

// byteColumn is the numbers of a byte column: count from first on, twice.
type byteColumn struct{ first, count, mask int }

// collect finds the thresholds and category columns of all trees that are not walked.
func (b *planner) collect(leaves []int) {
	for i := range b.e.Trees {
		if !sliceable(leaves[i]) {
			continue
		}
		t := &b.e.Trees[i]
		b.queue = t.splits(b.queue)
		for _, n := range b.queue {
			f := t.Feature[n]
			if b.place[f] == 0 {
				b.columns = append(b.columns, column{feature: int(f), code: -1})
				b.place[f] = int32(len(b.columns))
			}
			c := &b.columns[b.place[f]-1]
			if t.Categorical(n) {
				c.code = 0
				continue
			}
			c.wide = append(c.wide, t.Threshold[n])
		}
	}
	for i := range b.columns {
		c := &b.columns[i]
		slices.Sort(c.wide)
		c.wide = slices.Compact(c.wide)
		c.rank, c.mask = b.ranks, b.masks
		b.masks++
		for rest := c.wide; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
			some := rest[:min(chunk, len(rest))]
			single := make([]float32, len(some))
			for j, v := range some {
				single[j] = Floor32(v)
			}
			c.wideTables, c.singleTables = append(c.wideTables, newRankTable(some)), append(c.singleTables, newRankTable(single))
			b.bytes = append(b.bytes, byteColumn{b.total, len(some), c.mask})
			b.total += 2 * len(some)
			b.ranks++
		}
		if c.code == 0 {
			c.code = b.codes
			b.codes++
		}
	}
	b.cuts = make([]int32, b.total)
}

// splits is the splits of a tree that its root reaches, breadth first, in the memory of queue.
func (t *Tree) splits(queue []int32) []int32 {
	queue = queue[:0]
	if t.Feature[0] == Leaf {
		return queue
	}
	queue = append(queue, 0)
	for at := 0; at < len(queue); at++ {
		n := queue[at]
		if l := t.Left[n]; t.Feature[l] != Leaf {
			queue = append(queue, l)
		}
		if r := t.Right[n]; t.Feature[r] != Leaf {
			queue = append(queue, r)
		}
	}
	return queue
}

// key is the number of the comparison of split n.
func (b *planner) key(t *Tree, n int32) int32 {
	c := &b.columns[b.place[t.Feature[n]]-1]
	right := !t.MissingLeft[n]
	if !t.Categorical(n) {
		at, _ := slices.BinarySearch(c.wide, t.Threshold[n])
		col := &b.bytes[c.rank+at/chunk]
		at = col.first + at%chunk
		if right {
			at += col.count
		}
		return int32(at)
	}
	same := setOf{t.Set[n], c.code, right}
	if id, known := b.met[same]; known {
		return id
	}
	words := t.Words(n)
	for len(words) > 0 && words[len(words)-1] == 0 {
		words = words[:len(words)-1]
	}
	name := make([]byte, 0, 8+4*len(words))
	name = append(name, byte(c.code), byte(c.code>>8), byte(c.code>>16), 0)
	if right {
		name[3] = 1
	}
	for _, w := range words {
		name = append(name, byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
	}
	id, known := b.sets[string(name)]
	if !known {
		id = b.total + len(b.all)
		b.sets[string(name)] = id
		b.all = append(b.all, setCut{code: c.code, mask: c.mask, missingRight: right, words: words})
		b.cuts = append(b.cuts, 0)
	}
	b.met[same] = int32(id)
	return int32(id)
}

// setOf is a use of a tree's category set.
type setOf struct {
	set   int32
	code  int
	right bool
}

// group makes a part of the trees from first on, as many as have maxCuts comparisons together, and returns the tree
// after them.
func (b *planner) group(first int, leaves []int) int {
	b.keys = b.keys[:0]
	clear(b.cuts)
	last, distinct := first, 0
	for ; last < len(b.e.Trees) && sliceable(leaves[last]) && distinct+leaves[last] <= maxCuts; last++ {
		t := &b.e.Trees[last]
		b.queue = t.splits(b.queue)
		clear(b.met)
		for _, n := range b.queue {
			k := b.key(t, n)
			b.keys = append(b.keys, k)
			if b.cuts[k] == 0 {
				b.cuts[k] = -1
				distinct++
			}
		}
	}
	p := part{first: first}
	b.settle(&p)
	keys := b.keys
	for i := first; i < last; i++ {
		keys = b.slice(&p, i, leaves[i], keys)
	}
	p.values = append(p.values, make([]float64, 64)...)
	b.parts = append(b.parts, p)
	return last
}

// settle gives each comparison of the group its place.
func (b *planner) settle(p *part) {
	place := 0
	for rank, col := range b.bytes {
		for side := range 2 {
			r := cutRun{rank: rank, mask: -1, first: place}
			if side == 1 {
				r.mask = col.mask
			}
			for i, seen := range b.cuts[col.first+side*col.count:][:col.count] {
				if seen != 0 {
					b.cuts[col.first+side*col.count+i] = int32(place)
					r.cuts = append(r.cuts, uint8(i))
					place++
				}
			}
			if len(r.cuts) > 0 {
				p.runs = append(p.runs, r)
			}
		}
	}
	for i, seen := range b.cuts[b.total:] {
		if seen != 0 {
			b.cuts[b.total+i] = int32(place)
			s := b.all[i]
			s.place = place
			p.sets = append(p.sets, s)
			place++
		}
	}
}

// slice appends tree i. Leaves have the first slots, in the order in which they are met, then come the splits.
func (b *planner) slice(p *part, i, leaves int, keys []int32) []int32 {
	t := &b.e.Trees[i]
	p.trees = append(p.trees, slicedTree{nodes: uint32(leaves - 1), leaves: uint32(leaves), output: uint32(t.Output)})
	if t.Feature[0] == Leaf {
		p.values = append(p.values, t.Value[0])
		return keys
	}
	// The splits come in the order in which their parents met them, so that their slots are counted up with them.
	leaf, split := 0, (leaves+31)/32*32
	next := func(child int32) uint16 {
		if t.Feature[child] == Leaf {
			p.values = append(p.values, t.Value[child])
			leaf++
			return uint16((leaf - 1) * slotBytes)
		}
		split++
		return uint16((split - 1) * slotBytes)
	}
	from := uint16(onesSlot * slotBytes)
	b.queue = t.splits(b.queue)
	for at, n := range b.queue {
		if at > 0 {
			from = uint16(((leaves+31)/32*32 + at - 1) * slotBytes)
		}
		left := next(t.Left[n])
		p.nodes = append(p.nodes, slicedNode{cut: uint16(b.cuts[keys[at]]), from: from, left: left, right: next(t.Right[n])})
	}
	return keys[len(b.queue):]
}

// category is the whole part of v when it is a category, and -1 otherwise.
func category(v float64) int32 {
	if !(v > -1 && v < math.MaxInt32) {
		return -1
	}
	return int32(v)
}
