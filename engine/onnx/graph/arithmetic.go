package graph

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var arithmetic = map[string]operator{
	"Add":        pairwise("Add"),
	"Sub":        pairwise("Sub"),
	"Mul":        pairwise("Mul"),
	"Div":        pairwise("Div"),
	"Mod":        pairwise("Mod"),
	"Max":        pairwise("Max"),
	"Min":        pairwise("Min"),
	"Sum":        pairwise("Add"),
	"Mean":       {run: halves(meanOf)},
	"Pow":        {run: halves(power)},
	"PRelu":      {run: halves(prelu)},
	"BitShift":   {run: bitShift},
	"BitwiseAnd": {run: bitwise(0)},
	"BitwiseOr":  {run: bitwise(1)},
	"BitwiseXor": {run: bitwise(2)},
	"BitwiseNot": {run: func(c *call) {
		x := c.arg(0)
		ones := New([]int64{-1})
		y, _ := castTensor(ones, x.Type(), false)
		c.in = []*Tensor{x, y}
		bitwise(2)(c)
	}},
}

// pairwise computes a function of two inputs, or of any number from the left.
func pairwise(op string) operator {
	return operator{run: halves(func(c *call) {
		c.oldAxis()
		if len(c.in) == 1 {
			c.pass(0, c.arg(0))
			return
		}
		left := c.arg(0)
		for i := 1; i < len(c.in); i++ {
			if i > 1 {
				left = clone(left) // the output's own memory is written next
			}
			pairOf(c, op, left, c.arg(i))
			left = c.out[0]
		}
	})}
}

// oldAxis is the broadcasting of opset 6 and before: the second input begins at an axis of the first.
func (c *call) oldAxis() {
	if c.opset >= 7 || c.attr.Int("broadcast", 0) == 0 || len(c.in) != 2 {
		return
	}
	a, b := c.arg(0), c.arg(1)
	axis, given := c.attr["axis"].(int64)
	if !given {
		return
	}
	at := axisOf(axis, len(a.Shape))
	shape := append([]int{}, b.Shape...)
	for len(shape)+at < len(a.Shape) {
		shape = append(shape, 1)
	}
	c.in = []*Tensor{a, {Shape: shape, Data: b.Data}}
}

func pairOf(c *call, op string, a, b *Tensor) {
	shape, s := spreadOver(a.Shape, b.Shape)
	switch x := a.Data.(type) {
	case []float32:
		reals(c, op, shape, &s, x, b)
	case []float64:
		reals(c, op, shape, &s, x, b)
	case []int64:
		wholes(c, op, shape, &s, x, b)
	case []int32:
		wholes(c, op, shape, &s, x, b)
	case []int16:
		wholes(c, op, shape, &s, x, b)
	case []int8:
		wholes(c, op, shape, &s, x, b)
	case []uint64:
		wholes(c, op, shape, &s, x, b)
	case []uint32:
		wholes(c, op, shape, &s, x, b)
	case []uint16:
		wholes(c, op, shape, &s, x, b)
	case []uint8:
		wholes(c, op, shape, &s, x, b)
	default:
		wrongType(a)
	}
}

// other is the second operand, of the same type.
func other[T any](b *Tensor, x []T) []T {
	y, ok := b.Data.([]T)
	if !ok {
		throw(fault.Invalid, "it joins %T and %s", x, kindName(b))
	}
	return y
}

func reals[T float32 | float64](c *call, op string, shape []int, s *spread, x []T, b *Tensor) {
	y := other(b, x)
	out := alloc[T](c, 0, shape...)
	if fourRules(op, s, out, x, y) {
		return
	}
	var f func(a, b T) T
	switch op {
	case "Max":
		f = func(a, b T) T { return T(math.Max(float64(a), float64(b))) }
	case "Min":
		f = func(a, b T) T { return T(math.Min(float64(a), float64(b))) }
	case "Mod":
		f = func(a, b T) T { return T(math.Mod(float64(a), float64(b))) }
		if c.attr.Int("fmod", 0) == 0 {
			f = func(a, b T) T {
				r := math.Mod(float64(a), float64(b))
				if r != 0 && (r < 0) != (b < 0) {
					r += float64(b)
				}
				return T(r)
			}
		}
	}
	zip(s, out, x, y, f)
}

func wholes[T integer](c *call, op string, shape []int, s *spread, x []T, b *Tensor) {
	y := other(b, x)
	out := c.made(0, (&Tensor{Data: x}).Type(), shape...).Data.([]T)
	var f func(a, b T) T
	switch op {
	case "Add":
		f = func(a, b T) T { return a + b }
	case "Sub":
		f = func(a, b T) T { return a - b }
	case "Mul":
		f = func(a, b T) T { return a * b }
	case "Div":
		f = func(a, b T) T {
			if b == 0 {
				throw(fault.Invalid, "a whole number is divided by 0")
			}
			return a / b
		}
	case "Max":
		f = func(a, b T) T { return max(a, b) }
	case "Min":
		f = func(a, b T) T { return min(a, b) }
	case "Mod":
		same := c.attr.Int("fmod", 0) != 0
		f = func(a, b T) T {
			if b == 0 {
				throw(fault.Invalid, "a whole number is divided by 0")
			}
			r := a % b
			if !same && r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r
		}
	}
	zip(s, out, x, y, f)
}

