#include "go_asm.h"
#include "textflag.h"

// Byte i of a group of 8 picks bit i.
DATA pick<>+0(SB)/8, $0x8040201008040201
GLOBL pick<>(SB), RODATA|NOPTR, $8

// Repeats each of four bytes eight times.
DATA spread<>+0(SB)/8, $0x0000000000000000
DATA spread<>+8(SB)/8, $0x0101010101010101
DATA spread<>+16(SB)/8, $0x0202020202020202
DATA spread<>+24(SB)/8, $0x0303030303030303
GLOBL spread<>(SB), RODATA|NOPTR, $32

// The bits of 32 ranks, the highest first, to the bit planes at DX.
#define PLANE(b) \
	VPMOVMSKB Y0, AX; \
	MOVL      AX, (b*32)(DX)(CX*4); \
	VPADDB    Y0, Y0, Y0

// Y8 to Y11 and Y12 to Y15: the four combinations of two planes, 00 to 11.
#define PAIR(high, low, c0, c1, c2, c3) \
	VMOVDQU (high*32)(DX), Y2; \
	VMOVDQU (low*32)(DX), Y3; \
	VPOR    Y2, Y3, c0; \
	VPXOR   Y1, c0, c0; \
	VPANDN  Y3, Y2, c1; \
	VPANDN  Y2, Y3, c2; \
	VPAND   Y2, Y3, c3

// One number of four bits: rows above it, rows equal to it.
#define UPPER(i, a, b) \
	VMOVDQU Y0, (i*32)(DI); \
	VPAND   a, b, Y2; \
	VMOVDQU Y2, (512+i*32)(DI); \
	VPOR    Y2, Y0, Y0

#define LOWER(i, a, b) \
	VMOVDQU Y0, (1024+i*32)(DI); \
	VPAND   a, b, Y2; \
	VPOR    Y2, Y0, Y0

#define SIXTEEN(EACH) \
	VPXOR Y0, Y0, Y0; \
	EACH(15, Y11, Y15); \
	EACH(14, Y11, Y14); \
	EACH(13, Y11, Y13); \
	EACH(12, Y11, Y12); \
	EACH(11, Y10, Y15); \
	EACH(10, Y10, Y14); \
	EACH(9, Y10, Y13); \
	EACH(8, Y10, Y12); \
	EACH(7, Y9, Y15); \
	EACH(6, Y9, Y14); \
	EACH(5, Y9, Y13); \
	EACH(4, Y9, Y12); \
	EACH(3, Y8, Y15); \
	EACH(2, Y8, Y14); \
	EACH(1, Y8, Y13); \
	EACH(0, Y8, Y12)

// func fillTablesAVX2(tables *[cutTables]rowBits, ranks *[block]uint8)
TEXT ·fillTablesAVX2(SB), NOSPLIT, $256-16
	MOVQ tables+0(FP), DI
	MOVQ ranks+8(FP), SI
	LEAQ planes-256(SP), DX
	XORQ CX, CX

ranks:
	VMOVDQU (SI), Y0
	PLANE(7)
	PLANE(6)
	PLANE(5)
	PLANE(4)
	PLANE(3)
	PLANE(2)
	PLANE(1)
	PLANE(0)
	ADDQ $32, SI
	INCQ CX
	CMPQ CX, $8
	JLT  ranks

	VPCMPEQB Y1, Y1, Y1
	PAIR(7, 6, Y8, Y9, Y10, Y11)
	PAIR(5, 4, Y12, Y13, Y14, Y15)
	SIXTEEN(UPPER)
	PAIR(3, 2, Y8, Y9, Y10, Y11)
	PAIR(1, 0, Y12, Y13, Y14, Y15)
	SIXTEEN(LOWER)
	VZEROUPPER
	RET

