/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grants: both sides consent, what each may do while it lasts, and that taking it back works
 * whatever state the other side is in.
 */
/* sources: hv/hypercall.c hv/hypercall_memory.c hv/hypercall_others.c hv/grant.c hv/balloon.c */
/* sources: hv/events.c hv/gate.c hv/memory_fault.c hv/memory_resolve.c hv/exit.c hv/fetch.c */
/* sources: hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c hv/decoder_tables.c */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c lib/mul_div.c */
/* sources: tests/unit/harness.c tests/unit/cells.c */
#include "tests/unit/cells.h"

#define AT (CELL_NOWHERE + UINT64_C(0x10))
#define AT_GPA (AT * PAGE_SIZE)
#define RW (BULKHEAD_READ | BULKHEAD_WRITE)

/* Offers pages 16 to 19 of cell 0 to cell 1. */
static uint32_t offer(unsigned int rights)
{
	int64_t id = CALL(0, BULKHEAD_GRANT_OFFER, 16, 4, 2, rights);

	assert_true(id > 0);
	return (uint32_t)id;
}

static uint32_t grant(unsigned int rights)
{
	uint32_t id = offer(rights);

	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT), 0);
	return id;
}

static enum frame_state state_of(uint64_t frame)
{
	return frame_get(pfn(frame)).state;
}

/* Nothing of a grant is left on either side. */
static void assert_over(uint64_t frame)
{
	unsigned int index = 0;

	assert_int_equal(state_of(frame), FRAME_PRIVATE);
	assert_int_equal(frame_get(pfn(frame)).owner, 1);
	assert_null(grant_next(&index, 0));
}

static void test_life(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	struct bulkhead_grant out;
	uint32_t id;

	(void)state;
	cell_memory(0, 16 * PAGE_SIZE)[5] = 0x5a;
	id = offer(RW);
	assert_int_equal(state_of(frame), FRAME_PRIVATE); /* an offer changes nothing */
	assert_int_equal(cell_touch(1, AT_GPA, MMU_READ), MMU_MMIO);
	assert_int_equal(CALL(1, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_GRANT_OFFERED);
	assert_int_equal(CALL(2, BULKHEAD_GRANT_ACCEPT, id, AT), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_ACCEPT, id, AT), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT), 0);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_GRANT_ACCEPTED);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT + 8), -BULKHEAD_ENOENT);
	assert_int_equal(state_of(frame), FRAME_GRANTED);
	assert_true(cell_frame(1, AT) == frame && cell_frame(1, AT + 3) == frame + 3);
	assert_int_equal(cell_frame(1, AT + 4), UINT64_MAX);
	assert_int_equal(cell_memory(1, AT_GPA)[5], 0x5a);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_WRITE), MMU_FIXED);
	assert_int_equal(cell_touch(0, 16 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	/* Each side is told of its own addresses alone. */
	assert_true(CALL(1, BULKHEAD_GRANT_NEXT, 0, 0x100) > 0);
	memcpy(&out, cell_memory(1, 0x100), sizeof(out));
	assert_true(out.id == id && out.state == BULKHEAD_GRANT_IS_ACTIVE && out.gfn == AT);
	assert_true(out.owner == 1 && out.grantee == 2 && out.page_count == 4 && out.rights == RW);
	assert_true(CALL(0, BULKHEAD_GRANT_NEXT, 0, 0x100) > 0);
	memcpy(&out, cell_memory(0, 0x100), sizeof(out));
	assert_int_equal(out.gfn, 16);
	assert_int_equal(CALL(2, BULKHEAD_GRANT_NEXT, 0, 0x100), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_NEXT, GRANTS_MAX, 0x100), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_NEXT, BIT(32), 0x100), -BULKHEAD_ENOENT);
	/* The end, by the owner alone. */
	assert_int_equal(CALL(1, BULKHEAD_GRANT_REVOKE, id), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_GRANT_RELEASE, id), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0);
	assert_over(frame);
	assert_int_equal(CALL(1, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_GRANT_REVOKED);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_READ), MMU_MMIO);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), -BULKHEAD_ENOENT);
	assert_int_equal(cell_memory(0, 16 * PAGE_SIZE)[5], 0x5a);
}

