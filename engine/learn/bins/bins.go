// Package bins turns a matrix into small codes, which is what tree learners train on. A numeric column is cut into at
// most 255 parts at float32 thresholds, a categorical one keeps its most frequent categories; sparse columns that are
// never set in the same row can share one byte of a row. It owns the codes and their meaning; it must never know labels,
// gradients or trees.
package bins

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	// Most is the most codes of a column besides code 0 for missing, so that a code fits a byte.
	Most = 255
	// sampleRows is the rows that thresholds are chosen from, as in LightGBM (bin_construct_sample_cnt).
	sampleRows = 200_000
	// together is the columns that are gathered in one pass over the rows: a cache line of them.
	together = 16
)

// Set is a matrix as codes. Columns that hold one value only are left out, for no tree could split on them.
//
// Codes live in slots, one byte each per row. Most slots hold one column, whose codes they are. A bundle holds several
// columns that are never away from their most frequent code in the same row (exclusive feature bundling, Ke et al.,
// "LightGBM", NIPS 2017, without the conflicts allowed there, so that nothing is lost): slot code 0 says that all of them
// have that code, and every other slot code belongs to one column.
type Set struct {
	Rows    int
	Columns []Column
	Slots   []Slot
	Cells   int // of a histogram that has one cell per slot and code

	// Records is Rows records of Stride bytes: the slots' codes, padded with zeros to Width, a multiple of four, then
	// what Options.Room asked for. Nil without Options.Records.
	Records       []uint8
	Width, Stride int
	// Codes is the same by slot.
	Codes [][]uint8
}

// Slot is one byte of a record.
type Slot struct {
	Offset int // of its first cell in a histogram
	Codes  int // in use, counted from 0
}

// Column is how one column is coded.
//
// Code 0 is missing (NaN). In a numeric column a value x has code 1 + the number of thresholds below x, so that
// code <= k+1 exactly when x <= Thresholds[k], in float32. In a categorical column category Categories[k] has code k+1,
// in descending order of frequency, and with Others one more code stands for every other category, seen or not.
type Column struct {
	Source     int // column of the matrix
	Thresholds []float32
	Categories []int32 // nil in a numeric column
	Others     bool
	Low, High  float32 // smallest and largest value of the sample, numeric columns only

	Slot int
	// Place is, in a bundle, the slot code of each code of the column; that of Default, and of codes that do not occur,
	// is 0. Nil when the slot holds this column alone.
	Place   []uint8
	Default uint8

	common  int  // rows of the sample that have code Default
	missing bool // some rows have code 0; exact when all values of the sample are equal, and in bundles
}

// Categorical reports whether the column holds categories.
func (c *Column) Categorical() bool { return c.Categories != nil }

// Count is the number of codes, missing included.
func (c *Column) Count() int {
	if !c.Categorical() {
		return len(c.Thresholds) + 2
	}
	n := len(c.Categories) + 1
	if c.Others {
		n++
	}
	return n
}

// At is the code of the column for a slot code.
func (c *Column) At(slot uint8) uint8 {
	if c.Place == nil {
		return slot
	}
	for code, p := range c.Place {
		if p == slot && p != 0 {
			return uint8(code)
		}
	}
	return c.Default
}

// Options say how a set is made.
type Options struct {
	Bins    int  // most codes of a numeric column besides missing: 2 to Most
	Workers int  // goroutines; never changes the result
	Bundle  bool // let exclusive columns share slots
	Records bool
	Room    int // bytes at the end of each record, a multiple of 4
}

// Make codes a matrix. Columns with Levels are categorical.
func Make(x *table.Matrix, o Options) *Set {
	rows := sample(x.Rows)
	all := make([]Column, x.Cols)
	workers := shard.Workers(o.Workers)
	buffers := make([]*buffer, workers)
	shard.Run(workers, shard.Blocks(x.Cols, together), func(w, b int) {
		if buffers[w] == nil {
			buffers[w] = newBuffer(len(rows), min(together, x.Cols))
		}
		lo, hi := shard.Bounds(b, x.Cols, together)
		keys := buffers[w].gather(x, rows, lo, hi)
		for f := lo; f < hi; f++ {
			if n := levels(x, f); n > 0 {
				all[f] = categories(x, f, n)
				continue
			}
			all[f] = numeric(x, f, keys[f-lo], buffers[w].spare, len(rows), o.Bins)
		}
	})
	d := &Set{Rows: x.Rows}
	for f := range all {
		all[f].Source = f
		if codes := all[f].Count(); codes > 2 || codes == 2 && all[f].missing {
			d.Columns = append(d.Columns, all[f])
		}
	}
	var bundles [][]int
	if o.Bundle {
		bundles = bundle(x, rows, d.Columns, workers)
	}
	d.place(bundles)
	d.encode(x, o)
	return d
}

