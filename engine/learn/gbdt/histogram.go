package gbdt

import (
	"unsafe"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

const (
	// narrowRows is the most rows whose packed gradients add up without overflow: with 15-bit parts the sums stay
	// within 32,768 x 32,767 < 2^30, for the hessian in the low and for the signed gradient in the high half.
	narrowRows = 32_768
	// shardRows is the least number of rows worth a second goroutine.
	shardRows   = 16_384
	columnBytes = 256 * 8 // of one slot in scratch space
	// gradientRoom is what a record of codes keeps for the row's gradient: so the histogram finds both in one cache line,
	// and splitting a leaf moves row numbers alone.
	gradientRoom = 4
)

// A row's gradient and hessian stand in four bytes: the gradient in the high 16 bits, the hessian in the low ones. A sum
// of them is spread over eight bytes, gradient<<32 + hessian: one addition adds both, because the hessian never carries
// into the gradient's half.
func gradient(g, h int64) uint32 { return uint32(g)<<16 | uint32(h)&0xffff }

func spread(v uint32) int64 { return int64(int32(v)>>16)<<32 + int64(v&0xffff) }

func pack(g, h int64) int64 { return g<<32 + h }

func unpack(v int64) (g, h int64) {
	h = int64(uint32(v))
	return (v - h) >> 32, h
}

// sums is one cell of a wide histogram.
type sums struct{ g, h int64 }

// histogram holds the summed gradients of a leaf per slot and code, at the slots' offsets: packed when the leaf
// has at most narrowRows rows, wide above.
type histogram struct {
	narrow []int64
	wide   []sums
}

func (h histogram) empty() bool { return h.narrow == nil && h.wide == nil }

// slot sums all cells of one slot, and so all rows of the leaf.
func (h histogram) slot(s bins.Slot) (total sums) {
	if h.narrow != nil {
		for _, v := range h.narrow[s.Offset : s.Offset+s.Codes] {
			g, hs := unpack(v)
			total.g, total.h = total.g+g, total.h+hs
		}
		return total
	}
	for _, v := range h.wide[s.Offset : s.Offset+s.Codes] {
		total.g, total.h = total.g+v.g, total.h+v.h
	}
	return total
}

// arena lends histograms and takes them back, so that a tree allocates none once the first has been grown.
type arena struct {
	cells   int
	narrow  [][]int64
	wide    [][]sums
	scratch [][]int64 // per worker: slots x 256 sums, at fixed places so that the kernel needs no table of offsets
	lent    int
	most    int // histograms that the leaves of a tree may hold
}

// arenaBytes bounds what histograms take; a leaf that had to give its own back is counted anew when it is split.
const arenaBytes = 512 << 20

func newArena(d *bins.Set, workers int) *arena {
	a := &arena{cells: d.Cells, scratch: make([][]int64, workers)}
	a.most = max(arenaBytes/16/max(d.Cells, 1), 4)
	for w := range a.scratch {
		// Four slots more than there are: the kernel's pointer steps past the last ones and must stay in the slice.
		a.scratch[w] = make([]int64, (d.Width+4)*256)
	}
	return a
}

func (a *arena) takeNarrow() []int64 {
	a.lent++
	if n := len(a.narrow); n > 0 {
		h := a.narrow[n-1]
		a.narrow = a.narrow[:n-1]
		return h
	}
	return make([]int64, a.cells)
}

func (a *arena) takeWide() []sums {
	a.lent++
	if n := len(a.wide); n > 0 {
		h := a.wide[n-1]
		a.wide = a.wide[:n-1]
		return h
	}
	return make([]sums, a.cells)
}

func (a *arena) give(h histogram) {
	if h.narrow != nil {
		a.lent--
		a.narrow = append(a.narrow, h.narrow)
	}
	if h.wide != nil {
		a.lent--
		a.wide = append(a.wide, h.wide)
	}
}

// full reports whether the leaves hold as many histograms as they may.
func (a *arena) full() bool { return a.lent >= a.most }

// build sums the gradients of n rows by slot and code: those listed, or with rows nil rows 0 to n-1.
func (a *arena) build(d *bins.Set, rows []uint32, n, workers int) histogram {
	if n < shardRows {
		workers = 1
	}
	workers = min(workers, len(a.scratch))
	var parts []histogram
	for range workers {
		if n <= narrowRows {
			parts = append(parts, histogram{narrow: a.takeNarrow()})
		} else {
			parts = append(parts, histogram{wide: a.takeWide()})
		}
	}
	shard.Run(workers, workers, func(_, w int) {
		a.fill(w, parts[w], d, rows, n*w/workers, n*(w+1)/workers)
	})
	for _, p := range parts[1:] {
		parts[0].add(p)
		a.give(p)
	}
	return parts[0]
}

// fill sums rows lo to hi into h, in blocks that cannot overflow.
func (a *arena) fill(worker int, h histogram, d *bins.Set, rows []uint32, lo, hi int) {
	scratch := a.scratch[worker]
	clear(h.wide)
	for {
		end := min(lo+narrowRows, hi)
		for s := range d.Slots {
			clear(scratch[s*256 : s*256+d.Slots[s].Codes])
		}
		for at := lo; at < end; at += batchRows {
			if to := min(at+batchRows, end); rows == nil {
				addBatch(scratch, d, nil, at, to-at)
			} else {
				addBatch(scratch, d, rows[at:to], 0, 0)
			}
		}
		for s := range d.Slots {
			slot := &d.Slots[s]
			from := scratch[s*256 : s*256+slot.Codes]
			if h.narrow != nil {
				copy(h.narrow[slot.Offset:], from)
				continue
			}
			to := h.wide[slot.Offset : slot.Offset+len(from)]
			for i, v := range from {
				g, hs := unpack(v)
				to[i].g += g
				to[i].h += hs
			}
		}
		if lo = end; lo >= hi {
			return
		}
	}
}

// add adds another histogram of the same form.
func (h histogram) add(o histogram) {
	for i, v := range o.narrow {
		h.narrow[i] += v
	}
	for i, v := range o.wide {
		h.wide[i].g += v.g
		h.wide[i].h += v.h
	}
}

// sibling turns the parent's histogram h into that of the larger child, which has rows rows, given the smaller one's.
func (h histogram) sibling(smaller histogram, rows int, a *arena) histogram {
	if h.narrow != nil {
		to := h.narrow[:len(smaller.narrow)]
		for i, v := range smaller.narrow {
			to[i] -= v
		}
		return h
	}
	for i, v := range smaller.narrow {
		g, hs := unpack(v)
		h.wide[i].g -= g
		h.wide[i].h -= hs
	}
	for i, v := range smaller.wide {
		h.wide[i].g -= v.g
		h.wide[i].h -= v.h
	}
	if rows > narrowRows {
		return h
	}
	out := histogram{narrow: a.takeNarrow()}
	for i, v := range h.wide {
		out.narrow[i] = pack(v.g, v.h)
	}
	a.give(h)
	return out
}

// The kernels below are where training spends most of its time. They read four codes at a time and index scratch
// without bounds checks: a code is a byte and each slot owns 256 cells, so that no index can leave the scratch; rows
// come from the grower's permutation of [0, d.Rows). In padding slots code 0 collects sums that nobody reads.

const (
	// groupColumns are histogrammed in one pass over a batch of rows: 12 slots x 2 KiB of sums stay in a first cache of
	// 32 KiB, where sums of all slots would push each other out.
	groupColumns = 12
	// batchRows is as many rows as stay in the second cache from one group to the next.
	batchRows = 1024
	// prefetchAhead is how many rows before its turn a row is asked of memory; rows of a small leaf lie far apart.
	prefetchAhead = 16
)

// addBatch adds the gradients of at most batchRows rows, those listed or with rows nil n of them from row first on.
func addBatch(scratch []int64, d *bins.Set, rows []uint32, first, n int) {
	var gradients [batchRows]int64
	records := unsafe.Pointer(&d.Records[0])
	if rows == nil {
		row := unsafe.Add(records, first*d.Stride)
		for i := range gradients[:n] {
			gradients[i] = spread(*(*uint32)(unsafe.Add(row, i*d.Stride+d.Width)))
		}
		for g := 0; g < d.Width; g += groupColumns {
			addRows(unsafe.Pointer(&scratch[g*256]), unsafe.Add(row, g), d.Stride, min(groupColumns, d.Width-g), gradients[:n])
		}
		return
	}
	for i := range rows {
		if i&7 == 0 && i+prefetchAhead+8 <= len(rows) {
			prefetch8(records, &rows[i+prefetchAhead], d.Stride, d.Width+gradientRoom-1)
		}
		gradients[i&(batchRows-1)] = spread(*(*uint32)(unsafe.Add(records, int(rows[i])*d.Stride+d.Width)))
	}
	for g := 0; g < d.Width; g += groupColumns {
		addListed(unsafe.Pointer(&scratch[g*256]), unsafe.Add(records, g), d.Stride, min(groupColumns, d.Width-g), rows, gradients[:len(rows)])
	}
}

// addRows adds the gradients of rows that follow each other.
func addRows(sums, row unsafe.Pointer, stride, width int, gradients []int64) {
	switch width {
	case 12:
		for _, v := range gradients {
			add4(sums, *(*uint32)(row), v)
			add4(unsafe.Add(sums, 4*columnBytes), *(*uint32)(unsafe.Add(row, 4)), v)
			add4(unsafe.Add(sums, 8*columnBytes), *(*uint32)(unsafe.Add(row, 8)), v)
			row = unsafe.Add(row, stride)
		}
	case 8:
		for _, v := range gradients {
			add4(sums, *(*uint32)(row), v)
			add4(unsafe.Add(sums, 4*columnBytes), *(*uint32)(unsafe.Add(row, 4)), v)
			row = unsafe.Add(row, stride)
		}
	default:
		for _, v := range gradients {
			add4(sums, *(*uint32)(row), v)
			row = unsafe.Add(row, stride)
		}
	}
}

// addListed adds the gradients of the listed rows.
func addListed(sums, records unsafe.Pointer, stride, width int, rows []uint32, gradients []int64) {
	rows = rows[:len(gradients)]
	switch width {
	case 12:
		for i, v := range gradients {
			row := unsafe.Add(records, int(rows[i])*stride)
			add4(sums, *(*uint32)(row), v)
			add4(unsafe.Add(sums, 4*columnBytes), *(*uint32)(unsafe.Add(row, 4)), v)
			add4(unsafe.Add(sums, 8*columnBytes), *(*uint32)(unsafe.Add(row, 8)), v)
		}
	case 8:
		for i, v := range gradients {
			row := unsafe.Add(records, int(rows[i])*stride)
			add4(sums, *(*uint32)(row), v)
			add4(unsafe.Add(sums, 4*columnBytes), *(*uint32)(unsafe.Add(row, 4)), v)
		}
	default:
		for i, v := range gradients {
			add4(sums, *(*uint32)(unsafe.Add(records, int(rows[i])*stride)), v)
		}
	}
}

// add4 adds to a cell of each of four slots.
func add4(sums unsafe.Pointer, codes uint32, v int64) {
	*(*int64)(unsafe.Add(sums, uintptr(codes&255)*8)) += v
	*(*int64)(unsafe.Add(sums, columnBytes+uintptr(codes>>8&255)*8)) += v
	*(*int64)(unsafe.Add(sums, 2*columnBytes+uintptr(codes>>16&255)*8)) += v
	*(*int64)(unsafe.Add(sums, 3*columnBytes+uintptr(codes>>24)*8)) += v
}
