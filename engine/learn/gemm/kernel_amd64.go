package gemm

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vector says that the kernels can be used.
var vector = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// kernel6x16 sets 6 rows of 16 numbers at c, ldc bytes apart, to the product of 6 rows of k numbers at a, rs bytes apart
// and their numbers cs bytes apart, and k rows of 16 numbers at b; with more it goes on from what is at c.
//
//go:noescape
func kernel6x16(k int, a unsafe.Pointer, rs, cs uintptr, b, c unsafe.Pointer, ldc uintptr, more bool)

// kernelRow sets the columns numbers at c to the product of k numbers at a, cs bytes apart, and k rows at b, ldb bytes
// apart.
//
//go:noescape
func kernelRow(k int, a unsafe.Pointer, cs uintptr, b unsafe.Pointer, ldb uintptr, c unsafe.Pointer, columns int)

// transpose8 writes 8 rows of 8n numbers at src, stride bytes apart, as 8n rows of 8 numbers at dst, ldd bytes apart.
//
//go:noescape
func transpose8(n int, src unsafe.Pointer, stride uintptr, dst unsafe.Pointer, ldd uintptr)
