/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What table_store() forbids, rule by rule: each transition, from a state in which nothing else
 * is wrong. And the rules of roots. Damage that something runs into is test_mmu_damage.c.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_damage.h"

/* Stores `value` for `frame` at `level` and checks that exactly this rule forbade it. */
static void expect_rule(uint64_t frame, unsigned int level, spte_t value, enum rule rule)
{
	struct table *table = table_at(&current, frame, level);
	unsigned int index = level_index(gfn(frame), level);
	spte_t before = table_get(&current.mmu, table, index);

	assert_int_equal(table_store(held(), table, index, before, value), -EIO);
	if (fixture_rule(&current) != rule) {
		fail_msg("%s instead of %s: %s", rule_name(fixture_rule(&current)), rule_name(rule),
			 bug_first(&current.bug)->detail.text);
	}
	assert_int_equal(bug_first(&current.bug)->detail.gfn, frame);
	assert_int_equal(table_get(&current.mmu, table, index).v, before.v);
	fixture_end(&current);
}

static void test_forbidden_stores(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		const struct spte_format *format = formats[f];
		struct table *made;
		spte_t mmio;

		start_mapped(&current, format);
		expect_rule(0x401, 1, leaf(&current, RAM + 1, 1, 0), RULE_I15);
		start_mapped(&current, format);
		mmio = format->make_mmio(gfn(0x401), MMU_READ, current.mmu.slots->generation, 40);
		expect_rule(0x401, 1, mmio, RULE_I15);
		start_mapped(&current, format);
		expect_rule(0x1000, 2, spte_table(format, pfn(0x100)), RULE_I15);
		start_mapped(&current, format);
		expect_rule(0x400, 2, leaf(&current, RAM + 0x200, 2, 0), RULE_I12);
		start_mapped(&current, format);
		expect_rule(0x400, 2, spte_table(format, pfn(0x101)), RULE_I14);
		start_mapped(&current, format);
		expect_rule(0x403, 1, leaf(&current, FOREIGN, 1, 0), RULE_I4);
		start_mapped(&current, format);
		expect_rule(0x1200, 2, leaf(&current, FOREIGN, 2, 1), RULE_I4);
		start_mapped(&current, format);
		expect_rule(0x403, 1, leaf(&current, RAM + 3, 1, 0), RULE_I2);
		start_mapped(&current, format);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 9), RULE_I13);
		start_mapped(&current, format);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 1), RULE_I12);
		start_mapped(&current, format);
		expect_rule(0x600, 2, leaf(&current, RAM + 0x200, 2, 0), RULE_I12);
		start_mapped(&current, format);
		expect_rule(0x403, 1, (spte_t){ leaf(&current, RAM + 2, 1, 0).v | BIT(45) },
			    RULE_I3);
		start_mapped(&current, format);
		expect_rule(0x1200, 2, leaf(&current, RAM + 0x1202, 2, 1), RULE_I3);
		start_mapped(&current, format);
		expect_rule(0x403, 1, (spte_t){ 1 }, RULE_I3);
		start_mapped(&current, format);
		assert_int_equal(fixture_fault(&current, 0x801, MMU_READ), MMU_FIXED);
		expect_rule(0x800, 1, leaf(&current, RAM + 0x800, 1, 2), RULE_I11);
		start_mapped(&current, format);
		mmio = format->make_mmio(gfn(0x403), MMU_READ, current.mmu.slots->generation, 40);
		expect_rule(0x403, 1, mmio, RULE_I8);
		start_mapped(&current, format);
		mmio = format->make_mmio(gfn(0x400), MMU_READ, current.mmu.slots->generation - 1,
					 40);
		expect_rule(0x400, 1, mmio, RULE_I8);
		start_mapped(&current, format);
		mmio = format->make_mmio(gfn(0x3ff), MMU_READ, current.mmu.slots->generation, 40);
		expect_rule(0x400, 1, mmio, RULE_I8);
		start_mapped(&current, format);
		expect_rule(0x400, 2, (spte_t){ 0 }, RULE_I5);
		start_mapped(&current, format);
		expect_rule(0xa00, 2, spte_table(format, pfn(5)), RULE_I14);
		start_mapped(&current, format);
		made = table_alloc(held(), table_at(&current, 0xa00, 2)->role - 1, gfn(0xa00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I5);
		start_mapped(&current, format);
		made = table_alloc(held(), table_at(&current, 0xa00, 2)->role - 2, gfn(0xa00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I14);
		start_mapped(&current, format);
		made = table_alloc(held(), table_at(&current, 0xa00, 2)->role - 1, gfn(0xc00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I13);
		start_mapped(&current, format);
		root_invalidate(held(), current.mmu.view_root[0]);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I6);
		start_mapped(&current, format);
		table_at(&current, 0x403, 1)->state = TABLE_RETIRED;
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I14);
	}
}

