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
	shardRows = 16_384
	// groupColumns are histogrammed in one pass over the rows; 64 columns x 2 KiB of sums stay in the second cache.
	groupColumns = 64
	columnBytes  = 256 * 8 // of one slot in scratch space
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
	spread  [][]int64 // per worker: gradients of a block, when records are wide
	lent    int
	most    int // histograms that the leaves of a tree may hold
}

// arenaBytes bounds what histograms take; a leaf that had to give its own back is counted anew when it is split.
const arenaBytes = 512 << 20

func newArena(d *bins.Set, workers int) *arena {
	a := &arena{cells: d.Cells, scratch: make([][]int64, workers), spread: make([][]int64, workers)}
	a.most = max(arenaBytes/16/max(d.Cells, 1), 4)
	for w := range a.scratch {
		// Four slots more than there are: the kernel's pointer steps past the last ones and must stay in the slice.
		a.scratch[w] = make([]int64, (d.Width+4)*256)
		if d.Width > groupColumns {
			a.spread[w] = make([]int64, narrowRows)
		}
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
		switch {
		case d.Width > groupColumns:
			addWide(scratch, a.spread[worker], d, rows, lo, end)
		case rows == nil:
			addRows(scratch, d, lo, end)
		default:
			addListed(scratch, d, rows[lo:end])
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

// addRows adds the gradients of rows lo to hi.
func addRows(scratch []int64, d *bins.Set, lo, hi int) {
	base := unsafe.Pointer(&scratch[0])
	row := unsafe.Pointer(&d.Records[lo*d.Stride])
	for range hi - lo {
		addRow(base, row, spread(*(*uint32)(unsafe.Add(row, d.Width))), d.Width)
		row = unsafe.Add(row, d.Stride)
	}
}

// addListed adds the gradients of the listed rows. Rows of a small leaf lie far apart, so each is asked of memory
// prefetchAhead rows before its turn.
func addListed(scratch []int64, d *bins.Set, rows []uint32) {
	const step = 8
	base := unsafe.Pointer(&scratch[0])
	records := unsafe.Pointer(&d.Records[0])
	for i := 0; i < len(rows); {
		end := min(i+step, len(rows))
		if i+prefetchAhead+step <= len(rows) {
			prefetch8(records, &rows[i+prefetchAhead], d.Stride, d.Width+gradientRoom-1)
		}
		for ; i < end; i++ {
			row := unsafe.Add(records, int(rows[i])*d.Stride)
			addRow(base, row, spread(*(*uint32)(unsafe.Add(row, d.Width))), d.Width)
		}
	}
}

const prefetchAhead = 16

// addWide is both for records of many slots: gradients are read once and the slots then in groups, so that the sums of a
// group stay in the cache.
func addWide(scratch, gradients []int64, d *bins.Set, rows []uint32, lo, hi int) {
	const step = 8
	records := unsafe.Pointer(&d.Records[0])
	gradients = gradients[:hi-lo]
	for i := range gradients {
		row := lo + i
		if rows != nil {
			row = int(rows[lo+i])
		}
		gradients[i] = spread(*(*uint32)(unsafe.Add(records, row*d.Stride+d.Width)))
	}
	for g := 0; g < d.Width; g += groupColumns {
		width := min(groupColumns, d.Width-g)
		base := unsafe.Pointer(&scratch[g*256])
		group := unsafe.Add(records, g)
		if rows == nil {
			for i, v := range gradients {
				addRow(base, unsafe.Add(group, (lo+i)*d.Stride), v, width)
			}
			continue
		}
		listed := rows[lo:hi]
		for i := 0; i < len(listed); {
			end := min(i+step, len(listed))
			if i+prefetchAhead+step <= len(listed) {
				prefetch8(group, &listed[i+prefetchAhead], d.Stride, width-1)
			}
			for ; i < end; i++ {
				addRow(base, unsafe.Add(group, int(listed[i])*d.Stride), gradients[i], width)
			}
		}
	}
}

func addRow(sums, row unsafe.Pointer, v int64, width int) {
	for f := 0; f < width; f += 4 {
		w := *(*uint32)(unsafe.Add(row, f))
		*(*int64)(unsafe.Add(sums, uintptr(w&255)*8)) += v
		*(*int64)(unsafe.Add(sums, columnBytes+uintptr(w>>8&255)*8)) += v
		*(*int64)(unsafe.Add(sums, 2*columnBytes+uintptr(w>>16&255)*8)) += v
		*(*int64)(unsafe.Add(sums, 3*columnBytes+uintptr(w>>24)*8)) += v
		sums = unsafe.Add(sums, 4*columnBytes)
	}
}
