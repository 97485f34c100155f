/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to arch/x86/vmx/: what its files share. probe.c finds out what the CPU offers and
 * turns it on, setup.c makes and loads VMCSs, state.c reads and writes the guest's state,
 * view.c says which EPT the guest is in, event.c delivers exceptions and interrupts, exit.c is
 * the way into the guest and back. The world sees vmx_ops (virt.h) only.
 */
#ifndef ARCH_X86_VMX_VMX_H
#define ARCH_X86_VMX_VMX_H

#include <assert.h>

#include "arch/x86/virt.h"
#include "arch/x86/vmx/vmcs.h"

/* What every VMCS of this machine is made with. Constant after vmx_cpu_probe(). */
struct vmx_config {
	uint32_t revision;
	uint32_t pin; /* without the preemption timer: see vmx_set_deadline() */
	uint32_t primary;
	uint32_t secondary; /* without VM functions: see vmx_set_view_list() */
	uint32_t exit;
	uint32_t entry; /* without IA-32e mode guest: see vmx_set_crs() */
	uint32_t invept_type;
	uint32_t invvpid_type; /* 0: no VPID */
	unsigned int timer_shift;
	uint64_t eptp; /* without the root */
	uint64_t cr0_fixed0;
	uint64_t cr0_fixed1;
	uint64_t cr4_fixed0;
	uint64_t cr4_fixed1;
	uint64_t cr4_guest_owned;
};
extern struct vmx_config vmx_config;

/*
 * The bits of CR0 that a guest writes without an exit. All others are the host's: a guest
 * that changes one exits, and reads the shadow.
 */
#define VMX_CR0_GUEST_OWNED (CR0_WP | CR0_AM | CR0_TS | CR0_MP | CR0_EM)

/* The slots of virt_vcpu.scratch. */
enum vmx_scratch {
	VMX_SCRATCH_HOST_RSP, /* what VMCS_HOST_RSP holds; entry.asm */
	VMX_SCRATCH_PRIMARY,  /* what VMCS_PRIMARY_CONTROLS holds */
	VMX_SCRATCH_DEADLINE, /* in steps of the preemption timer, or VMX_NEVER */
	VMX_SCRATCH_LAST_CPU,
	VMX_SCRATCH_VIEW_COUNT, /* entries of the EPTP list in use; 0: VMFUNC is off */
};
#define VMX_NEVER UINT64_MAX

/*
 * virt_vcpu.reinject: the interruption information of the event, and in 63:32 the length of
 * the instruction that raised it (software interrupts and exceptions), or VMX_SHUTDOWN.
 */
#define VMX_REINJECT_LENGTH BITS(63, 32)
#define VMX_SHUTDOWN BITS(31, 0) /* no valid information has all bits set */

/* probe.c */
int vmx_cpu_probe(struct virt_caps *caps, struct error_text *error);
int vmx_cpu_enable(void *page, struct error_text *error);
void vmx_cpu_disable(void);
void vmx_flush_asid(uint32_t asid, uint64_t nested_root);
void vmx_flush_root(hpa_t root);
void vmx_flush_linear(uint32_t asid);

/* view.c */
void vmx_set_root(struct virt_vcpu *vcpu, hpa_t root);
hpa_t vmx_get_root(struct virt_vcpu *vcpu);
void vmx_set_view_list(struct virt_vcpu *vcpu, const hpa_t *roots, unsigned int count);
void vmx_flush_vcpu(struct virt_vcpu *vcpu);

/* event.c */
#define VMX_WINDOWS (PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW)
void vmx_inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception);
bool vmx_interrupts_enabled(struct virt_vcpu *vcpu);
void vmx_set_windows(struct virt_vcpu *vcpu, uint64_t windows);
bool vmx_choose_event(struct virt_vcpu *vcpu);
void vmx_keep_event_of(struct virt_vcpu *vcpu, uint32_t info, bool nmi_unblocked);

/*
 * For exits that can come while an event is delivered: it goes in again with the next
 * entry. When there was none, an IRET that unblocked NMIs and then faulted is undone here.
 */
static inline void vmx_keep_event(struct virt_vcpu *vcpu, bool nmi_unblocked)
{
	uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO);

	if (unlikely((info & INTERRUPTION_VALID) || nmi_unblocked)) {
		vmx_keep_event_of(vcpu, info, nmi_unblocked);
	}
}

/* state.c: members of vmx_ops, and what the others need of them */
void vmx_set_rip(struct virt_vcpu *vcpu, uint64_t rip);
uint64_t vmx_get_rsp(struct virt_vcpu *vcpu);
uint64_t vmx_get_rflags(struct virt_vcpu *vcpu);
void vmx_set_rsp(struct virt_vcpu *vcpu, uint64_t rsp);
void vmx_set_rflags(struct virt_vcpu *vcpu, uint64_t rflags);
uint64_t vmx_guest_cr0(void);
bool vmx_in_64_bit_code(void);
void vmx_get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging);
void vmx_get_segment(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out);
void vmx_set_crs(struct virt_vcpu *vcpu, const struct virt_paging *paging, const uint64_t *pdpte);
void vmx_get_state(struct virt_vcpu *vcpu, struct vcpu_state *state);
void vmx_set_state(struct virt_vcpu *vcpu, const struct vcpu_state *state);
void vmx_write_guest_fields(struct virt_vcpu *vcpu, const struct vcpu_state *state);
void vmx_set_pat(struct virt_vcpu *vcpu, uint64_t pat);
void vmx_set_tsc_offset(struct virt_vcpu *vcpu, uint64_t offset);
void vmx_set_deadline(struct virt_vcpu *vcpu, uint64_t tsc);

/* exit.c */
void vmx_enter(struct virt_vcpu *vcpu, struct exit *exit);

/*
 * entry.asm: runs the guest with the registers of `vcpu` until it exits, with 0, or until
 * the CPU refuses to enter (VMfail), with 1.
 */
int vmx_run(struct virt_vcpu *vcpu);
/* The second half of it: only for VMCS_HOST_RIP. */
void vmx_exit_point(void);

#endif
