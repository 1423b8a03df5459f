package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var recurrent = map[string]operator{
	"RNN":  {run: halves(func(c *call) { recur(c, 1) })},
	"LSTM": {run: halves(func(c *call) { recur(c, 4) })},
	"GRU":  {run: halves(func(c *call) { recur(c, 3) })},
}

// activation is one of the functions that gates use.
func activation(name string, alpha, beta float64) func(float64) float64 {
	switch name {
	case "Sigmoid":
		return logistic
	case "Tanh":
		return math.Tanh
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }
	case "LeakyRelu":
		return func(x float64) float64 {
			if x < 0 {
				return alpha * x
			}
			return x
		}
	case "Elu":
		return func(x float64) float64 {
			if x < 0 {
				return alpha * math.Expm1(x)
			}
			return x
		}
	case "HardSigmoid":
		return func(x float64) float64 { return max(0, min(1, alpha*x+beta)) }
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }
	case "Softplus":
		return func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }
	case "Affine":
		return func(x float64) float64 { return alpha*x + beta }
	case "ThresholdedRelu":
		return func(x float64) float64 {
			if x > alpha {
				return x
			}
			return 0
		}
	case "ScaledTanh":
		return func(x float64) float64 { return alpha * math.Tanh(beta*x) }
	}
	throw(fault.FormatNotServed, "it uses the activation %q", name)
	return nil
}

// cell is one direction of a recurrent layer: what it learned, and its functions.
type cell struct {
	gates, hidden, width int
	w, r, bias, peep     []float64
	f                    []func(float64) float64
	clip                 float64
	linearBefore         bool
}

func recur(c *call, gates int) {
	x, w, r := c.arg(0), c.arg(1), c.arg(2)
	if len(x.Shape) != 3 || len(w.Shape) != 3 || len(r.Shape) != 3 {
		throw(fault.Invalid, "a layer over %v", slices.Clone(x.Shape))
	}
	batchFirst := c.attr.Int("layout", 0) != 0
	steps, batch, width := x.Shape[0], x.Shape[1], x.Shape[2]
	if batchFirst {
		steps, batch = batch, steps
	}
	directions, hidden := r.Shape[0], r.Shape[2]
	back := []bool{c.attr.Text("direction") == "reverse", true}
	if w.Shape[0] != directions || w.Shape[1] != gates*hidden || w.Shape[2] != width || r.Shape[1] != gates*hidden || directions > 2 {
		throw(fault.Invalid, "weights of %v and %v for %v", slices.Clone(w.Shape), slices.Clone(r.Shape), slices.Clone(x.Shape))
	}
	c.work(steps, batch, directions, gates*hidden, width+hidden)
	all, wv, rv := as[float64](x), as[float64](w), as[float64](r)
	list := func(i, n int) []float64 {
		t := c.opt(i)
		if t == nil {
			return nil
		}
		v := as[float64](t)
		if len(v) != n {
			throw(fault.Invalid, "its input %d has %d values and not %d", i, len(v), n)
		}
		return v
	}
	bias := list(3, directions*2*gates*hidden)
	first, second := list(5, directions*batch*hidden), []float64(nil)
	var peep []float64
	if gates == 4 {
		second, peep = list(6, directions*batch*hidden), list(7, directions*3*hidden)
	}
	lengths := make([]int, batch)
	for i := range lengths {
		lengths[i] = steps
		if t := c.opt(4); t != nil {
			lengths[i] = max(0, min(steps, ints(t)[i]))
		}
	}
	y := make([]float64, c.space(8, []int{steps, directions, batch, hidden}))
	h, cs := make([]float64, directions*batch*hidden), make([]float64, directions*batch*hidden)
	copy(cs, second)
	if first != nil {
		copy(h, first)
		if batchFirst {
			swapLayout(h, first, batch, directions, hidden)
			if second != nil {
				swapLayout(cs, second, batch, directions, hidden)
			}
		}
	}
	for d := range directions {
		one := &cell{gates: gates, hidden: hidden, width: width, w: wv[d*gates*hidden*width:], r: rv[d*gates*hidden*hidden:],
			f: c.activations(gates, d), clip: float64(c.attr.Float("clip", 0)), linearBefore: c.attr.Int("linear_before_reset", 0) != 0}
		if bias != nil {
			one.bias = bias[d*2*gates*hidden : (d+1)*2*gates*hidden]
		}
		if peep != nil {
			one.peep = peep[d*3*hidden : (d+1)*3*hidden]
		}
		for b := range batch {
			state, memory := h[(d*batch+b)*hidden:][:hidden], cs[(d*batch+b)*hidden:][:hidden]
			for s := range lengths[b] {
				at := s
				if back[d] {
					at = lengths[b] - 1 - s
				}
				from := (at*batch + b) * width
				if batchFirst {
					from = (b*steps + at) * width
				}
				one.step(all[from:from+width], state, memory)
				copy(y[((at*directions+d)*batch+b)*hidden:], state)
			}
		}
	}
	c.recurred(x, y, h, cs, []int{steps, directions, batch, hidden}, batchFirst, gates == 4)
}

