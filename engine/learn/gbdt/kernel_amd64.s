#include "textflag.h"

DATA sigmoid<>+0(SB)/8, $0x4044000000000000 // 40
DATA sigmoid<>+8(SB)/8, $0xC044000000000000 // -40
DATA sigmoid<>+16(SB)/8, $0xC0471547652B82FE // -32/ln 2
DATA sigmoid<>+24(SB)/8, $0x4338000000000000 // 3 * 2^51
DATA sigmoid<>+32(SB)/8, $0x3F962E42FEFA39EF // ln 2 / 32
DATA sigmoid<>+40(SB)/8, $0x3FC5555555555555 // 1/6
DATA sigmoid<>+48(SB)/8, $0x3FE0000000000000 // 1/2
DATA sigmoid<>+56(SB)/8, $0x3FF0000000000000 // 1
DATA sigmoid<>+64(SB)/8, $0x8000000000000000 // the sign
DATA sigmoid<>+72(SB)/8, $31
GLOBL sigmoid<>(SB), RODATA|NOPTR, $80

// func logisticAVX2(margins, own *float64, towards, grads *float32, n int, powers *[32]uint64, most *[2]float64)
TEXT ·logisticAVX2(SB), NOSPLIT, $0-56
	MOVQ margins+0(FP), SI
	MOVQ own+8(FP), DI
	MOVQ towards+16(FP), DX
	MOVQ grads+24(FP), BX
	MOVQ n+32(FP), CX
	MOVQ powers+40(FP), R8
	MOVQ most+48(FP), R9
	VBROADCASTSD sigmoid<>+0(SB), Y15
	VBROADCASTSD sigmoid<>+8(SB), Y14
	VBROADCASTSD sigmoid<>+24(SB), Y13
	VBROADCASTSD sigmoid<>+32(SB), Y12
	VBROADCASTSD sigmoid<>+56(SB), Y11
	VBROADCASTSD sigmoid<>+64(SB), Y10
	VBROADCASTSD 0(R9), Y9 // the largest gradient
	VBROADCASTSD 8(R9), Y8 // the largest hessian
	VBROADCASTSD sigmoid<>+72(SB), Y7

loop:
	// z, the margin towards the row's own class, from -40 to 40.
	VCVTPS2PD (DX), Y0
	VMULPD (SI), Y0, Y1
	VMINPD Y1, Y15, Y1
	VMAXPD Y1, Y14, Y1

	// m and r of expNeg.
	VBROADCASTSD sigmoid<>+16(SB), Y2
	VMULPD Y2, Y1, Y2
	VADDPD Y13, Y2, Y2
	VSUBPD Y13, Y2, Y3
	VMULPD Y12, Y3, Y3
	VXORPD Y10, Y1, Y1
	VSUBPD Y3, Y1, Y1

	// 2^(m/32).
	VPAND Y7, Y2, Y3
	VPCMPEQD Y5, Y5, Y5
	VPGATHERQQ Y5, (R8)(Y3*8), Y4
	VPSRLQ $5, Y2, Y2
	VPSLLQ $52, Y2, Y2
	VPADDQ Y2, Y4, Y4

	// e^r, and e, the product of both.
	VBROADCASTSD sigmoid<>+40(SB), Y2
	VMULPD Y2, Y1, Y2
	VBROADCASTSD sigmoid<>+48(SB), Y3
	VADDPD Y3, Y2, Y2
	VMULPD Y2, Y1, Y2
	VADDPD Y11, Y2, Y2
	VMULPD Y2, Y1, Y2
	VADDPD Y11, Y2, Y2
	VMULPD Y2, Y4, Y2

	// p = 1/(1+e), what is missing to one, and the hessian.
	VADDPD Y11, Y2, Y3
	VDIVPD Y3, Y11, Y3
	VMOVUPD Y3, (DI)
	VMULPD Y3, Y2, Y2
	VMULPD Y3, Y2, Y3
	VMAXPD Y9, Y2, Y9
	VMAXPD Y8, Y3, Y8

	// Gradient and hessian in turn.
	VXORPD Y10, Y0, Y0
	VMULPD Y2, Y0, Y0
	VCVTPD2PSY Y0, X0
	VCVTPD2PSY Y3, X3
	VUNPCKLPS X3, X0, X1
	VUNPCKHPS X3, X0, X2
	VMOVUPS X1, (BX)
	VMOVUPS X2, 16(BX)

	ADDQ $32, SI
	ADDQ $32, DI
	ADDQ $16, DX
	ADDQ $32, BX
	SUBQ $4, CX
	JNZ loop

	VEXTRACTF128 $1, Y9, X0
	VMAXPD X0, X9, X0
	VPERMILPD $1, X0, X1
	VMAXSD X1, X0, X0
	VMOVSD X0, 0(R9)
	VEXTRACTF128 $1, Y8, X0
	VMAXPD X0, X8, X0
	VPERMILPD $1, X0, X1
	VMAXSD X1, X0, X0
	VMOVSD X0, 8(R9)
	VZEROUPPER
	RET

DATA rounding<>+0(SB)/8, $0x40E0000000000000 // 32768, for the gradient
DATA rounding<>+8(SB)/8, $0x0000000000000000 // and 0, for the hessian
DATA rounding<>+16(SB)/8, $0x3FE0000000000000 // 1/2
GLOBL rounding<>(SB), RODATA|NOPTR, $24

// func quantiseAVX2(grads *float32, records *uint8, stride, n int, scales *[2]float64)
TEXT ·quantiseAVX2(SB), NOSPLIT, $0-40
	MOVQ grads+0(FP), SI
	MOVQ records+8(FP), DI
	MOVQ stride+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ scales+32(FP), R8
	VBROADCASTF128 (R8), Y15
	VBROADCASTF128 rounding<>+0(SB), Y14
	VBROADCASTSD rounding<>+16(SB), Y13
	VCVTTPD2DQY Y14, X12
	LEAQ (DX)(DX*2), R9

rows:
	// Two rows a register: gradient, hessian, gradient, hessian.
	VCVTPS2PD (SI), Y0
	VCVTPS2PD 16(SI), Y1
	VMULPD Y15, Y0, Y0
	VMULPD Y15, Y1, Y1
	VADDPD Y14, Y0, Y0
	VADDPD Y14, Y1, Y1
	VADDPD Y13, Y0, Y0
	VADDPD Y13, Y1, Y1
	VCVTTPD2DQY Y0, X0
	VCVTTPD2DQY Y1, X1
	VPSUBD X12, X0, X0
	VPSUBD X12, X1, X1

	// The gradient's low half above the hessian.
	VPSLLD $16, X0, X2
	VPSLLD $16, X1, X3
	VPSRLQ $32, X0, X0
	VPSRLQ $32, X1, X1
	VPOR X2, X0, X0
	VPOR X3, X1, X1
	VPEXTRD $0, X0, (DI)
	VPEXTRD $2, X0, (DI)(DX*1)
	VPEXTRD $0, X1, (DI)(DX*2)
	VPEXTRD $2, X1, (DI)(R9*1)
	ADDQ $32, SI
	LEAQ (DI)(DX*4), DI
	SUBQ $4, CX
	JNZ rows
	VZEROUPPER
	RET
