/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into the guest and back: prepare what the entry must deliver, run, decode what came out
 * into a `struct exit`. Both ways are short when nothing special is to do: each exit reads
 * the reason and RIP, and beyond that only what its kind needs (one row of `decoders`).
 */
#include "arch/x86/cpu.h"
#include "arch/x86/vmx/vmx.h"

/* Anything to do before the entry: vmx_choose_event() or a flush. */
static bool needs_preparation(const struct virt_vcpu *vcpu)
{
	return vcpu->reinject != 0 || vcpu->offer != VIRT_NO_OFFER || vcpu->nmi_pending ||
	       vcpu->flush;
}

/*
 * The preemption timer counts down from the entry on, in the steps of a coarser TSC, of which
 * `deadline` is one. A deadline that is too far away ends too early; the owner looks at the
 * TSC and waits on.
 */
static void arm_timer(uint64_t deadline)
{
	uint64_t steps = deadline - (rdtsc() >> vmx_config.timer_shift);

	if (unlikely(steps > UINT32_MAX)) {
		steps = (steps & BIT(63)) ? 0 : UINT32_MAX;
	}
	vmcs_write32(VMCS_PREEMPTION_TIMER, (uint32_t)steps);
}

static void decode_exception(struct virt_vcpu *vcpu, struct exit *exit)
{
	uint32_t info = vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO);
	uint64_t type = FIELD_GET(INTERRUPTION_TYPE, info);
	uint8_t vector = (uint8_t)FIELD_GET(INTERRUPTION_VECTOR, info);

	vmx_keep_event(vcpu, (info & INTERRUPTION_NMI_UNBLOCKED) && vector != VECTOR_DF);
	exit->raw_info = info;
	if (type == INTERRUPTION_NMI) {
		/* The exit took it, and left NMIs blocked until the IRET of this handler. */
		__asm__ volatile("int $2" : : : "memory");
		exit->kind = EXIT_HOST_NMI;
		return;
	}
	if (vector == VECTOR_MC) {
		exit->kind = EXIT_HOST_MACHINE_CHECK;
		return;
	}
	if (type == INTERRUPTION_PRIVILEGED_SOFTWARE_EXCEPTION) {
		/* INT1 is a trap: as an injected #DB it returns to what is after it. */
		exit->rip += vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH);
		vmcs_write_natural(VMCS_GUEST_RIP, exit->rip);
	}
	exit->exception.vector = vector;
	exit->exception.has_error = (info & INTERRUPTION_ERROR_CODE) != 0;
	exit->exception.error =
		exit->exception.has_error ? vmcs_read32(VMCS_EXIT_INTERRUPTION_ERROR_CODE) : 0;
	exit->exception.dr6 = 0;
	exit->exception.cr2 = read_cr2();
	if (vector == VECTOR_DB) {
		exit->raw_info = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);
		exit->exception.dr6 = exit->raw_info & DEBUG_EXIT_DR6;
	}
}

static void decode_task_switch(struct virt_vcpu *vcpu, struct exit *exit)
{
	exit->raw_info = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);
	vmx_keep_event(vcpu, false);
}

/* The window has done its duty; whoever must wait on asks for another with the next entry. */
static void decode_window(struct virt_vcpu *vcpu, struct exit *exit)
{
	(void)exit;
	vmx_set_windows(vcpu, 0);
}

static void decode_io(struct virt_vcpu *vcpu, struct exit *exit)
{
	uint64_t qualification = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);
	uint32_t info;

	(void)vcpu;
	exit->raw_info = qualification;
	exit->io.port = (uint16_t)FIELD_GET(IO_ACCESS_PORT, qualification);
	exit->io.size = (uint8_t)(FIELD_GET(IO_ACCESS_SIZE, qualification) + 1);
	exit->io.in = (qualification & IO_ACCESS_IN) != 0;
	exit->io.string = (qualification & IO_ACCESS_STRING) != 0;
	exit->io.rep = (qualification & IO_ACCESS_REP) != 0;
	exit->io.needs_decode = false;
	if (exit->io.string) {
		info = vmcs_read32(VMCS_EXIT_INSTRUCTION_INFO);
		exit->io.address_size = (uint8_t)(2u << FIELD_GET(IO_INFO_ADDRESS_SIZE, info));
		exit->io.segment = exit->io.in ? (uint8_t)SEGMENT_ES
					       : (uint8_t)FIELD_GET(IO_INFO_SEGMENT, info);
	}
}

static void decode_msr(struct virt_vcpu *vcpu, struct exit *exit)
{
	exit->msr = (uint32_t)vcpu->regs.gpr[GPR_RCX];
}

/* What a MOV to a control register writes: outside 64-bit code the low half. */
static uint64_t written_value(struct virt_vcpu *vcpu, unsigned int gpr)
{
	uint64_t value = gpr == GPR_RSP ? vmcs_read_natural(VMCS_GUEST_RSP) : vcpu->regs.gpr[gpr];

	return vmx_in_64_bit_code() ? value : (uint32_t)value;
}

