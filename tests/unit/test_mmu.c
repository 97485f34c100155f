/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU as the hypervisor uses it: slots, faults, MMIO, views. The audit runs after each
 * step. That broken rules are found is test_mmu_rules.c.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_fixture.h"

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

#define RAM 0x40000 /* pfn at 1 GiB, aligned for every leaf */

/* Pages of the pool in use, with a full cache: what a vCPU has in advance is the same always. */
static size_t pages_used(struct fixture *fixture)
{
	cache_fill(&fixture->vcpu.cache, &fixture->mmu.rmap);
	return fixture->pool.used_count;
}

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
		assert_int_equal(fixture.mmu.stats.fixed[0], 2);
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
		assert_int_equal(fixture.mmu.stats.fixed[2], 1);
		assert_int_equal(fixture.mmu.stats.fixed[1], 1);
		/* 7: below 0.01 % of 1 GiB, nothing is allocated for each gfn. */
		assert_true(fixture.pool.used_count < 26);
		assert_int_equal(fixture_delete(&fixture, 7), 0);
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
		const uint64_t lapic = 0xfee00;
		struct fixture fixture;

		fixture_start(&fixture, formats[f]);
		assert_int_equal(fixture_fault(&fixture, lapic, MMU_WRITE), MMU_MMIO);
		assert_true(fixture_walk(&fixture, 0, 0xfee00).mmio);
		assert_clean(&fixture);
		assert_int_equal(fixture_malformed(&fixture, lapic), MMU_MMIO);
		assert_int_equal(fixture.mmu.stats.mmio_hits, 1);
		assert_int_equal(fixture.mmu.stats.mmio_installed, 1);
		/* A slot appears elsewhere: the SPTE is stale, goes, and comes back. */
		fixture_give(RAM, 0x200, FIXTURE_OWNER);
		assert_int_equal(fixture_slot(&fixture, 0, 0, 0x100, RAM, 0), 0);
		assert_int_equal(fixture_malformed(&fixture, lapic), MMU_RETRY);
		assert_false(fixture_walk(&fixture, 0, 0xfee00).mmio);
		assert_clean(&fixture);
		assert_int_equal(fixture_fault(&fixture, lapic, MMU_WRITE), MMU_MMIO);
		/* A slot appears over it: the stale SPTE gives way to a leaf. */
		assert_int_equal(fixture_slot(&fixture, 1, 0xfee00, 1, RAM + 0x100, 0), 0);
		assert_int_equal(fixture_fault(&fixture, lapic, MMU_WRITE), MMU_FIXED);
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
	used = pages_used(&fixture);
	assert_int_equal(fixture_fault(&fixture, 0xfee00, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_fault(&fixture, UINT64_C(1) << 36, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_fault(&fixture, UINT64_MAX >> 12, MMU_READ), MMU_MMIO);
	assert_int_equal(pages_used(&fixture), used);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* I8: 2048 slot changes later the generation's field has the old value again. */
static void test_mmio_generation_wraps(void **state)
{
	struct error_text error;
	struct fixture fixture;
	uint64_t first;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 2, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0x55, 1, RAM, 0), 0);
	first = fixture.mmu.slots->generation;
	assert_int_equal(fixture_fault(&fixture, 0x123, MMU_READ), MMU_MMIO);
	assert_true(fixture_walk(&fixture, 0, 0x123).mmio);
	for (uint32_t flags = MEMSLOT_READ_ONLY; fixture.mmu.slots->generation < first + 2047;) {
		assert_int_equal(mmu_slot_set_flags(&fixture.mmu, 0, flags, &error), 0);
		flags ^= (uint32_t)MEMSLOT_READ_ONLY;
	}
	assert_int_equal(fixture_slot(&fixture, 1, 0x123, 1, RAM + 1, 0), 0);
	assert_int_equal(fixture.mmu.slots->generation, first + 2048);
	assert_false(fixture_walk(&fixture, 0, 0x123).mmio);
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
		{ { 1, { 0x1000 }, 1, { RAM }, 0x10 }, -EINVAL },
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
	assert_int_equal(fixture_delete(&fixture, 1), -ENOENT);
	assert_int_equal(fixture_delete(&fixture, 77), -ENOENT);
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
		used = pages_used(&fixture);
		assert_int_equal(fixture_slot(&fixture, 3, 0x1001, 0xe00, RAM + 1, 0), 0);
		for (uint64_t n = 0; n < 0xe00; n += 5) {
			fixture_fault(&fixture, 0x1001 + n, MMU_WRITE);
		}
		assert_clean(&fixture);
		assert_true(fixture.mmu.stats.fixed[1] > 0 && fixture.mmu.stats.fixed[0] > 0);
		flushes = fixture.flush_count;
		assert_int_equal(fixture_delete(&fixture, 3), 0);
		assert_true(fixture.flush_count > flushes);
		assert_clean(&fixture);
		assert_int_equal(pages_used(&fixture), used);
		assert_int_equal(fixture.mmu.stats.tables, 1);
		assert_int_equal(fixture.mmu.rmap.entry_count, 0);
		fixture_end(&fixture);
	}
}

