package graph

import (
	"slices"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/learn/gemm"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var products = map[string]operator{
	"MatMul": {run: halves(matMul)},
	"Gemm":   {run: halves(gemms)},
	"Einsum": {prepare: func(n *node) any { return newEinsum(n.attr.Text("equation")) }, run: halves(einsum)},
	"Det":    {run: halves(determinant)},
}

var multipliers = sync.Pool{New: func() any { return &gemm.Multiplier{} }}

// multiply sets dst, rows x columns, to a times b.
func multiply(dst []float32, a, b gemm.Matrix) {
	m := multipliers.Get().(*gemm.Multiplier)
	m.Multiply(dst, a, b, 1)
	multipliers.Put(m)
}

// multiplyAny is the same for other numbers; steps say how far apart rows and columns are.
func multiplyAny[T number](dst, a, b []T, rows, inner, columns, aRow, aColumn, bRow, bColumn int) {
	clear(dst[:rows*columns])
	for i := range rows {
		row := dst[i*columns : (i+1)*columns]
		for k := range inner {
			v := a[i*aRow+k*aColumn]
			for j := range row {
				row[j] += v * b[k*bRow+j*bColumn]
			}
		}
	}
}

func matMul(c *call) {
	a, b := c.arg(0), c.arg(1)
	if len(a.Shape) == 0 || len(b.Shape) == 0 {
		throw(fault.Invalid, "a single number is multiplied as a matrix")
	}
	as, bs := a.Shape, b.Shape
	if len(as) == 1 {
		as = []int{1, as[0]}
	}
	if len(bs) == 1 {
		bs = []int{bs[0], 1}
	}
	m, inner, n := as[len(as)-2], as[len(as)-1], bs[len(bs)-1]
	if inner != bs[len(bs)-2] {
		throw(fault.Invalid, "matrices of %v and %v cannot be multiplied", slices.Clone(a.Shape), slices.Clone(b.Shape))
	}
	if len(as) == 2 && len(bs) == 2 { // the common case, without allocating
		switch {
		case len(a.Shape) == 2 && len(b.Shape) == 2:
			multiplied(c, a, b, m, inner, n, m, n)
		case len(a.Shape) == 2:
			multiplied(c, a, b, m, inner, n, m)
		case len(b.Shape) == 2:
			multiplied(c, a, b, m, inner, n, n)
		default:
			multiplied(c, a, b, m, inner, n)
		}
		return
	}
	batch, s := spreadOver(as[:len(as)-2], bs[:len(bs)-2])
	shape := slices.Clone(batch)
	if len(a.Shape) > 1 {
		shape = append(shape, m)
	}
	if len(b.Shape) > 1 {
		shape = append(shape, n)
	}
	c.work(size(batch), m, inner, n)
	switch x := a.Data.(type) {
	case []float32:
		y, out := other(b, x), alloc[float32](c, 0, shape...)
		s.pairs(func(at, p, q int) {
			multiply(out[at*m*n:(at+1)*m*n], gemm.Dense(m, inner, x[p*m*inner:]), gemm.Dense(inner, n, y[q*inner*n:]))
		})
	case []float64:
		batched(c, &s, x, b, m, inner, n, shape)
	case []int64:
		batched(c, &s, x, b, m, inner, n, shape)
	case []int32:
		batched(c, &s, x, b, m, inner, n, shape)
	case []uint64:
		batched(c, &s, x, b, m, inner, n, shape)
	case []uint32:
		batched(c, &s, x, b, m, inner, n, shape)
	default:
		wrongType(a)
	}
}

// pairs calls f with every place and those of two operands.
func (s *spread) pairs(f func(at, p, q int)) {
	s.runs(func(at, n int, from, steps []int) {
		for i := range n {
			f(at+i, from[0]+i*steps[0], from[1]+i*steps[1])
		}
	})
}

func batched[T number](c *call, s *spread, x []T, b *Tensor, m, inner, n int, shape []int) {
	y := other(b, x)
	out := c.made(0, b.Type(), shape...).Data.([]T)
	s.pairs(func(at, p, q int) {
		multiplyAny(out[at*m*n:(at+1)*m*n], x[p*m*inner:], y[q*inner*n:], m, inner, n, inner, 1, n, 1)
	})
}

func multiplied(c *call, a, b *Tensor, m, inner, n int, shape ...int) {
	c.work(m, inner, n)
	switch x := a.Data.(type) {
	case []float32:
		y := other(b, x)
		multiply(alloc[float32](c, 0, shape...), gemm.Dense(m, inner, x), gemm.Dense(inner, n, y))
	case []float64:
		y := other(b, x)
		multiplyAny(alloc[float64](c, 0, shape...), x, y, m, inner, n, inner, 1, n, 1)
	case []int64:
		y := other(b, x)
		multiplyAny(alloc[int64](c, 0, shape...), x, y, m, inner, n, inner, 1, n, 1)
	case []int32:
		y := other(b, x)
		multiplyAny(alloc[int32](c, 0, shape...), x, y, m, inner, n, inner, 1, n, 1)
	case []uint64:
		y := other(b, x)
		multiplyAny(c.made(0, tensor.Uint64, shape...).Data.([]uint64), x, y, m, inner, n, inner, 1, n, 1)
	case []uint32:
		y := other(b, x)
		multiplyAny(c.made(0, tensor.Uint32, shape...).Data.([]uint32), x, y, m, inner, n, inner, 1, n, 1)
	default:
		wrongType(a)
	}
}

