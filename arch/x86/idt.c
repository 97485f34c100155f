/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one interrupt descriptor table of all CPUs: 256 interrupt gates to the stubs, four of
 * them on stacks of their own. Also moves the legacy PICs out of the way, so that even a
 * spurious interrupt of a masked PIC does not look like an exception.
 */
#include <assert.h>

#include "arch/x86/cpu.h"
#include "arch/x86/interrupt.h"

#define GATE_INTERRUPT UINT64_C(0x8e) /* present, ring 0, interrupts off on entry */

#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0
#define PIC_ICW1 0x11 /* initialise, ICW4 follows */
#define PIC_ICW4 0x01 /* 8086 mode */

struct gate {
	uint64_t low;
	uint64_t high;
};
static_assert(sizeof(struct gate) == 16, "the CPU's layout of a gate");

extern const uintptr_t idt_stub_table[256];

static struct gate idt[256] __attribute__((aligned(4096)));

/* The IST number of a vector, 0 for the interrupted stack. */
static uint64_t vector_ist(unsigned int vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return CPU_IST_NMI + 1;
	case VECTOR_DF:
		return CPU_IST_DF + 1;
	case VECTOR_MC:
		return CPU_IST_MC + 1;
	case VECTOR_PF:
		return CPU_IST_PF + 1;
	default:
		return 0;
	}
}

/* Both 8259s: base vectors 0x20 and 0x28, cascade on line 2, every line masked. */
static void pics_mask(void)
{
	outb(PIC_MASTER, PIC_ICW1);
	outb(PIC_SLAVE, PIC_ICW1);
	outb(PIC_MASTER + 1, VECTOR_FIRST);
	outb(PIC_SLAVE + 1, VECTOR_FIRST + 8);
	outb(PIC_MASTER + 1, 1 << 2);
	outb(PIC_SLAVE + 1, 2);
	outb(PIC_MASTER + 1, PIC_ICW4);
	outb(PIC_SLAVE + 1, PIC_ICW4);
	outb(PIC_MASTER + 1, 0xff);
	outb(PIC_SLAVE + 1, 0xff);
}

/* Fills the table, once. */
void idt_init(void)
{
	for (unsigned int i = 0; i < ARRAY_COUNT(idt); i++) {
		uint64_t target = idt_stub_table[i];

		idt[i].low = (target & 0xffff) | (uint64_t)SELECTOR_CODE << 16 |
			     vector_ist(i) << 32 | GATE_INTERRUPT << 40 |
			     (target >> 16 & 0xffff) << 48;
		idt[i].high = target >> 32;
	}
	pics_mask();
}

void idt_load(void)
{
	struct table_register idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}
