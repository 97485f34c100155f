/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C side of trap_entry.asm: the IDT, the table of fixups made by ATTEMPT(), and the
 * one function that every exception and interrupt goes through.
 */
#include "tests/guests/common/trap.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"

struct fixup {
	uint64_t rip, resume;
};
extern const struct fixup fixups_start[], fixups_end[];

trap_handler *trap_handlers[256];
trap_handler *trap_fallback;
uint64_t interrupt_counts[256];
volatile struct fault fault;
struct idt_gate trap_idt[256] __attribute__((aligned(16)));

/* Called by trap_entry.asm. */
void trap_dispatch(struct trap_frame *frame);

static bool fix_up(struct trap_frame *frame)
{
	for (const struct fixup *fixup = fixups_start; fixup < fixups_end; fixup++) {
		if (fixup->rip == frame->rip) {
			fault.vector = (int)frame->vector;
			fault.error = frame->error;
			fault.rip = frame->rip;
			fault.cr2 = read_cr2();
			frame->rip = fixup->resume;
			return true;
		}
	}
	return false;
}

static void die(const struct trap_frame *frame)
{
	print("guest: unexpected vector %u error 0x%llx at %llx:0x%llx\n",
	      (unsigned int)frame->vector, (unsigned long long)frame->error,
	      (unsigned long long)frame->cs, (unsigned long long)frame->rip);
	print("guest: cr2 0x%llx rsp 0x%llx rflags 0x%llx rax 0x%llx rcx 0x%llx\n",
	      (unsigned long long)read_cr2(), (unsigned long long)frame->rsp,
	      (unsigned long long)frame->rflags, (unsigned long long)frame->rax,
	      (unsigned long long)frame->rcx);
	guest_exit(1);
}

void trap_dispatch(struct trap_frame *frame)
{
	unsigned int vector = (unsigned int)frame->vector & 255;
	interrupt_counts[vector]++;
	if (trap_handlers[vector]) {
		trap_handlers[vector](frame);
	} else if (vector < TRAP_COUNT && !fix_up(frame)) {
		if (trap_fallback) {
			trap_fallback(frame);
		} else {
			die(frame);
		}
	}
}

void trap_load_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(trap_idt) - 1, (uintptr_t)trap_idt };
	asm volatile("lidt %0" : : "m"(pointer), "m"(trap_idt));
}

void trap_init(unsigned int ist)
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		uint64_t stub = (uintptr_t)trap_stubs[vector];
		bool open = vector == TRAP_BP || vector == 0x80; /* INT n from ring 3 */
		trap_idt[vector] = (struct idt_gate){
			.offset_low = (uint16_t)stub,
			.selector = KERNEL_CS,
			.flags = (uint16_t)((open ? 0xee00 : 0x8e00) | ist),
			.offset_middle = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
	fault_clear();
	trap_load_idt();
}
