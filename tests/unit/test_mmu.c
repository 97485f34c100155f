/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU as the hypervisor uses it: slots, faults, MMIO, views, the pool running out. The
 * audit runs after each step. That broken rules are found is test_mmu_rules.c.
 */
/* sources: mm/mmu.c mm/fault.c mm/table.c mm/zap.c mm/root.c mm/rmap.c mm/memslot.c mm/walk.c */
/* sources: mm/audit.c mm/inject.c mm/ept_format.c mm/npt_format.c mm/pool.c mm/frames.c */
/* sources: lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_fixture.h"

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

#define RAM 0x40000 /* pfn at 1 GiB, aligned for every leaf */

static void test_fills_4k(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct mmu_rmap_entry entries[2];
		struct mmu_walk_step step;
		struct fixture fixture;

		fixture_start(&fixture, formats[f]);
		fixture_give(RAM + 1, 100, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 0, 0x10, 100, RAM + 1, 0), 0);
		assert_int_equal(fixture_fault(&fixture, 0x10, MMU_READ), MMU_FIXED);
		assert_clean(&fixture);
		assert_int_equal(fixture_fault(&fixture, 0x73, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_fault(&fixture, 0x74, MMU_WRITE), MMU_MMIO);
		assert_clean(&fixture);
		step = fixture_walk(&fixture, 0, 0x73);
		assert_true(step.present && step.leaf && step.level == 1);
		assert_int_equal(spte_pfn((spte_t){ step.spte }).v, RAM + 100);
		assert_int_equal(formats[f]->rights((spte_t){ step.spte }), SPTE_RIGHTS_ALL);
		assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x73), entries, 2), 1);
		assert_int_equal(entries[0].sptep.v, step.sptep.v);
		assert_int_equal(entries[0].spte, step.spte);
		assert_int_equal(fixture.mmu.stats.fixed_4k, 2);
		fixture_end(&fixture);
	}
}

static void test_fills_large(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture fixture;
		struct mmu_walk_step step;

		fixture_start(&fixture, formats[f]);
		fixture_give(RAM, 0x40000 + 0x300, FIXTURE_OWNER);
		/* From gfn 1 GiB: one 1 GiB leaf, one 2 MiB leaf, then 4 KiB leaves. */
		assert_int_equal(fixture_slot(&fixture, 7, 0x40000, 0x40300, RAM, 0), 0);
		assert_int_equal(fixture_fault(&fixture, 0x5abcd, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&fixture, 0, 0x5abcd).level, 3);
		assert_int_equal(fixture_fault(&fixture, 0x80123, MMU_WRITE), MMU_FIXED);
		step = fixture_walk(&fixture, 0, 0x80000);
		assert_int_equal(step.level, 2);
		assert_int_equal(spte_pfn((spte_t){ step.spte }).v, RAM + 0x40000);
		assert_int_equal(fixture_fault(&fixture, 0x802ff, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&fixture, 0, 0x802ff).level, 1);
		assert_clean(&fixture);
		assert_int_equal(fixture.mmu.stats.fixed_1g, 1);
		assert_int_equal(fixture.mmu.stats.fixed_2m, 1);
		/* 7: below 0.01 % of 1 GiB, nothing is allocated for each gfn. */
		assert_true(fixture.pool.used_count < 26);
		assert_int_equal(mmu_slot_delete(&fixture.mmu, 7), 0);
		assert_clean(&fixture);
		fixture_end(&fixture);
	}
}

