package neighbours

import (
	"math"
	"slices"
)

// near is the neighbours found so far: a heap with the farthest on top.
type near struct {
	row  []int32
	dist []float64 // squared for the Euclidean metric
	k    int
}

// farther orders by distance, then by row.
func (n *near) farther(a, b int) bool {
	return n.dist[a] > n.dist[b] || n.dist[a] == n.dist[b] && n.row[a] > n.row[b]
}

// bound is the distance above which a row is of no interest.
func (n *near) bound() float64 {
	if len(n.row) < n.k {
		return math.Inf(1)
	}
	return n.dist[0]
}

func (n *near) swap(a, b int) {
	n.row[a], n.row[b] = n.row[b], n.row[a]
	n.dist[a], n.dist[b] = n.dist[b], n.dist[a]
}

// add takes a row if it is among the nearest. The slices have room for k.
func (n *near) add(row int32, dist float64) {
	if len(n.row) < n.k {
		n.row, n.dist = append(n.row, row), append(n.dist, dist)
		for i := len(n.row) - 1; i > 0 && n.farther(i, (i-1)/2); i = (i - 1) / 2 {
			n.swap(i, (i-1)/2)
		}
		return
	}
	if dist > n.dist[0] || dist == n.dist[0] && row > n.row[0] {
		return
	}
	n.row[0], n.dist[0] = row, dist
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(n.row) {
			return
		}
		if c+1 < len(n.row) && n.farther(c+1, c) {
			c++
		}
		if !n.farther(c, i) {
			return
		}
		n.swap(i, c)
		i = c
	}
}

// stride is how many columns are added up before the sum is compared with the bound.
const stride = 16

// euclidean is the sum of squared differences, or a number above bound when that is all there is to know. It adds in
// four lanes, in float64.
func euclidean(a, b []float32, bound float64) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	for len(a) >= stride {
		for j := 0; j+4 <= stride; j += 4 {
			d0, d1 := float64(a[j])-float64(b[j]), float64(a[j+1])-float64(b[j+1])
			d2, d3 := float64(a[j+2])-float64(b[j+2]), float64(a[j+3])-float64(b[j+3])
			s0 += float64(d0 * d0)
			s1 += float64(d1 * d1)
			s2 += float64(d2 * d2)
			s3 += float64(d3 * d3)
		}
		if a, b = a[stride:], b[stride:]; s0+s1+(s2+s3) > bound {
			return s0 + s1 + (s2 + s3)
		}
	}
	for j, v := range a {
		d := float64(v) - float64(b[j])
		s0 += float64(d * d)
	}
	return s0 + s1 + (s2 + s3)
}

// manhattan is euclidean for the sum of absolute differences.
func manhattan(a, b []float32, bound float64) float64 {
	var s0, s1 float64
	b = b[:len(a)]
	for len(a) >= stride {
		for j := 0; j+2 <= stride; j += 2 {
			s0 += math.Abs(float64(a[j]) - float64(b[j]))
			s1 += math.Abs(float64(a[j+1]) - float64(b[j+1]))
		}
		if a, b = a[stride:], b[stride:]; s0+s1 > bound {
			return s0 + s1
		}
	}
	for j, v := range a {
		s0 += math.Abs(float64(v) - float64(b[j]))
	}
	return s0 + s1
}

// tree is a k-d tree over rows (Bentley 1975), whose nodes split the column of the widest spread at its median.
type tree struct {
	order []int32 // rows, leaf by leaf
	nodes []node
	rows  []float32 // in that order
}

type node struct {
	lo, hi int32 // places in order
	column int32 // -1 in a leaf
	left   int32 // node; the right one follows it
	// Rows to the left are at most least in the column, those to the right at least most.
	least, most float32
}

// Columns up to which a tree is made, and rows in a leaf.
const (
	treeColumns = 12
	leafRows    = 24
)

func newTree(rows []float32, width int) *tree {
	n := len(rows) / width
	t := &tree{order: make([]int32, n), nodes: []node{{hi: int32(n)}}}
	for i := range t.order {
		t.order[i] = int32(i)
	}
	for at := 0; at < len(t.nodes); at++ {
		own := t.nodes[at]
		own.column = -1
		part := t.order[own.lo:own.hi]
		if len(part) > leafRows {
			column, spread := 0, float64(0)
			for j := range width {
				low, high := rows[int(part[0])*width+j], rows[int(part[0])*width+j]
				for _, r := range part {
					low, high = min(low, rows[int(r)*width+j]), max(high, rows[int(r)*width+j])
				}
				if d := float64(high) - float64(low); d > spread {
					column, spread = j, d
				}
			}
			if spread > 0 {
				slices.SortFunc(part, func(a, b int32) int {
					switch x, y := rows[int(a)*width+column], rows[int(b)*width+column]; {
					case x < y:
						return -1
					case x > y:
						return 1
					}
					return int(a) - int(b)
				})
				half := len(part) / 2
				own.column, own.left = int32(column), int32(len(t.nodes))
				own.least, own.most = rows[int(part[half-1])*width+column], rows[int(part[half])*width+column]
				middle := own.lo + int32(half)
				t.nodes = append(t.nodes, node{lo: own.lo, hi: middle}, node{lo: middle, hi: own.hi})
			}
		}
		t.nodes[at] = own
	}
	t.rows = make([]float32, 0, len(rows))
	for _, r := range t.order {
		t.rows = append(t.rows, rows[int(r)*width:(int(r)+1)*width]...)
	}
	return t
}

// search adds the rows of the node's part that are near to the query.
func (m *Model) search(at int32, query []float32, found *near) {
	n := &m.tree.nodes[at]
	if n.column < 0 {
		width := len(query)
		for i := n.lo; i < n.hi; i++ {
			found.add(m.tree.order[i], m.measure(query, m.tree.rows[int(i)*width:(int(i)+1)*width], found.bound()))
		}
		return
	}
	q := query[n.column]
	first, second := n.left, n.left+1
	// How far the other side is at least. Rounding is monotone, so that no row there is measured nearer.
	gap := float64(n.most) - float64(q)
	if float64(q)-float64(n.least) > gap {
		first, second = second, first
		gap = float64(q) - float64(n.least)
	}
	m.search(first, query, found)
	if gap > 0 {
		if !m.manhattan {
			gap *= gap
		}
		if gap > found.bound() {
			return
		}
	}
	m.search(second, query, found)
}

func (m *Model) measure(a, b []float32, bound float64) float64 {
	if m.manhattan {
		return manhattan(a, b, bound)
	}
	return euclidean(a, b, bound)
}
