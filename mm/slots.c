/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing slots while vCPUs run (V4, V6). The idea: derive a new array, publish it, wait until
 * nobody reads the old one, and only then take away what it described.
 *
 *     delete:  [A B C] --publish--> [A B! C] --wait, zap B, flush--> [A B! C] --publish--> [A C]
 *              B! is marked INVALID: faults there try again    (V4, I9)   --wait--> free arrays
 *     move, resize: the same, with the new B in the last array
 *     flags:   [A B C] --publish--> [A B' C] --wait--> write-protect B's SPTEs, if B' says so (R4)
 */
#include "mm/slots.h"

#include "mm/invalidate.h"
#include "mm/prove.h"

/* A page of the pool, at the cost of cold mappings when it runs low. */
void *mmu_take_page(struct mmu_held held)
{
	void *page;

	do {
		page = cache_take_page(held.cache);
	} while (!page && table_reclaim(held));
	return page;
}

/*
 * Lets the pool have `count` pages for pool_alloc_kept(), at the cost of cold mappings; nothing
 * goes where that could not do.
 */
void mmu_make_room(struct mmu_held held, size_t count)
{
	struct pool *pool = held.mmu->config.pool;

	if (count > pool_may_keep(pool)) {
		return;
	}
	while (pool_available(pool) < count && table_reclaim(held)) {
	}
}

/* A slot's log with memory for it. The MMU lock is held for writing. */
static int start_log(struct mmu_held held, const struct memslot_config *config,
		     struct error_text *error)
{
	struct mmu *mmu = held.mmu;
	int status;

	if (config->page_count <= DIRTY_PAGES_MAX) {
		mmu_make_room(held, dirty_pool_pages(config->page_count));
	}
	status = dirty_start(&mmu->dirty[config->id], mmu->config.pool, config->page_count);
	return status ? error_set(error, status, "slot %u: no room for its dirty log", config->id)
		      : 0;
}

/* See slots.h. */
int slots_publish(struct mmu_held *held, struct memslots *new)
{
	struct mmu *mmu = held->mmu;

	/* Release: who follows the pointer sees the array that was filled before. */
	atomic_store_explicit(&mmu->slots, new, memory_order_release);
	held->cache->slots = new;
	if (spte_mmio_is_current((spte_t){ 0 }, new->generation)) {
		/* The generation's field wraps round: no MMIO SPTE of its first time may stay. */
		int error = table_zap_mmio(*held);

		table_flush(*held);
		return error;
	}
	return 0;
}

/* See slots.h. */
void slots_free(struct mmu *mmu, const struct memslots *old)
{
	mmu_synchronize(mmu);
	pool_free_page(mmu->config.pool, (void *)old);
}

static int refuse_bugged(struct mmu *mmu, unsigned int id, struct error_text *error)
{
	if (bug_is_set(mmu->config.bug)) {
		return error_set(error, -EIO, "slot %u: the partition is bugged", id);
	}
	return 0;
}

static int out_of_pool(unsigned int id, struct error_text *error)
{
	return error_set(error, -ENOMEM, "slot %u: the pool is exhausted", id);
}

/* I4 before anything is mapped: the frames are the partition's, or granted to it with all the
 * rights that the slot's leaves have. */
static int check_frames(struct mmu *mmu, const struct memslot_config *config,
			struct error_text *error)
{
	unsigned int rights =
		config->flags & MEMSLOT_READ_ONLY ? SPTE_READ | SPTE_EXECUTE : SPTE_RIGHTS_ALL;

	if (frames_may_map(config->pfn, config->page_count, mmu->config.owner, rights)) {
		return 0;
	}
	return error_set(error, -EPERM,
			 "slot %u: frames from pfn " PRIpfn " are not all the partition's",
			 config->id, ADDR_ARG(config->pfn));
}

/* The same for frames that a slot gets by growing: of those it has, some may be given away. */
static int check_more_frames(struct mmu *mmu, const struct memslot *slot,
			     const struct memslot_config *next, struct error_text *error)
{
	struct memslot_config more = *next;

	if (next->page_count <= slot->page_count) {
		return 0;
	}
	more.pfn.v += slot->page_count;
	more.page_count -= slot->page_count;
	return check_frames(mmu, &more, error);
}

/* What a slot is, as its creator would say it. */
static struct memslot_config config_of(const struct memslot *slot)
{
	return (struct memslot_config){
		.id = slot->id,
		.gfn = slot->gfn,
		.page_count = slot->page_count,
		.pfn = slot->pfn,
		.flags = slot->flags,
	};
}

static int create(struct mmu *mmu, const struct memslot_config *config, struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	const struct memslots *old = held.cache->slots;
	struct memslots *new = NULL;
	int status = refuse_bugged(mmu, config->id, error);

	if (!status) {
		status = memslots_check(old, config, &mmu->slot_limits, false, error);
	}
	if (!status) {
		status = check_frames(mmu, config, error);
	}
	if (!status) {
		new = mmu_take_page(held);
		status = new ? 0 : out_of_pool(config->id, error);
	}
	if (!status && (config->flags & MEMSLOT_LOG_DIRTY)) {
		status = start_log(held, config, error);
		if (status) {
			pool_free_page(mmu->config.pool, new);
		}
	}
	if (!status) {
		memslots_with(new, old, config, &mmu->slot_limits);
		rmap_open(&mmu->rmap, memslot_by_id(new, config->id));
		status = slots_publish(&held, new);
	}
	table_flush(held);
	mmu_unlock(held);
	if (!status) {
		slots_free(mmu, old);
	}
	return status;
}

/* See mmu.h. Takes the lock of slot changes and the MMU lock. */
int mmu_slot_create(struct mmu *mmu, const struct memslot_config *config, struct error_text *error)
{
	int status;

	spin_lock(&mmu->slots_lock);
	status = create(mmu, config, error);
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* Two pages for the arrays of a change, or none. */
static bool take_arrays(struct mmu_held held, struct memslots *array[2])
{
	array[0] = mmu_take_page(held);
	array[1] = array[0] ? mmu_take_page(held) : NULL;
	if (array[0] && !array[1]) {
		pool_free_page(held.mmu->config.pool, array[0]);
	}
	return array[1] != NULL;
}

/*
 * First half of a change: the slot is published as INVALID, so that nothing new is installed
 * for it, and every fault that started before is waited for. array[0] is published then,
 * array[1] an empty page.
 */
static int mark_invalid(struct mmu *mmu, unsigned int id, const struct memslot_config *next,
			struct memslots *array[2], struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	const struct memslots *old = held.cache->slots;
	int status = refuse_bugged(mmu, id, error);

	if (!status && !memslot_by_id(old, id)) {
		status = error_set(error, -ENOENT, "slot %u: there is none", id);
	}
	if (!status && next) {
		status = memslots_check(old, next, &mmu->slot_limits, true, error);
	}
	if (!status && next) {
		status = check_more_frames(mmu, memslot_by_id(old, id), next, error);
	}
	if (!status && !take_arrays(held, array)) {
		status = out_of_pool(id, error);
	}
	if (!status) {
		memslots_with_invalid(array[0], old, id);
		status = slots_publish(&held, array[0]);
	}
	table_flush(held);
	mmu_unlock(held);
	if (!status) {
		slots_free(mmu, old); /* waits: V4 */
	}
	return status;
}

/* Second half: zap, and the slot gives way to `next`, or to nothing. */
static int zap_and_publish(struct mmu *mmu, unsigned int id, const struct memslot_config *next,
			   struct memslots *new)
{
	struct mmu_held held = mmu_lock(mmu);
	const struct memslots *marked = held.cache->slots;
	const struct memslot *slot = memslot_by_id(marked, id);
	int status = unmap_gfn_range(held, slot->gfn, gfn(slot->gfn.v + slot->page_count), slot);

	table_flush(held);
	if (!status && PARTITION_DATA_BUG_ON(mmu->config.bug, !rmap_close(&mmu->rmap, id), RULE_I2,
					     .text = "a zapped slot's rmap is not empty")) {
		status = -EIO;
	}
	if (!status) {
		if (next) {
			backing_trim(&mmu->backing[id], slot, next->page_count);
			memslots_with(new, marked, next, &mmu->slot_limits);
			rmap_open(&mmu->rmap, memslot_by_id(new, id));
		} else {
			memslots_without(new, marked, id);
		}
		status = slots_publish(&held, new);
	}
	mmu_unlock(held);
	if (!status) {
		slots_free(mmu, marked);
	}
	return status;
}

/* Deletes a slot, or gives it the shape of `next`; -EIO once zapping has begun only. */
static int change(struct mmu *mmu, unsigned int id, const struct memslot_config *next,
		  struct error_text *error)
{
	struct memslots *array[2];
	int status = mark_invalid(mmu, id, next, array, error);

	if (!status) {
		status = zap_and_publish(mmu, id, next, array[1]);
		if (status) {
			error_set(error, status, "slot %u: the partition is bugged", id);
		}
	}
	return status;
}

/* See mmu.h. -ENOENT, -ENOMEM (two pages are needed for a moment), -EIO. */
int mmu_slot_delete(struct mmu *mmu, unsigned int slot_id, struct error_text *error)
{
	int status;

	spin_lock(&mmu->slots_lock);
	status = change(mmu, slot_id, NULL, error);
	if (!status) {
		/* Nobody reads the slot any more. */
		backing_free(&mmu->backing[slot_id], mmu->config.pool);
		dirty_stop(&mmu->dirty[slot_id], mmu->config.pool);
	}
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* The config of a slot that is there, for changes under the lock of slot changes. */
static int current_config(struct mmu *mmu, unsigned int id, struct memslot_config *config,
			  struct error_text *error)
{
	/* Relaxed: arrays are published under the lock of slot changes, which is held. */
	const struct memslot *slot =
		memslot_by_id(atomic_load_explicit(&mmu->slots, memory_order_relaxed), id);

	if (!slot) {
		return error_set(error, -ENOENT, "slot %u: there is none", id);
	}
	*config = config_of(slot);
	return 0;
}

/* See mmu.h. As mmu_slot_create(), and -ENOENT. */
int mmu_slot_move(struct mmu *mmu, unsigned int slot_id, gfn_t to, struct error_text *error)
{
	struct memslot_config next;
	int status;

	spin_lock(&mmu->slots_lock);
	status = current_config(mmu, slot_id, &next, error);
	if (!status) {
		next.gfn = to;
		status = change(mmu, slot_id, &next, error);
	}
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* See mmu.h. As mmu_slot_create(), -ENOENT, and -EBUSY while its writes are recorded. */
int mmu_slot_resize(struct mmu *mmu, unsigned int slot_id, uint64_t page_count,
		    struct error_text *error)
{
	struct memslot_config next;
	int status;

	spin_lock(&mmu->slots_lock);
	status = current_config(mmu, slot_id, &next, error);
	if (!status && (next.flags & MEMSLOT_LOG_DIRTY)) {
		status = error_set(error, -EBUSY, "slot %u: its dirty log is on", slot_id);
	}
	if (!status) {
		next.page_count = page_count;
		status = change(mmu, slot_id, &next, error);
	}
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* Takes the right to write from all that maps the slot; in slices, with the lock let go. */
static int protect_slot(struct mmu *mmu, unsigned int id)
{
	uint64_t page = 0;
	int status = 0;

	for (bool more = true; more && !status;) {
		struct mmu_held held = mmu_lock(mmu);
		const struct memslot *slot = memslot_by_id(held.cache->slots, id);
		uint64_t end = MIN(page + SPTE_PER_TABLE, slot->page_count);

		for (; page < end && !status; page++) {
			status = table_write_protect(held, slot, gfn(slot->gfn.v + page));
		}
		more = page < slot->page_count;
		table_flush(held);
		mmu_unlock(held);
	}
	return status;
}

/* Publishes the slot with other flags; R4: before anything is walked. */
static int publish_flags(struct mmu *mmu, const struct memslot_config *next,
			 struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	const struct memslots *old = held.cache->slots;
	struct memslots *new = NULL;
	int status = refuse_bugged(mmu, next->id, error);

	if (!status) {
		new = mmu_take_page(held);
		status = new ? 0 : out_of_pool(next->id, error);
	}
	if (!status) {
		memslots_with(new, old, next, &mmu->slot_limits);
		status = slots_publish(&held, new);
	}
	if (!status) {
		mmu->collapse_slots |= UINT32_C(1) << next->id;
		atomic_store_explicit(&mmu->has_work, true, memory_order_relaxed);
	}
	mmu_unlock(held);
	if (!status) {
		slots_free(mmu, old);
	}
	return status;
}

static int set_flags(struct mmu *mmu, struct memslot_config *next, uint32_t flags,
		     struct error_text *error)
{
	const uint32_t changeable = MEMSLOT_READ_ONLY | MEMSLOT_LOG_DIRTY;
	struct dirty_log *log = &mmu->dirty[next->id];
	uint32_t on = flags & ~next->flags;
	uint32_t off = next->flags & ~flags;
	int status = 0;

	if ((on | off) & ~changeable) {
		return error_set(error, -EINVAL, "slot %u: flags 0x%x cannot change", next->id,
				 (on | off) & ~changeable);
	}
	next->flags = flags;
	if ((off & MEMSLOT_READ_ONLY) && (flags & MEMSLOT_GRANTED)) {
		/* I4: with no more rights than granted. */
		status = check_frames(mmu, next, error);
		if (status) {
			return status;
		}
	}
	if (on & MEMSLOT_LOG_DIRTY) {
		struct mmu_held held = mmu_lock(mmu);

		status = start_log(held, next, error);
		mmu_unlock(held);
		if (status) {
			return status;
		}
	}
	status = publish_flags(mmu, next, error);
	if (((on & MEMSLOT_LOG_DIRTY) && status) || ((off & MEMSLOT_LOG_DIRTY) && !status)) {
		dirty_stop(log, mmu->config.pool); /* nobody marks any more */
	}
	if (!status && on) {
		status = protect_slot(mmu, next->id);
	}
	return status;
}

/* See mmu.h. -ENOENT, -EINVAL, -ENOMEM, -ERANGE (too large for a dirty log), -EIO. */
int mmu_slot_set_flags(struct mmu *mmu, unsigned int slot_id, uint32_t flags,
		       struct error_text *error)
{
	struct memslot_config next;
	int status;

	spin_lock(&mmu->slots_lock);
	status = current_config(mmu, slot_id, &next, error);
	if (!status && flags != next.flags) {
		status = set_flags(mmu, &next, flags, error);
	}
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}
