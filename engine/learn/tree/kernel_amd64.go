package tree

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// The kernels of this processor, the plain one first.
var levels = func() []string {
	l := []string{"scalar"}
	if cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT && cpu.X86.HasBMI1 {
		l = append(l, "avx2")
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
			l = append(l, "avx512")
		}
	}
	return l
}()

// level is the kernel in use; only tests change it.
var level = len(levels) - 1

// fillTablesAVX2 is fillTables.
//
//go:noescape
func fillTablesAVX2(tables *[cutTables]rowBits, ranks *[block]uint8)

// fillCutsAVX2 is fillCuts of n > 0 cuts.
//
//go:noescape
func fillCutsAVX2(out *rowBits, tables *[cutTables]rowBits, cuts *uint8, n int, missing *rowBits)

// scoreTreesAVX2 is scoreTrees of n > 0 trees and groups * 32 rows.
//
//go:noescape
func scoreTreesAVX2(s *scratch, trees *slicedTree, n int, nodes *slicedNode, values *float64, groups int)

// rank32AVX2 is rankRows of n > 0 values that stand stride bytes apart.
//
//go:noescape
func rank32AVX2(ranks *uint8, table, data *float32, stride, n int) (nan bool)

// rank64AVX2 is rank32AVX2 for values of float64.
//
//go:noescape
func rank64AVX2(ranks *uint8, table, data *float64, stride, n int) (nan bool)

// scoreTreesAVX512 is scoreTrees of n > 0 trees and groups * 64 rows. It reads 64 values from the first of each tree on.
//
//go:noescape
func scoreTreesAVX512(s *scratch, trees *slicedTree, n int, nodes *slicedNode, values *float64, groups int)

func fillRanks[T float32 | float64](ranks *[block]uint8, t rankTable[T], data []T, width, rows int) bool {
	if level > 0 {
		switch t := any(t).(type) {
		case rankTable[float32]:
			return rank32AVX2(&ranks[0], &t[0], &any(data).([]float32)[0], 4*width, rows)
		case rankTable[float64]:
			return rank64AVX2(&ranks[0], &t[0], &any(data).([]float64)[0], 8*width, rows)
		}
	}
	return rankRows(ranks, t, data, width, rows)
}

func (s *scratch) fillTables(ranks *[block]uint8) {
	if level == 0 {
		fillTables(&s.tables, ranks)
		return
	}
	fillTablesAVX2(&s.tables, ranks)
}

func (s *scratch) fillCuts(r *cutRun, missing *rowBits) {
	if level == 0 {
		fillCuts(s.cuts[r.first:], &s.tables, r.cuts, missing)
		return
	}
	fillCutsAVX2(&s.cuts[r.first], &s.tables, &r.cuts[0], len(r.cuts), missing)
}

func (s *scratch) scoreTrees(p *part, rows int) {
	if level == 0 {
		scoreTrees(s, p, rows)
		return
	}
	var first *slicedNode
	if len(p.nodes) > 0 {
		first = &p.nodes[0]
	}
	if level == 2 {
		scoreTreesAVX512(s, &p.trees[0], len(p.trees), first, &p.values[0], (rows+63)/64)
		return
	}
	scoreTreesAVX2(s, &p.trees[0], len(p.trees), first, &p.values[0], (rows+31)/32)
}

// rowStatesAVX2 is rowStates of n > 0 columns.
//
//go:noescape
func rowStatesAVX2(states *uint32, columns *quickColumn, n int, tables, x *float32)

// joinSetsAVX2 is joinSets of blocks > 0 times setBytes and n > 0 places.
//
//go:noescape
func joinSetsAVX2(sets unsafe.Pointer, blocks int, kept unsafe.Pointer, places *uint64, n int)

// addLeaves32BMI is addLeaves of n > 0 trees of one output.
//
//go:noescape
func addLeaves32BMI(sets *uint32, n int, starts *int32, values, sum *float64)

// addLeaves64BMI is addLeaves32BMI for trees of up to 64 leaves.
//
//go:noescape
func addLeaves64BMI(sets *uint64, n int, starts *int32, values, sum *float64)

func fillStates(states []uint32, columns []quickColumn, tables []float32, x []float32) {
	if level == 0 || len(columns) == 0 {
		rowStates(states, columns, tables, x)
		return
	}
	rowStatesAVX2(&states[0], &columns[0], len(columns), &tables[0], &x[0])
}

func join[M uint32 | uint64](sets, kept []M, places []uint64) {
	if level == 0 || len(places) == 0 {
		joinSets(sets, kept, places)
		return
	}
	joinSetsAVX2(unsafe.Pointer(&sets[0]), len(sets)*int(unsafe.Sizeof(sets[0]))/setBytes, unsafe.Pointer(&kept[0]), &places[0], len(places))
}

func add[M uint32 | uint64](q *quick[M], sets []M, sums []float64) {
	if level > 0 && len(sums) == 1 {
		switch s := any(sets).(type) {
		case []uint32:
			addLeaves32BMI(&s[0], len(q.starts), &q.starts[0], &q.values[0], &sums[0])
		case []uint64:
			addLeaves64BMI(&s[0], len(q.starts), &q.starts[0], &q.values[0], &sums[0])
		}
		return
	}
	addLeaves(q, sets, sums)
}
