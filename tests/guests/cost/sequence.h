/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measuring sequence: RDTSC, the same moves whatever is measured, the instruction,
 * RDTSC. All of it is one asm statement, so the compiler puts nothing in between, and the
 * same sequence around nothing is what has to be subtracted.
 */
#ifndef TESTS_GUESTS_COST_SEQUENCE_H
#define TESTS_GUESTS_COST_SEQUENCE_H

#include <assert.h>

#include "tests/guests/common/trap.h"

#define READ_TSC "lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax;"

/*
 * Defines NAME(i): the ticks of `instruction`, entered with rax = a, rcx = c, rdx = d (which
 * may depend on i). It may change rax, rbx, rcx, rdx and memory, and may fault.
 * The assertion is there for the semicolon.
 */
#define SAMPLE(name, instruction, a, c, d)                                                \
	uint64_t name(unsigned int i)                                                     \
	{                                                                                 \
		uint64_t start, end;                                                      \
		(void)i;                                                                  \
		fault_clear();                                                            \
		asm volatile(READ_TSC "mov %%rax, %[start];"                              \
				      "mov %[rax], %%rax; mov %[rcx], %%rcx;"             \
				      "mov %[rdx], %%rdx\n" ATTEMPT(instruction) READ_TSC \
			     : [start] "=&r"(start), "=&a"(end)                           \
			     : [rax] "r"((uint64_t)(a)), [rcx] "r"((uint64_t)(c)),        \
			       [rdx] "r"((uint64_t)(d))                                   \
			     : "rbx", "rcx", "rdx", "memory", "cc");                      \
		return end - start;                                                       \
	}                                                                                 \
	static_assert(true, "")

#endif
