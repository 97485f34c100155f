/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large pages: 2 MiB and 1 GiB leaves, splitting them without an instant at which a mapping
 * is missing, and making them large again. Each store to the tables is followed (store_log.h):
 * after every one, every gfn resolves to its old or to its new mapping.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/store_log.h"

#include "tests/unit/mmu_threads.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define GIB_FRAMES UINT64_C(0x40000)
#define LARGE UINT64_C(0x200) /* frames of 2 MiB */

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

static struct fixture current;
static struct error_text error;

/* Slot 0: 1 GiB and 4 MiB at gfn 1 GiB. */
#define FIRST GIB_FRAMES
#define PAGES (GIB_FRAMES + 2 * LARGE)

static void start(const struct spte_format *format, uint32_t flags)
{
	fixture_start(&current, format);
	fixture_give(RAM, PAGES + 1, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, flags), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

static unsigned int level_at(uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, 0, frame);

	return step.leaf ? step.level : 0;
}

/*
 * What is expected at each instant. Probes are gfns; `may_go` of them lie in the range that
 * is taken out: [gone_first, gone_end).
 */
#define PROBES_MAX 2048

static struct {
	const struct spte_format *format;
	hpa_t root;
	unsigned int probe_count;
	uint64_t probe[PROBES_MAX];
	uint64_t gone_first;
	uint64_t gone_end;
	unsigned int least_rights;
	unsigned int most_rights;
	uint64_t failures;
	uint64_t first_failure; /* gfn */
	uint64_t table_stores;
} watch;

static void watch_probe(uint64_t frame)
{
	struct cpu_walk walk = cpu_walk(watch.format, watch.root, gfn(frame));
	bool may_go = frame >= watch.gone_first && frame < watch.gone_end;
	bool right = walk.mapped && walk.frame.v == RAM + (frame - FIRST) &&
		     (walk.rights & watch.least_rights) == watch.least_rights &&
		     (walk.rights & ~watch.most_rights) == 0;

	if (!right && (walk.mapped || !may_go)) {
		watch.first_failure = watch.failures++ ? watch.first_failure : frame;
	}
}

/* After each store in a page of tables, all gfns are looked up. */
static void watch_store(const uint8_t *address)
{
	size_t page = (size_t)(address - current.pool.base) / PAGE_SIZE;

	if (current.mmu.tables[page].state == TABLE_NONE) {
		return;
	}
	watch.table_stores++;
	for (unsigned int i = 0; i < watch.probe_count; i++) {
		watch_probe(watch.probe[i]);
	}
}

/* Probes: each page of the 2 MiB around `frame`, and one in each 2 MiB of the slot. */
static void watch_start(uint64_t frame, uint64_t gone_first, uint64_t gone_count,
			unsigned int least_rights)
{
	uint64_t first = align_down(frame, LARGE);

	watch.format = current.mmu.config.format;
	watch.root = pfn_to_hpa(table_pfn(&current.mmu, current.mmu.view_root[0]->table));
	watch.gone_first = gone_first;
	watch.gone_end = gone_first + gone_count;
	watch.least_rights = least_rights;
	watch.most_rights = SPTE_RIGHTS_ALL;
	watch.failures = 0;
	watch.table_stores = 0;
	watch.probe_count = 0;
	for (uint64_t i = 0; i < LARGE; i++) {
		watch.probe[watch.probe_count++] = first + i;
	}
	for (uint64_t at = FIRST; at < FIRST + GIB_FRAMES; at += 8 * LARGE) {
		if (at != first) {
			watch.probe[watch.probe_count++] = at + (at / LARGE) % LARGE;
		}
	}
	store_log_start(&current, NULL, watch_store);
}

static void watch_end(uint64_t stores_at_least)
{
	store_log_stop();
	if (watch.failures) {
		fail_msg("%llu wrong, first gfn 0x%llx", (unsigned long long)watch.failures,
			 (unsigned long long)watch.first_failure);
	}
	/* The log saw something. */
	assert_true(watch.table_stores >= stores_at_least);
}

