/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random bytes as code: in ring 0 and 3, as 64-, 32- and 16-bit code, with random
 * registers, in an address space whose tables may be scrambled first.
 */
#include "tests/guests/hostile/hostile.h"

#define RUN_SIZE 512u

/* Beginnings of instructions that a hypervisor has to do with; a random operand follows. */
static const struct {
	uint8_t length;
	uint8_t bytes[4];
} beginnings[] = {
	{ 2, { 0x0f, 0x01 } },
	{ 2, { 0x0f, 0x00 } },
	{ 2, { 0x0f, 0x20 } },
	{ 2, { 0x0f, 0x22 } },
	{ 2, { 0x0f, 0x21 } },
	{ 2, { 0x0f, 0x23 } },
	{ 2, { 0x0f, 0x30 } },
	{ 2, { 0x0f, 0x32 } },
	{ 2, { 0x0f, 0xa2 } },
	{ 2, { 0x0f, 0xc7 } },
	{ 2, { 0x0f, 0xae } },
	{ 2, { 0x0f, 0x06 } },
	{ 2, { 0x0f, 0x31 } },
	{ 2, { 0x0f, 0x05 } },
	{ 2, { 0x0f, 0x34 } },
	{ 2, { 0x0f, 0x08 } },
	{ 2, { 0x0f, 0x09 } },
	{ 3, { 0x0f, 0x01, 0xd9 } },
	{ 3, { 0x0f, 0x01, 0xc1 } },
	{ 3, { 0x0f, 0x01, 0xd1 } },
	{ 3, { 0x66, 0x0f, 0xa2 } },
	{ 4, { 0x66, 0x0f, 0x38, 0x80 } },
	{ 3, { 0xf3, 0x0f, 0xc7 } },
	{ 2, { 0xf3, 0x6c } },
	{ 2, { 0xf3, 0x6e } },
	{ 2, { 0xf3, 0xa4 } },
	{ 2, { 0xf3, 0xab } },
	{ 1, { 0xec } },
	{ 1, { 0xef } },
	{ 1, { 0xcd } },
	{ 1, { 0xcf } },
	{ 1, { 0x8e } },
	{ 1, { 0xca } },
	{ 1, { 0x9d } },
	{ 1, { 0xea } },
	{ 2, { 0x48, 0xcf } },
};

/*
 * What would end the fun at once comes seldom: HLT, writes of control registers, LGDT and
 * LIDT (attack_control and attack_tables do these), OUT to a deadly port by its number. LTR
 * too: QEMU's CPU takes a null selector, and the whole emulator aborts at the next trap.
 */
static void tame(uint8_t *code)
{
	for (unsigned int i = 0; i < RUN_SIZE; i++) {
		if (one_in(1 << 18)) {
			continue;
		}
		bool extended = code[i] == 0x0f;
		if (code[i] == 0xf4) {
			code[i] = 0x90;
		} else if (extended && code[i + 1] == 0x22) {
			code[i + 1] = 0x20;
		} else if (extended && code[i + 1] == 0x01 && (code[i + 2] & 0x30) == 0x10 &&
			   code[i + 2] < 0xc0) {
			code[i + 2] |= 0x20; /* SMSW, INVLPG and the like */
		} else if (extended && code[i + 1] == 0 && (code[i + 2] & 0x38) == 0x18) {
			code[i + 2] ^= 8; /* LLDT */
		} else if ((code[i] & 0xfe) == 0xe6 && port_is_deadly(code[i + 1])) {
			code[i + 1] = 0x80;
		}
	}
}

static void fill_code(uint8_t *code)
{
	unsigned int dense = (unsigned int)below(4);
	for (unsigned int i = 0; i < RUN_SIZE + 8; i++) {
		code[i] = (uint8_t)rnd();
	}
	for (unsigned int i = 0; dense && i < RUN_SIZE;
	     i += 4 + (unsigned int)below(dense * UINT64_C(8))) {
		unsigned int n = (unsigned int)below(ARRAY_COUNT(beginnings));
		for (unsigned int byte = 0; byte < beginnings[n].length; byte++) {
			code[i + byte] = beginnings[n].bytes[byte];
		}
	}
	tame(code);
}

/* Code and stack segments of each width and ring. */
static const struct {
	uint64_t cs, ss;
	bool based; /* at SANDBOX: rip and rsp count from there */
} kinds[] = {
	{ KERNEL_CS, KERNEL_DS, false }, { CODE32, KERNEL_DS, false },
	{ CODE16, DATA16, true },	 { USER_CS, USER_DS, false },
	{ USER_CODE32, USER_DS, false }, { USER_CODE16, USER_DATA16, true },
};

static struct sandbox_entry entry;

static void prepare(void)
{
	unsigned int kind = (unsigned int)below(ARRAY_COUNT(kinds));
	uint64_t base = kinds[kind].based ? 0 : SANDBOX;
	uint64_t offset = 0x1000 + below(0x1000);
	fill_code((uint8_t *)(uintptr_t)(SANDBOX + offset));
	for (unsigned int i = 0; i < ARRAY_COUNT(entry.gpr); i++) {
		entry.gpr[i] = one_in(3) ? SANDBOX + below(SANDBOX_SIZE) : odd_number();
	}
	if (port_is_deadly((uint16_t)entry.gpr[12])) {
		entry.gpr[12] = COM1 + 7;
	}
	entry.rip = base + offset;
	entry.rsp = base + 0xf000 - below(64);
	entry.cs = kinds[kind].cs;
	entry.ss = kinds[kind].ss;
	entry.rflags = (rnd() & 0xcd5) | 2 | RFLAGS_IF;
	if (one_in(4)) {
		entry.rflags |= rnd() & (RFLAGS_TF | RFLAGS_RF | RFLAGS_AC | 0x3000);
	}
}

void attack_sandbox(void)
{
	prepare();
	sandbox_enter(&entry, sandbox_space());
}

/* As above, with entries of its page tables changed in all ways first. */
void attack_scramble(void)
{
	prepare();
	uint64_t space = sandbox_space();
	unsigned int count = 1 + (unsigned int)below(64);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t *pte = sandbox_random_entry();
		switch (below(4)) {
		case 0:
			*pte ^= BIT(below(64));
			break;
		case 1:
			*pte = rnd();
			break;
		case 2:
			*pte = odd_address() | (rnd() & 0xfff);
			break;
		default:
			*pte = *sandbox_random_entry();
			break;
		}
	}
	sandbox_enter(&entry, space);
}
