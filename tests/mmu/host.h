/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a build of mm/ with threads needs in place of the machine's own: this file is included
 * before everything else by the compiler's option -include. Pages are zeroed by memset(),
 * which ThreadSanitizer sees, unlike a string instruction; and who spins gives its CPU away
 * (-D__builtin_ia32_pause=host_pause), for there are more threads than CPUs.
 */
#ifndef TESTS_MMU_HOST_H
#define TESTS_MMU_HOST_H

/* Instead of mm/page.h. */
#define MM_PAGE_H

#include <stddef.h>
#include <string.h>

static inline void page_zero(void *page, size_t count)
{
	memset(page, 0, count * 4096);
}

void host_pause(void);

#endif
