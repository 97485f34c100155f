/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into the guest and out again: what is delivered on the way in (one event by EVENTINJ, the
 * offered interrupt by V_IRQ), and the neutral form of what the VMCB says on the way out.
 * Decoding reads the VMCB and the registers only; guest memory is hv's business.
 *
 * External interrupts go by V_IRQ, which the CPU takes when the guest can (no window exits)
 * and clears when it has. EVENTINJ carries what must come at once: exceptions, NMIs and
 * events whose delivery an exit cut short.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/svm/svm.h"

#define EXCEPTIONS_CONTRIBUTORY                                                               \
	(BIT(VECTOR_DE) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) | \
	 BIT(VECTOR_CP) | BIT(VECTOR_HV) | BIT(VECTOR_VC))

static uint64_t event_make(uint64_t type, uint8_t vector)
{
	return VMCB_EVENT_V | FIELD_PREP(VMCB_EVENT_TYPE, type) |
	       FIELD_PREP(VMCB_EVENT_VECTOR, vector);
}

/* True when `second`, raised while `first` is delivered, makes a double fault of both. */
static bool makes_double_fault(uint64_t first, uint8_t second)
{
	uint64_t vector = FIELD_GET(VMCB_EVENT_VECTOR, first);
	bool contributory = (BIT(second) & EXCEPTIONS_CONTRIBUTORY) != 0;

	if (!(first & VMCB_EVENT_V) || FIELD_GET(VMCB_EVENT_TYPE, first) != VMCB_EVENT_EXCEPTION) {
		return false;
	}
	if (vector == VECTOR_PF) {
		return contributory || second == VECTOR_PF;
	}
	return contributory && ((BIT(vector) & EXCEPTIONS_CONTRIBUTORY) != 0);
}

/* True when `second` is raised while a double fault is delivered: the CPU shuts down. */
static bool makes_shutdown(uint64_t first, uint8_t second)
{
	return (first & VMCB_EVENT_V) &&
	       FIELD_GET(VMCB_EVENT_TYPE, first) == VMCB_EVENT_EXCEPTION &&
	       FIELD_GET(VMCB_EVENT_VECTOR, first) == VECTOR_DF &&
	       ((BIT(second) & EXCEPTIONS_CONTRIBUTORY) || second == VECTOR_PF);
}

/*
 * See virt_ops.inject_exception. An event whose delivery was cut short gives way: a fault
 * is raised again by its instruction; two that do not go together become a double fault.
 */
void svm_inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	uint64_t event = event_make(VMCB_EVENT_EXCEPTION, exception->vector);

	if (exception->has_error) {
		event |= VMCB_EVENT_EV | FIELD_PREP(VMCB_EVENT_ERROR, exception->error);
	}
	if (exception->vector == VECTOR_PF) {
		vmcb->save.cr2 = exception->cr2;
		svm_dirty(vmcb, VMCB_CLEAN_CR2);
	}
	if (exception->vector == VECTOR_DB) {
		vmcb->save.dr6 |= exception->dr6;
		vmcb->save.dr7 &= ~DR7_GD;
		svm_dirty(vmcb, VMCB_CLEAN_DRX);
	}
	if (makes_shutdown(vcpu->reinject, exception->vector)) {
		vcpu->reinject = SVM_SHUTDOWN;
		return;
	}
	if (makes_double_fault(vcpu->reinject, exception->vector)) {
		event = event_make(VMCB_EVENT_EXCEPTION, VECTOR_DF) | VMCB_EVENT_EV;
	}
	if (!(vmcb->save.cr0 & CR0_PE)) {
		event &= ~(VMCB_EVENT_EV | VMCB_EVENT_ERROR);
	}
	vcpu->reinject = event;
}

/* Moves the state of NMI blocking on, once the IRET that ends it has been executed. */
static void update_nmi_state(struct virt_vcpu *vcpu, const struct vmcb *vmcb)
{
	if (vcpu->scratch[SVM_NMI_STATE] == SVM_NMI_LEAVING &&
	    vmcb->save.rip != vcpu->scratch[SVM_IRET_RIP]) {
		vcpu->scratch[SVM_NMI_STATE] = SVM_NMI_OPEN;
	}
}

static uint64_t next_event(struct virt_vcpu *vcpu, struct vmcb *vmcb)
{
	uint64_t event = vcpu->reinject;

	if (event) {
		vcpu->reinject = 0;
		return event;
	}
	if (vcpu->nmi_pending && vcpu->scratch[SVM_NMI_STATE] == SVM_NMI_OPEN &&
	    !(vmcb->control.interrupt_shadow & VMCB_INTERRUPT_SHADOW)) {
		vcpu->nmi_pending = false;
		vcpu->scratch[SVM_NMI_STATE] = SVM_NMI_BLOCKED;
		svm_set_iret_intercept(vmcb, true);
		return event_make(VMCB_EVENT_NMI, VECTOR_NMI);
	}
	return 0;
}

