/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory type range registers: kept and checked as a CPU does, without effect, since all
 * guest memory is write-back and emulated devices do not care (SDM, "Memory Type Range
 * Registers").
 */
#ifndef HV_MTRR_H
#define HV_MTRR_H

#include "hv/msr.h"

/* True when `number` is one of the MTRRs, the capability register included. */
bool mtrr_is(uint32_t number);
uint64_t mtrr_read(const struct msr_state *msrs, uint32_t number);
/* False when the value is one that a CPU refuses (#GP). */
bool mtrr_write(struct msr_state *msrs, uint32_t number, uint64_t value);

#endif
