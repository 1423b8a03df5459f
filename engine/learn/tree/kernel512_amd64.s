#include "go_asm.h"
#include "textflag.h"

// The rows of four leaves: into planes 0 and 1, and together into sum.
#define FOUR(at, sum) \
	VMOVDQU    (at+32)(AX), Y8; \
	VMOVDQU    (at+96)(AX), Y9; \
	VPTERNLOGQ $0xfe, Y8, Y9, Y0; \
	VPOR       at(AX), Y8, Y8; \
	VPOR       (at+64)(AX), Y9, Y9; \
	VPOR       Y9, Y1, Y1; \
	VPOR       Y8, Y9, sum

#define EIGHT(at, sum) \
	FOUR(at, Y10); \
	FOUR((at+128), Y11); \
	VPOR Y11, Y2, Y2; \
	VPOR Y10, Y11, sum

// One more bit of 64 rows' leaf numbers from the plane; Z9 is ones.
#define BIT(plane) \
	KMOVQ  (plane*32)(AX), K1; \
	VPADDB Z0, Z0, Z0; \
	VPADDB Z9, Z0, K1, Z0

// The leaf values of eight rows, picked from 32 in registers and added to their sums. Picking looks at four bits of a
// number; bits four and five choose among the four picked.
#define PICK32(eight) \
	VPMOVZXBQ (eight*8)(R12), Z1; \
	VMOVDQA64 Z1, Z2; \
	KMOVB     (4*32+eight)(AX), K1; \
	VPERMI2PD Z17, Z16, Z1; \
	VPERMI2PD Z19, Z18, Z2; \
	VMOVAPD   Z2, K1, Z1; \
	VADDPD    (eight*64)(R13), Z1, Z1; \
	VMOVUPD   Z1, (eight*64)(R13)

#define PICK64(eight) \
	VPMOVZXBQ (eight*8)(R12), Z1; \
	VMOVDQA64 Z1, Z2; \
	VMOVDQA64 Z1, Z3; \
	VMOVDQA64 Z1, Z4; \
	KMOVB     (4*32+eight)(AX), K1; \
	KMOVB     (5*32+eight)(AX), K2; \
	VPERMI2PD Z17, Z16, Z1; \
	VPERMI2PD Z19, Z18, Z2; \
	VPERMI2PD Z21, Z20, Z3; \
	VPERMI2PD Z23, Z22, Z4; \
	VMOVAPD   Z2, K1, Z1; \
	VMOVAPD   Z4, K1, Z3; \
	VMOVAPD   Z3, K2, Z1; \
	VADDPD    (eight*64)(R13), Z1, Z1; \
	VMOVUPD   Z1, (eight*64)(R13)

// The leaf values of four rows, added to their sums.
#define ADD(row) \
	MOVBLZX     (row+0)(R12), CX; \
	MOVBLZX     (row+1)(R12), DX; \
	VMOVSD      (R9)(CX*8), X1; \
	MOVBLZX     (row+2)(R12), CX; \
	VMOVHPD     (R9)(DX*8), X1, X1; \
	MOVBLZX     (row+3)(R12), DX; \
	VMOVSD      (R9)(CX*8), X2; \
	VMOVHPD     (R9)(DX*8), X2, X2; \
	VINSERTF128 $1, X2, Y1, Y1; \
	VADDPD      (row*8)(R13), Y1, Y1; \
	VMOVUPD     Y1, (row*8)(R13)

// func scoreTreesAVX512(s *scratch, trees *slicedTree, n int, nodes *slicedNode, values *float64, groups int)
TEXT ·scoreTreesAVX512(SB), NOSPLIT, $0-48
	MOVQ s+0(FP), DI
	LEAQ scratch_slots(DI), SI
	LEAQ scratch_index(DI), R12
	MOVQ trees+8(FP), R10
	MOVQ n+16(FP), R11
	MOVQ nodes+24(FP), R8
	MOVQ values+32(FP), R9

tree:
	MOVL  slicedTree_nodes(R10), CX
	TESTL CX, CX
	JZ    pad

node:
	MOVWLZX slicedNode_cut(R8), AX
	MOVWLZX slicedNode_from(R8), DX
	SHLL    $5, AX
	VMOVDQU (DI)(AX*1), Y0
	VMOVDQU (SI)(DX*1), Y1
	MOVWLZX slicedNode_left(R8), AX
	MOVWLZX slicedNode_right(R8), DX
	VPANDN  Y1, Y0, Y2
	VPAND   Y1, Y0, Y3
	VMOVDQU Y2, (SI)(AX*1)
	VMOVDQU Y3, (SI)(DX*1)
	ADDQ    $8, R8
	DECL    CX
	JNZ     node

