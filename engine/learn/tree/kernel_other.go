//go:build !amd64

package tree

// The kernels of this processor.
var levels = []string{"scalar"}

// level is the kernel in use.
var level = 0

func (s *scratch) fillTables(ranks *[block]uint8) { fillTables(&s.tables, ranks) }

func (s *scratch) fillCuts(r *cutRun, missing *rowBits) {
	fillCuts(s.cuts[r.first:], &s.tables, r.cuts, missing)
}

func (s *scratch) scoreTrees(p *part, rows int) { scoreTrees(s, p, rows) }

func fillRanks[T float32 | float64](ranks *[block]uint8, t rankTable[T], data []T, width, rows int) bool {
	return rankRows(ranks, t, data, width, rows)
}

func fillStates(states []uint32, columns []quickColumn, tables []float32, x []float32) {
	rowStates(states, columns, tables, x)
}

func join[M uint32 | uint64](sets, kept []M, places []uint64) { joinSets(sets, kept, places) }

func add[M uint32 | uint64](q *quick[M], sets []M, sums []float64) { addLeaves(q, sets, sums) }
