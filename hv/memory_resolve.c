/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory-fault exits, the core's side: telling managers, finding who is parked, resolving,
 * and filling absent pages. The faulting partition is not running here; whoever asks gives
 * numbers that are checked, never a record of ours (M5).
 */
#include "arch/x86/cpu.h"
#include "hv/balloon.h"
#include "hv/events.h"
#include "hv/hypercall.h"
#include "hv/memory_fault.h"
#include "hv/sched.h"
#include "lib/log.h"
#include "lib/string.h"

static bool is_managing(const struct partition_entry *entry)
{
	return entry->config->manager && entry->partition && entry->state == PARTITION_RUNNING;
}

void memory_fault_announce(struct vcpu *vcpu)
{
	const struct memory_fault_record *record = &vcpu->fault;
	bool told = false;

	for (unsigned int i = 0; i < partitions_count(); i++) {
		struct partition_entry *entry = partition_at(i);

		if (is_managing(entry) && entry->partition != vcpu->partition) {
			events_raise(entry, BULKHEAD_EVENT_FAULT);
			told = true;
		}
	}
	if (!told) {
		log_printf("%s: vCPU %u parked: memory fault (%s) at 0x%llx, rip 0x%llx",
			   vcpu->partition->name, vcpu->id,
			   memory_fault_reason_name(record->fault.reason),
			   ADDR_ARG(record->fault.address), (unsigned long long)record->rip);
	}
}

struct vcpu *memory_fault_next(struct memory_fault_cursor *cursor)
{
	for (; cursor->partition < partitions_count(); cursor->partition++, cursor->vcpu = 0) {
		struct partition *partition = partition_at(cursor->partition)->partition;

		for (; partition && cursor->vcpu < partition->vcpu_count; cursor->vcpu++) {
			if (partition->vcpus[cursor->vcpu].fault.parked &&
			    partition->stop == STOP_NONE && !bug_is_set(&partition->bug)) {
				return &partition->vcpus[cursor->vcpu];
			}
		}
	}
	return NULL;
}

int memory_fault_resolve(struct partition_entry *entry, unsigned int number,
			 enum memory_fault_action action, struct error_text *error)
{
	struct partition *partition = entry->partition;
	struct vcpu *vcpu;

	if (!partition || number >= partition->vcpu_count ||
	    !partition->vcpus[number].fault.parked) {
		return error_set(error, -ENOENT, "%s: vCPU %u is not parked", entry->config->name,
				 number);
	}
	if (bug_is_set(&partition->bug)) {
		return error_set(error, -EIO, "%s is bugged", entry->config->name);
	}
	vcpu = &partition->vcpus[number];
	if (action == MEMORY_FAULT_KILL) {
		partition_end(partition, STOP_CRASH,
			      "ended by its manager: memory fault (%s) at 0x%llx, rip 0x%llx",
			      memory_fault_reason_name(vcpu->fault.fault.reason),
			      ADDR_ARG(vcpu->fault.fault.address),
			      (unsigned long long)vcpu->fault.rip);
	} else if (action == MEMORY_FAULT_INJECT) {
		struct exit_exception gp = { .vector = VECTOR_GP, .has_error = true };

		sched_load(&entry->sched[number]);
		virt->inject_exception(&vcpu->virt, &gp);
	}
	vcpu->fault.parked = false;
	if (entry->state == PARTITION_RUNNING) {
		sched_wake(&entry->sched[number]); /* to end, too, it must come to the CPU loop */
	}
	return 0;
}

/* The slot's own frame for a page; false: no slot there. In a read section. */
static bool own_frame(struct mmu *mmu, gfn_t page, pfn_t *frame)
{
	/* Acquire: pairs with the publication of the array. */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	const struct memslot *slot = memslot_search(slots, page);

	if (slot) {
		*frame = memslot_pfn(slot, page);
	}
	return slot != NULL;
}

