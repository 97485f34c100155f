/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPTE values of both formats against the manuals' bit positions, written out here as plain
 * numbers: what is made, what is recognised, and what spte_check() refuses at each level.
 */
/* sources: mm/ept_format.c mm/npt_format.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/spte.h"

#define MAXPHYADDR 40

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

/* SDM: read 0, write 1, execute 2, type 5:3 = 6, ignore PAT 6, large 7, accessed 8, dirty 9. */
static void test_ept_values(void **state)
{
	(void)state;
	assert_int_equal(spte_leaf(&ept_format, pfn(0x12345), 1, 7, 0).v, 0x12345b77);
	assert_int_equal(spte_leaf(&ept_format, pfn(0x12345), 1, 5, 3).v, 0x30000012345b75);
	assert_int_equal(spte_leaf(&ept_format, pfn(0x12200), 2, 7, 15).v, 0xf0000012200bf7);
	assert_int_equal(spte_leaf(&ept_format, pfn(0x40000), 3, 1, 0).v, 0x40000bf1);
	assert_int_equal(spte_table(&ept_format, pfn(0x777)).v, 0x777807);
	assert_int_equal(ept_format.make_mmio(gfn(0xfee00), 3, 0x801, MAXPHYADDR).v,
			 UINT64_C(0x00100000fee00306));
	assert_int_equal(ept_format.make_mmio(gfn(0xfee00), 3, 1, 52).v & 7, 6);
	assert_int_equal(ept_format.make_leaf(pfn(1), 1, 7, MEMORY_UC).v, 0x1347);
}

/* APM: present 0, write 1, user 2, accessed 5, dirty 6, large 7, no-execute 63. */
static void test_npt_values(void **state)
{
	(void)state;
	assert_int_equal(spte_leaf(&npt_format, pfn(0x12345), 1, 7, 0).v, 0x12345867);
	assert_int_equal(spte_leaf(&npt_format, pfn(0x12345), 1, 5, 3).v, 0x30000012345865);
	assert_int_equal(spte_leaf(&npt_format, pfn(0x12200), 2, 7, 15).v, 0xf00000122008e7);
	assert_int_equal(spte_leaf(&npt_format, pfn(0x40000), 3, 1, 0).v,
			 UINT64_C(0x80000000400008e5));
	assert_int_equal(spte_table(&npt_format, pfn(0x777)).v, 0x777807);
	assert_int_equal(npt_format.make_mmio(gfn(0xfee00), 3, 0x801, MAXPHYADDR).v,
			 UINT64_C(0x00180000fee00307));
	assert_int_equal(npt_format.make_mmio(gfn(0xfee00), 3, 1, 51).v >> 51 & 1, 1);
	assert_int_equal(npt_format.make_mmio(gfn(0xfee00), 3, 1, 52).v, 0);
	assert_int_equal(npt_format.make_leaf(pfn(1), 1, 7, MEMORY_UC).v, 0x107f);
}

static void test_what_is_made_is_recognised(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		const struct spte_format *format = formats[f];
		struct spte_limits limits;
		spte_t table = spte_table(format, pfn(0x777));
		spte_t mmio = format->make_mmio(gfn(0x5678), 7, 0x7ff, MAXPHYADDR);

		spte_limits_init(&limits, format, MAXPHYADDR, true);
		for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
			for (unsigned int rights = 1; rights <= 7; rights += 2) {
				spte_t leaf = spte_leaf(format, pfn(0x40000), level, rights, 9);

				assert_true(format->is_present(leaf) && spte_is_present(leaf));
				assert_true(format->is_leaf(leaf, level) &&
					    spte_is_leaf(leaf, level));
				assert_false(format->is_mmio(leaf) || spte_is_table(leaf, level));
				assert_false(format->is_malformed(leaf, true));
				assert_int_equal(format->rights(leaf), rights);
				assert_int_equal(spte_slot(leaf), 9);
				assert_int_equal(spte_pfn(leaf).v, 0x40000);
				assert_int_equal(spte_check(&limits, leaf, level), RULE_NONE);
				assert_true((leaf.v & format->accessed) &&
					    (leaf.v & format->dirty));
			}
		}
		for (unsigned int level = 2; level <= SPTE_LEVELS; level++) {
			assert_true(spte_is_table(table, level) && !format->is_leaf(table, level));
			assert_int_equal(spte_check(&limits, table, level), RULE_NONE);
			assert_int_equal(spte_check(&limits, mmio, level), RULE_I3);
		}
		assert_false(table.v & format->accessed);
		assert_true(format->is_mmio(mmio) && !spte_is_present(mmio));
		assert_int_equal(spte_mmio_gfn(mmio).v, 0x5678);
		assert_true(spte_mmio_is_current(mmio, 0x7ff) && spte_mmio_is_current(mmio, 0xfff));
		assert_false(spte_mmio_is_current(mmio, 0x800) ||
			     spte_mmio_is_current(mmio, 0x7fe));
		assert_int_equal(spte_check(&limits, mmio, 1), RULE_NONE);
		assert_int_equal(spte_check(&limits, (spte_t){ 0 }, 1), RULE_NONE);
		assert_false(format->is_present((spte_t){ 0 }) || format->is_mmio((spte_t){ 0 }));
	}
}

