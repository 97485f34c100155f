/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper: what goes on in a partition besides guests and changes of what they see. Work
 * that waits, zapping everything, unmapping, instruments, a pool that runs dry, requests that
 * are wrong and must be refused.
 */
#include <sched.h>

#include "tests/race/world.h"

/* A change of backing that changes nothing: all mappings of a range go, and come back. */
static void unmap_something(uint64_t *seed)
{
	struct mmu *mmu = &world.machine.mmu;
	uint64_t first = choose_below(seed, LOW_PAGES);
	uint64_t pages = 1 + choose_below(seed, LOW_PAGES - first);
	int status;

	if (choose_below(seed, 4) == 0) {
		first = BIG_GFN + choose_below(seed, BIG_PAGES);
		pages = 1 + choose_below(seed, BIG_GFN + BIG_PAGES - first);
	}
	mmu_invalidate_begin(mmu, gfn(first), pages);
	status = mmu_unmap(mmu, gfn(first), pages);
	if (status != 0 && status != -ENOMEM) {
		machine_fail("unmap: status %d", status);
	}
	mmu_invalidate_end(mmu, gfn(first), pages);
}

/* What the shell does at any time. */
static void look_around(uint64_t *seed)
{
	gfn_t page = gfn(choose_below(seed, LOW_PAGES));
	struct mmu_rmap_entry entries[4];
	struct mmu_stats stats;
	struct mmu_walk walk;

	mmu_walk(&world.machine.mmu, (unsigned int)choose_below(seed, VIEWS), gfn_to_gpa(page),
		 &walk);
	(void)mmu_rmap_list(&world.machine.mmu, page, entries, ARRAY_COUNT(entries));
	mmu_get_stats(&world.machine.mmu, &stats);
}

/* One of the next allocations fails. */
static void spoil_memory(uint64_t *seed)
{
	struct pool *pool = &world.machine.pool;

	spin_lock(&pool->lock);
	pool->fail_at = 1 + choose_below(seed, 40);
	spin_unlock(&pool->lock);
}

/* A request that cannot be granted, whatever the world looks like. */
static void ask_nonsense(uint64_t *seed)
{
	struct mmu *mmu = &world.machine.mmu;
	struct memslot_config config = { 14, gfn(0x200000), 16, pfn(SMALL_PFN(0)), 0 };
	uint64_t bitmap[1];
	pfn_t frame;
	int status = 0;

	switch (choose_below(seed, 10)) {
	case 0:
		config.id = MEMSLOTS_MAX;
		status = mmu_slot_create(mmu, &config, NULL);
		break;
	case 1:
		config.page_count = choose_below(seed, 2) ? 0 : ~UINT64_C(0);
		status = mmu_slot_create(mmu, &config, NULL);
		break;
	case 2:
		config.gfn = gfn(~UINT64_C(0) - choose_below(seed, 32));
		status = mmu_slot_create(mmu, &config, NULL);
		break;
	case 3:
		/* Frames of the machine's own. */
		config.pfn = pfn(MACHINE_POOL >> PAGE_SHIFT);
		status = mmu_slot_create(mmu, &config, NULL);
		break;
	case 4:
		status = mmu_slot_move(mmu, 15, gfn(0), NULL);
		break;
	case 5:
		status = mmu_view_protect(mmu, 0, gfn(0), 1, MMU_WRITE, NULL);
		break;
	case 6:
		status = mmu_view_protect(mmu, 7, gfn(0), 0, MMU_READ, NULL);
		break;
	case 7:
		status = mmu_dirty_read(mmu, 0, 1, 64, bitmap, false);
		break;
	case 8:
		status = mmu_page_remove(mmu, gfn(LOW_PAGES + 1), &frame);
		break;
	default:
		status = mmu_view_destroy(mmu, 0, NULL);
		break;
	}
	if (status == 0) {
		machine_fail("nonsense was taken for a request");
	}
}

/* See world.h. */
void keep_house(uint64_t *seed)
{
	unsigned int dice = (unsigned int)choose_below(seed, 64);

	if (dice == 0) {
		mmu_zap_all(&world.machine.mmu);
	} else if (dice < 6) {
		unmap_something(seed);
	} else if (dice < 16) {
		read_some_log(seed);
	} else if (dice < 22) {
		look_around(seed);
	} else if (dice < 24) {
		spoil_memory(seed);
	} else if (dice < 28) {
		ask_nonsense(seed);
	} else if (dice < 44) {
		(void)mmu_work(&world.machine.mmu, (unsigned int)choose_below(seed, 4096));
	} else {
		sched_yield();
	}
}
