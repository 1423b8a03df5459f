package graph

import (
	"cmp"
	"math"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var unaries = map[string]operator{
	"Abs":        exact(math.Abs, func(x int64) int64 { return max(x, -x) }),
	"Neg":        exact(func(x float64) float64 { return -x }, func(x int64) int64 { return -x }),
	"Sign":       exact(sign, func(x int64) int64 { return int64(cmp.Compare(x, 0)) }),
	"Ceil":       plain(math.Ceil),
	"Floor":      plain(math.Floor),
	"Round":      plain(math.RoundToEven),
	"Sqrt":       plain(math.Sqrt),
	"Exp":        plain(math.Exp),
	"Log":        plain(math.Log),
	"Reciprocal": plain(func(x float64) float64 { return 1 / x }),
	"Sin":        plain(math.Sin), "Cos": plain(math.Cos), "Tan": plain(math.Tan),
	"Asin": plain(math.Asin), "Acos": plain(math.Acos), "Atan": plain(math.Atan),
	"Sinh": plain(math.Sinh), "Cosh": plain(math.Cosh), "Tanh": plain(math.Tanh),
	"Asinh": plain(math.Asinh), "Acosh": plain(math.Acosh), "Atanh": plain(math.Atanh),
	"Erf":      plain(math.Erf),
	"Sigmoid":  plain(logistic),
	"Softplus": plain(func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }),
	"Softsign": plain(func(x float64) float64 { return x / (1 + math.Abs(x)) }),
	"Mish":     plain(func(x float64) float64 { return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) }),
	"Relu":     {run: halves(relu)},
	"LeakyRelu": unary(func(n *node) func(float64) float64 {
		a := float64(n.attr.Float("alpha", 0.01))
		return func(x float64) float64 {
			if x < 0 {
				return a * x
			}
			return x
		}
	}),
	"Elu": unary(func(n *node) func(float64) float64 {
		a := float64(n.attr.Float("alpha", 1))
		return func(x float64) float64 {
			if x < 0 {
				return a * math.Expm1(x)
			}
			return x
		}
	}),
	"Celu": unary(func(n *node) func(float64) float64 {
		a := float64(n.attr.Float("alpha", 1))
		return func(x float64) float64 { return max(0, x) + min(0, a*math.Expm1(x/a)) }
	}),
	"Selu": unary(func(n *node) func(float64) float64 {
		a, g := float64(n.attr.Float("alpha", 1.67326319217681884765625)), float64(n.attr.Float("gamma", 1.05070102214813232421875))
		return func(x float64) float64 {
			if x <= 0 {
				return g * a * math.Expm1(x)
			}
			return g * x
		}
	}),
	"ThresholdedRelu": unary(func(n *node) func(float64) float64 {
		a := float64(n.attr.Float("alpha", 1))
		return func(x float64) float64 {
			if x > a {
				return x
			}
			return 0
		}
	}),
	"HardSigmoid": unary(func(n *node) func(float64) float64 {
		a, b := float64(n.attr.Float("alpha", 0.2)), float64(n.attr.Float("beta", 0.5))
		return func(x float64) float64 { return max(0, min(1, a*x+b)) }
	}),
	"HardSwish": plain(func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }),
	"Swish": unary(func(n *node) func(float64) float64 {
		a := float64(n.attr.Float("alpha", 1))
		return func(x float64) float64 { return x * logistic(a*x) }
	}),
	"Shrink": unary(func(n *node) func(float64) float64 {
		bias, lambda := float64(n.attr.Float("bias", 0)), float64(n.attr.Float("lambd", 0.5))
		return func(x float64) float64 {
			switch {
			case x < -lambda:
				return x + bias
			case x > lambda:
				return x - bias
			}
			return 0
		}
	}),
	"Gelu":               unary(gelu),
	"com.microsoft.Gelu": unary(gelu),
	"Clip":               {run: halves(clip)},
	"Identity":           {run: func(c *call) { c.pass(0, c.arg(0)) }},
	"Dropout":            {run: dropout},
	"IsNaN": {run: func(c *call) {
		t := c.arg(0)
		out := alloc[bool](c, 0, t.Shape...)
		for i, v := range as[float64](t) {
			out[i] = v != v
		}
	}},
	"IsInf": {run: func(c *call) {
		t := c.arg(0)
		below, above := c.attr.Int("detect_negative", 1) != 0, c.attr.Int("detect_positive", 1) != 0
		out := alloc[bool](c, 0, t.Shape...)
		for i, v := range as[float64](t) {
			out[i] = below && math.IsInf(v, -1) || above && math.IsInf(v, 1)
		}
	}},
}

