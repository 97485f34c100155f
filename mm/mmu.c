/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU's life and its slots: set-up, creating and deleting memslots, roots of views, and
 * guest memory for the hypervisor's own accesses. Not faults (fault.c), not tables
 * (table.c). The idea of a slot change: derive a new array, publish it, and only then free.
 *
 *     delete:  [A B C] --publish--> [A B! C] --zap B, flush--> [A B! C] --publish--> [A C]
 *              B! is marked INVALID: nothing new is installed for it       (V4, I9)
 */
#include "mm/mmu.h"

#include "lib/string.h"
#include "mm/table.h"

static_assert(MMU_LEVELS == SPTE_LEVELS, "one depth");
static_assert(MMU_READ == SPTE_READ && MMU_WRITE == SPTE_WRITE && MMU_EXECUTE == SPTE_EXECUTE,
	      "an access and a right are the same bits");
static_assert(MMU_VIEWS_MAX <= 16 && MMU_ROOTS_MAX <= 16, "they fit into a table's role");

/* Slots as whoever holds the lock sees them. */
static struct memslots *slots_locked(struct mmu_held held)
{
	/* Relaxed: arrays are published under the lock that is held. */
	return atomic_load_explicit(&held.mmu->slots, memory_order_relaxed);
}

/* A page of the pool, at the cost of cold mappings when it runs low. */
static void *take_page(struct mmu_held held)
{
	void *page;

	do {
		page = pool_alloc_page(held.mmu->config.pool);
	} while (!page && table_reclaim(held));
	return page;
}

/* Makes the new array the one that readers see. 0 or -EIO. */
static int slots_publish(struct mmu_held held, struct memslots *new)
{
	struct mmu *mmu = held.mmu;
	struct memslots *old = slots_locked(held);

	/* Release: who follows the pointer sees the array that was filled before. */
	atomic_store_explicit(&mmu->slots, new, memory_order_release);
	if (mmu->retired_slots) {
		pool_free_page(mmu->config.pool, mmu->retired_slots);
	}
	mmu->retired_slots = old;
	if (spte_mmio_is_current((spte_t){ 0 }, new->generation)) {
		/* The generation's field wraps round: no MMIO SPTE of its first time may stay. */
		return table_zap_mmio(held);
	}
	return 0;
}

/* 0, or -ENOMEM before anything is visible. `mmu` is zeroed memory of the partition's pool. */
int mmu_init(struct mmu *mmu, const struct mmu_config *config)
{
	struct pool *pool = config->pool;
	size_t header_pages =
		align_up(pool->page_count * sizeof(struct table), PAGE_SIZE) / PAGE_SIZE;
	struct mmu_held held;

	spinlock_init(&mmu->lock);
	mmu->config = *config;
	spte_limits_init(&mmu->spte_limits, config->format, config->maxphyaddr, config->large_1g);
	mmu->slot_limits.pfn_end = BIT(config->maxphyaddr - PAGE_SHIFT);
	mmu->slot_limits.gfn_end = MIN(mmu->slot_limits.pfn_end, level_frames(SPTE_LEVELS + 1));
	mmu->slot_limits.large_1g = config->large_1g;
	mmu->slot_limits.format = config->format;
	mmu->pool_start = hpa_to_pfn(ptr_to_hpa(pool->base));
	mmu->retired_tables = TABLE_END;
	list_init(&mmu->roots);
	rmap_init(&mmu->rmap, pool);
	mmu->tables = pool_alloc_run(pool, header_pages);
	atomic_init(&mmu->slots, (struct memslots *)pool_alloc_page(pool));
	held = mmu_lock(mmu);
	if (mmu->tables && slots_locked(held)) {
		slots_locked(held)->generation = 1;
		mmu->view_root[0] = root_create(held, 0);
	}
	mmu_unlock(held);
	return mmu->view_root[0] ? 0 : -ENOMEM;
}

static int slot_create(struct mmu_held held, const struct memslot_config *config,
		       struct error_text *error)
{
	struct mmu *mmu = held.mmu;
	struct frame_info ours = { mmu->config.owner, FRAME_PRIVATE };
	struct memslots *new;
	int status;

	if (bug_is_set(mmu->config.bug)) {
		return error_set(error, -EIO, "slot %u: the partition is bugged", config->id);
	}
	status = memslots_check(slots_locked(held), config, &mmu->slot_limits, error);
	if (status) {
		return status;
	}
	if (!frames_all(config->pfn, config->page_count, ours)) {
		return error_set(error, -EPERM,
				 "slot %u: frames from pfn " PRIpfn " are not all the partition's",
				 config->id, ADDR_ARG(config->pfn));
	}
	new = take_page(held);
	if (!new) {
		return error_set(error, -ENOMEM, "slot %u: the pool is exhausted", config->id);
	}
	memslots_with(new, slots_locked(held), config, &mmu->slot_limits);
	rmap_open(&mmu->rmap, memslot_by_id(new, config->id));
	status = slots_publish(held, new);
	table_flush(held);
	return status;
}

