package gbdt

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
)

// categories improves best by the best split of a categorical column, given the codes that occur in the leaf, and
// reports whether it did. Missing is a category like the others. A column of few codes is split one against the rest.
// In a larger one the categories of at least cat_smooth rows are sorted by gradient over hessian, where the best of all
// sets is a prefix (Fisher, "On Grouping for Maximum Homogeneity", JASA 53, 1958), and prefixes are tried from both ends
// with the bounds of LightGBM: max_cat_threshold categories, min_data_per_group rows from one candidate to the next,
// cat_l2 more penalty.
func (s *scan) categories(cells []cell, col *bins.Column, column uint64, best *split) bool {
	if col.Count()-1 <= s.MaxOneHot {
		return s.oneAgainstRest(cells, col, column, best)
	}
	least := s.CatSmooth * s.perRow
	sorted := make([]cell, 0, len(cells))
	for _, c := range cells {
		if float64(c.h) >= least {
			sorted = append(sorted, c)
		}
	}
	smooth := s.CatSmooth // in units of the hessian, as in LightGBM
	slices.SortStableFunc(sorted, func(a, b cell) int {
		// a.g/(a.h+smooth) against b.g/(b.h+smooth)
		x := float64(a.g) * (float64(float64(b.h)*s.unitH) + smooth)
		y := float64(b.g) * (float64(float64(a.h)*s.unitH) + smooth)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	most := min(s.MaxCatThreshold, (len(sorted)+1)/2)
	if s.ExtraTrees && most > 0 {
		k := 1 + int(bins.Mix(s.key, column, 0)%uint64(most))
		return s.prefix(sorted, k, k, col, best)
	}
	better := s.prefix(sorted, 1, most, col, best)
	slices.Reverse(sorted)
	return s.prefix(sorted, 1, most, col, best) || better
}

// oneAgainstRest tries each category alone on the left.
func (s *scan) oneAgainstRest(cells []cell, col *bins.Column, column uint64, best *split) bool {
	better := false
	only := -1
	if s.ExtraTrees {
		only = int(bins.Mix(s.key, column, 0) % uint64(len(cells)))
	}
	for i := range cells {
		c := &cells[i]
		if c.h < s.least || s.total.h-c.h < s.least || only >= 0 && i != only {
			continue
		}
		if gain, ok := s.better(c.sums, s.l2, 0, best.gain); ok {
			s.take(cells[i:i+1], c.sums, gain, cells, col, best)
			better = true
		}
	}
	return better
}

// prefix tries the first lo to hi of the sorted categories on the left.
func (s *scan) prefix(sorted []cell, lo, hi int, col *bins.Column, best *split) bool {
	group := int64(math.Ceil(float64(s.MinDataPerGroup) * s.perRow))
	var left, taken sums
	since, n, gainMost := int64(0), 0, best.gain
	for i := range min(hi, len(sorted)) {
		c := &sorted[i]
		left.g += c.g
		left.h += c.h
		since += c.h
		if left.h < s.least || i+1 < lo {
			continue
		}
		if right := s.total.h - left.h; right < s.least || right < group {
			break
		}
		if since < group {
			continue
		}
		since = 0
		if gain, ok := s.better(left, s.l2+s.CatL2, 0, gainMost); ok {
			gainMost, n, taken = gain, i+1, left
		}
	}
	if n == 0 {
		return false
	}
	s.take(sorted[:n], taken, gainMost, sorted, col, best)
	return true
}

// take makes the categories of chosen the left side of best. The code that stands for all other categories, which
// training may not have seen, must go right with those that prediction does not know: when it is chosen, the sides change
// places, and every category of the column that was not chosen goes left.
func (s *scan) take(chosen []cell, left sums, gain float64, all []cell, col *bins.Column, best *split) {
	*best = split{gain: gain, left: left}
	seen := false
	for _, c := range all {
		seen = seen || c.code == 0
	}
	for _, c := range chosen {
		best.set.add(uint8(c.code))
	}
	last := uint8(col.Count() - 1)
	if col.Others && best.set.has(last) {
		var rest codeSet
		for code := uint8(0); code < last; code++ {
			if !best.set.has(code) {
				rest.add(code)
			}
		}
		best.set = rest
		best.left = sums{s.total.g - left.g, s.total.h - left.h}
	}
	best.missingLeft = best.set.has(0)
	if !seen {
		best.missingLeft = 2*best.left.h >= s.total.h
	}
}
