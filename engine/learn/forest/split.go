package forest

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
)

// cell sums rows: their number, weight, and weight times label or, with classes, the weight of the node's largest class.
type cell struct {
	w, y float64
	n    int32
}

// entry is a code that occurs in the node.
type entry struct {
	cell
	at   int32 // where its rows begin in classes.sorted
	code uint8
}

// manyRows is from how many rows on all cells of a column are looked through instead of those marked.
const manyRows = 192

// find is the best split of the node that was loaded, whose rows are given; its column is -1 when there is none. Columns are
// drawn until enough have been looked at and one of them could be split, as in scikit-learn.
func (g *grower) find(rows []uint32) split {
	best := split{column: -1, gain: math.Inf(-1)}
	pool := g.columnsLeft
	for looked := 0; looked < len(pool) && (looked < g.columns || best.column < 0); looked++ {
		if g.columns < len(pool) {
			at := looked + g.random.IntN(len(pool)-looked)
			pool[looked], pool[at] = pool[at], pool[looked]
		}
		c := pool[looked]
		if g.column(&g.data.Columns[c], rows, &best) {
			best.column = c
		}
	}
	if best.column < 0 {
		return best
	}
	if best.gain = max(best.gain-g.score(), 0); best.gain < g.MinGain {
		best.column = -1
		return best
	}
	if col := &g.data.Columns[best.column]; !col.Categorical() {
		best.sides = codeSet{}
		for code := 1; code <= int(best.code); code++ {
			best.sides.add(uint8(code))
		}
	}
	if best.missingLeft {
		best.sides.add(0)
	} else {
		best.sides[0] &^= 1
	}
	return best
}

// score is the node's own sum, from which gains count.
func (g *grower) score() float64 {
	if g.total != nil {
		return g.total.square / g.part.w
	}
	return g.part.y * g.part.y / g.part.w
}

// column improves best by the best split of one column and reports whether it did.
func (g *grower) column(col *bins.Column, rows []uint32, best *split) bool {
	codes := g.data.Codes[col.Slot]
	if g.name == ExtraTrees && !col.Categorical() {
		return g.threshold(codes, rows, col, best)
	}
	list := g.gather(codes, rows, col.Count())
	if len(list) < 2 {
		return false
	}
	if g.total != nil {
		g.total.sort(codes, rows, list)
	}
	switch {
	case col.Categorical():
		return g.categories(list, col, best)
	case list[0].code != 0:
		if k, left := g.prefixes(list[:len(list)-1], nil, 0, best); k >= 0 {
			best.code, best.missingLeft = list[k].code, 2*left.w >= g.part.w
			return true
		}
		return false
	}
	// Missing values go right, with everything known against them as the last candidate, or left.
	better := false
	if k, _ := g.prefixes(list[1:], nil, 0, best); k >= 0 {
		better = true
		best.code, best.missingLeft = list[1+k].code, false
	}
	if k, _ := g.prefixes(list[1:len(list)-1], &list[0], 0, best); k >= 0 {
		better = true
		best.code, best.missingLeft = list[1+k].code, true
	}
	return better
}

// gather lists the codes of the rows, ascending, with their sums. The cells are left empty for the next column.
func (g *grower) gather(codes []uint8, rows []uint32, count int) []entry {
	weights, targets := g.weights[:len(rows)], g.targets[:len(rows)]
	k := 0
	if len(rows) >= manyRows {
		for i, row := range rows {
			c := &g.cells[codes[row]]
			c.w += weights[i]
			c.y += targets[i]
			c.n++
		}
		for code := range g.cells[:count] {
			if c := &g.cells[code]; c.n > 0 {
				g.list[k&255] = entry{cell: *c, code: uint8(code)}
				k++
				*c = cell{}
			}
		}
		return g.list[:k]
	}
	var marks [4]uint64
	for i, row := range rows {
		code := codes[row]
		marks[code>>6] |= 1 << (code & 63)
		c := &g.cells[code]
		c.w += weights[i]
		c.y += targets[i]
		c.n++
	}
	for word, m := range marks {
		for ; m != 0; m &= m - 1 {
			code := word<<6 + bits.TrailingZeros64(m)
			g.list[k&255] = entry{cell: g.cells[code], code: uint8(code)}
			g.cells[code] = cell{}
			k++
		}
	}
	return g.list[:k]
}

