/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder's tables (SDM volume 2, "Opcode Map"; AMD APM volume 3, "Opcode and Operand
 * Encodings"). Rows that are not named are zero: no bytes follow, and nothing is done to
 * memory. Prefixes are BAD here because decoder.c takes them before it looks.
 */
#include "hv/decoder_tables.h"

#define M SHAPE_MODRM
#define I8 SHAPE_IMM8
#define I16 SHAPE_IMM16
#define IZ SHAPE_IMMZ
#define IV SHAPE_IMMV
#define MO SHAPE_MOFFS
#define N64 SHAPE_NOT64
#define BAD SHAPE_BAD

/* The eight of ADD..CMP have the same six columns: four ModRM, AL imm8, eAX immz. */
#define SHAPE_ALU(base) [base...(base) + 3] = M, [(base) + 4] = I8, [(base) + 5] = IZ

const uint8_t decoder_shapes_1[256] = {
	SHAPE_ALU(0x00),
	[0x06 ... 0x07] = N64,
	SHAPE_ALU(0x08),
	[0x0e] = N64,
	[0x0f] = BAD,
	SHAPE_ALU(0x10),
	[0x16 ... 0x17] = N64,
	SHAPE_ALU(0x18),
	[0x1e ... 0x1f] = N64,
	SHAPE_ALU(0x20),
	[0x26] = BAD,
	[0x27] = N64,
	SHAPE_ALU(0x28),
	[0x2e] = BAD,
	[0x2f] = N64,
	SHAPE_ALU(0x30),
	[0x36] = BAD,
	[0x37] = N64,
	SHAPE_ALU(0x38),
	[0x3e] = BAD,
	[0x3f] = N64,
	[0x40 ... 0x4f] = N64, /* INC, DEC; REX in 64-bit mode */
	[0x60 ... 0x61] = N64,
	[0x62] = M | N64, /* BOUND; EVEX is taken before */
	[0x63] = M,
	[0x64 ... 0x67] = BAD,
	[0x68] = IZ,
	[0x69] = M | IZ,
	[0x6a] = I8,
	[0x6b] = M | I8,
	[0x70 ... 0x7f] = I8,
	[0x80] = M | I8,
	[0x81] = M | IZ,
	[0x82] = M | I8 | N64,
	[0x83] = M | I8,
	[0x84 ... 0x8f] = M,
	[0x9a] = IZ | I16 | N64,
	[0xa0 ... 0xa3] = MO,
	[0xa8] = I8,
	[0xa9] = IZ,
	[0xb0 ... 0xb7] = I8,
	[0xb8 ... 0xbf] = IV,
	[0xc0 ... 0xc1] = M | I8,
	[0xc2] = I16,
	[0xc4 ... 0xc5] = M | N64, /* LES, LDS; VEX is taken before */
	[0xc6] = M | I8,
	[0xc7] = M | IZ,
	[0xc8] = I16 | I8,
	[0xca] = I16,
	[0xcd] = I8,
	[0xce] = N64,
	[0xd0 ... 0xd3] = M,
	[0xd4 ... 0xd5] = I8 | N64,
	[0xd6] = N64,
	[0xd8 ... 0xdf] = M,
	[0xe0 ... 0xe7] = I8,
	[0xe8 ... 0xe9] = IZ,
	[0xea] = IZ | I16 | N64,
	[0xeb] = I8,
	[0xf0] = BAD,
	[0xf2 ... 0xf3] = BAD,
	[0xf6 ... 0xf7] = M, /* TEST adds an immediate */
	[0xfe ... 0xff] = M,
};

const uint8_t decoder_shapes_0f[256] = {
	[0x00 ... 0x03] = M,
	[0x04] = BAD,
	[0x0a] = BAD,
	[0x0c] = BAD,
	[0x0d] = M,
	[0x0f] = M | I8, /* 3DNow!: the byte after the operand is the opcode */
	[0x10 ... 0x23] = M,
	[0x24 ... 0x27] = BAD,
	[0x28 ... 0x2f] = M,
	[0x36] = BAD,
	[0x38] = BAD, /* taken before, as 3A */
	[0x39 ... 0x3f] = BAD,
	[0x40 ... 0x6f] = M,
	[0x70 ... 0x73] = M | I8,
	[0x74 ... 0x76] = M,
	[0x78 ... 0x79] = M,
	[0x7a ... 0x7b] = BAD,
	[0x7c ... 0x7f] = M,
	[0x80 ... 0x8f] = IZ,
	[0x90 ... 0x9f] = M,
	[0xa3] = M,
	[0xa4] = M | I8,
	[0xa5] = M,
	[0xa6 ... 0xa7] = BAD,
	[0xab] = M,
	[0xac] = M | I8,
	[0xad ... 0xb9] = M,
	[0xba] = M | I8,
	[0xbb ... 0xc1] = M,
	[0xc2] = M | I8,
	[0xc3] = M,
	[0xc4 ... 0xc6] = M | I8,
	[0xc7] = M,
	[0xd0 ... 0xff] = M,
};

#define BYTE .size = 1
#define FORM_ALU(base, alu_, store, left)                                        \
	[base] = { .operation = (store), .alu = (alu_), .flags = (left), BYTE }, \
	[(base) + 1] = { .operation = (store), .alu = (alu_), .flags = (left) }, \
	[(base) + 2] = { .operation = DECODED_READ_ALU, .alu = (alu_), BYTE },   \
	[(base) + 3] = { .operation = DECODED_READ_ALU, .alu = (alu_) }

