//go:build !amd64 && !arm64

package gbdt

import "unsafe"

// prefetch8 does nothing where it has not been written for the processor.
func prefetch8(unsafe.Pointer, *uint32, int, int) {}
