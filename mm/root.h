/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots: the top tables, one a view. Reference-counted: the view that uses a root holds one
 * reference, an iteration holds one while it stands on it (R1). An invalid root is not
 * entered and gets no new SPTE (I6); it goes away with its last reference. Partition-owned.
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
};

/* A new valid root for `view` with one reference, the caller's; NULL without memory. */
struct mmu_root *root_create(struct mmu_held held, unsigned int view);

void root_get(struct mmu_held held, struct mmu_root *root);

/* The last one takes the root off the list and zaps what is under it. 0 or -EIO. */
int root_put(struct mmu_held held, struct mmu_root *root) __attribute__((warn_unused_result));

/* From now on: not entered, no new SPTE. */
void root_invalidate(struct mmu_held held, struct mmu_root *root);

/*
 * Every root, the invalid ones too, in order: start with NULL; a reference on the one handed
 * out is held until the next call. NULL at the end. Leave early only after root_put().
 */
struct mmu_root *root_next(struct mmu_held held, struct mmu_root *previous);

#endif
