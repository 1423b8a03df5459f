package mlp

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vector says that the kernels can be used. Each does n times eight numbers as its definition in net.go does them.
var vector = cpu.X86.HasAVX2

//lint:file-ignore U1000 the assembly uses these constants

// series are the constants of exp32, a vector of each: 1/ln 2, what leaves whole numbers in the low bits, ln 2, and the
// factors of the polynomial, the highest first.
var series = [...][4]float64{four(1 / ln2), four(whole), four(ln2), four(1.0 / 720), four(1.0 / 120), four(1.0 / 24), four(1.0 / 6), four(.5), four(1)}

// singles are the other constants, a vector of each: the range of exp32, those of SELU, those of Mish.
var singles = [...][8]float32{eight(expMost), eight(expLeast), eight(seluScale), eight(seluLow), eight(1), eight(2), eight(mishLinear)}

func four(v float64) [4]float64 { return [4]float64{v, v, v, v} }

func eight(v float32) [8]float32 { return [8]float32{v, v, v, v, v, v, v, v} }

// shiftKernel is shift.
//
//go:noescape
func shiftKernel(n int, z, bias unsafe.Pointer, unit float32)

// reluKernel, seluKernel and mishKernel are activate.
//
//go:noescape
func reluKernel(n int, z, out unsafe.Pointer)

//go:noescape
func seluKernel(n int, z, out unsafe.Pointer)

//go:noescape
func mishKernel(n int, z, out unsafe.Pointer)

// reluSlopeKernel, seluSlopeKernel and mishSlopeKernel are slope.
//
//go:noescape
func reluSlopeKernel(n int, z, grad unsafe.Pointer, unit float32)

//go:noescape
func seluSlopeKernel(n int, z, f, grad unsafe.Pointer, unit float32)

//go:noescape
func mishSlopeKernel(n int, z, grad unsafe.Pointer, unit float32)

// adamKernel is move.
//
//go:noescape
func adamKernel(n int, w, grad, first, second unsafe.Pointer, by *adamFactors)
