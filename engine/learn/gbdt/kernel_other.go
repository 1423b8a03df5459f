//go:build !amd64

package gbdt

// vector says that there are kernels beside the scalar ones.
var vector = false

func logisticBlock(margins, own []float64, towards, grads []float32, most *[2]float64) {
	logisticRows(margins, own, towards, grads, most)
}

func quantiseBlock(g *grower, grads []float32, lo, hi int, scales *[2]float64) {
	quantiseRows(g, grads, lo, hi, scales, 0, false)
}

func pairBlock(own *placed, sums *pairSums, margins, gains, discounts, g, h []float64) {
	pairRows(own, sums, margins, gains, discounts, g, h)
}
