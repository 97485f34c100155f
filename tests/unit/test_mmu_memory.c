/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool runs low, or out: the shrinker, memory that fails at the n-th allocation for every
 * n, and the last pages of a pool in which nothing is left to take back.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_fixture.h"

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

#define RAM 0x40000 /* pfn at 1 GiB, aligned for every leaf */

/* The shrinker: a pool far too small for all mappings at once still serves every fault. */
static void test_small_pool_reclaims(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture_options options = { .format = formats[f], .pool_pages = 24 };
		struct fixture fixture;

		assert_int_equal(fixture_try(&fixture, &options), 0);
		fixture_give(RAM, 0x10000, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 0, 1, 0xf000, RAM, 0), 0);
		for (uint64_t n = 0; n < 500; n++) {
			assert_int_equal(fixture_fault(&fixture, 1 + (n * 7919) % 0xf000, MMU_READ),
					 MMU_FIXED);
			/* Devices all over the place must not eat what memory needs. */
			assert_int_equal(fixture_fault(&fixture, 0x100000 + n * 0x40000, MMU_READ),
					 MMU_MMIO);
			assert_clean(&fixture);
		}
		assert_true(fixture.mmu.stats.reclaimed > 100);
		assert_int_equal(fixture_delete(&fixture, 0), 0);
		assert_clean(&fixture);
		fixture_end(&fixture);
	}
}

/* The shrinker spares a table that the CPU has walked since it last looked. */
static void test_shrinker_prefers_cold_tables(void **state)
{
	struct fixture fixture;
	struct mmu_held held;
	struct table *parent;
	struct mmu_walk walk;
	spte_t link;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 0x1000, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 1, 0xf00, RAM, 0), 0);
	assert_int_equal(fixture_fault(&fixture, 0x1, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&fixture, 0x201, MMU_READ), MMU_FIXED);
	mmu_walk(&fixture.mmu, 0, gpa(0x1000), &walk);
	parent = table_of(&fixture.mmu, hpa_to_pfn(walk.steps[SPTE_LEVELS - 2].sptep));
	held = mmu_lock(&fixture.mmu);
	link = table_get(&fixture.mmu, parent, 0);
	assert_int_equal(
		table_store(held, parent, 0, link, (spte_t){ link.v | ept_format.accessed }), 0);
	assert_true(table_reclaim(held));
	mmu_unlock(held);
	assert_true(fixture_walk(&fixture, 0, 0x1).present);
	assert_false(fixture_walk(&fixture, 0, 0x201).present);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* All tables are hot: a search spares so many, then one goes all the same. */
static void test_shrinker_ends_its_search(void **state)
{
	struct mmu_walk walk;
	struct fixture fixture;
	struct mmu_held held;
	unsigned int hot = 0;

	(void)state;
	fixture_start(&fixture, &npt_format);
	fixture_give(RAM, 0x14000, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 1, 0x14000, RAM, 0), 0);
	for (unsigned int i = 0; i < 0x14000; i += 0x200) {
		assert_int_equal(fixture_fault(&fixture, i + 1, MMU_READ), MMU_FIXED);
		mmu_walk(&fixture.mmu, 0, gpa((i + 1) * PAGE_SIZE), &walk);
		*(spte_t *)hpa_to_ptr(walk.steps[SPTE_LEVELS - 2].sptep) =
			(spte_t){ walk.steps[SPTE_LEVELS - 2].spte | npt_format.accessed };
	}
	held = mmu_lock(&fixture.mmu);
	assert_true(table_reclaim(held));
	mmu_unlock(held);
	for (unsigned int i = 0; i < 0x14000; i += 0x200) {
		mmu_walk(&fixture.mmu, 0, gpa((i + 1) * PAGE_SIZE), &walk);
		hot += (walk.steps[SPTE_LEVELS - 2].spte & npt_format.accessed) != 0;
	}
	assert_int_equal(fixture.mmu.stats.reclaimed, 1);
	assert_int_equal(hot, 0x14000 / 0x200 - 64 - 1);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* A change failed for want of memory at most, and then the slots are the old ones. */
