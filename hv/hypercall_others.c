/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls that reach past the caller's partition: finding one by name, grants, and what
 * managers do about memory faults. All in the core; what is copied out holds numbers only.
 */
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "lib/string.h"

/* Guests see states, reasons and actions as they are. */
#define SAME(abi, ours) static_assert((int)(abi) == (int)(ours), "as the ABI says")
SAME(BULKHEAD_GRANT_IS_OFFERED, GRANT_OFFERED);
SAME(BULKHEAD_GRANT_IS_ACTIVE, GRANT_ACTIVE);
SAME(BULKHEAD_GRANT_MAX, GRANT_PAGES_MAX);
SAME(BULKHEAD_FAULT_ABSENT, MEMORY_FAULT_ABSENT);
SAME(BULKHEAD_FAULT_DENIED, MEMORY_FAULT_DENIED);
SAME(BULKHEAD_FAULT_STUCK, MEMORY_FAULT_STUCK);
SAME(BULKHEAD_RESOLVE_RETRY, MEMORY_FAULT_RETRY);
SAME(BULKHEAD_RESOLVE_INJECT, MEMORY_FAULT_INJECT);
SAME(BULKHEAD_RESOLVE_KILL, MEMORY_FAULT_KILL);

/* A fault's cursor, as a manager gets it: where to go on, one up, so that 0 is the start. */
#define CURSOR_PARTITION BITS(30, 8)
#define CURSOR_VCPU BITS(7, 0)

static_assert(VCPUS_MAX <= 255, "a cursor has room for it");

static struct partition_entry *caller(const struct vcpu *vcpu)
{
	return partition_entry_of(vcpu->partition);
}

/* Partition `id` if it is another than the caller's; NULL: there is none. */
static struct partition_entry *other(const struct vcpu *vcpu, uint64_t id)
{
	if (id == 0 || id > partitions_count() || id == vcpu->partition->id) {
		return NULL;
	}
	return partition_at((unsigned int)id - 1);
}

int64_t hypercall_find(struct vcpu *vcpu, const uint64_t *arg)
{
	char name[PARTITION_NAME_MAX] = "";
	const struct partition_entry *entry;
	int64_t status;

	if (arg[1] == 0 || arg[1] >= sizeof(name)) {
		return -EINVAL;
	}
	status = hypercall_copy_in(vcpu, arg[0], name, (size_t)arg[1]);
	if (status) {
		return status;
	}
	entry = partition_find(name);
	return entry ? entry->id : -ENOENT;
}

int64_t hypercall_grant_offer(struct vcpu *vcpu, const uint64_t *arg)
{
	if (arg[2] > PARTITIONS_MAX || arg[3] > (BULKHEAD_READ | BULKHEAD_WRITE)) {
		return arg[2] > PARTITIONS_MAX ? -ENOENT : -EINVAL;
	}
	return grant_offer(caller(vcpu), gfn(arg[0]), arg[1], (owner_t)arg[2],
			   (unsigned int)arg[3]);
}

int64_t hypercall_grant_accept(struct vcpu *vcpu, const uint64_t *arg)
{
	return arg[0] > UINT32_MAX ? -ENOENT
				   : grant_accept(caller(vcpu), (uint32_t)arg[0], gfn(arg[1]));
}

int64_t hypercall_grant_release(struct vcpu *vcpu, const uint64_t *arg)
{
	return arg[0] > UINT32_MAX ? -ENOENT : grant_release(caller(vcpu), (uint32_t)arg[0]);
}

int64_t hypercall_grant_revoke(struct vcpu *vcpu, const uint64_t *arg)
{
	return arg[0] > UINT32_MAX ? -ENOENT : grant_revoke(caller(vcpu), (uint32_t)arg[0]);
}

