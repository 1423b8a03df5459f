//go:build amd64 || arm64

package gbdt

import "unsafe"

// prefetch8 asks memory for the codes of eight rows: for each the byte at codes + row*stride and the one last bytes
// further. It reads nothing and keeps no pointer. Go has no other way to say this, and training takes twice as long
// without.
//
//go:noescape
func prefetch8(codes unsafe.Pointer, rows *uint32, stride, last int)