/* I12 where nothing else is wrong: 4 KiB leaves are there, the slot would allow 2 MiB. */
static void test_large_leaf_over_small_ones(void **state)
{
	(void)state;
	fixture_start(&current, &ept_format);
	fixture_give(RAM, 0x400, FIXTURE_OWNER);
	assert_int_equal(fixture_fault(&current, 0x201, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_slot(&current, 0, 0x200, 0x400, RAM, 0), 0);
	assert_int_equal(fixture_fault(&current, 0x205, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_walk(&current, 0, 0x205).level, 1);
	assert_clean(&current);
	expect_rule(0x200, 2, leaf(&current, RAM, 2, 0), RULE_I12);
}

/* Table pages that are where they cannot be, and leaves that go although they are wrong. */
static void test_wrong_removals(void **state)
{
	struct table *table;
	spte_t spte;

	(void)state;
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	pool_free_page(&current.pool, table_entries(&current.mmu, table));
	assert_null(table_alloc(held(), table->role, gfn(0)));
	assert_int_equal(fixture_rule(&current), RULE_I14);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	table_free(held(), table);
	assert_int_equal(fixture_rule(&current), RULE_I5);
	assert_int_equal(table->state, TABLE_LINKED);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	inject(MMU_INJECT_SLOT_GONE, 0x401);
	mmu_zap_all(&current.mmu);
	(void)fixture_fault(&current, 0x800, MMU_READ);
	while (mmu_work(&current.mmu, 100)) {
	}
	assert_int_equal(fixture_rule(&current), RULE_I1);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	spte = table_get(&current.mmu, table, 1);
	table_damage(held(), table, 1, (spte_t){ spte.v + 9 * PAGE_SIZE });
	assert_int_equal(fixture_delete(&current, 0), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I2);
	fixture_end(&current);
}

/* A child of the table over gfn 0x1000's large leaf, full of leaves as a split makes them. */
static struct table *full_child(struct entry large)
{
	struct table *child = table_alloc(held(), large.table->role - 1, gfn(0x1000));

	assert_non_null(child);
	for (unsigned int i = 0; i < SPTE_PER_TABLE; i++) {
		table_damage(held(), child, i, leaf(&current, RAM + 0x1000 + i, 1, 1));
	}
	child->count = SPTE_PER_TABLE;
	return child;
}

/* I15: a table takes the place of a leaf only if it maps the same, page by page. */
static void test_split_that_maps_something_else(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		const spte_t wrong[] = {
			spte_leaf(&ept_format, pfn(RAM + 0x1000), 1, SPTE_RIGHTS_ALL, 1), { 0 },
			spte_leaf(&ept_format, pfn(RAM + 0x1008), 1, SPTE_RIGHTS_ALL, 2), { 0 },
			spte_leaf(&ept_format, pfn(RAM + 0x1008), 1, SPTE_RIGHTS_ALL, 1),
		};
		struct entry large;
		struct table *child;

		start_mapped(&current, &ept_format);
		large = entry_at(0x1000, 2);
		child = full_child(large);
		if (i == 3) {
			/* The large leaf is read-only, and its parts are not. */
			large.spte.v &= ~SPTE_WRITABLE;
			damage(large, large.spte.v);
		} else {
			table_damage(held(), child, 8, wrong[i]);
			child->count -= i == 4;
		}
		assert_int_equal(
			table_store(held(), large.table, large.index, large.spte,
				    spte_table(&ept_format, table_pfn(&current.mmu, child))),
			-EIO);
		assert_int_equal(fixture_rule(&current), RULE_I15);
		assert_int_equal(entry_at(0x1000, 2).spte.v, large.spte.v);
		fixture_end(&current);
	}
}

/* I2 where pages are not at the slot's own frames; I11 under a view, and in a logged slot. */
static void test_forbidden_leaves(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		const struct spte_format *format = formats[f];
		struct error_text error;
		pfn_t frame;

		start_mapped(&current, format);
		assert_int_equal(mmu_page_remove(&current.mmu, gfn(0x403), &frame), 0);
		assert_int_equal(frame.v, RAM + 2);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I2);
		start_mapped(&current, format);
		assert_int_equal(mmu_page_remove(&current.mmu, gfn(0x1234), &frame), 0);
		expect_rule(0x1200, 2, leaf(&current, RAM + 0x1200, 2, 1), RULE_I2);
		start_mapped(&current, format);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I11);
		start_mapped(&current, format);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 1, MEMSLOT_LOG_DIRTY, &error), 0);
		expect_rule(0x1200, 2, leaf(&current, RAM + 0x1200, 2, 1), RULE_I11);
		start_mapped(&current, format);
		assert_int_equal(mmu_view_protect(&current.mmu, 0, gfn(0x403), 1,
						  SPTE_READ | SPTE_WRITE, &error),
				 0);
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I11);
		start_mapped(&current, format);
		assert_int_equal(
			mmu_view_protect(&current.mmu, 0, gfn(0x1234), 1, SPTE_READ, &error), 0);
		expect_rule(0x1200, 2, leaf(&current, RAM + 0x1200, 2, 1), RULE_I11);
		start_mapped(&current, format);
		current.mmu.slots->slot[0].flags |= (uint32_t)MEMSLOT_INVALID;
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I13);
		start_mapped(&current, format);
		table_at(&current, 0x403, 1)->count = SPTE_PER_TABLE;
		expect_rule(0x403, 1, leaf(&current, RAM + 2, 1, 0), RULE_I5);
	}
}

