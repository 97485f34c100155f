/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the AMD backend share: probe.c (the CPU), setup.c (maps, a vCPU's
 * beginnings), state.c (reading and changing the guest's state), exit.c (in and out of the
 * guest). Everything of a vCPU is partition-owned: its VMCB is page[0]. In page[1] the CPU
 * keeps what VMRUN does not switch of the host: GS base, TR and the like (VMSAVE, VMLOAD).
 */
#ifndef ARCH_X86_SVM_SVM_H
#define ARCH_X86_SVM_SVM_H

#include "arch/x86/cpu.h"
#include "arch/x86/svm/vmcb.h"
#include "arch/x86/virt.h"

/* Optional parts of SVM that this machine has; constant after svm_cpu_probe(). */
struct svm_features {
	bool next_rip;
	bool decode_assists;
	bool flush_by_asid;
	uint64_t clean; /* VMCB_CLEAN_... bits in use, 0 without the feature */
};
extern struct svm_features svm_features;

/* What virt_vcpu.scratch[] holds. */
enum svm_scratch {
	SVM_CR0_CACHE, /* CR0.CD and NW as the guest set them; the CPU's are always 0 */
	SVM_NMI_STATE, /* enum svm_nmi_state */
	SVM_IRET_RIP,  /* where the IRET stands, in SVM_NMI_LEAVING */
	SVM_LAST_CPU,  /* 1 + id of the CPU that ran it last, 0 if none */
};

/* NMIs are blocked from one's delivery until its handler's IRET is done. */
enum svm_nmi_state {
	SVM_NMI_OPEN,
	SVM_NMI_BLOCKED, /* IRET is intercepted */
	SVM_NMI_LEAVING, /* at the IRET: open as soon as RIP is elsewhere */
};

/* virt_vcpu.reinject: a fault during a double fault. No event looks like this. */
#define SVM_SHUTDOWN UINT64_MAX

static inline struct vmcb *svm_vmcb(struct virt_vcpu *vcpu)
{
	return vcpu->page[0];
}

/* To be called after a change to fields of these clean bits: the CPU reads them again. */
static inline void svm_dirty(struct vmcb *vmcb, uint64_t fields)
{
	vmcb->control.clean &= ~fields;
}

/*
 * entry.asm: runs the guest until its next exit. `vmcb` and `host` are host-physical; with
 * `shadow` the first instruction runs in an interrupt shadow. Interrupts are off, before and
 * after; a host NMI that came meanwhile has been handled.
 */
void svm_run(struct vcpu_regs *regs, uint64_t vmcb, uint64_t host, bool shadow);

/* entry.asm: writes the host's TPR, which is always 0, so that the CPU looks at it again. */
void svm_host_tpr_clear(void);

/* probe.c */
int svm_cpu_probe(struct virt_caps *caps, struct error_text *error);
int svm_cpu_enable(void *page, struct error_text *error);
void svm_cpu_disable(void);

/* setup.c */
void svm_set_iret_intercept(struct vmcb *vmcb, bool on);
/* Each CPU's own: all of its TLB is to be dropped at the next entry. */
extern bool svm_flush_all_pending[MAX_CPUS];

/* exit.c */
void svm_enter(struct virt_vcpu *vcpu, struct exit *exit);
void svm_inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception);

/* state.c */
void svm_set_rip(struct virt_vcpu *vcpu, uint64_t rip);
bool svm_interrupts_enabled(struct virt_vcpu *vcpu);
uint64_t svm_get_rsp(struct virt_vcpu *vcpu);
uint64_t svm_get_rflags(struct virt_vcpu *vcpu);
void svm_set_rsp(struct virt_vcpu *vcpu, uint64_t rsp);
void svm_set_rflags(struct virt_vcpu *vcpu, uint64_t rflags);
void svm_get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging);
void svm_get_segment(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out);
void svm_set_crs(struct virt_vcpu *vcpu, const struct virt_paging *paging, const uint64_t *pdpte);
void svm_get_state(struct virt_vcpu *vcpu, struct vcpu_state *state);
void svm_set_state(struct virt_vcpu *vcpu, const struct vcpu_state *state);
void svm_set_pat(struct virt_vcpu *vcpu, uint64_t pat);
void svm_set_root(struct virt_vcpu *vcpu, hpa_t root);
hpa_t svm_get_root(struct virt_vcpu *vcpu);
void svm_set_tsc_offset(struct virt_vcpu *vcpu, uint64_t offset);

#endif
