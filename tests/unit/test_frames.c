/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame table: allocation, alignment, scrubbing, coalescing, owners by compare-and-swap,
 * tear-down by the table alone. A model of one owner a frame is kept beside it.
 */
/* sources: mm/frames.c tests/unit/harness.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/frames.h"
#include "tests/unit/harness.h"

#define ARENA (32 << 20)
#define FRAMES (ARENA >> PAGE_SHIFT)

static uint8_t *arena;
static void *table;

/* Frames 16 to `end` but for a hole at [1000, 1100). All of the arena is dirty. */
static void start(uint64_t end)
{
	struct frame_range ranges[] = { { { 16 }, { 1000 } }, { { 1100 }, { end } } };

	arena = test_arena(ARENA);
	memset(arena, 0xaa, ARENA);
	table = malloc(frames_table_size(pfn(FRAMES)));
	memset(table, 0xff, frames_table_size(pfn(FRAMES)));
	frames_init(table, pfn(FRAMES), ranges, 2);
}

static void end(void)
{
	free(table);
	free(arena);
}

static void assert_frame(uint64_t frame, owner_t owner, enum frame_state state)
{
	struct frame_info info = frame_get(pfn(frame));

	assert_int_equal(info.owner, owner);
	assert_int_equal(info.state, state);
}

static void assert_zero(uint64_t first, uint64_t count)
{
	const uint64_t *words = (const uint64_t *)(arena + first * PAGE_SIZE);

	for (uint64_t i = 0; i < count * 512; i++) {
		assert_int_equal(words[i], 0);
	}
}

static void test_init_and_reserve(void **state)
{
	struct frame_stats stats;

	(void)state;
	start(FRAMES);
	assert_frame(0, 0, FRAME_ABSENT);
	assert_frame(16, 0, FRAME_FREE);
	assert_frame(999, 0, FRAME_FREE);
	assert_frame(1000, 0, FRAME_ABSENT);
	assert_frame(FRAMES - 1, 0, FRAME_FREE);
	assert_frame(FRAMES, 0, FRAME_ABSENT);
	assert_frame(UINT64_MAX, 0, FRAME_ABSENT);
	/* Over the hole, over the end, at the front, nothing at all. */
	frames_reserve(pfn(990), pfn(1110));
	frames_reserve(pfn(FRAMES - 2), pfn(FRAMES + 50));
	frames_reserve(pfn(0), pfn(20));
	frames_reserve(pfn(500), pfn(501));
	frames_reserve(pfn(700), pfn(700));
	assert_frame(990, 0, FRAME_HYPERVISOR);
	assert_frame(1050, 0, FRAME_ABSENT);
	assert_frame(1109, 0, FRAME_HYPERVISOR);
	assert_frame(1110, 0, FRAME_FREE);
	assert_frame(19, 0, FRAME_HYPERVISOR);
	assert_frame(500, 0, FRAME_HYPERVISOR);
	frames_stats(&stats);
	assert_int_equal(stats.total, FRAMES - 16 - 100);
	assert_int_equal(stats.hypervisor, 10 + 10 + 2 + 4 + 1);
	assert_int_equal(stats.free, stats.total - stats.hypervisor);
	assert_int_equal(stats.largest_free_run, FRAMES - 2 - 1110);
	end();
}

static void test_alloc_is_aligned_zeroed_and_owned(void **state)
{
	static const size_t aligns[] = { 1, 2, 16, 512, 1024 };
	pfn_t first;

	(void)state;
	start(FRAMES);
	for (unsigned int i = 0; i < ARRAY_COUNT(aligns); i++) {
		size_t count = 3 + i * 100;

		assert_int_equal(frames_alloc(count, aligns[i], 5, FRAME_PRIVATE, &first), 0);
		assert_true(is_aligned(first.v, aligns[i]));
		assert_true(frames_all(first, count, (struct frame_info){ 5, FRAME_PRIVATE }));
		assert_false(frames_all(first, count + 1, (struct frame_info){ 5, FRAME_PRIVATE }));
		assert_zero(first.v, count);
	}
	assert_int_equal(frames_count_owner(5), 5 * 3 + 1000);
	assert_int_equal(frames_alloc(0, 1, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 3, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 0, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, 5, FRAME_FREE, &first), -EINVAL);
	assert_int_equal(frames_alloc(FRAMES, 1, 5, FRAME_PRIVATE, &first), -ENOMEM);
	assert_int_equal(frames_alloc(SIZE_MAX, 1, 5, FRAME_PRIVATE, &first), -ENOMEM);
	assert_int_equal(frames_alloc(1, (size_t)1 << 63, 5, FRAME_PRIVATE, &first), -ENOMEM);
	end();
}

