/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of a slot: a bit for each page that was written since it was last read.
 * Clean pages are mapped without the right to write, so that the first write faults, sets
 * the bit and maps the page writable (I11). All memory of it is taken when logging starts.
 * Partition-owned.
 *
 *     map (a page of 512 addresses) --> bitmap page: 32768 pages of the slot, 128 MiB
 *
 * Bits are set with the MMU lock shared, and read and cleared with it held for writing, in
 * one section with the write protection of their pages: no write is lost between the two.
 */
#ifndef MM_DIRTY_H
#define MM_DIRTY_H

#include "mm/memslot.h"
#include "mm/pool.h"

#define DIRTY_PAGE_BITS (PAGE_SIZE * 8)
#define DIRTY_PAGES_MAX (512 * DIRTY_PAGE_BITS) /* 64 GiB */

struct dirty_log {
	_Atomic uint64_t **map; /* NULL: not logged */
	uint64_t page_count;
};

/* Pages of the pool for the log of a slot of `page_count` pages. */
static inline uint64_t dirty_pool_pages(uint64_t page_count)
{
	return 1 + (page_count + DIRTY_PAGE_BITS - 1) / DIRTY_PAGE_BITS;
}

/* Takes memory for a slot of `page_count` pages. -ENOMEM, -ERANGE (DIRTY_PAGES_MAX). */
int __must_check dirty_start(struct dirty_log *log, struct pool *pool, uint64_t page_count);
void dirty_stop(struct dirty_log *log, struct pool *pool);

/* `index` is a page of the slot, below page_count. */
static inline _Atomic uint64_t *dirty_word(const struct dirty_log *log, uint64_t index)
{
	return &log->map[index / DIRTY_PAGE_BITS][index % DIRTY_PAGE_BITS / 64];
}

static inline bool dirty_test(const struct dirty_log *log, uint64_t index)
{
	/* Relaxed: bits are ordered by the MMU lock. */
	return (atomic_load_explicit(dirty_word(log, index), memory_order_relaxed) >>
		(index % 64)) &
	       1;
}

/* True when the page was clean. */
static inline bool dirty_mark(const struct dirty_log *log, uint64_t index)
{
	uint64_t bit = BIT(index % 64);

	return !(atomic_fetch_or_explicit(dirty_word(log, index), bit, memory_order_relaxed) & bit);
}

/* The 64 bits from page `index` on, a multiple of 64; and with `clear` takes them away. */
static inline uint64_t dirty_take(const struct dirty_log *log, uint64_t index, bool clear)
{
	_Atomic uint64_t *word = dirty_word(log, index);

	return clear ? atomic_exchange_explicit(word, 0, memory_order_relaxed)
		     : atomic_load_explicit(word, memory_order_relaxed);
}

#endif
