/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model-specific registers that are emulated: deny by default, a table of those that guests
 * may use. State is partition-owned (one vCPU; per vCPU where that will matter).
 */
#ifndef HV_MSR_H
#define HV_MSR_H

#include "lib/bits.h"

#define MTRR_VARIABLE_COUNT 8
#define MTRR_FIXED_COUNT 11
#define MSR_DENIED_MAX 16

struct msr_state {
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t mtrr_default;
	uint64_t mtrr_variable[2 * MTRR_VARIABLE_COUNT];
	uint64_t mtrr_fixed[MTRR_FIXED_COUNT];
	uint64_t pvclock;		 /* gpa | 1 of the vCPU time record, 0: off */
	uint32_t denied[MSR_DENIED_MAX]; /* distinct unknown MSRs that were tried */
	unsigned int denied_count;	 /* entries used */
	uint64_t denied_accesses;	 /* all of them */
};

void msr_state_init(struct msr_state *msrs);

#endif