static void decode_cr(struct virt_vcpu *vcpu, struct exit *exit)
{
	uint64_t qualification = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);
	uint64_t type = FIELD_GET(CR_ACCESS_TYPE, qualification);
	uint64_t source;

	exit->raw_info = qualification;
	exit->cr.number = (uint8_t)FIELD_GET(CR_ACCESS_NUMBER, qualification);
	exit->cr.gpr = (uint8_t)FIELD_GET(CR_ACCESS_GPR, qualification);
	exit->cr.write = type != CR_ACCESS_MOV_FROM;
	exit->cr.clts = type == CR_ACCESS_CLTS || type == CR_ACCESS_LMSW;
	exit->cr.value = 0;
	exit->cr.needs_decode = false;
	if (type == CR_ACCESS_MOV_TO) {
		exit->cr.value = written_value(vcpu, exit->cr.gpr);
	} else if (type == CR_ACCESS_CLTS) {
		exit->cr.value = vmx_guest_cr0() & ~CR0_TS;
	} else if (type == CR_ACCESS_LMSW) {
		/* It writes PE, MP, EM and TS, but cannot clear PE. */
		source = FIELD_GET(CR_ACCESS_LMSW_SOURCE, qualification);
		exit->cr.value = (vmx_guest_cr0() & ~(CR0_MP | CR0_EM | CR0_TS)) |
				 (source & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
	}
}

static void decode_ept_violation(struct virt_vcpu *vcpu, struct exit *exit)
{
	uint64_t qualification = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);

	static_assert(ACCESS_READ == 1 && ACCESS_WRITE == 2 && ACCESS_EXECUTE == 4, "as VMX");
	exit->raw_info = qualification;
	exit->fault.address = gpa(vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS));
	exit->fault.access = (uint32_t)FIELD_GET(EPT_VIOLATION_ACCESS, qualification);
	exit->fault.permitted = (uint32_t)FIELD_GET(EPT_VIOLATION_PERMITTED, qualification);
	exit->fault.has_linear = (qualification & EPT_VIOLATION_LINEAR_VALID) != 0;
	exit->fault.table_walk =
		exit->fault.has_linear && !(qualification & EPT_VIOLATION_TRANSLATED);
	if (exit->fault.has_linear) {
		exit->fault.linear = gva(vmcs_read_natural(VMCS_GUEST_LINEAR_ADDRESS));
	}
	vmx_keep_event(vcpu, (qualification & EPT_VIOLATION_NMI_UNBLOCKED) != 0);
}

/* The qualification is undefined here: only the address is known. */
static void decode_ept_misconfiguration(struct virt_vcpu *vcpu, struct exit *exit)
{
	exit->fault = (struct exit_fault){
		.address = gpa(vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS)),
	};
	vmx_keep_event(vcpu, false);
}

enum shape {
	UNKNOWN, /* rows that are not here */
	EVENT,
	INSTRUCTION, /* its length is valid */
};

struct decoder {
	enum shape shape;
	enum exit_kind kind;
	void (*details)(struct virt_vcpu *vcpu, struct exit *exit);
};

static const struct decoder decoders[] = {
	[REASON_EXCEPTION_OR_NMI] = { EVENT, EXIT_EXCEPTION, decode_exception },
	[REASON_EXTERNAL_INTERRUPT] = { EVENT, EXIT_HOST_INTERRUPT, NULL },
	[REASON_TRIPLE_FAULT] = { EVENT, EXIT_TRIPLE_FAULT, NULL },
	[REASON_INIT_SIGNAL] = { EVENT, EXIT_INIT_SIGNAL, NULL },
	[REASON_SIPI] = { EVENT, EXIT_INIT_SIGNAL, NULL },
	[REASON_INTERRUPT_WINDOW] = { EVENT, EXIT_WINDOW, decode_window },
	[REASON_NMI_WINDOW] = { EVENT, EXIT_WINDOW, decode_window },
	[REASON_TASK_SWITCH] = { EVENT, EXIT_TASK_SWITCH, decode_task_switch },
	[REASON_CPUID] = { INSTRUCTION, EXIT_CPUID, NULL },
	[REASON_GETSEC] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_HLT] = { INSTRUCTION, EXIT_HLT, NULL },
	[REASON_INVD] = { INSTRUCTION, EXIT_INVALIDATE_CACHE, NULL },
	[REASON_RDPMC] = { INSTRUCTION, EXIT_PRIVILEGED, NULL },
	[REASON_VMCALL] = { INSTRUCTION, EXIT_HYPERCALL, NULL },
	[REASON_VMCLEAR] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMLAUNCH] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMPTRLD] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMPTRST] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMREAD] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMRESUME] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMWRITE] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMXOFF] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_VMXON] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_CR_ACCESS] = { INSTRUCTION, EXIT_CR_ACCESS, decode_cr },
	[REASON_IO] = { INSTRUCTION, EXIT_IO, decode_io },
	[REASON_RDMSR] = { INSTRUCTION, EXIT_MSR_READ, decode_msr },
	[REASON_WRMSR] = { INSTRUCTION, EXIT_MSR_WRITE, decode_msr },
	[REASON_MWAIT] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_MONITOR] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_PAUSE] = { INSTRUCTION, EXIT_PAUSE, NULL },
	[REASON_EPT_MISCONFIGURATION] = { EVENT, EXIT_MALFORMED, decode_ept_misconfiguration },
	[REASON_INVEPT] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_PREEMPTION_TIMER] = { EVENT, EXIT_TIMER, NULL },
	[REASON_INVVPID] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_WBINVD] = { INSTRUCTION, EXIT_INVALIDATE_CACHE, NULL },
	[REASON_XSETBV] = { INSTRUCTION, EXIT_XSETBV, NULL },
	[REASON_VMFUNC] = { INSTRUCTION, EXIT_VMFUNC, NULL },
	[REASON_ENCLS] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
	[REASON_ENCLV] = { INSTRUCTION, EXIT_FORBIDDEN, NULL },
};

