/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Broken rules are found: every transition that the store function forbids, every kind of
 * injected damage (by the audit, and by the ordinary check that meets it first), and what a
 * bugged partition still answers (P2, P4, P6, P7).
 */
/* sources: mm/mmu.c mm/fault.c mm/table.c mm/zap.c mm/root.c mm/rmap.c mm/memslot.c mm/walk.c */
/* sources: mm/audit.c mm/inject.c mm/ept_format.c mm/npt_format.c mm/pool.c mm/frames.c */
/* sources: lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include <string.h>

#include "tests/unit/mmu_fixture.h"

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

#define RAM 0x40000
#define FOREIGN (RAM + 0x10000) /* frames of the next partition */

/*
 * Slot 0: gfn 0x401 on, 4 KiB leaves. Slot 1: gfn 0x1000 on, 2 MiB leaves. Slot 2: read-only.
 * Mapped: gfns 0x401, 0x402 and 0x1000.
 */
static void start_mapped(struct fixture *fixture, const struct spte_format *format)
{
	fixture_start(fixture, format);
	fixture_give(RAM, 0x3000, FIXTURE_OWNER);
	fixture_give(FOREIGN, 0x400, FIXTURE_OWNER + 1);
	assert_int_equal(fixture_slot(fixture, 0, 0x401, 0x1ff, RAM, 0), 0);
	assert_int_equal(fixture_slot(fixture, 1, 0x1000, 0x1000, RAM + 0x1000, 0), 0);
	assert_int_equal(fixture_slot(fixture, 2, 0x800, 0x10, RAM + 0x800, MEMSLOT_READ_ONLY), 0);
	assert_int_equal(fixture_fault(fixture, 0x401, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(fixture, 0x402, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(fixture, 0x1000, MMU_WRITE), MMU_FIXED);
	assert_clean(fixture);
}

/* The table that holds a gfn's entry at `level` in view 0. */
static struct table *table_at(struct fixture *fixture, uint64_t frame, unsigned int level)
{
	struct mmu_walk walk;

	mmu_walk(&fixture->mmu, 0, gfn_to_gpa(gfn(frame)), &walk);
	assert_true(walk.count >= SPTE_LEVELS - level + 1);
	return table_of(&fixture->mmu, hpa_to_pfn(walk.steps[SPTE_LEVELS - level].sptep));
}

static spte_t leaf(struct fixture *fixture, uint64_t frame, unsigned int level, unsigned int slot)
{
	return spte_leaf(fixture->mmu.config.format, pfn(frame), level, SPTE_RIGHTS_ALL, slot);
}

static struct fixture current;

/* Stores `value` for `frame` at `level` and checks that exactly this rule forbade it. */
static void expect_rule(uint64_t frame, unsigned int level, spte_t value, enum rule rule)
{
	struct table *table = table_at(&current, frame, level);
	unsigned int index = level_index(gfn(frame), level);
	spte_t before = table_get(&current.mmu, table, index);
	struct mmu_held held = mmu_lock(&current.mmu);

	assert_int_equal(table_store(held, table, index, value), -EIO);
	mmu_unlock(held);
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
		made = table_alloc((struct mmu_held){ &current.mmu },
				   table_at(&current, 0xa00, 2)->role - 1, gfn(0xa00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I5);
		start_mapped(&current, format);
		made = table_alloc((struct mmu_held){ &current.mmu },
				   table_at(&current, 0xa00, 2)->role - 2, gfn(0xa00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I14);
		start_mapped(&current, format);
		made = table_alloc((struct mmu_held){ &current.mmu },
				   table_at(&current, 0xa00, 2)->role - 1, gfn(0xc00));
		expect_rule(0xa00, 2, spte_table(format, table_pfn(&current.mmu, made)), RULE_I13);
		start_mapped(&current, format);
		root_invalidate((struct mmu_held){ &current.mmu }, current.mmu.view_root[0]);
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

/* What must be found first, by the audit and by the deletion of the slot. */
static const struct {
	enum rule audit;
	enum rule removal;
} expected[MMU_INJECT_COUNT] = {
	[MMU_INJECT_SPTE_RESERVED] = { RULE_I3, RULE_I3 },
	[MMU_INJECT_SPTE_FOREIGN] = { RULE_I4, RULE_I4 },
	[MMU_INJECT_RMAP_DROPPED] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_RMAP_DOUBLED] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_RMAP_WRONG] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_COUNT_OFF] = { RULE_I5, RULE_I5 },
	[MMU_INJECT_SLOT_GONE] = { RULE_I1, RULE_NONE },
};

static void inject(enum mmu_inject kind, uint64_t frame)
{
	unsigned int flushes = current.flush_count;
	struct error_text error = { "" };

	if (mmu_inject(&current.mmu, kind, gfn(frame), pfn(FOREIGN), &error) != 0) {
		fail_msg("%s: %s", mmu_inject_name(kind), error.text);
	}
	assert_int_equal(current.flush_count, flushes + 1);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
}

/* Table pages that are where they cannot be, and leaves that go although they are wrong. */
static void test_wrong_removals(void **state)
{
	struct mmu_held held = { &current.mmu };
	struct table *table;
	spte_t spte;

	(void)state;
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	pool_free_page(&current.pool, table_entries(&current.mmu, table));
	assert_null(table_alloc(held, table->role, gfn(0)));
	assert_int_equal(fixture_rule(&current), RULE_I14);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	table_free(held, table);
	assert_int_equal(fixture_rule(&current), RULE_I5);
	assert_int_equal(table->state, TABLE_LINKED);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	inject(MMU_INJECT_SLOT_GONE, 0x401);
	assert_int_equal(mmu_view_destroy(&current.mmu, 0), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I1);
	fixture_end(&current);
	start_mapped(&current, &npt_format);
	table = table_at(&current, 0x401, 1);
	spte = table_get(&current.mmu, table, 1);
	table_damage(held, table, 1, (spte_t){ spte.v + 9 * PAGE_SIZE });
	assert_int_equal(mmu_slot_delete(&current.mmu, 0), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I2);
	fixture_end(&current);
}

/* The entry of a gfn at a level, for damaging. */
struct entry {
	struct table *table;
	unsigned int index;
	spte_t spte;
};

static struct entry entry_at(uint64_t frame, unsigned int level)
{
	struct entry entry = { table_at(&current, frame, level),
			       level_index(gfn(frame), level),
			       { 0 } };

	entry.spte = table_get(&current.mmu, entry.table, entry.index);
	return entry;
}

static void damage(struct entry entry, uint64_t value)
{
	table_damage((struct mmu_held){ &current.mmu }, entry.table, entry.index,
		     (spte_t){ value });
}

/* The rmap head of a gfn in slot 0, made if it is not there. */
static uint64_t *head_at(uint64_t frame)
{
	struct rmap_path path;

	assert_int_equal(rmap_reserve(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				      gfn(frame), 1, &path),
			 RMAP_OK);
	return path.head;
}

static void unlink_of_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	assert_int_equal(table_store((struct mmu_held){ &current.mmu }, link.table, link.index,
				     (spte_t){ 0 }),
			 -EIO);
}

static void count_below_the_entries(void)
{
	struct entry leaf_entry = entry_at(0x401, 1);

	leaf_entry.table->count = 0;
	assert_int_equal(table_store((struct mmu_held){ &current.mmu }, leaf_entry.table,
				     leaf_entry.index, (spte_t){ 0 }),
			 -EIO);
}

static void add_to_wild_storage(void)
{
	current.mmu.rmap.tree[0][0].root = 0xdead000 | 1;
	current.mmu.rmap.hint.key = 0;
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
	assert_int_equal(mmu_slot_delete(&current.mmu, 0), -EIO);
}

static void remove_leaves_a_rest(void)
{
	(void)head_at(0x403);
	current.mmu.rmap.tree[0][0].root++;
	assert_int_equal(mmu_slot_delete(&current.mmu, 0), -EIO);
}

static void zap_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	assert_int_equal(mmu_slot_delete(&current.mmu, 0), -EIO);
}

