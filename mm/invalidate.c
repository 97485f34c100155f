/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What keeps faults and changes apart in time. Two means: the brackets of a change of backing
 * (V1-V3: a fault that began before its end does not install), and read sections (V4: whoever
 * took the old slots is waited for before they go).
 *
 *     fault:   read_begin . seq? slots, backing . lock shared . bracket? seq same? install
 *     change:  begin (lock for writing) . zap, change, flush . end: seq + 1
 *     slots:   publish . wait until every section began after it . zap . publish . wait . free
 */
#include "mm/invalidate.h"

#include "mm/prove.h"

/*
 * Waits until every read section that may have begun before has ended (V4). Not in a read
 * section, no lock held but that of slot changes.
 */
void mmu_synchronize(struct mmu *mmu)
{
	uint64_t epoch = atomic_fetch_add_explicit(&mmu->epoch, 1, memory_order_seq_cst) + 1;
	unsigned int count = atomic_load_explicit(&mmu->vcpu_count, memory_order_acquire);

	for (unsigned int i = 0; i < count; i++) {
		struct mmu_vcpu *vcpu = atomic_load_explicit(&mmu->vcpu[i], memory_order_acquire);
		uint64_t reading;

		do {
			__builtin_ia32_pause();
			reading = vcpu ? atomic_load_explicit(&vcpu->reading, memory_order_seq_cst)
				       : 0;
		} while (reading != 0 && reading < epoch);
	}
}

/* V1: no fault installs in [start, start + count) from now on. The lock held for writing. */
void invalidate_begin(struct mmu_held held, gfn_t start, uint64_t count)
{
	struct mmu *mmu = held.mmu;
	gfn_t end = gfn(start.v + count);

	if (atomic_load_explicit(&mmu->invalidate_in_progress, memory_order_relaxed) == 0) {
		mmu->invalidate_start = start;
		mmu->invalidate_end = end;
	}
	mmu->invalidate_start = gfn(MIN(mmu->invalidate_start.v, start.v));
	mmu->invalidate_end = gfn(MAX(mmu->invalidate_end.v, end.v));
	/* Relaxed: read under the lock. */
	atomic_fetch_add_explicit(&mmu->invalidate_in_progress, 1, memory_order_relaxed);
}

/* V1: faults that began before this do not install, later ones see the new backing. */
void invalidate_end(struct mmu_held held)
{
	/* Release: pairs with the sample of mmu_fault(). */
	atomic_fetch_add_explicit(&held.mmu->invalidate_seq, 1, memory_order_release);
	atomic_fetch_sub_explicit(&held.mmu->invalidate_in_progress, 1, memory_order_relaxed);
}

/* True when [start, end) lies in an invalidation that is in progress (I9). */
bool invalidate_covers(const struct mmu *mmu, gfn_t start, gfn_t end)
{
	return atomic_load_explicit(&mmu->invalidate_in_progress, memory_order_relaxed) > 0 &&
	       start.v >= mmu->invalidate_start.v && end.v <= mmu->invalidate_end.v;
}

/* I9, V3: the bracket, or the deletion of exactly that slot, which must be marked. */
static bool may_unmap(const struct mmu *mmu, gfn_t start, gfn_t end, const struct memslot *going)
{
	/* Relaxed: arrays are published under the lock that is held. */
	const struct memslots *published = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	const struct memslot *slot = going ? memslot_by_id(published, going->id) : NULL;

	if (!going) {
		return invalidate_covers(mmu, start, end);
	}
	return slot == going && (slot->flags & MEMSLOT_INVALID) && start.v >= slot->gfn.v &&
	       end.v <= slot->gfn.v + slot->page_count;
}

/* A root's share of unmap_gfn_range(). */
static int unmap_root(struct mmu_held held, struct mmu_root *root, gfn_t start, gfn_t end)
{
	int error = table_split_at(held, root->table, start);

	if (!error) {
		error = table_split_at(held, root->table, end);
	}
	return error ? error : table_zap(held, root->table, start, end);
}

/*
 * Zaps [start, end) in every root, the invalid ones too (V5), and splits what reaches over the
 * ends. `going`: the slot that is being deleted, else NULL. The flush is left pending. 0,
 * -ENOMEM (roots that came before are zapped, the mappings come back by faults), -EIO.
 */
int unmap_gfn_range(struct mmu_held held, gfn_t start, gfn_t end, const struct memslot *going)
{
	struct mmu_root *root = NULL;

	if (PARTITION_BUG_ON(held.mmu->config.bug, !may_unmap(held.mmu, start, end, going), RULE_I9,
			     .has_gfn = true, .gfn = start.v,
			     .text = "a range is zapped outside of an invalidation")) {
		return -EIO;
	}
	while ((root = root_next(held, root)) != NULL) {
		int error;

		do {
			error = unmap_root(held, root, start, end);
		} while (error == -ENOMEM && table_reclaim(held));
		if (error) {
			return root_put(held, root) ? -EIO : error;
		}
	}
	return bug_is_set(held.mmu->config.bug) ? -EIO : 0;
}

/* See mmu.h. Takes the MMU lock. */
void mmu_invalidate_begin(struct mmu *mmu, gfn_t start, uint64_t count)
{
	struct mmu_held held = mmu_lock(mmu);

	invalidate_begin(held, start, count);
	mmu_unlock(held);
}

/* See mmu.h. Takes the MMU lock. */
void mmu_invalidate_end(struct mmu *mmu, gfn_t start, uint64_t count)
{
	struct mmu_held held = mmu_lock(mmu);

	if (!PARTITION_BUG_ON(mmu->config.bug, !invalidate_covers(mmu, start, gfn(start.v + count)),
			      RULE_I9, .has_gfn = true, .gfn = start.v,
			      .text = "an invalidation ends that did not begin")) {
		invalidate_end(held);
	}
	mmu_unlock(held);
}

/* See mmu.h. Takes the MMU lock. */
int mmu_unmap(struct mmu *mmu, gfn_t start, uint64_t count)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = -EIO;

	if (!bug_is_set(mmu->config.bug)) {
		status = unmap_gfn_range(held, start, gfn(start.v + count), NULL);
	}
	table_flush(held);
	mmu_unlock(held);
	mmu_prove(mmu);
	return status;
}