/* For each level and kind, the bits that turn a good value into I3, by the manuals. */
static void test_check_refuses_exactly_the_reserved_bits(void **state)
{
	const uint64_t high = BITS(51, MAXPHYADDR);
	const struct {
		const struct spte_format *format;
		unsigned int level;
		bool leaf;
		uint64_t reserved;
	} cases[] = {
		{ &ept_format, 4, false, high | 0xf8 },
		{ &ept_format, 3, false, high | 0x78 },
		{ &ept_format, 2, false, high | 0x78 },
		{ &ept_format, 3, true, high | BITS(29, 12) },
		{ &ept_format, 2, true, high | BITS(20, 12) },
		{ &ept_format, 1, true, high },
		{ &npt_format, 4, false, high | 0x180 },
		{ &npt_format, 3, false, high },
		{ &npt_format, 2, false, high },
		{ &npt_format, 3, true, high | BITS(29, 13) },
		{ &npt_format, 2, true, high | BITS(20, 13) },
		{ &npt_format, 1, true, high },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct spte_format *format = cases[i].format;
		unsigned int level = cases[i].level;
		spte_t good = cases[i].leaf ? spte_leaf(format, pfn(0), level, 7, 0)
					    : spte_table(format, pfn(0));
		struct spte_limits limits;

		spte_limits_init(&limits, format, MAXPHYADDR, true);
		for (unsigned int bit = 12; bit < 64; bit++) {
			spte_t spte = { good.v | BIT(bit) };
			bool reserved = (cases[i].reserved & BIT(bit)) != 0;

			assert_int_equal(spte_check(&limits, spte, level),
					 reserved ? RULE_I3 : RULE_NONE);
		}
		for (unsigned int bit = 0; bit < 12; bit++) {
			if (cases[i].reserved & BIT(bit)) {
				spte_t spte = { good.v | BIT(bit) };

				/* Bit 7 turns it into a leaf of a level that has none: refused too.
				 */
				assert_int_equal(spte_check(&limits, spte, level), RULE_I3);
			}
		}
	}
}

/* A frozen entry is nothing to either CPU, and neither empty nor MMIO to us. */
static void test_frozen(void **state)
{
	const spte_t frozen = { SPTE_FROZEN };

	(void)state;
	assert_true(spte_is_frozen(frozen));
	assert_false(spte_is_empty(frozen) || spte_is_present(frozen));
	assert_int_equal(frozen.v & 7, 0); /* EPT: no right; NPT: not present */
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		spte_t mmio = formats[f]->make_mmio(gfn(0), 0, 0, MAXPHYADDR);

		assert_false(formats[f]->is_present(frozen) || formats[f]->is_mmio(frozen));
		assert_false(spte_is_frozen(mmio) || spte_is_frozen((spte_t){ 0 }));
		for (unsigned int level = 1; level <= SPTE_LEVELS; level++) {
			assert_false(spte_is_leaf(frozen, level) || spte_is_table(frozen, level));
		}
	}
}

