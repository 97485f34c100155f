/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking without touching: what the CPU would see on its way to a gpa, what the rmap holds
 * for a gfn, the counters. For the operator, on a bugged partition too (P7), hence two rules
 * of this file: no address is followed that is not in the pool, and the lock, which a dead
 * vCPU may have left taken, is not waited for once the partition is bugged (P4: nobody
 * changes anything any more).
 */
#include "mm/walk.h"

/* Takes the MMU lock unless the partition is bugged; says which. */
struct mmu_look mmu_look_begin(struct mmu *mmu)
{
	struct mmu_look look = { .mmu = mmu, .locked = !bug_is_set(mmu->config.bug) };

	if (look.locked) {
		mmu_lock(mmu);
	}
	return look;
}

void mmu_look_end(struct mmu_look look)
{
	if (look.locked) {
		mmu_unlock((struct mmu_held){ .mmu = look.mmu });
	}
}

/* See mmu.h. */
void mmu_walk(struct mmu *mmu, unsigned int view, gpa_t address, struct mmu_walk *walk)
{
	const struct spte_format *format = mmu->config.format;
	struct mmu_look look = mmu_look_begin(mmu);
	const struct mmu_root *root = view < MMU_VIEWS_MAX ? mmu->view_root[view] : NULL;
	gfn_t frame = gpa_to_gfn(address);
	hpa_t page = hpa(0);
	unsigned int level = root && root->table ? SPTE_LEVELS : 0;

	walk->count = 0;
	if (level != 0) {
		page = pfn_to_hpa(table_pfn(mmu, root->table));
	}
	while (level > 0 && pool_contains(mmu->config.pool, hpa_to_ptr(page))) {
		struct mmu_walk_step *step = &walk->steps[walk->count++];
		hpa_t sptep = hpa(page.v + level_index(frame, level) * sizeof(spte_t));
		/* Relaxed: the CPU and faults write to it meanwhile; any value will do. */
		spte_t spte = { atomic_load_explicit((_Atomic uint64_t *)hpa_to_ptr(sptep),
						     memory_order_relaxed) };

		*step = (struct mmu_walk_step){
			.level = level,
			.sptep = sptep,
			.spte = spte.v,
			.present = spte_is_present(spte),
			.leaf = spte_is_leaf(spte, level),
			.mmio = !spte_is_present(spte) && format->is_mmio(spte),
			.broken = spte_check(&mmu->spte_limits, spte, level),
		};
		page = pfn_to_hpa(spte_pfn(spte));
		level = step->present && !step->leaf ? level - 1 : 0;
	}
	mmu_look_end(look);
}

/* One level's head: appends to out[] what it holds, returns the new count. */
static unsigned int list_head(struct mmu *mmu, const struct memslot *slot, gfn_t frame,
			      unsigned int level, struct mmu_rmap_entry *out, unsigned int max,
			      unsigned int count)
{
	struct rmap_cursor cursor = { 0 };
	struct rmap_path path;
	hpa_t sptep;

	if (rmap_find(&mmu->rmap, slot, frame, level, &path) != RMAP_OK || !path.head) {
		return count;
	}
	while (rmap_next(&mmu->rmap, rmap_word_get(path.head), &cursor, &sptep)) {
		if (count < max) {
			const void *entry = hpa_to_ptr(hpa(align_down(sptep.v, sizeof(spte_t))));
			bool readable = pool_contains(mmu->config.pool, entry);

			out[count] = (struct mmu_rmap_entry){
				.sptep = sptep,
				.spte = readable ? *(const volatile uint64_t *)entry : 0,
				.level = level,
			};
		}
		count++;
	}
	return count;
}

/* See mmu.h. */
unsigned int mmu_rmap_list(struct mmu *mmu, gfn_t frame, struct mmu_rmap_entry *out,
			   unsigned int max)
{
	struct mmu_look look = mmu_look_begin(mmu);
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	const struct memslot *slot = memslot_search(slots, frame);
	unsigned int count = 0;

	for (unsigned int level = 1; slot && level <= SPTE_LEAF_LEVELS; level++) {
		count = list_head(mmu, slot, frame, level, out, max, count);
	}
	mmu_look_end(look);
	return count;
}

/* See mmu.h. */
void mmu_get_stats(struct mmu *mmu, struct mmu_stats *stats)
{
	struct mmu_look look = mmu_look_begin(mmu);
	_Atomic uint64_t *from = (_Atomic uint64_t *)&mmu->stats;
	_Atomic uint64_t *to = (_Atomic uint64_t *)stats;

	static_assert(sizeof(*stats) % sizeof(*to) == 0, "nothing but counters");
	/* Relaxed: faults of other CPUs count on; each counter is one of its own time. */
	for (size_t i = 0; i < sizeof(*stats) / sizeof(*to); i++) {
		atomic_store_explicit(&to[i], atomic_load_explicit(&from[i], memory_order_relaxed),
				      memory_order_relaxed);
	}
	stats->rmap_entries = mmu->rmap.entry_count;
	stats->rmap_chains = mmu->rmap.line_count;
	mmu_look_end(look);
}