static void prepare_entry(struct virt_vcpu *vcpu, struct vmcb *vmcb)
{
	struct vmcb_control *control = &vmcb->control;

	control->eventinj = next_event(vcpu, vmcb);
	if (control->eventinj) {
		/* A delivery ends the shadow of the instruction before it. */
		control->interrupt_shadow &= ~VMCB_INTERRUPT_SHADOW;
	}
	if (vcpu->offer != VIRT_NO_OFFER) {
		control->v_intr &= ~VMCB_V_INTR_VECTOR;
		control->v_intr |= VMCB_V_IRQ | FIELD_PREP(VMCB_V_INTR_VECTOR, vcpu->offer);
		svm_dirty(vmcb, VMCB_CLEAN_TPR);
	}
	control->tlb_control = VMCB_TLB_KEEP;
	/* Looked at first because it is rare. Acquire: what whoever set it changed is seen. */
	if (vcpu->flush && __atomic_exchange_n(&vcpu->flush, false, __ATOMIC_ACQUIRE)) {
		control->tlb_control =
			svm_features.flush_by_asid ? VMCB_TLB_FLUSH_ASID : VMCB_TLB_FLUSH_ALL;
	}
	if (unlikely(svm_flush_all_pending[this_cpu()->id])) {
		svm_flush_all_pending[this_cpu()->id] = false;
		control->tlb_control = VMCB_TLB_FLUSH_ALL;
	}
	vmcb->save.rax = vcpu->regs.gpr[GPR_RAX];
}

/*
 * The event that this exit cut short, as EVENTINJ wants it, or 0. Software interrupts, #BP
 * and #OF come again by themselves: RIP is still at their instruction. An offer that is
 * still pending comes again too; QEMU's TCG shows it here as an exception.
 */
static uint64_t interrupted_event(const struct virt_vcpu *vcpu, const struct vmcb *vmcb)
{
	uint64_t info = vmcb->control.exitintinfo;
	uint64_t vector = FIELD_GET(VMCB_EVENT_VECTOR, info);

	if (!(info & VMCB_EVENT_V)) {
		return 0;
	}
	if ((vmcb->control.v_intr & VMCB_V_IRQ) && vector == (uint64_t)vcpu->offer) {
		return 0;
	}
	switch (FIELD_GET(VMCB_EVENT_TYPE, info)) {
	case VMCB_EVENT_INTR:
	case VMCB_EVENT_NMI:
		return event_make(FIELD_GET(VMCB_EVENT_TYPE, info), (uint8_t)vector);
	case VMCB_EVENT_EXCEPTION:
		if (vector > 31 || vector == VECTOR_BP || vector == VECTOR_OF) {
			return 0;
		}
		if (!(info & VMCB_EVENT_EV)) {
			info &= ~VMCB_EVENT_ERROR;
		}
		return info & (VMCB_EVENT_V | VMCB_EVENT_TYPE | VMCB_EVENT_VECTOR | VMCB_EVENT_EV |
			       VMCB_EVENT_ERROR);
	default:
		return 0;
	}
}

/* How long the instruction at RIP is, if `next` tells; it wraps as IP does in 16-bit code. */
static uint8_t length_to(const struct vmcb *vmcb, uint64_t next)
{
	uint64_t length = next - vmcb->save.rip;

	if (!(vmcb->save.efer & EFER_LMA)) {
		length &= vmcb->save.cs.attrib & VMCB_ATTRIB_DB ? UINT32_MAX : UINT16_MAX;
	}
	return length <= 15 ? (uint8_t)length : 0;
}

/* Bytes, by the code segment alone: right for an instruction without a prefix for it. */
static uint8_t default_address_size(const struct vmcb *vmcb)
{
	if ((vmcb->save.efer & EFER_LMA) && (vmcb->save.cs.attrib & VMCB_ATTRIB_L)) {
		return 8;
	}
	return vmcb->save.cs.attrib & VMCB_ATTRIB_DB ? 4 : 2;
}

/* TCG tells no address size, and only decode assists tell the segment of an OUTS. */
static void decode_io(const struct vmcb *vmcb, struct exit *exit)
{
	uint64_t info = vmcb->control.exitinfo1;
	uint8_t address_size = (uint8_t)(FIELD_GET(IOIO_ADDRESS_SIZE, info) << 1);
	uint8_t segment =
		svm_features.decode_assists ? (uint8_t)FIELD_GET(IOIO_SEGMENT, info) : SEGMENT_DS;

	exit->kind = EXIT_IO;
	exit->instruction_length = length_to(vmcb, vmcb->control.exitinfo2);
	exit->io = (struct exit_io){
		.port = (uint16_t)FIELD_GET(IOIO_PORT, info),
		.size = (uint8_t)FIELD_GET(IOIO_SIZE, info),
		.in = (info & IOIO_IN) != 0,
		.string = (info & IOIO_STR) != 0,
		.rep = (info & IOIO_REP) != 0,
		.address_size = address_size ? address_size : default_address_size(vmcb),
		.segment = (info & IOIO_IN) ? SEGMENT_ES : segment,
	};
	exit->io.needs_decode = exit->io.string && (!svm_features.decode_assists || !address_size);
}

