/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software decoder: instruction lengths (QEMU's TCG has no next-RIP save) and MMIO
 * moves (no CPU decodes those for us). Pure: bytes in, description out. Anything that it
 * does not know is an error, never a guess.
 */
#ifndef HV_DECODER_H
#define HV_DECODER_H

#include "arch/x86/vcpu_state.h"
#include "lib/bits.h"
#include "lib/status.h"

#define INSTRUCTION_MAX 15

enum decoder_mode {
	DECODER_16,
	DECODER_32,
	DECODER_64,
};

/* What an instruction does to memory at the faulting address. */
enum decoder_operation {
	DECODED_OTHER, /* length known, no MMIO operation */
	DECODED_LOAD,  /* register = [mem], zero-extended to destination_size */
	DECODED_LOAD_SIGNED,
	DECODED_STORE, /* [mem] = register */
	DECODED_STORE_IMMEDIATE,
	DECODED_READ_ALU, /* register or flags = register op [mem]: AND OR XOR ADD SUB CMP TEST */
	DECODED_MODIFY, /* [mem] = [mem] op register or immediate: AND OR XOR ADD SUB NOT INC DEC */
	DECODED_EXCHANGE, /* XCHG */
	DECODED_MOVS,	  /* string move, memory to memory */
	DECODED_STOS,
	DECODED_LODS,
};

enum decoder_alu {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_CMP,
	ALU_TEST,
	ALU_NOT,
	ALU_INC,
	ALU_DEC,
};

/* Instructions that a CPU without decode assists hands over raw. */
enum decoder_system {
	SYSTEM_NONE,
	SYSTEM_MOV_FROM_CR, /* gpr = CR[system_register] */
	SYSTEM_MOV_TO_CR,
	SYSTEM_MOV_FROM_DR,
	SYSTEM_MOV_TO_DR,
	SYSTEM_CLTS,
	SYSTEM_LMSW, /* the operand is memory, or gpr when there is none */
	SYSTEM_SMSW, /* likewise */
};

#define DECODED_NO_GPR 0xff

/* A ModRM (or moffs) memory operand: base + index * scale + displacement in `segment`. */
struct decoded_address {
	uint8_t base;	       /* enum gpr or DECODED_NO_GPR */
	uint8_t index;	       /* likewise */
	uint8_t scale;	       /* 1, 2, 4, 8 */
	bool rip_relative;     /* the base is the address of the next instruction */
	uint64_t displacement; /* sign-extended */
};

struct decoded {
	uint8_t length; /* bytes, prefixes included */
	enum decoder_operation operation;
	enum decoder_alu alu;
	uint8_t size;		  /* of the memory operand, bytes: 1, 2, 4, 8 */
	uint8_t destination_size; /* of the register, for loads that extend */
	uint8_t address_size;	  /* bytes: 2, 4, 8 */
	uint8_t gpr;		  /* enum gpr */
	bool high_byte;	     /* the register is AH, CH, DH or BH (gpr says which of RAX..RBX) */
	bool has_immediate;  /* the source is `immediate`, sign-extended */
	bool memory_is_left; /* READ_ALU: flags of [mem] op source; no register is written */
	bool rep;	     /* a string instruction with REP, REPE or REPNE */
	uint8_t segment;     /* enum segment of the memory operand or of the source of a
				string instruction, after overrides */
	uint64_t immediate;
	enum decoder_system system;
	uint8_t system_register; /* of MOV CR and MOV DR */
	bool has_memory;	 /* `address` is filled; not for string, VEX and EVEX ones */
	struct decoded_address address;
};

/*
 * Decodes the instruction at bytes[0, size). -EAGAIN: it goes on past `size` (fetch more;
 * cannot happen at 15); -EINVAL: no valid instruction, or one that this decoder does not
 * know.
 */
int __must_check decoder_decode(struct decoded *out, enum decoder_mode mode, const uint8_t *bytes,
				size_t size);

/*
 * The offset of the memory operand in its segment, cut to the address size. `regs` must hold
 * RSP too; next_rip is the address after the instruction.
 */
uint64_t decoder_effective_address(const struct decoded *decoded, const struct vcpu_regs *regs,
				   uint64_t next_rip);

#endif
