/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's state as the VMCB holds it, read and changed in neutral form. Exits are not
 * here, nor policy: what arrives has been checked. The VMCB always has all of the state but
 * the general registers, because every exit ends with a VMSAVE into it.
 *
 * Where guest and CPU differ: EFER.SVME is always set for the CPU and never seen by the guest;
 * CR0.CD and NW are never set for the CPU (a guest does not turn off the machine's cache) and
 * kept beside the VMCB. While they differ, reads of CR0 and all writes to it are intercepted.
 */
#include "arch/x86/regs.h"
#include "arch/x86/svm/svm.h"

#define CR0_CACHE_BITS (CR0_CD | CR0_NW)
/* Bits whose change leaves wrong translations in the TLB (APM, "TLB Management"). */
#define CR0_TRANSLATION_BITS (CR0_PE | CR0_WP | CR0_PG)

#define RIGHTS_LOW BITS(7, 0)	 /* of SEGMENT_RIGHTS_...: type, S, DPL, P */
#define RIGHTS_HIGH BITS(15, 12) /* AVL, L, D/B, G */
#define TR_TYPE_BUSY 2u

static struct vmcb_segment *vmcb_segment(struct vmcb *vmcb, enum segment which)
{
	switch (which) {
	case SEGMENT_ES:
		return &vmcb->save.es;
	case SEGMENT_CS:
		return &vmcb->save.cs;
	case SEGMENT_SS:
		return &vmcb->save.ss;
	case SEGMENT_DS:
		return &vmcb->save.ds;
	case SEGMENT_FS:
		return &vmcb->save.fs;
	case SEGMENT_GS:
		return &vmcb->save.gs;
	case SEGMENT_LDTR:
		return &vmcb->save.ldtr;
	case SEGMENT_TR:
	case SEGMENT_COUNT:
		break;
	}
	return &vmcb->save.tr;
}

static uint32_t rights_from_attrib(uint16_t attrib)
{
	uint64_t rights = FIELD_PREP(RIGHTS_LOW, FIELD_GET(VMCB_ATTRIB_LOW, attrib)) |
			  FIELD_PREP(RIGHTS_HIGH, FIELD_GET(VMCB_ATTRIB_HIGH, attrib));

	if (!(attrib & VMCB_ATTRIB_P)) {
		rights |= SEGMENT_RIGHTS_UNUSABLE;
	}
	return (uint32_t)rights;
}

static uint16_t attrib_from_rights(uint32_t rights)
{
	uint64_t attrib = FIELD_PREP(VMCB_ATTRIB_LOW, FIELD_GET(RIGHTS_LOW, rights)) |
			  FIELD_PREP(VMCB_ATTRIB_HIGH, FIELD_GET(RIGHTS_HIGH, rights));

	if (rights & SEGMENT_RIGHTS_UNUSABLE) {
		attrib &= ~VMCB_ATTRIB_P;
	}
	return (uint16_t)attrib;
}

/*
 * `which` is not SEGMENT_COUNT. As VMX would show it: SS.DPL is the CPL, TR is busy, and G
 * says what the limit says (some CPUs do not keep it).
 */
void svm_get_segment(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	const struct vmcb_segment *segment = vmcb_segment(vmcb, which);
	uint32_t rights = rights_from_attrib(segment->attrib);

	rights &= ~SEGMENT_RIGHTS_G;
	if (segment->limit > 0xfffff) {
		rights |= SEGMENT_RIGHTS_G;
	}
	if (which == SEGMENT_SS) {
		rights &= ~SEGMENT_RIGHTS_DPL;
		rights |= (uint32_t)FIELD_PREP(SEGMENT_RIGHTS_DPL, vmcb->save.cpl);
	}
	if (which == SEGMENT_TR) {
		rights |= TR_TYPE_BUSY;
	}
	out->selector = segment->selector;
	out->rights = rights;
	out->limit = segment->limit;
	out->base = segment->base;
}

static void set_segment(struct vmcb_segment *segment, const struct segment_state *in)
{
	segment->selector = in->selector;
	segment->attrib = attrib_from_rights(in->rights);
	segment->limit = in->limit;
	segment->base = in->base;
}

/* Sets RIP after an instruction was done for the guest: its shadow and RFLAGS.RF end. */
void svm_set_rip(struct virt_vcpu *vcpu, uint64_t rip)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	vmcb->save.rip = rip;
	vmcb->save.rflags &= ~RFLAGS_RF;
	vmcb->control.interrupt_shadow &= ~VMCB_INTERRUPT_SHADOW;
}

