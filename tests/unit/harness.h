/* SPDX-License-Identifier: BSD-2-Clause */
/* What harness.c gives a host test: the kept log, and an arena for the direct map. */
#ifndef TESTS_UNIT_HARNESS_H
#define TESTS_UNIT_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#define TEST_LOG_SIZE 65536
extern char test_log[TEST_LOG_SIZE];
void test_log_clear(void);

/* `size` zeroed bytes (a multiple of 2 MiB) that hpa 0 and up refer to. Free with free(). */
void *test_arena(size_t size);

/* The next of a sequence that repeats itself with its seed, which is not 0 (xorshift, 64 bits). */
static inline uint64_t test_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

#endif