static void test_no_1g_on_old_cpus(void **state)
{
	struct fixture_options options = { .format = &ept_format, .no_1g = true };
	struct fixture fixture;

	(void)state;
	assert_int_equal(fixture_try(&fixture, &options), 0);
	fixture_give(RAM, 0x40000, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0, 0x40000, RAM, 0), 0);
	assert_int_equal(fixture_fault(&fixture, 0x1234, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_walk(&fixture, 0, 0x1234).level, 2);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* I12: gfn and pfn differ modulo 2 MiB, so no large leaf can be right. */
static void test_unequal_alignment_is_4k(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, &npt_format);
	fixture_give(RAM, 0x1000, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0x201, 0x800, RAM, 0), 0);
	assert_int_equal(fixture_fault(&fixture, 0x405, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_walk(&fixture, 0, 0x405).level, 1);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

static void test_mmio(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		gpa_t lapic = gpa(0xfee00300);
		struct fixture fixture;

		fixture_start(&fixture, formats[f]);
		assert_int_equal(mmu_fault(&fixture.mmu, 0, lapic, MMU_WRITE), MMU_MMIO);
		assert_true(fixture_walk(&fixture, 0, 0xfee00).mmio);
		assert_clean(&fixture);
		assert_int_equal(mmu_fault_malformed(&fixture.mmu, 0, lapic), MMU_MMIO);
		assert_int_equal(fixture.mmu.stats.mmio_hits, 1);
		assert_int_equal(fixture.mmu.stats.mmio_installed, 1);
		/* A slot appears elsewhere: the SPTE is stale, goes, and comes back. */
		fixture_give(RAM, 0x200, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 0, 0, 0x100, RAM, 0), 0);
		assert_int_equal(mmu_fault_malformed(&fixture.mmu, 0, lapic), MMU_RETRY);
		assert_false(fixture_walk(&fixture, 0, 0xfee00).mmio);
		assert_clean(&fixture);
		assert_int_equal(mmu_fault(&fixture.mmu, 0, lapic, MMU_WRITE), MMU_MMIO);
		/* A slot appears over it: the stale SPTE gives way to a leaf. */
		assert_int_equal(fixture_slot(&fixture, 1, 0xfee00, 1, RAM + 0x100, 0), 0);
		assert_int_equal(mmu_fault(&fixture.mmu, 0, lapic, MMU_WRITE), MMU_FIXED);
		assert_true(fixture_walk(&fixture, 0, 0xfee00).leaf);
		assert_clean(&fixture);
		fixture_end(&fixture);
	}
}

