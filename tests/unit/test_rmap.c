/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reverse map by itself: heads, chains, lazily made storage, the violations of a removal,
 * memory failing at each allocation, damage that must not be followed.
 */
/* sources: mm/rmap.c mm/cache.c mm/pool.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/cache.h"
#include "mm/rmap.h"
#include "tests/unit/harness.h"

#define PAGES 64

static uint8_t *memory;
static struct pool pool;
static struct rmap rmap;
static struct mmu_cache cache;
static size_t at_start; /* pages in use: one, cut up into chain lines */
/* Two tree levels for 4 KiB (0x10000 heads), one for 2 MiB. */
static const struct memslot slot = { .gfn = { 0x12345 }, .page_count = 0x10000, .id = 6 };

static int start(void **state)
{
	(void)state;
	memory = aligned_alloc(PAGE_SIZE, PAGES * PAGE_SIZE);
	memset(memory, 0, PAGES * PAGE_SIZE);
	pool_init(&pool, memory, PAGES);
	rmap = (struct rmap){ 0 };
	rmap_init(&rmap, &pool);
	cache = (struct mmu_cache){ .pool = &pool };
	rmap_open(&rmap, &slot);
	cache.line = rmap_line_take(&rmap);
	at_start = pool.used_count;
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static enum rmap_result add(uint64_t frame, unsigned int level, uint64_t sptep)
{
	struct rmap_path path;
	enum rmap_result result = rmap_reserve(&rmap, &cache, &slot, gfn(frame), level, &path);

	return result == RMAP_OK ? rmap_add(&rmap, &cache, &path, hpa(sptep)) : result;
}

static enum rmap_result drop(uint64_t frame, unsigned int level, uint64_t sptep)
{
	struct rmap_path path;
	enum rmap_result result = rmap_find(&rmap, &slot, gfn(frame), level, &path);

	return result == RMAP_OK ? rmap_remove(&rmap, &path, hpa(sptep)) : result;
}

static rmap_word_t *head_of(uint64_t frame, unsigned int level)
{
	struct rmap_path path;

	assert_int_equal(rmap_find(&rmap, &slot, gfn(frame), level, &path), RMAP_OK);
	return path.head;
}

/* How often a head holds `sptep`, and how many entries it has. */
static unsigned int count(uint64_t frame, unsigned int level, uint64_t sptep, unsigned int *all)
{
	struct rmap_cursor cursor = { 0 };
	rmap_word_t *head = head_of(frame, level);
	unsigned int found = 0;
	hpa_t entry;

	*all = 0;
	while (head && rmap_next(&rmap, *head, &cursor, &entry)) {
		found += entry.v == sptep;
		(*all)++;
	}
	assert_false(cursor.damaged);
	return found;
}

static void test_one_entry_is_in_the_head(void **state)
{
	(void)state;
	assert_null(head_of(0x12345, 1));
	assert_int_equal(pool.used_count, at_start);
	assert_int_equal(add(0x12345, 1, 0x8000), RMAP_OK);
	assert_int_equal(*head_of(0x12345, 1), 0x8000);
	assert_int_equal(pool.used_count, at_start + 2);
	assert_int_equal(add(0x12346, 1, 0x8008), RMAP_OK);
	assert_int_equal(pool.used_count, at_start + 2);
	assert_int_equal(add(0x12345 + 0xffff, 1, 0x8010), RMAP_OK);
	assert_int_equal(pool.used_count, at_start + 3);
	assert_int_equal(add(0x12400, 2, 0x8018), RMAP_OK);
	assert_int_equal(pool.used_count, at_start + 4);
	assert_int_equal(rmap.entry_count, 4);
	assert_int_equal(drop(0x12345, 1, 0x8000), RMAP_OK);
	assert_int_equal(drop(0x12346, 1, 0x8008), RMAP_OK);
	assert_int_equal(pool.used_count, at_start + 3);
	assert_int_equal(drop(0x12400, 2, 0x8018), RMAP_OK);
	assert_int_equal(drop(0x12345 + 0xffff, 1, 0x8010), RMAP_OK);
	assert_int_equal(pool.used_count, at_start);
	assert_true(rmap_close(&rmap, slot.id));
}

static void test_chains_grow_and_shrink(void **state)
{
	unsigned int all;

	(void)state;
	for (unsigned int n = 1; n <= 40; n++) {
		assert_int_equal(add(0x13000, 1, n * 8), RMAP_OK);
		for (unsigned int i = 1; i <= n; i++) {
			assert_int_equal(count(0x13000, 1, i * 8, &all), 1);
			assert_int_equal(add(0x13000, 1, i * 8), RMAP_DUPLICATE);
		}
		assert_int_equal(all, n);
		/* One cache line for every seven entries. */
		assert_int_equal(rmap.line_count, n == 1 ? 0 : (n + 6) / 7);
	}
	for (unsigned int n = 40; n >= 1; n--) {
		/* From the front, the back and the middle by turns, whichever is still there. */
		unsigned int victim = 1 + (n * 17) % 40;

		while (!count(0x13000, 1, victim * 8, &all)) {
			victim = victim % 40 + 1;
		}
		assert_int_equal(drop(0x13000, 1, victim * 8), RMAP_OK);
		assert_int_equal(count(0x13000, 1, victim * 8, &all), 0);
		assert_int_equal(all, n - 1);
	}
	assert_int_equal(rmap.line_count, 0);
	assert_int_equal(rmap.entry_count, 0);
	assert_true(rmap_close(&rmap, slot.id));
}

static void test_violations_are_told_apart(void **state)
{
	struct rmap_path path;
	unsigned int all;

	(void)state;
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_EMPTY);
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(drop(0x12346, 1, 0x8), RMAP_EMPTY);
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_DUPLICATE);
	assert_int_equal(drop(0x12345, 1, 0x10), RMAP_OTHER);
	assert_int_equal(add(0x12345, 1, 0x10), RMAP_OK);
	assert_int_equal(drop(0x12345, 1, 0x18), RMAP_MISSING);
	assert_int_equal(rmap_reserve(&rmap, &cache, &slot, gfn(0x12345), 1, &path), RMAP_OK);
	assert_int_equal(rmap_force(&rmap, &cache, &path, hpa(0x10)), RMAP_OK);
	assert_int_equal(drop(0x12345, 1, 0x10), RMAP_TWICE);
	/* None of them changed anything. */
	assert_int_equal(count(0x12345, 1, 0x10, &all), 2);
	assert_int_equal(all, 3);
	assert_int_equal(rmap.entry_count, 3);
	assert_false(rmap_close(&rmap, slot.id));
}

