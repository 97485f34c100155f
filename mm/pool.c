/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A partition's pool of metadata pages. A page that comes back is threaded into a list by
 * its first word; a link or a page that is not one of this pool's is refused and counted
 * (the audit asks), so that damage in one pool cannot lead into another's memory.
 */
#include "mm/pool.h"

#include "mm/page.h"

static bool is_page(const struct pool *pool, const void *page)
{
	return pool_contains(pool, page) && is_aligned((uintptr_t)page, PAGE_SIZE);
}

/* `base` is zeroed memory of page_count pages, page-aligned. */
void pool_init(struct pool *pool, void *base, size_t page_count)
{
	*pool = (struct pool){ .base = (uint8_t *)base, .page_count = page_count };
	spinlock_init(&pool->lock);
}

/* True when this allocation is the one that a test wants to fail. */
static bool must_fail(struct pool *pool)
{
	return pool->fail_at != 0 && --pool->fail_at == 0;
}

static void count_used(struct pool *pool, size_t count)
{
	pool->used_count += count;
	pool->peak_count = MAX(pool->peak_count, pool->used_count);
}

/* The first page of the list of returned pages, or NULL. */
static void *list_pop(struct pool *pool)
{
	void *page = pool->free_list;

	if (!page) {
		return NULL;
	}
	if (!is_page(pool, page)) {
		pool->refused_count++;
		pool->free_list = NULL;
		pool->free_count = 0;
		return NULL;
	}
	pool->free_list = *(void **)page;
	pool->free_count--;
	return page;
}

/* Pages that were never used, which are zero since pool_init(). */
static void *never_used(struct pool *pool, size_t count)
{
	/* Relaxed, both: written under the lock that is held. */
	size_t next = atomic_load_explicit(&pool->next, memory_order_relaxed);

	if (count > pool->page_count - next) {
		return NULL;
	}
	atomic_store_explicit(&pool->next, next + count, memory_order_relaxed);
	return pool->base + next * PAGE_SIZE;
}

/* One zeroed page, or NULL when the pool is exhausted. Takes the pool lock. */
void *pool_alloc_page(struct pool *pool)
{
	void *page = NULL;
	bool used_before = false;

	spin_lock(&pool->lock);
	if (!must_fail(pool)) {
		page = list_pop(pool);
		used_before = page != NULL;
		if (!page) {
			page = never_used(pool, 1);
		}
		count_used(pool, page != NULL);
	}
	spin_unlock(&pool->lock);
	if (used_before) {
		page_zero(page, 1);
	}
	return page;
}

/* Gives a page of pool_alloc_page() back; anything else is refused and counted. */
void pool_free_page(struct pool *pool, void *page)
{
	spin_lock(&pool->lock);
	if (is_page(pool, page) && pool->used_count > 0) {
		*(void **)page = pool->free_list;
		pool->free_list = page;
		pool->free_count++;
		pool->used_count--;
	} else {
		pool->refused_count++;
	}
	spin_unlock(&pool->lock);
}

/* Takes the pool lock. */
size_t pool_may_keep(struct pool *pool)
{
	size_t most = pool->page_count / 2;
	size_t left;

	spin_lock(&pool->lock);
	left = most - MIN(most, pool->kept_count);
	spin_unlock(&pool->lock);
	return left;
}

static void count_kept(struct pool *pool, size_t change)
{
	spin_lock(&pool->lock);
	pool->kept_count += change;
	spin_unlock(&pool->lock);
}

/* As pool_alloc_page(), and NULL when half of the pool is kept. One caller at a time. */
void *pool_alloc_kept(struct pool *pool)
{
	void *page = pool_may_keep(pool) > 0 ? pool_alloc_page(pool) : NULL;

	count_kept(pool, page != NULL);
	return page;
}

/* Gives a page of pool_alloc_kept() back. */
void pool_free_kept(struct pool *pool, void *page)
{
	count_kept(pool, -(size_t)1);
	pool_free_page(pool, page);
}

/* `count` contiguous zeroed pages, never freed one by one. NULL when short. */
void *pool_alloc_run(struct pool *pool, size_t count)
{
	void *pages = NULL;

	spin_lock(&pool->lock);
	if (!must_fail(pool)) {
		pages = never_used(pool, count);
		count_used(pool, pages ? count : 0);
	}
	spin_unlock(&pool->lock);
	return pages;
}

/* Pages that could still be had. Takes the pool lock. */
size_t pool_available(struct pool *pool)
{
	size_t available;

	spin_lock(&pool->lock);
	available = pool->free_count + (pool->page_count - pool->next);
	spin_unlock(&pool->lock);
	return available;
}
