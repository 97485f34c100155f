/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * a * b / c with a 128-bit product, for conversions between clocks. Uses the CPU's own MUL
 * and DIV: the compiler would call libgcc for the division, which is not linked.
 */
#include "lib/bits.h"

/* See lib/bits.h. DIV faults when the quotient does not fit, so that case is cut off first. */
uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low;
	uint64_t high;
	uint64_t quotient;
	uint64_t remainder;

	__asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
	if (high >= c) {
		return UINT64_MAX;
	}
	__asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(c) : "cc");
	return quotient;
}
