package tensor

import "math"

// Float32 is the value of a half-precision number.
func (h Float16) Float32() float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 0x1f
	frac := uint32(h) & 0x3ff
	switch exp {
	case 0:
		v := float32(frac) * (1.0 / (1 << 24)) // subnormal: frac x 2^-24
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// ToFloat16 rounds to half precision, to even; what is too large becomes infinite.
func ToFloat16(f float32) Float16 {
	b := math.Float32bits(f)
	sign := Float16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 // NaN
	case b >= 0x47800000:
		return sign | 0x7c00 // 65536 and more
	case b < 0x33000000:
		return sign // less than half of the smallest
	case b < 0x38800000: // subnormal
		shift := 126 - b>>23
		frac := b&0x7fffff | 0x800000
		half := uint32(1) << (shift - 1)
		v := frac >> shift
		if rest := frac & (1<<shift - 1); rest > half || rest == half && v&1 == 1 {
			v++
		}
		return sign | Float16(v)
	}
	v := (b - 0x38000000) >> 13
	if rest := b & 0x1fff; rest > 0x1000 || rest == 0x1000 && v&1 == 1 {
		v++
	}
	return sign | Float16(v)
}

// Float32 is the value of a bfloat16.
func (h BFloat16) Float32() float32 { return math.Float32frombits(uint32(h) << 16) }

// ToBFloat16 rounds to a bfloat16, to even.
func ToBFloat16(f float32) BFloat16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return BFloat16(b>>16) | 0x40 // a NaN stays one
	}
	return BFloat16((b + 0x7fff + b>>16&1) >> 16)
}
