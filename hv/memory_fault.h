/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory-fault exits (M rules): an access that the MMU cannot resolve parks its vCPU until
 * whoever manages the partition (the shell, or a manager partition by hypercall) resolves it.
 *
 *     struct vcpu   .exit     first part: the latest exit, whatever it was
 *                   .fault    second part: the access that failed, with a canary of its own
 *
 * Nobody is ever handed these structures, only copies, so nothing is read back (M5).
 */
#ifndef HV_MEMORY_FAULT_H
#define HV_MEMORY_FAULT_H

#include "lib/addr.h"
#include "lib/status.h"

struct vcpu;
struct partition;
struct partition_entry;

/* As BULKHEAD_FAULT_... of the hypercall ABI (tied by static_assert). */
enum memory_fault_reason {
	MEMORY_FAULT_ABSENT = 1, /* a slot is there, the page is not */
	MEMORY_FAULT_DENIED = 2, /* the view forbids it */
	MEMORY_FAULT_STUCK = 3,	 /* M6: the same again and again without progress */
};

/* M1: those of the failed access, not rounded to pages. */
struct memory_fault {
	gpa_t address;
	uint32_t length; /* within the page; 1 when the instruction does not tell */
	uint32_t access; /* ACCESS_... */
	enum memory_fault_reason reason;
};

/*
 * The second part of a vCPU's exit record (M2). It is filled in this run if, and only if,
 * `canary` is the number of this run, which is vcpu->loops: so each entry clears it (M3),
 * at no cost. Partition-owned.
 */
struct memory_fault_record {
	struct memory_fault fault;
	uint64_t rip;
	uint64_t canary; /* number of the run that filled it; 0: none ever did */
	uint32_t number; /* of parkings: tells one fault from the next for who resolves it */
	bool parked;	 /* not entered until somebody resolves it */
	uint64_t again;	 /* second annotations in one run (M3) */
	uint64_t missed; /* parkings without an annotation (M4) */
};

/*
 * While serving, in the MMU's read section.
 *
 * memory_fault_annotate() fills the second part for what the vCPU tried; the first annotation
 * of a run stays (M3). memory_fault_absent() does it when part of [address, address + size)
 * is an absent page, for accesses that the hypervisor makes in the guest's stead: true then,
 * and the handler returns OUTCOME_FAULT with nothing done. memory_fault_exit() (hv/vcpu.h) is
 * for the nested fault that exited.
 */
void memory_fault_annotate(struct vcpu *vcpu, const struct memory_fault *fault);
bool memory_fault_absent(struct vcpu *vcpu, gpa_t address, size_t size, uint32_t access);

/* A handler returned OUTCOME_FAULT: the vCPU is parked (M4, if nothing was annotated). */
void memory_fault_park(struct vcpu *vcpu);

/*
 * The rest is the core's. memory_fault_announce(): a vCPU was parked, managers get their
 * event, and the log a line when there is no manager.
 */
void memory_fault_announce(struct vcpu *vcpu);

/* The parked vCPU at *cursor or after it, in the order of partitions; false: none. */
struct memory_fault_cursor {
	unsigned int partition; /* index */
	unsigned int vcpu;
};
struct vcpu *memory_fault_next(struct memory_fault_cursor *cursor);

/* As BULKHEAD_RESOLVE_... */
enum memory_fault_action {
	MEMORY_FAULT_RETRY = 0,
	MEMORY_FAULT_INJECT = 1, /* #GP(0) instead of the access */
	MEMORY_FAULT_KILL = 2,
};

/* 0, -ENOENT (that vCPU is not parked), -EIO (bugged). */
int __must_check memory_fault_resolve(struct partition_entry *entry, unsigned int vcpu,
				      enum memory_fault_action action, struct error_text *error);

/*
 * The absent page at `address` is there from now on, a copy of the page at `source` (host;
 * NULL: zeros). -EEXIST (present), -ENOENT (no slot), -ENOMEM, -EIO: nothing changed.
 */
int __must_check memory_fault_fill(struct partition_entry *entry, gpa_t address, const void *source,
				   struct error_text *error);

/*
 * Pages that start absent keep their frames in the state FRAME_HELD until they are filled:
 * not mapped, and told from those of pages that were given back. For a new slot with
 * MEMSLOT_ABSENT. -EPERM when a frame is not private to `partition`.
 */
int __must_check memory_fault_hold(struct partition *partition, pfn_t start, uint64_t count);
/* True when the frame of the slot at `page` is still held for it. In the core. */
bool memory_fault_is_held(struct partition *partition, gfn_t page, pfn_t *frame);

const char *memory_fault_reason_name(enum memory_fault_reason reason); /* "absent", ... */

#endif