static void test_malformed_values(void **state)
{
	struct spte_limits ept;
	struct spte_limits npt;
	struct spte_limits wide;
	spte_t leaf = spte_leaf(&ept_format, pfn(5), 1, 7, 0);

	(void)state;
	spte_limits_init(&ept, &ept_format, MAXPHYADDR, false);
	spte_limits_init(&npt, &npt_format, MAXPHYADDR, false);
	spte_limits_init(&wide, &ept_format, 52, true);
	/* EPT: write or execute without read; memory types 2, 3 and 7. */
	for (unsigned int rights = 0; rights < 8; rights++) {
		spte_t spte = { (leaf.v & ~UINT64_C(7)) | rights };

		assert_int_equal(spte_check(&ept, spte, 1), rights & 1 ? RULE_NONE : RULE_I3);
		assert_int_equal(ept_format.is_malformed(spte, true), !(rights & 1));
	}
	for (unsigned int type = 0; type < 8; type++) {
		spte_t spte = { (leaf.v & ~UINT64_C(0x38)) | type << 3 };
		bool bad = type == 2 || type == 3 || type == 7;

		assert_int_equal(spte_check(&ept, spte, 1), bad ? RULE_I3 : RULE_NONE);
		assert_int_equal(ept_format.is_malformed(spte, true), bad);
	}
	/* NPT: not present, or not for user accesses; a table that takes the write right. */
	leaf = spte_leaf(&npt_format, pfn(5), 1, 7, 0);
	for (unsigned int low = 0; low < 8; low++) {
		spte_t spte = { (leaf.v & ~UINT64_C(7)) | low };
		spte_t table = { (spte_table(&npt_format, pfn(5)).v & ~UINT64_C(7)) | low };

		assert_int_equal(spte_check(&npt, spte, 1), (low & 5) == 5 ? RULE_NONE : RULE_I3);
		assert_int_equal(npt_format.is_malformed(spte, true), (low & 5) != 5);
		assert_int_equal(spte_check(&npt, table, 2), low == 7 ? RULE_NONE : RULE_I3);
		assert_int_equal(npt_format.is_malformed(table, false), low != 7);
	}
	/* A CPU without 1 GiB pages; one with every address bit; garbage that is not present. */
	assert_int_equal(spte_check(&ept, spte_leaf(&ept_format, pfn(0), 3, 7, 0), 3), RULE_I3);
	assert_int_equal(spte_check(&npt, spte_leaf(&npt_format, pfn(0), 3, 7, 0), 3), RULE_I3);
	assert_int_equal(
		spte_check(&wide,
			   (spte_t){ spte_leaf(&ept_format, pfn(0), 1, 7, 0).v | BITS(51, 40) }, 1),
		RULE_NONE);
	assert_int_equal(spte_check(&ept, (spte_t){ 1 }, 1), RULE_I3);
	assert_int_equal(spte_check(&npt, (spte_t){ 7 }, 1), RULE_I3);
	assert_int_equal(spte_check(&npt, (spte_t){ BIT(20) }, 2), RULE_I3);
}

static void test_geometry(void **state)
{
	(void)state;
	assert_int_equal(level_frames(1), 1);
	assert_int_equal(level_frames(2), 512);
	assert_int_equal(level_frames(3), 262144);
	assert_int_equal(level_index(gfn(0x8040201), 1), 1);
	assert_int_equal(level_index(gfn(0x8040201), 2), 1);
	assert_int_equal(level_index(gfn(0x8040201), 3), 1);
	assert_int_equal(level_index(gfn(0x8040201), 4), 1);
	assert_int_equal(level_index(gfn(0xfffffffff), 4), 511);
	assert_int_equal(level_align(gfn(0x40201), 2).v, 0x40200);
	assert_int_equal(level_align(gfn(0x7ffff), 3).v, 0x40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ept_values),
		cmocka_unit_test(test_npt_values),
		cmocka_unit_test(test_what_is_made_is_recognised),
		cmocka_unit_test(test_check_refuses_exactly_the_reserved_bits),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_malformed_values),
		cmocka_unit_test(test_geometry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
