package gbdt

import (
	"math"
	"sort"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	maxBins    = 255     // value bins of a column; with code 0 for missing, a code fits a byte
	sampleRows = 200_000 // rows that thresholds are chosen from, as in LightGBM (bin_construct_sample_cnt)
	binBlock   = 512     // rows coded at a time, so that their values stay in the first cache
)

// binned is a matrix as codes. Column c of the codes is column columns[c].source of the matrix; columns that hold one
// value only are left out, for no tree could split on them.
type binned struct {
	rows    int
	columns []column
	stride  int     // bytes of a row in byRow: the columns, rounded up to whole groups of four
	byRow   []uint8 // rows x stride
	byCol   [][]uint8
	cells   int // of a compact histogram
}

// column is how one column is cut. Code 0 is missing (NaN); a value x has code 1 + the number of thresholds below x,
// so that code <= k+1 exactly when x <= thresholds[k], in float32.
type column struct {
	source     int
	thresholds []float32
	offset     int // of the column's first cell in a compact histogram
}

// codes is the number of codes in use: missing, and one more than the thresholds.
func (c *column) codes() int { return len(c.thresholds) + 2 }

// bin cuts every column of x into at most bins parts.
func bin(x *table.Matrix, bins, workers int) *binned {
	rows := sample(x.Rows)
	cuts := make([][]float32, x.Cols)
	missing := make([]bool, x.Cols) // some values are there and some are not
	shard.Run(workers, x.Cols, func(_, f int) {
		keys := make([]uint32, 0, len(rows))
		for _, i := range rows {
			if v := x.Data[i*x.Cols+f]; v == v {
				keys = append(keys, ordered(v))
			}
		}
		missing[f] = len(keys) < len(rows)
		if !missing[f] && len(rows) < x.Rows {
			missing[f] = hasNaN(x, f)
		}
		missing[f] = missing[f] && len(keys) > 0
		cuts[f] = thresholds(sortKeys(keys), bins)
	})
	d := &binned{rows: x.Rows}
	for f := range cuts {
		if len(cuts[f]) == 0 && !missing[f] {
			continue
		}
		c := column{source: f, thresholds: cuts[f], offset: d.cells}
		d.cells += c.codes()
		d.columns = append(d.columns, c)
	}
	d.encode(x, workers)
	return d
}

// sample is the rows to choose thresholds from: all of them, or one at random in each of sampleRows equal stretches.
func sample(n int) []int {
	rows := make([]int, min(n, sampleRows))
	if n <= sampleRows {
		for i := range rows {
			rows[i] = i
		}
		return rows
	}
	for i := range rows {
		lo := int(uint64(i) * uint64(n) / sampleRows)
		hi := int(uint64(i+1) * uint64(n) / sampleRows)
		rows[i] = lo + int(mix(0x62696e73, uint64(i), 0)%uint64(hi-lo))
	}
	return rows
}

func hasNaN(x *table.Matrix, f int) bool {
	for i := f; i < len(x.Data); i += x.Cols {
		if x.Data[i] != x.Data[i] {
			return true
		}
	}
	return false
}

// thresholds are the cuts of a column given its sorted keys, ascending and distinct. With few distinct values each gets its own bin; otherwise
// bins hold equal counts, except that a value which alone is more than a bin's share keeps a bin to itself.
func thresholds(keys []uint32, bins int) []float32 {
	distinct, counts := runs(keys)
	if len(distinct) <= 1 {
		return nil
	}
	if len(distinct) <= bins {
		out := make([]float32, 0, len(distinct)-1)
		for i := 1; i < len(distinct); i++ {
			out = append(out, between(distinct[i-1], distinct[i]))
		}
		return out
	}
	// The share is taken anew over what is left after each bin, and over all values that are not large on their own.
	share := float64(len(keys)) / float64(bins)
	large := make([]bool, len(distinct))
	rest, restBins := len(keys), bins
	for i, c := range counts {
		if float64(c) >= share {
			large[i] = true
			rest -= c
			restBins--
		}
	}
	share = float64(rest) / float64(max(restBins, 1))
	out := make([]float32, 0, bins-1)
	inBin := 0
	for i := 0; i < len(distinct)-1 && len(out) < bins-1; i++ {
		if !large[i] {
			rest -= counts[i]
		}
		inBin += counts[i]
		if large[i] || float64(inBin) >= share || (large[i+1] && float64(inBin) >= share/2) {
			out = append(out, between(distinct[i], distinct[i+1]))
			inBin = 0
			if !large[i] {
				restBins--
				share = float64(rest) / float64(max(restBins, 1))
			}
		}
	}
	return out
}

