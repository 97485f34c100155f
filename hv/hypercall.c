/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls by VMCALL or VMMCALL, in the register convention that KVM's guests use: number
 * in RAX, result in RAX. There is none yet that does anything, and a guest that asks gets an
 * error code; the privilege check comes first so that a guest's user mode learns nothing.
 */
#include "hv/guest_memory.h"
#include "hv/partition.h"

#define HYPERCALL_ENOSYS 1000 /* KVM_ENOSYS of the convention */
#define HYPERCALL_EPERM 1

enum outcome exit_hypercall(struct vcpu *vcpu)
{
	struct virt_paging paging;
	int64_t result = -HYPERCALL_ENOSYS;

	virt->get_paging(&vcpu->virt, &paging);
	if (paging.cpl != 0) {
		result = -HYPERCALL_EPERM;
	}
	vcpu->virt.regs.gpr[GPR_RAX] = (uint64_t)result;
	return OUTCOME_NEXT;
}
