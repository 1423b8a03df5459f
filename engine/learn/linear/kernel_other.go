//go:build !amd64

package linear

var vector = false

func dot4AVX2(dst, w *float64, x *float32, n int)  { panic("linear: no vector kernel") }
func axpy4AVX2(sum, r *float64, x *float32, n int) { panic("linear: no vector kernel") }
func outer4AVX2(sum, r, z *float64, n, stride int) { panic("linear: no vector kernel") }
