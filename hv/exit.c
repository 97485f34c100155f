/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done about an exit: one switch, one line per kind. Handlers only say what they
 * want (enum outcome); moving RIP on, injecting and stopping happen here, after it. A kind
 * that is not known stops the partition, never silently resumes.
 */
#include "arch/x86/cpu.h"
#include "hv/fetch.h"
#include "hv/guest_memory.h"
#include "hv/partition.h"

static_assert(ACCESS_READ == MMU_READ && ACCESS_WRITE == MMU_WRITE && ACCESS_EXECUTE == MMU_EXECUTE,
	      "exits and the MMU name accesses alike");

enum outcome inject_fault(struct vcpu *vcpu, uint8_t vector, uint32_t error)
{
	vcpu->injection =
		(struct exit_exception){ .vector = vector, .has_error = true, .error = error };
	return OUTCOME_INJECT;
}

enum outcome inject_gp(struct vcpu *vcpu)
{
	return inject_fault(vcpu, VECTOR_GP, 0);
}

enum outcome inject_ud(struct vcpu *vcpu)
{
	vcpu->injection = (struct exit_exception){ .vector = VECTOR_UD };
	return OUTCOME_INJECT;
}

enum outcome inject_pf(struct vcpu *vcpu, uint64_t linear, uint32_t error)
{
	vcpu->injection = (struct exit_exception){
		.vector = VECTOR_PF, .has_error = true, .error = error, .cr2 = linear
	};
	return OUTCOME_INJECT;
}

uint64_t vcpu_read_gpr(struct vcpu *vcpu, unsigned int gpr, unsigned int size)
{
	uint64_t value = gpr == GPR_RSP ? virt->get_rsp(&vcpu->virt) : vcpu->virt.regs.gpr[gpr];

	return size == 8 ? value : value & (BIT(size * 8) - 1);
}

void vcpu_write_gpr(struct vcpu *vcpu, unsigned int gpr, unsigned int size, uint64_t value)
{
	uint64_t mask = size == 8 ? ~UINT64_C(0) : BIT(size * 8) - 1;
	uint64_t kept = size >= 4 ? 0 : vcpu_read_gpr(vcpu, gpr, 8) & ~mask;

	value = kept | (value & mask);
	if (gpr == GPR_RSP) { /* lives in the hardware */
		virt->set_rsp(&vcpu->virt, value);
	} else {
		vcpu->virt.regs.gpr[gpr] = value;
	}
}

static enum outcome crash(struct vcpu *vcpu, const char *what)
{
	partition_end(vcpu->partition, STOP_CRASH,
		      "%s (vCPU %u, rip 0x%llx, reason 0x%x, info 0x%llx)", what, vcpu->id,
		      (unsigned long long)vcpu->exit.rip, vcpu->exit.raw_reason,
		      (unsigned long long)vcpu->exit.raw_info);
	return OUTCOME_STOP;
}

static enum outcome handle_exception(struct vcpu *vcpu)
{
	vcpu->injection = vcpu->exit.exception;
	return OUTCOME_INJECT;
}

/* The guest's own tables lie where no memory is: they read as ones, so reserved bits are set. */
static enum outcome table_outside_memory(struct vcpu *vcpu)
{
	const struct exit_fault *fault = &vcpu->exit.fault;

	if (!fault->has_linear) {
		return crash(vcpu, "the guest's page tables lie outside its memory");
	}
	return inject_pf(vcpu, fault->linear.v, (uint32_t)(PF_P | PF_RSVD));
}

static enum outcome handle_mmu_result(struct vcpu *vcpu, enum mmu_result result)
{
	switch (result) {
	case MMU_FIXED:
	case MMU_RETRY:
		return OUTCOME_RESUME;
	case MMU_MMIO:
	case MMU_READ_ONLY:
		if (vcpu->virt.reinject) { /* the CPU's own access, not the instruction at RIP */
			return crash(vcpu,
				     "an event was delivered through memory that is not there");
		}
		return vcpu->exit.fault.table_walk ? table_outside_memory(vcpu) : exit_mmio(vcpu);
	case MMU_NO_MEMORY:
		return crash(vcpu, "the partition's pool of MMU metadata is exhausted");
	case MMU_ABSENT:
		return memory_fault_exit(vcpu, MEMORY_FAULT_ABSENT);
	case MMU_DENIED:
		return memory_fault_exit(vcpu, MEMORY_FAULT_DENIED);
	case MMU_STUCK:
		return memory_fault_exit(vcpu, MEMORY_FAULT_STUCK);
	case MMU_BUGGED:
		return OUTCOME_STOP;
	}
	return crash(vcpu, "unknown answer of the MMU");
}

/* A fault of the CPU itself, on its way through the guest's page tables. */
static enum outcome handle_table_walk(struct vcpu *vcpu)
{
	const struct exit_fault *fault = &vcpu->exit.fault;
	pfn_t frame;

	vcpu_sync_view(vcpu);
	/* Not by mmu_fault(): it would keep the answer "device here" for accesses to come. */
	if (mmu_page_lookup(&vcpu->partition->mmu, gpa_to_gfn(fault->address), &frame) == -ENOENT) {
		return table_outside_memory(vcpu);
	}
	return handle_mmu_result(vcpu, mmu_fault(&vcpu->mmu, fault->address, fault->access));
}

static enum outcome handle_malformed(struct vcpu *vcpu)
{
	vcpu_sync_view(vcpu);
	return handle_mmu_result(vcpu, mmu_fault_malformed(&vcpu->mmu, vcpu->exit.fault.address));
}

