/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts of a guest. Two ways to meet one: an instruction wrapped in
 * ATTEMPT() is stepped over when it faults and the fault is noted in `fault`; or a handler
 * in trap_handlers[] gets the frame and may change it. Anything else ends the guest.
 */
#ifndef TESTS_GUESTS_COMMON_TRAP_H
#define TESTS_GUESTS_COMMON_TRAP_H

#include "lib/bits.h"

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define CODE32 0x18
#define CODE16 0x20
#define DATA16 0x28
#define USER_CODE32 0x33
#define USER_DS 0x3b
#define USER_CS 0x43
#define TSS_SELECTOR 0x48

#define TRAP_DE 0
#define TRAP_DB 1
#define TRAP_NMI 2
#define TRAP_BP 3
#define TRAP_UD 6
#define TRAP_DF 8
#define TRAP_NP 11
#define TRAP_SS 12
#define TRAP_GP 13
#define TRAP_PF 14
#define TRAP_AC 17
#define TRAP_COUNT 32
#define NO_FAULT (-1)

#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_RF BIT(16)
#define RFLAGS_AC BIT(18)

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void trap_handler(struct trap_frame *frame);
extern trap_handler *trap_handlers[256];
extern uint64_t interrupt_counts[256];
/* Called for an exception that nobody else takes; NULL: the guest ends with a dump. */
extern trap_handler *trap_fallback;

/* What happened to the last ATTEMPT(). */
struct fault {
	int vector; /* NO_FAULT: nothing */
	uint64_t error;
	uint64_t rip;
	uint64_t cr2;
};
extern volatile struct fault fault;

static inline void fault_clear(void)
{
	fault.vector = NO_FAULT;
}

/* The instruction, in asm text, that may fault; its outputs must be "+" operands. */
#define ATTEMPT(instruction)           \
	"771: " instruction "\n772:\n" \
	".pushsection .fixups, \"a\"\n.quad 771b, 772b\n.popsection\n"

struct idt_gate {
	uint16_t offset_low, selector, flags, offset_middle;
	uint32_t offset_high, zero;
};
extern struct idt_gate trap_idt[256];

/* Sets up and loads trap_idt: `ist` 0, or the same IST stack for every vector. */
void trap_init(unsigned int ist);

/* Points LIDT at trap_idt again. */
void trap_load_idt(void);

/* trap_entry.asm: 256 stubs of 16 bytes. */
extern uint8_t trap_stubs[256][16];

#endif