static void step(struct fixture *fixture, const struct memslots *before, int status)
{
	assert_not_bugged(fixture);
	if (status == -ENOMEM) {
		assert_ptr_equal(fixture->mmu.slots, before);
	}
	assert_clean(fixture);
}

#define STEP(fixture, change)                                          \
	do {                                                           \
		const struct memslots *before_ = (fixture)->mmu.slots; \
		step(fixture, before_, change);                        \
	} while (0)

static const uint64_t oom_frames[] = { 0x10, 0x211, 0x40000, 0x40801, 0xfee00, 0x5000000, 0x40400 };

static void faults_for_oom(struct fixture *fixture, unsigned int view, unsigned int access)
{
	for (unsigned int i = 0; i < ARRAY_COUNT(oom_frames); i++) {
		enum mmu_result result = fixture_fault_in(fixture, view, oom_frames[i], access);

		assert_not_bugged(fixture);
		assert_true(result != MMU_STUCK && result != MMU_BUGGED);
	}
	assert_clean(fixture);
}

/* Several views, and their ends in the middle of large leaves. */
static void views_for_oom(struct fixture *fixture)
{
	struct mmu *mmu = &fixture->mmu;
	struct error_text error;

	STEP(fixture, fixture_slot(fixture, 0, 0x10, 0x400, RAM + 1, 0));
	STEP(fixture, fixture_slot(fixture, 1, 0x40000, 0x802, RAM, 0));
	for (unsigned int view = 0; view < 3; view++) {
		faults_for_oom(fixture, view, MMU_READ);
	}
	STEP(fixture, mmu_view_protect(mmu, 1, gfn(0x40123), 0x300, MMU_READ, &error));
	STEP(fixture, mmu_view_protect(mmu, 2, gfn(0x40500), 0x180, 0, &error));
	faults_for_oom(fixture, 1, MMU_WRITE);
	STEP(fixture, mmu_view_protect(mmu, 1, gfn(0), 0x100000, SPTE_RIGHTS_ALL, &error));
	(void)mmu_work(mmu, 100000);
	faults_for_oom(fixture, 0, MMU_READ);
	STEP(fixture, mmu_view_destroy(mmu, 1, &error));
	STEP(fixture, mmu_view_destroy(mmu, 2, &error));
	mmu_zap_all(mmu);
	faults_for_oom(fixture, 0, MMU_WRITE);
	STEP(fixture, fixture_delete(fixture, 1));
	STEP(fixture, fixture_delete(fixture, 0));
}

/* Pages out and in, backing that changes, a dirty log, slots of another shape. */
static void changes_for_oom(struct fixture *fixture)
{
	struct mmu *mmu = &fixture->mmu;
	uint64_t bitmap[0x400 / 64];
	struct error_text error;
	pfn_t frame;

	STEP(fixture, fixture_slot(fixture, 0, 0x10, 0x400, RAM + 1, 0));
	STEP(fixture, fixture_slot(fixture, 1, 0x40000, 0x802, RAM, 0));
	STEP(fixture, fixture_slot(fixture, 2, 0x2000, 0x100, RAM, MEMSLOT_LOG_DIRTY));
	faults_for_oom(fixture, 0, MMU_READ);
	STEP(fixture, mmu_page_remove(mmu, gfn(0x40400), &frame));
	STEP(fixture, mmu_page_remove(mmu, gfn(0x211), &frame));
	STEP(fixture, mmu_page_insert(mmu, gfn(0x211), pfn(RAM + 0x802)));
	faults_for_oom(fixture, 0, MMU_WRITE);
	STEP(fixture, mmu_page_insert(mmu, gfn(0x40400), PFN_LINEAR));
	mmu_invalidate_begin(mmu, gfn(0x40100), 0x123);
	STEP(fixture, mmu_unmap(mmu, gfn(0x40100), 0x123));
	mmu_invalidate_end(mmu, gfn(0x40100), 0x123);
	STEP(fixture, mmu_slot_set_flags(mmu, 0, MEMSLOT_LOG_DIRTY, &error));
	faults_for_oom(fixture, 0, MMU_WRITE);
	STEP(fixture, mmu_dirty_read(mmu, 0, 0, 0x400, bitmap, true));
	STEP(fixture, mmu_slot_set_flags(mmu, 0, 0, &error));
	STEP(fixture, mmu_slot_set_flags(mmu, 1, MEMSLOT_READ_ONLY, &error));
	STEP(fixture, mmu_slot_move(mmu, 1, gfn(0x80000), &error));
	faults_for_oom(fixture, 0, MMU_READ);
	STEP(fixture, mmu_slot_resize(mmu, 1, 0x345, &error));
	faults_for_oom(fixture, 0, MMU_READ);
	(void)mmu_work(mmu, 100000);
	assert_clean(fixture);
	for (unsigned int id = 0; id < 3; id++) {
		STEP(fixture, fixture_delete(fixture, id));
	}
}

