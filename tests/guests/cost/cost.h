/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this guest share: an operation is a name and a function that does it
 * once and says how many ticks of the TSC that took. main.c samples and prints; the tables
 * are in operations.c (single instructions) and interrupts.c (whole sequences).
 */
#ifndef TESTS_GUESTS_COST_COST_H
#define TESTS_GUESTS_COST_COST_H

#include "lib/bits.h"

#define SAMPLES_MAX 512

struct operation {
	const char *name;
	/* Ticks of sample `i`; `fault` tells whether the operation was refused. */
	uint64_t (*sample)(unsigned int i);
	unsigned int (*limit)(void); /* how many samples there can be; NULL: any number */
};

/* Ticks of the measuring sequence around nothing. */
uint64_t sample_nothing(unsigned int i);

bool has_x2apic(void);

/* Each ends with an entry without a name. */
extern const struct operation instruction_operations[];
extern const struct operation memory_operations[];
extern const struct operation xapic_operations[];
extern const struct operation x2apic_operations[];

/* From xAPIC to x2APIC mode; there is no way back. */
void enter_x2apic(void);
/* Handlers of the vectors that the interrupt operations use. */
void interrupts_init(void);

#endif
