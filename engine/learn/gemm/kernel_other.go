//go:build !amd64

package gemm

import "unsafe"

const vector = false

func kernel6x16(int, unsafe.Pointer, uintptr, uintptr, unsafe.Pointer, unsafe.Pointer, uintptr, bool) {
	panic("gemm: there is no kernel for this processor")
}

func kernelRow(int, unsafe.Pointer, uintptr, unsafe.Pointer, uintptr, unsafe.Pointer, int) {
	panic("gemm: there is no kernel for this processor")
}

func transpose8(int, unsafe.Pointer, uintptr, unsafe.Pointer, uintptr) {
	panic("gemm: there is no kernel for this processor")
}
