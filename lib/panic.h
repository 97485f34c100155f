/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fourth kind of error (style: "Errors: which of four?"): the hypervisor itself is
 * broken. panic() stops the machine after saying why; a guest must never be able to reach
 * one. Defined by arch/x86 on the machine and by the harness in host tests.
 */
#ifndef LIB_PANIC_H
#define LIB_PANIC_H

_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(cond)                                                                           \
	do {                                                                                   \
		if (__builtin_expect(!(cond), 0)) {                                            \
			panic("%s:%d: %s: assertion failed: %s", __FILE__, __LINE__, __func__, \
			      #cond);                                                          \
		}                                                                              \
	} while (0)

#endif
