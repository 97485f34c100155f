/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU's life: set-up, guest memory for the hypervisor's own accesses, and the work that
 * waits. Not faults (fault.c), not tables (table.c), not changes of slots and views (slots.c,
 * view.c).
 */
#include "mm/mmu.h"

#include "lib/string.h"
#include "mm/invalidate.h"
#include "mm/prove.h"

static_assert(MMU_LEVELS == SPTE_LEVELS, "one depth");
static_assert(MMU_READ == SPTE_READ && MMU_WRITE == SPTE_WRITE && MMU_EXECUTE == SPTE_EXECUTE,
	      "an access and a right are the same bits");
static_assert(MMU_VIEWS_MAX <= 16 && MMU_ROOTS_MAX <= 16, "they fit into a table's role");

/* 0, or -ENOMEM before anything is visible. `mmu` is zeroed memory of the partition's pool. */
int mmu_init(struct mmu *mmu, const struct mmu_config *config)
{
	struct pool *pool = config->pool;
	size_t header_pages =
		align_up(pool->page_count * sizeof(struct table), PAGE_SIZE) / PAGE_SIZE;
	struct memslots *slots;

	rwlock_init(&mmu->lock);
	spinlock_init(&mmu->slots_lock);
	mmu->config = *config;
	spte_limits_init(&mmu->spte_limits, config->format, config->maxphyaddr, config->large_1g);
	mmu->slot_limits.pfn_end = BIT(config->maxphyaddr - PAGE_SHIFT);
	mmu->slot_limits.gfn_end = MIN(mmu->slot_limits.pfn_end, level_frames(SPTE_LEVELS + 1));
	mmu->slot_limits.large_1g = config->large_1g;
	mmu->slot_limits.format = config->format;
	mmu->pool_start = hpa_to_pfn(ptr_to_hpa(pool->base));
	mmu->retired_tables = TABLE_END;
	mmu->cache.pool = pool;
	mmu->views = 1;
	atomic_init(&mmu->epoch, 1);
	list_init(&mmu->roots);
	rmap_init(&mmu->rmap, pool);
	mmu->tables = pool_alloc_run(pool, header_pages);
	slots = pool_alloc_page(pool);
	if (!mmu->tables || !slots) {
		return -ENOMEM;
	}
	slots->generation = 1;
	atomic_init(&mmu->slots, slots);
	return mmu_view_root(mmu, 0).v != 0 ? 0 : -ENOMEM;
}

/* See mmu.h. No lock: the slots are an immutable array. */
void *mmu_guest_ptr(struct mmu *mmu, gpa_t address, size_t *size, bool write)
{
	/* Acquire: pairs with slots_publish(). */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	gfn_t page = gpa_to_gfn(address);
	const struct memslot *slot = memslot_search(slots, page);
	uint64_t offset;
	pfn_t frame;

	if (!slot || (slot->flags & MEMSLOT_INVALID) ||
	    (write && ((slot->flags & MEMSLOT_READ_ONLY) || bug_is_set(mmu->config.bug)))) {
		return NULL;
	}
	if (backing_is_plain(&mmu->backing[slot->id], slot)) {
		offset = address.v - gfn_to_gpa(slot->gfn).v;
		*size = (slot->page_count << PAGE_SHIFT) - offset;
		return (uint8_t *)hpa_to_ptr(pfn_to_hpa(slot->pfn)) + offset;
	}
	if (!backing_get(&mmu->backing[slot->id], slot, page, &frame)) {
		return NULL;
	}
	offset = address.v % PAGE_SIZE;
	*size = PAGE_SIZE - offset;
	return (uint8_t *)hpa_to_ptr(pfn_to_hpa(frame)) + offset;
}

/* See mmu.h. Takes the MMU lock. */
bool mmu_work(struct mmu *mmu, unsigned int budget)
{
	struct mmu_held held;
	bool done = true;

	/* Relaxed: called often, and nearly always for nothing; what is missed waits a turn. */
	if (!atomic_load_explicit(&mmu->has_work, memory_order_relaxed) ||
	    bug_is_set(mmu->config.bug)) {
		return false;
	}
	held = mmu_lock(mmu);
	invalidate_begin(held, gfn(0), mmu->slot_limits.gfn_end);
	done = root_free_some(held, &budget);
	if (done && mmu->collapse_slots != 0) {
		done = table_collapse(held, &budget);
	}
	invalidate_end(held);
	table_flush(held);
	atomic_store_explicit(&mmu->has_work, !done, memory_order_relaxed);
	mmu_unlock(held);
	mmu_prove(mmu);
	return !done;
}
