/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's state in the VMCS that is current, read and written for handlers, loaders and
 * the shell. The one idea: of CR0 and CR4 the guest sees (real & ~mask) | (shadow & mask),
 * because some bits are the host's (VMX wants NE and VMXE, the host wants MCE and caches).
 */
#include "arch/x86/cpu.h"
#include "arch/x86/vmx/vmx.h"

/* The fields of segment n are the ES field + 2n, in the order of enum segment. */
#define SEGMENT_FIELD(width, what, which) \
	((enum vmcs_field##width)(VMCS_GUEST_ES_##what + 2 * (unsigned int)(which)))
static_assert(VMCS_GUEST_ES_SELECTOR + 2 * SEGMENT_TR == VMCS_GUEST_TR_SELECTOR, "order");
static_assert(VMCS_GUEST_ES_LIMIT + 2 * SEGMENT_TR == VMCS_GUEST_TR_LIMIT, "order");
static_assert(VMCS_GUEST_ES_RIGHTS + 2 * SEGMENT_TR == VMCS_GUEST_TR_RIGHTS, "order");
static_assert(VMCS_GUEST_ES_BASE + 2 * SEGMENT_TR == VMCS_GUEST_TR_BASE, "order");

#define RIGHTS_VALID 0x1f0ffu /* the others are reserved */
#define RIGHTS_ACCESSED 1u
#define TSS_TYPE_MASK 0xfu
#define TSS_BUSY_64 11u

/* The bits whose change makes cached translations wrong. */
#define CR0_PAGING (CR0_PG | CR0_WP | CR0_PE)
#define CR4_PAGING \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)

/* The guest runs 64-bit code, not compatibility mode or less. */
bool vmx_in_64_bit_code(void)
{
	return (vmcs_read64(VMCS_GUEST_IA32_EFER) & EFER_LMA) &&
	       (vmcs_read32(VMCS_GUEST_CS_RIGHTS) & SEGMENT_RIGHTS_L);
}

/*
 * virt_ops.set_rip: the shadow of STI and MOV SS is over, and EIP wraps (an entry with more
 * than it can hold would fail).
 */
void vmx_set_rip(struct virt_vcpu *vcpu, uint64_t rip)
{
	uint32_t blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);

	(void)vcpu;
	if (unlikely(rip >> 32 == 1) && !vmx_in_64_bit_code()) {
		rip = (uint32_t)rip;
	}
	vmcs_write_natural(VMCS_GUEST_RIP, rip);
	if (unlikely(blocked & INTERRUPTIBILITY_SHADOW)) {
		vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY,
			     blocked & (uint32_t)~INTERRUPTIBILITY_SHADOW);
	}
}

/* virt_ops.get_rsp */
uint64_t vmx_get_rsp(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return vmcs_read_natural(VMCS_GUEST_RSP);
}

/* virt_ops.get_rflags */
uint64_t vmx_get_rflags(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return vmcs_read_natural(VMCS_GUEST_RFLAGS);
}

/* virt_ops.set_rsp */
void vmx_set_rsp(struct virt_vcpu *vcpu, uint64_t rsp)
{
	(void)vcpu;
	vmcs_write_natural(VMCS_GUEST_RSP, rsp);
}

/* virt_ops.set_rflags */
void vmx_set_rflags(struct virt_vcpu *vcpu, uint64_t rflags)
{
	(void)vcpu;
	vmcs_write_natural(VMCS_GUEST_RFLAGS, rflags);
}

/* CR0 as the guest sees it. */
uint64_t vmx_guest_cr0(void)
{
	return (vmcs_read_natural(VMCS_GUEST_CR0) & VMX_CR0_GUEST_OWNED) |
	       (vmcs_read_natural(VMCS_CR0_READ_SHADOW) & ~VMX_CR0_GUEST_OWNED);
}

static uint64_t guest_cr4(void)
{
	return (vmcs_read_natural(VMCS_GUEST_CR4) & vmx_config.cr4_guest_owned) |
	       (vmcs_read_natural(VMCS_CR4_READ_SHADOW) & ~vmx_config.cr4_guest_owned);
}

/* virt_ops.get_paging */
void vmx_get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging)
{
	(void)vcpu;
	paging->cr0 = vmx_guest_cr0();
	paging->cr3 = vmcs_read_natural(VMCS_GUEST_CR3);
	paging->cr4 = guest_cr4();
	paging->efer = vmcs_read64(VMCS_GUEST_IA32_EFER);
	paging->rflags = vmcs_read_natural(VMCS_GUEST_RFLAGS);
	paging->cs_base = vmcs_read_natural(VMCS_GUEST_CS_BASE);
	paging->cs_rights = vmcs_read32(VMCS_GUEST_CS_RIGHTS) & RIGHTS_VALID;
	paging->cpl = (uint8_t)FIELD_GET(SEGMENT_RIGHTS_DPL, vmcs_read32(VMCS_GUEST_SS_RIGHTS));
}

