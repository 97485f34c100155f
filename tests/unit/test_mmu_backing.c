/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that are not where their slot says (backing.h): absent ones, ones that were given
 * back, ones behind other frames, and the large pages around them; against a model that knows
 * for each page its frame or that it has none.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_threads.h"

#define RAM 0x40000   /* pfn, aligned to 1 GiB */
#define FIRST 0x10000 /* gfn, aligned to 2 MiB */
#define LARGE 0x200u
#define PAGES (2 * LARGE + 0x40)
#define SPARE (RAM + 0x2000) /* frames that are in no slot */
#define SPARES 0x100
#define FOREIGN (SPARE + SPARES)

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

static struct fixture current;
static struct error_text error;

static void start(const struct spte_format *format, uint32_t flags)
{
	fixture_start(&current, format);
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	fixture_give(SPARE, SPARES, FIXTURE_OWNER);
	fixture_give(FOREIGN, 1, FIXTURE_OWNER + 1);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, flags), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

static int insert(uint64_t frame, uint64_t backing)
{
	return mmu_page_insert(&current.mmu, gfn(frame), pfn(backing));
}

static int remove_page(uint64_t frame, uint64_t *backing)
{
	pfn_t found = { 0 };
	int status = mmu_page_remove(&current.mmu, gfn(frame), &found);

	*backing = found.v;
	return status;
}

static void work(void)
{
	while (mmu_work(&current.mmu, 4096)) {
	}
}

/* The frame that the tables have for a gfn, 0: none. */
static uint64_t frame_at(uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, 0, frame);

	if (!step.leaf) {
		return 0;
	}
	return spte_pfn((spte_t){ step.spte }).v + (frame & (level_frames(step.level) - 1));
}

static void test_a_page_goes_and_comes(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t backing;
		size_t size;
		pfn_t found;

		start(formats[f], 0);
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 5).level, 2);
		assert_int_equal(remove_page(FIRST + 5, &backing), 0);
		assert_int_equal(backing, RAM + 5);
		assert_int_equal(frame_at(FIRST + 5), 0);
		assert_int_equal(frame_at(FIRST + 6), RAM + 6);
		assert_clean(&current);
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_READ), MMU_ABSENT);
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_ABSENT);
		assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST + 5), &found), -ENODATA);
		assert_null(mmu_guest_ptr(&current.mmu, gpa((FIRST + 5) << 12), &size, false));
		assert_non_null(mmu_guest_ptr(&current.mmu, gpa((FIRST + 4) << 12), &size, true));
		assert_int_equal(size, PAGE_SIZE);
		/* Another frame. */
		assert_int_equal(insert(FIRST + 5, SPARE), 0);
		assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST + 5), &found), 0);
		assert_int_equal(found.v, SPARE);
		assert_ptr_equal(
			mmu_guest_ptr(&current.mmu, gpa(((FIRST + 5) << 12) + 7), &size, true),
			(uint8_t *)hpa_to_ptr(pfn_to_hpa(pfn(SPARE))) + 7);
		assert_int_equal(size, PAGE_SIZE - 7);
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
		assert_int_equal(frame_at(FIRST + 5), SPARE);
		work();
		assert_clean(&current);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 6).level, 1);
		/* And its own again: one large page, as at first. */
		assert_int_equal(remove_page(FIRST + 5, &backing), 0);
		assert_int_equal(backing, SPARE);
		assert_int_equal(insert(FIRST + 5, PFN_LINEAR.v), 0);
		work();
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 6).level, 2);
		assert_int_equal(frame_at(FIRST + 5), RAM + 5);
		end();
	}
}

static void test_requests_are_checked(void **state)
{
	uint64_t backing;
	pfn_t found;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(remove_page(FIRST - 1, &backing), -ENOENT);
	assert_int_equal(remove_page(FIRST + PAGES, &backing), -ENOENT);
	assert_int_equal(insert(FIRST - 1, SPARE), -ENOENT);
	assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST - 1), &found), -ENOENT);
	assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST), &found), 0);
	assert_int_equal(found.v, RAM);
	assert_int_equal(insert(FIRST, SPARE), -EEXIST);
	assert_int_equal(remove_page(FIRST, &backing), 0);
	assert_int_equal(remove_page(FIRST, &backing), -ENODATA);
	assert_int_equal(insert(FIRST, FOREIGN), -EPERM);
	assert_int_equal(insert(FIRST, UINT64_C(1) << 40), -EPERM);
	assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST), &found), -ENODATA);
	/* The slot's own frame has been given away meanwhile. */
	assert_true(frame_change(pfn(RAM),
				 (struct frame_info){ FIXTURE_OWNER, FRAME_PRIVATE, 0, 0 },
				 (struct frame_info){ FIXTURE_OWNER + 1, FRAME_PRIVATE, 0, 0 }));
	assert_int_equal(insert(FIRST, PFN_LINEAR.v), -EPERM);
	assert_int_equal(insert(FIRST, RAM), -EPERM);
	assert_int_equal(insert(FIRST, SPARE), 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_WRITE), MMU_FIXED);
	assert_clean(&current);
	(void)PARTITION_BUG_ON(&current.bug, true, RULE_I1);
	assert_int_equal(remove_page(FIRST, &backing), -EIO);
	assert_int_equal(insert(FIRST + 1, SPARE), -EIO);
	fixture_end(&current);
}