// func fillCutsAVX2(out *rowBits, tables *[cutTables]rowBits, cuts *uint8, n int, missing *rowBits)
TEXT ·fillCutsAVX2(SB), NOSPLIT, $0-40
	MOVQ    out+0(FP), DI
	MOVQ    tables+8(FP), SI
	MOVQ    cuts+16(FP), R8
	MOVQ    n+24(FP), CX
	MOVQ    missing+32(FP), AX
	VMOVDQU (AX), Y1

cuts:
	MOVBLZX (R8), AX
	MOVL    AX, BX
	ANDL    $0xf0, AX
	ANDL    $0x0f, BX
	SHLL    $5, BX
	VMOVDQU 1024(SI)(BX*1), Y0
	VPAND   512(SI)(AX*2), Y0, Y0
	VPOR    (SI)(AX*2), Y0, Y0
	VPOR    Y1, Y0, Y0
	VMOVDQU Y0, (DI)
	INCQ    R8
	ADDQ    $32, DI
	DECQ    CX
	JNZ     cuts
	VZEROUPPER
	RET

// The rows of four leaves: into planes 0 and 1, and together into sum.
#define FOUR(at, sum) \
	VMOVDQU (at+32)(AX), Y8; \
	VMOVDQU (at+96)(AX), Y9; \
	VPOR    Y8, Y0, Y0; \
	VPOR    Y9, Y0, Y0; \
	VPOR    at(AX), Y8, Y8; \
	VPOR    (at+64)(AX), Y9, Y9; \
	VPOR    Y9, Y1, Y1; \
	VPOR    Y8, Y9, sum

#define EIGHT(at, sum) \
	FOUR(at, Y10); \
	FOUR((at+128), Y11); \
	VPOR Y11, Y2, Y2; \
	VPOR Y10, Y11, sum

// One more bit of 32 rows' leaf numbers from the plane.
#define BIT(plane) \
	VPBROADCASTD (plane*32)(AX), Y1; \
	VPSHUFB      Y15, Y1, Y1; \
	VPAND        Y14, Y1, Y1; \
	VPCMPEQB     Y14, Y1, Y1; \
	VPADDB       Y0, Y0, Y0; \
	VPSUBB       Y1, Y0, Y0

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

// func scoreTreesAVX2(s *scratch, trees *slicedTree, n int, nodes *slicedNode, values *float64, groups int)
TEXT ·scoreTreesAVX2(SB), NOSPLIT, $0-48
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
	VPBROADCASTQ pick<>(SB), Y14
	VMOVDQU      spread<>(SB), Y15
	LEAQ         scratch_planes(DI), AX
	MOVL         slicedTree_output(R10), R13
	SHLQ         $11, R13
	ADDQ         (scratch_sums)(DI), R13
	MOVQ         groups+40(FP), SI

rows:
	VPXOR Y0, Y0, Y0
	CMPL  BX, $1
	JEQ   five
	BIT(7)
	BIT(6)
	BIT(5)

five:
	BIT(4)
	BIT(3)
	BIT(2)
	BIT(1)
	BIT(0)
	VMOVDQU Y0, (R12)
	ADD(0)
	ADD(4)
	ADD(8)
	ADD(12)
	ADD(16)
	ADD(20)
	ADD(24)
	ADD(28)
	ADDQ    $256, R13
	ADDQ    $4, AX
	DECQ    SI
	JNZ     rows

	LEAQ scratch_slots(DI), SI
	MOVL slicedTree_leaves(R10), CX
	LEAQ (R9)(CX*8), R9
	ADDQ $16, R10
	DECQ R11
	JNZ  tree
	VZEROUPPER
	RET

// func rank32AVX2(ranks *uint8, table, data *float32, stride, n int) (nan bool)
TEXT ·rank32AVX2(SB), NOSPLIT, $0-41
	MOVQ    ranks+0(FP), DI
	MOVQ    table+8(FP), SI
	MOVQ    data+16(FP), R8
	MOVQ    stride+24(FP), R9
	MOVQ    n+32(FP), CX
	VMOVUPS (SI), Y1
	VMOVUPS 32(SI), Y2
	VPXOR   Y7, Y7, Y7
	ADDQ    $64, SI

