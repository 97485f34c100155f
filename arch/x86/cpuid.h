/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host CPU is and has, as CPUID tells it. No policy about guests: what they see is
 * hv's business. A feature is named by leaf, subleaf, register and bit in one constant.
 */
#ifndef ARCH_X86_CPUID_H
#define ARCH_X86_CPUID_H

#include "arch/x86/cpu.h"

enum cpuid_register {
	CPUID_EAX,
	CPUID_EBX,
	CPUID_ECX,
	CPUID_EDX,
};

/* Leaf in 63:32, subleaf in 31:8, register in 7:6, bit in 4:0. */
#define CPUID_FEATURE(leaf, subleaf, reg, bit) \
	((uint64_t)(leaf) << 32 | (uint64_t)(subleaf) << 8 | (uint64_t)(reg) << 6 | (bit))

#define CPUID_VMX CPUID_FEATURE(1, 0, CPUID_ECX, 5)
#define CPUID_X2APIC CPUID_FEATURE(1, 0, CPUID_ECX, 21)
#define CPUID_TSC_DEADLINE CPUID_FEATURE(1, 0, CPUID_ECX, 24)
#define CPUID_XSAVE CPUID_FEATURE(1, 0, CPUID_ECX, 26)
#define CPUID_HYPERVISOR CPUID_FEATURE(1, 0, CPUID_ECX, 31)
#define CPUID_APIC CPUID_FEATURE(1, 0, CPUID_EDX, 9)
#define CPUID_PGE CPUID_FEATURE(1, 0, CPUID_EDX, 13)
#define CPUID_MCE CPUID_FEATURE(1, 0, CPUID_EDX, 7)
#define CPUID_SMEP CPUID_FEATURE(7, 0, CPUID_EBX, 7)
#define CPUID_SMAP CPUID_FEATURE(7, 0, CPUID_EBX, 20)
#define CPUID_UMIP CPUID_FEATURE(7, 0, CPUID_ECX, 2)
#define CPUID_SVM CPUID_FEATURE(0x80000001, 0, CPUID_ECX, 2)
#define CPUID_NX CPUID_FEATURE(0x80000001, 0, CPUID_EDX, 20)
#define CPUID_PAGE_1G CPUID_FEATURE(0x80000001, 0, CPUID_EDX, 26)
#define CPUID_RDTSCP CPUID_FEATURE(0x80000001, 0, CPUID_EDX, 27)
#define CPUID_XSAVE_POINTERS CPUID_FEATURE(0x80000008, 0, CPUID_EBX, 2)
#define CPUID_INVARIANT_TSC CPUID_FEATURE(0x80000007, 0, CPUID_EDX, 8)

/* The highest leaf of the range that `leaf` is in (0 or 0x80000000), 0 if none. */
uint32_t cpuid_max(uint32_t leaf);

/* CPUID, or all zero when the CPU has no such leaf. */
struct cpuid_result cpuid_checked(uint32_t leaf, uint32_t subleaf);

/* True when the CPU has the CPUID_... feature. */
bool cpuid_has(uint64_t feature);

/* Width of a physical address in bits, 36 where the CPU does not say. */
unsigned int cpuid_maxphyaddr(void);

/* "GenuineIntel", "AuthenticAMD", ...; 13 bytes. */
void cpuid_vendor(char vendor[13]);

/* The brand string, without leading spaces; 49 bytes; empty if there is none. */
void cpuid_brand(char brand[49]);

#endif