static void test_views_share_an_rmap(void **state)
{
	struct mmu_rmap_entry entries[MMU_VIEWS_MAX];
	struct error_text error;
	struct fixture fixture;

	(void)state;
	fixture_start(&fixture, &ept_format);
	fixture_give(RAM, 0x400, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&fixture, 0, 0x200, 0x400, RAM, 0), 0);
	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		hpa_t root;

		assert_int_equal(fixture_fault_in(&fixture, view, 0x200, MMU_READ), MMU_FIXED);
		root = mmu_view_root(&fixture.mmu, view);
		assert_int_not_equal(root.v, 0);
		assert_int_equal(root.v, mmu_vcpu_root(&fixture.vcpu).v);
		assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), view + 1);
		assert_clean(&fixture);
	}
	assert_int_equal(mmu_view_root(&fixture.mmu, MMU_VIEWS_MAX).v, 0);
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), entries, MMU_VIEWS_MAX), 8);
	assert_int_equal(fixture.mmu.rmap.line_count, 2);
	assert_int_equal(mmu_view_destroy(&fixture.mmu, 7, &error), -EBUSY);
	assert_int_equal(fixture_fault_in(&fixture, 0, 0x200, MMU_READ), MMU_RETRY);
	for (unsigned int view = 1; view < MMU_VIEWS_MAX; view += 2) {
		assert_int_equal(mmu_view_destroy(&fixture.mmu, view, &error), 0);
		assert_int_equal(mmu_view_destroy(&fixture.mmu, view, &error), -ENOENT);
		assert_int_equal(mmu_view_root(&fixture.mmu, view).v, 0);
		assert_clean(&fixture);
	}
	/* V5: roots on their way out are still in the rmap, and go in slices. */
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), 8);
	assert_true(mmu_work(&fixture.mmu, 1));
	assert_clean(&fixture);
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), 7);
	while (mmu_work(&fixture.mmu, 1)) {
		assert_clean(&fixture);
	}
	assert_int_equal(mmu_rmap_list(&fixture.mmu, gfn(0x200), NULL, 0), 4);
	assert_int_equal(fixture_delete(&fixture, 0), 0);
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
	for (tries = 0; fixture_malformed(&fixture, 1) == MMU_RETRY; tries++) {
		assert_true(tries < 1000);
	}
	assert_true(tries > 1);
	assert_clean(&fixture);
	fixture_end(&fixture);
}

/* A fault, and that what it mapped is what slot and backing say. */
static void random_fault(struct fixture *fixture, unsigned int view, uint64_t frame,
			 unsigned int access)
{
	enum mmu_result result = fixture_fault_in(fixture, view, frame, access);
	struct mmu_walk_step leaf;
	pfn_t backing;

	assert_not_bugged(fixture);
	assert_true(result != MMU_BUGGED && result != MMU_STUCK);
	if (result != MMU_FIXED) {
		return;
	}
	leaf = fixture_walk(fixture, view, frame);
	assert_int_equal(mmu_page_lookup(&fixture->mmu, gfn(frame), &backing), 0);
	assert_true(leaf.leaf);
	assert_int_equal(spte_pfn((spte_t){ leaf.spte }).v + frame % level_frames(leaf.level),
			 backing.v);
	assert_int_equal(access & ~fixture->mmu.config.format->rights((spte_t){ leaf.spte }), 0);
}