// swapLayout turns batch x directions x hidden into directions x batch x hidden.
func swapLayout(dst, src []float64, batch, directions, hidden int) {
	for b := range batch {
		for d := range directions {
			copy(dst[(d*batch+b)*hidden:][:hidden], src[(b*directions+d)*hidden:][:hidden])
		}
	}
}

// recurred gives the outputs their layout: directions come before the batch, or after it.
func (c *call) recurred(x *Tensor, y, h, cs []float64, dims []int, batchFirst, memory bool) {
	steps, directions, batch, hidden := dims[0], dims[1], dims[2], dims[3]
	last := []int{directions, batch, hidden}
	if batchFirst {
		turned := make([]float64, len(y))
		for s := range steps {
			for d := range directions {
				for b := range batch {
					copy(turned[((b*steps+s)*directions+d)*hidden:][:hidden], y[((s*directions+d)*batch+b)*hidden:][:hidden])
				}
			}
		}
		y, dims = turned, []int{batch, steps, directions, hidden}
		turn := func(v []float64) []float64 {
			out := make([]float64, len(v))
			for d := range directions {
				for b := range batch {
					copy(out[(b*directions+d)*hidden:][:hidden], v[(d*batch+b)*hidden:][:hidden])
				}
			}
			return out
		}
		h, cs, last = turn(h), turn(cs), []int{batch, directions, hidden}
	}
	c.like(0, x, y, dims...)
	c.like(1, x, h, last...)
	if memory {
		c.like(2, x, cs, last...)
	}
}

// activations are the functions of a direction, by name or by default.
func (c *call) activations(gates, direction int) []func(float64) float64 {
	names := map[int][]string{1: {"Tanh"}, 3: {"Sigmoid", "Tanh"}, 4: {"Sigmoid", "Tanh", "Tanh"}}[gates]
	given := c.attr.Texts("activations")
	alphas, betas := c.attr.Floats("activation_alpha"), c.attr.Floats("activation_beta")
	defaults := map[string][2]float64{"LeakyRelu": {0.01, 0}, "Elu": {1, 0}, "HardSigmoid": {0.2, 0.5}, "ThresholdedRelu": {1, 0}, "Affine": {1, 0}, "ScaledTanh": {1, 1}}
	out := make([]func(float64) float64, len(names))
	for i, name := range names {
		at := direction*len(names) + i
		if at < len(given) {
			name = given[at]
		}
		set := defaults[name]
		if at < len(alphas) {
			set[0] = float64(alphas[at])
		}
		if at < len(betas) {
			set[1] = float64(betas[at])
		}
		out[i] = activation(name, set[0], set[1])
	}
	return out
}

// gate is the sum that a gate's function takes, of the input and of the state by itself.
func (l *cell) gate(g, j int, x, h []float64) (fromX, fromH float64) {
	k := g*l.hidden + j
	for i, v := range x {
		fromX += v * l.w[k*l.width+i]
	}
	for i, v := range h {
		fromH += v * l.r[k*l.hidden+i]
	}
	if l.bias != nil {
		fromX += l.bias[k]
		fromH += l.bias[l.gates*l.hidden+k]
	}
	return fromX, fromH
}

func (l *cell) clipped(v float64) float64 {
	if l.clip > 0 {
		return max(-l.clip, min(l.clip, v))
	}
	return v
}

// step moves state h, and memory of an LSTM, by one input.
func (l *cell) step(x, h, memory []float64) {
	next := make([]float64, l.hidden)
	sum := func(g, j int, h []float64) float64 {
		a, b := l.gate(g, j, x, h)
		return a + b
	}
	peep := func(g, j int) float64 {
		if l.peep == nil {
			return 0
		}
		return l.peep[g*l.hidden+j]
	}
	switch l.gates {
	case 1:
		for j := range next {
			next[j] = l.f[0](l.clipped(sum(0, j, h)))
		}
	case 4: // in the order input, output, forget, cell
		for j := range next {
			in := l.f[0](l.clipped(sum(0, j, h) + peep(0, j)*memory[j]))
			forget := l.f[0](l.clipped(sum(2, j, h) + peep(2, j)*memory[j]))
			memory[j] = forget*memory[j] + in*l.f[1](l.clipped(sum(3, j, h)))
			out := l.f[0](l.clipped(sum(1, j, h) + peep(1, j)*memory[j]))
			next[j] = out * l.f[2](memory[j])
		}
	case 3: // in the order update, reset, hidden
		reset, held := make([]float64, l.hidden), make([]float64, l.hidden)
		for j := range next {
			reset[j] = l.f[0](l.clipped(sum(1, j, h)))
			held[j] = reset[j] * h[j]
		}
		for j := range next {
			update := l.f[0](l.clipped(sum(0, j, h)))
			fresh := 0.0
			if l.linearBefore {
				a, b := l.gate(2, j, x, h)
				fresh = l.f[1](l.clipped(a + reset[j]*b))
			} else {
				fresh = l.f[1](l.clipped(sum(2, j, held)))
			}
			next[j] = (1-update)*fresh + update*h[j]
		}
	}
	copy(h, next)
}