static void fault_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	current.mmu.last_table = NULL;
	assert_int_equal(fixture_fault(&current, 0x403, MMU_READ), MMU_BUGGED);
}

static void reclaim_with_a_wrong_parent(void)
{
	entry_at(0x401, 1).table->parent = hpa(0);
	assert_false(table_reclaim((struct mmu_held){ &current.mmu }));
}

static void mmio_of_another_gfn(void)
{
	assert_int_equal(fixture_fault(&current, 0x400, MMU_READ), MMU_MMIO);
	damage(entry_at(0x400, 1),
	       ept_format.make_mmio(gfn(0x3fe), 1, current.mmu.slots->generation, 40).v);
	assert_int_equal(mmu_fault_malformed(&current.mmu, 0, gpa(0x400000)), MMU_BUGGED);
}

static void root_without_a_reference(void)
{
	current.mmu.view_root[0]->refcount = 0;
	(void)root_next((struct mmu_held){ &current.mmu }, NULL);
}

/* Headers, links and rmap storage that were damaged before an ordinary change meets them. */
static void test_damage_met_by_changes(void **state)
{
	static const struct {
		void (*run)(void);
		enum rule rule;
		const char *text; /* where a later check would give the same rule */
	} cases[] = {
		{ unlink_of_a_wrong_table, RULE_I14, NULL },
		{ count_below_the_entries, RULE_I5, NULL },
		{ add_to_wild_storage, RULE_I2, "rmap storage leads out of the pool" },
		{ add_twice, RULE_I1, NULL },
		{ add_to_a_wild_chain, RULE_I2, NULL },
		{ remove_from_a_wild_chain, RULE_I2, "rmap remove: damaged storage" },
		{ remove_leaves_a_rest, RULE_I2, NULL },
		{ zap_through_a_wrong_table, RULE_I14, NULL },
		{ fault_through_a_wrong_table, RULE_I14, NULL },
		{ reclaim_with_a_wrong_parent, RULE_I14, NULL },
		{ mmio_of_another_gfn, RULE_I8, NULL },
		{ root_without_a_reference, RULE_I6, NULL },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		start_mapped(&current, &ept_format);
		cases[i].run();
		if (fixture_rule(&current) != cases[i].rule) {
			fail_msg("case %u: %s", i, rule_name(fixture_rule(&current)));
		}
		if (cases[i].text) {
			assert_string_equal(bug_first(&current.bug)->detail.text, cases[i].text);
		}
		fixture_end(&current);
	}
}