/* virt_ops.get_segment */
void vmx_get_segment(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out)
{
	(void)vcpu;
	out->selector = vmcs_read16(SEGMENT_FIELD(16, SELECTOR, which));
	out->rights = vmcs_read32(SEGMENT_FIELD(32, RIGHTS, which)) & RIGHTS_VALID;
	out->limit = vmcs_read32(SEGMENT_FIELD(32, LIMIT, which));
	out->base = vmcs_read_natural(SEGMENT_FIELD(_natural, BASE, which));
}

static void set_segment(enum segment which, const struct segment_state *in)
{
	uint32_t rights = in->rights & RIGHTS_VALID;

	/* Entries want a usable segment to have been accessed, as loading it would do. */
	if (which < SEGMENT_LDTR && !(rights & SEGMENT_RIGHTS_UNUSABLE)) {
		rights |= RIGHTS_ACCESSED;
	}
	vmcs_write16(SEGMENT_FIELD(16, SELECTOR, which), in->selector);
	vmcs_write32(SEGMENT_FIELD(32, RIGHTS, which), rights);
	vmcs_write32(SEGMENT_FIELD(32, LIMIT, which), in->limit);
	vmcs_write_natural(SEGMENT_FIELD(_natural, BASE, which), in->base);
}

/* EFER with LMA as LME and PG make it; the entry control goes with it. */
static void set_efer(uint64_t efer, uint64_t cr0)
{
	uint32_t tr_rights = vmcs_read32(VMCS_GUEST_TR_RIGHTS);
	uint32_t entry = vmx_config.entry;

	efer &= ~EFER_LMA;
	if ((efer & EFER_LME) && (cr0 & CR0_PG)) {
		efer |= EFER_LMA;
		entry |= (uint32_t)ENTRY_IA32E_MODE_GUEST;
		/* An entry wants a busy 64-bit TSS; the CPU would let an old one be until LTR. */
		vmcs_write32(VMCS_GUEST_TR_RIGHTS, (tr_rights & ~TSS_TYPE_MASK) | TSS_BUSY_64);
	}
	vmcs_write64(VMCS_GUEST_IA32_EFER, efer);
	vmcs_write32(VMCS_ENTRY_CONTROLS, entry);
}

/* With unrestricted guest PE and PG are free although CR0_FIXED0 names them. */
static void set_cr0(uint64_t cr0)
{
	uint64_t fixed = vmx_config.cr0_fixed0 & ~(CR0_PE | CR0_PG);
	uint64_t real = (cr0 & ~(CR0_CD | CR0_NW)) | fixed | CR0_NE | CR0_ET;

	vmcs_write_natural(VMCS_CR0_READ_SHADOW, cr0);
	vmcs_write_natural(VMCS_GUEST_CR0, real & vmx_config.cr0_fixed1);
}

/* MCE stays as the host has it: without it a machine check shuts the machine down. */
static void set_cr4(uint64_t cr4)
{
	uint64_t real = cr4 | vmx_config.cr4_fixed0 | CR4_VMXE | (read_cr4() & CR4_MCE);

	vmcs_write_natural(VMCS_CR4_READ_SHADOW, cr4);
	vmcs_write_natural(VMCS_GUEST_CR4, real & vmx_config.cr4_fixed1);
}

/* virt_ops.set_crs */
void vmx_set_crs(struct virt_vcpu *vcpu, const struct virt_paging *paging, const uint64_t *pdpte)
{
	uint64_t changed = ((vmx_guest_cr0() ^ paging->cr0) & CR0_PAGING) |
			   ((guest_cr4() ^ paging->cr4) & CR4_PAGING) |
			   (vmcs_read_natural(VMCS_GUEST_CR3) ^ paging->cr3) |
			   (vmcs_read64(VMCS_GUEST_IA32_EFER) ^ paging->efer);

	set_efer(paging->efer, paging->cr0);
	set_cr0(paging->cr0);
	set_cr4(paging->cr4);
	vmcs_write_natural(VMCS_GUEST_CR3, paging->cr3);
	if (pdpte != NULL) {
		vmcs_write64(VMCS_GUEST_PDPTE0, pdpte[0]);
		vmcs_write64(VMCS_GUEST_PDPTE1, pdpte[1]);
		vmcs_write64(VMCS_GUEST_PDPTE2, pdpte[2]);
		vmcs_write64(VMCS_GUEST_PDPTE3, pdpte[3]);
	}
	if (changed != 0) {
		vmx_flush_linear(vcpu->asid);
	}
}

