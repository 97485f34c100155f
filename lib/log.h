/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's log: lines with a time stamp, kept in a ring in memory from the first
 * instruction on and passed to the console when there is one. Machine-owned; calling it
 * while a partition is served is a gate to the core (docs/memory-layout.md).
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/ring.h"

/* Called with each formatted line, newline included. Runs under the log lock: no logging. */
typedef void log_sink_fn(const char *text, size_t length);

/* Called for the time stamp: microseconds since the hypervisor started. */
typedef uint64_t log_clock_fn(void);

/*
 * Writes one line; a newline is added. At most 400 characters, longer ones are cut and end
 * in "...". Any context but an NMI or a machine check.
 */
void log_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The sink is first given every line that the ring still holds. */
void log_set_sink(log_sink_fn *sink);
void log_set_clock(log_clock_fn *clock);

/* The ring itself, for `log` in the shell: follow it with a cursor and ring_get(). */
const struct ring *log_ring(void);

#endif
