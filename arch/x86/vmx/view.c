/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which EPT a vCPU is in. The owner changes it between two entries (set_root); with VMFUNC
 * the guest changes it too, without an exit, to one of a list of EPTPs (SDM, "EPTP
 * Switching"): then the VMCS knows the current one and virt_vcpu.nested_root does not.
 *
 * The one idea: what a CPU caches is tagged with the root, so a switch invalidates nothing,
 * and what was cached of a root before counts again when it comes back. So a root is flushed
 * when it becomes current, and from then on with each flush of the vCPU; to VMFUNC's list
 * this applies as if all of its roots were current.
 */
#include "arch/x86/vmx/vmx.h"

static_assert(VIRT_VIEWS_MAX * sizeof(uint64_t) == PAGE_SIZE, "the list is one page");

static uint64_t *view_list(struct virt_vcpu *vcpu)
{
	return vcpu->page[1];
}

/* virt_ops.set_root */
void vmx_set_root(struct virt_vcpu *vcpu, hpa_t root)
{
	vcpu->nested_root = root.v | vmx_config.eptp;
	vmcs_write64(VMCS_EPT_POINTER, vcpu->nested_root);
	vmx_flush_root(root);
}

/* virt_ops.get_root */
hpa_t vmx_get_root(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return hpa(vmcs_read64(VMCS_EPT_POINTER) & EPTP_ROOT);
}

/* Without the control VMFUNC is #UD; with it, what the list does not have is an exit. */
static void set_vm_functions(const struct virt_vcpu *vcpu, bool on)
{
	uint32_t secondary = vmx_config.secondary;

	if (on) {
		secondary |= (uint32_t)SECONDARY_VM_FUNCTIONS;
		vmcs_write64(VMCS_VM_FUNCTION_CONTROLS, VM_FUNCTION_EPTP_SWITCHING);
		vmcs_write64(VMCS_EPTP_LIST_ADDRESS, ptr_to_hpa(vcpu->page[1]).v);
	}
	vmcs_write32(VMCS_SECONDARY_CONTROLS, secondary);
}

/*
 * virt_ops.set_view_list. The list is the vCPU's own and it is not in guest mode: nobody
 * reads it meanwhile. An entry of 0 is no valid EPTP (its page walk has a length of 1).
 */
void vmx_set_view_list(struct virt_vcpu *vcpu, const hpa_t *roots, unsigned int count)
{
	unsigned int old_count = (unsigned int)vcpu->scratch[VMX_SCRATCH_VIEW_COUNT];
	uint64_t *list = view_list(vcpu);

	ASSERT(count <= VIRT_VIEWS_MAX);
	/* The guest may be in a root of the old list that is not in the new one. */
	vcpu->nested_root = vmcs_read64(VMCS_EPT_POINTER);
	for (unsigned int i = 0; i < count; i++) {
		list[i] = roots[i].v != 0 ? roots[i].v | vmx_config.eptp : 0;
	}
	for (unsigned int i = count; i < old_count; i++) {
		list[i] = 0;
	}
	vcpu->scratch[VMX_SCRATCH_VIEW_COUNT] = count;
	if ((old_count != 0) != (count != 0)) {
		set_vm_functions(vcpu, count != 0);
	}
	vcpu->flush = true;
}

/* Drops whatever this CPU has cached for this vCPU, in each of the roots it can be in. */
void vmx_flush_vcpu(struct virt_vcpu *vcpu)
{
	const uint64_t *list = view_list(vcpu);

	for (unsigned int i = 0; i < vcpu->scratch[VMX_SCRATCH_VIEW_COUNT]; i++) {
		if (list[i] != 0 && list[i] != vcpu->nested_root) {
			vmx_flush_root(hpa(list[i] & EPTP_ROOT));
		}
	}
	vmx_flush_asid(vcpu->asid, vcpu->nested_root);
}
