// Package gemm multiplies dense float32 matrices. It owns the blocking and the kernels; it must never know what the
// matrices mean. Every element of a product is the sum of its terms in their order, each product rounded before it is
// added, so that the result has the same bits on every processor, with vector instructions and without, and for any
// number of workers.
package gemm

import (
	"unsafe"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// Matrix is a view of numbers: element (i, j) is Data[i*Row+j*Column]. A transposed matrix is the same view with rows
// and columns exchanged.
type Matrix struct {
	Rows, Columns int
	Row, Column   int // how far apart neighbours are
	Data          []float32
}

// Dense is a row-major view of rows x columns numbers.
func Dense(rows, columns int, data []float32) Matrix {
	return Matrix{Rows: rows, Columns: columns, Row: columns, Column: 1, Data: data[:rows*columns]}
}

// T is the transposed view.
func (m Matrix) T() Matrix {
	return Matrix{Rows: m.Columns, Columns: m.Rows, Row: m.Column, Column: m.Row, Data: m.Data}
}

// The tile that a kernel computes at a time.
const (
	tileRows    = 6
	tileColumns = 16
)

// Multiplier keeps the memory of products. It must not be used by two goroutines at once.
type Multiplier struct {
	packed []float32
	spare  [][tileRows * tileColumns]float32 // per worker
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
	if rows*columns*inner < 2*parallelWork {
		workers = 1
	}
	workers = max(workers, 1)
	if len(m.spare) < workers {
		m.spare = make([][tileRows * tileColumns]float32, workers)
	}
	panels := (columns + tileColumns - 1) / tileColumns
	if need := panels * tileColumns * inner; cap(m.packed) < need {
		m.packed = make([]float32, need)
	}
	packed := m.packed[:panels*tileColumns*inner]
	shard.Run(workers, panels, func(_, p int) {
		pack(packed[p*tileColumns*inner:(p+1)*tileColumns*inner], b, p*tileColumns)
	})
	// Rows in blocks whose part of a stays in the second cache while all panels pass.
	const rowBlock = 16 * tileRows
	blocks := (rows + rowBlock - 1) / rowBlock
	shard.Run(workers, blocks, func(w, block int) {
		spare := m.spare[w][:]
		for p := range panels {
			panel := packed[p*tileColumns*inner : (p+1)*tileColumns*inner]
			j := p * tileColumns
			wide := min(tileColumns, columns-j)
			for i := block * rowBlock; i < min((block+1)*rowBlock, rows); i += tileRows {
				high := min(tileRows, rows-i)
				if high == tileRows && wide == tileColumns {
					tile(inner, a, i, high, panel, dst[i*columns+j:], columns)
					continue
				}
				// The last rows are computed as part of the six that end with them.
				first := i
				if vector && rows >= tileRows {
					first = min(i, rows-tileRows)
				}
				tile(inner, a, first, i+high-first, panel, spare, tileColumns)
				for r := range high {
					copy(dst[(i+r)*columns+j:(i+r)*columns+j+wide], spare[(i-first+r)*tileColumns:])
				}
			}
		}
	})
}

// few multiplies a few rows without packing.
func few(dst []float32, a, b Matrix) {
	columns := b.Columns
	for i := range a.Rows {
		out := dst[i*columns : (i+1)*columns]
		clear(out)
		for k := range a.Columns {
			v := a.Data[i*a.Row+k*a.Column]
			for j, w := range b.Data[k*b.Row : k*b.Row+columns] {
				out[j] += float32(v * w)
			}
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
		for k := range b.Rows {
			copy(dst[k*tileColumns:k*tileColumns+wide], b.Data[k*b.Row+j:k*b.Row+j+wide])
		}
		return
	}
	for c := range wide {
		from := b.Data[(j+c)*b.Column:]
		for k := range b.Rows {
			dst[k*tileColumns+c] = from[k*b.Row]
		}
	}
}

// tile sets high rows of dst to rows i on of a times the panel.
func tile(inner int, a Matrix, i, high int, panel, dst []float32, stride int) {
	if vector && high == tileRows {
		kernel6x16(inner, unsafe.Pointer(&a.Data[i*a.Row]), uintptr(a.Row)*4, uintptr(a.Column)*4,
			unsafe.Pointer(&panel[0]), unsafe.Pointer(&dst[0]), uintptr(stride)*4)
		return
	}
	plain(inner, a, i, high, panel, dst, stride)
}

// plain is the definition of a tile.
func plain(inner int, a Matrix, i, high int, panel, dst []float32, stride int) {
	for r := range high {
		var sum [tileColumns]float32
		row := a.Data[(i+r)*a.Row:]
		for k := range inner {
			v := row[k*a.Column]
			b := panel[k*tileColumns : (k+1)*tileColumns]
			for c := range sum {
				sum[c] += float32(v * b[c])
			}
		}
		copy(dst[r*stride:r*stride+tileColumns], sum[:])
	}
}