/* A page that is the last of its slot's frames: its slot is larger than exceptions may be. */
static void test_slots_too_large_for_exceptions(void **state)
{
	struct memslot slot = { .page_count = BACKING_PAGES_MAX + 1, .pfn = pfn(RAM) };
	struct backing backing = { 0 };
	pfn_t frame;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(backing_set(&backing, &current.pool, &slot, gfn(5), BACKING_ABSENT),
			 -ERANGE);
	assert_true(backing_is_plain(&backing, &slot));
	/* The largest that there may be, at the worst alignment: its ends are told apart. */
	slot.page_count = BACKING_PAGES_MAX;
	slot.pfn = pfn(RAM + level_frames(3) - 1);
	assert_int_equal(backing_set(&backing, &current.pool, &slot, gfn(BACKING_PAGES_MAX - 1),
				     BACKING_ABSENT),
			 0);
	assert_false(backing_get(&backing, &slot, gfn(BACKING_PAGES_MAX - 1), &frame));
	assert_true(backing_get(&backing, &slot, gfn(BACKING_PAGES_MAX - 2), &frame));
	assert_int_equal(frame.v, slot.pfn.v + BACKING_PAGES_MAX - 2);
	assert_true(backing_get(&backing, &slot, gfn(0), &frame));
	assert_true(backing_get(&backing, &slot, gfn(BACKING_PAGES_MAX / 2), &frame));
	backing_free(&backing, &current.pool);
	assert_int_equal(current.pool.refused_count, 0);
	end();
}

/* Filled page by page on demand; when the last of 2 MiB is there, it is one large page. */
static void test_absent_slot_is_filled(void **state)
{
	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		start(formats[f], MEMSLOT_ABSENT);
		for (uint64_t i = 0; i < PAGES; i++) {
			assert_int_equal(fixture_fault(&current, FIRST + i, MMU_READ), MMU_ABSENT);
			assert_int_equal(insert(FIRST + i, PFN_LINEAR.v), 0);
			assert_int_equal(fixture_fault(&current, FIRST + i, MMU_WRITE), MMU_FIXED);
			assert_int_equal(fixture_walk(&current, 0, FIRST + i).level, 1);
		}
		assert_clean(&current);
		work();
		assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 1).level, 2);
		assert_int_equal(fixture_fault(&current, FIRST + LARGE, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 0, FIRST + LARGE).level, 2);
		/* The rest is not large and stays as it is. */
		assert_int_equal(fixture_walk(&current, 0, FIRST + 2 * LARGE).level, 1);
		assert_int_equal(fixture_fault(&current, FIRST + 2 * LARGE, MMU_WRITE), MMU_RETRY);
		end();
	}
}

/* One page of other memory among 511 that are where they should be: no large page. */
static void test_one_other_frame_is_enough(void **state)
{
	(void)state;
	start(&ept_format, MEMSLOT_ABSENT);
	for (uint64_t i = 0; i < LARGE; i++) {
		assert_int_equal(insert(FIRST + i, i == 300 ? SPARE + 3 : RAM + i), 0);
	}
	work();
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_walk(&current, 0, FIRST + 1).level, 1);
	assert_int_equal(fixture_fault(&current, FIRST + 300, MMU_WRITE), MMU_FIXED);
	assert_int_equal(frame_at(FIRST + 300), SPARE + 3);
	end();
}

static uint64_t model[PAGES]; /* frame, 0: absent */
static uint64_t model_pfn;    /* of the slot */
static bool spare_used[SPARES];
static uint64_t random_state;
static unsigned int large_count;

static unsigned int random_below(unsigned int limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned int)((random_state >> 33) % limit);
}

/* A large leaf over this page of the slot would be right. */
static bool may_be_large(uint64_t base, uint64_t page)
{
	uint64_t first = align_down(base + page, LARGE) - base;

	for (uint64_t i = first; i < first + LARGE; i++) {
		if (i >= PAGES || model[i] != model_pfn + i) {
			return false;
		}
	}
	return ((base ^ model_pfn) & (LARGE - 1)) == 0;
}

