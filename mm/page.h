/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zeroing whole pages: what frames.c and pool.c promise about everything they hand out. One
 * string instruction, for at boot this is most of what creating a partition costs.
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include "lib/addr.h"

static inline void page_zero(void *page, size_t count)
{
	size_t words = count * (PAGE_SIZE / sizeof(uint64_t));

	/* memory: the compiler must not keep any of these bytes in a register across it. */
	__asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(UINT64_C(0)) : "memory");
}

#endif
