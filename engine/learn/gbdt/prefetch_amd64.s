#include "textflag.h"

// One row: its first byte and its last one may lie in two cache lines.
#define ASK(i) \
	MOVL i(BX), DX; \
	IMULQ CX, DX; \
	ADDQ AX, DX; \
	PREFETCHT0 (DX); \
	PREFETCHT0 (DX)(DI*1)

// func prefetch8(codes unsafe.Pointer, rows *uint32, stride, last int)
TEXT ·prefetch8(SB), NOSPLIT, $0-32
	MOVQ codes+0(FP), AX
	MOVQ rows+8(FP), BX
	MOVQ stride+16(FP), CX
	MOVQ last+24(FP), DI
	ASK(0)
	ASK(4)
	ASK(8)
	ASK(12)
	ASK(16)
	ASK(20)
	ASK(24)
	ASK(28)
	RET
