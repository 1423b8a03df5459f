package gbdt

import (
	"math"
	"sort"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
)

// bag is the rows drawn for a round in ascending order, or nil for all rows. A row is drawn by the hash of its number,
// not by a running generator, so that no order of work can change the draw.
func (b *booster) bag(round int) []uint32 {
	if b.Subsample >= 1 {
		return nil
	}
	key := bins.Mix(b.Seed, 0x726f7773, uint64(round))
	limit := uint64(b.Subsample * (1 << 53))
	rows := make([]uint32, 0, int(float64(b.data.Rows)*b.Subsample*1.01)+64)
	for i := range b.data.Rows {
		if bins.Mix(key, uint64(i), 0)>>11 < limit {
			rows = append(rows, uint32(i))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return rows
}

// columns is the columns drawn for a tree, those with the smallest hashes, or nil for all.
func (b *booster) columns(tree int) []bool {
	m := len(b.data.Columns)
	keep := int(math.Ceil(b.Colsample * float64(m)))
	if keep >= m {
		return nil
	}
	return smallest(m, keep, bins.Mix(b.Seed, 0x636f6c73, uint64(tree)))
}

// smallest marks the keep numbers of [0, n) with the smallest hashes.
func smallest(n, keep int, key uint64) []bool {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return bins.Mix(key, uint64(order[a]), 0) < bins.Mix(key, uint64(order[b]), 0) })
	out := make([]bool, n)
	for _, i := range order[:keep] {
		out[i] = true
	}
	return out
}