/* A leaf of 1 GiB that becomes leaves of 2 MiB and 4 KiB. */
static void huge_leaf_for_oom(struct fixture *fixture)
{
	struct mmu *mmu = &fixture->mmu;
	struct error_text error;
	pfn_t frame;

	STEP(fixture, fixture_slot(fixture, 1, 0x40000, 0x40000, RAM, 0));
	(void)fixture_fault_in(fixture, 1, 0x60400, MMU_WRITE);
	STEP(fixture, mmu_view_protect(mmu, 1, gfn(0x40123), 0x300, MMU_READ, &error));
	(void)fixture_fault(fixture, 0x40124, MMU_READ);
	STEP(fixture, mmu_page_remove(mmu, gfn(0x60400), &frame));
	STEP(fixture, fixture_delete(fixture, 1));
}

/* Memory fails at the n-th allocation, for every n: an error or a detour, never damage. */
static void run_without_memory(void (*steps)(struct fixture *fixture), uint64_t frames)
{
	for (uint64_t n = 1;; n++) {
		struct fixture_options options = { .format = &ept_format,
						   .no_1g = frames < 0x40000,
						   .fail_at = n };
		struct fixture fixture;
		uint64_t left;

		if (fixture_try(&fixture, &options) == 0) {
			fixture_give(RAM, frames, FIXTURE_OWNER);
			steps(&fixture);
		} else {
			assert_true(n < 4);
		}
		left = fixture.pool.fail_at;
		fixture_end(&fixture);
		if (left != 0) {
			assert_true(n > 20);
			return;
		}
	}
}

static void test_out_of_memory_with_views(void **state)
{
	(void)state;
	run_without_memory(views_for_oom, 0x803);
}

static void test_out_of_memory_with_changes(void **state)
{
	(void)state;
	run_without_memory(changes_for_oom, 0x803);
}

static void test_out_of_memory_with_a_huge_leaf(void **state)
{
	(void)state;
	run_without_memory(huge_leaf_for_oom, 0x40000);
}

#define FIRST 0x201 /* gfn of slot 0; not as RAM modulo 2 MiB: 4 KiB leaves */
#define PAGES 0x100

/* Slot 0, a root and nothing else, and so many pages left for everybody. */
static void start_with_pages(struct fixture *fixture, size_t left)
{
	struct mmu *mmu = &fixture->mmu;
	struct error_text error;

	fixture_start(fixture, &ept_format);
	fixture_give(RAM, 2 * PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(fixture, 0, FIRST, PAGES, RAM, 0), 0);
	assert_int_equal(mmu_view_create(mmu, 1, &error), 0);
	assert_int_not_equal(mmu_vcpu_root(&fixture->vcpu).v, 0);
	cache_empty(&fixture->vcpu.cache, &mmu->rmap);
	cache_empty(&mmu->cache, &mmu->rmap);
	while (mmu->rmap.spare) {
		(void)rmap_line_take(&mmu->rmap);
	}
	while (pool_available(&fixture->pool) > left) {
		assert_non_null(pool_alloc_page(&fixture->pool));
	}
}