/* Beyond the tables' reach, and on a CPU without a reserved bit: emulated, nothing stored. */
static void test_mmio_without_spte(void **state)
{
	struct fixture_options options = { .format = &npt_format, .maxphyaddr = 52 };
	struct fixture fixture;
	size_t used;

	(void)state;
	assert_int_equal(fixture_try(&fixture, &options), 0);
	used = fixture.pool.used_count;
	assert_int_equal(fixture_fault(&fixture, 0xfee00, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_fault(&fixture, UINT64_C(1) << 36, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_fault(&fixture, UINT64_MAX >> 12, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture.pool.used_count, used);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* I8: 2048 slot changes later the generation's field has the old value again. */
static void test_mmio_generation_wraps(void **state)
{
	struct fixture fixture;
	uint64_t first;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 1, FIXTURE_OWNER);
	first = fixture.mmu.slots->generation;
	assert_int_equal(fixture_fault(&fixture, 0x123, MMU_READ), MMU_MMIO);
	do {
		assert_int_equal(fixture_slot(&fixture, 0, 0x55, 1, RAM, 0), 0);
		assert_int_equal(mmu_slot_delete(&fixture.mmu, 0), 0);
	} while (fixture.mmu.slots->generation < first + 2048 - 1);
	assert_int_equal(fixture_slot(&fixture, 0, 0x123, 1, RAM, 0), 0);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

static void test_read_only_slot(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture fixture;
		size_t size = 0;

		fixture_start(&fixture, formats[f]);
		fixture_give(0x20, 16, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 2, 0xffff0, 16, 0x20, MEMSLOT_READ_ONLY),
				 0);
		assert_int_equal(fixture_fault(&fixture, 0xffff1, MMU_WRITE), MMU_READ_ONLY);
		assert_int_equal(fixture_fault(&fixture, 0xffff1, MMU_EXECUTE), MMU_FIXED);
		assert_int_equal(fixture_fault(&fixture, 0xffff1, MMU_WRITE), MMU_READ_ONLY);
		assert_int_equal(
			formats[f]->rights((spte_t){ fixture_walk(&fixture, 0, 0xffff1).spte }),
			SPTE_READ | SPTE_EXECUTE);
		assert_null(mmu_guest_ptr(&fixture.mmu, gpa(0xffff1010), &size, true));
		assert_ptr_equal(mmu_guest_ptr(&fixture.mmu, gpa(0xffff1010), &size, false),
				 (uint8_t *)fixture.arena + 0x21010);
		assert_int_equal(size, 15 * PAGE_SIZE - 0x10);
		assert_null(mmu_guest_ptr(&fixture.mmu, gpa(0x100000000), &size, false));
		assert_clean(&fixture);
		fixture_end(&fixture);
	}
}

/* V6: each is an error, with a message, and nothing changed. */
static void test_wrong_slots_are_refused(void **state)
{
	static const struct {
		struct memslot_config config;
		int error;
	} wrong[] = {
		{ { 16, { 0x1000 }, 1, { RAM }, 0 }, -EINVAL },
		{ { ~0u, { 0x1000 }, 1, { RAM }, 0 }, -EINVAL },
		{ { 1, { 0x1000 }, 0, { RAM }, 0 }, -EINVAL },
		{ { 1, { 0x1000 }, 1, { RAM }, 0x80000000 }, -EINVAL },
		{ { 1, { 0x1000 }, 1, { RAM }, 2 }, -EINVAL },
		{ { 1, { 1u << 28 }, 1, { RAM }, 0 }, -ERANGE },
		{ { 1, { (1u << 28) - 1 }, 2, { RAM }, 0 }, -ERANGE },
		{ { 1, { UINT64_MAX }, 2, { RAM }, 0 }, -ERANGE },
		{ { 1, { 0x1000 }, UINT64_MAX, { RAM }, 0 }, -ERANGE },
		{ { 1, { 0x1000 }, 1, { UINT64_MAX }, 0 }, -ERANGE },
		{ { 0, { 0x1000 }, 1, { RAM }, 0 }, -EEXIST },
		{ { 1, { 0xff }, 2, { RAM }, 0 }, -EEXIST },
		{ { 1, { 0x10f }, 1, { RAM }, 0 }, -EEXIST },
		{ { 1, { 0 }, 0x1000, { RAM }, 0 }, -EEXIST },
		{ { 1, { 0x1000 }, 0x101, { RAM }, 0 }, -EPERM },
		{ { 1, { 0x1000 }, 1, { RAM - 1 }, 0 }, -EPERM },
		{ { 1, { 0x1000 }, 1, { RAM + 0x200 }, 0 }, -EPERM },
		{ { 1, { 0x1000 }, 1, { FIXTURE_FRAMES }, 0 }, -EPERM },
	};
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 0x100, FIXTURE_OWNER);
	fixture_give(RAM + 0x200, 0x10, FIXTURE_OWNER + 1);
	assert_int_equal(fixture_slot(&fixture, 0, 0x100, 0x10, RAM, 0), 0);
	for (unsigned int i = 0; i < ARRAY_COUNT(wrong); i++) {
		const struct memslots *slots = fixture.mmu.slots;
		size_t used = fixture.pool.used_count;
		struct error_text error = { "" };

		assert_int_equal(mmu_slot_create(&fixture.mmu, &wrong[i].config, &error),
				 wrong[i].error);
		assert_true(strlen(error.text) > 10);
		assert_ptr_equal(fixture.mmu.slots, slots);
		assert_int_equal(fixture.pool.used_count, used);
		assert_clean(&fixture);
	}
	assert_int_equal(mmu_slot_delete(&fixture.mmu, 1), -ENOENT);
	assert_int_equal(mmu_slot_delete(&fixture.mmu, 77), -ENOENT);
	/* And right up to the edge it works. */
	assert_int_equal(fixture_slot(&fixture, 1, (1u << 28) - 1, 1, RAM, 0), 0);
	assert_int_equal(fixture_slot(&fixture, 2, 0x110, 1, RAM, 0), 0);
	assert_int_equal(fixture_slot(&fixture, 15, 0xff, 1, RAM, 0), 0);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

static void test_delete_gives_everything_back(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture fixture;
		unsigned int flushes;
		size_t used;

		fixture_start(&fixture, formats[f]);
		fixture_give(RAM, 0x1000, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 4, 0, 0x10, RAM, 0), 0);
		used = fixture.pool.used_count;
		assert_int_equal(fixture_slot(&fixture, 3, 0x1001, 0xe00, RAM + 1, 0), 0);
		for (uint64_t n = 0; n < 0xe00; n += 5) {
			fixture_fault(&fixture, 0x1001 + n, MMU_WRITE);
		}
		assert_clean(&fixture);
		assert_true(fixture.mmu.stats.fixed_2m > 0 && fixture.mmu.stats.fixed_4k > 0);
		flushes = fixture.flush_count;
		assert_int_equal(mmu_slot_delete(&fixture.mmu, 3), 0);
		assert_true(fixture.flush_count > flushes);
		assert_clean(&fixture);
		/* One more: the array before the present one is kept for readers. */
		assert_int_equal(fixture.pool.used_count, used);
		assert_int_equal(fixture.mmu.stats.tables, 1);
		assert_int_equal(fixture.mmu.rmap.entry_count, 0);
		fixture_end(&fixture);
	}
}

