/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AMD backend's beginnings: the permission maps of a partition, a vCPU's VMCB, making it
 * current on a CPU, and the table of functions. Deny by default: a guest's instruction or
 * register that is not known to be harmless is intercepted.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/svm/svm.h"
#include "lib/string.h"

#define INTERCEPTS                                                                         \
	(VMCB_INTERCEPT_INTR | VMCB_INTERCEPT_NMI | VMCB_INTERCEPT_INIT |                  \
	 VMCB_INTERCEPT_CR0_SEL_WRITE | VMCB_INTERCEPT_RDPMC | VMCB_INTERCEPT_CPUID |      \
	 VMCB_INTERCEPT_INVD | VMCB_INTERCEPT_HLT | VMCB_INTERCEPT_INVLPGA |               \
	 VMCB_INTERCEPT_IOIO_PROT | VMCB_INTERCEPT_MSR_PROT | VMCB_INTERCEPT_TASK_SWITCH | \
	 VMCB_INTERCEPT_FERR_FREEZE | VMCB_INTERCEPT_SHUTDOWN)
#define INTERCEPTS2                                                                     \
	(VMCB_INTERCEPT2_VMRUN | VMCB_INTERCEPT2_VMMCALL | VMCB_INTERCEPT2_VMLOAD |     \
	 VMCB_INTERCEPT2_VMSAVE | VMCB_INTERCEPT2_STGI | VMCB_INTERCEPT2_CLGI |         \
	 VMCB_INTERCEPT2_SKINIT | VMCB_INTERCEPT2_WBINVD | VMCB_INTERCEPT2_MONITOR |    \
	 VMCB_INTERCEPT2_MWAIT | VMCB_INTERCEPT2_MWAIT_ARMED | VMCB_INTERCEPT2_XSETBV | \
	 VMCB_INTERCEPT2_RDPRU)
/* #DB and #AC, or a guest could make the CPU deliver one within the other for ever. */
#define INTERCEPTS_EXCEPTION ((uint32_t)(BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC)))

/* Per CPU, each written by its own CPU only: the next entry drops the whole TLB. */
bool svm_flush_all_pending[MAX_CPUS];

static_assert(offsetof(struct virt_vcpu, regs) == 0 &&
		      offsetof(struct vcpu_regs, gpr[GPR_R15]) == 15 * 8,
	      "entry.asm");

/* Clears both bits (read, write) of an MSR below 2000h or in C0000000h-C0001FFFh. */
static void msr_pass(uint8_t *map, uint32_t msr)
{
	uint32_t index = msr < 0x2000 ? msr : msr - 0xc0000000u + 0x2000;

	map[index / 4] = (uint8_t)(map[index / 4] & ~(3u << (index % 4 * 2)));
}

/* See virt_ops.partition_init. Passed are MSRs that are the guest's own: switched with it. */
static void svm_partition_init(struct virt_partition *partition)
{
	static const uint32_t passed[] = {
		MSR_IA32_SYSENTER_CS,
		MSR_IA32_SYSENTER_ESP,
		MSR_IA32_SYSENTER_EIP,
		MSR_STAR,
		MSR_LSTAR,
		MSR_CSTAR,
		MSR_SFMASK,
		MSR_FS_BASE,
		MSR_GS_BASE,
		MSR_KERNEL_GS_BASE,
		MSR_TSC_AUX,
	};

	memset(partition->io_bitmap, 0xff, 3 * PAGE_SIZE);
	memset(partition->msr_bitmap, 0xff, 2 * PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_COUNT(passed); i++) {
		msr_pass(partition->msr_bitmap, passed[i]);
	}
}

/* Has the end of an NMI handler seen. */
void svm_set_iret_intercept(struct vmcb *vmcb, bool on)
{
	vmcb->control.intercept &= ~VMCB_INTERCEPT_IRET;
	if (on) {
		vmcb->control.intercept |= VMCB_INTERCEPT_IRET;
	}
	svm_dirty(vmcb, VMCB_CLEAN_I);
}

