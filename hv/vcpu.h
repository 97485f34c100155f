/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU and its run loop. Partition-owned. The CPU loop (hv/sched.c) calls
 * vcpu_run(), which serves exits in a loop of its own and comes back only when the core
 * has something to do.
 */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include "arch/x86/virt.h"
#include "hv/gate.h"
#include "hv/memory_fault.h"
#include "mm/mmu.h"

#define TRACE_SIZE 256

/* One exit in the trace ring (P7). */
struct trace_entry {
	uint64_t tsc;
	uint64_t rip;
	uint64_t info;
	uint32_t raw_reason;
	uint32_t kind; /* enum exit_kind */
};

/* Why vcpu_run() came back. */
enum vcpu_result {
	VCPU_INTERRUPTED, /* a host interrupt is pending, or console output to be shown */
	VCPU_BLOCKED,	  /* halted: until an interrupt or partition->next_timer */
	VCPU_STOPPED,	  /* partition->stop or its bug_state says why */
};

/*
 * Where the code of the last fetch was found, and what that depended on (hv/fetch.c). Good
 * as long as nothing of it changed, which is compared each time.
 */
#define FETCH_CACHE_EMPTY 1 /* no address of a page */
struct fetch_cache {
	const uint8_t *code; /* host address of the page */
	uint64_t page;	     /* linear address of the page, or FETCH_CACHE_EMPTY */
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t stamp; /* of guest memory (mmu_memory_stamp()) */
	uint64_t cpl;
	const uint64_t *entry[4]; /* the guest's page-table entries on the way, and their values */
	uint64_t value[4];
};

struct partition;

struct vcpu {
	struct virt_vcpu virt;
	struct mmu_vcpu mmu;
	bool vmfunc; /* the guest may switch views by itself (VMFUNC); it asked for it */
	struct partition *partition;
	unsigned int id;
	bool halted;
	uint64_t loops; /* exits, all kinds */
	uint64_t exits[EXIT_KIND_COUNT];
	struct exit exit;		  /* of the latest exit */
	struct memory_fault_record fault; /* its second part (M2) */
	enum gate gate;			  /* what it asks of the core */
	struct exit_exception injection;  /* filled by a handler that returns OUTCOME_INJECT */
	struct trace_entry *trace;	  /* TRACE_SIZE entries, by `loops` */
	uint64_t core_at; /* host TSC at which the core wants the CPU back (deadline timer) */
	uint64_t now;	  /* host TSC of the latest exit */
	struct fetch_cache fetch;
};

/* Runs the vCPU, which is loaded on this CPU, until the core is needed. Interrupts off. */
enum vcpu_result vcpu_run(struct vcpu *vcpu);

/*
 * Where the guest may switch views by itself: learns which one it is in. Before anything that
 * goes by the vCPU's view; the vCPU is loaded.
 */
static inline void vcpu_sync_view(struct vcpu *vcpu)
{
	if (unlikely(vcpu->vmfunc)) {
		/* A root that is no view's any more: the vCPU is stale, and gets a new one. */
		(void)!mmu_view_found(&vcpu->mmu, virt->get_root(&vcpu->virt));
	}
}

/* What a handler of an exit asks for; done in one place, hv/exit.c. */
enum outcome {
	OUTCOME_RESUME, /* as it is: the same instruction again, or RIP was set */
	OUTCOME_NEXT,	/* the instruction is done: move RIP past it */
	OUTCOME_INJECT, /* deliver vcpu->injection */
	OUTCOME_BLOCK,	/* RIP moves on, then halt */
	OUTCOME_CORE,	/* back to the CPU loop, vCPU stays runnable */
	OUTCOME_LATER,	/* a hypercall that is served outside of the MMU's read section */
	OUTCOME_FAULT,	/* a memory fault was annotated: the vCPU is parked, nothing is done */
	OUTCOME_STOP,	/* partition_end() was called, or the partition is bugged */
};

/* Decides and does everything about vcpu->exit. hv/exit.c */
enum outcome exit_handle(struct vcpu *vcpu);

/* Moves RIP past the instruction that exited; a guest that single-steps gets its #DB. */
enum outcome exit_finish_instruction(struct vcpu *vcpu);

/* The nested fault that exited becomes a memory-fault exit. OUTCOME_FAULT. hv/memory_fault.c */
enum outcome memory_fault_exit(struct vcpu *vcpu, enum memory_fault_reason reason);

/* For handlers: fill vcpu->injection, return OUTCOME_INJECT. */
enum outcome inject_fault(struct vcpu *vcpu, uint8_t vector, uint32_t error);
enum outcome inject_gp(struct vcpu *vcpu);
enum outcome inject_ud(struct vcpu *vcpu);
enum outcome inject_pf(struct vcpu *vcpu, uint64_t linear, uint32_t error);

/* Handlers by family, one file each. */
enum outcome exit_cpuid(struct vcpu *vcpu);    /* hv/cpuid_policy.c */
enum outcome exit_msr_read(struct vcpu *vcpu); /* hv/msr.c */
enum outcome exit_msr_write(struct vcpu *vcpu);
enum outcome exit_cr_access(struct vcpu *vcpu); /* hv/cr.c */
enum outcome exit_xsetbv(struct vcpu *vcpu);
enum outcome exit_efer_write(struct vcpu *vcpu, uint64_t value);
enum outcome exit_io(struct vcpu *vcpu);	/* hv/port_io.c */
enum outcome exit_mmio(struct vcpu *vcpu);	/* hv/mmio.c */
enum outcome exit_hypercall(struct vcpu *vcpu); /* hv/hypercall.c */

/*
 * A general register as an instruction sees it; RSP is fetched from or put into the
 * hardware. `size` 1, 2, 4, 8; a 4-byte write clears the upper half.
 */
uint64_t vcpu_read_gpr(struct vcpu *vcpu, unsigned int gpr, unsigned int size);
void vcpu_write_gpr(struct vcpu *vcpu, unsigned int gpr, unsigned int size, uint64_t value);

#endif
