/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: creation, references, iteration, and the lazy end. The structures are part of struct
 * mmu; their index is in the role of every table below them, so a table of a root that went
 * away never matches another's.
 */
#include "mm/root.h"

#include "mm/table.h"

#define ROOT_PLACE(root) .view = (root)->view, .level = SPTE_LEVELS

/* A new valid root for `view`, which has none, with the caller's reference; NULL: no memory. */
struct mmu_root *root_create(struct mmu_held held, unsigned int view)
{
	struct mmu *mmu = held.mmu;

	for (unsigned int i = 0; i < MMU_ROOTS_MAX; i++) {
		struct mmu_root *root = &mmu->root_store[i];
		uint64_t role;

		if (root->table) {
			continue;
		}
		role = FIELD_PREP(ROLE_LEVEL, SPTE_LEVELS) | FIELD_PREP(ROLE_VIEW, view) |
		       FIELD_PREP(ROLE_FORMAT, mmu->config.format->id) | FIELD_PREP(ROLE_ROOT, i);
		root->table = table_alloc(held, (uint32_t)role, gfn(0));
		if (!root->table) {
			return NULL;
		}
		table_set_state(root->table, TABLE_LINKED);
		root->view = view;
		root->refcount = 1;
		root->valid = true;
		root->dying = false;
		list_append(&mmu->roots, &root->node);
		return root;
	}
	return NULL;
}

/* One more reference. The caller has one, or found the root on the list. */
void root_get(struct mmu_held held, struct mmu_root *root)
{
	if (!PARTITION_BUG_ON(held.mmu->config.bug, root->refcount == 0, RULE_I6, ROOT_PLACE(root),
			      .text = "a root on the list has no reference")) {
		root->refcount++;
	}
}

/* Drops a reference; the last one becomes the lazy freer's, and the root invalid. */
int root_put(struct mmu_held held, struct mmu_root *root)
{
	if (PARTITION_BUG_ON(held.mmu->config.bug, root->refcount == 0, RULE_I6, ROOT_PLACE(root),
			     .text = "a root is put once too often")) {
		return -EIO;
	}
	root->refcount--;
	if (root->refcount == 0 && !root->dying) {
		root->valid = false;
		root->dying = true;
		root->refcount = 1;
		atomic_store_explicit(&held.mmu->has_work, true, memory_order_relaxed);
	}
	return 0;
}

/* No vCPU enters it and no SPTE goes in any more (I6). Entries can still be taken out (V5). */
void root_invalidate(struct mmu_held held, struct mmu_root *root)
{
	(void)held;
	root->valid = false;
}

/* See root.h. A failed put inside has bugged the partition; the iteration then ends. */
struct mmu_root *root_next(struct mmu_held held, struct mmu_root *previous)
{
	struct list_node *head = &held.mmu->roots;
	struct list_node *node = previous ? previous->node.next : head->next;
	struct mmu_root *next = NULL;

	if (node != head) {
		next = list_entry(node, struct mmu_root, node);
		root_get(held, next);
	}
	if (previous && root_put(held, previous) != 0) {
		return NULL;
	}
	return next;
}

/* See root.h. */
struct mmu_root *root_next_in(struct mmu_held held, struct mmu_root *previous, unsigned int view,
			      bool valid_only)
{
	struct mmu_root *root = root_next(held, previous);

	while (root && (root->view != view || (valid_only && !root->valid))) {
		root = root_next(held, root);
	}
	return root;
}

/* The first lowest table under a root, by its first entries that are not empty. */
static struct table *first_leaf_table(struct mmu *mmu, struct table *table)
{
	for (;;) {
		unsigned int level = role_level(table->role);
		struct table *child = NULL;

		for (unsigned int i = 0; i < SPTE_PER_TABLE && !child; i++) {
			spte_t spte = table_get(mmu, table, i);

			if (spte_is_table(spte, level)) {
				child = table_child(mmu, table, i, spte);
			}
		}
		if (!child) {
			return table;
		}
		table = child;
	}
}

/* Empties a dying root as far as *budget goes; true when it is gone. */
static bool free_one(struct mmu_held held, struct mmu_root *root, unsigned int *budget)
{
	while (table_count(root->table) != 0) {
		struct table *table = first_leaf_table(held.mmu, root->table);

		if (*budget == 0) {
			return false;
		}
		*budget -= MIN(*budget, SPTE_PER_TABLE);
		if (table_zap(held, table, gfn(0), gfn(level_frames(SPTE_LEVELS + 1))) ||
		    table_unlink_empty(held, table)) {
			return false;
		}
	}
	/* While it is on the list, so that the flush names it; its page goes with the next one. */
	table_flush(held);
	list_remove(&root->node);
	table_retire(held, root->table);
	root->table = NULL;
	root->dying = false;
	root->refcount = 0;
	return true;
}

/* See root.h. */
bool root_free_some(struct mmu_held held, unsigned int *budget)
{
	struct list_node *node = held.mmu->roots.next;

	while (node != &held.mmu->roots) {
		struct mmu_root *root = list_entry(node, struct mmu_root, node);

		node = node->next;
		/* More than the freer's reference: an iteration stands on it. */
		if (!root->dying || root->refcount > 1) {
			continue;
		}
		if (!free_one(held, root, budget)) {
			return bug_is_set(held.mmu->config.bug);
		}
	}
	return true;
}