static void model_fault(uint64_t base, uint64_t page)
{
	enum mmu_result result = fixture_fault(&current, base + page, MMU_WRITE);
	struct mmu_walk_step step = fixture_walk(&current, 0, base + page);
	pfn_t found = { 0 };
	int status = mmu_page_lookup(&current.mmu, gfn(base + page), &found);

	if (model[page] == 0) {
		assert_int_equal(result, MMU_ABSENT);
		assert_int_equal(status, -ENODATA);
		assert_false(step.leaf);
		return;
	}
	assert_int_equal(status, 0);
	assert_int_equal(found.v, model[page]);
	assert_true(result == MMU_FIXED || result == MMU_RETRY);
	assert_int_equal(frame_at(base + page), model[page]);
	if (step.level > 1) {
		assert_int_equal(step.level, 2);
		assert_true(may_be_large(base, page));
		large_count++;
	}
}

static void model_remove(uint64_t base, uint64_t page)
{
	uint64_t backing;
	int status = remove_page(base + page, &backing);

	assert_int_equal(status, model[page] ? 0 : -ENODATA);
	if (!status) {
		assert_int_equal(backing, model[page]);
		if (backing >= SPARE) {
			spare_used[backing - SPARE] = false;
		}
		model[page] = 0;
	}
	assert_int_equal(frame_at(base + page), 0);
}

static void model_insert(uint64_t base, uint64_t page, uint64_t backing)
{
	uint64_t wanted = backing == PFN_LINEAR.v ? model_pfn + page : backing;
	int status = insert(base + page, backing);

	assert_int_equal(status, model[page] ? -EEXIST : 0);
	if (!status) {
		model[page] = wanted;
		if (wanted >= SPARE) {
			spare_used[wanted - SPARE] = true;
		}
	}
}

static void model_start(unsigned int seed)
{
	/* Aligned to 2 MiB, or only as far from it in pfn as in gfn. */
	uint64_t skew = seed & 4 ? 0x50 : 0;
	uint32_t flags = seed & 2 ? (uint32_t)MEMSLOT_ABSENT : 0;

	fixture_start(&current, formats[seed % 2]);
	fixture_give(RAM, PAGES + skew, FIXTURE_OWNER);
	fixture_give(SPARE, SPARES, FIXTURE_OWNER);
	model_pfn = RAM + skew;
	assert_int_equal(fixture_slot(&current, 0, FIRST + skew, PAGES, model_pfn, flags), 0);
	random_state = seed;
	memset(spare_used, 0, sizeof(spare_used));
	for (unsigned int i = 0; i < PAGES; i++) {
		model[i] = flags ? 0 : model_pfn + i;
	}
	large_count = 0;
}

/* One random change, fault or look; returns where the slot is then. */
static uint64_t model_step(uint64_t base)
{
	/* Mostly among a few pages, so that 2 MiB are complete at times. */
	unsigned int page = random_below(4) ? 70 * random_below(15) : random_below(PAGES);
	unsigned int spare = random_below(SPARES);
	unsigned int what = random_below(64);
	uint64_t home = FIRST + (model_pfn - RAM);

	if (what < 8) {
		model_remove(base, page);
	} else if (what < 24) {
		model_insert(base, page, PFN_LINEAR.v);
	} else if (what < 28 && !spare_used[spare]) {
		model_insert(base, page, SPARE + spare);
	} else if (what < 60) {
		model_fault(base, page);
	} else if (what < 63) {
		work();
	} else {
		/* The slot moves, and its pages with it. */
		base = base == home ? home + 0x3000 + 7 * (spare % 2) : home;
		assert_int_equal(mmu_slot_move(&current.mmu, 0, gfn(base), &error), 0);
	}
	return base;
}

static void test_against_a_model(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 8; seed++) {
		uint64_t base;

		model_start(seed);
		base = FIRST + (model_pfn - RAM);
		for (unsigned int i = 0; i < 3000; i++) {
			base = model_step(base);
			if (i % 64 == 0) {
				assert_clean(&current);
			}
		}
		/* All as the slot has it, and so everything large that can be. */
		for (unsigned int i = 0; i < PAGES; i++) {
			if (model[i] != model_pfn + i) {
				model_remove(base, i);
				model_insert(base, i, PFN_LINEAR.v);
			}
		}
		work();
		assert_int_equal(
			mmu_slot_move(&current.mmu, 0, gfn(FIRST + (model_pfn - RAM)), &error), 0);
		large_count = 0;
		for (unsigned int i = 0; i < PAGES; i++) {
			model_fault(FIRST + (model_pfn - RAM), i);
		}
		assert_int_equal(large_count, seed & 4 ? LARGE : 2 * LARGE);
		end();
	}
}