/* P4 and P7: nothing works any more but looking. */
static void check_bugged_mmu(uint64_t frame)
{
	const struct bug_record *first = bug_first(&current.bug);
	struct bug_record before = *first;
	struct mmu_rmap_entry entry;
	struct mmu_walk walk;
	struct mmu_audit audit;
	struct mmu_stats stats;
	struct error_text error;
	uint64_t violations = atomic_load(&current.bug.violations);
	size_t size;
	gfn_t found;

	/* As if a vCPU had died with the lock: looking must not wait for it. */
	spin_lock(&current.mmu.lock);
	mmu_walk(&current.mmu, 0, gfn_to_gpa(gfn(frame)), &walk);
	assert_true(walk.count > 0);
	mmu_rmap_list(&current.mmu, gfn(frame), &entry, 1);
	mmu_get_stats(&current.mmu, &stats);
	assert_true(mmu_audit(&current.mmu, &audit) > 0);
	assert_in_range(audit.finding_count, 1, MMU_AUDIT_FINDINGS_MAX);
	spin_unlock(&current.mmu.lock);
	assert_int_equal(fixture_fault(&current, frame, MMU_READ), MMU_BUGGED);
	assert_int_equal(mmu_fault_malformed(&current.mmu, 0, gpa(0)), MMU_BUGGED);
	assert_int_equal(mmu_root(&current.mmu, 0).v, 0);
	assert_int_equal(mmu_view_destroy(&current.mmu, 0), -EIO);
	assert_int_equal(mmu_slot_delete(&current.mmu, 2), -EIO);
	assert_int_equal(fixture_slot(&current, 3, 0x5000, 1, RAM, 0), -EIO);
	assert_int_equal(mmu_inject(&current.mmu, MMU_INJECT_COUNT_OFF, gfn(frame), pfn(0), &error),
			 -EIO);
	assert_int_equal(mmu_inject_gfn(&current.mmu, &found), -EIO);
	assert_null(mmu_guest_ptr(&current.mmu, gpa(0x1000000), &size, true));
	/* P2: the first cause stays, and looking adds nothing. */
	assert_memory_equal(first, &before, sizeof(before));
	assert_int_equal(atomic_load(&current.bug.violations), violations);
}

