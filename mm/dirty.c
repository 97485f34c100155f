/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log's memory, its reading, and the hypervisor's own writes. What faults do with
 * it is in fault.c; how a slot gets and loses its log, in slots.c.
 */
#include "mm/dirty.h"

#include "mm/prove.h"
#include "mm/table.h"

/* See dirty.h. */
int dirty_start(struct dirty_log *log, struct pool *pool, uint64_t page_count)
{
	uint64_t pages = dirty_pool_pages(page_count) - 1;

	if (page_count > DIRTY_PAGES_MAX) {
		return -ERANGE;
	}
	log->map = pool_alloc_kept(pool);
	for (uint64_t i = 0; log->map && i < pages; i++) {
		log->map[i] = pool_alloc_kept(pool);
		if (!log->map[i]) {
			dirty_stop(log, pool);
		}
	}
	log->page_count = log->map ? page_count : 0;
	return log->map ? 0 : -ENOMEM;
}

/* Nobody marks any more. */
void dirty_stop(struct dirty_log *log, struct pool *pool)
{
	_Atomic uint64_t **map = log->map;

	*log = (struct dirty_log){ 0 };
	for (unsigned int i = 0; map && i < 512 && map[i]; i++) {
		pool_free_kept(pool, (void *)map[i]);
	}
	if (map) {
		pool_free_kept(pool, (void *)map);
	}
}

/* Write-protects the 64 pages from `first` of the slot on where the bits say so. */
static int protect_pages(struct mmu_held held, const struct memslot *slot, uint64_t first,
			 uint64_t bits)
{
	int error = 0;

	while (bits != 0 && !error) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		gfn_t frame = gfn(slot->gfn.v + first + bit);

		bits &= bits - 1;
		error = table_write_protect(held, slot, frame);
	}
	return error;
}

static int dirty_read(struct mmu_held held, unsigned int slot_id, uint64_t first, uint64_t count,
		      uint64_t *bitmap, bool clear)
{
	struct mmu *mmu = held.mmu;
	const struct memslot *slot = memslot_by_id(held.cache->slots, slot_id);
	const struct dirty_log *log = &mmu->dirty[slot_id % MEMSLOTS_MAX];
	int error = 0;

	if (bug_is_set(mmu->config.bug)) {
		return -EIO;
	}
	if (!slot) {
		return -ENOENT;
	}
	/* Not log->map: that comes before its slot is logged, and goes after. */
	if (!(slot->flags & MEMSLOT_LOG_DIRTY)) {
		return -ENODATA;
	}
	if (first % 64 || count % 64 || first >= log->page_count ||
	    count > align_up(log->page_count - first, 64)) {
		return -EINVAL;
	}
	for (uint64_t i = 0; i < count && !error; i += 64) {
		bitmap[i / 64] = dirty_take(log, first + i, clear);
		error = clear ? protect_pages(held, slot, first + i, bitmap[i / 64]) : 0;
	}
	table_flush(held);
	return error;
}

/* See mmu.h. Takes the MMU lock; as long as `count`. */
int mmu_dirty_read(struct mmu *mmu, unsigned int slot_id, uint64_t first, uint64_t count,
		   uint64_t *bitmap, bool clear)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = dirty_read(held, slot_id, first, count, bitmap, clear);

	mmu_unlock(held);
	mmu_prove(mmu);
	return status;
}

/*
 * See mmu.h. After the write: a reader that clears the bit before copies what was written,
 * one that clears it after finds it again.
 */
void mmu_mark_dirty(struct mmu *mmu, gpa_t address, size_t size)
{
	/* Acquire: pairs with slots_publish(). */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	uint64_t end = address.v + size;

	for (uint64_t at = align_down(address.v, PAGE_SIZE); at < end; at += PAGE_SIZE) {
		gfn_t frame = gpa_to_gfn(gpa(at));
		const struct memslot *slot = memslot_search(slots, frame);

		if (slot && (slot->flags & MEMSLOT_LOG_DIRTY)) {
			dirty_mark(&mmu->dirty[slot->id], frame.v - slot->gfn.v);
		}
	}
}
