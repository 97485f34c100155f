/* SPDX-License-Identifier: BSD-2-Clause */
/* A partition's pool: zeroed pages, reuse, exhaustion, failure on demand, refused damage. */
/* sources: mm/pool.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/pool.h"

#define PAGES 8

static struct pool pool;
static uint8_t *memory;

static int start(void **state)
{
	(void)state;
	memory = aligned_alloc(PAGE_SIZE, (PAGES + 2) * PAGE_SIZE);
	memset(memory, 0, (PAGES + 2) * PAGE_SIZE);
	pool_init(&pool, memory + PAGE_SIZE, PAGES);
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static void assert_zero_page(const void *page)
{
	const uint64_t *words = page;

	assert_non_null(page);
	for (unsigned int i = 0; i < PAGE_SIZE / 8; i++) {
		assert_int_equal(words[i], 0);
	}
}

static void test_exhaustion_and_reuse(void **state)
{
	void *pages[PAGES];

	(void)state;
	assert_int_equal(pool_available(&pool), PAGES);
	for (unsigned int i = 0; i < PAGES; i++) {
		pages[i] = pool_alloc_page(&pool);
		assert_zero_page(pages[i]);
		assert_true(pool_contains(&pool, pages[i]));
		memset(pages[i], 0x77, PAGE_SIZE);
	}
	assert_null(pool_alloc_page(&pool));
	assert_int_equal(pool_available(&pool), 0);
	pool_free_page(&pool, pages[3]);
	pool_free_page(&pool, pages[5]);
	assert_int_equal(pool_available(&pool), 2);
	assert_int_equal(pool.used_count, PAGES - 2);
	assert_zero_page(pool_alloc_page(&pool));
	assert_zero_page(pool_alloc_page(&pool));
	assert_null(pool_alloc_page(&pool));
	assert_int_equal(pool.peak_count, PAGES);
	assert_int_equal(pool.refused_count, 0);
}

static void test_runs(void **state)
{
	uint8_t *run;

	(void)state;
	assert_null(pool_alloc_run(&pool, PAGES + 1));
	assert_null(pool_alloc_run(&pool, SIZE_MAX));
	run = pool_alloc_run(&pool, PAGES - 1);
	assert_ptr_equal(run, memory + PAGE_SIZE);
	assert_null(pool_alloc_run(&pool, 2));
	assert_zero_page(pool_alloc_page(&pool));
	assert_int_equal(pool.used_count, PAGES);
}

static void test_fails_on_demand(void **state)
{
	(void)state;
	pool.fail_at = 3;
	assert_non_null(pool_alloc_page(&pool));
	assert_non_null(pool_alloc_run(&pool, 2));
	assert_null(pool_alloc_page(&pool));
	assert_non_null(pool_alloc_page(&pool));
	assert_int_equal(pool.used_count, 4);
}

/* Half of it at most is out of the shrinker's reach. */
static void test_half_is_kept(void **state)
{
	void *page[PAGES / 2];

	(void)state;
	for (unsigned int i = 0; i < PAGES / 2; i++) {
		assert_int_equal(pool_may_keep(&pool), PAGES / 2 - i);
		page[i] = pool_alloc_kept(&pool);
		assert_zero_page(page[i]);
	}
	assert_null(pool_alloc_kept(&pool));
	assert_int_equal(pool.kept_count, PAGES / 2);
	pool_free_kept(&pool, page[0]);
	assert_non_null(pool_alloc_kept(&pool));
	while (pool_alloc_page(&pool)) {
	}
	pool_free_kept(&pool, page[1]);
	assert_int_equal(pool_may_keep(&pool), 1);
	assert_non_null(pool_alloc_page(&pool));
	assert_null(pool_alloc_kept(&pool)); /* there is none at all */
	assert_int_equal(pool.kept_count, PAGES / 2 - 1);
}

/* What is not a page of this pool neither comes in nor goes out. */
static void test_damage_is_refused(void **state)
{
	uint8_t *page = pool_alloc_page(&pool);

	(void)state;
	pool_free_page(&pool, memory);
	pool_free_page(&pool, memory + (PAGES + 1) * PAGE_SIZE);
	pool_free_page(&pool, page + 8);
	pool_free_page(&pool, page + PAGE_SIZE); /* never given out */
	pool_free_page(&pool, NULL);
	assert_int_equal(pool.refused_count, 5);
	assert_int_equal(pool.used_count, 1);
	pool_free_page(&pool, page);
	*(void **)page = memory; /* a write after the free: the link leads out */
	assert_ptr_equal(pool_alloc_page(&pool), page);
	assert_ptr_equal(pool_alloc_page(&pool), page + PAGE_SIZE);
	assert_int_equal(pool.refused_count, 6);
}

static void test_contains(void **state)
{
	uint8_t *page = pool_alloc_page(&pool);

	(void)state;
	assert_true(pool_contains(&pool, page + PAGE_SIZE - 1));
	assert_false(pool_contains(&pool, page + PAGE_SIZE));
	assert_false(pool_contains(&pool, page - 1));
	assert_false(pool_contains(&pool, NULL));
	assert_false(pool_contains(&pool, (void *)UINTPTR_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exhaustion_and_reuse, start, end),
		cmocka_unit_test_setup_teardown(test_runs, start, end),
		cmocka_unit_test_setup_teardown(test_fails_on_demand, start, end),
		cmocka_unit_test_setup_teardown(test_half_is_kept, start, end),
		cmocka_unit_test_setup_teardown(test_damage_is_refused, start, end),
		cmocka_unit_test_setup_teardown(test_contains, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
