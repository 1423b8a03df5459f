#include "go_asm.h"
#include "textflag.h"

// Places in singles.
#define MOST ·singles+0(SB)
#define LEAST ·singles+32(SB)
#define SELUSCALE ·singles+64(SB)
#define SELULOW ·singles+96(SB)
#define ONE ·singles+128(SB)
#define TWO ·singles+160(SB)
#define LINEAR ·singles+192(SB)

// Comparisons.
#define LESS $0x11
#define GREATER $0x1e
#define NOTLESSEQUAL $0x06

// Of the four float64 in r, e^r as float32 in out. Y3 is 2^k in the making, Y4 the polynomial.
#define EXP4(r, out) \
	VMULPD ·series+0(SB), r, Y3; \
	VADDPD ·series+32(SB), Y3, Y3; \
	VSUBPD ·series+32(SB), Y3, Y4; \
	VMULPD ·series+64(SB), Y4, Y4; \
	VSUBPD Y4, r, r; \
	VMULPD ·series+96(SB), r, Y4; \
	VADDPD ·series+128(SB), Y4, Y4; \
	VMULPD Y4, r, Y4; \
	VADDPD ·series+160(SB), Y4, Y4; \
	VMULPD Y4, r, Y4; \
	VADDPD ·series+192(SB), Y4, Y4; \
	VMULPD Y4, r, Y4; \
	VADDPD ·series+224(SB), Y4, Y4; \
	VMULPD Y4, r, Y4; \
	VADDPD ·series+256(SB), Y4, Y4; \
	VMULPD Y4, r, Y4; \
	VADDPD ·series+256(SB), Y4, Y4; \
	VPSLLQ $52, Y3, Y3; \
	VPADDQ Y3, Y4, Y4; \
	VCVTPD2PSY Y4, out

// Of the eight numbers in Y0, exp32 in Y1. Clobbers Y2 to Y6.
#define EXP8 \
	VMOVUPS MOST, Y1; \
	VMINPS Y0, Y1, Y1; \
	VCVTPS2PD X1, Y2; \
	EXP4(Y2, X5); \
	VEXTRACTF128 $1, Y1, X2; \
	VCVTPS2PD X2, Y2; \
	EXP4(Y2, X6); \
	VINSERTF128 $1, X6, Y5, Y1; \
	VCMPPS LESS, LEAST, Y0, Y2; \
	VANDNPS Y1, Y2, Y1

// Of e^z in Y1, Mish's n/(n+2) in Y3. Clobbers Y2.
#define MISHTANH \
	VADDPS TWO, Y1, Y2; \
	VMULPS Y1, Y2, Y2; \
	VADDPS TWO, Y2, Y3; \
	VDIVPS Y3, Y2, Y3

// func shiftKernel(n int, z, bias unsafe.Pointer, unit float32)
TEXT ·shiftKernel(SB), NOSPLIT, $0-28
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), DI
	MOVQ bias+16(FP), SI
	VBROADCASTSS unit+24(FP), Y1

loop:
	VMULPS (DI), Y1, Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func reluKernel(n int, z, out unsafe.Pointer)