/* A page goes out of a 1 GiB leaf: two splits, and nothing else is ever without its mapping. */
static void test_split_for_a_page(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t frame = FIRST + 5 * LARGE + 77;
		pfn_t page;

		start(formats[f], 0);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(frame), 3);
		watch_start(frame, frame, 1, SPTE_RIGHTS_ALL);
		assert_int_equal(mmu_page_remove(&current.mmu, gfn(frame), &page), 0);
		watch_end(2 * SPTE_PER_TABLE + 2);
		assert_int_equal(page.v, RAM + (frame - FIRST));
		assert_int_equal(level_at(frame), 0);
		assert_int_equal(level_at(frame + 1), 1);
		assert_int_equal(level_at(frame + LARGE), 2);
		assert_int_equal(current.mmu.stats.splits, 2);
		assert_clean(&current);
		assert_int_equal(fixture_fault(&current, frame, MMU_READ), MMU_ABSENT);
		end();
	}
}

/* A range across three 2 MiB pages: the ends are split, the middle goes whole. */
static void test_split_at_both_ends(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t from = FIRST + 8 * LARGE + 100;
		uint64_t count = 2 * LARGE;

		start(formats[f], 0);
		assert_int_equal(fixture_fault(&current, from, MMU_WRITE), MMU_FIXED);
		mmu_invalidate_begin(&current.mmu, gfn(from), count);
		watch_start(from, from, count, SPTE_RIGHTS_ALL);
		assert_int_equal(mmu_unmap(&current.mmu, gfn(from), count), 0);
		watch_end(3 * SPTE_PER_TABLE);
		mmu_invalidate_end(&current.mmu, gfn(from), count);
		assert_int_equal(level_at(from - 1), 1);
		assert_int_equal(level_at(from), 0);
		assert_int_equal(level_at(from + LARGE), 0);
		assert_int_equal(level_at(from + count - 1), 0);
		assert_int_equal(level_at(from + count), 1);
		assert_int_equal(level_at(FIRST), 2);
		assert_clean(&current);
		assert_int_equal(fixture_fault(&current, from + LARGE, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(from + LARGE), 2);
		end();
	}
}

/* A range that ends where large leaves do splits none. */
static void test_whole_leaves_are_not_split(void **state)
{
	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_fault(&current, FIRST + GIB_FRAMES, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + GIB_FRAMES + LARGE, MMU_WRITE), MMU_FIXED);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + GIB_FRAMES), LARGE);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(FIRST + GIB_FRAMES), LARGE), 0);
	mmu_invalidate_end(&current.mmu, gfn(FIRST + GIB_FRAMES), LARGE);
	assert_int_equal(level_at(FIRST + GIB_FRAMES), 0);
	assert_int_equal(level_at(FIRST + GIB_FRAMES + LARGE), 2);
	assert_int_equal(current.mmu.stats.splits, 0);
	end();
}

/*
 * Dirty logging: the 1 GiB leaf loses the right to write, and is split by the first write.
 * Then a write to one page makes that page writable and no other.
 */
static void test_split_for_the_dirty_log(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t frame = FIRST + 5 * LARGE + 77;
		uint64_t bitmap[LARGE / 64];

		start(formats[f], 0);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		watch_start(frame, 0, 0, SPTE_READ | SPTE_EXECUTE);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
		watch_end(1);
		assert_int_equal(level_at(frame), 3);
		assert_clean(&current);
		watch_start(frame, 0, 0, SPTE_READ | SPTE_EXECUTE);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		watch_end(2 * SPTE_PER_TABLE + 3);
		assert_int_equal(level_at(frame), 1);
		assert_true(fixture_walk(&current, 0, frame).spte & SPTE_WRITABLE);
		assert_false(fixture_walk(&current, 0, frame + 1).spte & SPTE_WRITABLE);
		assert_clean(&current);
		assert_int_equal(mmu_dirty_read(&current.mmu, 0, 5 * LARGE, LARGE, bitmap, true),
				 0);
		for (unsigned int i = 0; i < ARRAY_COUNT(bitmap); i++) {
			assert_int_equal(bitmap[i], i == 1 ? BIT(77 - 64) : 0);
		}
		end();
	}
}

