#include "textflag.h"

// One row: its first byte and its last one may lie in two cache lines.
#define ASK(i) \
	MOVWU i(R1), R4; \
	MUL R2, R4, R4; \
	ADD R0, R4, R4; \
	PRFM (R4), PLDL1KEEP; \
	ADD R3, R4, R4; \
	PRFM (R4), PLDL1KEEP

// func prefetch8(codes unsafe.Pointer, rows *uint32, stride, last int)
TEXT ·prefetch8(SB), NOSPLIT, $0-32
	MOVD codes+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD last+24(FP), R3
	ASK(0)
	ASK(4)
	ASK(8)
	ASK(12)
	ASK(16)
	ASK(20)
	ASK(24)
	ASK(28)
	RET
