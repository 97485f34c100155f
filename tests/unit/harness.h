/* SPDX-License-Identifier: BSD-2-Clause */
/* What harness.c gives a host test: the kept log, and an arena for the direct map. */
#ifndef TESTS_UNIT_HARNESS_H
#define TESTS_UNIT_HARNESS_H

#include <stddef.h>

#define TEST_LOG_SIZE 65536
extern char test_log[TEST_LOG_SIZE];
void test_log_clear(void);

/* `size` zeroed bytes (a multiple of 2 MiB) that hpa 0 and up refer to. Free with free(). */
void *test_arena(size_t size);

#endif
