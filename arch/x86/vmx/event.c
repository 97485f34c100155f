/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events on their way into the guest. They wait in the vCPU (reinject, nmi_pending, offer)
 * and become the one event that an entry can deliver; what could not be delivered because an
 * exit came between (SDM, "Information for VM Exits That Occur During Event Delivery") goes
 * back to where it waited.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/vmx/vmx.h"

/* An exception that is being delivered, for the table of double faults (SDM, "Interrupt 8"). */
enum severity {
	BENIGN,
	CONTRIBUTORY,
	PAGE_FAULT,
	DOUBLE_FAULT,
};

static enum severity severity_of(uint64_t event)
{
	if (!(event & INTERRUPTION_VALID) ||
	    FIELD_GET(INTERRUPTION_TYPE, event) != INTERRUPTION_EXCEPTION) {
		return BENIGN;
	}
	switch (FIELD_GET(INTERRUPTION_VECTOR, event)) {
	case VECTOR_DF:
		return DOUBLE_FAULT;
	case VECTOR_PF:
	case VECTOR_VE:
		return PAGE_FAULT;
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_CP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

static uint64_t exception_event(uint8_t vector, bool has_error)
{
	return INTERRUPTION_VALID | FIELD_PREP(INTERRUPTION_TYPE, INTERRUPTION_EXCEPTION) |
	       (has_error ? INTERRUPTION_ERROR_CODE : 0) | vector;
}

/* What delivery of #DB does to DR6 and DR7; entries with an event do not do it. */
static void set_debug_status(uint64_t dr6)
{
	uint64_t dr7 = vmcs_read_natural(VMCS_GUEST_DR7);

	write_dr6((read_dr6() & ~BITS(3, 0)) | (dr6 & DEBUG_EXIT_DR6));
	if (dr7 & DR7_GD) {
		vmcs_write_natural(VMCS_GUEST_DR7, dr7 & ~DR7_GD);
	}
}

/*
 * virt_ops.inject_exception. When an event already waits (delivering it was what exited)
 * the two become one as on the bare CPU: #DF, shutdown, or the new one alone.
 */
void vmx_inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception)
{
	uint64_t event = exception_event(exception->vector, exception->has_error);
	enum severity first = severity_of(vcpu->reinject);
	enum severity second = severity_of(event);

	if (first == DOUBLE_FAULT && second != BENIGN) {
		vcpu->reinject = VMX_SHUTDOWN;
		return;
	}
	if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	    (first == PAGE_FAULT && second != BENIGN)) {
		vcpu->reinject = exception_event(VECTOR_DF, true);
		vcpu->reinject_error = 0;
		return;
	}
	if (exception->vector == VECTOR_DB) {
		set_debug_status(exception->dr6);
	} else if (exception->vector != VECTOR_DF && exception->vector != VECTOR_MC) {
		/* A fault saves RFLAGS with RF: its instruction breakpoint is not hit again. */
		vmcs_write_natural(VMCS_GUEST_RFLAGS,
				   vmcs_read_natural(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	}
	if (exception->vector == VECTOR_PF) {
		write_cr2(exception->cr2);
	}
	vcpu->reinject = event;
	vcpu->reinject_error = exception->error;
}

/* virt_ops.interrupts_enabled */
bool vmx_interrupts_enabled(struct virt_vcpu *vcpu)
{
	uint32_t blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);

	(void)vcpu;
	if (!(vmcs_read_natural(VMCS_GUEST_RFLAGS) & RFLAGS_IF)) {
		return false;
	}
	if (blocked & INTERRUPTIBILITY_SHADOW) {
		/* The shadow of STI covers the HLT after it, but not the sleep. */
		return !(blocked & INTERRUPTIBILITY_MOV_SS) &&
		       vmcs_read32(VMCS_EXIT_REASON) == REASON_HLT;
	}
	return true;
}

/* Makes the next entry deliver `event` (as virt_vcpu.reinject). */
static void deliver(uint64_t event, uint64_t error)
{
	uint32_t info = (uint32_t)event;
	uint32_t blocked = vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY);
	uint64_t ends = INTERRUPTIBILITY_SHADOW;

