package explain

// descend is the kernel: for one row, one tree and one chunk of points it carries products down, sums up, and adds what
// each split contributes to its feature. at holds for each node where the factors of its state begin in coefs. products
// has lanes numbers per place and begins with the weights of the points at the root; sums has lanes numbers per feature.
// It is the twin of the assembly and gives the same bits.
func descend(nodes []node, at []uint32, coefs, products, sums []float64) {
	at = at[:len(nodes)]
	for i := range nodes {
		n := &nodes[i]
		from := (*[lanes]float64)(products[n.place*lanes:])
		to := (*[2 * lanes]float64)(products[n.left*lanes:])
		c := (*[perState]float64)(coefs[at[i]:])
		for l, p := range from {
			to[l] = p * c[l]
			to[lanes+l] = p * c[lanes+l]
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		n := &nodes[i]
		to := (*[lanes]float64)(products[n.place*lanes:])
		from := (*[2 * lanes]float64)(products[n.left*lanes:])
		c := (*[perState]float64)(coefs[at[i]:])
		sum := (*[lanes]float64)(sums[n.feature*lanes:])
		for l := range lanes {
			left, right := from[l], from[lanes+l]
			to[l] = left + right
			sum[l] += float64(left*c[2*lanes+l]) + float64(right*c[3*lanes+l])
		}
	}
}
