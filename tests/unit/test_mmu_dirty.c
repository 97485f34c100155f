/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logging (I11): what the log says against the guest's own record of its writes. The
 * guest here has a TLB that really caches: it goes on writing through a mapping that it had
 * once, until the MMU tells it to forget, and what it wrote meanwhile must be in the log.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/store_log.h"

#define RAM 0x40000   /* pfn, aligned to 1 GiB */
#define FIRST 0x10000 /* gfn, aligned to 2 MiB */
#define PAGES 0x240   /* 2 MiB and a bit */

static struct fixture current;
static struct error_text error;

#define GUEST_VIEWS 2

static struct {
	bool tlb[GUEST_VIEWS][PAGES]; /* cached with the right to write */
	bool written[PAGES];	      /* since its page was last reported as dirty */
	unsigned int in_flush;
} guest;

/* The last moment before the CPUs forget: everything that can be written still is. */
static void guest_flush(void *context, const struct mmu_flush *what)
{
	fixture_flush(context, what);
	for (unsigned int view = 0; view < GUEST_VIEWS; view++) {
		for (unsigned int i = 0; (what->views & BIT(view)) && i < PAGES; i++) {
			if (FIRST + i >= what->start.v && FIRST + i < what->end.v) {
				guest.written[i] |= guest.tlb[view][i];
				guest.in_flush += guest.tlb[view][i];
				guest.tlb[view][i] = false;
			}
		}
	}
}

static const struct mmu_ops guest_ops = { guest_flush, fixture_kick };

static void start(const struct spte_format *format, uint32_t flags)
{
	guest.in_flush = 0;
	memset(&guest, 0, sizeof(guest));
	fixture_start(&current, format);
	current.mmu.config.ops = &guest_ops;
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, flags), 0);
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

static void guest_write(unsigned int view, unsigned int page)
{
	hpa_t root = mmu_view_root(&current.mmu, view);

	for (unsigned int tries = 0; !guest.tlb[view][page]; tries++) {
		struct cpu_walk walk = cpu_walk(current.mmu.config.format, root, gfn(FIRST + page));

		guest.tlb[view][page] = walk.mapped && (walk.rights & SPTE_WRITE);
		if (!guest.tlb[view][page]) {
			assert_int_equal(fixture_fault_in(&current, view, FIRST + page, MMU_WRITE),
					 MMU_FIXED);
		}
		assert_in_range(tries, 0, 4);
	}
	guest.written[page] = true;
}

static void guest_read(unsigned int view, unsigned int page)
{
	enum mmu_result result = fixture_fault_in(&current, view, FIRST + page, MMU_READ);

	assert_true(result == MMU_FIXED || result == MMU_RETRY);
}

static uint64_t random_state;

static unsigned int random_below(unsigned int limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned int)((random_state >> 33) % limit);
}

/* Reads and clears; what is reported as dirty is off the record. Returns how much was. */
static unsigned int collect(unsigned int first, unsigned int count)
{
	uint64_t bitmap[PAGES / 64];
	unsigned int dirty = 0;

	assert_int_equal(mmu_dirty_read(&current.mmu, 0, first, count, bitmap, true), 0);
	for (unsigned int i = first; i < first + count; i++) {
		if (bitmap[(i - first) / 64] & BIT(i % 64)) {
			guest.written[i] = false;
			dirty++;
		}
	}
	return dirty;
}

static void assert_nothing_lost(void)
{
	(void)collect(0, PAGES);
	for (unsigned int i = 0; i < PAGES; i++) {
		if (guest.written[i]) {
			fail_msg("a write to page %u is lost", i);
		}
	}
}

/* Random writes in two views, reads of the log, logging off and on: nothing is ever lost. */
static void test_nothing_is_lost(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 6; seed++) {
		start(seed % 2 ? &ept_format : &npt_format, seed % 3 ? MEMSLOT_LOG_DIRTY : 0);
		random_state = seed;
		for (unsigned int i = 0; i < 50; i++) {
			guest_write(i % 2, random_below(PAGES));
		}
		if (!(seed % 3)) {
			/* Logging begins with pages and large pages that are mapped. */
			assert_int_equal(
				mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
			memset(guest.written, 0, sizeof(guest.written));
			for (unsigned int i = 0; i < PAGES; i++) {
				assert_false(guest.tlb[0][i] || guest.tlb[1][i]);
			}
		}
		for (unsigned int i = 0; i < 1500; i++) {
			unsigned int what = random_below(32);

			if (what == 0) {
				unsigned int first = 64 * random_below(PAGES / 64);

				(void)collect(first, 64 * (1 + random_below((PAGES - first) / 64)));
			} else if (what < 8) {
				guest_read(what % 2, random_below(PAGES));
			} else if (what < 30) {
				guest_write(what % 2, random_below(PAGES));
			} else {
				unsigned int page = random_below(PAGES);

				mmu_read_begin(&current.vcpu);
				mmu_mark_dirty(&current.mmu, gfn_to_gpa(gfn(FIRST + page)), 1);
				mmu_read_end(&current.vcpu);
				guest.written[page] = true;
			}
			if (i % 100 == 0) {
				assert_clean(&current);
			}
		}
		assert_true(guest.in_flush > 0);
		assert_nothing_lost();
		assert_int_equal(collect(0, PAGES), 0);
		end();
	}
}

