/* SPDX-License-Identifier: BSD-2-Clause */
/* Grants between partitions; hv/grant.h says what they are. Core. */
#include "hv/grant.h"

#include "hv/events.h"
#include "hv/hypercall.h"
#include "hv/sched.h"

#define ID_USES_MAX (UINT32_C(1) << 20) /* ids stay positive; after so many one comes again */

/* By owner: GRANTS_PER_OWNER places each. */
static struct grant grants[GRANTS_MAX];
static uint32_t uses[GRANTS_MAX];

/* The grant of that id, or NULL. */
static struct grant *find(uint32_t id)
{
	struct grant *grant = &grants[id % GRANTS_MAX];

	return grant->state != GRANT_FREE && grant->id == id ? grant : NULL;
}

static struct grant *free_place(owner_t owner)
{
	struct grant *own = &grants[(owner - 1u) * GRANTS_PER_OWNER];

	for (unsigned int i = 0; i < GRANTS_PER_OWNER; i++) {
		if (own[i].state == GRANT_FREE) {
			return &own[i];
		}
	}
	return NULL;
}

static uint32_t next_id(const struct grant *place)
{
	size_t index = (size_t)(place - grants);

	uses[index] = uses[index] % ID_USES_MAX + 1; /* from 1 on: no id is 0 */
	return uses[index] * GRANTS_MAX + (uint32_t)index;
}

static struct partition_entry *entry_of(owner_t id)
{
	return partition_at(id - 1u);
}

/* The run of frames behind a range of the owner's, if it is one and the owner's alone. */
static int find_run(struct partition *owner, gfn_t start, uint64_t count, pfn_t *first)
{
	int status = 0;

	mmu_read_begin(&owner->core_reads);
	for (uint64_t i = 0; status == 0 && i < count; i++) {
		struct frame_info info;
		pfn_t frame;

		if (mmu_page_lookup(&owner->mmu, gfn(start.v + i), &frame)) {
			status = -ERANGE;
			break;
		}
		if (i == 0) {
			*first = frame;
		}
		info = frame_get(frame);
		if (info.owner != owner->id) {
			status = -EPERM; /* granted to it: not its own to give on */
		} else if (info.state == FRAME_GRANTED) {
			status = -EBUSY;
		} else if (info.state != FRAME_PRIVATE || frame.v != first->v + i) {
			status = -ERANGE;
		}
	}
	mmu_read_end(&owner->core_reads);
	return status;
}

int grant_offer(struct partition_entry *owner, gfn_t start, uint64_t count, owner_t grantee,
		unsigned int rights)
{
	struct grant *grant;
	pfn_t frame;
	int status;

	if (count == 0 || grantee == owner->id ||
	    (rights != MMU_READ && rights != (MMU_READ | MMU_WRITE))) {
		return -EINVAL;
	}
	if (count > GRANT_PAGES_MAX) {
		return -E2BIG;
	}
	if (grantee == 0 || grantee > partitions_count()) {
		return -ENOENT;
	}
	status = find_run(owner->partition, start, count, &frame);
	if (status) {
		return status;
	}
	grant = free_place(owner->id);
	if (!grant) {
		return -ENOSPC;
	}
	*grant = (struct grant){
		.state = GRANT_OFFERED,
		.id = next_id(grant),
		.owner = owner->id,
		.grantee = grantee,
		.rights = rights,
		.owner_gfn = start,
		.page_count = count,
	};
	events_raise(entry_of(grantee), BULKHEAD_EVENT_GRANT_OFFERED);
	return (int)grant->id;
}

/* A number for the grantee's new slot: the highest that is free, memory has the low ones. */
static int free_slot(struct partition *partition)
{
	const struct memslots *slots;
	int id = MEMSLOTS_MAX - 1;

	mmu_read_begin(&partition->core_reads);
	/* Acquire: pairs with the publication of the array. */
	slots = atomic_load_explicit(&partition->mmu.slots, memory_order_acquire);
	while (id >= 0 && memslot_by_id(slots, (unsigned int)id)) {
		id--;
	}
	mmu_read_end(&partition->core_reads);
	return id;
}

/* The grantee's rights end in the frame table. Its translations are flushed everywhere. */
static void end_rights(const struct grant *grant)
{
	struct partition *owner = entry_of(grant->owner)->partition;

	(void)PARTITION_DATA_BUG_ON(
		&owner->bug,
		frames_revoke(grant->frame, grant->page_count, grant->owner, grant->grantee) != 0,
		RULE_I4, .has_gfn = true, .gfn = grant->owner_gfn.v,
		.text = "frames that were granted are not any more");
}