func plain(f func(float64) float64) operator {
	return unary(func(*node) func(float64) float64 { return f })
}

// exact is unary with a function of its own for whole numbers of 64 bits, which float64 does not hold.
func exact(f func(float64) float64, whole func(int64) int64) operator {
	op := plain(f)
	rest := op.run
	op.run = func(c *call) {
		t := c.arg(0)
		x, ok := t.Data.([]int64)
		if !ok {
			rest(c)
			return
		}
		out := alloc[int64](c, 0, t.Shape...)
		for i, v := range x {
			out[i] = whole(v)
		}
	}
	return op
}

// unary computes a function of each number in float64.
func unary(of func(n *node) func(float64) float64) operator {
	return operator{prepare: func(n *node) any { return of(n) }, run: halves(func(c *call) {
		f := c.prepared.(func(float64) float64)
		t := c.arg(0)
		switch x := t.Data.(type) {
		case []float32:
			out := alloc[float32](c, 0, t.Shape...)
			for i, v := range x {
				out[i] = float32(f(float64(v)))
			}
		case []float64:
			out := alloc[float64](c, 0, t.Shape...)
			for i, v := range x {
				out[i] = f(v)
			}
		case []int64:
			out := alloc[int64](c, 0, t.Shape...)
			for i, v := range x {
				out[i] = int64(f(float64(v)))
			}
		case []bool, []string, []*Tensor:
			wrongType(t)
		default:
			values := as[float64](t)
			out := make([]float64, len(values))
			for i, v := range values {
				out[i] = f(v)
			}
			c.like(0, t, out, t.Shape...)
		}
	})}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func logistic(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

// sigmoid is the form that onnxruntime computes for the operators of ai.onnx.ml.
func sigmoid(x float32) float32 {
	v := 1 / (1 + float32(math.Exp(-math.Abs(float64(x)))))
	if x < 0 {
		return 1 - v
	}
	return v
}

func gelu(n *node) func(float64) float64 {
	if n.attr.Text("approximate") == "tanh" {
		return func(x float64) float64 { return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) }
	}
	return func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }
}

func relu(c *call) {
	t := c.arg(0)
	if x, ok := t.Data.([]float32); ok {
		out := alloc[float32](c, 0, t.Shape...)
		for i, v := range x {
			if !(v < 0) {
				out[i] = v
			}
		}
		return
	}
	values := as[float64](t)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Max(v, 0)
	}
	c.like(0, t, out, t.Shape...)
}

// clip takes its bounds as attributes in old opsets and as inputs since 11.
func clip(c *call) {
	t := c.arg(0)
	lo, hi := math.Inf(-1), math.Inf(1)
	if v, ok := c.attr["min"].(float32); ok {
		lo = float64(v)
	}
	if v, ok := c.attr["max"].(float32); ok {
		hi = float64(v)
	}
	for i, bound := range []*float64{&lo, &hi} {
		if b := c.opt(i + 1); b != nil {
			v := as[float64](b)
			if len(v) != 1 {
				throw(fault.Invalid, "a bound is one number, not %d", len(v))
			}
			*bound = v[0]
		}
	}
	if x, ok := t.Data.([]int64); ok { // exact beyond 2^53
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if b := c.opt(1); b != nil {
			low = as[int64](b)[0]
		}
		if b := c.opt(2); b != nil {
			high = as[int64](b)[0]
		}
		out := alloc[int64](c, 0, t.Shape...)
		for i, v := range x {
			out[i] = min(max(v, low), high)
		}
		return
	}
	values := as[float64](t)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Min(math.Max(v, lo), hi)
	}
	c.like(0, t, out, t.Shape...)
}

// dropout drops nothing: a graph that is served does not train.
func dropout(c *call) {
	t := c.arg(0)
	if mode := c.opt(2); mode != nil && mode.Type() == tensor.Bool && mode.Len() == 1 && mode.Data.([]bool)[0] {
		if ratio := c.opt(1); ratio == nil || as[float64](ratio)[0] != 0 {
			throw(fault.FormatNotServed, "it drops values at random, as in training")
		}
	}
	c.pass(0, t)
	if len(c.out) > 1 {
		for i, mask := 0, alloc[bool](c, 1, t.Shape...); i < len(mask); i++ {
			mask[i] = true
		}
	}
}