/* I6: under an invalid root rights can go, and marks, but nothing comes. */
static void test_stores_under_an_invalid_root(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct entry entry;
		spte_t narrow;

		start_mapped(&current, formats[f]);
		entry = entry_at(0x401, 1);
		narrow = (spte_t){ entry.spte.v & ~SPTE_WRITABLE };
		current.mmu.view_root[0]->valid = false;
		assert_int_equal(table_store(held(), entry.table, entry.index, entry.spte, narrow),
				 0);
		current.mmu.view_root[0]->valid = true;
		table_flush(held());
		assert_clean(&current);
		current.mmu.view_root[0]->valid = false;
		expect_rule(0x401, 1, entry.spte, RULE_I6);
	}
}

/*
 * Rights are about to be taken from a large leaf that is there, when it must be split: what a
 * part of it gets is what it had, and no more.
 */
static void test_split_while_rights_go(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct entry large;

		start_mapped(&current, &npt_format);
		large = entry_at(0x1000, 2);
		if (i == 0) {
			current.mmu.slots->slot[2].flags |= (uint32_t)MEMSLOT_READ_ONLY;
		} else if (i == 1) {
			current.mmu.slots->slot[2].flags |= (uint32_t)MEMSLOT_INVALID;
		} else {
			current.mmu.slots->limited_views = 1;
			current.mmu.slots->range_count = 1;
			current.mmu.slots->range[0] = (struct view_range){ gfn(0x1080), 1, 0, 0 };
		}
		assert_int_equal(table_split(held(), large.table, large.index), 0);
		assert_int_equal(fixture_rule(&current), RULE_NONE);
		assert_int_equal(fixture_walk(&current, 0, 0x1080).level, 1);
		fixture_end(&current);
		/* More than the large leaf has: refused, although the table is part of a split. */
		start_mapped(&current, &npt_format);
		large = entry_at(0x1000, 2);
		damage(large, large.spte.v & ~SPTE_WRITABLE);
		current.mmu.slots->slot[2].flags |= (uint32_t)MEMSLOT_READ_ONLY;
		large.table = table_alloc(held(), large.table->role - 1, gfn(0x1000));
		large.table->parent =
			table_sptep(&current.mmu, entry_at(0x1000, 2).table, large.index);
		assert_int_equal(table_store(held(), large.table, 0, (spte_t){ 0 },
					     leaf(&current, RAM + 0x1000, 1, 1)),
				 -EIO);
		assert_int_equal(fixture_rule(&current), RULE_I11);
		fixture_end(&current);
	}
}

