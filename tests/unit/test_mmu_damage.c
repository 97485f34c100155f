/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damage that something runs into: a change, a fault, the CPU's own report, the audit. It is
 * found where it is met, never followed, and then nothing works any more but looking (P2, P4,
 * P6, P7). That the audit finds each rule by itself is test_audit.c.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "mm/invalidate.h"
#include "tests/unit/mmu_damage.h"

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

static void report_through_a_wrong_table(void)
{
	struct entry link = entry_at(0x401, 2);

	damage(link, link.spte.v + PAGE_SIZE);
	current.vcpu.last_table = NULL;
	assert_int_equal(fixture_malformed(&current, 0x403), MMU_BUGGED);
}

/* More rights are asked for, of an entry that the CPU would refuse. */
static void fault_on_a_broken_leaf(void)
{
	struct entry entry = entry_at(0x401, 1);

	damage(entry, (entry.spte.v & ~SPTE_WRITABLE) | BIT(45));
	assert_int_equal(fixture_fault(&current, 0x401, MMU_WRITE), MMU_BUGGED);
}

/* The MMIO SPTE at gfn 0x400, beside slot 0, of older slots; found by the remembered table. */
static struct table *stale_mmio(void)
{
	struct error_text error;
	struct table *table;

	assert_int_equal(fixture_fault(&current, 0x400, MMU_READ), MMU_MMIO);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 2, 0, &error), 0);
	table = entry_at(0x400, 1).table;
	assert_ptr_equal(current.vcpu.last_table, table);
	return table;
}

static void drop_mmio_through_a_wrong_table(void)
{
	struct entry link;

	(void)stale_mmio();
	link = entry_at(0x401, 2);
	damage(link, link.spte.v + PAGE_SIZE);
	assert_int_equal(fixture_malformed(&current, 0x400), MMU_BUGGED);
}

static void drop_mmio_from_an_empty_table(void)
{
	stale_mmio()->count = 0;
	assert_int_equal(fixture_malformed(&current, 0x400), MMU_BUGGED);
}

static void zap_mmio_from_an_empty_table(void)
{
	stale_mmio()->count = 0;
	assert_int_equal(table_zap_mmio(held()), -EIO);
}

