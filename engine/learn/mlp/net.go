package mlp

import (
	"math"
	"slices"
	"unsafe"
)

// quantiles are the least number, the quartiles and the greatest, by linear interpolation.
func quantiles(v []float32) [5]float32 {
	slices.Sort(v)
	var out [5]float32
	for k := range out {
		at := float64(k) / 4 * float64(len(v)-1)
		i := int(at)
		j := min(i+1, len(v)-1)
		out[k] = float32(float64(v[i]) + float64((float64(v[j])-float64(v[i]))*(at-float64(i))))
	}
	return out
}

// The constants of SELU (Klambauer and others, "Self-Normalizing Neural Networks", NIPS 2017).
const (
	seluScale = 1.0507009873554805
	seluAlpha = 1.6732632423543772
	seluLow   = float32(seluScale * seluAlpha)
)

// mishLinear is the number above which Mish is its argument.
const mishLinear = 20

// lanes is how many numbers a kernel does at a time. The definitions do the rest.
const lanes = 8

// inLanes is how many of v go by kernel.
func inLanes(v []float32) int {
	if !vector {
		return 0
	}
	return len(v) &^ (lanes - 1)
}

func at(v []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(v)) }

// shift sets z to z unit + bias, number by number.
func shift(z, bias []float32, unit float32) {
	bias = bias[:len(z)]
	n := inLanes(z)
	if n > 0 {
		shiftKernel(n/lanes, at(z), at(bias), unit)
	}
	shiftPlain(z[n:], bias[n:], unit)
}

func shiftPlain(z, bias []float32, unit float32) {
	for i, b := range bias {
		z[i] = float32(z[i]*unit) + b
	}
}

// activate writes f(z) to out, which may be z.
func activate(name string, z, out []float32) {
	out = out[:len(z)]
	n := inLanes(z)
	if n > 0 {
		switch name {
		case "relu":
			reluKernel(n/lanes, at(z), at(out))
		case "selu":
			seluKernel(n/lanes, at(z), at(out))
		default:
			mishKernel(n/lanes, at(z), at(out))
		}
	}
	activatePlain(name, z[n:], out[n:])
}

func activatePlain(name string, z, out []float32) {
	switch name {
	case "relu":
		for i, v := range z {
			if v < 0 {
				v = 0
			}
			out[i] = v
		}
	case "selu":
		for i, v := range z {
			if v > 0 {
				out[i] = float32(seluScale) * v
			} else {
				out[i] = float32(seluLow*exp32(v)) - seluLow
			}
		}
	default: // mish: z tanh(log(1+e^z)) (Misra, arXiv:1908.08681)
		for i, v := range z {
			if v > mishLinear {
				out[i] = v
			} else {
				out[i] = v * mishTanh(exp32(v))
			}
		}
	}
}

// mishTanh is tanh(log(1+e)) = n/(n+2) with n = e (e + 2).
func mishTanh(e float32) float32 {
	n := float32(e * (e + 2))
	return n / (n + 2)
}

// slope multiplies grad by f'(z) and unit, given z and f(z).
func slope(name string, z, f, grad []float32, unit float32) {
	f, grad = f[:len(z)], grad[:len(z)]
	n := inLanes(z)
	if n > 0 {
		switch name {
		case "relu":
			reluSlopeKernel(n/lanes, at(z), at(grad), unit)
		case "selu":
			seluSlopeKernel(n/lanes, at(z), at(f), at(grad), unit)
		default:
			mishSlopeKernel(n/lanes, at(z), at(grad), unit)
		}
	}
	slopePlain(name, z[n:], f[n:], grad[n:], unit)
}

func slopePlain(name string, z, f, grad []float32, unit float32) {
	switch name {
	case "relu":
		for i, v := range z {
			by := unit
			if v <= 0 {
				by = 0
			}
			grad[i] *= by
		}
	case "selu":
		for i, v := range z {
			by := f[i] + seluLow
			if v > 0 {
				by = seluScale
			}
			grad[i] *= float32(by * unit)
		}
	default:
		for i, v := range z {
			by := float32(1)
			if !(v > mishLinear) {
				e := exp32(v)
				t := mishTanh(e)
				s := e / (1 + e)
				by = t + float32(v*float32(s*(1-float32(t*t))))
			}
			grad[i] *= float32(by * unit)
		}
	}
}

// The range of exp32: what is greater counts as expMost, and what is less gives 0.
const (
	expMost  = 88
	expLeast = -87
)

// The constants of exp32. Adding whole leaves the nearest whole number in the low bits.
const (
	ln2   = math.Ln2
	whole = 3 << 51
)

// exp32 is e^x with a relative error below 1e-6: 2^k e^r with |r| <= ln 2 / 2 and a polynomial of degree 6. It uses no
// fused operation, so that it has the same bits everywhere.
func exp32(x float32) float32 {
	if x > expMost {
		x = expMost
	}
	if x < expLeast {
		return 0
	}
	v := float64(x)
	t := float64(v*(1/ln2)) + whole
	k := t - whole
	r := v - float64(k*ln2)
	p := 1 + float64(r*(1+float64(r*(.5+float64(r*(1.0/6+float64(r*(1.0/24+float64(r*(1.0/120+float64(r*(1.0/720))))))))))))
	return float32(math.Float64frombits(math.Float64bits(p) + math.Float64bits(t)<<52))
}

// adamFactors are the numbers of a step of Adam.
type adamFactors struct {
	unit         float32 // on the gradient
	keep1, take1 float32 // shares of the old first moment and of the gradient
	keep2, take2 float32 // the same of the second moment and the squared gradient
	one, two     float32 // corrections of the moments for their start at zero
	size         float32 // learning rate
	tiny         float32 // beside the root of the second moment
}

// move takes a step of Adam: w goes against its gradient.
func move(w, grad, first, second []float32, by *adamFactors) {
	grad, first, second = grad[:len(w)], first[:len(w)], second[:len(w)]
	n := inLanes(w)
	if n > 0 {
		adamKernel(n/lanes, at(w), at(grad), at(first), at(second), by)
	}
	movePlain(w[n:], grad[n:], first[n:], second[n:], by)
}

func movePlain(w, grad, first, second []float32, by *adamFactors) {
	for i, d := range grad {
		d *= by.unit
		m := float32(by.keep1*first[i]) + float32(by.take1*d)
		s := float32(by.keep2*second[i]) + float32(float32(by.take2*d)*d)
		first[i], second[i] = m, s
		w[i] -= float32(by.size*float32(m*by.one)) / (float32(math.Sqrt(float64(float32(s*by.two)))) + by.tiny)
	}
}
