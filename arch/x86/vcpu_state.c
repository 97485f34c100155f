/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a CPU after INIT, which is where every virtual CPU starts (SDM, "Processor
 * State After Reset"). What a loader wants otherwise, it changes afterwards.
 */
#include "arch/x86/vcpu_state.h"

#include "arch/x86/regs.h"
#include "lib/string.h"

#define RESET_CS_SELECTOR 0xf000
#define RESET_CS_BASE 0xffff0000
#define RESET_RIP 0xfff0
#define RESET_LIMIT 0xffff
#define RESET_PAT UINT64_C(0x0007040600070406)
/* RDX holds family, model and stepping; a plain family 6. */
#define RESET_RDX 0x600

#define TYPE_DATA 0x3u /* read, write, accessed */
#define TYPE_CODE 0xbu /* execute, read, accessed */
#define TYPE_LDT 0x2u
#define TYPE_TSS 0xbu /* busy */

void vcpu_state_reset(struct vcpu_state *state)
{
	memset(state, 0, sizeof(*state));
	state->regs.gpr[GPR_RDX] = RESET_RDX;
	state->rip = RESET_RIP;
	state->rflags = RFLAGS_FIXED;
	state->cr0 = CR0_CD | CR0_NW | CR0_ET;
	state->dr7 = DR7_INIT;
	state->pat = RESET_PAT;
	state->gdtr.limit = RESET_LIMIT;
	state->idtr.limit = RESET_LIMIT;
	for (unsigned int i = 0; i < SEGMENT_COUNT; i++) {
		state->segment[i].limit = RESET_LIMIT;
		state->segment[i].rights = SEGMENT_RIGHTS_P | SEGMENT_RIGHTS_S | TYPE_DATA;
	}
	state->segment[SEGMENT_CS].selector = RESET_CS_SELECTOR;
	state->segment[SEGMENT_CS].base = RESET_CS_BASE;
	state->segment[SEGMENT_CS].rights = SEGMENT_RIGHTS_P | SEGMENT_RIGHTS_S | TYPE_CODE;
	state->segment[SEGMENT_LDTR].rights = SEGMENT_RIGHTS_P | TYPE_LDT;
	state->segment[SEGMENT_TR].rights = SEGMENT_RIGHTS_P | TYPE_TSS;
}