// gemms is alpha A B + beta C, with A and B turned on request.
func gemms(c *call) {
	a, b, add := c.arg(0), c.arg(1), c.opt(2)
	if len(a.Shape) != 2 || len(b.Shape) != 2 {
		throw(fault.Invalid, "matrices of %v and %v cannot be multiplied", slices.Clone(a.Shape), slices.Clone(b.Shape))
	}
	m, inner, aRow, aColumn := a.Shape[0], a.Shape[1], a.Shape[1], 1
	if c.attr.Int("transA", 0) != 0 {
		m, inner, aRow, aColumn = inner, m, 1, aRow
	}
	deep, n, bRow, bColumn := b.Shape[0], b.Shape[1], b.Shape[1], 1
	if c.attr.Int("transB", 0) != 0 {
		deep, n, bRow, bColumn = n, deep, 1, bRow
	}
	if inner != deep {
		throw(fault.Invalid, "matrices of %v and %v cannot be multiplied", slices.Clone(a.Shape), slices.Clone(b.Shape))
	}
	c.work(m, inner, n)
	alpha, beta := c.attr.Float("alpha", 1), c.attr.Float("beta", 1)
	switch x := a.Data.(type) {
	case []float32:
		out := alloc[float32](c, 0, m, n)
		multiply(out, gemm.Matrix{Rows: m, Columns: inner, Row: aRow, Column: aColumn, Data: x},
			gemm.Matrix{Rows: inner, Columns: n, Row: bRow, Column: bColumn, Data: other(b, x)})
		finish(out, m, n, alpha, beta, add, x)
	case []float64:
		out := alloc[float64](c, 0, m, n)
		multiplyAny(out, x, other(b, x), m, inner, n, aRow, aColumn, bRow, bColumn)
		finish(out, m, n, float64(alpha), float64(beta), add, x)
	case []int64:
		out := alloc[int64](c, 0, m, n)
		multiplyAny(out, x, other(b, x), m, inner, n, aRow, aColumn, bRow, bColumn)
		finish(out, m, n, int64(alpha), int64(beta), add, x)
	case []int32:
		out := alloc[int32](c, 0, m, n)
		multiplyAny(out, x, other(b, x), m, inner, n, aRow, aColumn, bRow, bColumn)
		finish(out, m, n, int32(alpha), int32(beta), add, x)
	default:
		wrongType(a)
	}
}

func finish[T number](out []T, m, n int, alpha, beta T, add *Tensor, x []T) {
	if alpha != 1 {
		for i := range out {
			out[i] *= alpha
		}
	}
	if add == nil || beta == 0 {
		return
	}
	z := other(add, x)
	// The rows' and columns' steps of what is added.
	down, along := 0, 0
	switch shape := add.Shape; {
	case len(shape) == 0 || len(z) == 1:
	case len(shape) == 1 && shape[0] == n:
		along = 1
	case len(shape) == 2 && (shape[0] == m || shape[0] == 1) && (shape[1] == n || shape[1] == 1):
		if shape[1] > 1 {
			along = 1
		}
		if shape[0] > 1 {
			down = shape[1]
		}
	default:
		throw(fault.Invalid, "%v is added to a matrix of %d x %d", slices.Clone(shape), m, n)
	}
	for i := range m {
		row := out[i*n : (i+1)*n]
		for j := range row {
			row[j] += beta * z[i*down+j*along]
		}
	}
}

// determinant is that of the last two dimensions, by elimination with the greatest pivot.
func determinant(c *call) {
	t := c.arg(0)
	rank := len(t.Shape)
	if rank < 2 || t.Shape[rank-1] != t.Shape[rank-2] {
		throw(fault.Invalid, "the determinant of %v", slices.Clone(t.Shape))
	}
	n := t.Shape[rank-1]
	c.work(t.Len(), n)
	values := slices.Clone(as[float64](t))
	out := make([]float64, size(t.Shape[:rank-2]))
	for i := range out {
		out[i] = eliminate(values[i*n*n:(i+1)*n*n], nil, n, 0)
	}
	c.like(0, t, out, t.Shape[:rank-2]...)
}

// eliminate brings the n x n matrix a to upper triangular form, does the same to b of n x m, and gives a's determinant.
func eliminate(a, b []float64, n, m int) float64 {
	det := 1.0
	for k := range n {
		best := k
		for i := k + 1; i < n; i++ {
			if abs(a[i*n+k]) > abs(a[best*n+k]) {
				best = i
			}
		}
		if a[best*n+k] == 0 {
			return 0
		}
		if best != k {
			det = -det
			swap(a[k*n:(k+1)*n], a[best*n:(best+1)*n])
			swap(b[k*m:(k+1)*m], b[best*m:(best+1)*m])
		}
		det *= a[k*n+k]
		for i := k + 1; i < n; i++ {
			f := a[i*n+k] / a[k*n+k]
			if f == 0 {
				continue
			}
			for j := k; j < n; j++ {
				a[i*n+j] -= f * a[k*n+j]
			}
			for j := range m {
				b[i*m+j] -= f * b[k*m+j]
			}
		}
	}
	return det
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

func swap(a, b []float64) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}