/* See mmu.h. -EINVAL, -ERANGE, -EEXIST, -EPERM, -ENOMEM, -EIO. */
int mmu_slot_create(struct mmu *mmu, const struct memslot_config *config, struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = slot_create(held, config, error);

	mmu_unlock(held);
	return status;
}

/* Zaps the slot in every root, the invalid ones too (V5). */
static int slot_zap(struct mmu_held held, unsigned int id)
{
	const struct memslot *slot = memslot_by_id(slots_locked(held), id);
	struct mmu_root *root = NULL;
	int error = 0;

	if (PARTITION_BUG_ON(held.mmu->config.bug, !slot || !(slot->flags & MEMSLOT_INVALID),
			     RULE_I9, .text = "a slot is zapped that is not marked as going")) {
		return -EIO;
	}
	while ((root = root_next(held, root)) != NULL) {
		error = table_zap(held, root->table, slot->gfn,
				  gfn(slot->gfn.v + slot->page_count));
		if (error) {
			return error;
		}
	}
	table_flush(held);
	return bug_is_set(held.mmu->config.bug) ? -EIO : 0;
}

static int slot_delete(struct mmu_held held, unsigned int id)
{
	struct mmu *mmu = held.mmu;
	struct memslots *marked;
	struct memslots *without;
	int status;

	if (bug_is_set(mmu->config.bug)) {
		return -EIO;
	}
	if (!memslot_by_id(slots_locked(held), id)) {
		return -ENOENT;
	}
	marked = take_page(held);
	without = take_page(held);
	if (!marked || !without) {
		if (marked) {
			pool_free_page(mmu->config.pool, marked);
		}
		return -ENOMEM;
	}
	memslots_with_invalid(marked, slots_locked(held), id);
	memslots_without(without, marked, id);
	status = slots_publish(held, marked);
	if (!status) {
		status = slot_zap(held, id);
	}
	if (!status && PARTITION_DATA_BUG_ON(mmu->config.bug, !rmap_close(&mmu->rmap, id), RULE_I2,
					     .text = "a zapped slot's rmap is not empty")) {
		status = -EIO;
	}
	if (!status) {
		status = slots_publish(held, without);
	}
	table_flush(held);
	return status;
}

/* 0, -ENOENT, -ENOMEM (two pages are needed for a moment), or -EIO. Takes the MMU lock. */
int mmu_slot_delete(struct mmu *mmu, unsigned int slot_id)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = slot_delete(held, slot_id);

	mmu_unlock(held);
	return status;
}

/* See mmu.h. Takes the MMU lock. */
hpa_t mmu_root(struct mmu *mmu, unsigned int view)
{
	struct mmu_held held = mmu_lock(mmu);
	hpa_t address = hpa(0);

	if (!bug_is_set(mmu->config.bug) && view < MMU_VIEWS_MAX) {
		while (!mmu->view_root[view]) {
			mmu->view_root[view] = root_create(held, view);
			if (!mmu->view_root[view] && !table_reclaim(held)) {
				break;
			}
		}
		if (mmu->view_root[view]) {
			address = pfn_to_hpa(table_pfn(mmu, mmu->view_root[view]->table));
		}
	}
	mmu_unlock(held);
	return address;
}

/* 0, -ENOENT when the view has no root, or -EIO. No vCPU enters the view any more. */
int mmu_view_destroy(struct mmu *mmu, unsigned int view)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = -EIO;

	if (!bug_is_set(mmu->config.bug)) {
		struct mmu_root *root = view < MMU_VIEWS_MAX ? mmu->view_root[view] : NULL;

		status = -ENOENT;
		if (root) {
			mmu->view_root[view] = NULL;
			root_invalidate(held, root);
			status = root_put(held, root);
			table_flush(held);
		}
	}
	mmu_unlock(held);
	return status;
}

/* See mmu.h. No lock: the slots are an immutable array. */
void *mmu_guest_ptr(struct mmu *mmu, gpa_t address, size_t *size, bool write)
{
	/* Acquire: pairs with slots_publish(). */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	gfn_t frame = gpa_to_gfn(address);
	const struct memslot *slot = memslot_find(slots, frame, &mmu->slot_hint);
	uint64_t offset;

	if (!slot || (slot->flags & MEMSLOT_INVALID) ||
	    (write && ((slot->flags & MEMSLOT_READ_ONLY) || bug_is_set(mmu->config.bug)))) {
		return NULL;
	}
	offset = address.v - gfn_to_gpa(slot->gfn).v;
	*size = (slot->page_count << PAGE_SHIFT) - offset;
	return (uint8_t *)hpa_to_ptr(pfn_to_hpa(slot->pfn)) + offset;
}
