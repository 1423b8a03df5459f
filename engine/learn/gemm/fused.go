package gemm

import "math"

// exact is a*b + c rounded once, as the fused instructions of processors compute it. It is the definition of fused.
//
// The product of two float32 is exact in float64. Where the sum in float64 does not lie in the middle between two
// float32, rounding it again changes nothing; where it does, or where float32 has fewer digits, the sum is first moved
// to the odd neighbour on the side of its error (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008).
func exact(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	const below = 29 // digits that float64 has and float32 has not
	if math.Float64bits(s)&(1<<below-1) != 1<<(below-1) && math.Abs(s) >= 0x1p-126 {
		return float32(s)
	}
	return odd(float64(float64(a)*float64(b)), float64(c), s)
}

// odd is p + c rounded once, s being the sum in float64.
func odd(p, c, s float64) float32 {
	d := s - p
	e := (p - (s - d)) + (c - d) // Knuth's TwoSum: s+e is exact
	bits := math.Float64bits(s)
	if bits&1 == 0 && (e > 0 || e < 0) { // an infinite sum has no error
		if e > 0 == (s > 0) {
			bits++
		} else {
			bits--
		}
	}
	return float32(math.Float64frombits(bits))
}
