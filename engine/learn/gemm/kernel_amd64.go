package gemm

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vector says that kernel6x16 can be used.
var vector = cpu.X86.HasAVX2

// kernel6x16 sets 6 rows of 16 numbers at c, ldc bytes apart, to the product of 6 rows of k numbers at a, rs bytes apart
// and their numbers cs bytes apart, and k rows of 16 numbers at b. Products are rounded before they are added.
//
//go:noescape
func kernel6x16(k int, a unsafe.Pointer, rs, cs uintptr, b, c unsafe.Pointer, ldc uintptr)
