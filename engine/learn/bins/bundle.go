package bins

import (
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	// tries bounds the bundles that one column is held against.
	tries = 64
	// rowBlock is the rows that one piece of work reads.
	rowBlock = 4096
)

// sparse reports whether the column has one code in at least half of the n rows of the sample and few enough others to
// share a slot.
func sparse(c *Column, n int) bool {
	return !c.Categorical() && 2*c.common >= n && c.Count() <= Most/2
}

// usual is the half-open stretch (above, upTo] of values with the column's default code; a NaN bound stands for a
// default of missing, which no comparison with it meets.
func (c *Column) usual() (above, upTo float32) {
	nan := inf - inf
	if c.Default == 0 {
		return nan, nan
	}
	above, upTo = -inf, inf
	if k := int(c.Default) - 2; k >= 0 {
		above = c.Thresholds[k]
	}
	if k := int(c.Default) - 1; k < len(c.Thresholds) {
		upTo = c.Thresholds[k]
	}
	return above, upTo
}

// away reports whether a value does not have the default code.
func away(v, above, upTo float32, first, missing bool) bool {
	if v != v {
		return !missing
	}
	// The lowest value of all, minus infinity, is not above the bound of the lowest part.
	return !(v <= upTo && (v > above || first))
}

// test is away for one column, prepared.
type test struct {
	source         int
	above, upTo    float32
	first, missing bool
}

func (c *Column) test() test {
	t := test{source: c.Source, first: c.Default == 1, missing: c.Default == 0}
	t.above, t.upTo = c.usual()
	return t
}

func (t *test) away(v float32) bool { return away(v, t.above, t.upTo, t.first, t.missing) }

// bundle groups sparse columns that are never away from their default code in the same row: first fit over the sample,
// in the order of the columns, which keeps the columns of a one-hot encoding together; then columns that meet another
// one of their bundle in the other rows leave it. Groups have two columns or more.
func bundle(x *table.Matrix, rows []int, columns []Column, workers int) [][]int {
	var candidates []int
	for i := range columns {
		if sparse(&columns[i], len(rows)) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) < 2 {
		return nil
	}
	marks := make([][]uint64, len(candidates))
	shard.Run(workers, shard.Blocks(len(candidates), together), func(_, b int) {
		lo, hi := shard.Bounds(b, len(candidates), together)
		tests := make([]test, hi-lo)
		for j := range tests {
			marks[lo+j] = make([]uint64, (len(rows)+63)/64)
			tests[j] = columns[candidates[lo+j]].test()
		}
		for at, i := range rows {
			row := x.Data[i*x.Cols : (i+1)*x.Cols]
			for j := range tests {
				if tests[j].away(row[tests[j].source]) {
					marks[lo+j][at>>6] |= 1 << (at & 63)
				}
			}
		}
	})
	type open struct {
		columns []int
		codes   int
		marks   []uint64
	}
	var found []*open
	for at, i := range candidates {
		c := &columns[i]
		codes := c.Count() - 1
		if !c.missing && c.Default != 0 {
			codes-- // code 0 does not occur
		}
		var home *open
		tried := 0
		for _, o := range found {
			if o.codes+codes > Most {
				continue
			}
			if tried++; tried > tries {
				break
			}
			if disjoint(o.marks, marks[at]) {
				home = o
				break
			}
		}
		if home == nil {
			found = append(found, &open{columns: []int{i}, codes: codes, marks: marks[at]})
			continue
		}
		home.columns = append(home.columns, i)
		home.codes += codes
		for k, w := range marks[at] {
			home.marks[k] |= w
		}
	}
	var out [][]int
	for _, o := range found {
		if len(o.columns) > 1 {
			out = append(out, o.columns)
		}
	}
	if len(rows) < x.Rows {
		out = settle(x, columns, out, workers)
	}
	return out
}

func disjoint(a, b []uint64) bool {
	for i, w := range a {
		if w&b[i] != 0 {
			return false
		}
	}
	return true
}

// settle takes columns out of bundles in which they meet an earlier column in some row.
func settle(x *table.Matrix, columns []Column, bundles [][]int, workers int) [][]int {
	var tests []test
	var ends []int
	for _, b := range bundles {
		for _, c := range b {
			tests = append(tests, columns[c].test())
		}
		ends = append(ends, len(tests))
	}
	blocks := shard.Blocks(x.Rows, rowBlock)
	meets := make([][]bool, workers)
	shard.Run(workers, blocks, func(w, b int) {
		if meets[w] == nil {
			meets[w] = make([]bool, len(tests))
		}
		lo, hi := shard.Bounds(b, x.Rows, rowBlock)
		for i := lo; i < hi; i++ {
			row := x.Data[i*x.Cols : (i+1)*x.Cols]
			at := 0
			for _, end := range ends {
				taken := false
				for ; at < end; at++ {
					if tests[at].away(row[tests[at].source]) {
						if taken {
							meets[w][at] = true
						}
						taken = true
					}
				}
			}
		}
	})
	var out [][]int
	at := 0
	for _, b := range bundles {
		var kept []int
		for _, c := range b {
			out := false
			for _, m := range meets {
				out = out || m != nil && m[at]
			}
			if at++; !out {
				kept = append(kept, c)
			}
		}
		if len(kept) > 1 {
			out = append(out, kept)
		}
	}
	return out
}