// place gives every column its slot: bundles stand where their first column would.
func (d *Set) place(bundles [][]int) {
	of := make([][]int, len(d.Columns))
	follows := make([]bool, len(d.Columns))
	for _, b := range bundles {
		of[b[0]] = b
		for _, c := range b[1:] {
			follows[c] = true
		}
	}
	for i := range d.Columns {
		if follows[i] {
			continue
		}
		codes := d.Columns[i].Count()
		if of[i] != nil {
			codes = 1
			for _, c := range of[i] {
				col := &d.Columns[c]
				col.Slot = len(d.Slots)
				col.Place = make([]uint8, col.Count())
				for k := range col.Place {
					if k != int(col.Default) && (k > 0 || col.missing) {
						col.Place[k] = uint8(codes)
						codes++
					}
				}
			}
		}
		d.Columns[i].Slot = len(d.Slots)
		d.Slots = append(d.Slots, Slot{Offset: d.Cells, Codes: codes})
		d.Cells += codes
	}
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
		rows[i] = lo + int(Mix(0x62696e73, uint64(i), 0)%uint64(hi-lo))
	}
	return rows
}

// buffer is one worker's memory for the keys of the columns at hand.
type buffer struct {
	keys  [][]uint32
	spare []uint32
}

func newBuffer(rows, columns int) *buffer {
	b := &buffer{spare: make([]uint32, rows)}
	for range columns {
		b.keys = append(b.keys, make([]uint32, rows))
	}
	return b
}

// gather is the keys of the values that columns lo to hi have in the rows, without the missing ones.
func (b *buffer) gather(x *table.Matrix, rows []int, lo, hi int) [][]uint32 {
	var n [together]int
	keys := b.keys[:hi-lo]
	for _, i := range rows {
		for j, v := range x.Data[i*x.Cols+lo : i*x.Cols+hi] {
			// Written over by the next value when this one is missing.
			keys[j][n[j&(together-1)]] = ordered(v)
			if v == v {
				n[j&(together-1)]++
			}
		}
	}
	out := make([][]uint32, len(keys))
	for j := range out {
		out[j] = keys[j][:n[j]]
	}
	return out
}

// numeric cuts column f, given the keys of the n rows of the sample that have a value.
func numeric(x *table.Matrix, f int, keys, spare []uint32, n, bins int) Column {
	known := len(keys)
	distinct, counts := runs(keys, spare[:known])
	c := Column{Thresholds: thresholds(distinct, counts, known, bins), missing: known > 0 && known < n}
	if known > 0 {
		c.Low, c.High = distinct[0], distinct[len(distinct)-1]
	}
	// The most frequent code.
	c.Default, c.common = 0, n-known
	at, inBin := 0, 0
	for i, v := range distinct {
		if at < len(c.Thresholds) && v > c.Thresholds[at] {
			at, inBin = at+1, 0
		}
		if inBin += counts[i]; inBin > c.common {
			c.Default, c.common = uint8(at+1), inBin
		}
	}
	if !c.missing && known > 0 && n < x.Rows && (len(distinct) == 1 || sparse(&c, n)) {
		c.missing = hasNaN(x, f)
	}
	return c
}

func hasNaN(x *table.Matrix, f int) bool {
	for i := f; i < len(x.Data); i += x.Cols {
		if x.Data[i] != x.Data[i] {
			return true
		}
	}
	return false
}

// Mix is a hash of three numbers: SplitMix64's finaliser (Steele, Lea and Flood 2014) over their combination.
func Mix(a, b, c uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1) + 0xd1b54a32d192ed03*(c+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

var inf = float32(math.Inf(1))