static void test_views_share_an_rmap(void **state)
{
	struct mmu_rmap_entry entries[MMU_VIEWS_MAX];
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 0x400, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0x200, 0x400, RAM, 0), 0);
	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		hpa_t root = mmu_root(&fixture.mmu, view);

		assert_int_not_equal(root.v, 0);
		assert_int_equal(root.v, mmu_root(&fixture.mmu, view).v);
		assert_int_equal(mmu_fault(&fixture.mmu, view, gpa(0x200000), MMU_READ), MMU_FIXED);
		assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), view + 1);
		assert_clean(&fixture);
	}
	assert_int_equal(mmu_root(&fixture.mmu, MMU_VIEWS_MAX).v, 0);
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), entries, MMU_VIEWS_MAX), 8);
	assert_int_equal(fixture.mmu.rmap.line_count, 2);
	for (unsigned int view = 1; view < MMU_VIEWS_MAX; view += 2) {
		assert_int_equal(mmu_view_destroy(&fixture.mmu, view), 0);
		assert_int_equal(mmu_view_destroy(&fixture.mmu, view), -ENOENT);
		assert_clean(&fixture);
	}
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), 4);
	assert_int_equal(mmu_slot_delete(&fixture.mmu, 0), 0);
	assert_int_equal(fixture.mmu.rmap.line_count, 0);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* M6: a fault with nothing to do is retried, but not for ever; progress elsewhere resets. */
static void test_no_progress_is_stuck(void **state)
{
	struct fixture fixture;
	unsigned int tries = 0;

	(void)state;
	fixture_start(&fixture, &npt_format);
	fixture_give(RAM, 0x10, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0, 0x10, RAM, 0), 0);
	assert_int_equal(fixture_fault(&fixture, 1, MMU_READ), MMU_FIXED);
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(fixture_fault(&fixture, 1, i & 1 ? MMU_READ : MMU_WRITE),
				 MMU_RETRY);
	}
	while (fixture_fault(&fixture, 1, MMU_READ) == MMU_RETRY) {
		assert_true(++tries < 1000);
	}
	for (tries = 0; mmu_fault_malformed(&fixture.mmu, 0, gpa(0x1000)) == MMU_RETRY; tries++) {
		assert_true(tries < 1000);
	}
	assert_true(tries > 1);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

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
		assert_int_equal(mmu_slot_delete(&fixture.mmu, 0), 0);
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
	spte_t link;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 0x1000, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 1, 0xf00, RAM, 0), 0);
	assert_int_equal(fixture_fault(&fixture, 0x1, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&fixture, 0x201, MMU_READ), MMU_FIXED);
	parent = table_of(&fixture.mmu, hpa_to_pfn(fixture.mmu.last_table->parent));
	held = mmu_lock(&fixture.mmu);
	link = table_get(&fixture.mmu, parent, 0);
	assert_int_equal(table_store(held, parent, 0, (spte_t){ link.v | ept_format.accessed }), 0);
	assert_true(table_reclaim(held));
	mmu_unlock(held);
	assert_true(fixture_walk(&fixture, 0, 0x1).present);
	assert_false(fixture_walk(&fixture, 0, 0x201).present);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

