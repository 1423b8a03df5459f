package gbdt

import (
	"unsafe"

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
	columnBytes  = 256 * 8 // of one column in scratch space
)

// A packed gradient or sum is gradient<<32 + hessian: one addition adds both, because the hessian never carries into
// the gradient's half. unpack undoes it.
func pack(g, h int64) int64 { return g<<32 + h }

func unpack(v int64) (g, h int64) {
	h = int64(uint32(v))
	return (v - h) >> 32, h
}

// sums is one cell of a wide histogram.
type sums struct{ g, h int64 }

// histogram holds the summed gradients of a leaf per column and code, at the columns' offsets: packed when the leaf
// has at most narrowRows rows, wide above.
type histogram struct {
	narrow []int64
	wide   []sums
}

// arena lends histograms and takes them back, so that a tree allocates none once the first has been grown.
type arena struct {
	cells   int
	narrow  [][]int64
	wide    [][]sums
	scratch [][]int64 // per worker: stride x 256 sums, at fixed places so that the kernel needs no table of offsets
}

func newArena(d *binned, workers int) *arena {
	a := &arena{cells: d.cells, scratch: make([][]int64, workers)}
	for w := range a.scratch {
		// Four columns more than there are: the kernel's pointer steps past the last ones and must stay in the slice.
		a.scratch[w] = make([]int64, (d.stride+4)*256)
	}
	return a
}

func (a *arena) takeNarrow() []int64 {
	if n := len(a.narrow); n > 0 {
		h := a.narrow[n-1]
		a.narrow = a.narrow[:n-1]
		return h
	}
	return make([]int64, a.cells)
}

func (a *arena) takeWide() []sums {
	if n := len(a.wide); n > 0 {
		h := a.wide[n-1]
		a.wide = a.wide[:n-1]
		return h
	}
	return make([]sums, a.cells)
}

func (a *arena) give(h histogram) {
	if h.narrow != nil {
		a.narrow = append(a.narrow, h.narrow)
	}
	if h.wide != nil {
		a.wide = append(a.wide, h.wide)
	}
}

// build sums the packed gradients q of the rows by column and code. rows nil means rows 0 to len(q)-1.
func (a *arena) build(d *binned, rows []uint32, q []int64, workers int) histogram {
	n := len(q)
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
		lo, hi := n*w/workers, n*(w+1)/workers
		fill(parts[w], d, a.scratch[w], rows, q, lo, hi)
	})
	for _, p := range parts[1:] {
		parts[0].add(p)
		a.give(p)
	}
	return parts[0]
}

// fill sums rows lo to hi into h, in blocks that cannot overflow.
func fill(h histogram, d *binned, scratch []int64, rows []uint32, q []int64, lo, hi int) {
	clear(h.wide)
	for {
		end := min(lo+narrowRows, hi)
		for c := range d.columns {
			clear(scratch[c*256 : c*256+d.columns[c].codes()])
		}
		if rows == nil {
			addRows(scratch, d, lo, q[lo:end])
		} else {
			addListed(scratch, d, rows[lo:end], q[lo:end])
		}
		for c := range d.columns {
			col := &d.columns[c]
			from := scratch[c*256 : c*256+col.codes()]
			if h.narrow != nil {
				copy(h.narrow[col.offset:], from)
				continue
			}
			to := h.wide[col.offset : col.offset+len(from)]
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

// The two kernels below are where training spends most of its time. They read four codes at a time and index scratch
// without bounds checks: a code is a byte and each column owns 256 cells, so that no index can leave the scratch; rows
// come from the grower's permutation of [0, d.rows). In padding columns code 0 collects sums that nobody reads.

// addRows adds the gradients q of the consecutive rows from first.
func addRows(scratch []int64, d *binned, first int, q []int64) {
	for g := 0; g < d.stride; g += groupColumns {
		width := min(groupColumns, d.stride-g)
		base := unsafe.Pointer(&scratch[g*256])
		row := unsafe.Pointer(&d.byRow[first*d.stride+g])
		for i, v := range q {
			addRow(base, unsafe.Add(row, i*d.stride), v, width)
		}
	}
}

// addListed adds the gradients q of the listed rows. Rows of a small leaf lie far apart, so each is asked of memory
// prefetchAhead rows before its turn.
func addListed(scratch []int64, d *binned, rows []uint32, q []int64) {
	const step = 8
	q = q[:len(rows)]
	for g := 0; g < d.stride; g += groupColumns {
		width := min(groupColumns, d.stride-g)
		base := unsafe.Pointer(&scratch[g*256])
		codes := unsafe.Pointer(&d.byRow[g])
		for i := 0; i < len(rows); {
			end := min(i+step, len(rows))
			if i+prefetchAhead+step <= len(rows) {
				prefetch8(codes, &rows[i+prefetchAhead], d.stride, width-1)
			}
			for ; i < end; i++ {
				addRow(base, unsafe.Add(codes, int(rows[i])*d.stride), q[i], width)
			}
		}
	}
}

const prefetchAhead = 16

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