int grant_accept(struct partition_entry *grantee, uint32_t id, gfn_t at)
{
	struct grant *grant = find(id);
	struct memslot_config config = { .gfn = at, .flags = (uint32_t)MEMSLOT_GRANTED };
	int slot_id;
	int status;

	if (!grant || grant->state != GRANT_OFFERED || grant->grantee != grantee->id) {
		return -ENOENT;
	}
	/* What the offer named may be something else by now. */
	status = find_run(entry_of(grant->owner)->partition, grant->owner_gfn, grant->page_count,
			  &config.pfn);
	if (status) {
		return status;
	}
	slot_id = free_slot(grantee->partition);
	if (slot_id < 0) {
		return -ENOSPC;
	}
	/* Who may read may execute: what a page is for is the guest's own business. */
	status = frames_grant(config.pfn, grant->page_count, grant->owner, grant->grantee,
			      grant->rights | MMU_EXECUTE);
	if (status) {
		return status;
	}
	config.id = (unsigned int)slot_id;
	config.page_count = grant->page_count;
	config.flags |= (grant->rights & MMU_WRITE) ? 0 : (uint32_t)MEMSLOT_READ_ONLY;
	grant->frame = config.pfn;
	status = mmu_slot_create(&grantee->partition->mmu, &config, NULL);
	if (status) {
		end_rights(grant);
		return status;
	}
	grant->state = GRANT_ACTIVE;
	grant->grantee_gfn = at;
	grant->slot_id = (unsigned int)slot_id;
	events_raise(entry_of(grant->owner), BULKHEAD_EVENT_GRANT_ACCEPTED);
	return 0;
}

/*
 * Takes the slot out of the grantee. When that cannot be done in order (it is bugged, or its
 * pool cannot hold a new array of slots) it never runs again instead, and its translations are
 * flushed: taking back must not depend on the one from whom it is taken.
 */
static void unmap(const struct grant *grant)
{
	struct partition_entry *entry = entry_of(grant->grantee);
	struct partition *partition = entry->partition;
	struct error_text error = { "" };

	if (mmu_slot_delete(&partition->mmu, grant->slot_id, &error) == 0) {
		return;
	}
	if (!bug_is_set(&partition->bug)) {
		partition_end(partition, STOP_CRASH,
			      "memory granted to it was taken back and cannot be unmapped: %s",
			      error.text);
	}
	if (entry->state == PARTITION_RUNNING) {
		sched_wake(&entry->sched[0]);
	}
	for (unsigned int i = 0; i < partition->vcpu_count; i++) {
		virt->flush_asid(partition->vcpus[i].virt.asid,
				 partition->vcpus[i].virt.nested_root);
	}
}

static void end_grant(struct grant *grant)
{
	if (grant->state == GRANT_ACTIVE) {
		unmap(grant);
		end_rights(grant); /* I10: after the flush */
	}
	grant->state = GRANT_FREE;
}

int grant_revoke(struct partition_entry *owner, uint32_t id)
{
	struct grant *grant = find(id);

	if (!grant || grant->owner != owner->id) {
		return -ENOENT;
	}
	end_grant(grant);
	events_raise(entry_of(grant->grantee), BULKHEAD_EVENT_GRANT_REVOKED);
	return 0;
}

int grant_release(struct partition_entry *grantee, uint32_t id)
{
	struct grant *grant = find(id);

	if (!grant || grant->grantee != grantee->id) {
		return -ENOENT;
	}
	end_grant(grant);
	events_raise(entry_of(grant->owner), BULKHEAD_EVENT_GRANT_RELEASED);
	return 0;
}

static void end_for_both(struct grant *grant)
{
	end_grant(grant);
	events_raise(entry_of(grant->grantee), BULKHEAD_EVENT_GRANT_REVOKED);
	events_raise(entry_of(grant->owner), BULKHEAD_EVENT_GRANT_RELEASED);
}

int grant_cancel(uint32_t id)
{
	struct grant *grant = find(id);

	if (!grant) {
		return -ENOENT;
	}
	end_for_both(grant);
	return 0;
}

void grants_end(struct partition_entry *entry)
{
	for (unsigned int i = 0; i < GRANTS_MAX; i++) {
		if (grants[i].state != GRANT_FREE &&
		    (grants[i].owner == entry->id || grants[i].grantee == entry->id)) {
			end_for_both(&grants[i]);
		}
	}
}

const struct grant *grant_next(unsigned int *index, owner_t id)
{
	for (; *index < GRANTS_MAX; (*index)++) {
		const struct grant *grant = &grants[*index];

		if (grant->state != GRANT_FREE &&
		    (id == 0 || grant->owner == id || grant->grantee == id)) {
			return grant;
		}
	}
	return NULL;
}

const struct grant *grant_of_slot(owner_t id, unsigned int slot_id)
{
	for (unsigned int i = 0; i < GRANTS_MAX; i++) {
		if (grants[i].state == GRANT_ACTIVE && grants[i].grantee == id &&
		    grants[i].slot_id == slot_id) {
			return &grants[i];
		}
	}
	return NULL;
}
