/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory-fault exits: annotating and parking while serving. Resolving: memory_resolve.c. */
#include "hv/memory_fault.h"

#include "arch/x86/cpu.h"
#include "hv/fetch.h"
#include "hv/partition.h"
#include "mm/prove.h"

const char *memory_fault_reason_name(enum memory_fault_reason reason)
{
	switch (reason) {
	case MEMORY_FAULT_ABSENT:
		return "absent";
	case MEMORY_FAULT_DENIED:
		return "denied";
	case MEMORY_FAULT_STUCK:
		return "stuck";
	}
	return "not annotated";
}

/* M2: the private mark, not the content, says that the second part is filled in this run. */
static bool is_annotated(const struct vcpu *vcpu)
{
	return vcpu->fault.canary != 0 && vcpu->fault.canary == vcpu->loops;
}

void memory_fault_annotate(struct vcpu *vcpu, const struct memory_fault *fault)
{
	struct memory_fault_record *record = &vcpu->fault;

	if (PROVE_BUG_ON(&vcpu->partition->bug, is_annotated(vcpu), RULE_M3, .vcpu = vcpu->id,
			 .has_gfn = true, .gfn = gpa_to_gfn(fault->address).v,
			 .text = "a second memory fault in one run")) {
		record->again++;
		return;
	}
	record->fault = *fault;
	record->rip = vcpu->exit.rip;
	record->canary = vcpu->loops;
}

/*
 * Bytes of the access that exited, cut at the page's end. A walk reads an entry of the
 * guest's tables; an operand is as long as its instruction says. Fetches, and operands that
 * the decoder does not know, count as the one byte that is known to be meant. 0 when the
 * instruction cannot be read because a page on the way to it is absent: that is annotated.
 */
static uint32_t access_length(struct vcpu *vcpu)
{
	const struct exit_fault *fault = &vcpu->exit.fault;
	uint64_t in_page = PAGE_SIZE - (fault->address.v & ~PAGE_MASK);
	struct decoded decoded;
	uint64_t length = 1;

	if (fault->table_walk) {
		struct virt_paging paging;

		virt->get_paging(&vcpu->virt, &paging);
		length = (paging.cr4 & CR4_PAE) ? 8 : 4;
	} else if (!(fault->access & ACCESS_EXECUTE)) {
		enum outcome outcome = fetch_decode(vcpu, &decoded);

		if (outcome == OUTCOME_FAULT) {
			return 0;
		}
		if (outcome == OUTCOME_NEXT && decoded.operation != DECODED_OTHER) {
			length = decoded.size;
		}
	}
	return (uint32_t)MIN(length, in_page);
}

enum outcome memory_fault_exit(struct vcpu *vcpu, enum memory_fault_reason reason)
{
	struct memory_fault fault = {
		.address = vcpu->exit.fault.address,
		.length = access_length(vcpu),
		.access = vcpu->exit.fault.access,
		.reason = reason,
	};

	if (fault.length != 0) {
		memory_fault_annotate(vcpu, &fault);
	}
	return OUTCOME_FAULT;
}

bool memory_fault_absent(struct vcpu *vcpu, gpa_t address, size_t size, uint32_t access)
{
	struct memory_fault fault = { .access = access, .reason = MEMORY_FAULT_ABSENT };

	while (size > 0) {
		size_t in_page = (size_t)(PAGE_SIZE - (address.v & ~PAGE_MASK));
		pfn_t frame;

		in_page = MIN(in_page, size);
		if (mmu_page_lookup(&vcpu->partition->mmu, gpa_to_gfn(address), &frame) ==
		    -ENODATA) {
			fault.address = address;
			fault.length = (uint32_t)in_page;
			memory_fault_annotate(vcpu, &fault);
			return true;
		}
		address.v += in_page;
		size -= in_page;
	}
	return false;
}

void memory_fault_park(struct vcpu *vcpu)
{
	struct memory_fault_record *record = &vcpu->fault;

	if (PROVE_BUG_ON(&vcpu->partition->bug, !is_annotated(vcpu), RULE_M4, .vcpu = vcpu->id,
			 .text = "parked without a memory fault to show")) {
		record->missed++;
		record->fault = (struct memory_fault){ .length = 0 };
		record->rip = vcpu->exit.rip;
	}
	record->number++;
	record->parked = true;
	vcpu->gate = GATE_FAULT;
}
