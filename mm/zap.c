/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking SPTEs out: a range of gfns, every MMIO SPTE, a cold table when the pool is short.
 * Each goes through table_store(), so what is removed is checked; tables that become empty
 * are unlinked on the way up. Nothing here flushes but the shrinker, which needs the pages.
 *
 *     [start, end)            leaves first, then the table above them, never the root
 *     root -> table -> table -> |leaf|leaf|leaf|
 *                     unlinked <--- count 0
 */
#include "mm/table.h"

#define SECOND_CHANCES 64 /* tables that one search of the shrinker's spares */

static int zap_child(struct mmu_held held, struct table *table, unsigned int index, spte_t spte,
		     gfn_t start, gfn_t end)
{
	struct table *child = table_child(held.mmu, table, index, spte);
	struct bug_state *bug = held.mmu->config.bug;
	int error;

	if (PARTITION_DATA_BUG_ON(bug, !child, RULE_I14, .view = role_view(table->role),
				  .level = role_level(table->role), .has_gfn = true,
				  .gfn = table_entry_gfn(table, index).v, .spte = spte.v,
				  .sptep = table_sptep(held.mmu, table, index).v,
				  .text = "an SPTE points at something that is not its table")) {
		return -EIO;
	}
	error = table_zap(held, child, start, end);
	if (error) {
		return error;
	}
	if (PARTITION_BUG_ON(bug, table_count(child) != table_count_entries(held.mmu, child),
			     RULE_I5, .view = role_view(child->role),
			     .level = role_level(child->role), .has_gfn = true, .gfn = child->gfn.v,
			     .spte = spte.v, .sptep = table_sptep(held.mmu, table, index).v,
			     .text = "a table's count and its entries differ")) {
		return -EIO;
	}
	return table_count(child) == 0 ? table_store(held, table, index, spte, (spte_t){ 0 }) : 0;
}

/*
 * Empties [start, end) under `table`, unlinking tables that become empty. The flush is left
 * pending. Who may call it for which range is the caller's to know (I9). As deep as the
 * tables: roles are compared on the way down. 0 or -EIO.
 */
int table_zap(struct mmu_held held, struct table *table, gfn_t start, gfn_t end)
{
	unsigned int level = role_level(table->role);
	uint64_t span = level_frames(level);
	uint64_t from = start.v > table->gfn.v ? (start.v - table->gfn.v) / span : 0;
	uint64_t to = MIN(align_up(end.v - table->gfn.v, span) / span, SPTE_PER_TABLE);
	unsigned int i = table_next_entry(held.mmu, table, (unsigned int)from, (unsigned int)to);

	while (i < to) {
		spte_t spte = table_get(held.mmu, table, i);
		int error = spte_is_table(spte, level)
				    ? zap_child(held, table, i, spte, start, end)
				    : table_store(held, table, i, spte, (spte_t){ 0 });

		if (error) {
			return error;
		}
		i = table_next_entry(held.mmu, table, i + 1, (unsigned int)to);
	}
	return 0;
}

/* The table that holds a linked table's SPTE, and its index; NULL for a root or damage. */
struct table *table_parent(const struct mmu *mmu, const struct table *table, unsigned int *index)
{
	*index = (unsigned int)((table->parent.v % PAGE_SIZE) / sizeof(spte_t));
	return table_of(mmu, hpa_to_pfn(table->parent));
}

/* Unlinks `table`, then its parents, as far as they are empty; not the root. */
int table_unlink_empty(struct mmu_held held, struct table *table)
{
	while (table_count(table) == 0 && role_level(table->role) < SPTE_LEVELS) {
		unsigned int index;
		struct table *parent = table_parent(held.mmu, table, &index);
		int error;

		if (PARTITION_DATA_BUG_ON(held.mmu->config.bug,
					  !parent || parent->role != table->role + 1, RULE_I14,
					  .view = role_view(table->role), .has_gfn = true,
					  .gfn = table->gfn.v, .sptep = table->parent.v,
					  .text = "a table's parent is not a table above it")) {
			return -EIO;
		}
		error = table_store(held, parent, index, table_get(held.mmu, parent, index),
				    (spte_t){ 0 });
		if (error) {
			return error;
		}
		table = parent;
	}
	return 0;
}

/* Zaps every MMIO SPTE: when the generation's field in them wraps round (I8). 0 or -EIO. */
int table_zap_mmio(struct mmu_held held)
{
	struct mmu *mmu = held.mmu;

	for (size_t n = 0; n < mmu->config.pool->page_count; n++) {
		struct table *table = &mmu->tables[n];
		int error = 0;

		if (table->state != TABLE_LINKED || role_level(table->role) != 1) {
			continue;
		}
		for (unsigned int i = 0; i < SPTE_PER_TABLE && !error; i++) {
			spte_t spte = table_get(mmu, table, i);

			if (!spte_is_empty(spte) && !spte_is_present(spte)) {
				error = table_store(held, table, i, spte, (spte_t){ 0 });
			}
		}
		error = error ? error : table_unlink_empty(held, table);
		if (error) {
			return error;
		}
	}
	return 0;
}

/*
 * True when a table may go in this pass: 0 takes tables of level 1 that the CPU has not
 * walked since the last time (and clears that mark; when it did so *chances times, it takes
 * any of them), 1 to 3 any table of that level.
 */
static bool is_victim(struct mmu_held held, struct table *table, unsigned int pass,
		      unsigned int *chances)
{
	uint64_t accessed = held.mmu->config.format->accessed;
	struct table *parent;
	unsigned int index;
	spte_t link;

	if (table->state != TABLE_LINKED || role_level(table->role) != MAX(pass, 1u)) {
		return false;
	}
	if (pass > 0) {
		return true;
	}
	parent = table_parent(held.mmu, table, &index);
	if (!parent) {
		return false;
	}
	link = table_get(held.mmu, parent, index);
	if (!(link.v & accessed) || *chances == 0) {
		return true;
	}
	(*chances)--;
	/*
	 * No flush: a CPU that still has the link cached makes the table look colder, no more.
	 * A broken rule ends the shrinker's work at its next step.
	 */
	return table_store(held, parent, index, link, (spte_t){ link.v & ~accessed }) != 0;
}

/*
 * The shrinker: zaps one table, a cold one of 4 KiB leaves if there is one, and gives its
 * pages back after the flush. False when nothing is left but roots, or a rule broke.
 */
bool table_reclaim(struct mmu_held held)
{
	struct mmu *mmu = held.mmu;
	size_t page_count = mmu->config.pool->page_count;
	unsigned int chances = SECOND_CHANCES;

	for (unsigned int pass = 0; pass <= SPTE_LEAF_LEVELS; pass++) {
		for (size_t n = 0; n < page_count; n++) {
			struct table *table = &mmu->tables[mmu->reclaim_cursor];

			mmu->reclaim_cursor = (mmu->reclaim_cursor + 1) % page_count;
			if (!is_victim(held, table, pass, &chances)) {
				continue;
			}
			if (table_zap(held, table, gfn(0), gfn(level_frames(SPTE_LEVELS + 1))) ||
			    table_unlink_empty(held, table)) {
				return false;
			}
			stat_count(&mmu->stats.reclaimed, 1);
			table_flush(held);
			return true;
		}
	}
	return false;
}
