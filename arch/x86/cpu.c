/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Brings one CPU into the state that all other code takes for granted: its area at the GS
 * base, descriptor tables, control registers with every protection that it has, and stacks
 * between guard pages. Not here: virtualisation (the backends) and the APIC.
 */
#include "arch/x86/cpu.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/gdt.h"
#include "arch/x86/host_map.h"
#include "arch/x86/interrupt.h"

#define STACK_PAGES 16
#define IST_STACK_PAGES 3

/* What every manual gives as the value after reset: index 3 is uncached (PCD and PWT). */
#define PAT_RESET UINT64_C(0x0007040600070406)

static struct cpu boot_cpu;

/* For exceptions until there are stacks with guard pages. */
static uint8_t early_ist_stack[8192] __attribute__((aligned(16)));

/* Control registers: fixed values, with each protection that CPUID names. */
static void control_registers_set(void)
{
	uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cr4 |= cpuid_has(CPUID_MCE) ? CR4_MCE : 0;
	cr4 |= cpuid_has(CPUID_PGE) ? CR4_PGE : 0;
	cr4 |= cpuid_has(CPUID_XSAVE) ? CR4_OSXSAVE : 0;
	cr4 |= cpuid_has(CPUID_SMEP) ? CR4_SMEP : 0;
	cr4 |= cpuid_has(CPUID_SMAP) ? CR4_SMAP : 0;
	cr4 |= cpuid_has(CPUID_UMIP) ? CR4_UMIP : 0;
	/* CD and NW off: some firmware leaves the caches disabled. */
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	write_cr4(cr4);
	wrmsr(MSR_IA32_PAT, PAT_RESET);
	write_dr7(DR7_INIT);
	if (cpuid_has(CPUID_XSAVE)) {
		xsetbv(0, XCR0_X87 | XCR0_SSE);
	}
}

void cpu_init_boot(void)
{
	struct cpu *cpu = &boot_cpu;

	cpu->self = cpu;
	cpu->apic_id = cpuid(1, 0).ebx >> 24; /* until lapic_init() */
	for (unsigned int i = 0; i < CPU_IST_COUNT; i++) {
		cpu->ist_top[i] = (uintptr_t)early_ist_stack + sizeof(early_ist_stack);
	}
	gdt_load(cpu);
	wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
	idt_init();
	idt_load();
	control_registers_set();
}

void cpu_init_stacks(void)
{
	struct cpu *cpu = this_cpu();

	cpu->stack_top = host_map_stack(STACK_PAGES);
	for (unsigned int i = 0; i < CPU_IST_COUNT; i++) {
		cpu->ist_top[i] = host_map_stack(IST_STACK_PAGES);
	}
	gdt_set_stacks(cpu);
}

_Noreturn void cpu_run_on_stack(uintptr_t stack_top, void (*fn)(void))
{
	/* RBP 0 ends the chain of frames; nothing of the old stack is needed again. */
	__asm__ volatile("movq %0, %%rsp\n\txorl %%ebp, %%ebp\n\tcall *%1\n\tud2"
			 :
			 : "r"(stack_top), "r"(fn)
			 : "memory");
	__builtin_unreachable();
}
