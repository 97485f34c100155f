/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU as C sees it: instructions that C has no words for, and the per-CPU area found
 * through the GS base. The wrappers do nothing but their instruction; those that order or
 * change what memory means carry a "memory" clobber and say so.
 */
#ifndef ARCH_X86_CPU_H
#define ARCH_X86_CPU_H

#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "lib/addr.h"

#define MAX_CPUS 64

/* Host segment selectors: the GDT of every CPU has these (arch/x86/gdt.c). */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18
#define GDT_ENTRIES 5 /* null, code, data, and the TSS in two */

/* SDM, "Task Management in 64-bit Mode". */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

/* Interrupt stacks of their own: the index is IST - 1. */
enum cpu_ist {
	CPU_IST_NMI,
	CPU_IST_DF,
	CPU_IST_MC,
	CPU_IST_PF,
	CPU_IST_COUNT,
};

/*
 * One per CPU, whole pages, reached by this_cpu(). Written by its own CPU only; machine-
 * owned. `self` is first: this_cpu() reads it at GS:0.
 */
struct cpu {
	struct cpu *self;
	unsigned int id; /* 0 is the boot CPU */
	uint32_t apic_id;
	uint64_t nmi_count;
	uint64_t spurious_count;
	uintptr_t stack_top; /* the stack of the CPU loop */
	uintptr_t ist_top[CPU_IST_COUNT];
	uint64_t gdt[GDT_ENTRIES];
	struct tss tss;
} __attribute__((aligned(4096)));

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	/* Not volatile: the answer never changes, code does not move between CPUs. */
	__asm__("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/*
 * A line of the fixup table, for use inside an asm statement: when the instruction at label
 * `at` raises #GP, #UD or #PF, execution goes on at label `to` with CF set.
 */
#define FIXUP_ENTRY(at, to) \
	".pushsection fixups, \"a\"\n\t.balign 8\n\t.quad " at ", " to "\n\t.popsection\n"

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

/* Clobbers memory: some MSRs change what later accesses mean. */
static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* False, and *value 0, when this CPU has no such MSR (#GP). Needs the IDT. */
static inline bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	bool faulted;

	__asm__ volatile("clc\n1:\trdmsr\n2:\n" FIXUP_ENTRY("1b", "2b")
			 : "+a"(low), "+d"(high), "=@ccc"(faulted)
			 : "c"(msr));
	*value = faulted ? 0 : (uint64_t)high << 32 | low;
	return !faulted;
}

/* False when this CPU refuses the MSR or the value (#GP). Needs the IDT. */
static inline bool wrmsr_safe(uint32_t msr, uint64_t value)
{
	bool faulted;

	__asm__ volatile("clc\n1:\twrmsr\n2:\n" FIXUP_ENTRY("1b", "2b")
			 : "=@ccc"(faulted)
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
	return !faulted;
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

struct cpuid_result {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

/* Does not check that the leaf exists: see cpuid_max() in arch/x86/cpuid.h. */
static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

#define DEFINE_REGISTER_READ(name)                                      \
	static inline uint64_t read_##name(void)                        \
	{                                                               \
		uint64_t value;                                         \
                                                                        \
		__asm__ volatile("movq %%" #name ", %0" : "=r"(value)); \
		return value;                                           \
	}
/* Clobbers memory: later accesses happen under the new value. */
#define DEFINE_REGISTER_WRITE(name)                                              \
	static inline void write_##name(uint64_t value)                          \
	{                                                                        \
		__asm__ volatile("movq %0, %%" #name : : "r"(value) : "memory"); \
	}

DEFINE_REGISTER_READ(cr0)
DEFINE_REGISTER_READ(cr2)
DEFINE_REGISTER_READ(cr3)
DEFINE_REGISTER_READ(cr4)
DEFINE_REGISTER_READ(dr0)
DEFINE_REGISTER_READ(dr1)
DEFINE_REGISTER_READ(dr2)
DEFINE_REGISTER_READ(dr3)
DEFINE_REGISTER_READ(dr6)
DEFINE_REGISTER_READ(dr7)
DEFINE_REGISTER_WRITE(cr0)
DEFINE_REGISTER_WRITE(cr2)
DEFINE_REGISTER_WRITE(cr3)
DEFINE_REGISTER_WRITE(cr4)
DEFINE_REGISTER_WRITE(dr0)
DEFINE_REGISTER_WRITE(dr1)
DEFINE_REGISTER_WRITE(dr2)
DEFINE_REGISTER_WRITE(dr3)
DEFINE_REGISTER_WRITE(dr6)
DEFINE_REGISTER_WRITE(dr7)

static inline uint64_t read_rflags(void)
{
	uint64_t value;

	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(value));
	return value;
}

/* Clobber memory: what the handler changes is read anew afterwards. */
static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Opens interrupts for exactly long enough to take those that are pending, then closes. */
static inline void sti_window(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

/* Sleeps until an interrupt was handled; returns with interrupts off. No wake-up is lost. */
static inline void sti_hlt_cli(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

/* For ever, with interrupts off. An NMI is handled and sleep goes on. */
static inline _Noreturn void cpu_halt(void)
{
	for (;;) {
		__asm__ volatile("cli\n\thlt" : : : "memory");
	}
}

static inline void cpu_pause(void)
{
	__builtin_ia32_pause();
}

static inline uint64_t rdtsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline uint64_t xgetbv(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* `area` is 64-byte aligned and large enough for `mask`. Clobber memory: it is written whole. */
static inline void xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

/* The compacted format; only where CPUID has it (leaf 0xd, subleaf 1). */
static inline void xsavec(void *area, uint64_t mask)
{
	__asm__ volatile("xsavec64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

/* #GP when the area's header is malformed: only what xsave() wrote, or zeroes. */
static inline void xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

/* `area` is 512 bytes, 16-byte aligned. */
static inline void fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* Drops this CPU's translations of one host address. Clobbers memory: the mapping changed. */
static inline void invlpg(uintptr_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline struct table_register sgdt(void)
{
	struct table_register r;

	__asm__ volatile("sgdt %0" : "=m"(r));
	return r;
}

static inline struct table_register sidt(void)
{
	struct table_register r;

	__asm__ volatile("sidt %0" : "=m"(r));
	return r;
}

/* arch/x86/cpu.c */

/*
 * The boot CPU's area, descriptor tables and control registers; the first thing in C.
 * After it exceptions are reported and rdmsr_safe() works.
 */
void cpu_init_boot(void);

/* Gives this CPU stacks with guard pages for interrupts; needs host_map_init(). */
void cpu_init_stacks(void);

/* Runs `fn` on the stack of this CPU's loop (struct cpu.stack_top); never comes back. */
_Noreturn void cpu_run_on_stack(uintptr_t stack_top, void (*fn)(void));

#endif