static enum outcome dispatch(struct vcpu *vcpu)
{
	switch (vcpu->exit.kind) {
	case EXIT_HOST_INTERRUPT:
		return OUTCOME_CORE;
	case EXIT_TIMER:
		return vcpu->now >= vcpu->core_at ? OUTCOME_CORE : OUTCOME_RESUME;
	case EXIT_HOST_NMI:
	case EXIT_WINDOW:
		return OUTCOME_RESUME;
	case EXIT_CPUID:
		return exit_cpuid(vcpu);
	case EXIT_HLT:
		return OUTCOME_BLOCK;
	case EXIT_IO:
		return exit_io(vcpu);
	case EXIT_MSR_READ:
		return exit_msr_read(vcpu);
	case EXIT_MSR_WRITE:
		return exit_msr_write(vcpu);
	case EXIT_CR_ACCESS:
		return exit_cr_access(vcpu);
	case EXIT_XSETBV:
		return exit_xsetbv(vcpu);
	case EXIT_HYPERCALL:
		return exit_hypercall(vcpu);
	case EXIT_INVALIDATE_CACHE: /* memory is write-back and coherent: nothing to do */
	case EXIT_PAUSE:
		return OUTCOME_NEXT;
	case EXIT_FORBIDDEN:
	case EXIT_VMFUNC: /* of a function or a view that there is not */
		return inject_ud(vcpu);
	case EXIT_PRIVILEGED:
		return inject_gp(vcpu);
	case EXIT_EXCEPTION:
		return handle_exception(vcpu);
	case EXIT_NESTED_FAULT: /* the others come by exit_handle() */
		return handle_table_walk(vcpu);
	case EXIT_MALFORMED:
		return handle_malformed(vcpu);
	case EXIT_TRIPLE_FAULT:
		return crash(vcpu, "triple fault");
	case EXIT_TASK_SWITCH:
		return crash(vcpu, "hardware task switches are not supported");
	case EXIT_HOST_MACHINE_CHECK:
		return crash(vcpu, "machine check");
	case EXIT_INIT_SIGNAL:
		return crash(vcpu, "unexpected INIT or SIPI");
	case EXIT_ENTRY_FAILED:
		return crash(vcpu, "the CPU refused the guest state");
	case EXIT_UNKNOWN:
	case EXIT_KIND_COUNT:
		break;
	}
	return crash(vcpu, "unknown exit");
}

/* Moves RIP past the instruction; a guest that single-steps gets its #DB after it. */
enum outcome exit_finish_instruction(struct vcpu *vcpu)
{
	struct exit *exit = &vcpu->exit;

	uint64_t rflags = virt->get_rflags(&vcpu->virt);

	virt->set_rip(&vcpu->virt, exit->rip + exit->instruction_length);
	if (unlikely(rflags & RFLAGS_RF)) { /* it held for this one instruction */
		virt->set_rflags(&vcpu->virt, rflags & ~RFLAGS_RF);
	}
	if (unlikely(rflags & RFLAGS_TF)) {
		vcpu->injection = (struct exit_exception){ .vector = VECTOR_DB, .dr6 = DR6_BS };
		virt->inject_exception(&vcpu->virt, &vcpu->injection);
	}
	return OUTCOME_RESUME;
}

/*
 * Kinds that end in OUTCOME_NEXT and for which some CPUs do not tell the length. A handler
 * that decodes the instruction itself fills it in.
 */
static bool needs_length(const struct exit *exit)
{
	return exit->instruction_length == 0 && exit->kind >= EXIT_CPUID &&
	       exit->kind <= EXIT_PAUSE && !(exit->kind == EXIT_CR_ACCESS && exit->cr.needs_decode);
}

/* Does what the handler of the exit leaves to be done. */
static enum outcome conclude(struct vcpu *vcpu, enum outcome outcome)
{
	if (likely(outcome == OUTCOME_NEXT)) {
		return exit_finish_instruction(vcpu);
	}
	if (outcome == OUTCOME_INJECT) {
		virt->inject_exception(&vcpu->virt, &vcpu->injection);
		return OUTCOME_RESUME;
	}
	if (outcome == OUTCOME_BLOCK) {
		(void)exit_finish_instruction(vcpu);
		vcpu->halted = vcpu->virt.reinject == 0; /* a single-step trap comes at once */
		return OUTCOME_RESUME;
	}
	return outcome;
}

/* Not inlined: its registers and locals would be a burden to exit_handle(). */
static __attribute__((noinline)) enum outcome handle_other(struct vcpu *vcpu)
{
	enum outcome outcome = OUTCOME_NEXT;

	if (needs_length(&vcpu->exit)) {
		outcome = fetch_length(vcpu);
	}
	if (outcome == OUTCOME_NEXT) {
		outcome = dispatch(vcpu);
	}
	return conclude(vcpu, outcome);
}

enum outcome exit_handle(struct vcpu *vcpu)
{
	const struct exit_fault *fault = &vcpu->exit.fault;
	enum mmu_result result;

	/* The guest's own access to memory first, and shortly: it is the path that counts. */
	if (vcpu->exit.kind != EXIT_NESTED_FAULT || unlikely(fault->table_walk)) {
		return handle_other(vcpu);
	}
	vcpu_sync_view(vcpu);
	result = mmu_fault(&vcpu->mmu, fault->address, fault->access);
	if (likely(result == MMU_FIXED)) {
		return OUTCOME_RESUME;
	}
	return conclude(vcpu, handle_mmu_result(vcpu, result));
}
