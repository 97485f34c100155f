/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For Frama-C only, before everything else: what it does not know well enough of GNU C. The
 * memory and string functions of lib/string.c are inline assembly; theirs are C17's, so here
 * they are Frama-C's own, which ask that what they touch is valid and was written.
 */
#ifndef TESTS_MODEL_STANDINS_H
#define TESTS_MODEL_STANDINS_H

#include <string.h>

/* The number of the lowest bit that is set, exactly, as a constant where x is one. */
#define LOWEST_BIT(x) ((x) & (~(x) + 1))
#define LOWEST_BIT_IN(x, mask, value) ((LOWEST_BIT(x) & (mask)) != 0 ? (value) : 0)
#define __builtin_ctzll(x)                                                                         \
	(LOWEST_BIT_IN(x, 0xffffffff00000000ULL, 32) +                                             \
	 LOWEST_BIT_IN(x, 0xffff0000ffff0000ULL, 16) +                                             \
	 LOWEST_BIT_IN(x, 0xff00ff00ff00ff00ULL, 8) + LOWEST_BIT_IN(x, 0xf0f0f0f0f0f0f0f0ULL, 4) + \
	 LOWEST_BIT_IN(x, 0xccccccccccccccccULL, 2) + LOWEST_BIT_IN(x, 0xaaaaaaaaaaaaaaaaULL, 1))

/* As the function of lib/bits.h; Eva learns from it about what the arguments are. */
#include "lib/bits.h"
#define range_fits(start, length, limit) ((start) <= (limit) && (length) <= (limit) - (start))

#endif