/* See virt_ops.interrupts_enabled: svm_set_rip() past a HLT has ended its shadow. */
bool svm_interrupts_enabled(struct virt_vcpu *vcpu)
{
	const struct vmcb *vmcb = svm_vmcb(vcpu);

	return (vmcb->save.rflags & RFLAGS_IF) &&
	       !(vmcb->control.interrupt_shadow & VMCB_INTERRUPT_SHADOW);
}

uint64_t svm_get_rsp(struct virt_vcpu *vcpu)
{
	return svm_vmcb(vcpu)->save.rsp;
}

uint64_t svm_get_rflags(struct virt_vcpu *vcpu)
{
	return svm_vmcb(vcpu)->save.rflags;
}

void svm_set_rsp(struct virt_vcpu *vcpu, uint64_t rsp)
{
	svm_vmcb(vcpu)->save.rsp = rsp;
}

void svm_set_rflags(struct virt_vcpu *vcpu, uint64_t rflags)
{
	svm_vmcb(vcpu)->save.rflags = rflags;
}

static uint64_t guest_cr0(struct virt_vcpu *vcpu)
{
	return svm_vmcb(vcpu)->save.cr0 | vcpu->scratch[SVM_CR0_CACHE];
}

/* See virt_ops.get_paging. */
void svm_get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging)
{
	const struct vmcb_save *save = &svm_vmcb(vcpu)->save;

	paging->cr0 = guest_cr0(vcpu);
	paging->cr3 = save->cr3;
	paging->cr4 = save->cr4;
	paging->efer = save->efer & ~EFER_SVME;
	paging->rflags = save->rflags;
	paging->cs_base = save->cs.base;
	paging->cs_rights = rights_from_attrib(save->cs.attrib);
	paging->cpl = save->cpl;
}

/*
 * See virt_ops.set_crs. `pdpte` is not used: with nested paging the CPU reads the four
 * entries from the guest's memory whenever it needs them.
 */
void svm_set_crs(struct virt_vcpu *vcpu, const struct virt_paging *paging, const uint64_t *pdpte)
{
	const uint32_t cr0_exits = VMCB_CR_READ(0) | VMCB_CR_WRITE(0);
	struct vmcb *vmcb = svm_vmcb(vcpu);
	struct vmcb_save *save = &vmcb->save;
	uint64_t cr0 = (paging->cr0 & ~CR0_CACHE_BITS) | CR0_ET;
	uint64_t efer = (paging->efer & ~EFER_LMA) | EFER_SVME;

	(void)pdpte;
	if ((efer & EFER_LME) && (cr0 & CR0_PG)) {
		efer |= EFER_LMA;
	}
	if (((save->cr0 ^ cr0) & CR0_TRANSLATION_BITS) || save->cr3 != paging->cr3 ||
	    save->cr4 != paging->cr4 || save->efer != efer) {
		vcpu->flush = true;
	}
	save->cr0 = cr0;
	save->cr3 = paging->cr3;
	save->cr4 = paging->cr4;
	save->efer = efer;

	vcpu->scratch[SVM_CR0_CACHE] = paging->cr0 & CR0_CACHE_BITS;
	vmcb->control.intercept_cr &= ~cr0_exits;
	if (vcpu->scratch[SVM_CR0_CACHE] != 0) {
		vmcb->control.intercept_cr |= cr0_exits;
	}
	svm_dirty(vmcb, VMCB_CLEAN_CRX | VMCB_CLEAN_I);
}

