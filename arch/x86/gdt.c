/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flat code and data for ring 0 and one TSS, whose only use is its interrupt stacks. The
 * limit of the TSS excludes an I/O bitmap. VMX wants TR to be a valid busy TSS.
 */
#include "arch/x86/gdt.h"

#include <assert.h>

#define DESCRIPTOR_CODE UINT64_C(0x00af9b000000ffff)
#define DESCRIPTOR_DATA UINT64_C(0x00cf93000000ffff)
#define DESCRIPTOR_TSS_AVAILABLE (UINT64_C(0x89) << 40) /* present, 64-bit TSS, not busy */

static_assert(sizeof(struct tss) == 104, "the CPU's layout of a 64-bit TSS");
static_assert(offsetof(struct tss, ist) == 36, "the CPU's layout of a 64-bit TSS");
static_assert(offsetof(struct cpu, self) == 0, "this_cpu() reads GS:0");

void gdt_set_stacks(struct cpu *cpu)
{
	for (unsigned int i = 0; i < CPU_IST_COUNT; i++) {
		cpu->tss.ist[i] = cpu->ist_top[i];
	}
}

/* Loads code, data and null selectors; the far return is the only way to load CS. */
static void selectors_load(void)
{
	__asm__ volatile("pushq %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %1, %%ds\n\t"
			 "movl %1, %%es\n\t"
			 "movl %1, %%ss\n\t"
			 "movl %2, %%fs\n\t"
			 "movl %2, %%gs"
			 :
			 : "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0)
			 : "rax", "memory");
}

void gdt_load(struct cpu *cpu)
{
	uint64_t base = (uintptr_t)&cpu->tss;
	struct table_register gdtr = { sizeof(cpu->gdt) - 1, (uintptr_t)cpu->gdt };

	cpu->tss.io_map_base = sizeof(cpu->tss);
	gdt_set_stacks(cpu);
	cpu->gdt[0] = 0;
	cpu->gdt[SELECTOR_CODE / 8] = DESCRIPTOR_CODE;
	cpu->gdt[SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
	cpu->gdt[SELECTOR_TSS / 8] = DESCRIPTOR_TSS_AVAILABLE | (sizeof(cpu->tss) - 1) |
				     (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	cpu->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
	/* Clobbers memory: segment loads below read the new table. */
	__asm__ volatile("lgdt %0" : : "m"(gdtr) : "memory");
	selectors_load();
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS) : "memory");
}