bool memory_fault_is_held(struct partition *partition, gfn_t page, pfn_t *frame)
{
	bool found;
	struct frame_info info;

	mmu_read_begin(&partition->core_reads);
	found = own_frame(&partition->mmu, page, frame);
	mmu_read_end(&partition->core_reads);
	if (!found) {
		return false;
	}
	info = frame_get(*frame);
	return info.owner == partition->id && info.state == FRAME_HELD;
}

static bool change(struct partition *partition, pfn_t frame, enum frame_state from,
		   enum frame_state to)
{
	struct frame_info expected = { .owner = partition->id, .state = from };
	struct frame_info wanted = { .owner = partition->id, .state = to };

	return frame_change(frame, expected, wanted);
}

int memory_fault_hold(struct partition *partition, pfn_t start, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!change(partition, pfn(start.v + i), FRAME_PRIVATE, FRAME_HELD)) {
			return -EPERM;
		}
	}
	return 0;
}

/* A page that nobody else maps yet, filled. */
static void fill(pfn_t frame, const void *source)
{
	if (source) {
		memcpy(hpa_to_ptr(pfn_to_hpa(frame)), source, PAGE_SIZE);
	} else {
		memset(hpa_to_ptr(pfn_to_hpa(frame)), 0, PAGE_SIZE);
	}
}

/* Into the frame that the slot holds for the page. */
static int fill_held(struct partition *partition, gfn_t page, pfn_t frame, const void *source)
{
	int status;

	if (PARTITION_DATA_BUG_ON(
		    &partition->bug, !change(partition, frame, FRAME_HELD, FRAME_PRIVATE), RULE_I4,
		    .has_gfn = true, .gfn = page.v, .text = "a held frame changed its owner")) {
		return -EIO;
	}
	fill(frame, source);
	status = mmu_page_insert(&partition->mmu, page, PFN_LINEAR);
	if (status) {
		(void)PARTITION_DATA_BUG_ON(&partition->bug,
					    !change(partition, frame, FRAME_PRIVATE, FRAME_HELD),
					    RULE_I4, .has_gfn = true, .gfn = page.v,
					    .text = "a held frame changed its owner");
	}
	return status;
}

/* The page was given back: another frame takes its place. */
static int fill_new(struct partition *partition, gfn_t page, const void *source)
{
	pfn_t frame;
	int status = frames_alloc(1, 1, partition->id, FRAME_PRIVATE, &frame);

	if (status) {
		return status;
	}
	fill(frame, source);
	return balloon_fill(partition, page, frame);
}

int memory_fault_fill(struct partition_entry *entry, gpa_t address, const void *source,
		      struct error_text *error)
{
	struct partition *partition = entry->partition;
	gfn_t page = gpa_to_gfn(address);
	pfn_t frame;
	int status;

	if (!partition) {
		return error_set(error, -ENOENT, "%s has no memory", entry->config->name);
	}
	if (bug_is_set(&partition->bug)) {
		return error_set(error, -EIO, "%s is bugged", entry->config->name);
	}
	mmu_read_begin(&partition->core_reads);
	status = mmu_page_lookup(&partition->mmu, page, &frame);
	mmu_read_end(&partition->core_reads);
	if (status == 0) {
		return error_set(error, -EEXIST, "%s: the page at 0x%llx is there already",
				 entry->config->name, ADDR_ARG(gfn_to_gpa(page)));
	}
	if (status != -ENODATA) {
		return error_set(error, status, "%s: there is no memory at 0x%llx",
				 entry->config->name, ADDR_ARG(gfn_to_gpa(page)));
	}
	status = memory_fault_is_held(partition, page, &frame)
			 ? fill_held(partition, page, frame, source)
			 : fill_new(partition, page, source);
	return status ? error_set(error, status, "%s: the page at 0x%llx: %s", entry->config->name,
				  ADDR_ARG(gfn_to_gpa(page)), status_text(status))
		      : 0;
}
