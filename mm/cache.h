/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages and a chain line had in advance, so that a fault zeroes and asks for nothing while it
 * holds a lock. Of one owner at a time (a vCPU, or whoever holds the MMU lock for writing): no
 * lock of its own. Also where that owner last was in the rmap.
 */
#ifndef MM_CACHE_H
#define MM_CACHE_H

#include "mm/pool.h"
#include "mm/rmap.h"

#define MMU_CACHE_PAGES 8 /* a fault takes at most 3 tables and 4 nodes of the rmap */

struct mmu_cache {
	struct pool *pool;
	const struct memslots *slots; /* that its owner goes by while it holds the MMU lock */
	unsigned int count;
	void *page[MMU_CACHE_PAGES];
	struct rmap_line *line;
	struct rmap_hint hint;
};

static inline bool cache_is_full(const struct mmu_cache *cache)
{
	return likely(cache->count == MMU_CACHE_PAGES && cache->line);
}

/* Fills it as far as the pool goes; zeroes what it takes. */
void cache_fill(struct mmu_cache *cache, struct rmap *rmap);

/* Gives everything back. */
void cache_empty(struct mmu_cache *cache, struct rmap *rmap);

/* A zeroed page: from the cache, else from the pool; NULL when both are empty. */
static inline void *cache_take_page(struct mmu_cache *cache)
{
	return cache->count > 0 ? cache->page[--cache->count] : pool_alloc_page(cache->pool);
}

/* A page that is still zeroed goes back. */
static inline void cache_put_page(struct mmu_cache *cache, void *page)
{
	if (cache->count < MMU_CACHE_PAGES) {
		cache->page[cache->count++] = page;
	} else {
		pool_free_page(cache->pool, page);
	}
}

#endif
