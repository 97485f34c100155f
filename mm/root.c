/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: creation, references, iteration. What the iterator promises (R2): the root that it
 * handed out stays until the next call; one added at the tail meanwhile is visited; none is
 * visited twice. The structures are part of struct mmu; their index is in the role of every
 * table below them, so a table of a root that went away never matches another's.
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
		root->table->state = TABLE_LINKED;
		root->view = view;
		root->refcount = 1;
		root->valid = true;
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

/*
 * Drops a reference. With the last one the root leaves the list, all under it is zapped,
 * and the tables wait for the next flush. 0, or -EIO when a rule broke.
 */
int root_put(struct mmu_held held, struct mmu_root *root)
{
	int error;

	if (PARTITION_BUG_ON(held.mmu->config.bug, root->refcount == 0, RULE_I6, ROOT_PLACE(root),
			     .text = "a root is put once too often")) {
		return -EIO;
	}
	root->refcount--;
	if (root->refcount > 0) {
		return 0;
	}
	list_remove(&root->node);
	error = table_zap(held, root->table, gfn(0), gfn(level_frames(SPTE_LEVELS + 1)));
	if (error) {
		return error;
	}
	table_retire(held, root->table);
	root->table = NULL;
	return 0;
}

/* No vCPU enters it and no SPTE goes in any more (I6). Entries can still be taken out (V5). */
void root_invalidate(struct mmu_held held, struct mmu_root *root)
{
	root->valid = false;
	held.mmu->last_table = NULL;
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