static void decode_cr(const struct virt_vcpu *vcpu, const struct vmcb *vmcb, struct exit *exit)
{
	uint64_t info = vmcb->control.exitinfo1;
	uint8_t gpr = (uint8_t)FIELD_GET(CR_INFO_GPR, info);

	exit->kind = EXIT_CR_ACCESS;
	exit->cr = (struct exit_cr){
		.number = exit->raw_reason & 0xf,
		.write = (exit->raw_reason & 0x10) != 0,
		.needs_decode = !svm_features.decode_assists || !(info & CR_INFO_MOV),
	};
	if (exit->raw_reason == VMEXIT_CR0_SEL_WRITE) {
		exit->cr.number = 0;
		exit->cr.write = true;
	}
	if (!exit->cr.needs_decode) {
		exit->cr.gpr = gpr;
		exit->cr.value = gpr == GPR_RSP ? vmcb->save.rsp : vcpu->regs.gpr[gpr];
		if (default_address_size(vmcb) != 8) {
			exit->cr.value &= UINT32_MAX;
		}
	}
}

/*
 * A table walk is the CPU's, through the guest's own page tables: taken as a write, because
 * it sets accessed and dirty bits. Of the reserved bit hardware and TCG differ in P: bit 3
 * alone decides.
 */
static void decode_nested_fault(const struct vmcb *vmcb, struct exit *exit)
{
	uint64_t info = vmcb->control.exitinfo1;
	uint32_t access = info & PF_W ? ACCESS_WRITE : ACCESS_READ;

	if (unlikely(info & (PF_I | NPF_TABLE_WALK))) {
		access = info & NPF_TABLE_WALK ? ACCESS_READ | ACCESS_WRITE : ACCESS_EXECUTE;
	}
	exit->kind = info & PF_RSVD ? EXIT_MALFORMED : EXIT_NESTED_FAULT;
	exit->instruction_length = 0;
	exit->fault.address = gpa(vmcb->control.exitinfo2);
	exit->fault.access = access;
	exit->fault.permitted = info & PF_P ? ACCESS_READ : 0;
	exit->fault.has_linear = false;
	exit->fault.table_walk = (info & NPF_TABLE_WALK) != 0;
}

/* #DB: the CPU has already set DR6; the active bits are those that differ from its rest. */
static void decode_exception(const struct vmcb *vmcb, struct exit *exit, uint8_t vector)
{
	exit->kind = EXIT_EXCEPTION;
	exit->instruction_length = 0;
	exit->exception = (struct exit_exception){
		.vector = vector,
		.has_error = vector == VECTOR_AC,
		.error = vector == VECTOR_AC ? (uint32_t)vmcb->control.exitinfo1 : 0,
		.dr6 = vector == VECTOR_DB ? vmcb->save.dr6 & ~DR6_INIT : 0,
	};
}

/* The IRET that ends an NMI handler is about to run: after it NMIs are open. */
static void decode_iret(struct virt_vcpu *vcpu, struct vmcb *vmcb, struct exit *exit)
{
	exit->kind = EXIT_WINDOW;
	exit->instruction_length = 0;
	vcpu->scratch[SVM_NMI_STATE] = SVM_NMI_LEAVING;
	vcpu->scratch[SVM_IRET_RIP] = vmcb->save.rip;
	svm_set_iret_intercept(vmcb, false);
}

/* Exits that the code alone decides. */
static enum exit_kind simple_kind(uint32_t code)
{
	switch (code) {
	case VMEXIT_INTR:
		return EXIT_HOST_INTERRUPT;
	case VMEXIT_NMI:
		return EXIT_HOST_NMI;
	case VMEXIT_EXCP_MC:
		return EXIT_HOST_MACHINE_CHECK;
	case VMEXIT_INIT:
		return EXIT_INIT_SIGNAL;
	case VMEXIT_CPUID:
		return EXIT_CPUID;
	case VMEXIT_HLT:
		return EXIT_HLT;
	case VMEXIT_XSETBV:
		return EXIT_XSETBV;
	case VMEXIT_VMMCALL:
		return EXIT_HYPERCALL;
	case VMEXIT_INVD:
	case VMEXIT_WBINVD:
		return EXIT_INVALIDATE_CACHE;
	case VMEXIT_RDPMC:
		return EXIT_PRIVILEGED;
	case VMEXIT_INVLPGA:
	case VMEXIT_VMRUN:
	case VMEXIT_VMLOAD:
	case VMEXIT_VMSAVE:
	case VMEXIT_STGI:
	case VMEXIT_CLGI:
	case VMEXIT_SKINIT:
	case VMEXIT_MONITOR:
	case VMEXIT_MWAIT:
	case VMEXIT_MWAIT_CONDITIONAL:
	case VMEXIT_RDPRU:
		return EXIT_FORBIDDEN;
	case VMEXIT_TASK_SWITCH:
		return EXIT_TASK_SWITCH;
	case VMEXIT_SHUTDOWN:
		return EXIT_TRIPLE_FAULT;
	case VMEXIT_INVALID_LOW:
		return EXIT_ENTRY_FAILED;
	default:
		return EXIT_UNKNOWN;
	}
}

