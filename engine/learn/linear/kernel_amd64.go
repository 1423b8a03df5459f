package linear

import "golang.org/x/sys/cpu"

// vector says that the kernels of kernel_amd64.s can run here.
var vector = cpu.X86.HasAVX2

// dot4AVX2 is dotRow for four rows of n columns.
//
//go:noescape
func dot4AVX2(dst, w *float64, x *float32, n int)

// axpy4AVX2 is axpyRow for four rows of n columns, in turn.
//
//go:noescape
func axpy4AVX2(sum, r *float64, x *float32, n int)

// outer4AVX2 is outer for n columns, a multiple of 8.
//
//go:noescape
func outer4AVX2(sum, r, z *float64, n, stride int)
