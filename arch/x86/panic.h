/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out when the hypervisor itself is broken: writing without locks or log, the
 * backtrace, and the end of the machine. panic() itself is declared in lib/panic.h.
 */
#ifndef ARCH_X86_PANIC_H
#define ARCH_X86_PANIC_H

#include "lib/bits.h"
#include "lib/panic.h"

/* Writes bytes, polled, with no lock and no memory beyond its stack. */
typedef void panic_write_fn(const char *text, size_t length);

/* Where the words go; COM1 at 0x3f8, polled, until this is called. */
void panic_set_output(panic_write_fn *write);

/* What ends the machine after the report; without it, or when it returns, the CPU halts. */
void panic_set_exit(void (*fn)(void));

/* One line of the report; a newline is added. */
void panic_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The callers, by frame pointers from `rbp` on, starting with `rip`. */
void panic_backtrace(uintptr_t rip, uintptr_t rbp);

/* Marks the report as begun: false when this CPU or another one was here before. */
bool panic_enter(void);
_Noreturn void panic_stop(void);

#endif
