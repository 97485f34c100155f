/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: timers, interrupts, guest, exit, again. This and everything that
 * it calls serves one partition and writes only what that partition owns.
 */
#include "hv/vcpu.h"

#include "arch/x86/cpu.h"
#include "hv/hypercall.h"
#include "hv/partition.h"

static void trace(struct vcpu *vcpu)
{
	const struct exit *exit = &vcpu->exit;

	vcpu->now = rdtsc();
	vcpu->trace[vcpu->loops % TRACE_SIZE] = (struct trace_entry){
		vcpu->now, exit->rip, exit->raw_info, exit->raw_reason, exit->kind,
	};
	vcpu->loops++;
	vcpu->exits[exit->kind]++;
}

/* Runs the device timers whose deadline has passed, and finds the next one. */
static void run_timers(struct partition *partition)
{
	uint64_t now = rdtsc() + partition->tsc_offset;

	for (unsigned int i = 0; i < VTIMER_COUNT; i++) {
		if (partition->timer[i] <= now) {
			partition->timer[i] = VTIMER_NEVER;
			vdevs_timer(&partition->devices, (enum vtimer)i);
		}
	}
	partition_next_timer(partition);
}

/* An NMI that the vLAPIC accepted becomes the vCPU's. */
static void take_nmi(struct vcpu *vcpu, struct vlapic *vlapic)
{
	if (unlikely(vlapic->nmi)) {
		vlapic->nmi = false;
		vcpu->virt.nmi_pending = true;
	}
}

/*
 * A halted vCPU wakes for what it could take: an interrupt with IF set, or an NMI. A parked
 * one waits for who manages it.
 */
static bool may_run(struct vcpu *vcpu)
{
	if (unlikely(vcpu->fault.parked)) {
		return false;
	}
	if (!vcpu->halted) {
		return true;
	}
	if (vcpu->virt.nmi_pending ||
	    (vcpu->virt.offer != VIRT_NO_OFFER && virt->interrupts_enabled(&vcpu->virt))) {
		vcpu->halted = false;
		return true;
	}
	return false;
}

static void run_guest(struct vcpu *vcpu)
{
	virt->enter(&vcpu->virt, &vcpu->exit);
	if (vcpu->exit.offer_taken) {
		vdevs_interrupt_taken(&vcpu->partition->devices, vcpu->virt.offer);
	}
	trace(vcpu);
}

/* The roots that VMFUNC may choose from. */
static void refresh_view_list(struct vcpu *vcpu)
{
	hpa_t root[MMU_VIEWS_MAX];

	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		root[view] = mmu_view_root(&vcpu->partition->mmu, view);
	}
	virt->set_view_list(&vcpu->virt, root, MMU_VIEWS_MAX);
}

/* The root of the vCPU's view has changed, or the view. False: there is none to be had. */
static bool refresh_root(struct vcpu *vcpu)
{
	hpa_t root;

	vcpu_sync_view(vcpu);
	root = mmu_vcpu_root(&vcpu->mmu);
	if (root.v == 0) {
		partition_end(vcpu->partition, STOP_CRASH, "no memory for the root of its view");
		return false;
	}
	virt->set_root(&vcpu->virt, root);
	if (vcpu->vmfunc) {
		refresh_view_list(vcpu);
	}
	return true;
}

enum vcpu_result vcpu_run(struct vcpu *vcpu)
{
	struct partition *partition = vcpu->partition;

	vcpu->now = rdtsc();
	for (;;) {
		enum outcome outcome;

		if (unlikely(partition->stop != STOP_NONE || bug_is_set(&partition->bug))) {
			return VCPU_STOPPED;
		}
		if (vcpu->now >= partition->next_timer) {
			run_timers(partition);
		}
		take_nmi(vcpu, &partition->devices.vlapic);
		vcpu->virt.offer = vdevs_pending_vector(&partition->devices);
		if (!may_run(vcpu)) {
			return VCPU_BLOCKED;
		}
		if (unlikely(mmu_vcpu_is_stale(&vcpu->mmu)) && !refresh_root(vcpu)) {
			return VCPU_STOPPED;
		}
		run_guest(vcpu);
		mmu_read_begin(&vcpu->mmu);
		outcome = exit_handle(vcpu);
		mmu_read_end(&vcpu->mmu);
		if (outcome != OUTCOME_RESUME) {
			if (outcome == OUTCOME_LATER) {
				outcome = hypercall_later(vcpu);
			}
			if (outcome == OUTCOME_FAULT) {
				memory_fault_park(vcpu);
				return VCPU_BLOCKED;
			}
			if (outcome == OUTCOME_CORE) {
				return VCPU_INTERRUPTED;
			}
		}
		if (unlikely(partition->console_wakeup)) {
			return VCPU_INTERRUPTED;
		}
	}
}
