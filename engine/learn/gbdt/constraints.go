package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
)

// bounds are what the value of a leaf must lie between, before the learning rate.
type bounds struct{ lo, hi float64 }

var unbounded = bounds{math.Inf(-1), math.Inf(1)}

func (b bounds) clip(v float64) float64 {
	if v < b.lo {
		return b.lo
	}
	if v > b.hi {
		return b.hi
	}
	return v
}

// constraints are what trees must keep to, in columns of the binned matrix.
type constraints struct {
	// monotone is the direction of predictions in each column: 1 up, -1 down, 0 free; nil when all are free.
	monotone []int8
	// groups are columns that may meet on a path from the root to a leaf; nil when all may. Columns in no group make up
	// one more.
	groups [][]bool
}

// newConstraints translates constraints on features, -1/0/1 each and lists of them, to columns.
func newConstraints(monotone []int8, interactions [][]int, d *bins.Set) *constraints {
	c := &constraints{}
	for i := range d.Columns {
		if f := d.Columns[i].Source; monotone != nil && monotone[f] != 0 {
			if c.monotone == nil {
				c.monotone = make([]int8, len(d.Columns))
			}
			c.monotone[i] = monotone[f]
		}
	}
	if interactions == nil {
		return c
	}
	rest := make([]bool, len(d.Columns))
	for i := range rest {
		rest[i] = true
	}
	for _, features := range interactions {
		group := make([]bool, len(d.Columns))
		for _, f := range features {
			for i := range d.Columns {
				if d.Columns[i].Source == f {
					group[i], rest[i] = true, false
				}
			}
		}
		c.groups = append(c.groups, group)
	}
	c.groups = append(c.groups, rest)
	return c
}

// columns is the columns that the interaction groups allow in a leaf, of those in from; nil stands for all.
func (c *constraints) columns(l *leaf, from []bool) []bool {
	if c.groups == nil {
		return from
	}
	out := make([]bool, len(c.groups[0]))
	take := func(g int) {
		for i, in := range c.groups[g] {
			if in && (from == nil || from[i]) {
				out[i] = true
			}
		}
	}
	if l.groups == nil {
		for g := range c.groups {
			take(g)
		}
	}
	for _, g := range l.groups {
		take(g)
	}
	return out
}

// pass gives the children of a leaf that was split what the parent's bounds and groups leave them. Values of the left
// side of an increasing column stay below the middle of both sides' values and those of the right above ("basic" in
// LightGBM; Auguste, Malory and Smirnov, hal-02862802).
func (c *constraints) pass(parent, left, right *leaf, l2, quantumG, quantumH float64) {
	left.bounds, right.bounds = parent.bounds, parent.bounds
	column := parent.split.column
	if c.monotone != nil && !parent.split.categorical && c.monotone[column] != 0 {
		value := func(s sums) float64 {
			return parent.bounds.clip(-float64(s.g) * quantumG / (float64(float64(s.h)*quantumH) + l2))
		}
		middle := (value(left.sum) + value(right.sum)) / 2
		if c.monotone[column] > 0 {
			left.bounds.hi, right.bounds.lo = min(left.bounds.hi, middle), max(right.bounds.lo, middle)
		} else {
			left.bounds.lo, right.bounds.hi = max(left.bounds.lo, middle), min(right.bounds.hi, middle)
		}
	}
	if c.groups == nil {
		return
	}
	open := []int{}
	if parent.groups == nil {
		for g := range c.groups {
			if c.groups[g][column] {
				open = append(open, g)
			}
		}
	}
	for _, g := range parent.groups {
		if c.groups[g][column] {
			open = append(open, g)
		}
	}
	left.groups, right.groups = open, open
}
