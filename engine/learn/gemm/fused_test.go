package gemm

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// hard are numbers whose products and sums end near the middle between two float32, among the subnormal, near overflow
// and in zeros of both signs.
func hard(r *rand.Rand) float32 {
	switch r.IntN(8) {
	case 0: // few digits: products that are sums of few powers of two
		return float32(math.Ldexp(float64(r.IntN(33)-16), r.IntN(60)-40))
	case 1: // next to a power of two
		return math.Float32frombits(uint32(127+r.IntN(60)-30)<<23 + uint32(r.IntN(5)) - 2)
	case 2: // subnormal
		return math.Float32frombits(r.Uint32()&0x807fffff | uint32(r.IntN(3)))
	case 3: // near the root of the least numbers, so that products are subnormal
		return float32(math.Ldexp(r.NormFloat64(), -70+r.IntN(12)))
	case 4:
		return float32(math.Ldexp(r.NormFloat64(), 60+r.IntN(12)))
	case 5:
		return []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, math.SmallestNonzeroFloat32}[r.IntN(6)]
	default:
		return float32(r.NormFloat64())
	}
}

// addend is often such that a*b + c ends near the middle between two float32.
func addend(r *rand.Rand, a, b float32) float32 {
	p := float64(a) * float64(b)
	switch r.IntN(4) {
	case 0:
		return hard(r)
	case 1: // takes away the leading digits of the product
		return -float32(p)
	case 2: // the product is about half the last digit of the sum
		return float32(math.Ldexp(p, 24+r.IntN(3)-1))
	default: // the product is far below the last digit
		return float32(math.Ldexp(float64(r.IntN(1<<24)), r.IntN(40)-20))
	}
}

// The exact sum, rounded once by math/big, is the definition.
func TestFused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	check := func(a, b, c float32) {
		t.Helper()
		// 1000 digits hold every product and sum of float32 exactly.
		sum := new(big.Float).SetPrec(1000).SetFloat64(float64(a) * float64(b))
		sum.Add(sum, new(big.Float).SetPrec(1000).SetFloat64(float64(c)))
		want, _ := sum.Float32()
		for _, got := range []float32{exact(a, b, c), fused(a, b, c)} {
			if math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%x*%x + %x is %x, not %x", a, b, c, got, want)
			}
		}
	}
	// 1 + 2^-24 lies in the middle; the least product decides, and float64 cannot hold it.
	half, least := float32(0x1p-12), float32(math.Ldexp(1, -70))
	check(half, half, 1)
	check(half+least, half, 1)
	check(float32(math.Nextafter32(half, 1)), half, 1)
	check(float32(math.Nextafter32(half, 0)), half, 1)
	check(0x1p-75, 0x1p-75, 0x1p-149)
	check(1.5*0x1p-75, 0x1p-75, 0x1p-149)
	for range 60_000 {
		a, b := hard(r), hard(r)
		check(a, b, addend(r, a, b))
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ a, b, c, want float32 }{
		{inf, 1, 1, inf}, {inf, -1, 1, -inf}, {1, 1, -inf, -inf}, {inf, 0, 1, nan}, {inf, 1, -inf, nan}, {nan, 1, 1, nan}, {1, 1, nan, nan},
		{math.MaxFloat32, 2, -inf, -inf}, {math.MaxFloat32, 2, 0, inf}, {math.MaxFloat32, 2, -math.MaxFloat32, math.MaxFloat32},
	} {
		got := fused(c.a, c.b, c.c)
		if got != c.want && !(got != got && c.want != c.want) {
			t.Errorf("%v*%v + %v is %v, not %v", c.a, c.b, c.c, got, c.want)
		}
	}
}

// The kernels and their definitions give the same bits.
func TestKernels(t *testing.T) {
	if !vector {
		t.Skip("this processor has no AVX2 with FMA")
	}
	r := rand.New(rand.NewPCG(1, 4))
	same := func(what string, got, want []float32) {
		t.Helper()
		for i, v := range want {
			if math.Float32bits(got[i]) != math.Float32bits(v) && !(v != v && got[i] != got[i]) {
				t.Fatalf("%s: number %d is %x by the kernel, %x by definition", what, i, got[i], v)
			}
		}
	}
	fill := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = hard(r)
		}
		return out
	}
	for range 4000 {
		k := 1 + r.IntN(4)
		a, panel, start := Dense(tileRows, k, fill(tileRows*k)), fill(k*tileColumns), fill(tileRows*tileColumns)
		for i := range start {
			start[i] = addend(r, a.Data[i/tileColumns*k], panel[i%tileColumns])
		}
		more := r.IntN(2) == 0
		got, want := append([]float32(nil), start...), append([]float32(nil), start...)
		tile(a, panel, got, tileColumns, more)
		plain(a, panel, want, tileColumns, more)
		same("tile", got, want)
	}
	for range 1000 {
		k, columns := 1+r.IntN(6), 1+r.IntN(150)
		a, b := fill(k), Dense(k, columns, fill(k*columns))
		got, want := make([]float32, columns+1), make([]float32, columns)
		got[columns] = 7
		few(got, Dense(1, k, a), b)
		plainRow(want, a, 1, b)
		same("row", got, want)
		if got[columns] != 7 {
			t.Fatal("the kernel of a row writes past its end")
		}
	}
}

func BenchmarkFused(b *testing.B) {
	var s float32
	for b.Loop() {
		s = fused(s, .99, 1)
	}
}