/* virt_ops.get_state */
void vmx_get_state(struct virt_vcpu *vcpu, struct vcpu_state *state)
{
	state->regs = vcpu->regs;
	state->regs.gpr[GPR_RSP] = vmcs_read_natural(VMCS_GUEST_RSP);
	state->rip = vmcs_read_natural(VMCS_GUEST_RIP);
	state->rflags = vmcs_read_natural(VMCS_GUEST_RFLAGS);
	state->cr0 = vmx_guest_cr0();
	state->cr2 = read_cr2();
	state->cr3 = vmcs_read_natural(VMCS_GUEST_CR3);
	state->cr4 = guest_cr4();
	state->efer = vmcs_read64(VMCS_GUEST_IA32_EFER);
	state->dr7 = vmcs_read_natural(VMCS_GUEST_DR7);
	state->pat = vmcs_read64(VMCS_GUEST_IA32_PAT);
	state->sysenter_cs = vmcs_read32(VMCS_GUEST_SYSENTER_CS);
	state->sysenter_esp = vmcs_read_natural(VMCS_GUEST_SYSENTER_ESP);
	state->sysenter_eip = vmcs_read_natural(VMCS_GUEST_SYSENTER_EIP);
	state->star = rdmsr(MSR_STAR);
	state->lstar = rdmsr(MSR_LSTAR);
	state->cstar = rdmsr(MSR_CSTAR);
	state->sfmask = rdmsr(MSR_SFMASK);
	state->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	for (unsigned int i = 0; i < SEGMENT_COUNT; i++) {
		vmx_get_segment(vcpu, (enum segment)i, &state->segment[i]);
	}
	state->gdtr.base = vmcs_read_natural(VMCS_GUEST_GDTR_BASE);
	state->gdtr.limit = (uint16_t)vmcs_read32(VMCS_GUEST_GDTR_LIMIT);
	state->idtr.base = vmcs_read_natural(VMCS_GUEST_IDTR_BASE);
	state->idtr.limit = (uint16_t)vmcs_read32(VMCS_GUEST_IDTR_LIMIT);
}

/*
 * All of `state` that is in the VMCS or in vcpu->regs; the VMCS is current. What the vCPU
 * was in the middle of (events, shadows, blocking) is gone.
 */
void vmx_write_guest_fields(struct virt_vcpu *vcpu, const struct vcpu_state *state)
{
	vcpu->regs = state->regs;
	vcpu->reinject = 0;
	vmcs_write_natural(VMCS_GUEST_RSP, state->regs.gpr[GPR_RSP]);
	vmcs_write_natural(VMCS_GUEST_RIP, state->rip);
	vmcs_write_natural(VMCS_GUEST_RFLAGS, state->rflags | RFLAGS_FIXED);
	for (unsigned int i = 0; i < SEGMENT_COUNT; i++) {
		set_segment((enum segment)i, &state->segment[i]);
	}
	set_efer(state->efer, state->cr0);
	set_cr0(state->cr0);
	set_cr4(state->cr4);
	vmcs_write_natural(VMCS_GUEST_CR3, state->cr3);
	vmcs_write_natural(VMCS_GUEST_DR7, state->dr7);
	vmcs_write64(VMCS_GUEST_IA32_PAT, state->pat);
	vmcs_write32(VMCS_GUEST_SYSENTER_CS, (uint32_t)state->sysenter_cs);
	vmcs_write_natural(VMCS_GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmcs_write_natural(VMCS_GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmcs_write_natural(VMCS_GUEST_GDTR_BASE, state->gdtr.base);
	vmcs_write32(VMCS_GUEST_GDTR_LIMIT, state->gdtr.limit);
	vmcs_write_natural(VMCS_GUEST_IDTR_BASE, state->idtr.base);
	vmcs_write32(VMCS_GUEST_IDTR_LIMIT, state->idtr.limit);
	vmcs_write32(VMCS_GUEST_ACTIVITY_STATE, 0);
	vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write_natural(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

/* virt_ops.set_state */
void vmx_set_state(struct virt_vcpu *vcpu, const struct vcpu_state *state)
{
	vmx_write_guest_fields(vcpu, state);
	vcpu->flush = true;
	write_cr2(state->cr2);
	wrmsr(MSR_STAR, state->star);
	wrmsr(MSR_LSTAR, state->lstar);
	wrmsr(MSR_CSTAR, state->cstar);
	wrmsr(MSR_SFMASK, state->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
}

/* virt_ops.set_pat */
void vmx_set_pat(struct virt_vcpu *vcpu, uint64_t pat)
{
	(void)vcpu;
	vmcs_write64(VMCS_GUEST_IA32_PAT, pat);
}

/* virt_ops.set_tsc_offset */
void vmx_set_tsc_offset(struct virt_vcpu *vcpu, uint64_t offset)
{
	(void)vcpu;
	vmcs_write64(VMCS_TSC_OFFSET, offset);
}

/* virt_ops.set_deadline. The timer itself counts down from each entry: see arm_timer(). */
void vmx_set_deadline(struct virt_vcpu *vcpu, uint64_t tsc)
{
	uint64_t old = vcpu->scratch[VMX_SCRATCH_DEADLINE];
	uint64_t deadline = tsc;
	uint32_t pin = vmx_config.pin;

	if (tsc != VMX_NEVER) {
		/* Rounded up, so that it ends at or just after the deadline. */
		deadline = tsc == 0 ? 0 : ((tsc - 1) >> vmx_config.timer_shift) + 1;
		pin |= (uint32_t)PIN_PREEMPTION_TIMER;
	}
	vcpu->scratch[VMX_SCRATCH_DEADLINE] = deadline;
	if ((old == VMX_NEVER) != (tsc == VMX_NEVER)) {
		vmcs_write32(VMCS_PIN_BASED_CONTROLS, pin);
	}
}
