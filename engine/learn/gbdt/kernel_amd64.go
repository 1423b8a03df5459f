package gbdt

import "golang.org/x/sys/cpu"

// vector says that the kernels of AVX2 can be used; only tests change it.
var vector = cpu.X86.HasAVX2

// logisticAVX2 is logisticRows of n rows, a multiple of 4 above 0. powers is twoTo.
//
//go:noescape
func logisticAVX2(margins, own *float64, towards, grads *float32, n int, powers *[32]uint64, most *[2]float64)

// logisticBlock is logisticRows.
func logisticBlock(margins, own []float64, towards, grads []float32, most *[2]float64) {
	n := 0
	if vector {
		n = len(margins) &^ 3
	}
	if n > 0 {
		logisticAVX2(&margins[0], &own[:n][0], &towards[:n][0], &grads[:2*n][0], n, &twoTo, most)
	}
	logisticRows(margins[n:], own[n:], towards[n:], grads[2*n:], most)
}

// quantiseAVX2 is quantiseRows without dither of n rows, a multiple of 4 above 0, the first of which has its gradient at
// records. scales are those of gradients and of hessians.
//
//go:noescape
func quantiseAVX2(grads *float32, records *uint8, stride, n int, scales *[2]float64)

// quantiseBlock is quantiseRows without dither.
func quantiseBlock(g *grower, grads []float32, lo, hi int, scales *[2]float64) {
	n := 0
	if vector {
		n = (hi - lo) &^ 3
	}
	if n > 0 {
		d := g.data
		records := d.Records[lo*d.Stride+d.Width : (lo+n-1)*d.Stride+d.Width+gradientRoom]
		quantiseAVX2(&grads[2*lo : 2*(lo+n)][0], &records[0], d.Stride, n, scales)
	}
	quantiseRows(g, grads, lo+n, hi, scales, 0, false)
}

// pairsAVX2 is pairRows of n rows, a multiple of 4 above 0. powers is twoTo.
//
//go:noescape
func pairsAVX2(own *placed, sums *pairSums, margins, gains, discounts, pulls, curves *float64, n int, powers *[32]uint64)

// pairBlock is pairRows.
func pairBlock(own *placed, sums *pairSums, margins, gains, discounts, g, h []float64) {
	n := 0
	if vector {
		n = len(margins) &^ 3
	}
	if n > 0 {
		pairsAVX2(own, sums, &margins[0], &gains[:n][0], &discounts[:n][0], &g[:n][0], &h[:n][0], n, &twoTo)
	}
	pairRows(own, sums, margins[n:], gains[n:], discounts[n:], g[n:], h[n:])
}