	if (FIELD_GET(INTERRUPTION_TYPE, event) == INTERRUPTION_NMI) {
		ends |= INTERRUPTIBILITY_NMI; /* it was blocked by its own first try */
	}
	/* Delivery ends a shadow anyway, and the CPU refuses some combinations. */
	if (blocked & ends) {
		vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY, blocked & (uint32_t)~ends);
	}
	if ((info & INTERRUPTION_ERROR_CODE) && !(vmcs_read_natural(VMCS_GUEST_CR0) & CR0_PE)) {
		info &= (uint32_t)~INTERRUPTION_ERROR_CODE; /* real mode pushes none */
	}
	if (info & INTERRUPTION_ERROR_CODE) {
		vmcs_write32(VMCS_ENTRY_EXCEPTION_ERROR_CODE, (uint32_t)error);
	}
	if (event & VMX_REINJECT_LENGTH) {
		vmcs_write32(VMCS_ENTRY_INSTRUCTION_LENGTH,
			     (uint32_t)FIELD_GET(VMX_REINJECT_LENGTH, event));
	}
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, info);
}

static bool nmi_blocked(void)
{
	return (vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY) &
		(INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_MOV_SS)) != 0;
}

static bool interrupts_open(void)
{
	return (vmcs_read_natural(VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
	       !(vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOW);
}

/*
 * Asks for exits as soon as the guest can take an interrupt or an NMI. The control stays as
 * it is until the window opens: without an offer then that is one exit too many, and spares
 * all others a look.
 */
void vmx_set_windows(struct virt_vcpu *vcpu, uint64_t windows)
{
	uint64_t primary = (vcpu->scratch[VMX_SCRATCH_PRIMARY] & ~VMX_WINDOWS) | windows;

	if (primary != vcpu->scratch[VMX_SCRATCH_PRIMARY]) {
		vcpu->scratch[VMX_SCRATCH_PRIMARY] = primary;
		vmcs_write32(VMCS_PRIMARY_CONTROLS, (uint32_t)primary);
	}
}

/*
 * At most one event goes in with an entry: first what an exit interrupted, then an NMI, then
 * the offer. For those that must wait a window is asked for. True: the offer goes in.
 */
bool vmx_choose_event(struct virt_vcpu *vcpu)
{
	uint64_t windows = 0;
	bool chosen = false;
	bool offer_taken = false;

	if (vcpu->reinject != 0) {
		deliver(vcpu->reinject, vcpu->reinject_error);
		vcpu->reinject = 0;
		chosen = true;
	}
	if (vcpu->nmi_pending) {
		if (!chosen && !nmi_blocked()) {
			vcpu->nmi_pending = false;
			deliver(INTERRUPTION_VALID |
					FIELD_PREP(INTERRUPTION_TYPE, INTERRUPTION_NMI) |
					VECTOR_NMI,
				0);
			chosen = true;
		} else {
			windows |= PRIMARY_NMI_WINDOW;
		}
	}
	if (vcpu->offer != VIRT_NO_OFFER) {
		if (!chosen && interrupts_open()) {
			deliver(INTERRUPTION_VALID |
					FIELD_PREP(INTERRUPTION_TYPE, INTERRUPTION_EXTERNAL) |
					(uint8_t)vcpu->offer,
				0);
			offer_taken = true;
		} else {
			windows |= PRIMARY_INTERRUPT_WINDOW;
		}
	}
	vmx_set_windows(vcpu, windows);
	return offer_taken;
}

/* The part of vmx_keep_event() that is rarely needed. `info` is the IDT-vectoring information. */
void vmx_keep_event_of(struct virt_vcpu *vcpu, uint32_t info, bool nmi_unblocked)
{
	uint64_t type = FIELD_GET(INTERRUPTION_TYPE, info);

	if (!(info & INTERRUPTION_VALID)) {
		if (nmi_unblocked) {
			vmcs_write32(VMCS_GUEST_INTERRUPTIBILITY,
				     vmcs_read32(VMCS_GUEST_INTERRUPTIBILITY) |
					     (uint32_t)INTERRUPTIBILITY_NMI);
		}
		return;
	}
	vcpu->reinject = info & (INTERRUPTION_VALID | INTERRUPTION_ERROR_CODE | INTERRUPTION_TYPE |
				 INTERRUPTION_VECTOR);
	if (info & INTERRUPTION_ERROR_CODE) {
		vcpu->reinject_error = vmcs_read32(VMCS_IDT_VECTORING_ERROR_CODE);
	}
	if (type == INTERRUPTION_SOFTWARE_INTERRUPT ||
	    type == INTERRUPTION_PRIVILEGED_SOFTWARE_EXCEPTION ||
	    type == INTERRUPTION_SOFTWARE_EXCEPTION) {
		vcpu->reinject |=
			FIELD_PREP(VMX_REINJECT_LENGTH, vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH));
	}
}
