package tree

import "golang.org/x/sys/cpu"

// The kernels of this processor, the plain one first.
var levels = func() []string {
	l := []string{"scalar"}
	if cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT {
		l = append(l, "avx2")
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
	scoreTreesAVX2(s, &p.trees[0], len(p.trees), first, &p.values[0], (rows+31)/32)
}