static void reclaim_below_an_empty_table(void)
{
	table_at(&current, 0x401, 2)->count = 0;
	assert_false(table_reclaim(held()));
	assert_int_equal(current.mmu.stats.reclaimed, 0);
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

/* The iteration ends, although there is another root. */
static void iterate_from_a_lost_reference(void)
{
	struct mmu_root *root = root_next(held(), NULL);

	assert_int_equal(fixture_fault_in(&current, 1, 0x403, MMU_READ), MMU_FIXED);
	root->refcount = 0;
	assert_null(root_next(held(), root));
}

/* What comes after the first violation stays as it is. */
static void zap_all_with_a_lost_reference(void)
{
	assert_int_equal(fixture_fault_in(&current, 1, 0x403, MMU_READ), MMU_FIXED);
	current.mmu.view_root[0]->refcount = 0;
	mmu_zap_all(&current.mmu);
	assert_true(current.mmu.view_root[1]->valid);
}

/* And the iteration over the roots lets go of the one it stands on. */
static void narrow_over_a_dropped_entry(void)
{
	const struct mmu_root *root = current.mmu.view_root[0];
	unsigned int references = root->refcount;
	struct error_text error;

	*head_at(0x401) = 0;
	assert_int_equal(mmu_view_protect(&current.mmu, 0, gfn(0x401), 1, 0, &error), -EIO);
	assert_int_equal(root->refcount, references);
}

/* Leaves that logging made small could be large again, but one is not in its rmap. */
static void collapse_over_a_dropped_entry(void)
{
	struct error_text error;
	struct rmap_path path;

	assert_int_equal(mmu_slot_set_flags(&current.mmu, 1, MEMSLOT_LOG_DIRTY, &error), 0);
	assert_int_equal(fixture_fault(&current, 0x1005, MMU_WRITE), MMU_FIXED);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 1, 0, &error), 0);
	assert_int_equal(rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 1),
				   gfn(0x1005), 1, &path),
			 RMAP_OK);
	*path.head = 0;
	(void)mmu_work(&current.mmu, 100000);
	assert_true(fixture_walk(&current, 0, 0x1006).leaf);
	assert_int_not_equal(current.mmu.collapse_slots, 0);
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
		{ report_through_a_wrong_table, RULE_I14, "descend_from_root" },
		{ fault_on_a_broken_leaf, RULE_I3, "walk_is_broken" },
		{ drop_mmio_through_a_wrong_table, RULE_I14, "descend_from_root" },
		{ drop_mmio_from_an_empty_table, RULE_I5, "check_any" },
		{ zap_mmio_from_an_empty_table, RULE_I5, "check_any" },
		{ reclaim_below_an_empty_table, RULE_I5, "check_any" },
		{ reclaim_with_a_wrong_parent, RULE_I14, "table_unlink_empty" },
		{ mmio_of_another_gfn, RULE_I8, "mmio_hit" },
		{ root_without_a_reference, RULE_I6, "root_get" },
		{ put_without_a_reference, RULE_I6, "root_put" },
		{ iterate_from_a_lost_reference, RULE_I6, "root_put" },
		{ zap_all_with_a_lost_reference, RULE_I6, "root_put" },
		{ narrow_over_a_dropped_entry, RULE_I1, "remove_rmap" },
		{ collapse_over_a_dropped_entry, RULE_I1, "remove_rmap" },
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
			table_damage(held(), table, index,
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
	line = (struct rmap_line *)(uintptr_t)(rmap_word_get(path.head) & ~RMAP_CHAIN);
	line->next = line;
	assert_true(mmu_audit(&current.mmu, &audit) > 0);
	(void)mmu_rmap_list(&current.mmu, gfn(0x401), NULL, 0);
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

/* Damage that cannot be made here: said so, and nothing is changed. */
static void test_inject_without_means(void **state)
{
	struct fixture_options widest = { .format = &npt_format, .maxphyaddr = 52 };
	struct mmu *mmu = &current.mmu;
	struct error_text error;
	struct entry entry;

	(void)state;
	assert_int_equal(fixture_try(&current, &widest), 0);
	fixture_give(RAM, 1, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, 0x401, 1, RAM, 0), 0);
	assert_int_equal(fixture_fault(&current, 0x401, MMU_WRITE), MMU_FIXED);
	entry = entry_at(0x401, 1);
	assert_int_equal(mmu_inject(mmu, MMU_INJECT_SPTE_RESERVED, gfn(0x401), pfn(0), &error),
			 -ENOENT);
	assert_int_equal(entry_at(0x401, 1).spte.v, entry.spte.v);
	assert_clean(&current);
	/* Nothing is left of the pool. */
	while (rmap_line_take(&mmu->rmap)) {
	}
	assert_int_equal(pool_available(&current.pool), 0);
	assert_int_equal(mmu_inject(mmu, MMU_INJECT_SLOT_GONE, gfn(0x401), pfn(0), &error),
			 -ENOMEM);
	assert_int_equal(mmu_inject(mmu, MMU_INJECT_RMAP_DOUBLED, gfn(0x401), pfn(0), &error),
			 -ENOMEM);
	assert_clean(&current);
	/* No rmap to damage. */
	mmu->rmap.tree[0][0].root = 0;
	assert_int_equal(mmu_inject(mmu, MMU_INJECT_RMAP_DROPPED, gfn(0x401), pfn(0), &error),
			 -ENOENT);
	fixture_end(&current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage_met_by_changes),
		cmocka_unit_test(test_injected_damage_is_found_by_removal),
		cmocka_unit_test(test_rmap_violations_are_told_apart),
		cmocka_unit_test(test_reserved_bit_by_hardware),
		cmocka_unit_test(test_slot_gone_by_fault),
		cmocka_unit_test(test_injected_damage_is_found_by_the_audit),
		cmocka_unit_test(test_wild_pointers_are_not_followed),
		cmocka_unit_test(test_chain_ring_ends),
		cmocka_unit_test(test_inject_is_refused_politely),
		cmocka_unit_test(test_inject_without_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