static void test_read_only(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	uint32_t id = grant(BULKHEAD_READ);

	(void)state;
	assert_int_equal(frame_get(pfn(frame)).grantee, 2);
	assert_int_equal(frame_get(pfn(frame)).rights, MMU_READ | MMU_EXECUTE);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_READ), MMU_FIXED);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_WRITE), MMU_READ_ONLY);
	assert_int_equal(cell_touch(0, 16 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	/* Nor by a hypercall's buffer. */
	assert_int_equal(CALL(1, BULKHEAD_SLOT_GET, 0, AT_GPA), -BULKHEAD_EFAULT);
	/* The grantee gives it back. */
	assert_int_equal(CALL(1, BULKHEAD_GRANT_RELEASE, id), 0);
	assert_over(frame);
	assert_true(CALL(0, BULKHEAD_EVENT_POLL) & BULKHEAD_EVENT_GRANT_RELEASED);
}

static void test_bad_offers(void **state)
{
	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 0, 2, RW), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 1, RW), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 0, RW), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, CELLS + 1, RW), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 0x10002, RW), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 2, 0), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 2, 2), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 2, 7), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 16, 1, 2, BIT(32) | 1), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 0, GRANT_PAGES_MAX + 1, 2, RW),
			 -BULKHEAD_E2BIG);
	/* Past the end of the memory, absent pages, no memory, around the end of all gfns. */
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, CELL_PAGES - 1, 2, 2, RW), -BULKHEAD_ERANGE);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, CELL_LAZY, 1, 2, RW), -BULKHEAD_ERANGE);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, CELL_NOWHERE, 1, 2, RW), -BULKHEAD_ERANGE);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, UINT64_MAX, 2, 2, RW), -BULKHEAD_ERANGE);
	/* No run of frames: a page in it is behind another frame. */
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 40, 1), 1);
	assert_int_equal(CALL(1, BULKHEAD_BALLOON_GIVE, 40, 1), 1);
	assert_int_equal(CALL(1, BULKHEAD_BALLOON_TAKE, 40, 1), 1); /* takes the other's */
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 40, 1), 1);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 38, 4, 2, RW), -BULKHEAD_ERANGE);
	assert_true(CALL(0, BULKHEAD_GRANT_OFFER, 40, 1, 2, RW) > 0);
}

/* What is granted is not granted again, nor given back; what is not one's own neither. */
static void test_while_granted(void **state)
{
	uint32_t id = grant(RW);

	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 19, 1, 3, RW), -BULKHEAD_EBUSY);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 19, 1), -BULKHEAD_EBUSY);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_OFFER, AT, 1, 3, BULKHEAD_READ), -BULKHEAD_EPERM);
	assert_int_equal(CALL(1, BULKHEAD_BALLOON_GIVE, AT, 1), -BULKHEAD_EPERM);
	assert_non_null(grant_of_slot(2, MEMSLOTS_MAX - 1));
	assert_null(grant_of_slot(1, MEMSLOTS_MAX - 1));
	assert_null(grant_of_slot(2, 0));
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 19, 1), 1);
}

/* The offer is checked again when it is accepted. */
static void test_stale_offer(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	uint32_t id = offer(RW);
	uint32_t same = offer(RW);

	(void)state;
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, same, AT), 0);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT + 16), -BULKHEAD_EBUSY);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, same), 0);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 18, 1), 1);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT), -BULKHEAD_ERANGE);
	assert_int_equal(state_of(frame), FRAME_PRIVATE);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0); /* an offer, too */
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT), -BULKHEAD_ENOENT);
	/* A number comes not again soon. */
	assert_true(CALL(0, BULKHEAD_GRANT_OFFER, 100, 1, 2, RW) > same);
}

/* Where the grantee cannot have it: an error, and the frames are as before. */
static void test_bad_accepts(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	uint32_t id = offer(RW);
	unsigned int accepted = 0;

	(void)state;
	assert_true(CALL(1, BULKHEAD_GRANT_ACCEPT, id, CELL_PAGES - 1) < 0);
	assert_true(CALL(1, BULKHEAD_GRANT_ACCEPT, id, UINT64_MAX) < 0);
	assert_true(CALL(1, BULKHEAD_GRANT_ACCEPT, id, BIT(52)) < 0);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, UINT64_C(1) << 32 | id, AT),
			 -BULKHEAD_ENOENT);
	assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, 0, AT), -BULKHEAD_ENOENT);
	assert_int_equal(state_of(frame), FRAME_PRIVATE);
	/* The pool of the grantee fails at every allocation of it. */
	for (uint64_t n = 1; accepted == 0; n++) {
		cells.partition[1].pool.fail_at = n;
		accepted = CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT) == 0;
		cells.partition[1].pool.fail_at = 0;
		assert_int_equal(state_of(frame), accepted ? FRAME_GRANTED : FRAME_PRIVATE);
		assert_true(n < 50);
	}
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0);
}

