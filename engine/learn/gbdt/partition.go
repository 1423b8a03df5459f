package gbdt

import (
	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// partition moves the rows of [lo, hi) that go left to the front, keeping the order on both sides, and returns how many
// they are.
func (g *grower) partition(lo, hi int, p *node, col *bins.Column) int {
	codes := g.data.Codes[p.slot]
	compared := col.Place == nil && !p.split.categorical
	// Codes are compared after subtracting first: 1 turns missing into 255, which goes right.
	first := uint8(1)
	if p.split.missingLeft {
		first = 0
	}
	last := p.split.code - first
	var table [256]uint8
	if !compared {
		for code := range table {
			if p.sides.has(uint8(code)) {
				table[code] = 1
			}
		}
	}
	n := hi - lo
	pieces := 1
	if g.workers > 1 && n >= 2*shardRows {
		pieces = min(g.workers, n/shardRows)
	}
	lefts := make([]int, pieces)
	shard.Run(g.workers, pieces, func(_, i int) {
		a, b := lo+n*i/pieces, lo+n*(i+1)/pieces
		if compared {
			lefts[i] = partitionBelow(codes, first, last, g.rows[a:b], g.spare[a:b])
		} else {
			lefts[i] = partitionTable(codes, &table, g.rows[a:b], g.spare[a:b])
		}
	})
	to := lo
	for i, k := range lefts {
		a := lo + n*i/pieces
		if to != a {
			copy(g.rows[to:], g.rows[a:a+k])
		}
		to += k
	}
	nLeft := to - lo
	for i, k := range lefts {
		a, b := lo+n*i/pieces, lo+n*(i+1)/pieces
		to += copy(g.rows[to:], g.spare[a:b-k])
	}
	return nLeft
}

// partitionBelow keeps the rows whose code lies from first to first+last at the front of rows and puts the others at the
// front of spare. Every row is written to both and one of the two positions advances, so that there is no branch to
// mispredict.
func partitionBelow(codes []uint8, first, last uint8, rows, spare []uint32) int {
	spare = spare[:len(rows)]
	l, r := 0, 0
	for _, row := range rows {
		left := 0
		if codes[row]-first <= last {
			left = 1
		}
		rows[l] = row
		spare[r] = row
		l += left
		r += 1 - left
	}
	return l
}

// partitionTable is partitionBelow for the codes that table has a one for.
func partitionTable(codes []uint8, table *[256]uint8, rows, spare []uint32) int {
	spare = spare[:len(rows)]
	l, r := 0, 0
	for _, row := range rows {
		left := int(table[codes[row]])
		rows[l] = row
		spare[r] = row
		l += left
		r += 1 - left
	}
	return l
}
