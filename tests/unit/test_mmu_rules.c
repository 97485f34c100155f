/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Broken rules are found where they are met: every transition that the store function forbids,
 * damage that an ordinary change or fault runs into, the CPU's own report (P2, P4, P6, P7).
 * The audit has test_mmu_audit.c.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "mm/invalidate.h"
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

static void unlink_of_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	assert_int_equal(
		table_store(held(), link.table, link.index, entry_at(0x401, 2).spte, (spte_t){ 0 }),
		-EIO);
}

static void count_below_the_entries(void)
{
	struct entry leaf_entry = entry_at(0x401, 1);

	leaf_entry.table->count = 0;
	assert_int_equal(table_store(held(), leaf_entry.table, leaf_entry.index, leaf_entry.spte,
				     (spte_t){ 0 }),
			 -EIO);
}

static void add_to_wild_storage(void)
{
	current.mmu.rmap.tree[0][0].root = 0xdead000 | 1;
	current.vcpu.cache.hint.key = 0;
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_BUGGED);
}

static void add_twice(void)
{
	*head_at(0x403) = table_sptep(&current.mmu, entry_at(0x401, 1).table, 3).v;
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_BUGGED);
}

static void add_to_a_wild_chain(void)
{
	*head_at(0x403) = 0xdead000 | RMAP_CHAIN;
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_BUGGED);
}

static void remove_from_a_wild_chain(void)
{
	*head_at(0x401) = 0xdead000 | RMAP_CHAIN;
	assert_int_equal(fixture_delete(&current, 0), -EIO);
}

static void remove_leaves_a_rest(void)
{
	struct rmap_path path;

	assert_int_equal(rmap_reserve(&current.mmu.rmap, &current.mmu.cache,
				      memslot_by_id(current.mmu.slots, 0), gfn(0x403), 1, &path),
			 RMAP_OK);
	assert_int_equal(rmap_add(&current.mmu.rmap, &current.mmu.cache, &path,
				  table_sptep(&current.mmu, entry_at(0x401, 1).table, 3)),
			 RMAP_OK);
	assert_int_equal(fixture_delete(&current, 0), -EIO);
}

static void zap_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	mmu_invalidate_begin(&current.mmu, gfn(0x400), 0x200);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x400), 0x200), -EIO);
}

static void fault_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	current.vcpu.last_table = NULL;
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_BUGGED);
}

static void reclaim_with_a_wrong_parent(void)
{
	entry_at(0x401, 1).table->parent = hpa(0);
	assert_false(table_reclaim(held()));
}

static void mmio_of_another_gfn(void)
{
	assert_int_equal(fixture_fault(&current, 0x400, MMU_READ), MMU_MMIO);
	damage(entry_at(0x400, 1),
	       ept_format.make_mmio(gfn(0x3fe), 1, current.mmu.slots->generation, 40).v);
	assert_int_equal(fixture_malformed(&current, 0x400), MMU_BUGGED);
}

static void put_without_a_reference(void)
{
	current.mmu.view_root[0]->refcount = 0;
	assert_int_equal(root_put(held(), current.mmu.view_root[0]), -EIO);
}

static void root_without_a_reference(void)
{
	current.mmu.view_root[0]->refcount = 0;
	(void)root_next(held(), NULL);
}

static void split_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	mmu_invalidate_begin(&current.mmu, gfn(0x405), 1);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x405), 1), -EIO);
}

static void protect_by_a_wrong_entry(void)
{
	struct error_text error;

	*head_at(0x403) = table_sptep(&current.mmu, entry_at(0x401, 1).table, 3).v;
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_READ_ONLY, &error), -EIO);
}

static void protect_by_an_entry_of_another_level(void)
{
	struct error_text error;

	*head_at(0x403) =
		table_sptep(&current.mmu, entry_at(0x1000, 2).table, entry_at(0x1000, 2).index).v;
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_READ_ONLY, &error), -EIO);
}

static void protect_by_a_wild_chain(void)
{
	struct error_text error;

	*head_at(0x403) = 0xdead000 | RMAP_CHAIN;
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), -EIO);
}

static void unmap_without_a_bracket(void)
{
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x401), 1), -EIO);
}

static void unmap_more_than_the_bracket(void)
{
	mmu_invalidate_begin(&current.mmu, gfn(0x401), 4);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x402), 4), -EIO);
}

static void unmap_before_the_bracket(void)
{
	mmu_invalidate_begin(&current.mmu, gfn(0x402), 4);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x401), 4), -EIO);
}

static void unmap_after_the_bracket(void)
{
	mmu_invalidate_begin(&current.mmu, gfn(0x401), 1);
	mmu_invalidate_end(&current.mmu, gfn(0x401), 1);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(0x401), 1), -EIO);
}