/*
 * No row: a reason that no control of ours can give, or the entry failed (which leaves the
 * VMCS as launched as it was).
 */
static void decode_unexpected(struct virt_vcpu *vcpu, struct exit *exit)
{
	exit->raw_info = vmcs_read_natural(VMCS_EXIT_QUALIFICATION);
	if (!(exit->raw_reason & EXIT_REASON_ENTRY_FAILURE)) {
		vcpu->launched = true;
		exit->kind = EXIT_UNKNOWN;
		return;
	}
	exit->offer_taken = false;
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	exit->kind = EXIT_ENTRY_FAILED;
	if (FIELD_GET(EXIT_REASON_BASIC, exit->raw_reason) == REASON_MACHINE_CHECK_IN_ENTRY) {
		exit->kind = EXIT_HOST_MACHINE_CHECK;
	}
}

static void decode(struct virt_vcpu *vcpu, struct exit *exit)
{
	uint32_t reason = vmcs_read32(VMCS_EXIT_REASON);
	const struct decoder *decoder = &decoders[reason];

	exit->raw_reason = reason;
	exit->rip = vmcs_read_natural(VMCS_GUEST_RIP);
	exit->instruction_length = 0;
	if (reason == REASON_EPT_VIOLATION) { /* first: it is the path that counts */
		vcpu->launched = true;
		exit->kind = EXIT_NESTED_FAULT;
		decode_ept_violation(vcpu, exit);
		return;
	}
	exit->raw_info = 0;
	/* The bits above the basic reason make it a large number too. */
	if (unlikely(reason >= ARRAY_COUNT(decoders) || decoder->shape == UNKNOWN)) {
		decode_unexpected(vcpu, exit);
		return;
	}
	vcpu->launched = true;
	exit->kind = decoder->kind;
	if (decoder->shape == INSTRUCTION) {
		exit->instruction_length = (uint8_t)vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH);
	}
	if (decoder->details != NULL) {
		decoder->details(vcpu, exit);
	}
}

/* The instruction failed: raw_reason is 0 and raw_info the VM-instruction error. */
static void decode_refusal(struct exit *exit)
{
	exit->kind = EXIT_ENTRY_FAILED;
	exit->raw_reason = 0;
	exit->raw_info = vmcs_read32(VMCS_INSTRUCTION_ERROR);
	exit->rip = vmcs_read_natural(VMCS_GUEST_RIP);
	exit->instruction_length = 0;
	exit->offer_taken = false;
	vmcs_write32(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

/* A second fault on the way to the #DF handler: the guest shut down without running. */
static void decode_shutdown(struct virt_vcpu *vcpu, struct exit *exit)
{
	vcpu->reinject = 0;
	*exit = (struct exit){
		.kind = EXIT_TRIPLE_FAULT,
		.raw_reason = REASON_TRIPLE_FAULT,
		.rip = vmcs_read_natural(VMCS_GUEST_RIP),
	};
}

/* virt_ops.enter */
void vmx_enter(struct virt_vcpu *vcpu, struct exit *exit)
{
	exit->offer_taken = false;
	if (unlikely(needs_preparation(vcpu))) {
		if (vcpu->reinject == VMX_SHUTDOWN) {
			decode_shutdown(vcpu, exit);
			return;
		}
		if (vcpu->flush) {
			/* First the mark: who sets it from now on wants another flush. */
			vcpu->flush = false;
			vmx_flush_vcpu(vcpu);
		}
		exit->offer_taken = vmx_choose_event(vcpu);
	}
	if (vcpu->scratch[VMX_SCRATCH_DEADLINE] != VMX_NEVER) {
		arm_timer(vcpu->scratch[VMX_SCRATCH_DEADLINE]);
	}
	if (unlikely(vmx_run(vcpu) != 0)) {
		decode_refusal(exit);
		return;
	}
	decode(vcpu, exit);
}