static void test_injected_damage_is_found_by_the_audit(void **state)
{
	static const uint64_t frames[] = { 0x401, 0x402, 0x1000 };

	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats) * ARRAY_COUNT(frames); f++) {
		for (enum mmu_inject kind = 0; kind < MMU_INJECT_COUNT; kind++) {
			uint64_t frame = frames[f / 2];
			struct mmu_audit audit;

			start_mapped(&current, formats[f % 2]);
			inject(kind, frame);
			assert_true(mmu_audit(&current.mmu, &audit) > 0);
			if (fixture_rule(&current) != expected[kind].audit) {
				fail_msg("%s: %s", mmu_inject_name(kind),
					 rule_name(fixture_rule(&current)));
			}
			assert_int_equal(audit.findings[0].rule, expected[kind].audit);
			assert_non_null(audit.findings[0].detail.text);
			check_bugged_mmu(frame);
			fixture_end(&current);
		}
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
			assert_int_equal(mmu_slot_delete(&current.mmu, f / 2), -EIO);
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
				(void)mmu_root(&current.mmu, view);
				(void)mmu_fault(&current.mmu, view, gpa(0x401000), MMU_READ);
			}
			/* Three in the chain; view 0's is the first: make it another. */
			rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				  gfn(0x401), 1, &path);
			((struct rmap_line *)(uintptr_t)(*path.head & ~RMAP_CHAIN))->sptep[0] ^= 8;
		} else {
			inject(cases[i].kind, 0x401);
		}
		assert_int_equal(mmu_slot_delete(&current.mmu, 0), -EIO);
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
		assert_int_equal(mmu_fault_malformed(&current.mmu, 0, gfn_to_gpa(gfn(frame))),
				 MMU_BUGGED);
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

/* SPTEs and rmap storage that point at nowhere: found, and never followed. */
static void test_wild_pointers_are_not_followed(void **state)
{
	static const uint64_t wild[] = { 0, 0x7ffffff000, 0xfffffff000, 0x0dead000, 0x100000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(wild) * 3; i++) {
		uint64_t where = wild[i / 3];
		struct mmu_audit audit;
		struct mmu_walk walk;
		struct table *table;
		unsigned int index;
		spte_t link;

		start_mapped(&current, &npt_format);
		if (i % 3 == 0) {
			table = table_at(&current, 0x401, 2);
			index = level_index(gfn(0x401), 2);
			link = table_get(&current.mmu, table, index);
			table_damage((struct mmu_held){ &current.mmu }, table, index,
				     (spte_t){ (link.v & ~SPTE_PFN) | where });
			mmu_walk(&current.mmu, 0, gpa(0x401000), &walk);
			assert_in_range(walk.count, 3, 4);
		} else if (i % 3 == 1) {
			current.mmu.rmap.tree[0][0].root = where | 2;
			(void)mmu_rmap_list(&current.mmu, gfn(0x401), NULL, 0);
		} else {
			struct rmap_path path;
			struct mmu_rmap_entry entries[4];

			rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				  gfn(0x401), 1, &path);
			*path.head = where | RMAP_CHAIN;
			(void)mmu_rmap_list(&current.mmu, gfn(0x401), entries, 4);
		}
		assert_true(mmu_audit(&current.mmu, &audit) > 0);
		assert_int_not_equal(fixture_rule(&current), RULE_NONE);
		check_bugged_mmu(0x401);
		fixture_end(&current);
	}
}

