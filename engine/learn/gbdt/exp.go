package gbdt

import "math"

// clamp keeps a margin where e^-x and what is made of it stay harmless. Comparisons cost less than the builtins min and
// max, which mind NaN and -0.
func clamp(x float64) float64 {
	if x > 40 {
		return 40
	}
	if x < -40 {
		return -40
	}
	return x
}

// exp is e^m for |m| <= 700, and as if m were there beyond, within a relative error of 1e-9.
func exp(m float64) float64 { return expNeg(-min(max(m, -700), 700)) }

// expNeg is e^-x for |x| <= 700, with a relative error below 1e-9, several times as fast as math.Exp and, unlike it,
// with the same bits on every processor. It is for gradients only: they are rounded to 15 bits next.
// e^-x = 2^(m/32) * e^r with m the nearest whole number to -32x/ln 2, so that |r| <= ln 2 / 64.
func expNeg(x float64) float64 {
	// Adding 1.5 * 2^52 leaves the nearest whole number in the low bits.
	t := float64(x*(-32/math.Ln2)) + 3<<51
	m := math.Float64bits(t)
	r := -x - float64((t-3<<51)*(math.Ln2/32))
	p := 1 + float64(r*(1+float64(r*(0.5+float64(r*(1.0/6))))))
	return math.Float64frombits(twoTo[m&31]+m>>5<<52) * p
}

// twoTo is the bits of 2^(j/32), built from square roots, which every processor rounds alike.
var twoTo = func() (t [32]uint64) {
	roots := [5]float64{math.Sqrt2}
	for i := 1; i < 5; i++ {
		roots[i] = math.Sqrt(roots[i-1])
	}
	for j := range t {
		v := 1.0
		for b := range 5 {
			if j>>(4-b)&1 == 1 {
				v *= roots[b]
			}
		}
		t[j] = math.Float64bits(v)
	}
	return t
}()
