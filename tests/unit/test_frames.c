/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame table: allocation, alignment, scrubbing, coalescing, owners by compare-and-swap,
 * grants (I4), tear-down by the table alone. A model of one owner a frame is kept beside it.
 */
/* sources: mm/frames.c mm/frame_words.c mm/free_map.c tests/unit/harness.c */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/frame_words.h"
#include "mm/frames.h"
#include "mm/spte.h"
#include "tests/unit/harness.h"

#define ARENA (32 << 20)
#define FRAMES (ARENA >> PAGE_SHIFT)

#define R SPTE_READ
#define RW (SPTE_READ | SPTE_WRITE)
#define RWX SPTE_RIGHTS_ALL

static uint8_t *arena;
static void *table;
static uint64_t seed = 88172645463325252;

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

/* A block that is not MIXED is what its words are. */
static void assert_blocks(void)
{
	for (uint64_t frame = 0; frame < FRAMES; frame++) {
		uint32_t block = block_get(frame);

		assert_true(block == WORD_MIXED || block == word_get(frame));
	}
}

static void end(void)
{
	assert_blocks();
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
		assert_true(frames_all(first, count,
				       (struct frame_info){ .owner = 5, .state = FRAME_PRIVATE }));
		assert_false(frames_all(first, count + 1,
					(struct frame_info){ .owner = 5, .state = FRAME_PRIVATE }));
		assert_zero(first.v, count);
	}
	assert_int_equal(frames_count_owner(5), 5 * 3 + 1000);
	assert_int_equal(frames_alloc(0, 1, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 3, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 0, 5, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, 5, FRAME_FREE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, 5, FRAME_ABSENT, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, 5, FRAME_GRANTED, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, 5, FRAME_QUARANTINED, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, OWNER_MAX + 1, FRAME_PRIVATE, &first), -EINVAL);
	assert_int_equal(frames_alloc(1, 1, OWNER_MAX, FRAME_PRIVATE, &first), 0);
	assert_frame(first.v, OWNER_MAX, FRAME_PRIVATE);
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
	assert_int_equal(frames_free(pfn(FRAMES), 1, 0), -EINVAL);
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
	assert_true(frame_change(pfn(a.v + 7),
				 (struct frame_info){ .owner = 1, .state = FRAME_PRIVATE },
				 (struct frame_info){ .owner = 1, .state = FRAME_QUARANTINED }));
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
	struct frame_info ours = { .owner = 4, .state = FRAME_PRIVATE };
	struct frame_info granted = { 4, FRAME_GRANTED, 5, RW };
	struct frame_info other = { .owner = 5, .state = FRAME_PRIVATE };
	struct frame_info none = { .owner = 0, .state = FRAME_FREE };
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
	assert_true(frames_all(pfn(a.v + 700), 1, granted));
	assert_true(frame_change(pfn(a.v + 700), granted, ours));
	assert_true(frames_all(a, 2048, ours));
	end();
}

/* What no word can say is not put into one, and nothing is equal to it. */
static void test_change_refuses_what_cannot_be(void **state)
{
	static const struct frame_info wrong[] = {
		{ 4, FRAME_GRANTED, 0, R },
		{ 4, FRAME_GRANTED, 4, R },
		{ 4, FRAME_GRANTED, OWNER_MAX + 5, R },
		{ 4, FRAME_GRANTED, 5, 0 },
		{ 4, FRAME_GRANTED, 5, SPTE_WRITE },
		{ 4, FRAME_GRANTED, 5, R | 8 },
		{ 0, FRAME_GRANTED, 5, R },
		{ OWNER_MAX + 1, FRAME_PRIVATE, 0, 0 },
		{ 4, FRAME_PRIVATE, 5, 0 },
		{ 4, FRAME_PRIVATE, 0, R },
		{ 4, FRAME_QUARANTINED + 1, 0, 0 },
	};
	struct frame_info ours = { .owner = 4, .state = FRAME_PRIVATE };
	pfn_t a;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(1, 1, 4, FRAME_PRIVATE, &a), 0);
	for (unsigned int i = 0; i < ARRAY_COUNT(wrong); i++) {
		assert_false(frame_change(a, ours, wrong[i]));
		assert_false(frame_change(a, wrong[i], ours));
		assert_false(frames_all(a, 1, wrong[i]));
	}
	assert_true(frames_all(a, 1, ours));
	end();
}

