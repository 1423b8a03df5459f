// Package gemm multiplies dense float32 matrices. It owns the blocking and the kernels; it must never know what the
// matrices mean. Every element of a product is the sum of its terms in their order, each product added with a single
// rounding (fused), so that the result has the same bits on every processor, with vector instructions and without, and
// for any number of workers.
package gemm

import (
	"unsafe"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// Matrix is a view of numbers: element (i, j) is Data[i*Row+j*Column]. A transposed matrix is the same view with rows
// and columns exchanged; a view whose steps are zero repeats one number.
type Matrix struct {
	Rows, Columns int
	Row, Column   int // how far apart neighbours are
	Data          []float32
}

// Dense is a row-major view of rows x columns numbers.
func Dense(rows, columns int, data []float32) Matrix {
	return Matrix{Rows: rows, Columns: columns, Row: columns, Column: 1, Data: data[:rows*columns]}
}

// Ones is a matrix of ones: its product with a matrix of one row per column is the sums of that matrix's columns.
func Ones(rows, columns int) Matrix { return Matrix{Rows: rows, Columns: columns, Data: one} }

var one = []float32{1}

// T is the transposed view.
func (m Matrix) T() Matrix {
	return Matrix{Rows: m.Columns, Columns: m.Rows, Row: m.Column, Column: m.Row, Data: m.Data}
}

// The tile that a kernel computes at a time: 12 vectors of sums, enough to hide the latency of a fused operation.
const (
	tileRows    = 6
	tileColumns = 16
)

// The pieces that stay in caches: depth x tileColumns of b in the first while the rows of a piece pass, and highest x
// depth of a in the second while the columns pass.
const (
	depth   = 256
	highest = 16 * tileRows
)

// Multiplier keeps the memory of products. It must not be used by two goroutines at once.
type Multiplier struct {
	packed []float32
	spare  []spare // per worker
}

// spare is a worker's memory.
type spare struct {
	packed []float32 // rows of a, tile by tile, the tile's rows side by side
	tile   [tileRows * tileColumns]float32
}

// parallelWork is the least multiplications worth a second goroutine.
const parallelWork = 1 << 18

// Multiply sets the row-major dst, a.Rows x b.Columns, to a times b. It panics when the shapes do not go together.
func (m *Multiplier) Multiply(dst []float32, a, b Matrix, workers int) {
	rows, inner, columns := a.Rows, a.Columns, b.Columns
	if inner != b.Rows || len(dst) < rows*columns {
		panic("gemm: the shapes do not go together")
	}
	if rows == 0 || columns == 0 {
		return
	}
	if inner == 0 {
		clear(dst[:rows*columns])
		return
	}
	if rows < tileRows && b.Column == 1 { // packing would cost more than it saves
		few(dst, a, b)
		return
	}
	if columns == 1 && a.Row == 1 { // the same, seen from the side
		few(dst, b.T(), a.T())
		return
	}
	if rows*columns*inner < 2*parallelWork {
		workers = 1
	}
	workers = max(workers, 1)
	if len(m.spare) < workers {
		m.spare = append(m.spare, make([]spare, workers-len(m.spare))...)
	}
	panels := (columns + tileColumns - 1) / tileColumns
	if need := panels * tileColumns * min(inner, depth); cap(m.packed) < need {
		m.packed = make([]float32, need)
	}
	for from := 0; from < inner; from += depth {
		deep := min(depth, inner-from)
		left, right := a.part(0, rows, from, deep), b.part(from, deep, 0, columns)
		packed := m.packed[:panels*tileColumns*deep]
		shard.Run(workers, panels, func(_, p int) {
			pack(packed[p*tileColumns*deep:(p+1)*tileColumns*deep], right, p*tileColumns)
		})
		shard.Run(workers, shard.Blocks(rows, highest), func(w, block int) {
			lo, hi := shard.Bounds(block, rows, highest)
			m.spare[w].block(dst[lo*columns:hi*columns], left.part(lo, hi-lo, 0, deep), packed, columns, from > 0)
		})
	}
}

// part is the view of some rows and columns.
func (m Matrix) part(row, rows, column, columns int) Matrix {
	return Matrix{Rows: rows, Columns: columns, Row: m.Row, Column: m.Column, Data: m.Data[row*m.Row+column*m.Column:]}
}

// block sets at most highest rows of dst to a times the packed panels, or adds it with more.
func (s *spare) block(dst []float32, a Matrix, packed []float32, columns int, more bool) {
	deep := a.Columns
	if s.packed == nil {
		s.packed = make([]float32, highest*depth)
	}
	tiles := (a.Rows + tileRows - 1) / tileRows
	direct := 0 // tiles that are read where they are
	if a.Column == 1 {
		direct = a.Rows / tileRows
	}
	if direct < tiles {
		s.pack(a, direct*tileRows)
	}
	for p := range (columns + tileColumns - 1) / tileColumns {
		panel := packed[p*tileColumns*deep : (p+1)*tileColumns*deep]
		j := p * tileColumns
		wide := min(tileColumns, columns-j)
		for i := range tiles {
			rows := a
			if i < direct {
				rows.Data = a.Data[i*tileRows*a.Row:]
			} else {
				rows.Row, rows.Column, rows.Data = 1, tileRows, s.packed[(i-direct)*tileRows*deep:]
			}
			high := min(tileRows, a.Rows-i*tileRows)
			out := dst[i*tileRows*columns+j:]
			if high == tileRows && wide == tileColumns {
				tile(rows, panel, out, columns, more)
				continue
			}
			if more {
				for r := range high {
					copy(s.tile[r*tileColumns:], out[r*columns:r*columns+wide])
				}
			}
			tile(rows, panel, s.tile[:], tileColumns, more)
			for r := range high {
				copy(out[r*columns:r*columns+wide], s.tile[r*tileColumns:])
			}
		}
	}
}

// pack copies the rows of a from the first on, the numbers of a tile's rows side by side, with zeros past the last row.
func (s *spare) pack(a Matrix, first int) {
	deep := a.Columns
	for i := first; i < a.Rows; i += tileRows {
		if a.Rows-i < tileRows {
			clear(s.packed[(i-first)*deep : (i-first+tileRows)*deep])
		}
	}
	for k := range deep {
		at := k * tileRows
		i := first
		if a.Row == 1 {
			for from := a.Data[k*a.Column+first:]; i+tileRows <= a.Rows; i += tileRows {
				*(*[tileRows]float32)(s.packed[at:]) = *(*[tileRows]float32)(from)
				from = from[tileRows:]
				at += tileRows * deep
			}
		}
		for ; i < a.Rows; i += tileRows {
			for r := range min(tileRows, a.Rows-i) {
				s.packed[at+r] = a.Data[(i+r)*a.Row+k*a.Column]
			}
			at += tileRows * deep
		}
	}
}

// pack copies tileColumns columns of b from column j, row by row, with zeros past the last.
func pack(dst []float32, b Matrix, j int) {
	wide := min(tileColumns, b.Columns-j)
	if wide < tileColumns {
		clear(dst)
	}
	if b.Column == 1 {
		if wide == tileColumns {
			for k := range b.Rows {
				*(*[tileColumns]float32)(dst[k*tileColumns:]) = *(*[tileColumns]float32)(b.Data[k*b.Row+j:])
			}
			return
		}
		for k := range b.Rows {
			copy(dst[k*tileColumns:k*tileColumns+wide], b.Data[k*b.Row+j:k*b.Row+j+wide])
		}
		return
	}
	c := 0
	if even := b.Rows &^ 7; vector && b.Row == 1 && even > 0 {
		for ; c+8 <= wide; c += 8 {
			from := b.Data[(j+c)*b.Column:]
			_ = from[7*b.Column+even-1]
			transpose8(even/8, unsafe.Pointer(&from[0]), uintptr(b.Column)*4, unsafe.Pointer(&dst[c]), tileColumns*4)
			for r := range 8 {
				for k := even; k < b.Rows; k++ {
					dst[k*tileColumns+c+r] = from[r*b.Column+k]
				}
			}
		}
	}
	for ; c < wide; c++ {
		from := b.Data[(j+c)*b.Column:]
		for k := range b.Rows {
			dst[k*tileColumns+c] = from[k*b.Row]
		}
	}
}

// tile sets tileRows rows of dst, stride apart, to the rows of a times the panel, or adds it with more.
func tile(a Matrix, panel, dst []float32, stride int, more bool) {
	if vector {
		kernel6x16(a.Columns, unsafe.Pointer(&a.Data[0]), uintptr(a.Row)*4, uintptr(a.Column)*4,
			unsafe.Pointer(&panel[0]), unsafe.Pointer(&dst[0]), uintptr(stride)*4, more)
		return
	}
	plain(a, panel, dst, stride, more)
}

// plain is the definition of a tile.
func plain(a Matrix, panel, dst []float32, stride int, more bool) {
	for r := range tileRows {
		out := (*[tileColumns]float32)(dst[r*stride:])
		var sum [tileColumns]float32
		if more {
			sum = *out
		}
		row := a.Data[r*a.Row:]
		for k := range a.Columns {
			v := row[k*a.Column]
			b := (*[tileColumns]float32)(panel[k*tileColumns:])
			for c := range sum {
				sum[c] = fused(v, b[c], sum[c])
			}
		}
		*out = sum
	}
}

// few multiplies a few rows by a matrix whose rows lie together, without packing.
func few(dst []float32, a, b Matrix) {
	for i := range a.Rows {
		out := dst[i*b.Columns : (i+1)*b.Columns]
		from := a.Data[i*a.Row:]
		if vector {
			_, _ = from[(a.Columns-1)*a.Column], b.Data[(b.Rows-1)*b.Row+b.Columns-1]
			kernelRow(a.Columns, unsafe.Pointer(&from[0]), uintptr(a.Column)*4, unsafe.Pointer(&b.Data[0]), uintptr(b.Row)*4, unsafe.Pointer(&out[0]), b.Columns)
			continue
		}
		plainRow(out, from, a.Column, b)
	}
}

// plainRow is the definition of a row: out is the numbers of a, step apart, times b.
func plainRow(out, a []float32, step int, b Matrix) {
	clear(out)
	for k := range b.Rows {
		v := a[k*step]
		for j, w := range b.Data[k*b.Row : k*b.Row+b.Columns] {
			out[j] = fused(v, w, out[j])
		}
	}
}