/* One cannot use up another's places; nor can the grantee be made to have too many slots. */
static void test_limits(void **state)
{
	uint32_t last = 0;
	unsigned int count = 0;

	(void)state;
	for (unsigned int i = 0; i < GRANTS_PER_OWNER; i++) {
		last = (uint32_t)CALL(0, BULKHEAD_GRANT_OFFER, i, 1, 2, RW);
		assert_int_equal(CALL(1, BULKHEAD_GRANT_ACCEPT, last, AT + 2 * i), 0);
	}
	assert_int_equal(CALL(0, BULKHEAD_GRANT_OFFER, 100, 1, 2, RW), -BULKHEAD_ENOSPC);
	for (unsigned int i = 0; i < GRANTS_PER_OWNER; i++) {
		int64_t id = CALL(2, BULKHEAD_GRANT_OFFER, i, 1, 2, RW);

		assert_true(id > 0);
		count += CALL(1, BULKHEAD_GRANT_ACCEPT, id, AT + 0x100 + 2 * i) == 0;
	}
	assert_int_equal(count, MEMSLOTS_MAX - 3 - GRANTS_PER_OWNER);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, last), 0);
	assert_true(CALL(0, BULKHEAD_GRANT_OFFER, 100, 1, 2, RW) > 0);
	assert_int_equal(grant_cancel(last), -ENOENT);
}

/* Revoking cannot be kept off by a grantee without memory: it ends instead. */
static void test_revoke_without_memory(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	uint32_t id = grant(RW);
	unsigned int wakes = cells.wakes[1];

	(void)state;
	while (pool_alloc_page(&cells.partition[1].pool)) {
	}
	while (cache_take_page(&cells.partition[1].mmu.cache)) {
	}
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0);
	assert_int_equal(cells.partition[1].stop, STOP_CRASH);
	assert_int_equal(cells.flushes, 1);
	assert_true(cells.wakes[1] > wakes);
	assert_over(frame);
}

/* A bugged grantee's tables are not walked: it never runs, its translations are flushed. */
static void test_bugged_grantee(void **state)
{
	uint64_t frame = cell_frame(0, 16);

	(void)state;
	(void)grant(RW);
	cells.bugs_expected = true;
	(void)PARTITION_BUG_ON(&cells.partition[1].bug, true, RULE_I5);
	grants_end(&cells.entry[1]);
	assert_over(frame);
	assert_int_equal(cells.flushes, 1);
	assert_int_equal(cells.bugs, 1);
	assert_int_equal(cells.partition[1].stop, STOP_NONE);
	assert_true(CALL(0, BULKHEAD_EVENT_POLL) & BULKHEAD_EVENT_GRANT_RELEASED);
}

static void test_bugged_owner(void **state)
{
	uint64_t frame = cell_frame(0, 16);

	(void)state;
	(void)grant(RW);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_WRITE), MMU_FIXED);
	cells.bugs_expected = true;
	(void)PARTITION_BUG_ON(&cells.partition[0].bug, true, RULE_I5);
	grants_end(&cells.entry[0]);
	assert_over(frame);
	assert_int_equal(cell_touch(1, AT_GPA, MMU_READ), MMU_MMIO);
	assert_true(CALL(1, BULKHEAD_EVENT_POLL) & BULKHEAD_EVENT_GRANT_REVOKED);
}

/* The frame table says otherwise: the owner is bugged, nothing else. */
static void test_mismatch(void **state)
{
	uint64_t frame = cell_frame(0, 16);
	uint32_t id = grant(RW);

	(void)state;
	cells.bugs_expected = true;
	assert_int_equal(frames_revoke(pfn(frame + 1), 1, 1, 2), 0);
	assert_int_equal(CALL(0, BULKHEAD_GRANT_REVOKE, id), 0);
	assert_true(bug_is_set(&cells.partition[0].bug));
	assert_false(bug_is_set(&cells.partition[1].bug));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cell_test(test_life),		cell_test(test_read_only),
		cell_test(test_bad_offers),	cell_test(test_while_granted),
		cell_test(test_stale_offer),	cell_test(test_bad_accepts),
		cell_test(test_limits),		cell_test(test_revoke_without_memory),
		cell_test(test_bugged_grantee), cell_test(test_bugged_owner),
		cell_test(test_mismatch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