/* A ring of chain lines ends the reader, not the hypervisor. */
static void test_chain_ring_ends(void **state)
{
	struct rmap_path path;
	struct rmap_line *line;
	struct mmu_audit audit;

	(void)state;
	start_mapped(&current, &ept_format);
	inject(MMU_INJECT_RMAP_DOUBLED, 0x401);
	rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0), gfn(0x401), 1, &path);
	line = (struct rmap_line *)(uintptr_t)(*path.head & ~RMAP_CHAIN);
	line->next = line;
	assert_true(mmu_audit(&current.mmu, &audit) > 0);
	(void)mmu_rmap_list(&current.mmu, gfn(0x401), NULL, 0);
	fixture_end(&current);
}

/* As test_audit_finds_each_rule(), where the words of the first finding say which check it was. */
static void test_audit_words(void **state)
{
	static const char *const texts[] = {
		"a leaf reaches out of its slot",
		"a large leaf whose gfn or pfn is not aligned",
		"a leaf does not map the slot's frame",
		"a current MMIO SPTE in a memslot's range",
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(texts); i++) {
		struct mmu_audit audit;
		struct entry entry;

		start_mapped(&current, &npt_format);
		entry = entry_at(i == 3 ? 0x403 : i == 2 ? 0x401 : 0x1000, i > 1 ? 1 : 2);
		if (i == 0) {
			current.mmu.slots->slot[2].page_count = 0x100;
		} else if (i < 3) {
			damage(entry, entry.spte.v + PAGE_SIZE);
		} else {
			entry.table->count++;
			damage(entry,
			       npt_format
				       .make_mmio(gfn(0x403), 1, current.mmu.slots->generation, 40)
				       .v);
		}
		assert_true(mmu_audit(&current.mmu, &audit) > 0);
		assert_string_equal(audit.findings[0].detail.text, texts[i]);
		fixture_end(&current);
	}
}

static void same_table_under_two_roots(void)
{
	assert_int_not_equal(mmu_root(&current.mmu, 1).v, 0);
	current.mmu.view_root[1]->table = current.mmu.view_root[0]->table;
	current.mmu.view_root[1]->view = 0;
}

static void root_without_a_root_table(void)
{
	current.mmu.view_root[0]->table = table_at(&current, 0x401, 1);
}

static void tables_miscounted(void)
{
	current.mmu.stats.tables++;
}

static void pool_refused_a_page(void)
{
	pool_free_page(&current.pool, &current);
}

static void entry_outside_of_tables(void)
{
	*head_at(0x403) = FIXTURE_POOL_BASE;
}

static void entry_without_a_leaf(void)
{
	*head_at(0x403) = table_sptep(&current.mmu, entry_at(0x401, 1).table, 9).v;
}

static void entry_of_another_gfn(void)
{
	*head_at(0x403) = table_sptep(&current.mmu, entry_at(0x401, 1).table, 2).v;
}

static void entry_of_another_pfn(void)
{
	struct entry entry = entry_at(0x401, 1);

	damage(entry, entry.spte.v + PAGE_SIZE);
}

static void wild_chain(void)
{
	*head_at(0x403) = 0xdead000 | RMAP_CHAIN;
}

static void node_miscounted(void)
{
	current.mmu.rmap.tree[0][0].root++;
}

static void entries_miscounted(void)
{
	current.mmu.rmap.entry_count++;
}

static void slots_out_of_order(void)
{
	current.mmu.slots->position[2] = 200;
}

static bool found(const struct mmu_audit *audit, const char *text)
{
	for (unsigned int i = 0; i < audit->finding_count; i++) {
		if (strcmp(audit->findings[i].detail.text, text) == 0) {
			return true;
		}
	}
	return false;
}

