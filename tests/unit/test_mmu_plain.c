/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The short way that nearly every fault goes (mm/fault_plain.c), and what must keep a fault off
 * it. Each time a fault of before has left behind all that the short way believes, the table,
 * the slot, the node of the rmap; then one of them is not what it was.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_fixture.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define PAGES 0x800
#define FIRST 0x10001 /* gfn: not as RAM modulo 2 MiB, so that leaves are small */
#define SHORT 0x10    /* pages of slot 0 where there is a slot 1 */

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

static struct fixture current;
static struct mmu_vcpu other;

static void start(const struct spte_format *format)
{
	other = (struct mmu_vcpu){ 0 };
	fixture_start(&current, format);
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

/* Slot 0, and two faults in it: the second one knows its way. */
static void start_warm(const struct spte_format *format, uint64_t pages, uint32_t flags)
{
	start(format);
	assert_int_equal(fixture_slot(&current, 0, FIRST, pages, RAM, flags), 0);
	if (!(flags & MEMSLOT_ABSENT)) {
		assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_READ), MMU_FIXED);
	}
}

static struct table *table_over(unsigned int view, uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, view, frame);

	return table_of(&current.mmu, hpa_to_pfn(step.sptep));
}

static uint64_t mapped_pfn(unsigned int view, uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, view, frame);

	return step.leaf ? spte_pfn((spte_t){ step.spte }).v : 0;
}

static void unmap(uint64_t frame)
{
	mmu_invalidate_begin(&current.mmu, gfn(frame), 1);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(frame), 1), 0);
	mmu_invalidate_end(&current.mmu, gfn(frame), 1);
}

/* Nothing keeps it off: what it maps is what any fault maps, at each level, and is counted. */
static void test_plain_faults(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		start_warm(formats[f], PAGES / 2, 0);
		assert_int_equal(fixture_slot(&current, 1, 0x20000, PAGES / 2, RAM + PAGES / 2, 0),
				 0);
		for (uint64_t i = 2; i < 0x1ff; i++) {
			assert_int_equal(fixture_fault(&current, FIRST + i, MMU_WRITE), MMU_FIXED);
			assert_int_equal(mapped_pfn(0, FIRST + i), RAM + i);
		}
		assert_int_equal(fixture_fault(&current, 0x20000, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_fault(&current, 0x20234, MMU_WRITE), MMU_FIXED);
		assert_int_equal(mapped_pfn(0, 0x20234), RAM + PAGES / 2 + 0x200);
		assert_int_equal(current.mmu.stats.fixed[0], 0x1ff);
		assert_int_equal(current.mmu.stats.fixed[1], 2);
		assert_int_equal(current.mmu.rmap.entry_count, 0x201);
		end();
	}
}

/* I6: the vCPU has not asked for another root yet. */
static void test_root_is_invalid(void **state)
{
	(void)state;
	start_warm(&ept_format, PAGES, 0);
	mmu_zap_all(&current.mmu);
	atomic_store(&current.vcpu.stale, false);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_RETRY);
	assert_int_equal(current.mmu.rmap.entry_count, 2);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
	end();
}

/* I14: the table went back to the pool; the rmap's node is still there for a page beside it. */
static void test_table_is_gone(void **state)
{
	const struct table *table;

	(void)state;
	start_warm(&npt_format, PAGES, 0);
	assert_int_equal(fixture_fault(&current, FIRST + 0x1ff, MMU_READ), MMU_FIXED);
	unmap(FIRST + 1);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_RETRY);
	table = current.vcpu.last_table;
	unmap(FIRST);
	assert_int_equal(table->state, TABLE_NONE);
	assert_ptr_equal(current.vcpu.last_table, table);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
	assert_int_equal(mapped_pfn(0, FIRST + 2), RAM + 2);
	end();
}