/* The cursor is the place of the next one to look at. */
int64_t hypercall_grant_next(struct vcpu *vcpu, const uint64_t *arg)
{
	struct bulkhead_grant out = { .id = 0 };
	const struct grant *grant;
	unsigned int index;
	int64_t status;

	if (arg[0] >= GRANTS_MAX) {
		return -ENOENT;
	}
	index = (unsigned int)arg[0];
	grant = grant_next(&index, vcpu->partition->id);
	if (!grant) {
		return -ENOENT;
	}
	out.id = grant->id;
	out.state = grant->state;
	out.owner = grant->owner;
	out.grantee = grant->grantee;
	out.page_count = grant->page_count;
	out.rights = grant->rights;
	if (grant->owner == vcpu->partition->id) {
		out.gfn = grant->owner_gfn.v; /* of no concern to the other side */
	} else if (grant->state == GRANT_ACTIVE) {
		out.gfn = grant->grantee_gfn.v;
	}
	status = hypercall_copy_out(vcpu, arg[1], &out, sizeof(out));
	return status ? status : (int64_t)index + 1;
}

int64_t hypercall_fault_next(struct vcpu *vcpu, const uint64_t *arg)
{
	struct memory_fault_cursor cursor;
	struct bulkhead_fault out = { .partition = 0 };
	const struct vcpu *parked;
	int64_t status;

	if (arg[0] > (CURSOR_PARTITION | CURSOR_VCPU)) {
		return -ENOENT;
	}
	cursor.partition = (unsigned int)FIELD_GET(CURSOR_PARTITION, arg[0]);
	cursor.vcpu = (unsigned int)FIELD_GET(CURSOR_VCPU, arg[0]);
	parked = memory_fault_next(&cursor);
	if (parked && parked->partition == vcpu->partition) { /* not its own: it is running */
		cursor.partition++;
		cursor.vcpu = 0;
		parked = memory_fault_next(&cursor);
	}
	if (!parked) {
		return -ENOENT;
	}
	out.partition = parked->partition->id;
	out.vcpu = parked->id;
	out.number = parked->fault.number;
	out.reason = parked->fault.fault.reason;
	out.gpa = parked->fault.fault.address.v;
	out.rip = parked->fault.rip;
	out.length = parked->fault.fault.length;
	out.access = parked->fault.fault.access;
	status = hypercall_copy_out(vcpu, arg[1], &out, sizeof(out));
	return status ? status
		      : (int64_t)(FIELD_PREP(CURSOR_PARTITION, cursor.partition) |
				  FIELD_PREP(CURSOR_VCPU, cursor.vcpu + 1));
}

int64_t hypercall_fault_resolve(struct vcpu *vcpu, const uint64_t *arg)
{
	struct partition_entry *entry = other(vcpu, arg[0]);
	const struct partition *partition = entry ? entry->partition : NULL;

	if (arg[2] > BULKHEAD_RESOLVE_KILL) {
		return -EINVAL;
	}
	if (!partition || arg[1] >= partition->vcpu_count ||
	    !partition->vcpus[arg[1]].fault.parked) {
		return -ENOENT;
	}
	if (partition->vcpus[arg[1]].fault.number != arg[3]) {
		return -EAGAIN; /* it was resolved by somebody, and has met another one */
	}
	return memory_fault_resolve(entry, (unsigned int)arg[1], (enum memory_fault_action)arg[2],
				    NULL);
}

int64_t hypercall_page_fill(struct vcpu *vcpu, const uint64_t *arg)
{
	static uint8_t page[PAGE_SIZE]; /* the core's: one at a time */
	struct partition_entry *entry = other(vcpu, arg[0]);
	bool zero = arg[2] == BULKHEAD_ZERO;
	int64_t status;

	if (!entry || !entry->partition) {
		return -ENOENT;
	}
	if (!is_aligned(arg[1], PAGE_SIZE) || (!zero && !is_aligned(arg[2], PAGE_SIZE))) {
		return -EINVAL;
	}
	if (!zero) {
		status = hypercall_copy_in(vcpu, arg[2], page, sizeof(page));
		if (status) {
			return status;
		}
	}
	return memory_fault_fill(entry, gpa(arg[1]), zero ? NULL : page, NULL);
}
