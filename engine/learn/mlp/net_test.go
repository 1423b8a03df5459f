package mlp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbers are ordinary ones, and some at the edges of the definitions.
func numbers(r *rand.Rand, n int) []float32 {
	edges := []float32{0, float32(math.Copysign(0, -1)), expMost, 88.1, expLeast, -87.1, mishLinear, 20.1, 1e30, -1e30, 1e-30, -1e-42,
		float32(math.Inf(1)), float32(math.Inf(-1))}
	out := make([]float32, n)
	for i := range out {
		switch r.IntN(10) {
		case 0:
			out[i] = edges[r.IntN(len(edges))]
		case 1:
			out[i] = float32(50 * r.NormFloat64())
		default:
			out[i] = float32(r.NormFloat64())
		}
	}
	return out
}

// The kernels and the definitions give the same bits, and kernels leave alone what lies behind.
func TestKernels(t *testing.T) {
	if !vector {
		t.Skip("this processor has no AVX2")
	}
	r := rand.New(rand.NewPCG(1, 1))
	same := func(what string, got, want []float32) {
		t.Helper()
		for i, v := range want {
			if math.Float32bits(got[i]) != math.Float32bits(v) && !(v != v && got[i] != got[i]) {
				t.Fatalf("%s: number %d of %d is %x by the kernel, %x by definition", what, i, len(want), got[i], v)
			}
		}
	}
	for range 3000 {
		n := r.IntN(70)
		z, other, third, unit := numbers(r, n), numbers(r, n), numbers(r, n), float32(r.NormFloat64())

		got, want := slices.Clone(z), slices.Clone(z)
		shift(got, other, unit)
		shiftPlain(want, other, unit)
		same("shift", got, want)

		for _, name := range activations {
			f := make([]float32, n)
			activate(name, z, f)
			want := make([]float32, n)
			activatePlain(name, z, want)
			same(name, f, want)
			got := slices.Clone(z)
			activate(name, got, got)
			same(name+" in place", got, want)

			got, want = slices.Clone(other), slices.Clone(other)
			slope(name, z, f, got, unit)
			slopePlain(name, z, f, want, unit)
			same("slope of "+name, got, want)
		}

		by := adamFactors{unit: unit, keep1: beta1, take1: 1 - beta1, keep2: beta2, take2: 1 - beta2, one: 1 + r.Float32()*9, two: 1 + r.Float32()*19, size: .04 * r.Float32(), tiny: tiny}
		for i, v := range third {
			third[i] = max(v, -v)
		}
		first, second := numbers(r, n), slices.Clone(third)
		w := slices.Clone(z)
		wantW, wantFirst, wantSecond := slices.Clone(w), slices.Clone(first), slices.Clone(second)
		move(w, other, first, second, &by)
		movePlain(wantW, other, wantFirst, wantSecond, &by)
		same("weights", w, wantW)
		same("first moment", first, wantFirst)
		same("second moment", second, wantSecond)
	}
	for k, f := range map[string]func(z, spare []float32){
		"shift":    func(z, spare []float32) { shift(z, spare, 1) },
		"activate": func(z, spare []float32) { activate("mish", z, z) },
		"slope":    func(z, spare []float32) { slope("mish", spare, spare, z, 1) },
		"move":     func(z, spare []float32) { move(z, spare, slices.Clone(spare), slices.Clone(spare), new(adamFactors)) },
	} {
		v := numbers(r, 30)
		before := slices.Clone(v)
		f(v[:13], make([]float32, 13))
		same(k+" behind", v[13:], before[13:])
	}
}

// exp32 against the library's exponential; its comment says how close.
func TestExp(t *testing.T) {
	for x := float32(-87); x <= 88; x += .013 {
		want := math.Exp(float64(x))
		if got := float64(exp32(x)); math.Abs(got-want) > 1e-6*want {
			t.Fatalf("e^%v is %v, not %v", x, got, want)
		}
	}
}

// Slopes against differences of the activations in float64 steps of 2^-8: the error of a difference is the third
// derivative times 2^-16/6 and float32's rounding over the step, together below 1e-3.
func TestSlope(t *testing.T) {
	for _, name := range activations {
		for x := float32(-6); x < 25; x += .37 {
			const h = 1.0 / 256
			z := []float32{x - h, x, x + h}
			f, grad := make([]float32, 3), []float32{1, 1, 1}
			activate(name, z, f)
			slope(name, z, f, grad, 1)
			if want := (f[2] - f[0]) / (2 * h); math.Abs(float64(grad[1]-want)) > 1e-3 {
				t.Errorf("%s at %v: the slope is %v, differences say %v", name, x, grad[1], want)
			}
		}
	}
}

func BenchmarkElementwise(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 1 << 13
	z, out, grad := numbers(r, n), make([]float32, n), numbers(r, n)
	for _, name := range activations {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				activate(name, z, out)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/number")
		})
	}
	b.Run("adam", func(b *testing.B) {
		first, second := make([]float32, n), make([]float32, n)
		by := adamFactors{unit: 1, keep1: beta1, take1: 1 - beta1, keep2: beta2, take2: 1 - beta2, one: 1, two: 1, size: 1e-3, tiny: tiny}
		for b.Loop() {
			move(z, grad, first, second, &by)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/number")
	})
}