/* I14: it came back out, for the same pages in another view. */
static void test_table_is_another_views(void **state)
{
	struct error_text error;
	struct table *table;

	(void)state;
	start_warm(&ept_format, PAGES, 0);
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
	assert_int_equal(mmu_view_switch(&other, 1), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 0x1ff, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault_of(&other, FIRST + 0x1ff, MMU_READ), MMU_FIXED);
	unmap(FIRST + 1);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_RETRY);
	table = current.vcpu.last_table;
	/* It will be the only page in the pool. */
	cache_empty(&other.cache, &current.mmu.rmap);
	while (pool_alloc_page(&current.pool)) {
	}
	unmap(FIRST);
	assert_int_equal(fixture_fault_of(&other, FIRST + 3, MMU_READ), MMU_FIXED);
	assert_ptr_equal(table_over(1, FIRST + 3), table);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
	assert_int_equal(mapped_pfn(0, FIRST + 2), RAM + 2);
	assert_int_equal(mapped_pfn(1, FIRST + 2), 0);
	end();
}

/* I12: the page is in the next slot, which begins under the same table. */
static void test_page_is_in_another_slot(void **state)
{
	(void)state;
	start_warm(&npt_format, SHORT, 0);
	assert_int_equal(fixture_slot(&current, 1, FIRST + SHORT, PAGES / 2, RAM + PAGES / 2, 0),
			 0);
	/* The change has not made the slot's place another one. */
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + SHORT + 3, MMU_READ), MMU_FIXED);
	assert_int_equal(mapped_pfn(0, FIRST + SHORT + 3), RAM + PAGES / 2 + 3);
	end();
}

/* I11, M rules: read-only, write-protected while it is clean, not there yet. */
static void test_slot_has_flags(void **state)
{
	static const struct {
		uint32_t flags;
		enum mmu_result result; /* of a write */
	} cases[] = { { MEMSLOT_READ_ONLY, MMU_READ_ONLY },
		      { MEMSLOT_LOG_DIRTY, MMU_FIXED },
		      { MEMSLOT_ABSENT, MMU_ABSENT } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		uint64_t bitmap = 0;

		start_warm(&ept_format, PAGES, cases[i].flags);
		assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_WRITE), cases[i].result);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 2).leaf,
				 cases[i].result == MMU_FIXED);
		if (cases[i].flags & MEMSLOT_LOG_DIRTY) {
			assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, &bitmap, false), 0);
			assert_int_equal(bitmap, BIT(2));
		}
		end();
	}
}

/* I12: the last leaf was a large one, and the slot ends in the middle of the next. */
static void test_slot_ends_in_a_large_leaf(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		start(formats[f]);
		assert_int_equal(fixture_slot(&current, 0, 0x20000, 0x410, RAM, 0), 0);
		assert_int_equal(fixture_fault(&current, 0x20000, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_fault(&current, 0x20200, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, 0x20200).level, 2);
		assert_int_equal(fixture_fault(&current, 0x20405, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, 0x20405).level, 1);
		end();
	}
}

/* I4: the frame is somebody else's by now; alone, and in the middle of a large leaf. */
static void test_frame_is_lost(void **state)
{
	const struct frame_info ours = { .owner = FIXTURE_OWNER, .state = FRAME_PRIVATE };
	const struct frame_info theirs = { .owner = FIXTURE_OWNER + 1, .state = FRAME_PRIVATE };

	(void)state;
	for (unsigned int large = 0; large < 2; large++) {
		uint64_t page = large ? 0x20200 : FIRST + 2;
		uint64_t lost = RAM + (large ? 0x234 : 2);

		if (large) {
			start(&ept_format);
			assert_int_equal(fixture_slot(&current, 0, 0x20000, PAGES, RAM, 0), 0);
			assert_int_equal(fixture_fault(&current, 0x20000, MMU_READ), MMU_FIXED);
		} else {
			start_warm(&ept_format, PAGES, 0);
		}
		assert_true(frame_change(pfn(lost), ours, theirs));
		assert_int_equal(fixture_fault(&current, page, MMU_READ), MMU_BUGGED);
		assert_int_equal(fixture_rule(&current), RULE_I4);
		assert_false(fixture_walk(&current, 0, page).leaf);
		fixture_end(&current);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_faults),
		cmocka_unit_test(test_root_is_invalid),
		cmocka_unit_test(test_table_is_gone),
		cmocka_unit_test(test_table_is_another_views),
		cmocka_unit_test(test_page_is_in_another_slot),
		cmocka_unit_test(test_slot_has_flags),
		cmocka_unit_test(test_slot_ends_in_a_large_leaf),
		cmocka_unit_test(test_frame_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
