/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the decoder share, and only they. A shape says which bytes follow an
 * opcode (decoder.c takes them); a form says what the opcode does to memory that a guest may
 * use on a device (decoder_meaning.c); both are tables (decoder_tables.c).
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
#define FORM_INVALID 0x08u /* undefined */

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
	uint8_t operation; /* enum decoder_operation */
	uint8_t alu;	   /* enum decoder_alu */
	uint8_t size;	   /* of the memory operand; 0: the operand size */
	uint8_t flags;	   /* FORM_ */
	uint8_t group;	   /* enum decoder_group: ModRM.reg picks the row of decoder_groups */
};

extern const struct decoder_form decoder_forms_1[256];
extern const struct decoder_form decoder_forms_0f[256];
extern const struct decoder_form decoder_groups[GROUP_COUNT][8];

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u
#define NO_SEGMENT 0xff

enum opcode_map {
	MAP_1,
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
	MAP_VECTOR, /* of VEX and EVEX: only the length is known */
};

struct decoding {
	const uint8_t *bytes;
	size_t size;
	size_t at;
	int status; /* of the first take() that failed */
	enum decoder_mode mode;
	bool operand_override;
	bool address_override;
	bool lock;
	uint8_t repeat;	 /* 0xf2, 0xf3 or 0: the last one given */
	uint8_t rex;	 /* 0: none; the low four bits are W R X B */
	uint8_t segment; /* an override, or NO_SEGMENT */
	uint8_t operand_size;
	enum opcode_map map;
	uint8_t opcode;
	uint8_t shape;
	uint8_t modrm;
	uint8_t mod; /* 3: rm is a register */
	uint8_t reg; /* with REX.R */
	uint8_t rm;  /* with REX.B */
};

struct decoder_form decoding_form(const struct decoding *d);
void decoding_describe(const struct decoding *d, const struct decoder_form *form,
		       struct decoded *out);

#endif