// fourRules are Add, Sub, Mul and Div in loops that need no call for each number.
func fourRules[T float32 | float64](op string, s *spread, out, x, y []T) bool {
	switch op {
	case "Add":
		s.runs(func(at, n int, from, steps []int) {
			z, p, q := out[at:at+n], x[from[0]:], y[from[1]:]
			switch {
			case steps[0] == 1 && steps[1] == 1:
				p, q = p[:n], q[:n]
				for i := range z {
					z[i] = p[i] + q[i]
				}
			case steps[1] == 0 && steps[0] == 1:
				p, b := p[:n], q[0]
				for i := range z {
					z[i] = p[i] + b
				}
			default:
				for i := range z {
					z[i] = p[i*steps[0]] + q[i*steps[1]]
				}
			}
		})
	case "Sub":
		s.runs(func(at, n int, from, steps []int) {
			z, p, q := out[at:at+n], x[from[0]:], y[from[1]:]
			if steps[0] == 1 && steps[1] == 1 {
				p, q = p[:n], q[:n]
				for i := range z {
					z[i] = p[i] - q[i]
				}
				return
			}
			for i := range z {
				z[i] = p[i*steps[0]] - q[i*steps[1]]
			}
		})
	case "Mul":
		s.runs(func(at, n int, from, steps []int) {
			z, p, q := out[at:at+n], x[from[0]:], y[from[1]:]
			if steps[0] == 1 && steps[1] == 1 {
				p, q = p[:n], q[:n]
				for i := range z {
					z[i] = p[i] * q[i]
				}
				return
			}
			for i := range z {
				z[i] = p[i*steps[0]] * q[i*steps[1]]
			}
		})
	case "Div":
		s.runs(func(at, n int, from, steps []int) {
			z, p, q := out[at:at+n], x[from[0]:], y[from[1]:]
			if steps[0] == 1 && steps[1] == 1 {
				p, q = p[:n], q[:n]
				for i := range z {
					z[i] = p[i] / q[i]
				}
				return
			}
			for i := range z {
				z[i] = p[i*steps[0]] / q[i*steps[1]]
			}
		})
	default:
		return false
	}
	return true
}

func meanOf(c *call) {
	pairwise("Add").run(c)
	n := float64(len(c.in))
	values := as[float64](c.out[0])
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = v / n
	}
	c.like(0, c.arg(0), scaled, append([]int{}, c.out[0].Shape...)...)
}

// power takes an exponent of another type than the base, whose type the result has.
func power(c *call) {
	c.oldAxis()
	a, b := c.arg(0), c.arg(1)
	shape, s := spreadOver(a.Shape, b.Shape)
	x, y := as[float64](a), as[float64](b)
	out := make([]float64, c.space(8, shape))
	whole := a.Type() != tensor.FP32 && a.Type() != tensor.FP64
	zip(&s, out, x, y, func(v, e float64) float64 {
		switch {
		case e == 2:
			return v * v
		case e == 0.5 && !whole:
			return math.Sqrt(v)
		}
		return math.Pow(v, e)
	})
	c.like(0, a, out, shape...)
}

func prelu(c *call) {
	a, b := c.arg(0), c.arg(1)
	shape, s := spreadOver(a.Shape, b.Shape)
	out := make([]float64, c.space(8, shape))
	zip(&s, out, as[float64](a), as[float64](b), func(v, slope float64) float64 {
		if v < 0 {
			return v * slope
		}
		return v
	})
	c.like(0, a, out, shape...)
}

func bitShift(c *call) {
	left := c.attr.Text("direction") == "LEFT"
	a, b := c.arg(0), c.arg(1)
	shape, s := spreadOver(a.Shape, b.Shape)
	out := make([]uint64, c.space(8, shape))
	if kind := a.Type(); !left && kind >= tensor.Int8 && kind <= tensor.Int64 { // the sign moves in
		zip(&s, out, as[int64](a), as[uint64](b), func(v int64, n uint64) uint64 { return uint64(v >> n) })
	} else {
		zip(&s, out, as[uint64](a), as[uint64](b), func(v, n uint64) uint64 {
			if left {
				return v << n
			}
			return v >> n
		})
	}
	c.narrowed(out, a.Type(), shape)
}

func bitwise(op int) func(c *call) {
	return func(c *call) {
		a, b := c.arg(0), c.arg(1)
		shape, s := spreadOver(a.Shape, b.Shape)
		out := make([]uint64, c.space(8, shape))
		zip(&s, out, as[uint64](a), as[uint64](b), func(x, y uint64) uint64 {
			switch op {
			case 0:
				return x & y
			case 1:
				return x | y
			}
			return x ^ y
		})
		c.narrowed(out, a.Type(), shape)
	}
}

// narrowed makes the output of the low bits of whole numbers.
func (c *call) narrowed(bits []uint64, kind tensor.Type, shape []int) {
	t, ok := castTensor(&Tensor{Shape: shape, Data: bits}, kind, false)
	if !ok || !kind.Numeric() || kind >= tensor.FP16 {
		throw(fault.Invalid, "bits of %s", kind)
	}
	c.pass(0, t)
}

// halves lets an operator of floats work on half-precision numbers: in float32, rounded at the end.
func halves(f func(c *call)) func(c *call) {
	return func(c *call) {
		kind := tensor.None
		for _, t := range c.in {
			if t == nil {
				continue
			}
			switch t.Data.(type) {
			case []tensor.Float16, []tensor.BFloat16:
				kind = t.Type()
			}
		}
		if kind == tensor.None {
			f(c)
			return
		}
		in := make([]*Tensor, len(c.in))
		for i, t := range c.in {
			in[i] = t
			if t != nil && t.Type() == kind {
				in[i] = &Tensor{Shape: t.Shape, Data: as[float32](t)}
			}
		}
		inner := call{node: c.node, run: c.run, in: in, out: make([]*Tensor, len(c.out)), kept: make([]*Tensor, len(c.out)), views: make([]*Tensor, len(c.out))}
		f(&inner)
		for i, t := range inner.out {
			if t != nil && t.Type() == tensor.FP32 {
				t, _ = castTensor(t, kind, false)
			}
			c.out[i] = t
		}
	}
}