/* Injected damage adds without asking, also where there is nothing yet; and it is counted. */
static void test_force_adds_anywhere(void **state)
{
	struct rmap_path path;

	(void)state;
	assert_int_equal(rmap_reserve(&rmap, &cache, &slot, gfn(0x12345), 1, &path), RMAP_OK);
	assert_int_equal(rmap_force(&rmap, &cache, &path, hpa(0x8)), RMAP_OK);
	assert_int_equal(*head_of(0x12345, 1), 0x8);
	assert_int_equal(rmap.entry_count, 1);
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(pool.used_count, at_start);
}

/*
 * Each allocation fails once: no entry is there after it. Nodes that were made stay, for a
 * fault beside this one may use them by then; they go with the slot.
 */
static void test_no_memory_adds_nothing(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 2; n++) {
		pool.fail_at = n;
		assert_int_equal(add(0x15000, 1, 0x8), RMAP_NO_MEMORY);
		assert_null(head_of(0x15000, 1));
		assert_int_equal(rmap.entry_count, 0);
		assert_int_equal(pool.used_count, at_start + n - 1);
		assert_true(rmap_close(&rmap, slot.id));
		assert_int_equal(pool.used_count, at_start);
		rmap_open(&rmap, &slot);
	}
	assert_int_equal(add(0x15000, 1, 0x8), RMAP_OK);
	/* No line: neither in the cache, nor a spare one, nor a page to cut up. */
	while (cache.line) {
		cache.line->next = NULL;
		cache.line = rmap.spare;
		rmap.spare = rmap.spare ? rmap.spare->next : NULL;
	}
	pool.fail_at = 1;
	assert_int_equal(add(0x15000, 1, 0x10), RMAP_NO_MEMORY);
	assert_int_equal(*head_of(0x15000, 1), 0x8);
	assert_int_equal(rmap.entry_count, 1);
	assert_int_equal(rmap.line_count, 0);
	assert_int_equal(add(0x15000, 1, 0x10), RMAP_OK);
}