// prefixes tries the split after each entry of the list, with first on the left too when it is given. When one is better
// than best it sets best.gain and returns the last entry on the left and its sums; otherwise -1.
func (g *grower) prefixes(list []entry, first *entry, penalty float64, best *split) (int, cell) {
	var left, taken cell
	if g.total != nil {
		g.total.reset()
	}
	if first != nil {
		left = first.cell
		if g.total != nil {
			g.total.move(first)
		}
	}
	found := -1
	least, most := int32(g.MinLeaf), g.part.n-int32(g.MinLeaf)
	for i := range list {
		e := &list[i]
		left.w += e.w
		left.y += e.y
		left.n += e.n
		if g.total != nil {
			g.total.move(e)
		}
		if left.n < least {
			continue
		}
		if left.n > most {
			break
		}
		if gain := g.gain(&left, penalty); gain > best.gain {
			best.gain, found, taken = gain, i, left
		}
	}
	return found, taken
}

// gain is what both sides score. What that is more than the node's own score shrinks as if each side had penalty more
// weight at the node's mean.
func (g *grower) gain(left *cell, penalty float64) float64 {
	lw, rw := left.w, g.part.w-left.w
	if !(rw > 0 && lw > 0) {
		return math.Inf(-1) // weights too small beside the others to count
	}
	var gain float64
	if g.total != nil {
		gain = g.total.leftSquare/lw + g.total.rightSq/rw
	} else {
		ry := g.part.y - left.y
		gain = (float64(left.y*left.y*rw) + float64(ry*ry*lw)) / (lw * rw)
	}
	if penalty > 0 {
		own := g.score()
		gain = own + float64((gain-own)*((1/(lw+penalty)+1/(rw+penalty))/(1/lw+1/rw)))
	}
	return gain
}

// one tries one set of entries on the left.
func (g *grower) one(list []entry, inLeft func(*entry) bool, best *split) (cell, bool) {
	var left cell
	if g.total != nil {
		g.total.reset()
	}
	for i := range list {
		if e := &list[i]; inLeft(e) {
			left.w += e.w
			left.y += e.y
			left.n += e.n
			if g.total != nil {
				g.total.move(e)
			}
		}
	}
	if left.n < int32(g.MinLeaf) || left.n > g.part.n-int32(g.MinLeaf) {
		return left, false
	}
	gain := g.gain(&left, 0)
	if gain > best.gain {
		best.gain = gain
		return left, true
	}
	return left, false
}

// threshold tries one threshold drawn evenly between the node's smallest and largest value, with missing values on either
// side. It needs no sums by code.
func (g *grower) threshold(codes []uint8, rows []uint32, col *bins.Column, best *split) bool {
	// Codes less one: missing, which is 0, becomes the largest of all.
	low, high, missing := uint8(255), uint8(0), 0
	for _, row := range rows {
		code := codes[row]
		low = min(low, code-1)
		high = max(high, code)
		if code == 0 {
			missing++
		}
	}
	if high == 0 || low+1 == high && missing == 0 {
		return false
	}
	low++
	code := low
	if low < high {
		from, to := edge(col, int(low)-2), edge(col, int(high)-1)
		t := float32(from + g.random.Float64()*(to-from))
		at, _ := slices.BinarySearch(col.Thresholds, t)
		code = uint8(min(max(at+1, int(low)), int(high)-1))
	}
	better := false
	for _, missingLeft := range [2]bool{false, true} {
		first := uint8(1)
		if missingLeft {
			first = 0
		}
		left := g.below(codes, rows, first, code-first)
		if left.n >= int32(g.MinLeaf) && left.n <= g.part.n-int32(g.MinLeaf) {
			if gain := g.gain(&left, 0); gain > best.gain {
				better = true
				best.gain, best.code, best.missingLeft = gain, code, missingLeft
				if missing == 0 {
					best.missingLeft = 2*left.w >= g.part.w
				}
			}
		}
		if missing == 0 {
			break
		}
	}
	return better
}