/* Before every store of a reading the guest writes where it still can. */
static void guest_writes_through_its_tlb(const uint8_t *address)
{
	(void)address;
	for (unsigned int i = 0; i < PAGES; i++) {
		struct cpu_walk walk;

		if (guest.tlb[0][i]) {
			guest.written[i] = true;
			continue;
		}
		walk = cpu_walk(
			current.mmu.config.format,
			pfn_to_hpa(table_pfn(&current.mmu, current.mmu.view_root[0]->table)),
			gfn(FIRST + i));
		guest.tlb[0][i] = walk.mapped && (walk.rights & SPTE_WRITE);
		guest.written[i] |= guest.tlb[0][i];
	}
}

static void test_writes_during_a_reading(void **state)
{
	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	for (unsigned int i = 0; i < PAGES; i += 3) {
		guest_write(0, i);
	}
	store_log_start(&current, guest_writes_through_its_tlb, guest_writes_through_its_tlb);
	assert_int_equal(collect(0, PAGES), PAGES / 3);
	store_log_stop();
	/* Between the two readings, too: whoever has it in its TLB needs no fault. */
	guest_writes_through_its_tlb(NULL);
	assert_nothing_lost();
	end();
}

/* I11: a clean page is not writable, reading makes it no dirtier, and each write counts once. */
static void test_clean_pages_are_not_writable(void **state)
{
	uint64_t bitmap[1] = { 0 };

	(void)state;
	start(&npt_format, MEMSLOT_LOG_DIRTY);
	guest_read(0, 3);
	assert_false(fixture_walk(&current, 0, FIRST + 3).spte & SPTE_WRITABLE);
	assert_int_equal(fixture_walk(&current, 0, FIRST + 3).level, 1);
	assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, false), 0);
	assert_int_equal(bitmap[0], 0);
	guest_write(0, 3);
	guest_write(1, 3);
	guest_write(1, 4);
	assert_int_equal(current.mmu.stats.dirtied, 2);
	/* A reading that does not clear leaves all as it is. */
	current.flush_count = 0;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, false), 0);
		assert_int_equal(bitmap[0], BIT(3) | BIT(4));
	}
	assert_int_equal(current.flush_count, 0);
	assert_true(fixture_walk(&current, 1, FIRST + 3).spte & SPTE_WRITABLE);
	assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, true), 0);
	assert_int_equal(current.flush_count, 1);
	assert_false(fixture_walk(&current, 0, FIRST + 3).spte & SPTE_WRITABLE);
	assert_false(fixture_walk(&current, 1, FIRST + 3).spte & SPTE_WRITABLE);
	assert_int_equal(collect(0, PAGES), 0);
	/* Nothing to do is no flush. */
	assert_int_equal(current.flush_count, 1);
	end();
}

static void test_requests_are_checked(void **state)
{
	static const struct {
		unsigned int slot;
		uint64_t first, count;
		int status;
	} cases[] = {
		{ 5, 0, 64, -ENOENT },
		{ 16, 0, 64, -ENOENT },
		{ 0, 1, 64, -EINVAL },
		{ 0, 0, 63, -EINVAL },
		{ 0, PAGES, 64, -EINVAL },
		{ 0, 0, PAGES + 64, -EINVAL },
		{ 0, PAGES, 0, -EINVAL },
		{ 1, 0, 64, -ENODATA },
		{ 0, UINT64_MAX - 63, 64, -EINVAL },
		{ 0, 0, UINT64_MAX - 63, -EINVAL },
		{ 0, 64, PAGES - 64, 0 },
	};
	uint64_t bitmap[PAGES / 64];

	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(fixture_slot(&current, 1, 0x3000, 10, RAM, 0), 0);
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		int status = mmu_dirty_read(&current.mmu, cases[i].slot, cases[i].first,
					    cases[i].count, bitmap, true);

		if (status != cases[i].status) {
			fail_msg("case %u: %d", i, status);
		}
	}
	/* The last word of a slot that is no multiple of 64 pages. */
	assert_int_equal(fixture_slot(&current, 2, 0x4000, 70, RAM, MEMSLOT_LOG_DIRTY), 0);
	mmu_mark_dirty(&current.mmu, gfn_to_gpa(gfn(0x4000 + 69)), 4096 * 3);
	assert_int_equal(mmu_dirty_read(&current.mmu, 2, 0, 128, bitmap, true), 0);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(bitmap[1], BIT(5));
	assert_int_equal(mmu_dirty_read(&current.mmu, 2, 64, 128, bitmap, true), -EINVAL);
	(void)PARTITION_BUG_ON(&current.bug, true, RULE_I1);
	assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, true), -EIO);
	fixture_end(&current);
}