/* V3: for a deletion, the published slot of that id must be this one, and marked. */
static void unmap_for_a_slot_that_stays(void)
{
	const struct memslot *slot = memslot_by_id(current.mmu.slots, 0);

	assert_int_equal(unmap_gfn_range(held(), slot->gfn, gfn(0x402), slot), -EIO);
}

static void unmap_for_a_copy_of_a_slot(void)
{
	struct memslot copy = *memslot_by_id(current.mmu.slots, 0);

	current.mmu.slots->slot[0].flags |= (uint32_t)MEMSLOT_INVALID;
	copy.flags |= (uint32_t)MEMSLOT_INVALID;
	assert_int_equal(unmap_gfn_range(held(), copy.gfn, gfn(0x402), &copy), -EIO);
}

static void unmap_more_than_the_slot(void)
{
	const struct memslot *slot = memslot_by_id(current.mmu.slots, 0);

	current.mmu.slots->slot[0].flags |= (uint32_t)MEMSLOT_INVALID;
	assert_int_equal(unmap_gfn_range(held(), slot->gfn, gfn(0x601), slot), -EIO);
}

static void unmap_before_the_slot(void)
{
	const struct memslot *slot = memslot_by_id(current.mmu.slots, 0);

	current.mmu.slots->slot[0].flags |= (uint32_t)MEMSLOT_INVALID;
	assert_int_equal(unmap_gfn_range(held(), gfn(0x400), gfn(0x402), slot), -EIO);
}

static void end_without_a_beginning(void)
{
	uint64_t seq = current.mmu.invalidate_seq;

	mmu_invalidate_end(&current.mmu, gfn(0x401), 1);
	assert_int_equal(current.mmu.invalidate_seq, seq);
	assert_int_equal(current.mmu.invalidate_in_progress, 0);
}

static void zap_while_flushing(void *context, const struct mmu_flush *what)
{
	(void)context;
	(void)what;
	table_flush_later(held(), 0, gfn(0x402), 1);
}

/* I10: something was zapped, and not flushed, when the frame would leave. */
static void page_leaves_before_the_flush(void)
{
	static const struct mmu_ops ops = { zap_while_flushing, fixture_kick };
	pfn_t frame;

	current.mmu.config.ops = &ops;
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(0x401), &frame), -EIO);
}

/* Headers, links and rmap storage that were damaged before an ordinary change meets them. */
static void test_damage_met_by_changes(void **state)
{
	static const struct {
		void (*run)(void);
		enum rule rule;
		const char *where; /* a later check would often give the same rule */
	} cases[] = {
		{ unlink_of_a_wrong_table, RULE_I14, "check_old_table" },
		{ count_below_the_entries, RULE_I5, "check_any" },
		{ add_to_wild_storage, RULE_I2, "reserve_rmap" },
		{ add_twice, RULE_I1, "add_rmap" },
		{ add_to_a_wild_chain, RULE_I2, "add_rmap" },
		{ remove_from_a_wild_chain, RULE_I2, "remove_rmap" },
		{ remove_leaves_a_rest, RULE_I2, "zap_and_publish" },
		{ zap_through_a_wrong_table, RULE_I14, "zap_child" },
		{ fault_through_a_wrong_table, RULE_I14, "descend_from_root" },
		{ reclaim_with_a_wrong_parent, RULE_I14, "table_unlink_empty" },
		{ mmio_of_another_gfn, RULE_I8, "mmio_hit" },
		{ root_without_a_reference, RULE_I6, "root_get" },
		{ put_without_a_reference, RULE_I6, "root_put" },
		{ split_through_a_wrong_table, RULE_I14, "table_split_at" },
		{ protect_by_a_wrong_entry, RULE_I2, "protect_entry" },
		{ protect_by_an_entry_of_another_level, RULE_I2, "protect_entry" },
		{ protect_by_a_wild_chain, RULE_I2, "table_write_protect" },
		{ unmap_without_a_bracket, RULE_I9, "unmap_gfn_range" },
		{ unmap_more_than_the_bracket, RULE_I9, "unmap_gfn_range" },
		{ unmap_before_the_bracket, RULE_I9, "unmap_gfn_range" },
		{ unmap_after_the_bracket, RULE_I9, "unmap_gfn_range" },
		{ unmap_for_a_slot_that_stays, RULE_I9, "unmap_gfn_range" },
		{ unmap_for_a_copy_of_a_slot, RULE_I9, "unmap_gfn_range" },
		{ unmap_more_than_the_slot, RULE_I9, "unmap_gfn_range" },
		{ unmap_before_the_slot, RULE_I9, "unmap_gfn_range" },
		{ end_without_a_beginning, RULE_I9, "mmu_invalidate_end" },
		{ page_leaves_before_the_flush, RULE_I10, "mmu_page_remove" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		start_mapped(&current, &ept_format);
		cases[i].run();
		if (fixture_rule(&current) != cases[i].rule) {
			fail_msg("case %u: %s", i, rule_name(fixture_rule(&current)));
		}
		assert_string_equal(bug_first(&current.bug)->site->function, cases[i].where);
		fixture_end(&current);
	}
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

static void test_injected_damage_is_found_by_removal(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats) * 2; f++) {
		for (enum mmu_inject kind = 0; kind < MMU_INJECT_COUNT; kind++) {
			uint64_t frame = f / 2 ? 0x1000 : 0x401;

			if (expected[kind].removal == RULE_NONE) {
				continue;
			}
			start_mapped(&current, formats[f % 2]);
			inject(kind, frame);
			assert_int_equal(fixture_delete(&current, f / 2), -EIO);
			if (fixture_rule(&current) != expected[kind].removal) {
				fail_msg("%s: %s", mmu_inject_name(kind),
					 rule_name(fixture_rule(&current)));
			}
			check_bugged_mmu(frame);
			fixture_end(&current);
		}
	}
}