/* The cache: pages zeroed and in advance, what is left over goes back. */
static void test_cache(void **state)
{
	void *page;

	(void)state;
	cache_fill(&cache, &rmap);
	assert_true(cache_is_full(&cache));
	assert_int_equal(pool.used_count, at_start + MMU_CACHE_PAGES);
	pool.fail_at = 1;
	assert_int_equal(add(0x15000, 1, 0x8), RMAP_OK);
	assert_int_equal(add(0x15000, 1, 0x10), RMAP_OK);
	assert_int_equal(pool.fail_at, 1);
	assert_int_equal(cache.count, MMU_CACHE_PAGES - 2);
	assert_null(cache.line);
	pool.fail_at = 0;
	page = cache_take_page(&cache);
	cache_put_page(&cache, page);
	assert_ptr_equal(cache_take_page(&cache), page);
	cache_put_page(&cache, page);
	cache_fill(&cache, &rmap);
	assert_true(cache_is_full(&cache));
	page = pool_alloc_page(&pool);
	cache_put_page(&cache, page); /* no room: back to the pool */
	assert_int_equal(cache.count, MMU_CACHE_PAGES);
	assert_int_equal(pool.used_count, at_start + MMU_CACHE_PAGES + 2);
	cache_empty(&cache, &rmap);
	assert_int_equal(pool.used_count, at_start + 2);
	assert_null(cache.line);
	assert_false(cache_is_full(&cache));
	/* As far as the pool goes. */
	pool.fail_at = 4;
	cache_fill(&cache, &rmap);
	assert_int_equal(cache.count, 3);
	assert_non_null(cache.line);
}

static void test_damage_is_not_followed(void **state)
{
	static const uint64_t wild[] = { 0x1000, UINT64_MAX & ~UINT64_C(0xfff), 0xdead0000 };
	struct rmap_cursor cursor = { 0 };
	struct rmap_path path;
	hpa_t entry;

	(void)state;
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(add(0x12345, 1, 0x10), RMAP_OK);
	for (unsigned int i = 0; i < ARRAY_COUNT(wild); i++) {
		rmap_word_t *head = head_of(0x12345, 1);
		uint64_t good = *head;

		*head = wild[i] | RMAP_CHAIN;
		assert_int_equal(drop(0x12345, 1, 0x8), RMAP_DAMAGED);
		assert_int_equal(add(0x12345, 1, 0x8), RMAP_DAMAGED);
		cursor = (struct rmap_cursor){ 0 };
		assert_false(rmap_next(&rmap, *head, &cursor, &entry));
		assert_true(cursor.damaged);
		*head = (good & ~UINT64_C(63)) + 8 + RMAP_CHAIN; /* in the pool, but no line */
		assert_int_equal(drop(0x12345, 1, 0x8), RMAP_DAMAGED);
		*head = good;
	}
	/* A chain of one entry, and one of none, would have been put back into the head. */
	((struct rmap_line *)(uintptr_t)(*head_of(0x12345, 1) & ~RMAP_CHAIN))->sptep[1] = 0;
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_DAMAGED);
	((struct rmap_line *)(uintptr_t)(*head_of(0x12345, 1) & ~RMAP_CHAIN))->sptep[0] = 0;
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_DAMAGED);
	rmap.tree[slot.id][0].root = 0xdead0000 | 1;
	assert_int_equal(rmap_find(&rmap, &slot, gfn(0x12345), 1, &path), RMAP_DAMAGED);
	rmap.tree[slot.id][0].depth = 77;
	assert_int_equal(rmap_find(&rmap, &slot, gfn(0x12345), 1, &path), RMAP_DAMAGED);
}