static void test_audit_structure(void **state)
{
	static const struct {
		void (*run)(void);
		const char *text;
	} cases[] = {
		{ same_table_under_two_roots, "a table is linked twice" },
		{ root_without_a_root_table, "a root's table is not a root's table" },
		{ tables_miscounted, "the number of tables is not what was counted" },
		{ pool_refused_a_page, "the pool was given a page that is not its own" },
		{ entry_outside_of_tables,
		  "an rmap entry points at something that is not in a live table" },
		{ entry_without_a_leaf,
		  "an rmap entry points at an SPTE that is no leaf of its level" },
		{ entry_of_another_gfn, "an rmap entry points at a leaf of another gfn" },
		{ entry_of_another_pfn, "an rmap entry points at a leaf of another pfn" },
		{ wild_chain, "an rmap chain is damaged" },
		{ node_miscounted, "an rmap node's count is not the number of its words" },
		{ entries_miscounted, "the number of rmap entries is not what was counted" },
		{ slots_out_of_order, "the slots are not in order" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		struct mmu_audit audit;

		start_mapped(&current, &ept_format);
		cases[i].run();
		assert_true(mmu_audit(&current.mmu, &audit) > 0);
		if (!found(&audit, cases[i].text)) {
			fail_msg("not found: %s", cases[i].text);
		}
		fixture_end(&current);
	}
}

/* The audit's own rules, one damage each that nothing else would see. */
static void test_audit_finds_each_rule(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 12; i++) {
		static const enum rule rules[] = { RULE_I6,  RULE_I6,  RULE_I14, RULE_I13,
						   RULE_I13, RULE_I14, RULE_I5,	 RULE_I13,
						   RULE_I11, RULE_I8,  RULE_I2,	 RULE_I13 };
		struct mmu_audit audit;
		struct table *table;
		uint64_t raw;

		start_mapped(&current, &ept_format);
		table = table_at(&current, 0x401, 1);
		raw = table_get(&current.mmu, table, 1).v;
		switch (i) {
		case 0:
			current.mmu.view_root[0]->refcount = 0;
			break;
		case 1:
			current.mmu.roots.next = (struct list_node *)0x1000;
			break;
		case 2:
			table->role ^= (uint32_t)FIELD_PREP(ROLE_VIEW, 3);
			break;
		case 3:
			table->gfn.v += 0x200;
			break;
		case 4:
			table->parent.v += 8;
			break;
		case 5:
			table->state = TABLE_RETIRED;
			break;
		case 6:
			table_alloc((struct mmu_held){ &current.mmu }, table->role, gfn(0));
			break;
		case 7:
			table->generation += 100;
			break;
		case 8:
			current.mmu.slots->slot[0].flags |= (uint32_t)MEMSLOT_READ_ONLY;
			break;
		case 9:
			raw = ept_format.make_mmio(gfn(0x5), 1, current.mmu.slots->generation, 40)
				      .v;
			table_damage((struct mmu_held){ &current.mmu }, table, 0, (spte_t){ raw });
			table->count++;
			break;
		case 10:
			raw += PAGE_SIZE;
			table_damage((struct mmu_held){ &current.mmu }, table, 1, (spte_t){ raw });
			break;
		default:
			raw ^= FIELD_PREP(SPTE_SLOT, 5);
			table_damage((struct mmu_held){ &current.mmu }, table, 1, (spte_t){ raw });
			break;
		}
		mmu_audit(&current.mmu, &audit);
		if (audit.violations == 0 || fixture_rule(&current) != rules[i]) {
			fail_msg("case %u: %s", i, rule_name(fixture_rule(&current)));
		}
		fixture_end(&current);
	}
}