static int random_slot_change(struct fixture *fixture, unsigned int id, uint64_t r)
{
	static const uint32_t flags[] = {
		0, MEMSLOT_READ_ONLY, MEMSLOT_LOG_DIRTY, MEMSLOT_ABSENT, 0, 0, 0, MEMSLOT_LOG_DIRTY
	};
	uint64_t frame = (r >> 16) % 0x1800;
	struct mmu *mmu = &fixture->mmu;
	struct error_text error;

	switch (r >> 60) {
	case 0:
	case 1:
		return fixture_delete(fixture, id);
	case 2:
		return mmu_slot_move(mmu, id, gfn(frame & ~UINT64_C(0xff)), &error);
	case 3:
		return mmu_slot_resize(mmu, id, 0x80 + (r >> 40) % 0x900, &error);
	case 4:
	case 5:
		return mmu_slot_set_flags(mmu, id, flags[(r >> 50) % 3], &error);
	default:
		return fixture_slot(fixture, id, frame & ~UINT64_C(0xff), 0x100 + (r >> 40) % 0x900,
				    RAM + ((r >> 52) & 0xf00), flags[(r >> 47) % 8]);
	}
}

static int random_page_change(struct fixture *fixture, uint64_t r)
{
	uint64_t frame = (r >> 16) % 0x1800;
	struct mmu *mmu = &fixture->mmu;
	pfn_t removed;
	int status;

	switch (r >> 62) {
	case 0:
		mmu_invalidate_begin(mmu, gfn(frame), 0x321);
		status = mmu_unmap(mmu, gfn(frame), 0x321);
		mmu_invalidate_end(mmu, gfn(frame), 0x321);
		return status;
	case 1:
		return mmu_page_insert(mmu, gfn(frame), pfn(RAM + 0x2000 + (r >> 40) % 0x100));
	case 2:
		return mmu_page_insert(mmu, gfn(frame), PFN_LINEAR);
	default:
		return mmu_page_remove(mmu, gfn(frame), &removed);
	}
}

static int random_view_change(struct fixture *fixture, unsigned int view, uint64_t r)
{
	static const unsigned int rights[] = { 0, SPTE_READ, SPTE_READ | SPTE_WRITE,
					       SPTE_RIGHTS_ALL };
	uint64_t frame = (r >> 16) % 0x1800;
	struct error_text error;

	if (r >> 61 == 0) {
		return mmu_view_destroy(&fixture->mmu, view, &error);
	}
	return mmu_view_protect(&fixture->mmu, view, gfn(frame), 1 + (r >> 40) % 0x400,
				rights[(r >> 50) % 4], &error);
}

static void random_step(struct fixture *fixture, uint64_t *seed)
{
	uint64_t r = test_random(seed);
	unsigned int id = (unsigned int)(r >> 8) % 5;
	unsigned int view = (unsigned int)(r >> 12) % 3;
	uint64_t frame = (r >> 16) % 0x1800;
	uint64_t bitmap[8];
	int status = 0;

	switch (r % 32) {
	case 0:
	case 9:
	case 10:
		status = random_slot_change(fixture, id, r);
		break;
	case 1:
	case 2:
		status = random_page_change(fixture, r);
		break;
	case 3:
		status = random_view_change(fixture, view, r);
		break;
	case 4:
		status = mmu_dirty_read(&fixture->mmu, id, (r >> 40) % 8 * 64, 64 * ((r >> 50) % 9),
					bitmap, r & BIT(39));
		break;
	case 5: {
		struct mmu_held held = mmu_lock(&fixture->mmu);

		(void)table_reclaim(held);
		mmu_unlock(held);
		break;
	}
	case 6:
		(void)fixture_malformed(fixture, frame);
		break;
	case 7:
		(void)mmu_work(&fixture->mmu, (unsigned int)(r >> 40) % 16384);
		break;
	case 8:
		if (r >> 61 == 0) {
			mmu_zap_all(&fixture->mmu);
		}
		break;
	default:
		random_fault(fixture, view, frame, 1u << (r >> 60) % 3);
		break;
	}
	assert_not_bugged(fixture);
	assert_int_not_equal(status, -EIO);
}

static void test_random_sequences(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct fixture_options options = { .format = formats[f], .pool_pages = 64 };
		uint64_t seed = 0x243f6a8885a308d3 + f;
		struct fixture fixture;

		assert_int_equal(fixture_try(&fixture, &options), 0);
		fixture_give(RAM, 0x2100, FIXTURE_OWNER);
		for (unsigned int n = 0; n < 4000; n++) {
			random_step(&fixture, &seed);
			assert_clean(&fixture);
		}
		assert_true(fixture.mmu.stats.fixed[1] > 5);
		assert_true(fixture.mmu.stats.fixed[0] > 100);
		assert_true(fixture.mmu.stats.splits > 5 && fixture.mmu.stats.collapses > 0);
		assert_true(fixture.mmu.stats.dirtied > 10 && fixture.mmu.stats.reclaimed > 0);
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
		cmocka_unit_test(test_random_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