/* The end of a slot whose storage leads out of the pool: not followed, and not called empty. */
static void test_damage_is_not_freed(void **state)
{
	(void)state;
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_OK);
	rmap.tree[slot.id][0].root = 0xdead0000 | 1;
	assert_false(rmap_close(&rmap, slot.id));
	assert_int_equal(pool.refused_count, 0);
	rmap_open(&rmap, &slot);
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	rmap.tree[slot.id][0].depth = RMAP_DEPTH_MAX + 1;
	assert_false(rmap_close(&rmap, slot.id));
	assert_int_equal(pool.used_count, at_start + 2);
}

/* The remembered node is never believed once it went back to the pool. */
static void test_hint_is_forgotten(void **state)
{
	void *page;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
		assert_int_equal(drop(0x12345, 1, 0x8), RMAP_OK);
		page = pool_alloc_page(&pool);
		assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
		assert_int_equal(*(uint64_t *)page, 0);
		assert_int_equal(*head_of(0x12345, 1), 0x8);
		assert_int_equal(drop(0x12345, 1, 0x8), RMAP_OK);
	}
}

/* The hint when a chain is already in the remembered node, and for a slot made anew. */
static void test_hint_with_a_new_slot(void **state)
{
	struct memslot wider = slot;

	(void)state;
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(drop(0x12345, 1, 0x8), RMAP_OK);
	assert_true(rmap_close(&rmap, slot.id));
	wider.page_count = 0x100000;
	rmap_open(&rmap, &wider);
	assert_int_equal(add(0x12345, 1, 0x8), RMAP_OK);
	assert_int_equal(pool.used_count, at_start + 3);
}

static void test_random_against_a_model(void **state)
{
	static uint8_t model[300][16];
	uint64_t seed = 0x9e3779b97f4a7c15;
	unsigned int entries = 0;

	(void)state;
	for (unsigned int step = 0; step < 200000; step++) {
		unsigned int frame, spte;
		enum rmap_result result;
		bool held;

		(void)test_random(&seed);
		frame = (unsigned int)(seed >> 8) % 300;
		spte = (unsigned int)(seed >> 40) % 16;
		held = model[frame][spte];
		if (seed & 1) {
			result = add(0x12345 + frame * 31, 1, (spte + 1) * 8);
			assert_int_equal(result == RMAP_OK, !held);
			entries += !held;
			model[frame][spte] = 1;
		} else {
			result = drop(0x12345 + frame * 31, 1, (spte + 1) * 8);
			assert_int_equal(result == RMAP_OK, held);
			entries -= held;
			model[frame][spte] = 0;
		}
		assert_int_equal(rmap.entry_count, entries);
	}
	for (unsigned int frame = 0; frame < 300; frame++) {
		for (unsigned int spte = 0; spte < 16; spte++) {
			if (model[frame][spte]) {
				assert_int_equal(drop(0x12345 + frame * 31, 1, (spte + 1) * 8),
						 RMAP_OK);
			}
		}
	}
	assert_true(rmap_close(&rmap, slot.id));
	assert_int_equal(rmap.line_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_entry_is_in_the_head, start, end),
		cmocka_unit_test_setup_teardown(test_chains_grow_and_shrink, start, end),
		cmocka_unit_test_setup_teardown(test_violations_are_told_apart, start, end),
		cmocka_unit_test_setup_teardown(test_force_adds_anywhere, start, end),
		cmocka_unit_test_setup_teardown(test_no_memory_adds_nothing, start, end),
		cmocka_unit_test_setup_teardown(test_cache, start, end),
		cmocka_unit_test_setup_teardown(test_damage_is_not_followed, start, end),
		cmocka_unit_test_setup_teardown(test_damage_is_not_freed, start, end),
		cmocka_unit_test_setup_teardown(test_hint_is_forgotten, start, end),
		cmocka_unit_test_setup_teardown(test_hint_with_a_new_slot, start, end),
		cmocka_unit_test_setup_teardown(test_random_against_a_model, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