static void steps_for_oom(struct fixture *fixture)
{
	static const uint64_t frames[] = { 0x10, 0x211, 0x40000, 0x80001, 0xfee00, 0x5000000 };
	int status;

	(void)fixture_slot(fixture, 0, 0x10, 0x400, RAM + 1, 0);
	assert_clean(fixture);
	(void)fixture_slot(fixture, 1, 0x40000, 0x40002, RAM, 0);
	assert_clean(fixture);
	for (unsigned int view = 0; view < 3; view++) {
		(void)mmu_root(&fixture->mmu, view);
		for (unsigned int i = 0; i < ARRAY_COUNT(frames); i++) {
			if (fixture->mmu.view_root[view]) {
				(void)mmu_fault(&fixture->mmu, view, gfn_to_gpa(gfn(frames[i])),
						MMU_READ);
			}
			assert_clean(fixture);
		}
	}
	status = mmu_slot_delete(&fixture->mmu, 1);
	assert_true(status == 0 || status == -ENOENT || status == -ENOMEM);
	assert_clean(fixture);
	status = mmu_slot_delete(&fixture->mmu, 0);
	assert_true(status == 0 || status == -ENOENT || status == -ENOMEM);
	assert_clean(fixture);
}

/* Memory fails at the n-th allocation, for every n: an error or a detour, never damage. */
static void test_out_of_memory_anywhere(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct fixture_options options = { .format = &ept_format, .fail_at = n };
		struct fixture fixture;
		uint64_t left;

		if (fixture_try(&fixture, &options) == 0) {
			fixture_give(RAM, 0x40002, FIXTURE_OWNER);
			steps_for_oom(&fixture);
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

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_step(struct fixture *fixture, uint64_t *seed)
{
	uint64_t r = next_random(seed);
	unsigned int id = (unsigned int)(r >> 8) % 5;
	unsigned int view = (unsigned int)(r >> 12) % 3;
	uint64_t frame = (r >> 16) % 0x1800;

	switch (r % 16) {
	case 0:
		(void)fixture_slot(fixture, id, frame & ~UINT64_C(0xff), 0x100 + (r >> 40) % 0x900,
				   RAM + ((r >> 52) & 0xf00), r & BIT(39) ? MEMSLOT_READ_ONLY : 0);
		break;
	case 1:
		assert_int_not_equal(mmu_slot_delete(&fixture->mmu, id), -EIO);
		break;
	case 2:
		assert_int_not_equal(mmu_view_destroy(&fixture->mmu, view), -EIO);
		break;
	case 3:
		(void)table_reclaim((struct mmu_held){ &fixture->mmu });
		break;
	case 4:
		if (fixture->mmu.view_root[view]) {
			(void)mmu_fault_malformed(&fixture->mmu, view, gfn_to_gpa(gfn(frame)));
		}
		break;
	default:
		if (mmu_root(&fixture->mmu, view).v != 0) {
			(void)mmu_fault(&fixture->mmu, view, gfn_to_gpa(gfn(frame)),
					1u << (r >> 60) % 3);
		}
		break;
	}
}

static void test_random_sequences(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture_options options = { .format = formats[f], .pool_pages = 64 };
		uint64_t seed = 0x243f6a8885a308d3 + f;
		struct fixture fixture;

		assert_int_equal(fixture_try(&fixture, &options), 0);
		fixture_give(RAM, 0x2000, FIXTURE_OWNER);
		for (unsigned int step = 0; step < 4000; step++) {
			random_step(&fixture, &seed);
			assert_clean(&fixture);
		}
		assert_true(fixture.mmu.stats.fixed_2m > 10);
		assert_true(fixture.mmu.stats.fixed_4k > 100);
		fixture_end(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills_4k),
		cmocka_unit_test(test_fills_large),
		cmocka_unit_test(test_no_1g_on_old_cpus),
		cmocka_unit_test(test_unequal_alignment_is_4k),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_mmio_without_spte),
		cmocka_unit_test(test_mmio_generation_wraps),
		cmocka_unit_test(test_read_only_slot),
		cmocka_unit_test(test_wrong_slots_are_refused),
		cmocka_unit_test(test_delete_gives_everything_back),
		cmocka_unit_test(test_views_share_an_rmap),
		cmocka_unit_test(test_no_progress_is_stuck),
		cmocka_unit_test(test_small_pool_reclaims),
		cmocka_unit_test(test_shrinker_prefers_cold_tables),
		cmocka_unit_test(test_out_of_memory_anywhere),
		cmocka_unit_test(test_random_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