/* The hypervisor's own writes: every page that they touch, in slots that are logged. */
static void test_own_writes(void **state)
{
	uint64_t bitmap[1];

	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	mmu_mark_dirty(&current.mmu, gpa(gfn_to_gpa(gfn(FIRST + 1)).v + 4095), 2);
	mmu_mark_dirty(&current.mmu, gpa(gfn_to_gpa(gfn(FIRST + 5)).v + 17), 1);
	mmu_mark_dirty(&current.mmu, gpa(gfn_to_gpa(gfn(FIRST)).v - 1), 1);
	mmu_mark_dirty(&current.mmu, gfn_to_gpa(gfn(FIRST + 9)), 2 * PAGE_SIZE);
	assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, true), 0);
	assert_int_equal(bitmap[0], BIT(1) | BIT(2) | BIT(5) | BIT(9) | BIT(10));
	end();
}

/* A page that is put back holds something else than when it was read last. */
static void test_inserted_pages_are_dirty(void **state)
{
	pfn_t frame;

	(void)state;
	start(&npt_format, MEMSLOT_LOG_DIRTY);
	guest_write(0, 7);
	guest_write(0, 8);
	assert_int_equal(collect(0, PAGES), 2);
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(FIRST + 7), &frame), 0);
	assert_int_equal(collect(0, PAGES), 0);
	assert_int_equal(mmu_page_insert(&current.mmu, gfn(FIRST + 7), frame), 0);
	assert_int_equal(collect(0, PAGES), 1);
	guest_write(0, 7);
	assert_nothing_lost();
	end();
}

/* The log's memory: all or nothing, all of it back, and a limit. */
static void test_memory(void **state)
{
	struct dirty_log log = { 0 };
	size_t free_before;
	bool failed = true;

	(void)state;
	for (unsigned int n = 1; failed; n++) {
		size_t used;
		int status;

		start(&npt_format, 0);
		guest_write(0, 1);
		used = current.pool.used_count;
		current.pool.fail_at = n;
		status = mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error);
		failed = current.pool.fail_at == 0;
		current.pool.fail_at = 0;
		if (status) {
			assert_int_equal(status, -ENOMEM);
			assert_null(current.mmu.dirty[0].map);
			assert_int_equal(atomic_load(&current.mmu.slots)->slot[0].flags, 0);
		}
		if (!failed) {
			assert_int_equal(current.pool.used_count, used + 2);
		}
		assert_clean(&current);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
		/* Less when cold mappings went for it. */
		assert_in_range(current.pool.used_count, 1, used);
		end();
		assert_in_range(n, 1, 10);
	}
	start(&npt_format, 0);
	free_before = pool_available(&current.pool);
	assert_int_equal(dirty_start(&log, &current.pool, DIRTY_PAGES_MAX + 1), -ERANGE);
	assert_null(log.map);
	/* It would be more than half of the pool: nothing of it stays. */
	assert_int_equal(dirty_start(&log, &current.pool, DIRTY_PAGES_MAX), -ENOMEM);
	assert_null(log.map);
	assert_int_equal(pool_available(&current.pool), free_before);
	assert_int_equal(dirty_start(&log, &current.pool, DIRTY_PAGES_MAX / 2), 0);
	assert_true(dirty_mark(&log, DIRTY_PAGES_MAX / 2 - 1));
	assert_false(dirty_mark(&log, DIRTY_PAGES_MAX / 2 - 1));
	assert_true(dirty_test(&log, DIRTY_PAGES_MAX / 2 - 1));
	dirty_stop(&log, &current.pool);
	assert_int_equal(pool_available(&current.pool), free_before);
	assert_int_equal(current.pool.kept_count, 0);
	assert_int_equal(current.pool.refused_count, 0);
	/* With its slot the log goes, and the next slot of that id has none. */
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
	assert_int_equal(fixture_delete(&current, 0), 0);
	assert_null(current.mmu.dirty[0].map);
	end();
}

static unsigned int readings[2]; /* refused because nothing is logged, and done */
static unsigned int other_readings;

/* A reading at any moment at which the MMU lock can be had. */
static void read_meanwhile(const uint8_t *address)
{
	uint64_t bitmap[1];
	int status;

	(void)address;
	if (atomic_load(&current.mmu.lock.state) != 0) {
		return;
	}
	store_log_pause(true);
	status = mmu_dirty_read(&current.mmu, 0, 0, 64, bitmap, true);
	store_log_pause(false);
	readings[0] += status == -ENODATA;
	readings[1] += status == 0;
	other_readings += status != 0 && status != -ENODATA;
}

/* Logging that starts or stops is on, or off, to whoever reads meanwhile. */
static void test_reading_while_logging_starts_and_stops(void **state)
{
	(void)state;
	start(&ept_format, 0);
	guest_write(0, 1);
	readings[0] = readings[1] = other_readings = 0;
	store_log_start(&current, read_meanwhile, NULL);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
	read_meanwhile(NULL);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
	store_log_stop();
	assert_true(readings[0] > 1);
	assert_true(readings[1] > 0);
	assert_int_equal(other_readings, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_writes_during_a_reading),
		cmocka_unit_test(test_clean_pages_are_not_writable),
		cmocka_unit_test(test_requests_are_checked),
		cmocka_unit_test(test_own_writes),
		cmocka_unit_test(test_inserted_pages_are_dirty),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_reading_while_logging_starts_and_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
