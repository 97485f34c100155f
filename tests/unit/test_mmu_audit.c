/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit finds each rule broken, by damage that nothing else would see, and by every kind
 * of injected damage; what it must not follow; what the injection itself refuses.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_damage.h"

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
	assert_int_equal(fixture_fault_in(&current, 1, 0x403, MMU_READ), MMU_FIXED);
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
			table_alloc(held(), table->role, gfn(0));
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
			table_damage(held(), table, 0, (spte_t){ raw });
			table->count++;
			break;
		case 10:
			raw += PAGE_SIZE;
			table_damage(held(), table, 1, (spte_t){ raw });
			break;
		default:
			raw ^= FIELD_PREP(SPTE_SLOT, 5);
			table_damage(held(), table, 1, (spte_t){ raw });
			break;
		}
		mmu_audit(&current.mmu, &audit);
		if (audit.violations == 0 || fixture_rule(&current) != rules[i]) {
			fail_msg("case %u: %s", i, rule_name(fixture_rule(&current)));
		}
		fixture_end(&current);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_injected_damage_is_found_by_the_audit),
		cmocka_unit_test(test_wild_pointers_are_not_followed),
		cmocka_unit_test(test_chain_ring_ends),
		cmocka_unit_test(test_audit_words),
		cmocka_unit_test(test_audit_structure),
		cmocka_unit_test(test_audit_finds_each_rule),
		cmocka_unit_test(test_inject_is_refused_politely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