// The greater of 0 and z is z where they are equal or z is not a number.
TEXT ·reluKernel(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ out+16(FP), DI
	VXORPS Y1, Y1, Y1

loop:
	VMAXPS (SI), Y1, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func reluSlopeKernel(n int, z, grad unsafe.Pointer, unit float32)
TEXT ·reluSlopeKernel(SB), NOSPLIT, $0-28
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ grad+16(FP), DI
	VBROADCASTSS unit+24(FP), Y1
	VXORPS Y2, Y2, Y2

loop:
	VMOVUPS (SI), Y0
	VCMPPS NOTLESSEQUAL, Y2, Y0, Y0
	VANDPS Y1, Y0, Y0
	VMULPS (DI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func seluKernel(n int, z, out unsafe.Pointer)
TEXT ·seluKernel(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ out+16(FP), DI
	VXORPS Y15, Y15, Y15
	VMOVUPS SELULOW, Y14
	VMOVUPS SELUSCALE, Y13

loop:
	VMOVUPS (SI), Y0
	EXP8
	VMULPS Y14, Y1, Y1
	VSUBPS Y14, Y1, Y1
	VMULPS Y13, Y0, Y2
	VCMPPS GREATER, Y15, Y0, Y3
	VBLENDVPS Y3, Y2, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func seluSlopeKernel(n int, z, f, grad unsafe.Pointer, unit float32)
TEXT ·seluSlopeKernel(SB), NOSPLIT, $0-36
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ f+16(FP), DX
	MOVQ grad+24(FP), DI
	VBROADCASTSS unit+32(FP), Y12
	VXORPS Y15, Y15, Y15
	VMOVUPS SELULOW, Y14
	VMOVUPS SELUSCALE, Y13

loop:
	VMOVUPS (SI), Y0
	VADDPS (DX), Y14, Y1
	VCMPPS GREATER, Y15, Y0, Y3
	VBLENDVPS Y3, Y13, Y1, Y1
	VMULPS Y12, Y1, Y1
	VMULPS (DI), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func mishKernel(n int, z, out unsafe.Pointer)
TEXT ·mishKernel(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ out+16(FP), DI

loop:
	VMOVUPS (SI), Y0
	EXP8
	MISHTANH
	VMULPS Y3, Y0, Y1
	VCMPPS GREATER, LINEAR, Y0, Y3
	VBLENDVPS Y3, Y0, Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func mishSlopeKernel(n int, z, grad unsafe.Pointer, unit float32)
// The slope is t + z (s (1 - t²)) with t = n/(n+2) in Y3 and s = e^z/(1+e^z) in Y4.
TEXT ·mishSlopeKernel(SB), NOSPLIT, $0-28
	MOVQ n+0(FP), CX
	MOVQ z+8(FP), SI
	MOVQ grad+16(FP), DI
	VBROADCASTSS unit+24(FP), Y12
	VMOVUPS ONE, Y13

loop:
	VMOVUPS (SI), Y0
	EXP8
	MISHTANH
	VADDPS Y13, Y1, Y4
	VDIVPS Y4, Y1, Y4
	VMULPS Y3, Y3, Y5
	VSUBPS Y5, Y13, Y5
	VMULPS Y5, Y4, Y5
	VMULPS Y5, Y0, Y5
	VADDPS Y5, Y3, Y5
	VCMPPS GREATER, LINEAR, Y0, Y3
	VBLENDVPS Y3, Y13, Y5, Y5
	VMULPS Y12, Y5, Y5
	VMULPS (DI), Y5, Y5
	VMOVUPS Y5, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func adamKernel(n int, w, grad, first, second unsafe.Pointer, by *adamFactors)
TEXT ·adamKernel(SB), NOSPLIT, $0-48
	MOVQ n+0(FP), CX
	MOVQ w+8(FP), DI
	MOVQ grad+16(FP), SI
	MOVQ first+24(FP), R8
	MOVQ second+32(FP), R9
	MOVQ by+40(FP), AX
	VBROADCASTSS adamFactors_unit(AX), Y7
	VBROADCASTSS adamFactors_keep1(AX), Y8
	VBROADCASTSS adamFactors_take1(AX), Y9
	VBROADCASTSS adamFactors_keep2(AX), Y10
	VBROADCASTSS adamFactors_take2(AX), Y11
	VBROADCASTSS adamFactors_one(AX), Y12
	VBROADCASTSS adamFactors_two(AX), Y13
	VBROADCASTSS adamFactors_size(AX), Y14
	VBROADCASTSS adamFactors_tiny(AX), Y15

loop:
	VMULPS (SI), Y7, Y0
	VMULPS (R8), Y8, Y1
	VMULPS Y0, Y9, Y2
	VADDPS Y2, Y1, Y1
	VMOVUPS Y1, (R8)
	VMULPS (R9), Y10, Y3
	VMULPS Y0, Y11, Y2
	VMULPS Y0, Y2, Y2
	VADDPS Y2, Y3, Y3
	VMOVUPS Y3, (R9)
	VMULPS Y12, Y1, Y1
	VMULPS Y14, Y1, Y1
	VMULPS Y13, Y3, Y3
	VSQRTPS Y3, Y3
	VADDPS Y15, Y3, Y3
	VDIVPS Y3, Y1, Y1
	VMOVUPS (DI), Y0
	VSUBPS Y1, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	ADDQ $32, R8
	ADDQ $32, R9
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET
