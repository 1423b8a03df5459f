#include "textflag.h"

// Eight words of ones, then eight of zeros: read from word 8-k it is the mask of the first k.
DATA masks<>+0(SB)/8, $0xffffffffffffffff
DATA masks<>+8(SB)/8, $0xffffffffffffffff
DATA masks<>+16(SB)/8, $0xffffffffffffffff
DATA masks<>+24(SB)/8, $0xffffffffffffffff
DATA masks<>+32(SB)/8, $0
DATA masks<>+40(SB)/8, $0
DATA masks<>+48(SB)/8, $0
DATA masks<>+56(SB)/8, $0
GLOBL masks<>(SB), RODATA|NOPTR, $64

// Starts of four rows in R8 to R11, columns in CX, those in whole eights in BX, and AX = 0.
#define ROWS \
	LEAQ (R8)(CX*4), R9; \
	LEAQ (R9)(CX*4), R10; \
	LEAQ (R10)(CX*4), R11; \
	XORQ AX, AX; \
	MOVQ CX, BX; \
	ANDQ $-8, BX

// The mask of the columns after the last whole eight, in Y15, for BX not equal to CX.
#define MASK \
	LEAQ masks<>(SB), R12; \
	MOVQ BX, DX; \
	SUBQ CX, DX; \
	VMOVDQU 32(R12)(DX*4), Y15

// Eight columns of a row as float64 in Y10 and Y11.
#define EIGHT(row) \
	VCVTPS2PD (row)(AX*4), Y10; \
	VCVTPS2PD 16(row)(AX*4), Y11

#define REST(row) \
	VMASKMOVPS (row)(AX*4), Y15, Y10; \
	VEXTRACTF128 $1, Y10, X11; \
	VCVTPS2PD X11, Y11; \
	VCVTPS2PD X10, Y10

#define MULADD(w0, w1, s0, s1) \
	VMULPD w0, Y10, Y10; \
	VMULPD w1, Y11, Y11; \
	VADDPD Y10, s0, s0; \
	VADDPD Y11, s1, s1

#define JOIN(y0, y1, x0, at) \
	VADDPD y1, y0, y0; \
	VEXTRACTF128 $1, y0, X10; \
	VADDPD X10, x0, x0; \
	VPERMILPD $1, x0, X10; \
	VADDSD X10, x0, x0; \
	VMOVSD x0, at(DI)

// func dot4AVX2(dst, w *float64, x *float32, n int)
TEXT ·dot4AVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ x+16(FP), R8
	MOVQ n+24(FP), CX
	ROWS
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3
	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7
dotLoop:
	CMPQ AX, BX
	JGE  dotRest
	VMOVUPD (SI)(AX*8), Y8
	VMOVUPD 32(SI)(AX*8), Y9
	EIGHT(R8)
	MULADD(Y8, Y9, Y0, Y1)
	EIGHT(R9)
	MULADD(Y8, Y9, Y2, Y3)
	EIGHT(R10)
	MULADD(Y8, Y9, Y4, Y5)
	EIGHT(R11)
	MULADD(Y8, Y9, Y6, Y7)
	ADDQ $8, AX
	JMP  dotLoop
dotRest:
	CMPQ BX, CX
	JEQ  dotJoin
	MASK
	VMOVUPD (SI)(AX*8), Y8
	VMOVUPD 32(SI)(AX*8), Y9
	REST(R8)
	MULADD(Y8, Y9, Y0, Y1)
	REST(R9)
	MULADD(Y8, Y9, Y2, Y3)
	REST(R10)
	MULADD(Y8, Y9, Y4, Y5)
	REST(R11)
	MULADD(Y8, Y9, Y6, Y7)
dotJoin:
	JOIN(Y0, Y1, X0, 0)
	JOIN(Y2, Y3, X2, 8)
	JOIN(Y4, Y5, X4, 16)
	JOIN(Y6, Y7, X6, 24)
	VZEROUPPER
	RET

// func axpy4AVX2(sum, r *float64, x *float32, n int)
TEXT ·axpy4AVX2(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ r+8(FP), SI
	MOVQ x+16(FP), R8
	MOVQ n+24(FP), CX
	ROWS
	VBROADCASTSD (SI), Y4
	VBROADCASTSD 8(SI), Y5
	VBROADCASTSD 16(SI), Y6
	VBROADCASTSD 24(SI), Y7
axpyLoop:
	CMPQ AX, BX
	JGE  axpyRest
	VMOVUPD (DI)(AX*8), Y0
	VMOVUPD 32(DI)(AX*8), Y1
	EIGHT(R8)
	MULADD(Y4, Y4, Y0, Y1)
	EIGHT(R9)
	MULADD(Y5, Y5, Y0, Y1)
	EIGHT(R10)
	MULADD(Y6, Y6, Y0, Y1)
	EIGHT(R11)
	MULADD(Y7, Y7, Y0, Y1)
	VMOVUPD Y0, (DI)(AX*8)
	VMOVUPD Y1, 32(DI)(AX*8)
	ADDQ $8, AX
	JMP  axpyLoop
axpyRest:
	CMPQ BX, CX
	JEQ  axpyDone
	MASK
	VMOVUPD (DI)(AX*8), Y0
	VMOVUPD 32(DI)(AX*8), Y1
	REST(R8)
	MULADD(Y4, Y4, Y0, Y1)
	REST(R9)
	MULADD(Y5, Y5, Y0, Y1)
	REST(R10)
	MULADD(Y6, Y6, Y0, Y1)
	REST(R11)
	MULADD(Y7, Y7, Y0, Y1)
	VMOVUPD Y0, (DI)(AX*8)
	VMOVUPD Y1, 32(DI)(AX*8)
axpyDone:
	VZEROUPPER
	RET

// func outer4AVX2(sum, r, z *float64, n, stride int)
TEXT ·outer4AVX2(SB), NOSPLIT, $0-40
	MOVQ sum+0(FP), DI
	MOVQ r+8(FP), SI
	MOVQ z+16(FP), R8
	MOVQ n+24(FP), BX
	MOVQ stride+32(FP), CX
	LEAQ (R8)(CX*8), R9
	LEAQ (R9)(CX*8), R10
	LEAQ (R10)(CX*8), R11
	XORQ AX, AX
	VBROADCASTSD (SI), Y4
	VBROADCASTSD 8(SI), Y5
	VBROADCASTSD 16(SI), Y6
	VBROADCASTSD 24(SI), Y7
outerLoop:
	CMPQ AX, BX
	JGE  outerDone
	VMOVUPD (DI)(AX*8), Y0
	VMOVUPD 32(DI)(AX*8), Y1
	VMULPD (R8)(AX*8), Y4, Y10
	VMULPD 32(R8)(AX*8), Y4, Y11
	VADDPD Y10, Y0, Y0
	VADDPD Y11, Y1, Y1
	VMULPD (R9)(AX*8), Y5, Y10
	VMULPD 32(R9)(AX*8), Y5, Y11
	VADDPD Y10, Y0, Y0
	VADDPD Y11, Y1, Y1
	VMULPD (R10)(AX*8), Y6, Y10
	VMULPD 32(R10)(AX*8), Y6, Y11
	VADDPD Y10, Y0, Y0
	VADDPD Y11, Y1, Y1
	VMULPD (R11)(AX*8), Y7, Y10
	VMULPD 32(R11)(AX*8), Y7, Y11
	VADDPD Y10, Y0, Y0
	VADDPD Y11, Y1, Y1
	VMOVUPD Y0, (DI)(AX*8)
	VMOVUPD Y1, 32(DI)(AX*8)
	ADDQ $8, AX
	JMP  outerLoop
outerDone:
	VZEROUPPER
	RET