// ordered maps a number to a key that sorts as the number does; -0 and 0 have the same key.
func ordered(v float32) uint32 {
	b := math.Float32bits(v + 0)
	if b>>31 == 1 {
		return ^b
	}
	return b | 1<<31
}

// number is the inverse of ordered.
func number(key uint32) float32 {
	if key>>31 == 1 {
		return math.Float32frombits(key &^ (1 << 31))
	}
	return math.Float32frombits(^key)
}

// sortKeys sorts by radix, eleven bits at a time, and may return other memory than it was given.
func sortKeys(keys []uint32) []uint32 {
	spare := make([]uint32, len(keys))
	for shift := 0; shift < 32; shift += 11 {
		var at [1 << 11]int
		for _, k := range keys {
			at[k>>shift&(1<<11-1)]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, k := range keys {
			d := k >> shift & (1<<11 - 1)
			spare[at[d]] = k
			at[d]++
		}
		keys, spare = spare, keys
	}
	return keys
}

// runs are the distinct numbers of sorted keys and how often each occurs.
func runs(keys []uint32) (distinct []float32, counts []int) {
	for i, k := range keys {
		if i == 0 || k != keys[i-1] {
			distinct = append(distinct, number(k))
			counts = append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	return distinct, counts
}

// between is a float32 t with a <= t < b, the midpoint where float32 has one.
func between(a, b float32) float32 {
	t := float32((float64(a) + float64(b)) / 2)
	if t >= a && t < b {
		return t
	}
	return a
}

// encode fills both forms of the codes.
func (d *binned) encode(x *table.Matrix, workers int) {
	m := len(d.columns)
	d.stride = (m + 3) &^ 3
	d.byRow = make([]uint8, d.rows*d.stride+8)
	all := make([]uint8, d.rows*m)
	d.byCol = make([][]uint8, m)
	padded := make([][256]float32, m)
	for c := range d.columns {
		d.byCol[c] = all[c*d.rows : (c+1)*d.rows : (c+1)*d.rows]
		n := copy(padded[c][:], d.columns[c].thresholds)
		for i := n; i < 256; i++ {
			padded[c][i] = float32(math.Inf(1))
		}
	}
	shard.Run(workers, shard.Blocks(d.rows, binBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, d.rows, binBlock)
		for c := range d.columns {
			col := &d.columns[c]
			encodeColumn(d.byCol[c][lo:hi], x.Data[lo*x.Cols+col.source:], x.Cols, &padded[c], len(col.thresholds))
			at := lo*d.stride + c
			for _, code := range d.byCol[c][lo:hi] {
				d.byRow[at] = code
				at += d.stride
			}
		}
	})
}

// encodeColumn codes one stretch of a column. The search has no branch on the values: cuts is filled up with +Inf,
// which no value exceeds, and the steps are the powers of two that can add up to n.
func encodeColumn(dst []uint8, values []float32, step int, cuts *[256]float32, n int) {
	half := uint(1)
	for 2*half-1 < uint(n) {
		half <<= 1
	}
	at := 0
	for i := range dst {
		v := values[at]
		at += step
		k := uint(0)
		for s := half; s > 0; s >>= 1 {
			next := k
			if cuts[(k+s-1)&255] < v {
				next = k + s
			}
			k = next
		}
		code := uint8(k + 1)
		if v != v {
			code = 0
		}
		dst[i] = code
	}
}

// smallest marks the keep numbers of [0, n) with the smallest hashes.
func smallest(n, keep int, key uint64) []bool {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return mix(key, uint64(order[a]), 0) < mix(key, uint64(order[b]), 0) })
	out := make([]bool, n)
	for _, i := range order[:keep] {
		out[i] = true
	}
	return out
}
