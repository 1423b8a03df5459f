package gbdt

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// leaf is a leaf of a tree that grows: its rows are grower.rows[start:start+n].
type leaf struct {
	node     int32
	depth    int
	start, n int
	sum      sums
	hist     histogram
	split    split

	bounds bounds
	groups []int // the interaction groups that hold every column above; all of them when nil
}

// split is the best way found to cut a leaf. In a numeric column codes up to code go left; code 0, missing, goes left
// when missingLeft. In a categorical one the codes of set go left.
type split struct {
	gain        float64 // in gradient units; 0 when the leaf cannot be split
	column      int
	code        uint8
	missingLeft bool
	categorical bool
	set         codeSet
	left        sums
}

// goesLeft reports where the split sends a code of its column.
func (s *split) goesLeft(code uint8) bool {
	switch {
	case code == 0:
		return s.missingLeft
	case s.categorical:
		return s.set.has(code)
	}
	return code <= s.code
}

// codeSet is a set of codes.
type codeSet [4]uint64

func (s *codeSet) add(code uint8)      { s[code>>6] |= 1 << (code & 63) }
func (s *codeSet) has(code uint8) bool { return s[code>>6]>>(code&63)&1 == 1 }

// search finds the best split of one leaf after the other of one tree.
type search struct {
	*Settings
	data               *bins.Set
	limits             *constraints
	quantumG, quantumH float64 // value of one unit of gradient and hessian
	allowed            []bool  // columns drawn for this tree; nil for all
	key                uint64  // of the tree's random choices
}

// parallelCells is the least number of cells worth scanning on more than one goroutine.
const parallelCells = 1 << 15

// find sets l.split. Of equal gains the lowest column wins, then missing right before left, then the lowest code.
func (f *search) find(l *leaf, workers int) {
	l.split = split{}
	// Rows are estimated from the hessian they carry, so both bounds become one bound on the hessian's sum.
	least := f.MinHessian / f.quantumH
	least = max(least, float64(f.MinLeaf)*float64(l.sum.h)/float64(l.n), 1)
	if !f.divisible(l) || 2*least > float64(l.sum.h) {
		return
	}
	s := scan{
		Settings: f.Settings,
		total:    l.sum,
		least:    int64(math.Ceil(least)),
		perRow:   float64(l.sum.h) / float64(l.n),
		unitH:    f.quantumH,
		l2:       f.L2,
		key:      bins.Mix(f.key, uint64(l.node), 1),
		listed:   f.ExtraTrees,
	}
	if f.limits.monotone != nil {
		s.listed, s.bounded = true, true
		s.bounds = bounds{l.bounds.lo / f.quantumG, l.bounds.hi / f.quantumG}
		s.parent = s.given(float64(l.sum.g), float64(float64(l.sum.h)*f.quantumH)+f.L2)
	} else {
		s.parent = score(float64(l.sum.g), float64(float64(l.sum.h)*f.quantumH)+f.L2)
	}
	allowed := f.columns(l)
	if f.data.Cells < parallelCells {
		workers = 1
	}
	found := make([]split, workers)
	m := len(f.data.Columns)
	shard.Run(workers, workers, func(_, w int) {
		best := split{gain: math.Inf(-1)}
		for c := m * w / workers; c < m*(w+1)/workers; c++ {
			if allowed == nil || allowed[c] {
				s.column(l.hist, f, c, &best)
			}
		}
		found[w] = best
	})
	best := found[0]
	for _, f := range found[1:] {
		if f.gain > best.gain {
			best = f
		}
	}
	// Gains this far below the parent's own score are rounding.
	if best.gain-s.parent <= 1e-10*s.parent || math.IsInf(best.gain, -1) {
		return
	}
	best.gain = (best.gain - s.parent) * f.quantumG * f.quantumG
	if best.gain > f.MinGain {
		l.split = best
	}
}

// divisible reports whether the leaf has the rows and the depth to be split at all.
func (f *search) divisible(l *leaf) bool {
	return l.n >= 2*f.MinLeaf && (f.MaxDepth == 0 || l.depth < f.MaxDepth)
}

