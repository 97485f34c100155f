/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction at RIP, for handlers that must decode it and for CPUs that do not tell
 * its length. The guest's own page tables decide where it is; see hv/guest_memory.h.
 */
#ifndef HV_FETCH_H
#define HV_FETCH_H

#include "hv/decoder.h"
#include "hv/vcpu.h"

/*
 * Fetches and decodes the instruction at RIP. OUTCOME_NEXT when *decoded is good; else what
 * the handler returns (a page fault or #UD for the guest).
 */
enum outcome fetch_decode(struct vcpu *vcpu, struct decoded *decoded);

/* Fills vcpu->exit.instruction_length of an exit that an instruction caused; as above. */
enum outcome fetch_length(struct vcpu *vcpu);

#endif
