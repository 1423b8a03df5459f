package bins

import (
	"sort"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// mostLevels is how many categories float32 can tell apart.
const mostLevels = 1 << 24

// levels is the number of categories of column f, 0 when it holds numbers.
func levels(x *table.Matrix, f int) int { return min(x.Categories(f), mostLevels) }

// categories codes column f of categories 0 to levels-1 by their frequency, ties by number. When there are more than
// fit, the rarest share the last code, and so do values that are no category of the column.
func categories(x *table.Matrix, f, levels int) Column {
	counts := make([]int, levels)
	strays, missing := 0, 0
	for i := f; i < len(x.Data); i += x.Cols {
		v := x.Data[i]
		switch c, ok := Category(v, levels); {
		case v != v:
			missing++
		case ok:
			counts[c]++
		default:
			strays++
		}
	}
	c := Column{Categories: []int32{}, missing: missing > 0}
	for k, n := range counts {
		if n > 0 {
			c.Categories = append(c.Categories, int32(k))
		}
	}
	sort.SliceStable(c.Categories, func(a, b int) bool { return counts[c.Categories[a]] > counts[c.Categories[b]] })
	c.Others = strays > 0 || len(c.Categories) > Most
	if c.Others && len(c.Categories) >= Most {
		c.Categories = c.Categories[:Most-1]
	}
	return c
}

// Category is the category that v stands for, its whole part, and whether it is one of the column's levels.
func Category(v float32, levels int) (int, bool) {
	if !(v > -1 && v < float32(levels)) {
		return 0, false
	}
	return int(v), true
}

// lookup is the code of every category of a column of the given levels; others and strays have the code in the last
// place.
func (c *Column) lookup(levels int) []uint8 {
	t := make([]uint8, levels+1)
	if c.Others {
		for i := range t {
			t[i] = uint8(len(c.Categories) + 1)
		}
	}
	for i, k := range c.Categories {
		t[k] = uint8(i + 1)
	}
	return t
}