// columns is the columns that the leaf may be split on, nil for all: those drawn for the tree, of which the interaction
// groups allow some, of which some are drawn for the node.
func (f *search) columns(l *leaf) []bool {
	allowed := f.limits.columns(l, f.allowed)
	if f.ColsampleByNode >= 1 {
		return allowed
	}
	var from []int
	for c := range f.data.Columns {
		if allowed == nil || allowed[c] {
			from = append(from, c)
		}
	}
	keep := int(math.Ceil(f.ColsampleByNode * float64(len(from))))
	key := bins.Mix(f.key, uint64(l.node), 0)
	slices.SortFunc(from, func(a, b int) int {
		if bins.Mix(key, uint64(a), 0) < bins.Mix(key, uint64(b), 0) {
			return -1
		}
		return 1
	})
	out := make([]bool, len(f.data.Columns))
	for _, c := range from[:keep] {
		out[c] = true
	}
	return out
}

// score is what a leaf of gradient sum g and penalised hessian sum h takes off the loss, times two.
func score(g, h float64) float64 {
	if h <= 0 {
		return 0
	}
	return g * g / h
}

// scan looks through the columns of one leaf.
type scan struct {
	*Settings
	total   sums
	least   int64
	perRow  float64 // hessian of a row on average
	unitH   float64
	l2      float64
	parent  float64
	key     uint64
	listed  bool // the quick way through a column will not do
	bounded bool
	bounds  bounds // in gradient units
}

// cell is a code that occurs in the leaf.
type cell struct {
	sums
	code int
}

// column improves best by the best split of column c.
func (s *scan) column(h histogram, f *search, c int, best *split) {
	col := &f.data.Columns[c]
	if col.Place == nil && !col.Categorical() && !s.listed {
		slot := &f.data.Slots[col.Slot]
		better := false
		if h.narrow != nil {
			better = s.narrow(h.narrow[slot.Offset:slot.Offset+slot.Codes], best)
		} else {
			better = s.wide(h.wide[slot.Offset:slot.Offset+slot.Codes], best)
		}
		if better {
			best.column, best.categorical = c, false
		}
		return
	}
	var list [256]cell
	cells := list[:s.cells(&list, h, f.data, col)]
	if len(cells) < 2 {
		return
	}
	if col.Categorical() {
		if s.categories(cells, col, uint64(c), best) {
			best.column, best.categorical = c, true
		}
		return
	}
	sign := int8(0)
	if s.bounded {
		sign = f.limits.monotone[c]
	}
	better := false
	if cells[0].code != 0 {
		if s.list(cells[:len(cells)-1], sums{}, sign, uint64(c), best) {
			better = true
			best.missingLeft = 2*best.left.h >= s.total.h
		}
	} else {
		// Missing values go right with the last cell as a candidate of its own: everything known against missing.
		if s.list(cells[1:], sums{}, sign, uint64(c), best) {
			better, best.missingLeft = true, false
		}
		if s.list(cells[1:len(cells)-1], cells[0].sums, sign, uint64(c), best) {
			better, best.missingLeft = true, true
		}
	}
	if better {
		best.column, best.categorical = c, false
	}
}

// cells writes the codes of a column that occur in the leaf to list and returns how many they are. In a bundle the rows
// at the default code are all rows but those of the other codes.
func (s *scan) cells(list *[256]cell, h histogram, d *bins.Set, col *bins.Column) int {
	slot := &d.Slots[col.Slot]
	n := 0
	if col.Place == nil {
		for code := range slot.Codes {
			if v := h.at(slot.Offset + code); v != (sums{}) {
				list[n&255] = cell{v, code}
				n++
			}
		}
		return n
	}
	usual, at := s.total, -1
	for code, p := range col.Place {
		switch {
		case code == int(col.Default):
			at = n
			list[n&255] = cell{code: code}
			n++
		case p != 0:
			if v := h.at(slot.Offset + int(p)); v != (sums{}) {
				list[n&255] = cell{v, code}
				n++
				usual.g, usual.h = usual.g-v.g, usual.h-v.h
			}
		}
	}
	if usual == (sums{}) {
		return at + copy(list[at:n-1], list[at+1:n])
	}
	list[at].sums = usual
	return n
}

// at is one cell.
func (h histogram) at(i int) sums {
	if h.narrow != nil {
		g, hs := unpack(h.narrow[i])
		return sums{g, hs}
	}
	return h.wide[i]
}

// narrow is the quick way through the packed cells of a numeric column: it reports whether best was improved.
func (s *scan) narrow(cells []int64, best *split) (better bool) {
	missing := cells[0]
	if s.narrowFrom(cells, 0, best) {
		better = true
		best.missingLeft = missing == 0 && 2*best.left.h >= s.total.h
	}
	if missing != 0 && s.narrowFrom(cells, missing, best) {
		better, best.missingLeft = true, true
	}
	return better
}