/* The three violations of a removal have each their own words. */
static void test_rmap_violations_are_told_apart(void **state)
{
	static const struct {
		enum mmu_inject kind;
		bool second_view;
		const char *text;
	} cases[] = {
		{ MMU_INJECT_RMAP_DROPPED, false, "rmap remove: the head is empty" },
		{ MMU_INJECT_RMAP_WRONG, false, "rmap remove: the head holds another SPTE" },
		{ MMU_INJECT_RMAP_DOUBLED, false, "rmap remove: the chain holds the SPTE twice" },
		{ MMU_INJECT_COUNT, true, "rmap remove: the chain does not hold the SPTE" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		start_mapped(&current, &ept_format);
		if (cases[i].second_view) {
			struct rmap_path path;

			for (unsigned int view = 1; view < 3; view++) {
				(void)fixture_fault_in(&current, view, 0x401, MMU_READ);
			}
			/* Three in the chain; view 0's is the first: make it another. */
			rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				  gfn(0x401), 1, &path);
			((struct rmap_line *)(uintptr_t)(rmap_word_get(path.head) & ~RMAP_CHAIN))
				->sptep[0] ^= 8;
		} else {
			inject(cases[i].kind, 0x401);
		}
		assert_int_equal(fixture_delete(&current, 0), -EIO);
		assert_string_equal(bug_first(&current.bug)->detail.text, cases[i].text);
		assert_int_equal(bug_first(&current.bug)->site->bug_class, BUG_DATA_CORRUPTION);
		assert_int_not_equal(bug_first(&current.bug)->detail.sptep, 0);
		assert_int_not_equal(bug_first(&current.bug)->detail.spte, 0);
		fixture_end(&current);
	}
}

/* The hardware's report: I3 with every level's value in the log. */
static void test_reserved_bit_by_hardware(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats) * 2; f++) {
		uint64_t frame = f / 2 ? 0x1000 : 0x401;

		start_mapped(&current, formats[f % 2]);
		inject(MMU_INJECT_SPTE_RESERVED, frame);
		test_log_clear();
		assert_int_equal(fixture_malformed(&current, frame), MMU_BUGGED);
		assert_int_equal(fixture_rule(&current), RULE_I3);
		assert_int_equal(bug_first(&current.bug)->detail.level, f / 2 ? 2 : 1);
		assert_non_null(strstr(test_log, "level 4"));
		assert_non_null(strstr(test_log, "level 2"));
		assert_non_null(strstr(test_log, "MALFORMED"));
		assert_int_equal(fixture_walk(&current, 0, frame).broken, RULE_I3);
		check_bugged_mmu(frame);
		fixture_end(&current);
	}
}

static void test_slot_gone_by_fault(void **state)
{
	(void)state;
	start_mapped(&current, &ept_format);
	inject(MMU_INJECT_SLOT_GONE, 0x401);
	assert_int_equal(fixture_fault(&current, 0x402, MMU_WRITE), MMU_BUGGED);
	assert_int_equal(fixture_rule(&current), RULE_I1);
	fixture_end(&current);
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
		cmocka_unit_test(test_damage_met_by_changes),
		cmocka_unit_test(test_injected_damage_is_found_by_removal),
		cmocka_unit_test(test_rmap_violations_are_told_apart),
		cmocka_unit_test(test_reserved_bit_by_hardware),
		cmocka_unit_test(test_slot_gone_by_fault),
		cmocka_unit_test(test_root_references),
		cmocka_unit_test(test_root_iteration),
		cmocka_unit_test(test_invalid_root_is_not_entered),
		cmocka_unit_test(test_wide_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
