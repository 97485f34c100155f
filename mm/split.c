/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large leaves made small, and small ones large again. A split puts a full table of smaller
 * leaves, made out of sight, in the place of the large leaf in one store: at each instant every
 * gfn has a mapping, the old one or the same one. A collapse zaps the table of small leaves; the
 * next fault fills the large one. All with the MMU lock held for writing.
 *
 *     |  2 MiB leaf  |   --one store-->   | table | --> |4K|4K|4K| ... 512 ... |4K|
 */
#include "mm/table.h"

/* Fills a new table with what the large leaf maps, and links it in the leaf's place. */
static int split_into(struct mmu_held held, struct table *table, unsigned int index, spte_t large,
		      struct table *child)
{
	struct mmu *mmu = held.mmu;
	const struct spte_format *format = mmu->config.format;
	unsigned int level = role_level(table->role) - 1;
	int error = 0;

	for (unsigned int i = 0; i < SPTE_PER_TABLE && !error; i++) {
		pfn_t frame = pfn(spte_pfn(large).v + i * level_frames(level));
		spte_t small =
			spte_leaf(format, frame, level, format->rights(large), spte_slot(large));

		error = table_store(held, child, i, (spte_t){ 0 }, small);
	}
	if (!error) {
		error = table_store(held, table, index, large,
				    spte_table(format, table_pfn(mmu, child)));
	}
	return error;
}

/*
 * Splits the large leaf at an entry: 0, -ENOMEM with everything as before, -EIO. The flush
 * is left pending.
 */
int table_split(struct mmu_held held, struct table *table, unsigned int index)
{
	struct mmu *mmu = held.mmu;
	spte_t large = table_get(mmu, table, index);
	gfn_t first = table_entry_gfn(table, index);
	struct table *child = table_alloc(held, table->role - 1, first);
	int error;

	if (!child) {
		return bug_is_set(mmu->config.bug) ? -EIO : -ENOMEM;
	}
	child->parent = table_sptep(mmu, table, index); /* whose rights its leaves inherit */
	error = split_into(held, table, index, large, child);
	if (error == -ENOMEM) {
		/* Its leaves are in the rmap: out again, one by one. */
		if (table_zap(held, child, gfn(0), gfn(level_frames(SPTE_LEVELS + 1)))) {
			return -EIO;
		}
		table_free(held, child);
	}
	if (!error) {
		stat_count(&mmu->stats.splits, 1);
	}
	return error;
}

/*
 * Splits large leaves under a root's `table` until none reaches over the start of `frame`: a
 * zap of [frame, ...) or [..., frame) then touches nothing on the other side. Under an invalid
 * root nothing is split (I6): the zap takes the leaf whole. 0, -ENOMEM, -EIO.
 */
int table_split_at(struct mmu_held held, struct table *table, gfn_t frame)
{
	if (!held.mmu->root_store[FIELD_GET(ROLE_ROOT, table->role)].valid) {
		return 0;
	}
	while (table && role_level(table->role) > 1) {
		unsigned int level = role_level(table->role);
		unsigned int index = level_index(frame, level);
		spte_t spte = table_get(held.mmu, table, index);

		if (!spte_is_present(spte) || level_align(frame, level).v == frame.v) {
			return 0;
		}
		if (spte_is_leaf(spte, level)) {
			int error = table_split(held, table, index);

			if (error) {
				return error;
			}
			continue;
		}
		table = table_child(held.mmu, table, index, spte);
		if (PARTITION_DATA_BUG_ON(held.mmu->config.bug, !table, RULE_I14, .level = level,
					  .has_gfn = true, .gfn = frame.v, .spte = spte.v,
					  .text = "an SPTE points at something that is not its "
						  "table")) {
			return -EIO;
		}
	}
	return 0;
}