/* I4 as one reads it in the contract, frame by frame. */
static bool model_may_map(uint64_t first, size_t count, owner_t who, unsigned int rights)
{
	for (size_t i = 0; i < count; i++) {
		struct frame_info info = frame_get(pfn(first + i));
		bool own = info.owner == who &&
			   (info.state == FRAME_PRIVATE || info.state == FRAME_GRANTED);

		if (!own && (info.state != FRAME_GRANTED || info.grantee != who ||
			     (info.rights & rights) != rights)) {
			return false;
		}
	}
	return true;
}

static void test_may_map_private(void **state)
{
	pfn_t a, pool;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(1024, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(512, 512, 4, FRAME_POOL, &pool), 0);
	for (size_t count = 1; count <= 1024; count = count == 1 ? 511 : count + 1) {
		assert_true(frames_may_map(a, count, 4, RWX));
		assert_false(frames_may_map(a, count, 5, R));
		assert_false(frames_may_map(a, count, OWNER_MACHINE, 0));
	}
	assert_true(frames_may_map(pfn(a.v + 1), 512, 4, RWX));
	assert_false(frames_may_map(pfn(a.v + 1), 1024, 4, R));
	/* Its pool is its own, but no guest memory. Nobody may map what is free or absent. */
	assert_false(frames_may_map(pool, 1, 4, R));
	assert_false(frames_may_map(pool, 512, 4, R));
	assert_false(frames_may_map(pfn(FRAMES - 512), 512, OWNER_MACHINE, R));
	assert_false(frames_may_map(pfn(FRAMES - 1), 1, OWNER_MACHINE, R));
	assert_false(frames_may_map(pfn(0), 1, OWNER_MACHINE, 0));
	/* Over the end of the table, and wrapping round. */
	assert_false(frames_may_map(pfn(FRAMES), 1, 4, R));
	assert_false(frames_may_map(pfn(FRAMES), 512, 4, R));
	assert_false(frames_may_map(a, SIZE_MAX, 4, R));
	assert_false(frames_may_map(pfn(UINT64_MAX), 2, 4, R));
	end();
}

static void test_may_map_granted(void **state)
{
	pfn_t a;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(2048, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_grant(pfn(a.v + 512), 512, 4, 5, R), 0);
	assert_int_equal(frames_grant(pfn(a.v + 1024), 100, 4, 5, RW), 0);
	assert_int_equal(frames_grant(pfn(a.v + 1124), 100, 4, 6, RWX), 0);
	/* The owner keeps all rights, in one piece. */
	assert_true(frames_may_map(a, 2048, 4, RWX));
	assert_true(frames_may_map(pfn(a.v + 512), 512, 4, RWX));
	assert_true(frames_may_map(pfn(a.v + 512), 1, 4, RWX));
	/* The grantee: what it was granted, no more frames, no more rights. */
	assert_true(frames_may_map(pfn(a.v + 512), 512, 5, R));
	assert_true(frames_may_map(pfn(a.v + 512), 1, 5, R));
	assert_false(frames_may_map(pfn(a.v + 512), 512, 5, RW));
	assert_false(frames_may_map(pfn(a.v + 512), 1, 5, R | SPTE_EXECUTE));
	assert_false(frames_may_map(pfn(a.v + 511), 2, 5, R));
	assert_true(frames_may_map(pfn(a.v + 1024), 100, 5, RW));
	assert_false(frames_may_map(pfn(a.v + 1024), 100, 5, RWX));
	assert_true(frames_may_map(pfn(a.v + 512), 612, 5, R));
	assert_false(frames_may_map(pfn(a.v + 512), 612, 5, RW));
	assert_false(frames_may_map(pfn(a.v + 512), 613, 5, R));
	assert_true(frames_may_map(pfn(a.v + 1124), 100, 6, RWX));
	/* Nobody else, the machine included. */
	assert_false(frames_may_map(pfn(a.v + 512), 1, 6, R));
	assert_false(frames_may_map(pfn(a.v + 512), 1, OWNER_MACHINE, 0));
	end();
}

