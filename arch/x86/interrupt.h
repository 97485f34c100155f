/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host exceptions and interrupts: the frame that the stubs build, and who is called for a
 * vector. Handlers run with interrupts off, on the stack of whoever was interrupted.
 */
#ifndef ARCH_X86_INTERRUPT_H
#define ARCH_X86_INTERRUPT_H

#include "lib/bits.h"

#define VECTOR_FIRST 0x20  /* below are exceptions */
#define VECTOR_DEVICE 0x30 /* host device lines: 0x30 + GSI */
#define VECTOR_DEVICE_LAST 0xdf
#define VECTOR_KICK 0xf0
#define VECTOR_TIMER 0xf1
#define VECTOR_APIC_ERROR 0xfe
#define VECTOR_SPURIOUS 0xff /* low four bits set, as older local APICs want it */

/* What arch/x86/idt_stubs.asm leaves on the stack, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error; /* 0 where the CPU pushes none */
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void interrupt_handler_fn(uint8_t vector);

/*
 * `handler` is called for `vector` (VECTOR_FIRST and up); NULL takes it away. It does its
 * own lapic_eoi(). A vector without a handler is counted, acknowledged and logged once.
 */
void interrupt_set_handler(uint8_t vector, interrupt_handler_fn *handler);

/* Interrupts that came on `vector`, for the shell. */
uint64_t interrupt_count(uint8_t vector);

/* Called by the stubs, for every vector. */
void interrupt_dispatch(struct trap_frame *frame);

/* arch/x86/idt.c: fills the table (once), loads it on this CPU. */
void idt_init(void);
void idt_load(void);

/* arch/x86/exception.c: a vector below VECTOR_FIRST; returns when it was a fixup or an NMI. */
void exception_handle(struct trap_frame *frame);

#endif
