package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// leaf is a leaf of a tree that grows: its rows are grower.rows[start:start+n].
type leaf struct {
	node     int32
	start, n int
	sum      sums
	hist     histogram
	split    split
}

// split is the best way found to cut a leaf. Codes up to code go left; code 0, missing, goes left when missingLeft.
type split struct {
	gain        float64 // in gradient units; 0 when the leaf cannot be split
	column      int
	code        uint8
	missingLeft bool
	left        sums
}

// limits are what a split must keep to, in quantised units.
type limits struct {
	quantumG, quantumH float64 // value of one unit of gradient and hessian
	l2                 float64
	minLeaf            int
	minHessian         float64
	allowed            []bool // columns drawn for this tree; nil for all
}

// parallelCells is the least number of cells worth scanning on more than one goroutine.
const parallelCells = 1 << 15

// findSplit sets l.split. Of equal gains the lowest column wins, then missing right before left, then the lowest code.
func findSplit(l *leaf, d *binned, lim *limits, workers int) {
	l.split = split{}
	// Rows are estimated from the hessian they carry, so both bounds become one bound on the hessian's sum.
	least := lim.minHessian / lim.quantumH
	least = max(least, float64(lim.minLeaf)*float64(l.sum.h)/float64(l.n), 1)
	if l.n < 2*lim.minLeaf || 2*least > float64(l.sum.h) {
		return
	}
	s := scan{
		total:  l.sum,
		least:  int64(math.Ceil(least)),
		unitH:  lim.quantumH,
		l2:     lim.l2,
		parent: score(float64(l.sum.g), float64(float64(l.sum.h)*lim.quantumH)+lim.l2),
	}
	if d.cells < parallelCells {
		workers = 1
	}
	found := make([]split, workers)
	m := len(d.columns)
	shard.Run(workers, workers, func(_, w int) {
		best := split{gain: math.Inf(-1)}
		for c := m * w / workers; c < m*(w+1)/workers; c++ {
			if lim.allowed == nil || lim.allowed[c] {
				s.column(l.hist, &d.columns[c], c, &best)
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
	best.gain = (best.gain - s.parent) * lim.quantumG * lim.quantumG
	l.split = best
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
	total  sums
	least  int64
	unitH  float64
	l2     float64
	parent float64
}

// cell is a code that occurs in the leaf.
type cell struct {
	sums
	code int
}

// column improves best by the best split of one column.
func (s *scan) column(h histogram, col *column, index int, best *split) {
	var cells [256]cell
	n := 0
	if h.narrow != nil {
		for code, v := range h.narrow[col.offset : col.offset+col.codes()] {
			if v != 0 {
				g, hs := unpack(v)
				cells[n&255] = cell{sums{g, hs}, code}
				n++
			}
		}
	} else {
		for code, v := range h.wide[col.offset : col.offset+col.codes()] {
			if v != (sums{}) {
				cells[n&255] = cell{v, code}
				n++
			}
		}
	}
	if n < 2 {
		return
	}
	if cells[0].code != 0 {
		if s.forward(cells[:n-1], sums{}, best) {
			best.column = index
			best.missingLeft = 2*best.left.h >= s.total.h
		}
		return
	}
	// Missing values go right with the last cell as a candidate of its own: everything known against missing.
	if s.forward(cells[1:n], sums{}, best) {
		best.column, best.missingLeft = index, false
	}
	if s.forward(cells[1:n-1], cells[0].sums, best) {
		best.column, best.missingLeft = index, true
	}
}

// forward tries the split after each cell, with left to start from, and reports whether best was improved.
func (s *scan) forward(cells []cell, left sums, best *split) bool {
	better := false
	most := s.total.h - s.least
	for i := range cells {
		c := &cells[i]
		left.g += c.g
		left.h += c.h
		if left.h < s.least {
			continue
		}
		if left.h > most {
			break
		}
		lg, rg := float64(left.g), float64(s.total.g-left.g)
		lh := float64(float64(left.h)*s.unitH) + s.l2
		rh := float64(float64(s.total.h-left.h)*s.unitH) + s.l2
		// lg²/lh + rg²/rh with one division.
		gain := (float64(lg*lg*rh) + float64(rg*rg*lh)) / (lh * rh)
		if gain > best.gain {
			best.gain, best.code, best.left = gain, uint8(c.code), left
			better = true
		}
	}
	return better
}
