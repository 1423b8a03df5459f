//go:build !amd64

package mlp

import "unsafe"

const vector = false

func shiftKernel(int, unsafe.Pointer, unsafe.Pointer, float32)                     { none() }
func reluKernel(int, unsafe.Pointer, unsafe.Pointer)                               { none() }
func seluKernel(int, unsafe.Pointer, unsafe.Pointer)                               { none() }
func mishKernel(int, unsafe.Pointer, unsafe.Pointer)                               { none() }
func reluSlopeKernel(int, unsafe.Pointer, unsafe.Pointer, float32)                 { none() }
func seluSlopeKernel(int, unsafe.Pointer, unsafe.Pointer, unsafe.Pointer, float32) { none() }
func mishSlopeKernel(int, unsafe.Pointer, unsafe.Pointer, float32)                 { none() }
func adamKernel(int, unsafe.Pointer, unsafe.Pointer, unsafe.Pointer, unsafe.Pointer, *adamFactors) {
	none()
}

func none() { panic("mlp: there are no kernels for this processor") }