/* R1, R2: what an iteration stands on stays, also when its view goes meanwhile. */
static void test_root_references(void **state)
{
	struct error_text error;
	struct mmu_root *first;
	struct mmu_root *root;
	unsigned int users;
	size_t used;

	(void)state;
	start_mapped(&current, &ept_format);
	cache_fill(&current.vcpu.cache, &current.mmu.rmap);
	used = current.pool.used_count;
	assert_int_equal(fixture_fault_in(&current, 1, 0x403, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault_in(&current, 0, 0x402, MMU_READ), MMU_RETRY);
	users = current.mmu.view_root[0]->refcount;
	first = root_next(held(), NULL);
	assert_ptr_equal(first, current.mmu.view_root[0]);
	assert_int_equal(first->refcount, users + 1);
	root = root_next(held(), first);
	assert_int_equal(first->refcount, users);
	assert_ptr_equal(root, current.mmu.view_root[1]);
	/* The view ends while the iteration stands on its root: it stays until the next step. */
	assert_int_equal(mmu_view_destroy(&current.mmu, 1, &error), 0);
	assert_false(root->valid);
	assert_int_equal(root->refcount, 1);
	(void)mmu_work(&current.mmu, 100000);
	assert_non_null(root->table);
	assert_null(root_next(held(), root));
	assert_non_null(root->table);
	/* Another iteration stands on what the lazy freer wants: it waits. */
	root = root_next(held(), root_next(held(), NULL));
	assert_true(root->dying);
	(void)mmu_work(&current.mmu, 100000);
	assert_non_null(root->table);
	assert_null(root_next(held(), root));
	atomic_store(&current.mmu.has_work, true);
	while (mmu_work(&current.mmu, 100000)) {
	}
	assert_null(root->table);
	assert_clean(&current);
	cache_fill(&current.vcpu.cache, &current.mmu.rmap);
	assert_int_equal(current.pool.used_count, used);
	fixture_end(&current);
}

/* A root at the tail is visited; a view's own, and valid ones only (R2, R3). */
static void test_root_iteration(void **state)
{
	struct mmu_root *root;

	(void)state;
	start_mapped(&current, &ept_format);
	root = root_next(held(), NULL);
	assert_int_equal(fixture_fault_in(&current, 2, 0x403, MMU_READ), MMU_FIXED);
	root = root_next(held(), root);
	assert_ptr_equal(root, current.mmu.view_root[2]);
	assert_null(root_next(held(), root));
	root = root_next_in(held(), NULL, 2, true);
	assert_ptr_equal(root, current.mmu.view_root[2]);
	assert_null(root_next_in(held(), root, 2, true));
	assert_null(root_next_in(held(), NULL, 3, false));
	mmu_zap_all(&current.mmu);
	assert_null(root_next_in(held(), NULL, 2, true));
	root = root_next_in(held(), NULL, 2, false);
	assert_int_equal(root->view, 2);
	assert_null(root_next_in(held(), root, 2, false));
	assert_clean(&current);
	fixture_end(&current);
}

/* I6, R5: a vCPU in an invalid root gets nothing until it has asked for another. */
static void test_invalid_root_is_not_entered(void **state)
{
	(void)state;
	start_mapped(&current, &ept_format);
	mmu_zap_all(&current.mmu);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_equal(current.kick_count, 1);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t frame = i ? 0xfee00 : 0x403;

		atomic_store(&current.vcpu.stale, false);
		assert_int_equal(fixture_fault(&current, frame, MMU_READ), MMU_RETRY);
		assert_true(mmu_vcpu_is_stale(&current.vcpu));
	}
	atomic_store(&current.vcpu.stale, false);
	assert_int_equal(fixture_malformed(&current, 0x401), MMU_RETRY);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_FIXED);
	while (mmu_work(&current.mmu, 600)) {
		assert_clean(&current);
	}
	assert_int_equal(mmu_rmap_list(&current.mmu, gfn(0x401), NULL, 0), 0);
	assert_clean(&current);
	fixture_end(&current);
}

static unsigned int evaluations;

static uint64_t wide_condition(void)
{
	evaluations++;
	return BIT(40);
}

/* Truth is that of the whole 64 bits, evaluated once; a site warns once (P6). */
static void test_wide_condition(void **state)
{
	(void)state;
	fixture_start(&current, &ept_format);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_true(PARTITION_BUG_ON(&current.bug, wide_condition(), RULE_I2, .gfn = i));
		assert_int_equal(evaluations, i);
		assert_int_equal(current.report_count, i);
	}
	assert_false(PARTITION_BUG_ON(&current.bug, evaluations == 0, RULE_I4));
	assert_int_equal(current.warn_count, 1);
	assert_int_equal(bug_first(&current.bug)->detail.gfn, 1);
	assert_int_equal(fixture_rule(&current), RULE_I2);
	fixture_end(&current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_stores),
		cmocka_unit_test(test_large_leaf_over_small_ones),
		cmocka_unit_test(test_wrong_removals),
		cmocka_unit_test(test_split_that_maps_something_else),
		cmocka_unit_test(test_forbidden_leaves),
		cmocka_unit_test(test_stores_under_an_invalid_root),
		cmocka_unit_test(test_split_while_rights_go),
		cmocka_unit_test(test_root_references),
		cmocka_unit_test(test_root_iteration),
		cmocka_unit_test(test_invalid_root_is_not_entered),
		cmocka_unit_test(test_wide_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
