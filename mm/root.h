/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: the top tables. Reference-counted: a view holds a reference on its valid root, each
 * vCPU on the one that it is in, an iteration on the one it stands on (R1). An invalid root is
 * not entered and gets no new SPTE (I6). When the last user lets go, the reference passes to
 * the lazy freer: the root stays on the list, so that unmaps still cover it (V5), until
 * mmu_work() has emptied it in slices. Partition-owned. All with the MMU lock held for writing.
 */
#ifndef MM_ROOT_H
#define MM_ROOT_H

#include "lib/list.h"

struct mmu_held;
struct table;

struct mmu_root {
	struct list_node node; /* on mmu->roots, in order of creation; under the MMU lock */
	struct table *table;   /* NULL: this structure is free */
	unsigned int view;
	unsigned int refcount;
	bool valid;
	bool dying; /* its one reference is the lazy freer's */
};

/* A new valid root for `view` with one reference, the caller's; NULL without memory. */
struct mmu_root *root_create(struct mmu_held held, unsigned int view);

void root_get(struct mmu_held held, struct mmu_root *root);

/* 0 or -EIO. The last one passes the root to the lazy freer. */
int root_put(struct mmu_held held, struct mmu_root *root) __attribute__((warn_unused_result));

/* From now on: not entered, no new SPTE. */
void root_invalidate(struct mmu_held held, struct mmu_root *root);

/*
 * Iteration over the roots in order of creation: start with `previous` NULL; a reference on the
 * one handed out is held until the next call, so the lock may be dropped in between. What is
 * promised then (R2): the current root stays; the next one may go, or a new one appear; one
 * added at the tail is visited; none is visited twice. NULL at the end. Leave early only after
 * root_put(). R3: the second visits one view only, and only valid ones if it is told so.
 */
struct mmu_root *root_next(struct mmu_held held, struct mmu_root *previous);
struct mmu_root *root_next_in(struct mmu_held held, struct mmu_root *previous, unsigned int view,
			      bool valid_only);

/*
 * The lazy freer: empties dying roots, a table at a time, as long as *budget (entries) lasts.
 * True when none is left. The flush is left pending.
 */
bool root_free_some(struct mmu_held held, unsigned int *budget);

#endif