/* See virt_ops.vcpu_init. The pages are zeroed and in the direct map. */
static int svm_vcpu_init(struct virt_vcpu *vcpu, struct error_text *error)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	struct vmcb_control *control = &vmcb->control;
	struct vcpu_state state;

	if (vcpu->asid == 0 || vcpu->asid >= virt_caps.asid_count) {
		return error_set(error, -EIO, "ASID %u: this CPU has 1 to %u", vcpu->asid,
				 virt_caps.asid_count - 1);
	}
	control->intercept_cr = VMCB_CR_WRITE(4) | VMCB_CR_READ(8) | VMCB_CR_WRITE(8);
	control->intercept_exception = INTERCEPTS_EXCEPTION;
	control->intercept = INTERCEPTS;
	control->intercept2 = INTERCEPTS2;
	control->iopm_base_pa = ptr_to_hpa(vcpu->partition->io_bitmap).v;
	control->msrpm_base_pa = ptr_to_hpa(vcpu->partition->msr_bitmap).v;
	control->guest_asid = vcpu->asid;
	control->v_intr = VMCB_V_INTR_MASKING | VMCB_V_IGN_TPR;
	control->np_enable = VMCB_NP_ENABLE;
	control->n_cr3 = vcpu->nested_root;
	control->interrupt_shadow = 0;
	vmcb->save.dr6 = DR6_INIT;
	virt_extended_reset(vcpu);
	vcpu->reinject = 0;
	vcpu->nmi_pending = false;
	vcpu->scratch[SVM_NMI_STATE] = SVM_NMI_OPEN;
	vcpu->scratch[SVM_LAST_CPU] = 0;
	vcpu_state_reset(&state);
	svm_set_state(vcpu, &state);
	return 0;
}

/*
 * See virt_ops.vcpu_load. On a CPU that it did not run on last, translations from an
 * earlier stay may be out of date, and VMCB fields that the CPU has cached too.
 */
static void svm_vcpu_load(struct virt_vcpu *vcpu)
{
	uint64_t cpu = UINT64_C(1) + this_cpu()->id;

	if (vcpu->scratch[SVM_LAST_CPU] != cpu) {
		vcpu->scratch[SVM_LAST_CPU] = cpu;
		vcpu->flush = true;
	}
	svm_dirty(svm_vmcb(vcpu), VMCB_CLEAN_ALL);
	/* The host's GS base, TR and so on, as every exit of this vCPU finds them again. */
	__asm__ volatile("vmsave %0" : : "a"(ptr_to_hpa(vcpu->page[1]).v) : "memory");
	virt_extended_load(vcpu);
}

static void svm_vcpu_put(struct virt_vcpu *vcpu)
{
	virt_extended_put(vcpu);
}

/*
 * See virt_ops.flush_asid. No instruction drops an ASID from outside, and none is needed:
 * its translations are used by VMRUN only, so the next entry on this CPU drops them all.
 */
static void svm_flush_asid(uint32_t asid, uint64_t nested_root)
{
	(void)asid;
	(void)nested_root;
	svm_flush_all_pending[this_cpu()->id] = true;
}

/* See virt_ops.flush_root. No tag tells the translations of one root from those of others. */
static void svm_flush_root(hpa_t root)
{
	(void)root;
	svm_flush_all_pending[this_cpu()->id] = true;
}

/*
 * No set_deadline and no set_view_list: SVM has no timer of its own, and no VMFUNC (of
 * virt_caps, deadline_timer and vmfunc_eptp are false).
 */
const struct virt_ops svm_ops = {
	.name = "SVM",
	.cpu_probe = svm_cpu_probe,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.partition_init = svm_partition_init,
	.vcpu_init = svm_vcpu_init,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.enter = svm_enter,
	.inject_exception = svm_inject_exception,
	.set_rip = svm_set_rip,
	.interrupts_enabled = svm_interrupts_enabled,
	.get_rsp = svm_get_rsp,
	.get_rflags = svm_get_rflags,
	.set_rsp = svm_set_rsp,
	.set_rflags = svm_set_rflags,
	.get_paging = svm_get_paging,
	.get_segment = svm_get_segment,
	.set_crs = svm_set_crs,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.set_pat = svm_set_pat,
	.set_root = svm_set_root,
	.get_root = svm_get_root,
	.set_tsc_offset = svm_set_tsc_offset,
	.flush_asid = svm_flush_asid,
	.flush_root = svm_flush_root,
};
