/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flushes, batched: what was zapped is collected, and one call upwards lets every CPU forget
 * it. Only then do the table pages that were unlinked go back to the pool, and only then may
 * a frame leave the partition (I10).
 */
#include "mm/table.h"

/* [start, start + count) of a view must be flushed before the lock is released. */
void table_flush_later(struct mmu_held held, unsigned int view, gfn_t start, uint64_t count)
{
	struct mmu *mmu = held.mmu;
	struct mmu_flush *what = &mmu->flush_what;
	gfn_t end = gfn(start.v + count);

	if (!mmu->flush_pending) {
		what->views = 0;
		what->start = start;
		what->end = end;
		mmu->flush_pending = true;
	}
	what->views |= UINT32_C(1) << view;
	what->start = gfn(MIN(what->start.v, start.v));
	what->end = gfn(MAX(what->end.v, end.v));
}

/* Roots of the views that the flush is for, those on their way out too. */
static void collect_roots(struct mmu *mmu, struct mmu_flush *what)
{
	struct list_node *node = mmu->roots.next;

	what->root_count = 0;
	for (; node != &mmu->roots && what->root_count < MMU_ROOTS_MAX; node = node->next) {
		const struct mmu_root *root = list_entry(node, struct mmu_root, node);

		if (what->views & (UINT32_C(1) << root->view)) {
			what->root[what->root_count++] = pfn_to_hpa(table_pfn(mmu, root->table));
		}
	}
}

/* Lets every CPU forget what was zapped, if something was, then frees what was retired. */
void table_flush(struct mmu_held held)
{
	struct mmu *mmu = held.mmu;

	if (!mmu->flush_pending) {
		return;
	}
	mmu->flush_pending = false;
	stat_count(&mmu->stats.flushes, 1);
	collect_roots(mmu, &mmu->flush_what);
	mmu->config.ops->flush(mmu->config.context, &mmu->flush_what);
	while (mmu->retired_tables != TABLE_END) {
		struct table *table = &mmu->tables[mmu->retired_tables];

		mmu->retired_tables = table->next;
		table_free(held, table);
	}
}