static void test_root_references(void **state)
{
	struct mmu_held held;
	struct mmu_root *root;
	struct mmu_root *first;
	size_t used;

	(void)state;
	start_mapped(&current, &ept_format);
	used = current.pool.used_count;
	assert_int_not_equal(mmu_root(&current.mmu, 1).v, 0);
	assert_int_equal(mmu_fault(&current.mmu, 1, gpa(0x403000), MMU_READ), MMU_FIXED);
	held = mmu_lock(&current.mmu);
	first = root_next(held, NULL);
	assert_ptr_equal(first, current.mmu.view_root[0]);
	assert_int_equal(first->refcount, 2);
	root = root_next(held, first);
	assert_int_equal(first->refcount, 1);
	assert_ptr_equal(root, current.mmu.view_root[1]);
	mmu_unlock(held);
	/* The view ends while the iteration stands on its root: it stays until the next step. */
	assert_int_equal(mmu_view_destroy(&current.mmu, 1), 0);
	assert_false(root->valid);
	assert_int_equal(root->refcount, 1);
	assert_clean(&current);
	held = mmu_lock(&current.mmu);
	assert_null(root_next(held, root));
	assert_null(root->table);
	table_flush(held);
	mmu_unlock(held);
	assert_clean(&current);
	assert_int_equal(current.pool.used_count, used);
	assert_int_equal(mmu_fault(&current.mmu, 1, gpa(0x403000), MMU_READ), MMU_BUGGED);
	assert_int_equal(fixture_rule(&current), RULE_I6);
	fixture_end(&current);
	start_mapped(&current, &ept_format);
	root = current.mmu.view_root[0];
	root->refcount = 0;
	assert_int_equal(root_put((struct mmu_held){ &current.mmu }, root), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I6);
	fixture_end(&current);
}

static void test_inject_is_refused_politely(void **state)
{
	struct error_text error = { "" };
	gfn_t frame;

	(void)state;
	fixture_start(&current, &ept_format);
	assert_int_equal(mmu_inject_gfn(&current.mmu, &frame), -ENOENT);
	fixture_end(&current);
	start_mapped(&current, &ept_format);
	assert_int_equal(mmu_inject(&current.mmu, MMU_INJECT_COUNT_OFF, gfn(0x403), pfn(0), &error),
			 -ENOENT);
	assert_non_null(strstr(error.text, "0x403"));
	assert_int_equal(mmu_inject(&current.mmu, MMU_INJECT_COUNT, gfn(0x401), pfn(0), &error),
			 -EINVAL);
	assert_int_equal(
		mmu_inject(&current.mmu, MMU_INJECT_SPTE_FOREIGN, gfn(0x401), pfn(RAM), &error),
		-EINVAL);
	assert_int_equal(mmu_inject(&current.mmu, MMU_INJECT_SPTE_FOREIGN, gfn(0x401),
				    pfn(UINT64_MAX), &error),
			 -EINVAL);
	assert_int_equal(mmu_inject_gfn(&current.mmu, &frame), 0);
	assert_true(fixture_walk(&current, 0, frame.v).leaf);
	assert_clean(&current);
	for (enum mmu_inject kind = 0; kind < MMU_INJECT_COUNT; kind++) {
		assert_true(strlen(mmu_inject_name(kind)) > 3 && strlen(mmu_inject_text(kind)) > 9);
	}
	assert_string_equal(mmu_inject_name(MMU_INJECT_COUNT), "?");
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
		cmocka_unit_test(test_damage_met_by_changes),
		cmocka_unit_test(test_injected_damage_is_found_by_the_audit),
		cmocka_unit_test(test_injected_damage_is_found_by_removal),
		cmocka_unit_test(test_rmap_violations_are_told_apart),
		cmocka_unit_test(test_reserved_bit_by_hardware),
		cmocka_unit_test(test_slot_gone_by_fault),
		cmocka_unit_test(test_wild_pointers_are_not_followed),
		cmocka_unit_test(test_chain_ring_ends),
		cmocka_unit_test(test_audit_finds_each_rule),
		cmocka_unit_test(test_audit_words),
		cmocka_unit_test(test_audit_structure),
		cmocka_unit_test(test_root_references),
		cmocka_unit_test(test_inject_is_refused_politely),
		cmocka_unit_test(test_wide_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
