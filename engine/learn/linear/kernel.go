package linear

// The kernels multiply rows of float32 by vectors of float64 and add in float64. Their order of additions is part of
// their meaning, so that models are the same on every processor: a product is rounded before it is added, and dot adds
// the products of columns j in eight lanes, j modulo 8, which it joins in one order at the end.
//
// Vectors have a length that is a multiple of 8 (see padded); rows need not.

// padded is the least multiple of 8 that is not below n.
func padded(n int) int { return (n + 7) &^ 7 }

// dotRow is the sum of w[j]*x[j] over the columns of one row.
func dotRow(w []float64, x []float32) float64 {
	var lane [8]float64
	for len(x) >= 8 {
		v, u := x[:8], w[:8]
		lane[0] += float64(u[0] * float64(v[0]))
		lane[1] += float64(u[1] * float64(v[1]))
		lane[2] += float64(u[2] * float64(v[2]))
		lane[3] += float64(u[3] * float64(v[3]))
		lane[4] += float64(u[4] * float64(v[4]))
		lane[5] += float64(u[5] * float64(v[5]))
		lane[6] += float64(u[6] * float64(v[6]))
		lane[7] += float64(u[7] * float64(v[7]))
		x, w = x[8:], w[8:]
	}
	for j, v := range x {
		lane[j] += float64(w[j] * float64(v))
	}
	even := (lane[0] + lane[4]) + (lane[2] + lane[6])
	odd := (lane[1] + lane[5]) + (lane[3] + lane[7])
	return even + odd
}

// axpyRow adds r*x[j] to g[j].
func axpyRow(g []float64, r float64, x []float32) {
	g = g[:len(x)]
	for j, v := range x {
		g[j] += float64(r * float64(v))
	}
}

// dots writes the dot products of w with rows of n columns, one after the other in x, to dst.
func dots(dst []float64, w []float64, x []float32, n int) {
	i := 0
	if vector {
		_ = w[padded(n)-1]
		for ; i+4 <= len(dst); i += 4 {
			_ = x[(i+4)*n-1]
			dot4AVX2(&dst[i], &w[0], &x[i*n], n)
		}
	}
	for ; i < len(dst); i++ {
		dst[i] = dotRow(w, x[i*n:(i+1)*n])
	}
}

// axpys adds r[i] times row i of x, for every row in turn, to g.
func axpys(g []float64, r []float64, x []float32, n int) {
	i := 0
	if vector {
		_ = g[padded(n)-1]
		for ; i+4 <= len(r); i += 4 {
			_ = x[(i+4)*n-1]
			axpy4AVX2(&g[0], &r[i], &x[i*n], n)
		}
	}
	for ; i < len(r); i++ {
		axpyRow(g, r[i], x[i*n:(i+1)*n])
	}
}

// outer adds r[k]*z[k*stride+j] for the four k in turn to every g[j]. The length of g is a multiple of 8.
func outer(g []float64, r *[4]float64, z []float64, stride int) {
	_ = z[3*stride+len(g)-1]
	if vector {
		outer4AVX2(&g[0], &r[0], &z[0], len(g), stride)
		return
	}
	z0, z1, z2, z3 := z[:len(g)], z[stride:stride+len(g)], z[2*stride:2*stride+len(g)], z[3*stride:3*stride+len(g)]
	for j, v := range g {
		v += float64(r[0] * z0[j])
		v += float64(r[1] * z1[j])
		v += float64(r[2] * z2[j])
		v += float64(r[3] * z3[j])
		g[j] = v
	}
}