/*
 * A fault needs three tables, a node of the rmap, and a page to cut up into chain lines. With
 * less nothing is mapped, and what was made on the way is back.
 */
static void test_fault_with_the_last_pages(void **state)
{
	(void)state;
	for (size_t left = 0; left < 12; left++) {
		enum mmu_result expected = left < 5 ? MMU_NO_MEMORY : MMU_FIXED;
		struct fixture fixture;

		start_with_pages(&fixture, left);
		assert_int_equal(fixture_fault(&fixture, FIRST + 7, MMU_WRITE), expected);
		assert_clean(&fixture);
		if (expected == MMU_NO_MEMORY) {
			assert_int_equal(fixture.mmu.stats.tables, 1);
			assert_int_equal(fixture.mmu.rmap.entry_count, 0);
			assert_int_equal(pool_available(&fixture.pool) + fixture.vcpu.cache.count,
					 left ? left - 1 : 0);
		}
		fixture_end(&fixture);
	}
}

static int delete_slot(struct mmu *mmu, struct error_text *error)
{
	return mmu_slot_delete(mmu, 0, error);
}

static int move_slot(struct mmu *mmu, struct error_text *error)
{
	return mmu_slot_move(mmu, 0, gfn(FIRST + 1), error);
}

static int resize_slot(struct mmu *mmu, struct error_text *error)
{
	return mmu_slot_resize(mmu, 0, 2 * PAGES, error);
}

static int protect_slot(struct mmu *mmu, struct error_text *error)
{
	return mmu_slot_set_flags(mmu, 0, MEMSLOT_READ_ONLY, error);
}

static int log_slot(struct mmu *mmu, struct error_text *error)
{
	return mmu_slot_set_flags(mmu, 0, MEMSLOT_LOG_DIRTY, error);
}

static int create_slot(struct mmu *mmu, struct error_text *error)
{
	const struct memslot_config config = { 1, { 0x1000 }, 1, { RAM }, 0 };

	return mmu_slot_create(mmu, &config, error);
}

static int narrow_view(struct mmu *mmu, struct error_text *error)
{
	return mmu_view_protect(mmu, 0, gfn(FIRST), 1, MMU_READ, error);
}

static int destroy_view(struct mmu *mmu, struct error_text *error)
{
	return mmu_view_destroy(mmu, 1, error);
}

/* With a page less than a change needs: an error with a reason, and nothing has changed. */
static void test_changes_with_the_last_pages(void **state)
{
	static const struct {
		int (*change)(struct mmu *mmu, struct error_text *error);
		size_t pages;
	} cases[] = { { delete_slot, 2 },  { move_slot, 2 },   { resize_slot, 2 },
		      { protect_slot, 1 }, { log_slot, 3 },    { create_slot, 1 },
		      { narrow_view, 1 },  { destroy_view, 1 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		for (size_t left = 0; left <= cases[i].pages; left++) {
			const struct memslots *before;
			struct error_text error = { "" };
			struct fixture fixture;
			int status;

			start_with_pages(&fixture, left);
			before = atomic_load(&fixture.mmu.slots);
			status = cases[i].change(&fixture.mmu, &error);
			assert_clean(&fixture);
			if (left == cases[i].pages) {
				assert_int_equal(status, 0);
				assert_ptr_not_equal(atomic_load(&fixture.mmu.slots), before);
			} else {
				assert_int_equal(status, -ENOMEM);
				assert_true(strlen(error.text) > 10);
				assert_ptr_equal(atomic_load(&fixture.mmu.slots), before);
				assert_int_equal(pool_available(&fixture.pool), left);
			}
			fixture_end(&fixture);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_pool_reclaims),
		cmocka_unit_test(test_shrinker_prefers_cold_tables),
		cmocka_unit_test(test_shrinker_ends_its_search),
		cmocka_unit_test(test_out_of_memory_with_views),
		cmocka_unit_test(test_out_of_memory_with_changes),
		cmocka_unit_test(test_out_of_memory_with_a_huge_leaf),
		cmocka_unit_test(test_fault_with_the_last_pages),
		cmocka_unit_test(test_changes_with_the_last_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