static void test_free_is_checked_scrubbed_and_joined(void **state)
{
	struct frame_stats before;
	struct frame_stats after;
	pfn_t a, b, c;

	(void)state;
	start(FRAMES);
	frames_stats(&before);
	assert_int_equal(frames_alloc(600, 1, 1, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(200, 1, 2, FRAME_PRIVATE, &b), 0);
	assert_int_equal(frames_alloc(1200, 1, 1, FRAME_POOL, &c), 0);
	memset(arena + a.v * PAGE_SIZE, 0x55, 600 * PAGE_SIZE);
	memset(arena + c.v * PAGE_SIZE, 0x55, 1200 * PAGE_SIZE);
	/* Wrong owner, too long, nothing, out of the table: nothing changed. */
	assert_int_equal(frames_free(a, 600, 2), -EINVAL);
	assert_int_equal(frames_free(a, 601, 1), -EINVAL);
	assert_int_equal(frames_free(a, 0, 1), -EINVAL);
	assert_int_equal(frames_free(pfn(FRAMES - 1), 2, 0), -EINVAL);
	assert_int_equal(frames_free(pfn(UINT64_MAX), 2, 1), -EINVAL);
	assert_int_equal(frames_free(pfn(0), 1, 0), -EINVAL);
	assert_int_equal(frames_count_owner(1), 1800);
	assert_int_equal(frames_free(a, 600, 1), 0);
	assert_int_equal(frames_free(a, 600, 1), -EINVAL);
	assert_int_equal(frames_free(a, 600, OWNER_MACHINE), -EINVAL);
	assert_zero(a.v, 600);
	assert_int_equal(frames_free(c, 1200, 1), 0);
	assert_int_equal(frames_free(b, 200, 2), 0);
	assert_zero(c.v, 1200);
	frames_stats(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	end();
}

static void test_release_owner(void **state)
{
	pfn_t a, b, c;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(700, 1, 1, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(2000, 512, 2, FRAME_PRIVATE, &b), 0);
	assert_int_equal(frames_alloc(33, 1, 1, FRAME_POOL, &c), 0);
	memset(arena + a.v * PAGE_SIZE, 0x55, 700 * PAGE_SIZE);
	assert_true(frame_change(pfn(a.v + 7), (struct frame_info){ 1, FRAME_PRIVATE },
				 (struct frame_info){ 1, FRAME_QUARANTINED }));
	assert_int_equal(frames_release_owner(OWNER_MACHINE), 0);
	assert_int_equal(frames_release_owner(1), 732);
	assert_frame(a.v, 0, FRAME_FREE);
	assert_frame(a.v + 7, 1, FRAME_QUARANTINED);
	assert_frame(c.v, 0, FRAME_FREE);
	assert_zero(a.v, 7);
	assert_zero(a.v + 8, 692);
	assert_int_equal(frames_count_owner(2), 2000);
	assert_int_equal(frames_release_owner(1), 0);
	assert_int_equal(frames_alloc(7, 1, 3, FRAME_PRIVATE, &c), 0);
	assert_zero(c.v, 7);
	end();
}

static void test_change_is_compare_and_swap(void **state)
{
	struct frame_info ours = { 4, FRAME_PRIVATE };
	struct frame_info granted = { 4, FRAME_GRANTED };
	struct frame_info other = { 5, FRAME_PRIVATE };
	struct frame_info none = { 0, FRAME_FREE };
	pfn_t a;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(2048, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_true(frames_all(a, 2048, ours));
	assert_false(frame_change(a, other, granted));
	assert_false(frame_change(a, ours, none));
	assert_false(frame_change(pfn(16), none, ours));
	assert_false(frame_change(pfn(FRAMES), ours, granted));
	assert_true(frames_all(a, 2048, ours));
	assert_true(frame_change(pfn(a.v + 700), ours, granted));
	assert_false(frame_change(pfn(a.v + 700), ours, granted));
	assert_false(frames_all(a, 2048, ours));
	assert_true(frames_all(a, 700, ours));
	assert_true(frames_all(pfn(a.v + 701), 1347, ours));
	assert_frame(a.v + 700, 4, FRAME_GRANTED);
	assert_false(frames_all(pfn(UINT64_MAX), 2, ours));
	end();
}

/* More holes than the list of ranges holds: none is lost for good. */
static void test_many_holes(void **state)
{
	struct frame_stats before;
	struct frame_stats after;
	pfn_t a;

	(void)state;
	start(FRAMES);
	frames_stats(&before);
	assert_int_equal(frames_alloc(6000, 1, 1, FRAME_PRIVATE, &a), 0);
	for (uint64_t i = 0; i < 6000; i += 2) {
		assert_int_equal(frames_free(pfn(a.v + i), 1, 1), 0);
	}
	for (uint64_t i = 0; i < 3000 + (FRAMES - 1100 - 6000) + 984; i++) {
		pfn_t one;

		assert_int_equal(frames_alloc(1, 1, 2, FRAME_PRIVATE, &one), 0);
	}
	assert_int_equal(frames_alloc(1, 1, 2, FRAME_PRIVATE, &a), -ENOMEM);
	assert_int_equal(frames_release_owner(1), 3000);
	assert_int_equal(frames_release_owner(2), before.free - 3000);
	frames_stats(&after);
	assert_int_equal(after.free, before.free);
	assert_int_equal(frames_alloc(before.largest_free_run, 1, 2, FRAME_PRIVATE, &a), 0);
	end();
}

/* Against a model with one owner a frame. */
static void test_random_against_a_model(void **state)
{
	static owner_t model[FRAMES];
	uint64_t seed = 88172645463325252;

	(void)state;
	start(FRAMES);
	for (unsigned int step = 0; step < 3000; step++) {
		owner_t owner;
		size_t count;
		pfn_t first;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		owner = (owner_t)(1 + (seed >> 20) % 5);
		count = 1 + (seed >> 30) % 300;
		first = pfn((seed >> 40) % FRAMES);
		if (seed % 4 < 2) {
			if (frames_alloc(count, (size_t)1 << ((seed >> 8) % 10), owner,
					 FRAME_PRIVATE, &first) == 0) {
				for (size_t i = 0; i < count; i++) {
					assert_int_equal(model[first.v + i], 0);
					model[first.v + i] = owner;
					arena[(first.v + i) * PAGE_SIZE + i % PAGE_SIZE]++;
				}
			}
		} else if (seed % 4 == 2) {
			bool all = count <= FRAMES - first.v;

			for (size_t i = 0; all && i < count; i++) {
				all = model[first.v + i] == owner;
			}
			count = all ? count : MIN(count, 3);
			for (size_t i = 0; i < count && first.v + i < FRAMES; i++) {
				all = model[first.v + i] == owner && (i == 0 || all);
			}
			all = all && first.v + count <= FRAMES;
			assert_int_equal(frames_free(first, count, owner), all ? 0 : -EINVAL);
			for (size_t i = 0; all && i < count; i++) {
				model[first.v + i] = 0;
			}
		} else if (seed % 64 == 3) {
			size_t released = 0;

			for (size_t i = 0; i < FRAMES; i++) {
				released += model[i] == owner;
				model[i] = model[i] == owner ? 0 : model[i];
			}
			assert_int_equal(frames_release_owner(owner), released);
		}
		if (step % 64 == 0) {
			for (size_t i = 0; i < FRAMES; i++) {
				assert_int_equal(frame_get(pfn(i)).owner, model[i]);
			}
		}
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_and_reserve),
		cmocka_unit_test(test_alloc_is_aligned_zeroed_and_owned),
		cmocka_unit_test(test_free_is_checked_scrubbed_and_joined),
		cmocka_unit_test(test_release_owner),
		cmocka_unit_test(test_change_is_compare_and_swap),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_random_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
