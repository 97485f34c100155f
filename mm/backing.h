/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the pages of a slot are when they are not where the slot says: a small tree for each
 * slot, empty as long as there is no such page. A page may be absent (not filled yet, or given
 * back), or behind another frame. Partition-owned; nodes are pages of the pool and stay until
 * the slot goes. Keys do not change when a slot moves: they follow its frames.
 *
 *     backing.root       node (1 GiB a word)      node (2 MiB a word)     node (a page a word)
 *     |node|0| --> ... --> |node|0| -------------> |node|exceptions| ----> word: see below
 *
 * Written under the MMU lock held for writing, inside an invalidation; read without a lock in
 * a read section (V2).
 */
#ifndef MM_BACKING_H
#define MM_BACKING_H

#include "mm/memslot.h"
#include "mm/pool.h"

/* A page's word; in a slot with MEMSLOT_ABSENT, 0 and no node at all mean ABSENT. */
#define BACKING_DEFAULT UINT64_C(0)
#define BACKING_LINEAR UINT64_C(1) /* the slot's own frame */
#define BACKING_ABSENT UINT64_C(2)
#define BACKING_FRAME UINT64_C(3) /* the frame in bits 63:12 */
#define BACKING_KIND UINT64_C(0xfff)

/* Slots with exceptions may span so many pages, and their frames start anywhere. */
#define BACKING_PAGES_MAX (UINT64_C(1) << 26)

struct backing {
	_Atomic uint64_t root; /* a link: a node's address, 0: no exceptions */
};

static inline bool backing_has_exceptions(const struct backing *backing)
{
	/* Acquire: pairs with the store that links a node. */
	return atomic_load_explicit(&backing->root, memory_order_acquire) != 0;
}

/* True when every page of the slot is where the slot says. */
static inline bool backing_is_plain(const struct backing *backing, const struct memslot *slot)
{
	return likely(!backing_has_exceptions(backing) && !(slot->flags & MEMSLOT_ABSENT));
}

/* The frame behind a page of the slot; false: it is absent. */
bool backing_get(const struct backing *backing, const struct memslot *slot, gfn_t page,
		 pfn_t *frame);

/* The largest level <= `level` at which all pages under a leaf over `page` are the slot's own. */
unsigned int backing_level(const struct backing *backing, const struct memslot *slot, gfn_t page,
			   unsigned int level);

#define BACKING_NODES 3 /* pages of the pool that one page's word may take */

/*
 * Sets the word of a page (LINEAR, ABSENT or FRAME with a frame). -ENOMEM: nothing changed;
 * -ERANGE: the slot is larger than BACKING_PAGES_MAX. Under the MMU lock held for writing.
 */
int __must_check backing_set(struct backing *backing, struct pool *pool, const struct memslot *slot,
			     gfn_t page, uint64_t word);

/* Forgets what is said of the slot's pages from `page_count` on, which it loses. Its readers
 * were waited for; under the MMU lock held for writing. */
void backing_trim(struct backing *backing, const struct memslot *slot, uint64_t page_count);

/* Gives all nodes back; nobody reads any more. */
void backing_free(struct backing *backing, struct pool *pool);

#endif