// below sums the rows whose code lies from first to first+last, without a branch on the codes, and with classes moves
// them left.
func (g *grower) below(codes []uint8, rows []uint32, first, last uint8) cell {
	var sides [2]cell
	weights, targets := g.weights[:len(rows)], g.targets[:len(rows)]
	if g.total != nil {
		g.total.reset()
		for i, row := range rows {
			if codes[row]-first <= last {
				sides[1].w += weights[i]
				sides[1].n++
				g.total.moveRow(int32(i))
			}
		}
		return sides[1]
	}
	for i, row := range rows {
		side := 0
		if codes[row]-first <= last {
			side = 1
		}
		s := &sides[side&1]
		s.w += weights[i]
		s.y += targets[i]
		s.n++
	}
	return sides[1]
}

// edge is threshold k of a column, with its smallest and largest values around them, kept finite.
func edge(col *bins.Column, k int) float64 {
	v := col.High
	switch {
	case k < 0:
		v = col.Low
	case k < len(col.Thresholds):
		v = col.Thresholds[k]
	}
	return min(max(float64(v), -math.MaxFloat32), math.MaxFloat32)
}

// fewCategories is how many categories a column may have for its splits to be taken at their word.
const fewCategories = 4

// categories tries the prefixes of the categories sorted by their mean, which is pulled to the node's by CatSmooth rows'
// worth, from both ends; missing is a category like the others. In a column of more than four, those of less weight than CatSmooth go
// right together: the best of many sets gains by chance alone, most of all in small nodes, so that CatL2 counts against it too. Extremely randomised trees try one set drawn at random.
func (g *grower) categories(list []entry, col *bins.Column, best *split) bool {
	var left cell
	var sides codeSet
	missing := list[0].code == 0
	if g.name == ExtraTrees {
		draw := codeSet{g.random.Uint64(), g.random.Uint64(), g.random.Uint64(), g.random.Uint64()}
		some := 0
		for i := range list {
			if draw.has(list[i].code) {
				some++
			}
		}
		if some == 0 || some == len(list) {
			code := list[g.random.IntN(len(list))].code
			draw[code>>6] ^= 1 << (code & 63)
		}
		var ok bool
		if left, ok = g.one(list, func(e *entry) bool { return draw.has(e.code) }, best); !ok {
			return false
		}
		for i := range list {
			if draw.has(list[i].code) {
				sides.add(list[i].code)
			}
		}
	} else {
		penalty := g.CatL2
		if col.Count()-1 <= fewCategories {
			penalty = 0
		} else {
			list = slices.DeleteFunc(list, func(e entry) bool { return e.w < g.CatSmooth })
		}
		mean := g.part.y / g.part.w
		rank := func(e *entry) float64 { return (e.y + float64(g.CatSmooth*mean)) / (e.w + g.CatSmooth) }
		slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(rank(&a), rank(&b)) })
		better := false
		for range 2 {
			if k, sum := g.prefixes(list, nil, penalty, best); k >= 0 {
				better, left, sides = true, sum, codeSet{}
				for i := range list[:k+1] {
					sides.add(list[i].code)
				}
			}
			slices.Reverse(list)
		}
		if !better {
			return false
		}
	}
	// Values that are no category of the column go right, and with them the code of the rare ones.
	if last := uint8(col.Count() - 1); col.Others && sides.has(last) {
		for w := range sides {
			sides[w] = ^sides[w]
		}
		left.w = g.part.w - left.w
	}
	best.sides, best.missingLeft = sides, sides.has(0)
	if !missing {
		best.missingLeft = 2*left.w >= g.part.w
	}
	return true
}