static void test_grant_rules(void **state)
{
	struct frame_info ours = { .owner = 4, .state = FRAME_PRIVATE };
	struct frame_info granted = { 4, FRAME_GRANTED, 5, R };
	pfn_t a, other, pool;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(700, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(1, 1, 6, FRAME_PRIVATE, &other), 0);
	assert_int_equal(frames_alloc(1, 1, 4, FRAME_POOL, &pool), 0);
	assert_int_equal(frames_grant(a, 0, 4, 5, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, 4, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, OWNER_MACHINE, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, OWNER_MACHINE, 5, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, OWNER_MAX + 1, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, OWNER_MAX + 5, 5, R), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, 5, 0), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, 5, SPTE_WRITE), -EINVAL);
	assert_int_equal(frames_grant(a, 1, 4, 5, R | 8), -EINVAL);
	/* Somebody else's, the machine's, metadata, free, outside: at the end of a good run too. */
	assert_int_equal(frames_grant(other, 1, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(pfn(0), 1, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(pool, 1, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(pfn(FRAMES - 1), 1, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(pfn(FRAMES), 1, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(pfn(UINT64_MAX), 2, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(a, SIZE_MAX, 4, 5, R), -EPERM);
	assert_int_equal(frames_grant(a, 701, 4, 5, R), -EPERM);
	assert_true(frames_all(a, 700, ours));
	assert_int_equal(frames_grant(a, 700, 4, 5, R), 0);
	assert_true(frames_all(a, 700, granted));
	assert_int_equal(frame_get(a).grantee, 5);
	assert_int_equal(frame_get(a).rights, R);
	/* One grantee a frame, and the rights of a grant do not change. */
	assert_int_equal(frames_grant(a, 1, 4, 5, RW), -EPERM);
	assert_int_equal(frames_grant(a, 1, 4, 6, R), -EPERM);
	assert_int_equal(frames_grant(a, 1, 5, 6, R), -EPERM);
	/* While it is granted it does not come back, from either side. */
	assert_int_equal(frames_free(a, 1, 4), -EINVAL);
	assert_int_equal(frames_free(a, 1, 5), -EINVAL);
	assert_int_equal(frames_count_owner(4), 701);
	assert_int_equal(frames_count_owner(5), 0);
	assert_true(frames_all(a, 700, granted));
	end();
}

static void test_revoke_rules(void **state)
{
	struct frame_info ours = { .owner = 4, .state = FRAME_PRIVATE };
	pfn_t a;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(700, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_grant(a, 300, 4, 5, R), 0);
	assert_int_equal(frames_grant(pfn(a.v + 300), 300, 4, 5, RWX), 0);
	assert_int_equal(frames_revoke(a, 0, 4, 5), -EINVAL);
	assert_int_equal(frames_revoke(a, 1, 4, 4), -EINVAL);
	assert_int_equal(frames_revoke(a, 1, 4, 0), -EINVAL);
	assert_int_equal(frames_revoke(a, 1, 4, OWNER_MAX + 6), -EINVAL);
	assert_int_equal(frames_revoke(a, 601, 4, 5), -EPERM);
	assert_int_equal(frames_revoke(a, 600, 4, 6), -EPERM);
	assert_int_equal(frames_revoke(a, 600, 5, 4), -EPERM);
	assert_int_equal(frames_revoke(a, 600, 6, 5), -EPERM);
	assert_int_equal(frames_revoke(pfn(FRAMES), 1, 4, 5), -EPERM);
	assert_true(frames_may_map(a, 600, 5, R));
	/* A part of it, then the rest whatever its rights; the block is of one kind again. */
	assert_int_equal(frames_revoke(pfn(a.v + 10), 5, 4, 5), 0);
	assert_false(frames_may_map(pfn(a.v + 12), 1, 5, R));
	assert_true(frames_may_map(pfn(a.v + 15), 585, 5, R));
	assert_int_equal(frames_revoke(pfn(a.v + 15), 585, 4, 5), 0);
	assert_int_equal(block_get(a.v), WORD_MIXED);
	assert_int_equal(frames_revoke(a, 10, 4, 5), 0);
	assert_int_equal(block_get(a.v), word_make(4, FRAME_PRIVATE));
	assert_true(frames_all(a, 700, ours));
	assert_int_equal(frame_get(a).grantee, 0);
	assert_int_equal(frame_get(a).rights, 0);
	assert_int_equal(frames_free(a, 700, 4), 0);
	end();
}

/* Whole blocks of one kind are known as such, and again when a change at the edge is undone. */
static void test_blocks_are_joined(void **state)
{
	uint32_t ours = word_make(4, FRAME_PRIVATE);
	pfn_t a;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(1536, 512, 4, FRAME_PRIVATE, &a), 0);
	assert_int_equal(block_get(a.v), ours);
	assert_int_equal(block_get(a.v + 1024), ours);
	assert_int_equal(frames_grant(pfn(a.v + 500), 536, 4, 5, R), 0);
	assert_int_equal(block_get(a.v), WORD_MIXED);
	assert_int_equal(block_get(a.v + 512), word_get(a.v + 512));
	assert_int_equal(block_get(a.v + 1024), WORD_MIXED);
	assert_int_equal(frames_revoke(pfn(a.v + 500), 536, 4, 5), 0);
	for (uint64_t i = 0; i < 1536; i += 512) {
		assert_int_equal(block_get(a.v + i), ours);
	}
	end();
}

/* I10: what is still granted may still be mapped; what was granted to the partition stays. */
static void test_release_quarantines_what_is_granted(void **state)
{
	struct frame_stats stats;
	pfn_t a, b;

	(void)state;
	start(FRAMES);
	assert_int_equal(frames_alloc(1500, 512, 1, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(600, 512, 2, FRAME_PRIVATE, &b), 0);
	assert_int_equal(frames_grant(pfn(a.v + 500), 530, 1, 2, RW), 0);
	assert_int_equal(frames_grant(b, 520, 2, 1, RW), 0);
	memset(arena + (a.v + 500) * PAGE_SIZE, 0x66, PAGE_SIZE);
	assert_int_equal(frames_release_owner(1), 1500 - 530);
	assert_true(frames_all(pfn(a.v + 500), 530,
			       (struct frame_info){ .owner = 1, .state = FRAME_QUARANTINED }));
	assert_int_equal(arena[(a.v + 500) * PAGE_SIZE], 0x66);
	assert_int_equal(frames_count_owner(1), 530);
	assert_true(frames_all(b, 520, (struct frame_info){ 2, FRAME_GRANTED, 1, RW }));
	frames_stats(&stats);
	assert_int_equal(stats.quarantined, 530);
	/* They come back only by their owner. */
	assert_int_equal(frames_revoke(b, 520, 2, 1), 0);
	assert_int_equal(frames_release_owner(2), 600);
	/* Quarantined is for good. */
	assert_int_equal(frames_release_owner(1), 0);
	assert_int_equal(frames_free(pfn(a.v + 500), 1, 1), -EINVAL);
	assert_int_equal(frames_revoke(pfn(a.v + 500), 1, 1, 2), -EPERM);
	assert_int_equal(frames_count_owner(1), 530);
	end();
}

static void test_release_by_slices(void **state)
{
	struct frame_stats before, after;
	uint64_t cursor = 0;
	size_t released = 0;
	unsigned int slices = 0;
	pfn_t a, b, c;

	(void)state;
	start(FRAMES);
	frames_stats(&before);
	assert_int_equal(frames_alloc(1500, 512, 1, FRAME_PRIVATE, &a), 0);
	assert_int_equal(frames_alloc(2000, 512, 2, FRAME_PRIVATE, &b), 0);
	assert_int_equal(frames_alloc(300, 1, 1, FRAME_POOL, &c), 0);
	memset(arena + a.v * PAGE_SIZE, 0x55, 1500 * PAGE_SIZE);
	while (cursor != UINT64_MAX) {
		size_t now = frames_release_slice(1, &cursor, 100);

		assert_true(now <= 100);
		released += now;
		/* The rest is its owner's until its turn, and nothing is in between. */
		assert_int_equal(frames_count_owner(1), 1800 - released);
		assert_blocks();
		slices++;
	}
	assert_int_equal(released, 1800);
	assert_in_range(slices, 18, 40);
	assert_zero(a.v, 1500);
	assert_true(frames_all(b, 2000, (struct frame_info){ .owner = 2, .state = FRAME_PRIVATE }));
	/* At the end it stays there. A budget of 0 goes on even so. The machine is no partition. */
	assert_int_equal(frames_release_slice(1, &cursor, 100), 0);
	assert_int_equal(cursor, UINT64_MAX);
	for (cursor = 0, released = 0; cursor != UINT64_MAX;) {
		released += frames_release_slice(2, &cursor, 0);
	}
	assert_int_equal(released, 2000);
	cursor = 0;
	assert_int_equal(frames_release_slice(OWNER_MACHINE, &cursor, 100), 0);
	assert_int_equal(cursor, UINT64_MAX);
	frames_stats(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	end();
}

/* Frames of others cost budget too: a slice does not walk a large machine in one go. */
static void test_slices_are_bounded_by_what_they_look_at(void **state)
{
	uint64_t cursor = 0;
	uint64_t last = 0;
	size_t released = 0;
	pfn_t a;

	(void)state;
	start(FRAMES);
	for (unsigned int i = 0; i < 3000; i++) {
		assert_int_equal(frames_alloc(1, 1, (owner_t)(2 + i % 2), FRAME_PRIVATE, &a), 0);
	}
	assert_int_equal(frames_alloc(2, 1, 1, FRAME_PRIVATE, &a), 0);
	for (; released < 2; last = cursor) {
		released += frames_release_slice(1, &cursor, 2);
		assert_true(cursor > last && cursor - last <= 2 * 512);
	}
	assert_int_equal(frames_count_owner(1), 0);
	end();
}

/* A hole at every second frame: none is lost. */
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

/* A balloon, or a hundred: single frames come and go at random, with a model beside them. */
static void test_single_frames_at_random(void **state)
{
	static pfn_t held[FRAMES];
	static bool taken[FRAMES];
	struct frame_stats before, after;
	size_t count = 0;
	size_t all;

	(void)state;
	start(FRAMES);
	frames_stats(&before);
	all = before.free;
	for (unsigned int step = 0; step < 100000; step++) {
		/* Long waves, so that it runs full and nearly empty. */
		bool take = test_random(&seed) % 100 < (step / 20000 % 2 ? 35u : 75u);

		if (take) {
			int status = frames_alloc(1, 1, 3, FRAME_PRIVATE, &held[count]);

			assert_int_equal(status, count == all ? -ENOMEM : 0);
			if (status == 0) {
				assert_false(taken[held[count].v]);
				taken[held[count].v] = true;
				arena[held[count].v * PAGE_SIZE + step % PAGE_SIZE]++;
				count++;
			}
		} else if (count) {
			size_t which = test_random(&seed) % count;

			assert_int_equal(frames_free(held[which], 1, 3), 0);
			assert_int_equal(frames_free(held[which], 1, 3), -EINVAL);
			taken[held[which].v] = false;
			held[which] = held[--count];
		}
		if (step % 10000 == 0) {
			assert_int_equal(frames_count_owner(3), count);
			assert_blocks();
		}
	}
	assert_int_equal(frames_release_owner(3), count);
	frames_stats(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_zero(16, 984);
	end();
}

/* Against a model with one owner a frame. */
static void test_random_against_a_model(void **state)
{
	static owner_t model[FRAMES];

	(void)state;
	start(FRAMES);
	for (unsigned int step = 0; step < 3000; step++) {
		owner_t owner;
		size_t count;
		pfn_t first;

		test_random(&seed);
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

/* Grants at random; every question must get the answer that the single frames give. */
static void test_random_grants_against_a_model(void **state)
{
	static struct frame_info model[FRAMES];
	pfn_t a;

	(void)state;
	start(FRAMES);
	for (owner_t owner = 1; owner <= 3; owner++) {
		assert_int_equal(frames_alloc(1024, 512, owner, FRAME_PRIVATE, &a), 0);
	}
	for (uint64_t i = 0; i < FRAMES; i++) {
		model[i] = frame_get(pfn(i));
	}
	for (unsigned int step = 0; step < 20000; step++) {
		uint64_t word = test_random(&seed);
		uint64_t first = a.v - 2048 + (word >> 8) % 3072;
		size_t count = word % 3 ? 1 + (word >> 20) % 40 : 512;
		owner_t owner = (owner_t)(1 + (word >> 32) % 3);
		owner_t grantee = (owner_t)(1 + owner % 3);
		unsigned int rights = R | (unsigned int)((word >> 40) % 4) << 1;
		bool grant = word % 2;
		bool good = true;

		first = word % 5 ? first : align_down(first, 512);
		count = MIN(count, a.v + 1024 - first);
		for (size_t i = 0; i < count; i++) {
			struct frame_info *info = &model[first + i];

			good = good && info->owner == owner &&
			       (grant ? info->state == FRAME_PRIVATE
				      : info->state == FRAME_GRANTED && info->grantee == grantee);
		}
		for (size_t i = 0; good && i < count; i++) {
			model[first + i] =
				grant ? (struct frame_info){ owner, FRAME_GRANTED, grantee, rights }
				      : (struct frame_info){ .owner = owner,
							     .state = FRAME_PRIVATE };
		}
		assert_int_equal(grant ? frames_grant(pfn(first), count, owner, grantee, rights)
				       : frames_revoke(pfn(first), count, owner, grantee),
				 good ? 0 : -EPERM);
		for (owner_t who = 0; who <= 4; who++) {
			assert_int_equal(frames_may_map(pfn(first), count, who, rights),
					 model_may_map(first, count, who, rights));
		}
		if (step % 500 == 0) {
			for (uint64_t i = 0; i < FRAMES; i++) {
				struct frame_info info = frame_get(pfn(i));

				assert_int_equal(info.owner, model[i].owner);
				assert_int_equal(info.state, model[i].state);
				assert_int_equal(info.grantee, model[i].grantee);
				assert_int_equal(info.rights, model[i].rights);
			}
			assert_blocks();
		}
	}
	end();
}

/* One CPU: takes, grants, revokes and gives back, in runs that share blocks with the others. */
static void *cpu(void *arg)
{
	owner_t owner = (owner_t)(uintptr_t)arg;
	owner_t grantee = (owner_t)(owner + 10);
	size_t wrong = 0;

	for (unsigned int i = 0; i < 500; i++) {
		size_t count = 1 + (i * 7) % 90;
		pfn_t a;

		if (frames_alloc(count, 1, owner, FRAME_PRIVATE, &a)) {
			continue;
		}
		wrong += !frames_may_map(a, count, owner, RWX);
		wrong += frames_grant(a, count, owner, grantee, R) != 0;
		wrong += !frames_may_map(a, count, grantee, R);
		wrong += frames_free(a, count, owner) != -EINVAL;
		wrong += frames_revoke(a, count, owner, grantee) != 0;
		wrong += frames_may_map(a, 1, grantee, R);
		if (i % 5) {
			wrong += frames_free(a, count, owner) != 0;
		}
		if (i % 50 == 0) {
			frames_release_owner(owner);
		}
	}
	return (void *)wrong;
}

static void test_cpus_at_once(void **state)
{
	struct frame_stats before, after;
	pthread_t threads[2];

	(void)state;
	start(FRAMES);
	frames_stats(&before);
	for (uintptr_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, cpu, (void *)(i + 1)), 0);
	}
	for (unsigned int i = 0; i < 2; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	for (owner_t owner = 1; owner <= 2; owner++) {
		frames_release_owner(owner);
	}
	frames_stats(&after);
	assert_memory_equal(&before, &after, sizeof(before));
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
		cmocka_unit_test(test_change_refuses_what_cannot_be),
		cmocka_unit_test(test_may_map_private),
		cmocka_unit_test(test_may_map_granted),
		cmocka_unit_test(test_grant_rules),
		cmocka_unit_test(test_revoke_rules),
		cmocka_unit_test(test_blocks_are_joined),
		cmocka_unit_test(test_release_quarantines_what_is_granted),
		cmocka_unit_test(test_release_by_slices),
		cmocka_unit_test(test_slices_are_bounded_by_what_they_look_at),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_single_frames_at_random),
		cmocka_unit_test(test_random_against_a_model),
		cmocka_unit_test(test_random_grants_against_a_model),
		cmocka_unit_test(test_cpus_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
