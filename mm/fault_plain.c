/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault that nearly every fault is: an empty entry in the table of the last one, in a slot
 * without flags, exceptions or limits, whose node of the rmap is known. What fault.c looks up
 * without a lock, samples and looks at again, is read once here, with the lock held shared:
 * the published slots and their backing cannot change then (V1, V4), nor a root or a table go.
 *
 *     table of the last fault     slot of the last fault     rmap node of the last fault
 *               |                          |                           |
 *          entry: empty --> FROZEN         +---> leaf      head: empty --> SPTE
 *                             +-----------------> leaf, the entry's value, last
 *
 * What is not plain is left to fault_any() as it was found. Each test here is a check that some
 * rule needs: there is none that only saves time.
 */
#include "mm/prove.h"
#include "mm/table.h"

/* The table of the last fault, if it is one of `root` and covers `page`. */
static inline struct table *plain_table(const struct mmu_vcpu *vcpu, const struct mmu_root *root,
					gfn_t page)
{
	struct table *table = vcpu->last_table;

	if (unlikely(!table) || RETRY_ON(!root->valid) ||		 /* I6 */
	    RETRY_ON(table->state != TABLE_LINKED) ||			 /* I14 */
	    RETRY_ON((table->role ^ root->table->role) & ~ROLE_LEVEL) || /* I14 */
	    RETRY_ON((table->gfn.v ^ page.v) >>				 /* I13 */
		     (SPTE_INDEX_BITS * role_level(table->role)))) {
		return NULL;
	}
	return table;
}

/* The slot of the last fault, if a leaf of `level` over `page` may be just what it says. */
static inline const struct memslot *plain_slot(const struct mmu *mmu, unsigned int hint,
					       unsigned int view, gfn_t page, unsigned int level)
{
	/* Relaxed: published under the lock. */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	const struct memslot *slot = &slots->slot[hint];

	if (unlikely(hint >= slots->count) || RETRY_ON(!memslot_covers(slot, page)) || /* I12 */
	    RETRY_ON(slot->flags != 0) ||		       /* V4, I11, M rules */
	    RETRY_ON(!memslot_has_level(slot, page, level)) || /* I12 */
	    RETRY_ON(view_is_limited(slots, view)) ||
	    RETRY_ON(backing_has_exceptions(&mmu->backing[slot->id]))) { /* I2 */
		return NULL;
	}
	return slot;
}

/* Stores the slot's own leaf in the empty entry; its format was checked with the slot (I3). */
static inline bool fill_plainly(struct mmu *mmu, const struct rmap_hint *hint, struct table *table,
				const struct memslot *slot, gfn_t page, unsigned int level)
{
	hpa_t sptep = table_sptep(mmu, table, level_index(page, level));
	_Atomic uint64_t *entry = hpa_to_ptr(sptep);
	spte_t leaf = memslot_leaf(slot, page, level);
	uint64_t seen = 0;

	/* Acquire: what was done to the entry before is seen. */
	if (RETRY_ON(!atomic_compare_exchange_strong_explicit(
		    entry, &seen, SPTE_FROZEN, memory_order_acquire, memory_order_relaxed))) {
		return false;
	}
	if (unlikely(!rmap_add_hinted(&mmu->rmap, hint, slot, page, level, sptep))) {
		atomic_store_explicit(entry, 0, memory_order_release);
		return false;
	}
	/* Relaxed: the value is published after it. */
	atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
	/* Release: who sees the value sees what it stands for. */
	atomic_store_explicit(entry, leaf.v, memory_order_release);
	stat_count(&mmu->stats.fixed[level - 1], 1);
	return true;
}

/* With the lock held shared: false, and nothing changed, when the fault is not plain. */
static inline bool try_plainly(struct mmu *mmu, struct mmu_vcpu *vcpu, gfn_t page)
{
	const struct mmu_root *root = vcpu->root;
	const struct memslot *slot;
	struct table *table;
	unsigned int level;
	gfn_t first;

	/* Relaxed: it is written under the lock. */
	if (unlikely(bug_is_set(mmu->config.bug)) ||
	    RETRY_ON(atomic_load_explicit(&mmu->invalidate_in_progress, memory_order_relaxed))) {
		return false; /* P4, V2 */
	}
	table = plain_table(vcpu, root, page);
	if (unlikely(!table)) {
		return false;
	}
	level = role_level(table->role);
	slot = plain_slot(mmu, vcpu->slot_hint, root->view, page, level);
	if (unlikely(!slot)) {
		return false;
	}
	first = level_align(page, level);
	if (RETRY_ON(!frames_are_private(memslot_pfn(slot, first), level_frames(level),
					 mmu->config.owner))) {
		return false; /* I4 */
	}
	return fill_plainly(mmu, &vcpu->cache.hint, table, slot, first, level);
}

/* See mmu.h. */
enum mmu_result mmu_fault(struct mmu_vcpu *vcpu, gpa_t address, unsigned int access)
{
	struct mmu *mmu = vcpu->mmu;
	bool filled;

	stat_count(&mmu->stats.faults, 1);
	read_lock(&mmu->lock);
	filled = try_plainly(mmu, vcpu, gpa_to_gfn(address));
	read_unlock(&mmu->lock);
	if (unlikely(!filled)) {
		return fault_any(vcpu, address, access);
	}
	vcpu->again.count = 0;
	mmu_prove(mmu);
	return MMU_FIXED;
}
