/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preemption at places that the compiler chose: mm/ is built with -fsanitize-coverage=trace-pc,
 * which calls this at every branch, and once in a while the thread gives its CPU away there.
 * So each window between two steps of the MMU is hit, on any number of CPUs. Not built with a
 * sanitizer itself.
 */
#include <sched.h>
#include <stdint.h>
#include <time.h>

#define CALLS_BETWEEN 3000u

void __sanitizer_cov_trace_pc(void);

static _Thread_local uint32_t countdown = 1;
static _Thread_local uint32_t state;

void __sanitizer_cov_trace_pc(void)
{
	if (--countdown != 0) {
		return;
	}
	if (state == 0) {
		state = (uint32_t)(uintptr_t)&state | 1;
	}
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	countdown = 1 + state % CALLS_BETWEEN;
	if (state >> 28 == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	} else {
		sched_yield();
	}
}