// narrowFrom tries the split after each code from 1 on, with left to start from.
func (s *scan) narrowFrom(cells []int64, left int64, best *split) bool {
	var (
		totalG, totalH = float64(s.total.g), float64(float64(s.total.h) * s.unitH)
		least, most    = s.least, s.total.h - s.least
		gain, found    = best.gain, -1
		foundLeft      int64
		unitH, l2      = s.unitH, s.l2
	)
	for code := 1; code < len(cells); code++ {
		v := cells[code]
		if v == 0 {
			continue
		}
		left += v
		h := int64(uint32(left))
		if h < least {
			continue
		}
		if h > most {
			break
		}
		lg, lh := float64((left-h)>>32), float64(float64(h)*unitH)
		rg, rh := totalG-lg, totalH-lh
		lh, rh = lh+l2, rh+l2
		// lg²/lh + rg²/rh > gain, without a division.
		num, den := float64(lg*lg*rh)+float64(rg*rg*lh), lh*rh
		if num > gain*den {
			gain, found, foundLeft = num/den, code, left
		}
	}
	if found < 0 {
		return false
	}
	best.gain, best.code = gain, uint8(found)
	best.left.g, best.left.h = unpack(foundLeft)
	return true
}

// wide is narrow for wide cells.
func (s *scan) wide(cells []sums, best *split) (better bool) {
	missing := cells[0]
	if s.wideFrom(cells, sums{}, best) {
		better = true
		best.missingLeft = missing == (sums{}) && 2*best.left.h >= s.total.h
	}
	if missing != (sums{}) && s.wideFrom(cells, missing, best) {
		better, best.missingLeft = true, true
	}
	return better
}

func (s *scan) wideFrom(cells []sums, left sums, best *split) bool {
	var (
		totalG, totalH = float64(s.total.g), float64(float64(s.total.h) * s.unitH)
		least, most    = s.least, s.total.h - s.least
		gain, found    = best.gain, -1
		foundLeft      sums
	)
	for code := 1; code < len(cells); code++ {
		v := cells[code]
		if v == (sums{}) {
			continue
		}
		left.g, left.h = left.g+v.g, left.h+v.h
		if left.h < least {
			continue
		}
		if left.h > most {
			break
		}
		lg, lh := float64(left.g), float64(float64(left.h)*s.unitH)
		rg, rh := totalG-lg, totalH-lh
		lh, rh = lh+s.l2, rh+s.l2
		num, den := float64(lg*lg*rh)+float64(rg*rg*lh), lh*rh
		if num > gain*den {
			gain, found, foundLeft = num/den, code, left
		}
	}
	if found < 0 {
		return false
	}
	best.gain, best.code, best.left = gain, uint8(found), foundLeft
	return true
}

// list tries the split after each cell, or after one of them at random, with left to start from, and reports whether
// best was improved. sign is the direction in which predictions must go with the column.
func (s *scan) list(cells []cell, left sums, sign int8, column uint64, best *split) bool {
	better := false
	only := -1
	if s.ExtraTrees && len(cells) > 0 {
		only = int(bins.Mix(s.key, column, 0) % uint64(len(cells)))
	}
	most := s.total.h - s.least
	for i := range cells {
		c := &cells[i]
		left.g += c.g
		left.h += c.h
		if left.h < s.least || only >= 0 && i != only {
			continue
		}
		if left.h > most {
			break
		}
		if gain, ok := s.better(left, s.l2, sign, best.gain); ok {
			best.gain, best.code, best.left = gain, uint8(c.code), left
			better = true
		}
	}
	return better
}

// better is what both sides score, and whether that is more than most and the bounds allow it.
func (s *scan) better(left sums, l2 float64, sign int8, most float64) (float64, bool) {
	lg, lh := float64(left.g), float64(float64(left.h)*s.unitH)
	rg, rh := float64(s.total.g)-lg, float64(float64(s.total.h)*s.unitH)-lh
	lh, rh = lh+l2, rh+l2
	if !s.bounded {
		num, den := float64(lg*lg*rh)+float64(rg*rg*lh), lh*rh
		if num > most*den {
			return num / den, true
		}
		return 0, false
	}
	if sign != 0 && float64(sign)*(s.bounds.clip(-rg/rh)-s.bounds.clip(-lg/lh)) < 0 {
		return 0, false
	}
	gain := s.given(lg, lh) + s.given(rg, rh)
	return gain, gain > most
}

// given is score for a leaf whose value is clipped to the bounds.
func (s *scan) given(g, h float64) float64 {
	if h <= 0 {
		return 0
	}
	w := s.bounds.clip(-g / h)
	return -(float64(2*g*w) + float64(h*w*w))
}
