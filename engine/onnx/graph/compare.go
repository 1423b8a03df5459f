package graph

import (
	"cmp"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var comparisons = map[string]operator{
	"Equal":          {run: halves(compare(func(o int, ok bool) bool { return ok && o == 0 }))},
	"Greater":        {run: halves(compare(func(o int, ok bool) bool { return ok && o > 0 }))},
	"GreaterOrEqual": {run: halves(compare(func(o int, ok bool) bool { return ok && o >= 0 }))},
	"Less":           {run: halves(compare(func(o int, ok bool) bool { return ok && o < 0 }))},
	"LessOrEqual":    {run: halves(compare(func(o int, ok bool) bool { return ok && o <= 0 }))},
	"And":            {run: logic(func(a, b bool) bool { return a && b })},
	"Or":             {run: logic(func(a, b bool) bool { return a || b })},
	"Xor":            {run: logic(func(a, b bool) bool { return a != b })},
	"Not": {run: func(c *call) {
		t := c.arg(0)
		out := alloc[bool](c, 0, t.Shape...)
		for i, v := range flags(t) {
			out[i] = !v
		}
	}},
	"Where": {run: where},
}

func flags(t *Tensor) []bool {
	d, ok := t.Data.([]bool)
	if !ok {
		wrongType(t)
	}
	return d
}

// compare computes an order of two inputs: f gets it, and ok, which is false where one is NaN.
func compare(f func(order int, ok bool) bool) func(c *call) {
	table := [4]bool{f(-1, true), f(0, true), f(1, true), f(0, false)}
	return func(c *call) {
		c.oldAxis()
		a, b := c.arg(0), c.arg(1)
		shape, s := spreadOver(a.Shape, b.Shape)
		out := alloc[bool](c, 0, shape...)
		switch x := a.Data.(type) {
		case []float32:
			ordered(&s, out, x, other(b, x), &table)
		case []float64:
			ordered(&s, out, x, other(b, x), &table)
		case []int64:
			ordered(&s, out, x, other(b, x), &table)
		case []int32:
			ordered(&s, out, x, other(b, x), &table)
		case []string:
			ordered(&s, out, x, other(b, x), &table)
		case []bool:
			zip(&s, out, x, other(b, x), func(p, q bool) bool {
				i, j := 0, 0
				if p {
					i = 1
				}
				if q {
					j = 1
				}
				return table[cmp.Compare(i, j)+1]
			})
		case []uint64:
			ordered(&s, out, x, other(b, x), &table)
		default:
			if a.Type() == tensor.None || a.Type() != b.Type() {
				throw(fault.Invalid, "it compares %s and %s", kindName(a), kindName(b))
			}
			ordered(&s, out, as[int64](a), as[int64](b), &table)
		}
	}
}

func ordered[T cmp.Ordered](s *spread, out []bool, x, y []T, table *[4]bool) {
	zip(s, out, x, y, func(p, q T) bool {
		switch {
		case p < q:
			return table[0]
		case p == q:
			return table[1]
		case p > q:
			return table[2]
		}
		return table[3]
	})
}

func logic(f func(a, b bool) bool) func(c *call) {
	return func(c *call) {
		c.oldAxis()
		a, b := c.arg(0), c.arg(1)
		shape, s := spreadOver(a.Shape, b.Shape)
		zip(&s, alloc[bool](c, 0, shape...), flags(a), flags(b), f)
	}
}

func where(c *call) {
	when, yes, no := c.arg(0), c.arg(1), c.arg(2)
	shape, s := spreadOver(when.Shape, yes.Shape, no.Shape)
	which := flags(when)
	switch y := yes.Data.(type) {
	case []float32:
		choose(&s, alloc[float32](c, 0, shape...), which, y, no)
	case []float64:
		choose(&s, alloc[float64](c, 0, shape...), which, y, no)
	case []int64:
		choose(&s, alloc[int64](c, 0, shape...), which, y, no)
	case []string:
		choose(&s, alloc[string](c, 0, shape...), which, y, no)
	default:
		out := c.made(0, yes.Type(), shape...)
		first, second := blocks(out, yes), blocks(out, no)
		s.runs(func(at, n int, from, steps []int) {
			for i := range n {
				if which[from[0]+i*steps[0]] {
					first(at+i, from[1]+i*steps[1], 1)
				} else {
					second(at+i, from[2]+i*steps[2], 1)
				}
			}
		})
	}
}

func choose[T any](s *spread, out []T, which []bool, yes []T, other *Tensor) {
	no, ok := other.Data.([]T)
	if !ok {
		throw(fault.Invalid, "it chooses between %T and %s", yes, kindName(other))
	}
	s.runs(func(at, n int, from, steps []int) {
		for i := range n {
			if which[from[0]+i*steps[0]] {
				out[at+i] = yes[from[1]+i*steps[1]]
			} else {
				out[at+i] = no[from[2]+i*steps[2]]
			}
		}
	})
}
