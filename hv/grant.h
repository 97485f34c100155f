/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grants: one partition shares frames of its memory with another, read-only or writable.
 * Both consent: the owner offers, the grantee accepts and says where it wants them. From then
 * on the frames are a slot of the grantee, and in the frame table FRAME_GRANTED to it, which
 * is what I4 checks on both sides.
 *
 *     offer (owner) -> OFFERED -> accept (grantee) -> ACTIVE -> revoke, release, end of either
 *
 * The table is machine-owned and touched in the core alone: no lock. A grant's number counts
 * up with each use of its place, so a stale one finds nothing.
 */
#ifndef HV_GRANT_H
#define HV_GRANT_H

#include "hv/partition.h"

/* Each partition has places of its own, so none can use up another's. */
#define GRANTS_PER_OWNER 8
#define GRANTS_MAX (PARTITIONS_MAX * GRANTS_PER_OWNER)
#define GRANT_PAGES_MAX 4096

enum grant_state {
	GRANT_FREE,
	GRANT_OFFERED,
	GRANT_ACTIVE,
};

struct grant {
	enum grant_state state;
	uint32_t id;
	owner_t owner;
	owner_t grantee;
	unsigned int rights; /* ACCESS_READ, with or without ACCESS_WRITE */
	gfn_t owner_gfn;
	uint64_t page_count;
	/* Active ones. */
	gfn_t grantee_gfn;
	unsigned int slot_id; /* in the grantee */
	pfn_t frame;	      /* the first of a run */
};

/*
 * The owner's range must be memory that is its own, present, and one run of frames. The
 * grant's id (> 0), or -EINVAL, -ERANGE (not such a range), -ENOENT (no such partition),
 * -E2BIG, -EBUSY (granted already), -ENOSPC, -EIO.
 */
int __must_check grant_offer(struct partition_entry *owner, gfn_t start, uint64_t count,
			     owner_t grantee, unsigned int rights);

/*
 * Maps it at `at`. -ENOENT (no such offer to it), -ERANGE (the owner's memory is not there
 * any more), -EBUSY (granted to somebody meanwhile), and what mmu_slot_create() says; nothing
 * changed then.
 */
int __must_check grant_accept(struct partition_entry *grantee, uint32_t id, gfn_t at);

/*
 * Takes a grant or an offer back, by the owner, or refuses or returns it, by the grantee: when
 * they return 0, no CPU can use a translation of it any more. -ENOENT: no such one of theirs.
 * The operator's has no other condition.
 */
int __must_check grant_revoke(struct partition_entry *owner, uint32_t id);
int __must_check grant_release(struct partition_entry *grantee, uint32_t id);
int __must_check grant_cancel(uint32_t id);

/* All of a partition's, both ways: it is bugged, or its memory is about to go. */
void grants_end(struct partition_entry *entry);

/* The grant at place `index` or after it that `id` (0: anybody) is a side of; NULL: none. */
const struct grant *grant_next(unsigned int *index, owner_t id);
/* The place of a grant of partition `id` that has this slot; NULL: it is no granted one. */
const struct grant *grant_of_slot(owner_t id, unsigned int slot_id);

#endif
