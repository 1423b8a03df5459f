package graph

import "github.com/trimtab-ml/trimtab/internal/fault"

var linear = map[string]operator{
	"MatMul": {run: func(_ *node, _ int64, in []*Tensor) ([]*Tensor, error) {
		if err := need(in, 2); err != nil {
			return nil, err
		}
		return one(product(in[0], in[1], false, false))
	}},
	"Gemm": {run: gemm},
}

// product multiplies two matrices; a vector on either side is a matrix of one row or one column.
func product(a, b *Tensor, turnA, turnB bool) (*Tensor, error) {
	if len(a.Shape) > 2 || len(b.Shape) > 2 || len(a.Shape) == 0 || len(b.Shape) == 0 {
		return nil, fault.New(fault.FormatNotServed, "it multiplies tensors of %d and %d dimensions", len(a.Shape), len(b.Shape))
	}
	m, k := a.rows(), a.cols()
	kb, n := b.Shape[0], b.len()/max(1, b.Shape[0])
	if turnA {
		m, k = k, m
	}
	if turnB {
		kb, n = n, kb
	}
	if k != kb {
		return nil, fault.New(fault.Invalid, "matrices of %v and %v cannot be multiplied", a.Shape, b.Shape)
	}
	shape := []int{}
	if len(a.Shape) == 2 {
		shape = append(shape, m)
	}
	if len(b.Shape) == 2 {
		shape = append(shape, n)
	}
	x, okX := a.Data.([]float32)
	y, okY := b.Data.([]float32)
	if okX && okY {
		return New(multiply(x, y, m, k, n, turnA, turnB), shape...), nil
	}
	dx, err := a.Float64s()
	if err != nil {
		return nil, err
	}
	dy, err := b.Float64s()
	if err != nil {
		return nil, err
	}
	return like(a, multiply(dx, dy, m, k, n, turnA, turnB), shape)
}

func multiply[T number](x, y []T, m, k, n int, turnX, turnY bool) []T {
	out := make([]T, m*n)
	for i := range m {
		row := out[i*n : (i+1)*n]
		for p := range k {
			v := x[i*k+p]
			if turnX {
				v = x[p*m+i]
			}
			if v == 0 {
				continue
			}
			for j := range n {
				if turnY {
					row[j] += v * y[j*k+p]
				} else {
					row[j] += v * y[p*n+j]
				}
			}
		}
	}
	return out
}

func gemm(n *node, _ int64, in []*Tensor) ([]*Tensor, error) {
	if err := need(in, 2); err != nil {
		return nil, err
	}
	out, err := product(in[0], in[1], n.attr.Int("transA", 0) != 0, n.attr.Int("transB", 0) != 0)
	if err != nil {
		return nil, err
	}
	scale := func(t *Tensor, by float32) (*Tensor, error) {
		if by == 1 {
			return t, nil
		}
		return first(unary(func(v float64) float64 { return v * float64(by) }).run(nil, 0, []*Tensor{t}))
	}
	if out, err = scale(out, n.attr.Float("alpha", 1)); err != nil {
		return nil, err
	}
	if len(in) < 3 || in[2] == nil {
		return one(out, nil)
	}
	c, err := scale(in[2], n.attr.Float("beta", 1))
	if err != nil {
		return nil, err
	}
	return one(pair(out, c, func(a, b float64) float64 { return a + b }, func(a, b float32) float32 { return a + b }, func(a, b int64) int64 { return a + b }))
}

func first(out []*Tensor, err error) (*Tensor, error) {
	if err != nil {
		return nil, err
	}
	return out[0], nil
}
