package bins

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// blockBytes is about what the values of the rows coded at a time take: they are read once per column and should stay
// in the second cache meanwhile.
const blockBytes = 1 << 16

// encode fills both forms of the codes.
func (d *Set) encode(x *table.Matrix, o Options) {
	m := len(d.Slots)
	d.Width = (m + 3) &^ 3
	d.Stride = d.Width + o.Room
	if o.Records {
		// The kernels read up to eight bytes at once.
		d.Records = make([]uint8, d.Rows*d.Stride+8)
	}
	d.Codes = make([][]uint8, m)
	for s := range d.Codes {
		d.Codes[s] = make([]uint8, d.Rows+8)[:d.Rows]
	}
	coders := make([]coder, len(d.Columns))
	for c := range coders {
		coders[c] = newCoder(&d.Columns[c], x)
	}
	block := max(64, min(512, blockBytes/4/x.Cols)&^63)
	workers := shard.Workers(o.Workers)
	spare := make([][]uint8, workers)
	shard.Run(workers, shard.Blocks(d.Rows, block), func(w, b int) {
		if spare[w] == nil {
			spare[w] = make([]uint8, block)
		}
		lo, hi := shard.Bounds(b, d.Rows, block)
		for c := range d.Columns {
			col := &d.Columns[c]
			dst := d.Codes[col.Slot][lo:hi]
			values := x.Data[lo*x.Cols+col.Source:]
			if col.Place == nil {
				coders[c].code(dst, values, x.Cols)
				continue
			}
			own := spare[w][:hi-lo]
			coders[c].code(own, values, x.Cols)
			for i, code := range own {
				if code != col.Default {
					dst[i] = col.Place[code]
				}
			}
		}
		if d.Records == nil {
			return
		}
		for s, codes := range d.Codes {
			at := lo*d.Stride + s
			for _, code := range codes[lo:hi] {
				d.Records[at] = code
				at += d.Stride
			}
		}
	})
}

// coder turns the values of one column into codes.
type coder struct {
	cuts   [256]uint32 // keys of the thresholds, filled up with one that no key exceeds
	half   uint        // the first step of the search: steps of half, half/2, …, 1 reach every threshold
	lookup []uint8     // categorical columns
}

func newCoder(c *Column, x *table.Matrix) coder {
	if c.Categorical() {
		return coder{lookup: c.lookup(levels(x, c.Source))}
	}
	e := coder{half: 1}
	for i := range e.cuts {
		e.cuts[i] = math.MaxUint32
		if i < len(c.Thresholds) {
			e.cuts[i] = ordered(c.Thresholds[i])
		}
	}
	for 2*e.half-1 < uint(len(c.Thresholds)) {
		e.half <<= 1
	}
	return e
}

// code codes one value in step from values on for every byte of dst.
func (e *coder) code(dst []uint8, values []float32, step int) {
	if e.lookup != nil {
		levels := len(e.lookup) - 1
		for i := range dst {
			v := values[i*step]
			c, ok := Category(v, levels)
			switch {
			case v != v:
				dst[i] = 0
			case ok:
				dst[i] = e.lookup[c]
			default:
				dst[i] = e.lookup[levels]
			}
		}
		return
	}
	// Four searches side by side, each without a branch on the values: the difference of two keys is negative exactly
	// when the cut lies below.
	at, i := 0, 0
	for ; i+4 <= len(dst); i += 4 {
		v0, v1, v2, v3 := values[at], values[at+step], values[at+2*step], values[at+3*step]
		at += 4 * step
		k0, k1, k2, k3 := int64(ordered(v0)), int64(ordered(v1)), int64(ordered(v2)), int64(ordered(v3))
		var n0, n1, n2, n3 uint
		for s := e.half; s > 0; s >>= 1 {
			n0 += s & uint((int64(e.cuts[(n0+s-1)&255])-k0)>>63)
			n1 += s & uint((int64(e.cuts[(n1+s-1)&255])-k1)>>63)
			n2 += s & uint((int64(e.cuts[(n2+s-1)&255])-k2)>>63)
			n3 += s & uint((int64(e.cuts[(n3+s-1)&255])-k3)>>63)
		}
		dst[i], dst[i+1], dst[i+2], dst[i+3] = known(n0, v0), known(n1, v1), known(n2, v2), known(n3, v3)
	}
	for ; i < len(dst); i++ {
		v := values[at]
		at += step
		key, n := int64(ordered(v)), uint(0)
		for s := e.half; s > 0; s >>= 1 {
			n += s & uint((int64(e.cuts[(n+s-1)&255])-key)>>63)
		}
		dst[i] = known(n, v)
	}
}

// known is the code of a value with n thresholds below it.
func known(n uint, v float32) uint8 {
	if v != v {
		return 0
	}
	return uint8(n + 1)
}