pad:
	// The leaves that are missing to a multiple of 32 have no rows.
	MOVL  slicedTree_leaves(R10), CX
	MOVL  CX, BX
	ADDL  $31, BX
	SHRL  $5, BX                     // chunks of 32 leaves
	MOVL  BX, DX
	SHLL  $5, DX
	MOVL  CX, AX
	SHLL  $5, AX
	VPXOR Y0, Y0, Y0
	CMPL  CX, DX
	JEQ   padded

empty:
	VMOVDQU Y0, (SI)(AX*1)
	ADDL    $32, AX
	INCL    CX
	CMPL    CX, DX
	JLT     empty

padded:
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	MOVQ  SI, AX
	XORL  CX, CX

leaves:
	EIGHT(0, Y12)
	EIGHT(256, Y13)
	VPOR  Y13, Y3, Y3
	VPOR  Y12, Y13, Y14
	EIGHT(512, Y12)
	EIGHT(768, Y13)
	VPOR  Y13, Y3, Y3
	VPOR  Y12, Y13, Y13
	VPOR  Y13, Y4, Y4
	VPOR  Y14, Y13, Y13
	TESTL $1, CX
	JZ    plane6
	VPOR  Y13, Y5, Y5

plane6:
	TESTL $2, CX
	JZ    plane7
	VPOR  Y13, Y6, Y6

plane7:
	TESTL $4, CX
	JZ    next
	VPOR  Y13, Y7, Y7

next:
	ADDQ $1024, AX
	INCL CX
	CMPL CX, BX
	JLT  leaves

	VMOVDQU      Y0, (scratch_planes+0)(DI)
	VMOVDQU      Y1, (scratch_planes+32)(DI)
	VMOVDQU      Y2, (scratch_planes+64)(DI)
	VMOVDQU      Y3, (scratch_planes+96)(DI)
	VMOVDQU      Y4, (scratch_planes+128)(DI)
	VMOVDQU      Y5, (scratch_planes+160)(DI)
	VMOVDQU      Y6, (scratch_planes+192)(DI)
	VMOVDQU      Y7, (scratch_planes+224)(DI)
	LEAQ         scratch_planes(DI), AX
	MOVL         slicedTree_output(R10), R13
	SHLQ         $11, R13
	ADDQ         (scratch_sums)(DI), R13
	MOVQ         groups+40(FP), SI
	VPTERNLOGD   $0xff, Z9, Z9, Z9
	VPABSB       Z9, Z9             // ones
	CMPL         BX, $2
	JGT          many
	VMOVUPD      (R9), Z16
	VMOVUPD      64(R9), Z17
	VMOVUPD      128(R9), Z18
	VMOVUPD      192(R9), Z19
	JEQ          wide

narrow:
	VPXORQ  Z0, Z0, Z0
	BIT(4)
	BIT(3)
	BIT(2)
	BIT(1)
	BIT(0)
	VMOVDQU8 Z0, (R12)
	PICK32(0)
	PICK32(1)
	PICK32(2)
	PICK32(3)
	PICK32(4)
	PICK32(5)
	PICK32(6)
	PICK32(7)
	ADDQ    $512, R13
	ADDQ    $8, AX
	DECQ    SI
	JNZ     narrow
	JMP     done

wide:
	VMOVUPD 256(R9), Z20
	VMOVUPD 320(R9), Z21
	VMOVUPD 384(R9), Z22
	VMOVUPD 448(R9), Z23

wider:
	VPXORQ  Z0, Z0, Z0
	BIT(5)
	BIT(4)
	BIT(3)
	BIT(2)
	BIT(1)
	BIT(0)
	VMOVDQU8 Z0, (R12)
	PICK64(0)
	PICK64(1)
	PICK64(2)
	PICK64(3)
	PICK64(4)
	PICK64(5)
	PICK64(6)
	PICK64(7)
	ADDQ    $512, R13
	ADDQ    $8, AX
	DECQ    SI
	JNZ     wider
	JMP     done

many:
	VPXORQ  Z0, Z0, Z0
	BIT(7)
	BIT(6)
	BIT(5)
	BIT(4)
	BIT(3)
	BIT(2)
	BIT(1)
	BIT(0)
	VMOVDQU8 Z0, (R12)
	XORL    BX, BX

each:
	ADD(0)
	ADD(4)
	ADD(8)
	ADD(12)
	ADDQ    $16, R12
	ADDQ    $128, R13
	INCL    BX
	CMPL    BX, $4
	JLT     each
	SUBQ    $64, R12
	ADDQ    $8, AX
	DECQ    SI
	JNZ     many

done:
	LEAQ scratch_slots(DI), SI
	MOVL slicedTree_leaves(R10), CX
	LEAQ (R9)(CX*8), R9
	ADDQ $16, R10
	DECQ R11
	JNZ  tree
	VZEROUPPER
	RET
