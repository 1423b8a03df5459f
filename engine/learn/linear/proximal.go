package linear

import (
	"context"
	"math"
)

// Sizes up to which matrices of second derivatives are made: one for all outputs together, or one for each.
const (
	jointSize  = 1024
	singleSize = 1024
)

// proximal fits with an L1 penalty by Newton steps on the smooth part, each step minimised together with the penalties
// by coordinate descent and shortened until the objective falls enough (Lee, Sun and Saunders 2014, algorithm 1). A step
// changes all outputs when their matrix is small, else one after the other. It ends when no component of the least
// subgradient is larger than tolerance.
func (o *objective) proximal(ctx context.Context, w []float64, iterations int, tolerance float64, step func(int, []float64, float64) error) ([]float64, error) {
	p, n := o.x.Cols, o.x.Rows
	block := p + 1
	joint := len(w) <= min(jointSize, n)
	var columns [][]float32
	if joint {
		block = len(w)
	} else if block > min(singleSize, n) {
		columns = append(o.byColumn(), nil)
	}
	l1, l2 := make([]float64, len(w)), make([]float64, len(w))
	for i := range w {
		if j := i % (p + 1); j < p {
			l1[i], l2[i] = o.l1[j], o.l2[j]
		}
	}
	grad := make([]float64, len(w))
	value, loss := o.at(w, grad)
	for it := range iterations {
		if err := step(it, w, loss); err != nil {
			return nil, err
		}
		distance := o.subgradient(w, grad)
		if distance <= tolerance {
			return w, nil
		}
		moved := false
		for lo := 0; lo < len(w); lo += block {
			hi := lo + block
			before := w[lo:hi]
			var q *quadratic
			if joint {
				q = o.jointly(w, grad)
			} else {
				q = o.singly(w, grad, lo/block, columns)
			}
			set := make([]bool, block)
			for j := range set {
				set[j] = before[j] != 0 || math.Abs(q.gradient(j)) >= l1[lo+j]
			}
			// An inexact step is enough far from the end.
			if err := q.descend(ctx, l1[lo:hi], l2[lo:hi], set, 1000, max(min(0.01*distance, 1e-3), 0.01*tolerance)); err != nil {
				return nil, err
			}
			slope, size := 0.0, 0.0
			for j, to := range q.coef {
				d := to - before[j]
				// The gradient has that of the squares.
				slope += float64(grad[lo+j]*d) + float64(l1[lo+j]*(math.Abs(to)-math.Abs(before[j])))
				size = max(size, math.Abs(d))
			}
			if size == 0 {
				continue
			}
			next := append([]float64{}, w...)
			for t := 1.0; t > 1e-10; t /= 2 {
				for j, to := range q.coef {
					if next[lo+j] = to; t < 1 {
						next[lo+j] = before[j] + float64(t*(to-before[j]))
					}
				}
				nextGrad := make([]float64, len(w))
				nextValue, nextLoss := o.at(next, nextGrad)
				if nextValue <= value+float64(1e-4*t*slope) ||
					nextValue <= value+1e-15*math.Abs(value) && o.subgradient(next, nextGrad) < distance {
					w, grad, value, loss, moved = next, nextGrad, nextValue, nextLoss, true
					break
				}
			}
		}
		if !moved {
			return w, nil // no step is distinguishable from rounding
		}
	}
	return w, nil
}

// jointly is the quadratic part of a step of all outputs at w.
func (o *objective) jointly(w, grad []float64) *quadratic {
	size := len(w)
	q := &quadratic{coef: append([]float64{}, w...), curve: make([]float64, size), stride: padded(size), negative: make([]float64, size)}
	q.matrix = mirrored(o.hessian(w), size, q.stride)
	o.differentiate(q, grad)
	return q
}

// differentiate takes the negative gradient of the loss, without the penalties, and the curvatures from the matrix.
func (o *objective) differentiate(q *quadratic, grad []float64) {
	p := o.x.Cols
	for i, g := range grad {
		q.negative[i] = -g
		q.curve[i] = q.matrix[i*q.stride+i]
		if j := i % (p + 1); j < p {
			q.negative[i] += float64(o.l2[j] * q.coef[i])
		}
	}
}

// singly is the quadratic part of a step of output c at w.
func (o *objective) singly(w, grad []float64, c int, columns [][]float32) *quadratic {
	p, n, k := o.x.Cols, o.x.Rows, o.outputs
	shares := o.shares(w)
	weight, residual := make([]float64, n), make([]float64, padded(n))
	q := &quadratic{coef: append([]float64{}, w[c*(p+1):(c+1)*(p+1)]...), curve: make([]float64, p+1), mean: o.mean, inv: o.inv, weight: weight, residual: residual}
	for i := range n {
		truth, share := o.y[i], shares[c*n+i]
		if k > 1 {
			truth = 0
			if int(o.y[i]) == c {
				truth = 1
			}
		}
		own := o.weight(i) / o.total
		weight[i] = own * max(share*(1-share), 1e-8) // curvature must not vanish where all rows are certain
		residual[i] = own * (truth - share)
		q.total += residual[i]
	}
	if columns == nil {
		q.matrix, _, q.stride = o.gram(1, func(i int) float64 { return weight[i] }, true)
		mirrored(q.matrix, p+1, q.stride)
		q.negative = make([]float64, p+1)
		o.differentiate(q, grad[c*(p+1):(c+1)*(p+1)])
		return q
	}
	q.columns = columns
	for _, v := range weight {
		q.curve[p] += v
	}
	for j := range p {
		for i, v := range columns[j] {
			z := (float64(v) - o.mean[j]) * o.inv[j]
			q.curve[j] += float64(weight[i] * float64(z*z))
		}
	}
	return q
}

// subgradient is the largest component of the least subgradient: how far w is from optimal.
func (o *objective) subgradient(w, grad []float64) (worst float64) {
	p := o.x.Cols
	for i, g := range grad {
		penalty := 0.0
		if j := i % (p + 1); j < p {
			if o.inv[j] == 0 {
				continue
			}
			penalty = o.l1[j]
		}
		switch {
		case w[i] > 0:
			g += penalty
		case w[i] < 0:
			g -= penalty
		case penalty > 0:
			g = max(math.Abs(g)-penalty, 0)
		}
		worst = max(worst, math.Abs(g))
	}
	return worst
}