/* See virt_ops.get_state. */
void svm_get_state(struct virt_vcpu *vcpu, struct vcpu_state *state)
{
	const struct vmcb_save *save = &svm_vmcb(vcpu)->save;

	state->regs = vcpu->regs;
	state->regs.gpr[GPR_RSP] = save->rsp;
	state->rip = save->rip;
	state->rflags = save->rflags;
	state->cr0 = guest_cr0(vcpu);
	state->cr2 = save->cr2;
	state->cr3 = save->cr3;
	state->cr4 = save->cr4;
	state->efer = save->efer & ~EFER_SVME;
	state->dr7 = save->dr7;
	state->pat = save->g_pat;
	state->sysenter_cs = save->sysenter_cs;
	state->sysenter_esp = save->sysenter_esp;
	state->sysenter_eip = save->sysenter_eip;
	state->star = save->star;
	state->lstar = save->lstar;
	state->cstar = save->cstar;
	state->sfmask = save->sfmask;
	state->kernel_gs_base = save->kernel_gs_base;
	for (enum segment i = SEGMENT_ES; i < SEGMENT_COUNT; i++) {
		svm_get_segment(vcpu, i, &state->segment[i]);
	}
	state->gdtr.limit = (uint16_t)save->gdtr.limit;
	state->gdtr.base = save->gdtr.base;
	state->idtr.limit = (uint16_t)save->idtr.limit;
	state->idtr.base = save->idtr.base;
}

/* The privilege level that a whole new state means. */
static uint8_t state_cpl(const struct vcpu_state *state)
{
	if (!(state->cr0 & CR0_PE)) {
		return 0;
	}
	if (state->rflags & RFLAGS_VM) {
		return 3;
	}
	return (uint8_t)FIELD_GET(SEGMENT_RIGHTS_DPL, state->segment[SEGMENT_SS].rights);
}

/* See virt_ops.set_state. DR6 and what is on its way to the guest (events) stay. */
void svm_set_state(struct virt_vcpu *vcpu, const struct vcpu_state *state)
{
	const struct virt_paging paging = {
		.cr0 = state->cr0,
		.cr3 = state->cr3,
		.cr4 = state->cr4,
		.efer = state->efer,
	};
	struct vmcb *vmcb = svm_vmcb(vcpu);
	struct vmcb_save *save = &vmcb->save;

	vcpu->regs = state->regs;
	save->rsp = state->regs.gpr[GPR_RSP];
	save->rip = state->rip;
	save->rflags = state->rflags | RFLAGS_FIXED;
	save->cr2 = state->cr2;
	save->dr7 = state->dr7;
	save->g_pat = state->pat;
	save->sysenter_cs = state->sysenter_cs;
	save->sysenter_esp = state->sysenter_esp;
	save->sysenter_eip = state->sysenter_eip;
	save->star = state->star;
	save->lstar = state->lstar;
	save->cstar = state->cstar;
	save->sfmask = state->sfmask;
	save->kernel_gs_base = state->kernel_gs_base;
	for (enum segment i = SEGMENT_ES; i < SEGMENT_COUNT; i++) {
		set_segment(vmcb_segment(vmcb, i), &state->segment[i]);
	}
	save->gdtr.limit = state->gdtr.limit;
	save->gdtr.base = state->gdtr.base;
	save->idtr.limit = state->idtr.limit;
	save->idtr.base = state->idtr.base;
	save->cpl = state_cpl(state);
	svm_set_crs(vcpu, &paging, NULL);

	vcpu->flush = true;
	svm_dirty(vmcb, VMCB_CLEAN_ALL);
}

void svm_set_pat(struct virt_vcpu *vcpu, uint64_t pat)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	vmcb->save.g_pat = pat;
	svm_dirty(vmcb, VMCB_CLEAN_NP);
}

/*
 * See virt_ops.set_root. The nested walk is always four levels deep: nCR3 is the address.
 * Translations are tagged with the ASID alone, which stays the same: they must all go.
 */
void svm_set_root(struct virt_vcpu *vcpu, hpa_t root)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	vcpu->nested_root = root.v;
	vmcb->control.n_cr3 = root.v;
	svm_dirty(vmcb, VMCB_CLEAN_NP);
	vcpu->flush = true;
}

/* See virt_ops.get_root. */
hpa_t svm_get_root(struct virt_vcpu *vcpu)
{
	return hpa(svm_vmcb(vcpu)->control.n_cr3);
}

void svm_set_tsc_offset(struct virt_vcpu *vcpu, uint64_t offset)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);

	vmcb->control.tsc_offset = offset;
	svm_dirty(vmcb, VMCB_CLEAN_I);
}
