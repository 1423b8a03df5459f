package mlp

import (
	"math"
	"slices"
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
)

// activate writes f(z) to out.
func activate(name string, z, out []float32) {
	out = out[:len(z)]
	switch name {
	case "relu":
		for i, v := range z {
			out[i] = max(v, 0)
		}
	case "selu":
		const low = float32(seluScale * seluAlpha)
		for i, v := range z {
			if v > 0 {
				out[i] = float32(seluScale) * v
			} else {
				out[i] = float32(low*exp32(v)) - low
			}
		}
	default: // mish: z tanh(log(1+e^z)) (Misra, arXiv:1908.08681), with n = e^z (e^z + 2) and tanh = n/(n+2)
		for i, v := range z {
			if v > 20 {
				out[i] = v
				continue
			}
			e := exp32(v)
			n := e * (e + 2)
			out[i] = v * (n / (n + 2))
		}
	}
}

// slope multiplies grad by f'(z) and unit, given z and f(z).
func slope(name string, z, f, grad []float32, unit float32) {
	f, grad = f[:len(z)], grad[:len(z)]
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
		const low = float32(seluScale * seluAlpha)
		for i, v := range z {
			by := f[i] + low
			if v > 0 {
				by = float32(seluScale)
			}
			grad[i] *= float32(by * unit)
		}
	default:
		for i, v := range z {
			if v > 20 {
				grad[i] *= unit
				continue
			}
			e := exp32(v)
			n := e * (e + 2)
			t := n / (n + 2)
			s := e / (1 + e)
			grad[i] *= unit * (t + float32(v*float32(s*(1-float32(t*t)))))
		}
	}
}

// exp32 is e^x with a relative error below 1e-6: 2^k e^r with |r| <= ln 2 / 2 and a polynomial of degree 6. It uses no
// fused operation, so that it has the same bits everywhere.
func exp32(x float32) float32 {
	if x > 88 {
		x = 88
	}
	if x < -87 {
		return 0
	}
	// Adding 1.5 * 2^52 leaves the nearest whole number in the low bits.
	v := float64(x)
	t := float64(v*(1/math.Ln2)) + 3<<51
	k := t - 3<<51
	r := v - float64(k*math.Ln2)
	p := 1 + float64(r*(1+float64(r*(.5+float64(r*(1.0/6+float64(r*(1.0/24+float64(r*(1.0/120+float64(r*(1.0/720))))))))))))
	return float32(math.Float64frombits(math.Float64bits(p) + math.Float64bits(t)<<52))
}
