/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is called for a host vector. Handlers are set at boot, before interrupts are opened;
 * the table is machine-owned and read-only afterwards. Exceptions go to exception.c.
 */
#include "arch/x86/interrupt.h"

#include "arch/x86/cpu.h"
#include "arch/x86/lapic.h"
#include "lib/log.h"
#include "lib/panic.h"

#define VECTOR_COUNT 256

static interrupt_handler_fn *handlers[VECTOR_COUNT];
static uint64_t counts[VECTOR_COUNT];

void interrupt_set_handler(uint8_t vector, interrupt_handler_fn *handler)
{
	ASSERT(vector >= VECTOR_FIRST);
	handlers[vector] = handler;
}

uint64_t interrupt_count(uint8_t vector)
{
	return counts[vector];
}

/* A vector that nobody waits for: harmless, but worth one line. */
static void unexpected(uint8_t vector)
{
	if (vector == VECTOR_SPURIOUS) {
		this_cpu()->spurious_count++;
		return; /* the local APIC wants no EOI for it */
	}
	if (counts[vector] == 1) {
		log_printf("interrupt: vector 0x%x has no handler", vector);
	}
	lapic_eoi();
}

void interrupt_dispatch(struct trap_frame *frame)
{
	uint8_t vector = (uint8_t)frame->vector;

	if (vector < VECTOR_FIRST) {
		exception_handle(frame);
		return;
	}
	counts[vector]++;
	if (handlers[vector]) {
		handlers[vector](vector);
	} else {
		unexpected(vector);
	}
}
