/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling and emptying a cache of pages; see cache.h. */
#include "mm/cache.h"

/* See cache.h. Takes the pool lock, once for each page. */
void cache_fill(struct mmu_cache *cache, struct rmap *rmap)
{
	/* First: without a line nothing goes in, and pages that are too many are of no use. */
	if (!cache->line) {
		cache->line = rmap_line_take(rmap);
	}
	while (cache->count < MMU_CACHE_PAGES) {
		void *page = pool_alloc_page(cache->pool);

		if (!page) {
			break;
		}
		cache->page[cache->count++] = page;
	}
}

/* See cache.h. */
void cache_empty(struct mmu_cache *cache, struct rmap *rmap)
{
	while (cache->count > 0) {
		pool_free_page(cache->pool, cache->page[--cache->count]);
	}
	if (cache->line) {
		rmap_line_give(rmap, cache->line);
		cache->line = NULL;
	}
	cache->hint.key = 0;
}
