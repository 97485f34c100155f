/* SPDX-License-Identifier: BSD-2-Clause */
/* What the roles of this guest share: a call, and what is said about its answer. */
#ifndef TESTS_GUESTS_CALLS_CALLS_H
#define TESTS_GUESTS_CALLS_CALLS_H

#include "include/bulkhead/hypercall.h"
#include "lib/addr.h"

#define WORK UINT64_C(0x800000) /* memory of our own to play with */

int64_t call(enum bulkhead_call number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* Prints "calls: <what> ok", or FAILED with the value: then the guest ends with status 1. */
void check(const char *what, bool good, int64_t value);
void expect(const char *what, int64_t value, int64_t expected);

/* The slot that holds WORK. 0, or what the hypercall said. */
int64_t find_slot(struct bulkhead_slot *slot);

/* Role exhaust; exhaust.c. */
void exhaust(void);

#endif
