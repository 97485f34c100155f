/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of free frames against an array of bools, at sizes round the powers of 64, and its
 * cost: a machine of 1 TiB in the worst order is searched within the time box of a test.
 */
/* sources: mm/free_map.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mm/free_map.h"
#include "tests/unit/harness.h"

static struct free_map map;
static void *memory;
static uint64_t seed = 88172645463325252;

/* The memory is dirty, and malloc() of the exact size shows what is written beyond it. */
static void start(uint64_t end)
{
	size_t size = free_map_size(end);

	memory = malloc(size);
	for (size_t i = 0; i < size; i++) {
		((uint8_t *)memory)[i] = 0xff;
	}
	free_map_init(&map, memory, end);
}

/* A bit of each upper level says whether the word below is not zero, and no more. */
static void assert_tree(void)
{
	for (unsigned int level = 1; level < map.level_count; level++) {
		for (uint64_t i = 0; i < map.words[level] * 64; i++) {
			bool bit = map.level[level][i / 64] >> (i % 64) & 1;
			bool below = i < map.words[level - 1] && map.level[level - 1][i];

			assert_int_equal(bit, below);
		}
	}
	assert_int_equal(map.level_count == 0 || map.words[map.level_count - 1] == 1, 1);
}

static bool model_find(const bool *model, uint64_t end, uint64_t count, uint64_t align,
		       uint64_t *found)
{
	for (uint64_t first = 0; first + count <= end; first += align) {
		uint64_t i = 0;

		while (i < count && model[first + i]) {
			i++;
		}
		if (i == count) {
			*found = first;
			return true;
		}
	}
	return false;
}

static void check_size(uint64_t end)
{
	static bool model[5000];

	start(end);
	for (uint64_t i = 0; i < end; i++) {
		model[i] = false;
	}
	assert_int_equal(free_map_next(&map, 0), UINT64_MAX);
	for (unsigned int step = 0; step < 1500; step++) {
		uint64_t first = test_random(&seed) % end;
		uint64_t count = 1 + test_random(&seed) % (step % 3 ? 3 : 200);
		uint64_t align = UINT64_C(1) << test_random(&seed) % 8;
		bool is_free = test_random(&seed) % 2;
		uint64_t next = first;
		uint64_t found = 0;
		uint64_t expected = 0;
		bool any;

		count = MIN(count, end - first);
		free_map_mark(&map, first, first + count, is_free);
		for (uint64_t i = first; i < first + count; i++) {
			model[i] = is_free;
		}
		first = test_random(&seed) % end;
		for (next = first; next < end && !model[next]; next++) {
		}
		assert_int_equal(free_map_next(&map, first), next < end ? next : UINT64_MAX);
		count = 1 + test_random(&seed) % 150;
		any = model_find(model, end, count, align, &expected);
		assert_int_equal(free_map_find(&map, count, align, &found), any);
		assert_int_equal(found, expected);
	}
	assert_tree();
	free(memory);
}

static void test_against_a_model(void **state)
{
	static const uint64_t ends[] = { 1, 2, 63, 64, 65, 127, 1000, 4095, 4096, 4097, 4999 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(ends); i++) {
		check_size(ends[i]);
	}
}

static void test_edges(void **state)
{
	uint64_t found;

	(void)state;
	start(0);
	assert_int_equal(free_map_size(0), 0);
	assert_int_equal(free_map_next(&map, 0), UINT64_MAX);
	assert_false(free_map_find(&map, 1, 1, &found));
	free(memory);
	start(1000);
	free_map_mark(&map, 0, 1000, true);
	assert_int_equal(free_map_next(&map, 999), 999);
	assert_int_equal(free_map_next(&map, 1000), UINT64_MAX);
	assert_int_equal(free_map_next(&map, UINT64_MAX), UINT64_MAX);
	assert_true(free_map_find(&map, 1000, 1, &found));
	assert_false(free_map_find(&map, 1001, 1, &found));
	assert_false(free_map_find(&map, UINT64_MAX, 1, &found));
	free_map_mark(&map, 0, 1, false);
	/* align_up() of it is 0 or beyond the map. */
	assert_false(free_map_find(&map, 1, UINT64_C(1) << 63, &found));
	free_map_mark(&map, 500, 500, true);
	free_map_mark(&map, 500, 500, false);
	assert_int_equal(free_map_next(&map, 500), 500);
	free(memory);
}

/*
 * 1 TiB, and every second frame in use: a thousand single frames come and go in nearly no
 * time, and a run that is nowhere is given up after two passes of 4 Mi words at most.
 */
static void test_cost_at_1_tib(void **state)
{
	const uint64_t end = UINT64_C(1) << 28;
	uint64_t found;

	(void)state;
	start(end);
	assert_true(free_map_size(end) <= end / 8 + end / 8 / 32);
	for (uint64_t i = 0; i < map.words[0]; i++) {
		free_map_mark(&map, i * 64, i * 64 + 64, true);
		map.level[0][i] = UINT64_C(0x5555555555555555);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		assert_true(free_map_find(&map, 1, 1, &found));
		assert_int_equal(found, 2 * i);
		free_map_mark(&map, found, found + 1, false);
	}
	for (uint64_t count = 64; count <= 1 << 18; count <<= 6) {
		assert_false(free_map_find(&map, count, 1, &found));
		assert_false(free_map_find(&map, count, count, &found));
	}
	/* A hole too small at the front of each window, and the only good one at the end. */
	for (uint64_t i = 0; i < map.words[0]; i++) {
		map.level[0][i] = i % 8 == 7 ? UINT64_MAX >> 1 : UINT64_MAX;
	}
	assert_false(free_map_find(&map, 512, 1, &found));
	free_map_mark(&map, end - 1, end, true);
	assert_true(free_map_find(&map, 512, 1, &found));
	assert_int_equal(found, end - 512);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_cost_at_1_tib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