rank:
	// Every sixteenth threshold below the value, then the sixteen from there on. A compared pair is packed to bytes
	// of 16 bits, two for each threshold.
	VBROADCASTSS (R8), Y0
	ADDQ         R9, R8
	VCMPPS       $0x1e, Y1, Y0, Y3
	VCMPPS       $0x1e, Y2, Y0, Y4
	VCMPPS       $0x03, Y0, Y0, Y5
	VPACKSSDW    Y4, Y3, Y3
	VPOR         Y5, Y7, Y7
	VPMOVMSKB    Y3, AX
	POPCNTL      AX, AX              // twice the number
	MOVL         AX, BX
	SHLL         $5, BX
	VCMPPS       $0x1e, (SI)(BX*1), Y0, Y3
	VCMPPS       $0x1e, 32(SI)(BX*1), Y0, Y4
	VPACKSSDW    Y4, Y3, Y3
	VPMOVMSKB    Y3, DX
	POPCNTL      DX, DX
	SHRL         $1, DX
	LEAL         (DX)(AX*8), AX
	MOVB         AX, (DI)
	INCQ         DI
	DECQ         CX
	JNZ          rank
	VPTEST       Y7, Y7
	SETNE        nan+40(FP)
	VZEROUPPER
	RET

// func rank64AVX2(ranks *uint8, table, data *float64, stride, n int) (nan bool)
TEXT ·rank64AVX2(SB), NOSPLIT, $0-41
	MOVQ    ranks+0(FP), DI
	MOVQ    table+8(FP), SI
	MOVQ    data+16(FP), R8
	MOVQ    stride+24(FP), R9
	MOVQ    n+32(FP), CX
	VMOVUPD (SI), Y8
	VMOVUPD 32(SI), Y9
	VMOVUPD 64(SI), Y10
	VMOVUPD 96(SI), Y11
	VPXOR   Y7, Y7, Y7
	ADDQ    $128, SI

rank:
	VBROADCASTSD (R8), Y0
	ADDQ         R9, R8
	VCMPPD       $0x1e, Y8, Y0, Y1
	VCMPPD       $0x1e, Y9, Y0, Y2
	VCMPPD       $0x1e, Y10, Y0, Y3
	VCMPPD       $0x1e, Y11, Y0, Y4
	VCMPPD       $0x03, Y0, Y0, Y5
	VPACKSSDW    Y2, Y1, Y1
	VPACKSSDW    Y4, Y3, Y3
	VPOR         Y5, Y7, Y7
	VPACKSSWB    Y3, Y1, Y1
	VPMOVMSKB    Y1, AX
	POPCNTL      AX, AX              // twice the number
	MOVL         AX, BX
	SHLL         $6, BX
	VCMPPD       $0x1e, (SI)(BX*1), Y0, Y1
	VCMPPD       $0x1e, 32(SI)(BX*1), Y0, Y2
	VCMPPD       $0x1e, 64(SI)(BX*1), Y0, Y3
	VCMPPD       $0x1e, 96(SI)(BX*1), Y0, Y4
	VPACKSSDW    Y2, Y1, Y1
	VPACKSSDW    Y4, Y3, Y3
	VPACKSSWB    Y3, Y1, Y1
	VPMOVMSKB    Y1, DX
	POPCNTL      DX, DX
	SHRL         $1, DX
	LEAL         (DX)(AX*8), AX
	MOVB         AX, (DI)
	INCQ         DI
	DECQ         CX
	JNZ          rank
	VPTEST       Y7, Y7
	SETNE        nan+40(FP)
	VZEROUPPER
	RET

// func rowStatesAVX2(states *uint32, columns *quickColumn, n int, tables, x *float32)
TEXT ·rowStatesAVX2(SB), NOSPLIT, $0-40
	MOVQ states+0(FP), DI
	MOVQ columns+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ tables+24(FP), R8
	MOVQ x+32(FP), R9

