/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single pages of a slot: taken out, put back, found. Each change is an invalidation of its
 * own (V1), under the lock of slot changes so that the slot stays.
 */
#include "mm/invalidate.h"

#include "mm/prove.h"

/* The slot over a gfn that can be changed; under the lock of slot changes. */
static const struct memslot *slot_at(struct mmu_held held, gfn_t page)
{
	const struct memslot *slot = memslot_search(held.cache->slots, page);

	return slot && !(slot->flags & MEMSLOT_INVALID) ? slot : NULL;
}

/* backing_set(), at the cost of cold mappings when the pool is short. */
static int set_backing(struct mmu_held held, const struct memslot *slot, gfn_t page, uint64_t word)
{
	struct backing *backing = &held.mmu->backing[slot->id];
	struct pool *pool = held.mmu->config.pool;
	int status = backing_set(backing, pool, slot, page, word);

	if (status == -ENOMEM) {
		mmu_make_room(held, BACKING_NODES);
		status = backing_set(backing, pool, slot, page, word);
	}
	return status;
}

static int remove_page(struct mmu_held held, gfn_t page, pfn_t *frame)
{
	struct mmu *mmu = held.mmu;
	const struct memslot *slot = slot_at(held, page);
	int status;

	if (!slot) {
		return -ENOENT;
	}
	if (!backing_get(&mmu->backing[slot->id], slot, page, frame)) {
		return -ENODATA;
	}
	status = unmap_gfn_range(held, page, gfn(page.v + 1), NULL);
	if (!status) {
		status = set_backing(held, slot, page, BACKING_ABSENT);
	}
	table_flush(held);
	return status;
}

/* See mmu.h. -ENOENT, -ENODATA, -ENOMEM, -ERANGE, -EIO. */
int mmu_page_remove(struct mmu *mmu, gfn_t frame_number, pfn_t *frame)
{
	struct mmu_held held;
	int status = -EIO;

	spin_lock(&mmu->slots_lock);
	held = mmu_lock(mmu);
	if (!bug_is_set(mmu->config.bug)) {
		invalidate_begin(held, frame_number, 1);
		status = remove_page(held, frame_number, frame);
		/* I10: whoever gets the frame now may give it away. */
		if (!status && PARTITION_BUG_ON(mmu->config.bug, mmu->flush_pending, RULE_I10,
						.has_gfn = true, .gfn = frame_number.v,
						.text = "a page leaves before the flush")) {
			status = -EIO;
		}
		invalidate_end(held);
	}
	mmu_unlock(held);
	if (!status) {
		mmu_synchronize(mmu); /* pointers of mmu_guest_ptr() end with their sections */
	}
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

static int insert_page(struct mmu_held held, gfn_t page, pfn_t frame)
{
	struct mmu *mmu = held.mmu;
	const struct memslot *slot = slot_at(held, page);
	uint64_t word = BACKING_LINEAR;
	pfn_t present;
	int status;

	if (!slot) {
		return -ENOENT;
	}
	if (backing_get(&mmu->backing[slot->id], slot, page, &present)) {
		return -EEXIST;
	}
	if (frame.v != PFN_LINEAR.v && frame.v != memslot_pfn(slot, page).v) {
		word = pfn_to_hpa(frame).v | BACKING_FRAME;
	} else {
		frame = memslot_pfn(slot, page);
	}
	if (!frames_may_map(frame, 1, mmu->config.owner, SPTE_RIGHTS_ALL)) {
		return -EPERM;
	}
	mmu->collapse_slots |= UINT32_C(1) << slot->id;
	atomic_store_explicit(&mmu->has_work, true, memory_order_relaxed);
	status = set_backing(held, slot, page, word);
	if (!status && (slot->flags & MEMSLOT_LOG_DIRTY)) {
		/* It holds something else than when it was read last. */
		dirty_mark(&mmu->dirty[slot->id], page.v - slot->gfn.v);
	}
	return status;
}

/* See mmu.h. -ENOENT, -EEXIST, -EPERM, -ENOMEM, -ERANGE, -EIO. */
int mmu_page_insert(struct mmu *mmu, gfn_t frame_number, pfn_t frame)
{
	struct mmu_held held;
	int status = -EIO;

	spin_lock(&mmu->slots_lock);
	held = mmu_lock(mmu);
	if (!bug_is_set(mmu->config.bug)) {
		invalidate_begin(held, frame_number, 1);
		status = insert_page(held, frame_number, frame);
		invalidate_end(held);
	}
	mmu_unlock(held);
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* See mmu.h. In a read section; no lock. */
int mmu_page_lookup(struct mmu *mmu, gfn_t frame_number, pfn_t *frame)
{
	/* Acquire: pairs with slots_publish(). */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	const struct memslot *slot = memslot_search(slots, frame_number);

	if (!slot || (slot->flags & MEMSLOT_INVALID)) {
		return -ENOENT;
	}
	return backing_get(&mmu->backing[slot->id], slot, frame_number, frame) ? 0 : -ENODATA;
}