/* Takes the right to write from one SPTE that the rmap names. */
static int protect_entry(struct mmu_held held, hpa_t sptep, gfn_t frame, unsigned int level)
{
	struct mmu *mmu = held.mmu;
	struct table *table = table_of(mmu, hpa_to_pfn(sptep));
	unsigned int index = (unsigned int)(sptep.v % PAGE_SIZE / sizeof(spte_t));
	spte_t spte = { 0 };

	if (table && table->state == TABLE_LINKED && role_level(table->role) == level) {
		spte = table_get(mmu, table, index);
	}
	if (PARTITION_DATA_BUG_ON(mmu->config.bug, !spte_is_leaf(spte, level), RULE_I2,
				  .level = level, .has_gfn = true, .gfn = frame.v, .sptep = sptep.v,
				  .spte = spte.v,
				  .text = "an rmap entry points at no leaf of its level")) {
		return -EIO;
	}
	if (!(spte.v & SPTE_WRITABLE)) {
		return 0;
	}
	return table_store(held, table, index, spte, (spte_t){ spte.v & ~SPTE_WRITABLE });
}

/*
 * Takes the right to write from every SPTE that maps a page of the slot, in all views, large
 * ones too. The flush is left pending. 0 or -EIO.
 */
int table_write_protect(struct mmu_held held, const struct memslot *slot, gfn_t frame)
{
	struct rmap *rmap = &held.mmu->rmap;

	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		gfn_t first = level_align(frame, level);
		struct rmap_cursor cursor = { 0 };
		struct rmap_path path;
		uint64_t head = 0;
		hpa_t sptep;

		if (first.v < slot->gfn.v) {
			break;
		}
		if (rmap_find(rmap, slot, first, level, &path) == RMAP_OK && path.head) {
			head = rmap_word_get(path.head);
		}
		while (rmap_next(rmap, head, &cursor, &sptep)) {
			if (protect_entry(held, sptep, first, level)) {
				return -EIO;
			}
		}
		if (PARTITION_DATA_BUG_ON(held.mmu->config.bug, cursor.damaged, RULE_I2,
					  .level = level, .has_gfn = true, .gfn = first.v,
					  .rmap_head = head, .text = "an rmap chain is damaged")) {
			return -EIO;
		}
	}
	return 0;
}

/* True when a leaf could be where the table under an entry of `level` is. */
static bool can_be_large(struct mmu_held held, unsigned int view, gfn_t first, unsigned int level)
{
	const struct memslot *slot = memslot_search(held.cache->slots, first);

	if (!slot || (slot->flags & MEMSLOT_INVALID) || memslot_level(slot, first) < level ||
	    !(held.mmu->collapse_slots & BIT(slot->id))) {
		return false;
	}
	if (memslots_view_level(held.cache->slots, view, first, level) < level) {
		return false;
	}
	return backing_is_plain(&held.mmu->backing[slot->id], slot) ||
	       backing_level(&held.mmu->backing[slot->id], slot, first, level) == level;
}

/* Collapses what can be under one table; false when the budget ran out, or a rule broke. */
static bool collapse_under(struct mmu_held held, struct table *table, unsigned int *budget)
{
	unsigned int level = role_level(table->role);

	for (unsigned int i = 0; i < SPTE_PER_TABLE; i++) {
		spte_t spte = table_get(held.mmu, table, i);
		gfn_t first = table_entry_gfn(table, i);
		struct table *child;

		if (!spte_is_table(spte, level)) {
			continue;
		}
		child = table_child(held.mmu, table, i, spte);
		if (!child || *budget == 0) {
			return false;
		}
		if (level <= SPTE_LEAF_LEVELS &&
		    can_be_large(held, role_view(table->role), first, level)) {
			*budget -= MIN(*budget, SPTE_PER_TABLE);
			stat_count(&held.mmu->stats.collapses, 1);
			if (table_zap(held, table, first, gfn(first.v + level_frames(level))) ||
			    table_unlink_empty(held, table)) {
				return false;
			}
		} else if (level > 2 && !collapse_under(held, child, budget)) {
			return false;
		}
	}
	return true;
}

/*
 * Zaps tables of small leaves where a large one could be, in slots of mmu->collapse_slots.
 * True when there is nothing left to do. The flush is left pending.
 */
bool table_collapse(struct mmu_held held, unsigned int *budget)
{
	struct list_node *node = held.mmu->roots.next;

	for (; node != &held.mmu->roots; node = node->next) {
		struct mmu_root *root = list_entry(node, struct mmu_root, node);

		if (root->valid && !collapse_under(held, root->table, budget)) {
			return bug_is_set(held.mmu->config.bug);
		}
	}
	held.mmu->collapse_slots = 0;
	return true;
}
