/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions of the guests as functions: ports, MSRs, control registers, CPUID, TSC. The
 * plain ones must not fault; the try_ ones give the vector of the exception, or NO_FAULT.
 */
#ifndef TESTS_GUESTS_COMMON_IO_H
#define TESTS_GUESTS_COMMON_IO_H

#include "lib/bits.h"
#include "tests/guests/common/trap.h"

#define PORT_DEBUG_EXIT 0xf4
#define COM1 0x3f8

static inline void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;
	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;
	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;
	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

/* Ordered behind everything before it. */
static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;
	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr"
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
}

static inline int try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t lo = 0, hi = 0;
	fault_clear();
	asm volatile(ATTEMPT("rdmsr") : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*value = (uint64_t)hi << 32 | lo;
	return fault.vector;
}

static inline int try_wrmsr(uint32_t msr, uint64_t value)
{
	fault_clear();
	asm volatile(ATTEMPT("wrmsr")
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
	return fault.vector;
}

/* read_crN, write_crN and try_write_crN. */
#define CONTROL_REGISTER(n)                                                         \
	static inline uint64_t read_cr##n(void)                                     \
	{                                                                           \
		uint64_t value;                                                     \
		asm volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");      \
		return value;                                                       \
	}                                                                           \
	static inline void write_cr##n(uint64_t value)                              \
	{                                                                           \
		asm volatile("mov %0, %%cr" #n : : "r"(value) : "memory");          \
	}                                                                           \
	static inline int try_write_cr##n(uint64_t value)                           \
	{                                                                           \
		fault_clear();                                                      \
		asm volatile(ATTEMPT("mov %0, %%cr" #n) : : "r"(value) : "memory"); \
		return fault.vector;                                                \
	}

CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)
CONTROL_REGISTER(8)

static inline void irq_on(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void irq_off(void)
{
	asm volatile("cli" : : : "memory");
}

/* Opens interrupts for exactly one HLT; closed again on return. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause" : : : "memory");
}

#endif
