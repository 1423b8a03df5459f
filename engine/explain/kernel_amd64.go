package explain

import "golang.org/x/sys/cpu"

// kernel is descend, in assembly where the processor has AVX2.
var kernel = func() func(nodes []node, at []uint32, coefs, products, sums []float64) {
	if cpu.X86.HasAVX2 {
		return descendAVX2
	}
	return descend
}()

// descendAVX2 is descend with the four lanes in one register. The slices must be as long as descend needs them, which it
// does not check; nodes must not be empty.
//
//go:noescape
func descendAVX2(nodes []node, at []uint32, coefs, products, sums []float64)
