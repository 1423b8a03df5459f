#include "textflag.h"
#include "go_asm.h"

// func descendAVX2(nodes []node, at []uint32, coefs, products, sums []float64)
TEXT ·descendAVX2(SB), NOSPLIT, $0-120
	MOVQ nodes_base+0(FP), AX
	MOVQ nodes_len+8(FP), CX
	MOVQ at_base+24(FP), BX
	MOVQ coefs_base+48(FP), SI
	MOVQ products_base+72(FP), DI
	MOVQ sums_base+96(FP), R8
	XORQ DX, DX

down:
	MOVL node_place(AX), R9
	MOVL node_left(AX), R10
	MOVL (BX)(DX*4), R11
	SHLQ $5, R9
	SHLQ $5, R10
	LEAQ (SI)(R11*8), R11
	VMOVUPD (DI)(R9*1), Y0
	VMULPD (R11), Y0, Y1
	VMULPD 32(R11), Y0, Y2
	VMOVUPD Y1, (DI)(R10*1)
	VMOVUPD Y2, 32(DI)(R10*1)
	ADDQ $node__size, AX
	INCQ DX
	CMPQ DX, CX
	JLT  down

up:
	SUBQ $node__size, AX
	DECQ DX
	MOVL node_place(AX), R9
	MOVL node_left(AX), R10
	MOVL node_feature(AX), R12
	MOVL (BX)(DX*4), R11
	SHLQ $5, R9
	SHLQ $5, R10
	SHLQ $5, R12
	LEAQ (SI)(R11*8), R11
	VMOVUPD (DI)(R10*1), Y0
	VMOVUPD 32(DI)(R10*1), Y1
	VADDPD Y1, Y0, Y2
	VMULPD 64(R11), Y0, Y0
	VMULPD 96(R11), Y1, Y1
	VMOVUPD Y2, (DI)(R9*1)
	VADDPD Y1, Y0, Y0
	VADDPD (R8)(R12*1), Y0, Y0
	VMOVUPD Y0, (R8)(R12*1)
	TESTQ DX, DX
	JNE  up

	VZEROUPPER
	RET