column:
	MOVL         quickColumn_feature(SI), AX
	VBROADCASTSS (R9)(AX*4), Y0
	MOVL         quickColumn_table(SI), BX
	LEAQ         (R8)(BX*4), BX
	VCMPPS       $0x1e, (BX), Y0, Y1
	VCMPPS       $0x1e, 32(BX), Y0, Y2
	VPACKSSDW    Y2, Y1, Y1
	VPMOVMSKB    Y1, AX
	POPCNTL      AX, AX
	MOVL         AX, DX
	SHLL         $5, DX
	VCMPPS       $0x1e, 64(BX)(DX*1), Y0, Y1
	VCMPPS       $0x1e, 96(BX)(DX*1), Y0, Y2
	VPACKSSDW    Y2, Y1, Y1
	VPMOVMSKB    Y1, DX
	POPCNTL      DX, DX
	SHRL         $1, DX
	LEAL         (DX)(AX*8), AX
	ADDL         quickColumn_state(SI), AX
	VUCOMISS     X0, X0
	CMOVLPS      quickColumn_missing(SI), AX
	MOVL         AX, (DI)
	ADDQ         $4, DI
	ADDQ         $quickColumn__size, SI
	DECQ         CX
	JNZ          column
	VZEROUPPER
	RET

// func joinSetsAVX2(sets unsafe.Pointer, blocks int, kept unsafe.Pointer, places *uint64, n int)
TEXT ·joinSetsAVX2(SB), NOSPLIT, $0-40
	MOVQ sets+0(FP), DI
	MOVQ blocks+8(FP), CX
	MOVQ kept+16(FP), SI
	MOVQ places+24(FP), R8
	MOVQ n+32(FP), R9

block:
	VPCMPEQB Y0, Y0, Y0
	VPCMPEQB Y1, Y1, Y1
	VPCMPEQB Y2, Y2, Y2
	VPCMPEQB Y3, Y3, Y3
	XORQ     BX, BX

place:
	MOVQ  (R8)(BX*8), AX
	ADDQ  SI, AX
	VPAND (AX), Y0, Y0
	VPAND 32(AX), Y1, Y1
	VPAND 64(AX), Y2, Y2
	VPAND 96(AX), Y3, Y3
	INCQ  BX
	CMPQ  BX, R9
	JLT   place

	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ    $128, DI
	ADDQ    $128, SI
	DECQ    CX
	JNZ     block
	VZEROUPPER
	RET

// func addLeaves32BMI(sets *uint32, n int, starts *int32, values, sum *float64)
TEXT ·addLeaves32BMI(SB), NOSPLIT, $0-40
	MOVQ   sets+0(FP), DI
	MOVQ   n+8(FP), CX
	MOVQ   starts+16(FP), SI
	MOVQ   values+24(FP), R8
	MOVQ   sum+32(FP), R9
	VMOVSD (R9), X0
	XORQ   BX, BX

tree:
	TZCNTL (DI)(BX*4), AX
	ADDL   (SI)(BX*4), AX
	VADDSD (R8)(AX*8), X0, X0
	INCQ   BX
	CMPQ   BX, CX
	JLT    tree
	VMOVSD X0, (R9)
	RET

// func addLeaves64BMI(sets *uint64, n int, starts *int32, values, sum *float64)
TEXT ·addLeaves64BMI(SB), NOSPLIT, $0-40
	MOVQ   sets+0(FP), DI
	MOVQ   n+8(FP), CX
	MOVQ   starts+16(FP), SI
	MOVQ   values+24(FP), R8
	MOVQ   sum+32(FP), R9
	VMOVSD (R9), X0
	XORQ   BX, BX

tree:
	TZCNTQ (DI)(BX*8), AX
	ADDL   (SI)(BX*4), AX
	VADDSD (R8)(AX*8), X0, X0
	INCQ   BX
	CMPQ   BX, CX
	JLT    tree
	VMOVSD X0, (R9)
	RET
