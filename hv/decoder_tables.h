/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder's tables, for decoder.c only. A shape says which bytes follow an opcode; a
 * form says what those opcodes do to memory that a guest may use on a device.
 */
#ifndef HV_DECODER_TABLES_H
#define HV_DECODER_TABLES_H

#include "hv/decoder.h"

/* Far pointers are IMMZ | IMM16, ENTER is IMM16 | IMM8. */
#define SHAPE_MODRM 0x01u
#define SHAPE_IMM8 0x02u
#define SHAPE_IMM16 0x04u
#define SHAPE_IMMZ 0x08u  /* 2 bytes with operand size 2, else 4 */
#define SHAPE_IMMV 0x10u  /* operand size: 2, 4 or 8 bytes */
#define SHAPE_MOFFS 0x20u /* an address of address size */
#define SHAPE_NOT64 0x40u /* undefined in 64-bit mode */
#define SHAPE_BAD 0x80u	  /* undefined, or a prefix */

extern const uint8_t decoder_shapes_1[256];  /* one-byte opcodes */
extern const uint8_t decoder_shapes_0f[256]; /* after 0F */

#define FORM_IMMEDIATE 0x01u /* the source is the immediate */
#define FORM_EXTEND 0x02u    /* the register is of operand size, whatever the memory's */
#define FORM_MEMORY_LEFT 0x04u
#define FORM_INVALID 0x08u   /* undefined */

enum decoder_group {
	GROUP_NONE,
	GROUP_1,  /* 80-83 */
	GROUP_1A, /* 8F */
	GROUP_3,  /* F6, F7 */
	GROUP_4,  /* FE */
	GROUP_5,  /* FF */
	GROUP_11, /* C6, C7 */
	GROUP_COUNT,
};

struct decoder_form {
	enum decoder_operation operation;
	enum decoder_alu alu;
	uint8_t size;  /* of the memory operand; 0: the operand size */
	uint8_t flags; /* FORM_ */
	enum decoder_group group; /* ModRM.reg picks the row of decoder_groups */
};

extern const struct decoder_form decoder_forms_1[256];
extern const struct decoder_form decoder_forms_0f[256];
extern const struct decoder_form decoder_groups[GROUP_COUNT][8];

#endif
