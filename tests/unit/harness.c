/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine gives the hypervisor's files, for host tests: panic() fails the test,
 * log lines are kept in test_log, and the direct map is an arena that a test sets up.
 */
#include "tests/unit/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/panic.h"

uintptr_t direct_map_base;
char test_log[TEST_LOG_SIZE];

_Noreturn void panic(const char *format, ...)
{
	va_list args;

	fputs("panic: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void log_printf(const char *format, ...)
{
	size_t used = strlen(test_log);
	va_list args;

	va_start(args, format);
	vsnprintf(test_log + used, sizeof(test_log) - used, format, args);
	va_end(args);
	used = strlen(test_log);
	snprintf(test_log + used, sizeof(test_log) - used, "\n");
}

void test_log_clear(void)
{
	test_log[0] = '\0';
}

void *test_arena(size_t size)
{
	void *arena = aligned_alloc(1 << 21, size);

	assert_non_null(arena);
	memset(arena, 0, size);
	direct_map_base = (uintptr_t)arena;
	return arena;
}
