package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// spread is how tensors of different shapes stand over one common shape (NumPy's broadcasting): a step of 0 repeats a value.
type spread struct {
	shape []int
	steps [][]int // per operand, per dimension
}

// spreadOver joins shapes. The innermost dimensions that all operands pass through alike are made one.
func spreadOver(shapes ...[]int) (result []int, s spread) {
	rank := 0
	for _, shape := range shapes {
		rank = max(rank, len(shape))
	}
	result = make([]int, rank)
	for i := range result {
		result[i] = 1
		for _, shape := range shapes {
			at := i - rank + len(shape)
			if at < 0 || shape[at] == 1 {
				continue
			}
			if result[i] != 1 && result[i] != shape[at] {
				throw(fault.Invalid, "the shapes %v do not fit together", slices.Clone(shapes))
			}
			result[i] = shape[at]
		}
	}
	s.steps = make([][]int, len(shapes))
	for k, shape := range shapes {
		s.steps[k] = make([]int, rank)
		step := 1
		for i := rank - 1; i >= 0; i-- {
			at := i - rank + len(shape)
			if at < 0 {
				break
			}
			if shape[at] != 1 {
				s.steps[k][i] = step
			}
			step *= shape[at]
		}
	}
	s.shape = slices.Clone(result)
	s.collapse()
	return result, s
}

// collapse joins neighbouring dimensions that every operand passes without a jump.
func (s *spread) collapse() {
	for i := len(s.shape) - 2; i >= 0; i-- {
		ok := true
		for _, steps := range s.steps {
			ok = ok && steps[i] == steps[i+1]*s.shape[i+1]
		}
		switch {
		case s.shape[i+1] == 1:
			s.drop(i + 1)
		case s.shape[i] == 1:
			s.drop(i)
		case ok:
			s.shape[i+1] *= s.shape[i]
			s.drop(i)
		}
	}
}

func (s *spread) drop(i int) {
	s.shape = slices.Delete(s.shape, i, i+1)
	for k := range s.steps {
		s.steps[k] = slices.Delete(s.steps[k], i, i+1)
	}
}

// runs calls f for the innermost rows: n results from place at on, the operands' places at their beginning, and their steps.
func (s *spread) runs(f func(at, n int, from, steps []int)) {
	rank := len(s.shape)
	from := make([]int, len(s.steps))
	if rank == 0 {
		f(0, 1, from, make([]int, len(s.steps)))
		return
	}
	inner := s.shape[rank-1]
	last := make([]int, len(s.steps))
	for k, steps := range s.steps {
		last[k] = steps[rank-1]
	}
	total := size(s.shape)
	if total == 0 {
		return
	}
	index := make([]int, rank-1)
	for at := 0; at < total; at += inner {
		f(at, inner, from, last)
		for d := rank - 2; d >= 0; d-- {
			index[d]++
			for k, steps := range s.steps {
				from[k] += steps[d]
			}
			if index[d] < s.shape[d] {
				break
			}
			for k, steps := range s.steps {
				from[k] -= steps[d] * s.shape[d]
			}
			index[d] = 0
		}
	}
}

// zip computes a function of two operands into out.
func zip[A, B, C any](s *spread, out []C, x []A, y []B, f func(A, B) C) {
	s.runs(func(at, n int, from, steps []int) {
		p, q, dp, dq := from[0], from[1], steps[0], steps[1]
		for i := range n {
			out[at+i] = f(x[p], y[q])
			p += dp
			q += dq
		}
	})
}