const struct decoder_form decoder_forms_1[256] = {
	FORM_ALU(0x00, ALU_ADD, DECODED_MODIFY, 0),
	FORM_ALU(0x08, ALU_OR, DECODED_MODIFY, 0),
	FORM_ALU(0x10, ALU_ADC, DECODED_MODIFY, 0),
	FORM_ALU(0x18, ALU_SBB, DECODED_MODIFY, 0),
	FORM_ALU(0x20, ALU_AND, DECODED_MODIFY, 0),
	FORM_ALU(0x28, ALU_SUB, DECODED_MODIFY, 0),
	FORM_ALU(0x30, ALU_XOR, DECODED_MODIFY, 0),
	FORM_ALU(0x38, ALU_CMP, DECODED_READ_ALU, FORM_MEMORY_LEFT),
	[0x63] = { .operation = DECODED_LOAD_SIGNED, .size = 4, .flags = FORM_EXTEND },
	[0x80] = { .group = GROUP_1, BYTE },
	[0x81] = { .group = GROUP_1 },
	[0x82] = { .group = GROUP_1, BYTE },
	[0x83] = { .group = GROUP_1 },
	[0x84] = { .operation = DECODED_READ_ALU, ALU_TEST, .flags = FORM_MEMORY_LEFT, BYTE },
	[0x85] = { .operation = DECODED_READ_ALU, ALU_TEST, .flags = FORM_MEMORY_LEFT },
	[0x86] = { .operation = DECODED_EXCHANGE, BYTE },
	[0x87] = { .operation = DECODED_EXCHANGE },
	[0x88] = { .operation = DECODED_STORE, BYTE },
	[0x89] = { .operation = DECODED_STORE },
	[0x8a] = { .operation = DECODED_LOAD, BYTE },
	[0x8b] = { .operation = DECODED_LOAD },
	[0x8f] = { .group = GROUP_1A },
	[0xa0] = { .operation = DECODED_LOAD, BYTE },
	[0xa1] = { .operation = DECODED_LOAD },
	[0xa2] = { .operation = DECODED_STORE, BYTE },
	[0xa3] = { .operation = DECODED_STORE },
	[0xa4] = { .operation = DECODED_MOVS, BYTE },
	[0xa5] = { .operation = DECODED_MOVS },
	[0xaa] = { .operation = DECODED_STOS, BYTE },
	[0xab] = { .operation = DECODED_STOS },
	[0xac] = { .operation = DECODED_LODS, BYTE },
	[0xad] = { .operation = DECODED_LODS },
	[0xc6] = { .group = GROUP_11, BYTE },
	[0xc7] = { .group = GROUP_11 },
	[0xf6] = { .group = GROUP_3, BYTE },
	[0xf7] = { .group = GROUP_3 },
	[0xfe] = { .group = GROUP_4, BYTE },
	[0xff] = { .group = GROUP_5 },
};

const struct decoder_form decoder_forms_0f[256] = {
	[0xb6] = { .operation = DECODED_LOAD, .size = 1, .flags = FORM_EXTEND },
	[0xb7] = { .operation = DECODED_LOAD, .size = 2, .flags = FORM_EXTEND },
	[0xbe] = { .operation = DECODED_LOAD_SIGNED, .size = 1, .flags = FORM_EXTEND },
	[0xbf] = { .operation = DECODED_LOAD_SIGNED, .size = 2, .flags = FORM_EXTEND },
	[0xc3] = { .operation = DECODED_STORE }, /* MOVNTI */
};

#define MODIFY_IMMEDIATE(alu_)                                                      \
	{                                                                           \
		.operation = DECODED_MODIFY, .alu = (alu_), .flags = FORM_IMMEDIATE \
	}
#define READ_IMMEDIATE(alu_)                                  \
	{                                                     \
		.operation = DECODED_READ_ALU, .alu = (alu_), \
		.flags = FORM_IMMEDIATE | FORM_MEMORY_LEFT    \
	}
#define MODIFY_ALONE(alu_)                                 \
	{                                                  \
		.operation = DECODED_MODIFY, .alu = (alu_) \
	}
#define INVALID                       \
	{                             \
		.flags = FORM_INVALID \
	}

const struct decoder_form decoder_groups[GROUP_COUNT][8] = {
	[GROUP_1] = { MODIFY_IMMEDIATE(ALU_ADD), MODIFY_IMMEDIATE(ALU_OR),
		      MODIFY_IMMEDIATE(ALU_ADC), MODIFY_IMMEDIATE(ALU_SBB),
		      MODIFY_IMMEDIATE(ALU_AND), MODIFY_IMMEDIATE(ALU_SUB),
		      MODIFY_IMMEDIATE(ALU_XOR), READ_IMMEDIATE(ALU_CMP) },
	[GROUP_1A] = { [1 ... 7] = INVALID },
	[GROUP_3] = { [0 ... 1] = READ_IMMEDIATE(ALU_TEST), [2] = MODIFY_ALONE(ALU_NOT) },
	[GROUP_4] = { MODIFY_ALONE(ALU_INC), MODIFY_ALONE(ALU_DEC), [2 ... 7] = INVALID },
	[GROUP_5] = { MODIFY_ALONE(ALU_INC), MODIFY_ALONE(ALU_DEC), [7] = INVALID },
	/* XABORT and XBEGIN, C6 F8 and C7 F8, are decoder.c's. */
	[GROUP_11] = { { .operation = DECODED_STORE_IMMEDIATE, .flags = FORM_IMMEDIATE },
		       [1 ... 7] = INVALID },
};
