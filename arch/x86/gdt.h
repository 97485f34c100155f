/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor table and task state segment of a CPU, kept in its struct cpu.
 */
#ifndef ARCH_X86_GDT_H
#define ARCH_X86_GDT_H

#include "arch/x86/cpu.h"

/* Fills and loads `cpu`'s GDT and TSS on this CPU. Clears the GS base. */
void gdt_load(struct cpu *cpu);

/* Puts cpu->ist_top into the TSS; in effect from the next interrupt on. */
void gdt_set_stacks(struct cpu *cpu);

#endif