/* A view write-protects one page under a large leaf: only its own tables are split. */
static void test_split_for_a_view(void **state)
{
	uint64_t frame = FIRST + 3 * LARGE + 9;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_fault_in(&current, 1, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault_in(&current, 0, frame, MMU_WRITE), MMU_FIXED);
	watch_start(frame, frame, 1, SPTE_RIGHTS_ALL);
	assert_int_equal(mmu_view_protect(&current.mmu, 0, gfn(frame), 1, MMU_READ, &error), 0);
	watch_end(2 * SPTE_PER_TABLE);
	assert_int_equal(fixture_walk(&current, 1, frame).level, 3);
	assert_int_equal(fixture_fault(&current, frame, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_DENIED);
	assert_int_equal(level_at(frame + 1), 1);
	end();
}

/*
 * The n-th allocation fails: the page is out, or all is as before. The slot begins in the
 * middle of nothing, so that its rmap needs more memory when half of the new leaves are made.
 */
static void test_split_without_memory(void **state)
{
	uint64_t frame = FIRST + 3 * LARGE + 9;
	unsigned int n;

	(void)state;
	for (n = 1;; n++) {
		enum mmu_result expected;
		pfn_t page;
		int status;

		fixture_start(&current, &npt_format);
		fixture_give(RAM - 0x80, PAGES, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&current, 0, FIRST - 0x80, PAGES, RAM - 0x80, 0), 0);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(frame), 3);
		current.pool.fail_at = n;
		status = mmu_page_remove(&current.mmu, gfn(frame), &page);
		assert_true(status == 0 || status == -ENOMEM);
		assert_clean(&current);
		expected = level_at(frame) ? MMU_RETRY : MMU_FIXED;
		assert_int_equal(fixture_fault(&current, frame, MMU_READ),
				 status == 0 ? MMU_ABSENT : expected);
		assert_clean(&current);
		if (status == 0 && current.pool.fail_at != 0) {
			break;
		}
		fixture_end(&current);
		assert_in_range(n, 1, 40);
	}
	assert_true(n > 6);
	fixture_end(&current);
}

/* As test_split_without_memory(), but what is in the rmap by then is damaged. */
static void damage_during_split(void)
{
	struct rmap_path path;

	assert_int_equal(rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				   gfn(FIRST + 3 * LARGE), 2, &path),
			 RMAP_OK);
	*path.head = 0;
	while (pool_alloc_page(&current.pool)) {
	}
}

/* A split that failed half-way cannot be taken back: -EIO, not "no memory", and no retry. */
static void test_split_that_cannot_be_undone(void **state)
{
	uint64_t frame = FIRST + 3 * LARGE + 9;
	pfn_t page;

	(void)state;
	fixture_start(&current, hook_format(&npt_format));
	fixture_give(RAM - 0x80, PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST - 0x80, PAGES, RAM - 0x80, 0), 0);
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(level_at(frame), 3);
	hook_set(HOOK_MAKE_LEAF, damage_during_split);
	hook.skip = 100;
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(frame), &page), -EIO);
	assert_int_equal(hook.place, HOOK_NONE);
	assert_int_equal(fixture_rule(&current), RULE_I1);
	assert_int_equal(current.mmu.stats.splits, 0);
	assert_int_equal(level_at(frame), 3);
	fixture_end(&current);
}

/* V2: no large leaf reaches into a range whose backing is being changed. */
static void test_no_large_leaf_into_an_invalidation(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t frame = FIRST + 5 * LARGE + 77;

		start(formats[f], 0);
		mmu_invalidate_begin(&current.mmu, gfn(frame), 1);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_RETRY);
		assert_int_equal(fixture_fault(&current, frame + 1, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(frame + 1), 1);
		assert_int_equal(fixture_fault(&current, frame + LARGE, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(frame + LARGE), 2);
		assert_int_equal(level_at(frame), 0);
		mmu_invalidate_end(&current.mmu, gfn(frame), 1);
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		end();
	}
}

static void work(void)
{
	unsigned int turns = 0;

	while (mmu_work(&current.mmu, SPTE_PER_TABLE)) {
		assert_clean(&current);
		assert_in_range(++turns, 1, 2000);
	}
}

/* Logging is over: what was split becomes large again, in bounded turns. */
static void test_collapse_after_the_dirty_log(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t frame = FIRST + 5 * LARGE + 77;

		start(formats[f], MEMSLOT_LOG_DIRTY);
		for (uint64_t i = 0; i < 16; i++) {
			assert_int_equal(fixture_fault(&current, frame + i * LARGE, MMU_WRITE),
					 MMU_FIXED);
			assert_int_equal(level_at(frame + i * LARGE), 1);
		}
		/* While the cause is there, nothing collapses. */
		work();
		assert_int_equal(level_at(frame), 1);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
		work();
		assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
		assert_int_equal(level_at(frame), 3);
		assert_int_equal(current.mmu.stats.collapses, 1);
		assert_clean(&current);
		assert_int_equal(mmu_work(&current.mmu, 1), false);
		end();
	}
}

