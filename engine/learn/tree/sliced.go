package tree

import "encoding/binary"

// scratch is what scoring one block needs. The fixed parts come first and are multiples of a cache line, so that they
// lie well for vectors.
type scratch struct {
	cuts   [maxCuts]rowBits
	slots  [totalSlots]rowBits
	tables [cutTables]rowBits
	planes [8]rowBits //lint:ignore U1000 the assembly uses it
	index  [block]uint8

	ranks []uint8   // block ranks for each byte column
	masks []rowBits // the missing rows of each column
	codes []int32   // block categories for each category column
	sums  []float64 // block sums for each output
}

func newScratch(p *plan, outputs int) *scratch {
	s := &scratch{
		ranks: make([]uint8, p.ranks*block),
		masks: make([]rowBits, p.masks),
		codes: make([]int32, p.codes*block),
		sums:  make([]float64, outputs*block),
	}
	s.slots[onesSlot] = rowBits{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	return s
}

// quantise turns the values of a block's rows into ranks, masks and categories. Rows beyond the last keep what an
// earlier block left: they are scored and not used. Missing rows get rank 0, which is above no threshold.
func quantise[T float32 | float64](p *plan, s *scratch, e *Ensemble, data []T, rows int) {
	width := e.Features
	for i := range p.columns {
		c := &p.columns[i]
		x := data[c.feature:]
		zero := e.ZeroMissing != nil && e.ZeroMissing[c.feature]
		look := zero || c.code >= 0
		for j, t := range tablesOf[T](c) {
			ranks := (*[block]uint8)(s.ranks[(c.rank+j)*block:])
			if fillRanks(ranks, t, x, width, rows) {
				look = true
			}
			if zero {
				for i := range rows {
					if v := float64(x[i*width]); max(v, -v) <= zeroMissing {
						ranks[i] = 0
					}
				}
			}
		}
		if c.code >= 0 {
			codes := s.codes[c.code*block:][:block]
			for i := range rows {
				codes[i] = category(float64(x[i*width]))
			}
		}
		s.masks[c.mask] = rowBits{}
		if look {
			s.masks[c.mask] = missingRows(x, width, rows, zero)
		}
	}
}

// tablesOf is the column's tables for values of type T.
func tablesOf[T float32 | float64](c *column) []rankTable[T] {
	var t any = c.wideTables
	if _, ok := t.([]rankTable[T]); !ok {
		t = c.singleTables
	}
	return t.([]rankTable[T])
}

// missingRows is the rows whose value, width apart, is missing; with zero also those whose value is next to zero.
func missingRows[T float32 | float64](data []T, width, rows int, zero bool) rowBits {
	var m rowBits
	for i := range rows {
		v := float64(data[i*width])
		if v != v || zero && max(v, -v) <= zeroMissing {
			m[i/64] |= 1 << (i % 64)
		}
	}
	return m
}

// rankRows writes the ranks of values that stand width apart and reports whether one is NaN.
func rankRows[T float32 | float64](ranks *[block]uint8, t rankTable[T], data []T, width, rows int) bool {
	nan := false
	for i := range rows {
		v := data[i*width]
		nan = nan || v != v
		ranks[i] = t.rank(v)
	}
	return nan
}

// cutTables is the size of the tables that the cuts of a byte column are made from: rows whose upper four bits are
// above 0 to 15, rows whose upper four bits are 0 to 15, and rows whose lower four bits are above 0 to 15.
const cutTables = 48

// fillTables computes the tables from the ranks of a byte column, by way of the bit planes of the ranks.
func fillTables(tables *[cutTables]rowBits, ranks *[block]uint8) {
	var planes [8]rowBits
	for i := 0; i < block; i += 8 {
		v := transpose(ranks[i : i+8 : i+8])
		for b := range planes {
			planes[b][i/64] |= (v >> (8 * b) & 0xff) << (i % 64)
		}
	}
	for w := range words {
		var upper, lower [16]uint64
		decode(&upper, planes[4][w], planes[5][w], planes[6][w], planes[7][w])
		decode(&lower, planes[0][w], planes[1][w], planes[2][w], planes[3][w])
		var above, aboveLower uint64
		for i := 15; i >= 0; i-- {
			tables[i][w], tables[16+i][w], tables[32+i][w] = above, upper[i], aboveLower
			above |= upper[i]
			aboveLower |= lower[i]
		}
	}
}

// decode sets one[i] to the rows whose four bits are the number i.
func decode(one *[16]uint64, b0, b1, b2, b3 uint64) {
	for i := range one {
		v := ^uint64(0)
		for j, b := range [4]uint64{b0, b1, b2, b3} {
			if i>>j&1 == 1 {
				v &= b
			} else {
				v &^= b
			}
		}
		one[i] = v
	}
}

// transpose returns the bits of eight bytes with bit b of byte i as bit i of byte b.
func transpose(v []uint8) uint64 {
	x := uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 | uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
	return transpose64(x)
}

// transpose64 is Hacker's Delight, section 7-3: three rounds of swapping across the diagonal.
func transpose64(x uint64) uint64 {
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// fillCuts computes the cuts of a run: rank above 16u+l is upper bits above u, or equal to u with lower bits above l.
func fillCuts(out []rowBits, tables *[cutTables]rowBits, cuts []uint8, missing *rowBits) {
	for i, c := range cuts {
		u, l := c>>4, c&15
		for w := range words {
			out[i][w] = tables[u][w] | tables[16+u][w]&tables[32+l][w] | missing[w]
		}
	}
}

// fillSet computes the cut of a category set.
func fillSet(out *rowBits, set *setCut, codes []int32, missing *rowBits) {
	for w := range out {
		var in uint64
		for i, c := range codes[w*64 : w*64+64] {
			// A code of -1 has no word.
			if at := uint32(c) / 32; int(at) < len(set.words) {
				in |= uint64(set.words[at]>>(c%32)&1) << i
			}
		}
		if set.missingRight {
			out[w] = ^in | missing[w]
		} else {
			out[w] = ^in &^ missing[w]
		}
	}
}

// scoreTrees adds the trees of a part to the sums of the first rows of a block.
func scoreTrees(s *scratch, p *part, rows int) {
	nodes, values := p.nodes, p.values
	count := (rows + 63) / 64
	for i := range p.trees {
		t := &p.trees[i]
		for _, n := range nodes[:t.nodes] {
			from, cut := s.slots[n.from/slotBytes%totalSlots], &s.cuts[n.cut%maxCuts]
			left, right := &s.slots[n.left/slotBytes%totalSlots], &s.slots[n.right/slotBytes%totalSlots]
			if count == 1 {
				left[0], right[0] = from[0]&^cut[0], from[0]&cut[0]
				continue
			}
			left[0], left[1], left[2], left[3] = from[0]&^cut[0], from[1]&^cut[1], from[2]&^cut[2], from[3]&^cut[3]
			right[0], right[1], right[2], right[3] = from[0]&cut[0], from[1]&cut[1], from[2]&cut[2], from[3]&cut[3]
		}
		nodes = nodes[t.nodes:]
		for w := range count {
			s.leaves(int(t.leaves), w)
		}
		sums, v := s.sums[int(t.output)*block:][:rows], values[:t.leaves]
		for j, n := range s.index[:rows] {
			sums[j] += v[n]
		}
		values = values[t.leaves:]
	}
}

// leaves turns the rows of each leaf into the leaf of each of 64 rows.
func (s *scratch) leaves(n, w int) {
	for i := n; i%8 != 0; i++ {
		s.slots[i][w] = 0
	}
	var planes [8]uint64
	for i := 0; i < n; i += 8 {
		x := s.slots[i : i+8 : i+8]
		x1, x3, x5, x7 := x[1][w], x[3][w], x[5][w], x[7][w]
		x23, x67 := x[2][w]|x3, x[6][w]|x7
		high := x[4][w] | x5 | x67
		all := x[0][w] | x1 | x23 | high
		planes[0] |= x1 | x3 | x5 | x7
		planes[1] |= x23 | x67
		planes[2] |= high
		for b := 3; i>>b != 0; b++ {
			planes[b&7] |= all & -uint64(i>>b&1)
		}
	}
	index := s.index[w*64 : w*64+64]
	for i := 0; i < 64; i += 8 {
		x := planes[0]&0xff | planes[1]&0xff<<8 | planes[2]&0xff<<16 | planes[3]&0xff<<24 | planes[4]&0xff<<32
		planes[0], planes[1], planes[2], planes[3], planes[4] = planes[0]>>8, planes[1]>>8, planes[2]>>8, planes[3]>>8, planes[4]>>8
		if n > 32 {
			x |= planes[5]&0xff<<40 | planes[6]&0xff<<48 | planes[7]&0xff<<56
			planes[5], planes[6], planes[7] = planes[5]>>8, planes[6]>>8, planes[7]>>8
		}
		binary.LittleEndian.PutUint64(index[i:], transpose64(x))
	}
}

// fill computes the cuts of a part from the ranks, masks and categories of a block.
func (s *scratch) fill(p *part) {
	last := -1
	for i := range p.runs {
		r := &p.runs[i]
		if r.rank != last {
			s.fillTables((*[block]uint8)(s.ranks[r.rank*block:]))
			last = r.rank
		}
		missing := &none
		if r.mask >= 0 {
			missing = &s.masks[r.mask]
		}
		s.fillCuts(r, missing)
	}
	for i := range p.sets {
		set := &p.sets[i]
		fillSet(&s.cuts[set.place], set, s.codes[set.code*block:], &s.masks[set.mask])
	}
}

// none is no row.
var none rowBits
