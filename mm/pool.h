/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A partition's pool: a run of frames that holds all its metadata (partition, vCPUs,
 * VMCS/VMCB, nested tables, rmaps, slots, devices, rings). Nothing in it is shared with
 * another partition, so tear-down drops it whole. Partition-owned.
 *
 *     base                next                                       end
 *     |== pages given out ==|............ never used yet .............|
 *        free list threads through pages that came back
 */
#ifndef MM_POOL_H
#define MM_POOL_H

#include "lib/addr.h"
#include "lib/lock.h"

struct pool {
	struct spinlock lock;
	uint8_t *base; /* direct map */
	size_t page_count;
	_Atomic size_t next; /* first page never given out; written under the lock */
	void *free_list;     /* single pages that came back */
	size_t free_count;   /* length of free_list */
	size_t used_count;   /* pages out now */
	size_t peak_count;
	size_t kept_count;	/* of used_count, those of pool_alloc_kept() */
	uint64_t fail_at;	/* tests: the n-th allocation from now fails; 0: none */
	uint64_t refused_count; /* pages and links that were not this pool's: damage */
};

/* `base` is zeroed memory of page_count pages. */
void pool_init(struct pool *pool, void *base, size_t page_count);

/* One zeroed page, or NULL when the pool is exhausted. Takes the pool lock. */
void *pool_alloc_page(struct pool *pool);
void pool_free_page(struct pool *pool, void *page);

/*
 * The same for pages that the shrinker cannot take back. At most half of the pool are such, so
 * that it never has nothing to give. pool_may_keep(): of that half, how many are left.
 */
void *pool_alloc_kept(struct pool *pool);
void pool_free_kept(struct pool *pool, void *page);
size_t pool_may_keep(struct pool *pool);

/* `count` contiguous zeroed pages, never freed one by one; at creation only. NULL if short. */
void *pool_alloc_run(struct pool *pool, size_t count);

/* Pages that could still be had. */
size_t pool_available(struct pool *pool);

/* True when `ptr` lies in a page of this pool that was given out at some time. */
static inline bool pool_contains(const struct pool *pool, const void *ptr)
{
	/* Relaxed: who has a pointer to the page had it from the lock, or from who had. */
	return (uintptr_t)ptr - (uintptr_t)pool->base <
	       atomic_load_explicit(&pool->next, memory_order_relaxed) * PAGE_SIZE;
}

#endif