/* At each store of a collapse a gfn has its mapping or none, never a wrong one. */
static void test_collapse_is_never_wrong(void **state)
{
	uint64_t frame = FIRST + GIB_FRAMES + 77;

	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, frame + 1, MMU_READ), MMU_FIXED);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
	watch_start(frame, FIRST, PAGES, SPTE_READ | SPTE_EXECUTE);
	work();
	watch_end(2);
	current.flush_count = 0;
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(level_at(frame), 2);
	end();
}

/* A view's range was the cause; it collapses in that view when the range is lifted. */
static void test_collapse_after_a_view_is_wide_again(void **state)
{
	uint64_t frame = FIRST + 3 * LARGE + 9;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(mmu_view_protect(&current.mmu, 0, gfn(frame), 1, 0, &error), 0);
	work();
	assert_int_equal(level_at(frame + 1), 1);
	assert_int_equal(level_at(FIRST), 2);
	assert_int_equal(mmu_view_protect(&current.mmu, 0, gfn(frame), 1, SPTE_RIGHTS_ALL, &error),
			 0);
	work();
	assert_int_equal(fixture_fault(&current, frame, MMU_WRITE), MMU_FIXED);
	assert_int_equal(level_at(frame), 3);
	end();
}

/*
 * 1 TiB of gfns: 16 slots of 64 GiB, all backed by the same 64 GiB of frames, so that the
 * frame table, which is not the partition's, stays small.
 */
#define BIG_SLOT (64 * GIB_FRAMES)
#define BIG_POOL 3584

static void start_tebibyte(bool no_1g)
{
	struct fixture_options options = {
		.format = &ept_format, .maxphyaddr = 46, .no_1g = no_1g, .pool_pages = BIG_POOL
	};

	assert_int_equal(fixture_try(&current, &options), 0);
	fixture_frames(&current, GIB_FRAMES + BIG_SLOT);
	words_set(GIB_FRAMES, GIB_FRAMES + BIG_SLOT, word_make(FIXTURE_OWNER, FRAME_PRIVATE));
	for (unsigned int i = 0; i < MEMSLOTS_MAX; i++) {
		assert_int_equal(
			fixture_slot(&current, i, (1 + i) * BIG_SLOT, BIG_SLOT, GIB_FRAMES, 0), 0);
	}
}

/* Section 7: metadata below 0.01 % of memory that is mapped with large pages. */
static void test_metadata_of_a_tebibyte(void **state)
{
	const uint64_t limit = MEMSLOTS_MAX * BIG_SLOT / 10000;

	(void)state;
	for (unsigned int level = 2; level <= 3; level++) {
		uint64_t leaves = 0;
		size_t idle;

		start_tebibyte(level == 2);
		idle = current.pool.used_count;
		for (uint64_t i = 0; i < MEMSLOTS_MAX * BIG_SLOT; i += level_frames(level)) {
			leaves += fixture_fault(&current, BIG_SLOT + i, MMU_WRITE) == MMU_FIXED;
		}
		assert_int_equal(leaves, MEMSLOTS_MAX * BIG_SLOT / level_frames(level));
		/* Without a limit of its own the pool would do: it is smaller than the limit. */
		assert_true(BIG_POOL < limit);
		assert_true(current.pool.used_count - idle <
			    (level == 3 ? limit / 500 : limit / 10));
		fixture_end(&current);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_for_a_page),
		cmocka_unit_test(test_split_at_both_ends),
		cmocka_unit_test(test_whole_leaves_are_not_split),
		cmocka_unit_test(test_split_for_the_dirty_log),
		cmocka_unit_test(test_split_for_a_view),
		cmocka_unit_test(test_split_without_memory),
		cmocka_unit_test(test_split_that_cannot_be_undone),
		cmocka_unit_test(test_no_large_leaf_into_an_invalidation),
		cmocka_unit_test(test_collapse_after_the_dirty_log),
		cmocka_unit_test(test_collapse_is_never_wrong),
		cmocka_unit_test(test_collapse_after_a_view_is_wide_again),
		cmocka_unit_test(test_metadata_of_a_tebibyte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