static void decode_exit(struct virt_vcpu *vcpu, struct vmcb *vmcb, struct exit *exit)
{
	exit->raw_reason = (uint32_t)vmcb->control.exitcode;
	exit->raw_info = vmcb->control.exitinfo1;
	exit->rip = vmcb->save.rip;
	if (exit->raw_reason == VMEXIT_NPF) { /* first: it is the path that counts */
		decode_nested_fault(vmcb, exit);
		return;
	}
	exit->instruction_length = svm_features.next_rip ? length_to(vmcb, vmcb->control.nrip) : 0;
	switch (exit->raw_reason) {
	case VMEXIT_IOIO:
		decode_io(vmcb, exit);
		break;
	case VMEXIT_MSR:
		exit->kind = vmcb->control.exitinfo1 & 1 ? EXIT_MSR_WRITE : EXIT_MSR_READ;
		exit->msr = (uint32_t)vcpu->regs.gpr[GPR_RCX];
		break;
	case VMEXIT_CR0_READ ... VMEXIT_CR15_WRITE:
	case VMEXIT_CR0_SEL_WRITE:
		decode_cr(vcpu, vmcb, exit);
		break;
	case VMEXIT_EXCP_DB:
	case VMEXIT_EXCP_AC:
		decode_exception(vmcb, exit, (uint8_t)(exit->raw_reason - VMEXIT_EXCP0));
		break;
	case VMEXIT_FERR_FREEZE:
		/* As with CR0.NE set: the PC's way by IRQ 13 is not offered. */
		decode_exception(vmcb, exit, VECTOR_MF);
		break;
	case VMEXIT_IRET:
		decode_iret(vcpu, vmcb, exit);
		break;
	default:
		exit->kind = simple_kind(exit->raw_reason);
		break;
	}
}

/*
 * What became of the offer: V_IRQ is clear when the guest took it, else it is withdrawn.
 *
 * QEMU's TCG can lose a host interrupt that comes at the moment when VMRUN picks up V_IRQ:
 * the local APIC holds it, the CPU does not know. A write to TPR, which is always 0, has the
 * CPU ask the local APIC again.
 */
static void end_offer(struct vmcb *vmcb, struct exit *exit)
{
	exit->offer_taken = !(vmcb->control.v_intr & VMCB_V_IRQ);
	vmcb->control.v_intr &= ~VMCB_V_IRQ;
	svm_dirty(vmcb, VMCB_CLEAN_TPR);
	svm_host_tpr_clear();
}

/* The shutdown that inject_exception() found, as the CPU would report it. */
static void report_shutdown(struct virt_vcpu *vcpu, struct exit *exit)
{
	vcpu->reinject = 0;
	*exit = (struct exit){
		.kind = EXIT_TRIPLE_FAULT,
		.raw_reason = VMEXIT_SHUTDOWN,
		.rip = svm_vmcb(vcpu)->save.rip,
	};
}

/* See virt_ops.enter. */
void svm_enter(struct virt_vcpu *vcpu, struct exit *exit)
{
	struct vmcb *vmcb = svm_vmcb(vcpu);
	struct vmcb_control *control = &vmcb->control;

	if (unlikely(vcpu->reinject == SVM_SHUTDOWN)) {
		report_shutdown(vcpu, exit);
		return;
	}
	update_nmi_state(vcpu, vmcb);
	prepare_entry(vcpu, vmcb);
	svm_run(&vcpu->regs, ptr_to_hpa(vmcb).v, ptr_to_hpa(vcpu->page[1]).v,
		(control->interrupt_shadow & VMCB_INTERRUPT_SHADOW) != 0);
	vcpu->regs.gpr[GPR_RAX] = vmcb->save.rax;
	control->clean = svm_features.clean;

	exit->offer_taken = false;
	vcpu->reinject = interrupted_event(vcpu, vmcb);
	if (vcpu->offer != VIRT_NO_OFFER) {
		end_offer(vmcb, exit);
	}
	decode_exit(vcpu, vmcb, exit);
}