/* What a page was is over when its slot, or that part of it, has gone. */
static void test_state_ends_with_the_page(void **state)
{
	uint64_t backing;
	size_t used;

	(void)state;
	start(&npt_format, 0);
	used = current.pool.used_count;
	assert_int_equal(remove_page(FIRST + 1000, &backing), 0);
	assert_int_equal(remove_page(FIRST + 1001, &backing), 0);
	assert_int_equal(insert(FIRST + 1001, SPARE), 0);
	assert_int_equal(remove_page(FIRST + 5, &backing), 0);
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, 1000, &error), 0);
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, PAGES, &error), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 1000, MMU_WRITE), MMU_FIXED);
	assert_int_equal(frame_at(FIRST + 1000), RAM + 1000);
	/* All of the 2 MiB is the slot's own again: one large page. */
	assert_int_equal(fixture_walk(&current, 0, FIRST + 1000).level, 2);
	assert_int_equal(frame_at(FIRST + 1001), RAM + 1001);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_ABSENT);
	assert_clean(&current);
	assert_int_equal(fixture_delete(&current, 0), 0);
	work();
	/* The vCPU's own cache is what is left. */
	assert_true(current.pool.used_count <= used + MMU_CACHE_PAGES + 1);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, 0), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
	end();
}

/* The n-th allocation fails: done, or refused and the page is as before. */
static void test_without_memory(void **state)
{
	(void)state;
	for (unsigned int which = 0; which < 2; which++) {
		int status = -ENOMEM;

		for (unsigned int n = 1; status; n++) {
			uint64_t backing;
			pfn_t found;

			start(&ept_format, which ? MEMSLOT_ABSENT : 0);
			current.pool.fail_at = n;
			status =
				which ? insert(FIRST + 5, SPARE) : remove_page(FIRST + 5, &backing);
			current.pool.fail_at = 0;
			assert_true(status == 0 || status == -ENOMEM);
			assert_int_equal(mmu_page_lookup(&current.mmu, gfn(FIRST + 5), &found),
					 (status == 0) == (which == 1) ? 0 : -ENODATA);
			assert_clean(&current);
			assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_READ),
					 (status == 0) == (which == 1) ? MMU_FIXED : MMU_ABSENT);
			end();
			assert_in_range(n, 1, 20);
		}
	}
}

/* V1, V2: a fault that looked before the page went, or came, does not install. */
static void test_changes_overtake_faults(void **state)
{
	struct fault_thread fault;
	uint64_t backing;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(remove_page(FIRST + 5, &backing), 0);
	fault_start(&fault, &current.vcpu, FIRST + 6, MMU_WRITE);
	/* An insertion does not wait for read sections: nothing was there to be read. */
	assert_int_equal(insert(FIRST + 5, SPARE), 0);
	assert_int_equal(fault_finish(&fault), MMU_RETRY);
	assert_int_equal(frame_at(FIRST + 6), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 6, MMU_WRITE), MMU_FIXED);
	end();
}

/*
 * A pool full of mappings gives room for pages that go, up to its half; then they stay. Faults
 * are served in what is left.
 */
static void test_in_a_pool_that_is_full(void **state)
{
	struct fixture_options options = { .format = &ept_format, .pool_pages = 64 };
	const uint64_t count = 100 * LARGE;
	unsigned int removed = 0;
	uint64_t backing;

	(void)state;
	assert_int_equal(fixture_try(&current, &options), 0);
	fixture_give(RAM, count, FIXTURE_OWNER);
	/* Not aligned alike: leaves of 4 KiB. */
	assert_int_equal(fixture_slot(&current, 0, FIRST + 1, count, RAM, 0), 0);
	for (uint64_t i = 0; i < count; i += LARGE) {
		assert_int_equal(fixture_fault(&current, FIRST + 1 + i, MMU_WRITE), MMU_FIXED);
	}
	assert_int_equal(pool_available(&current.pool), 0);
	while (remove_page(FIRST + 1 + removed * LARGE, &backing) == 0) {
		assert_int_equal(backing, RAM + removed * LARGE);
		removed++;
	}
	assert_in_range(removed, 25, 30); /* a node each, and those above them */
	assert_int_equal(current.pool.kept_count, 32);
	assert_int_equal(remove_page(FIRST + 1 + removed * LARGE, &backing), -ENOMEM);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), -ENOMEM);
	for (uint64_t i = removed * LARGE; i < count; i += LARGE) {
		assert_int_equal(fixture_fault(&current, FIRST + 1 + i, MMU_WRITE), MMU_FIXED);
	}
	assert_int_equal(insert(FIRST + 1, RAM), 0);
	assert_int_equal(fixture_delete(&current, 0), 0);
	assert_int_equal(current.pool.kept_count, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_page_goes_and_comes),
		cmocka_unit_test(test_requests_are_checked),
		cmocka_unit_test(test_slots_too_large_for_exceptions),
		cmocka_unit_test(test_absent_slot_is_filled),
		cmocka_unit_test(test_one_other_frame_is_enough),
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_state_ends_with_the_page),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_changes_overtake_faults),
		cmocka_unit_test(test_in_a_pool_that_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
