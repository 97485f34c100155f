/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory-fault exits (M1 to M6), what managers do about them, absent pages and the balloon,
 * whose pages are absent, too.
 */
/* sources: hv/hypercall.c hv/hypercall_memory.c hv/hypercall_others.c hv/grant.c hv/balloon.c */
/* sources: hv/events.c hv/gate.c hv/memory_fault.c hv/memory_resolve.c hv/exit.c hv/fetch.c */
/* sources: hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c hv/decoder_tables.c */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c lib/mul_div.c */
/* sources: tests/unit/harness.c tests/unit/cells.c */
#include "hv/fetch.h"
#include "hv/gate.h"
#include "hv/guest_memory.h"
#include "mm/prove.h"
#include "tests/unit/cells.h"

static struct error_text error;

static void run(unsigned int cell)
{
	cell_vcpu(cell)->loops++; /* as trace() does for each exit */
	cell_vcpu(cell)->exit = (struct exit){ .kind = EXIT_NESTED_FAULT, .rip = CELL_RIP };
}

static struct memory_fault fault_at(uint64_t address)
{
	return (struct memory_fault){ gpa(address), 4, MMU_WRITE, MEMORY_FAULT_DENIED };
}

/* A nested fault through exit_handle(), and what the run loop does about it. */
static enum outcome nested_fault(unsigned int cell, uint64_t address, uint32_t access)
{
	struct vcpu *vcpu = cell_vcpu(cell);
	enum outcome outcome;

	run(cell);
	cells.rip = CELL_RIP;
	vcpu->exit.fault = (struct exit_fault){ .address = gpa(address), .access = access };
	assert_true(mmu_vcpu_root(&vcpu->mmu).v != 0);
	mmu_read_begin(&vcpu->mmu);
	outcome = exit_handle(vcpu);
	mmu_read_end(&vcpu->mmu);
	if (outcome == OUTCOME_FAULT) {
		memory_fault_park(vcpu);
		assert_int_equal(vcpu->gate, GATE_FAULT);
		gate_serve(vcpu);
	}
	return outcome;
}

/* M2: filling the second part leaves the first as it is. M3: the first annotation wins. */
static void test_first_wins(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	struct memory_fault first = fault_at(0x1000);
	struct memory_fault second = fault_at(0x2000);

	(void)state;
	cells.bugs_expected = PROVE_MMU_ON;
	run(0);
	memory_fault_annotate(vcpu, &first);
	memory_fault_annotate(vcpu, &second);
	assert_true(vcpu->fault.fault.address.v == 0x1000);
	assert_int_equal(vcpu->fault.again, 1);
	assert_int_equal(vcpu->exit.kind, EXIT_NESTED_FAULT);
	assert_true(vcpu->exit.rip == CELL_RIP);
	memory_fault_park(vcpu);
	assert_int_equal(vcpu->fault.missed, 0);
	/* The next run begins without one. */
	run(0);
	memory_fault_annotate(vcpu, &second);
	assert_true(vcpu->fault.fault.address.v == 0x2000);
	assert_int_equal(vcpu->fault.again, 1);
	assert_int_equal(cells.bugs, PROVE_MMU_ON ? 1 : 0);
}

/* M4: parked without an annotation of this run is counted, and shows nothing old. */
static void test_missed(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	struct memory_fault fault = fault_at(0x1000);

	(void)state;
	cells.bugs_expected = PROVE_MMU_ON;
	memory_fault_park(vcpu);
	assert_int_equal(vcpu->fault.missed, 1);
	run(0);
	memory_fault_annotate(vcpu, &fault);
	run(0);
	memory_fault_park(vcpu);
	assert_int_equal(vcpu->fault.missed, 2);
	assert_int_equal(vcpu->fault.number, 2);
	assert_true(vcpu->fault.fault.address.v == 0 && vcpu->fault.fault.length == 0);
	assert_string_equal(memory_fault_reason_name(vcpu->fault.fault.reason), "not annotated");
}

/* M1: address, length and access of what failed, for each instruction. */
static void test_what_failed(void **state)
{
	static const struct {
		uint8_t code[6];
		uint32_t access;
		uint32_t length;
	} rows[] = {
		{ { 0x48, 0x8b, 0x03 }, MMU_READ, 8 },	     /* mov rax, [rbx] */
		{ { 0x88, 0x03 }, MMU_WRITE, 1 },	     /* mov [rbx], al */
		{ { 0x66, 0x89, 0x03 }, MMU_WRITE, 2 },	     /* mov [rbx], ax */
		{ { 0xff, 0x03 }, MMU_READ | MMU_WRITE, 4 }, /* inc dword [rbx] */
		{ { 0x0f, 0x28, 0x03 }, MMU_READ, 1 },	     /* movaps: not known */
		{ { 0x90 }, MMU_EXECUTE, 1 },
	};
	struct vcpu *vcpu = cell_vcpu(0);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		memcpy(cell_memory(0, CELL_RIP), rows[i].code, sizeof(rows[i].code));
		assert_int_equal(nested_fault(0, LAZY_GPA + 0x123, rows[i].access), OUTCOME_FAULT);
		assert_true(vcpu->fault.fault.address.v == LAZY_GPA + 0x123);
		assert_int_equal(vcpu->fault.fault.length, rows[i].length);
		assert_int_equal(vcpu->fault.fault.access, rows[i].access);
		assert_int_equal(vcpu->fault.fault.reason, MEMORY_FAULT_ABSENT);
		assert_true(vcpu->fault.rip == CELL_RIP && cells.rip == CELL_RIP);
		assert_true(vcpu->fault.parked);
		assert_int_equal(
			memory_fault_resolve(&cells.entry[0], 0, MEMORY_FAULT_RETRY, &error), 0);
	}
	/* Not beyond the page. */
	memcpy(cell_memory(0, CELL_RIP), rows[0].code, sizeof(rows[0].code));
	assert_int_equal(nested_fault(0, LAZY_GPA + PAGE_SIZE - 3, MMU_READ), OUTCOME_FAULT);
	assert_int_equal(vcpu->fault.fault.length, 3);
	assert_int_equal(vcpu->fault.again + vcpu->fault.missed, 0);
}

/* The guest's own tables in an absent page: a fault on 8 bytes of theirs, not a #PF. */
static void test_table_walk(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);

	(void)state;
	cells.paging.cr4 = CR4_PAE;
	run(0);
	vcpu->exit.fault = (struct exit_fault){ .address = gpa(LAZY_GPA + 8),
						.access = MMU_READ,
						.has_linear = true,
						.table_walk = true };
	assert_true(mmu_vcpu_root(&vcpu->mmu).v != 0);
	mmu_read_begin(&vcpu->mmu);
	assert_int_equal(exit_handle(vcpu), OUTCOME_FAULT);
	mmu_read_end(&vcpu->mmu);
	assert_int_equal(vcpu->fault.fault.length, 8);
	assert_int_equal(cells.injected, 0);
	/* Where no memory is at all it stays the guest's own fault. */
	run(0);
	vcpu->exit.fault = (struct exit_fault){
		.address = gpa(NO_GPA), .access = MMU_READ, .has_linear = true, .table_walk = true
	};
	mmu_read_begin(&vcpu->mmu);
	assert_int_equal(exit_handle(vcpu), OUTCOME_RESUME);
	mmu_read_end(&vcpu->mmu);
	assert_int_equal(cells.injected, 1);
}

/* What the hypervisor reads or writes in the guest's stead: the same, with nothing done. */
static void test_in_its_stead(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	struct guest_operand operand;
	struct guest_access access;
	struct decoded decoded;
	gpa_t address;
	uint32_t code;

	(void)state;
	run(0);
	mmu_read_begin(&vcpu->mmu);
	cells.paging.efer = 0;
	cells.paging.cs_rights = SEGMENT_RIGHTS_DB;
	guest_access_init(&access, vcpu, ACCESS_WRITE);
	assert_int_equal(guest_locate(vcpu, &access, 0x1000, 8, &operand), OUTCOME_NEXT);
	assert_int_equal(guest_locate(vcpu, &access, LAZY_GPA + 4, 8, &operand), OUTCOME_FAULT);
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA + 4);
	assert_int_equal(vcpu->fault.fault.length, 8);
	assert_int_equal(vcpu->fault.fault.access, ACCESS_WRITE);
	/* Its code. */
	run(0);
	vcpu->exit.rip = LAZY_GPA + 5;
	assert_int_equal(fetch_decode(vcpu, &decoded), OUTCOME_FAULT);
	assert_int_equal(vcpu->fault.fault.access, ACCESS_EXECUTE);
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA + 5);
	/* Its tables. */
	run(0);
	cells.paging.cr0 |= CR0_PG;
	cells.paging.cr3 = LAZY_GPA;
	guest_access_init(&access, vcpu, ACCESS_READ);
	assert_int_equal(guest_translate(vcpu, &access, 0x400000, &address, &code), -ENODATA);
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA + 4);
	assert_int_equal(vcpu->fault.fault.length, 4);
	run(0);
	assert_int_equal(guest_locate(vcpu, &access, 0x400000, 8, &operand), OUTCOME_FAULT);
	/* Where there is no memory the guest has a fault of its own. */
	run(0);
	cells.paging.cr3 = NO_GPA;
	guest_access_init(&access, vcpu, ACCESS_READ);
	assert_int_equal(guest_locate(vcpu, &access, 0x400000, 8, &operand), OUTCOME_INJECT);
	mmu_read_end(&vcpu->mmu);
	assert_int_equal(vcpu->fault.again + vcpu->fault.missed, 0);
}

/* M6: without progress it is parked, and says so. */
static void test_stuck(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	unsigned int tries = 0;

	(void)state;
	memset(cell_memory(0, CELL_RIP), 0x90, 16);
	while (nested_fault(0, 0x5000, MMU_READ) == OUTCOME_RESUME) {
		assert_true(++tries < 1000);
	}
	assert_true(vcpu->fault.parked);
	assert_int_equal(vcpu->fault.fault.reason, MEMORY_FAULT_STUCK);
	assert_int_equal(cells.partition[0].stop, STOP_NONE);
}

static void test_managers_are_told(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	struct bulkhead_fault out;
	int64_t cursor;

	(void)state;
	cells.config[2].manager = true;
	cells.partition[2].manager = true;
	assert_int_equal(CALL(2, BULKHEAD_FAULT_NEXT, 0, 0x100), -BULKHEAD_ENOENT);
	assert_int_equal(nested_fault(0, LAZY_GPA, MMU_READ), OUTCOME_FAULT);
	assert_int_equal(nested_fault(1, LAZY_GPA + PAGE_SIZE, MMU_WRITE), OUTCOME_FAULT);
	assert_int_equal(CALL(2, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_FAULT);
	cursor = CALL(2, BULKHEAD_FAULT_NEXT, 0, 0x100);
	assert_true(cursor > 0);
	memcpy(&out, cell_memory(2, 0x100), sizeof(out));
	assert_true(out.partition == 1 && out.vcpu == 0 && out.number == 1);
	assert_true(out.gpa == LAZY_GPA && out.rip == CELL_RIP && out.access == BULKHEAD_READ);
	assert_int_equal(out.reason, BULKHEAD_FAULT_ABSENT);
	cursor = CALL(2, BULKHEAD_FAULT_NEXT, cursor, 0x100);
	memcpy(&out, cell_memory(2, 0x100), sizeof(out));
	assert_int_equal(out.partition, 2);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_NEXT, cursor, 0x100), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_NEXT, UINT64_MAX, 0x100), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_NEXT, 0, NO_GPA), -BULKHEAD_EFAULT);
	/* M5: what it writes over the record changes nothing. */
	memset(cell_memory(2, 0x100), 0xff, sizeof(out));
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA);
	/* Arguments. */
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, 3, 1), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 1, 0, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 3, 0, 0, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 0, 0, 0, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 99, 0, 0, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, 0, 2), -BULKHEAD_EAGAIN);
	assert_true(vcpu->fault.parked);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, BULKHEAD_RESOLVE_RETRY, 1), 0);
	assert_false(vcpu->fault.parked);
	assert_int_equal(cells.wakes[0], 1);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, 0, 1), -BULKHEAD_ENOENT);
	/* The other ways. */
	assert_int_equal(nested_fault(0, LAZY_GPA, MMU_READ), OUTCOME_FAULT);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, BULKHEAD_RESOLVE_INJECT, 2), 0);
	assert_int_equal(cells.injected, 1);
	assert_int_equal(cells.exception.vector, VECTOR_GP);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 2, 0, BULKHEAD_RESOLVE_KILL, 1), 0);
	assert_int_equal(cells.partition[1].stop, STOP_CRASH);
	assert_false(cell_vcpu(1)->fault.parked);
	assert_int_equal(cells.wakes[1], 1);
}

/* A manager can be parked, too, in the core even: another one helps. */
static void test_manager_parked(void **state)
{
	struct bulkhead_fault out;

	(void)state;
	cells.config[0].manager = true;
	cells.partition[0].manager = true;
	cells.config[2].manager = true;
	cells.partition[2].manager = true;
	assert_int_equal(nested_fault(1, LAZY_GPA, MMU_READ), OUTCOME_FAULT);
	assert_int_equal(CALL(2, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_FAULT);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_FAULT);
	assert_int_equal(cell_try(0, BULKHEAD_FAULT_NEXT, 0, LAZY_GPA, 0, 0), OUTCOME_FAULT);
	assert_true(cells.rip == CELL_RIP);
	assert_int_equal(CALL(2, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_FAULT);
	assert_true(CALL(2, BULKHEAD_FAULT_NEXT, 0, 0x100) > 0);
	memcpy(&out, cell_memory(2, 0x100), sizeof(out));
	assert_true(out.partition == 1 && out.gpa == LAZY_GPA && out.access == BULKHEAD_WRITE);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA, BULKHEAD_ZERO), 0);
	assert_int_equal(CALL(2, BULKHEAD_FAULT_RESOLVE, 1, 0, BULKHEAD_RESOLVE_RETRY, 1), 0);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), 0); /* not of its own */
	assert_true(CALL(0, BULKHEAD_FAULT_NEXT, 0, LAZY_GPA) > 0);
}

static void test_fill(void **state)
{
	uint64_t source = 0x3000;
	pfn_t frame;

	(void)state;
	cells.partition[2].manager = true;
	memset(cell_memory(2, source), 0x77, PAGE_SIZE);
	assert_true(memory_fault_is_held(&cells.partition[0], gfn(CELL_LAZY), &frame));
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA, source), 0);
	assert_true(cell_frame(0, CELL_LAZY) == frame.v); /* the slot's own */
	assert_int_equal(frame_get(frame).state, FRAME_PRIVATE);
	assert_int_equal(cell_memory(0, LAZY_GPA)[0], 0x77);
	assert_int_equal(cell_memory(0, LAZY_GPA)[PAGE_SIZE - 1], 0x77);
	assert_int_equal(cell_touch(0, LAZY_GPA, MMU_WRITE), MMU_FIXED);
	assert_int_equal(cell_touch(0, LAZY_GPA + PAGE_SIZE, MMU_READ), MMU_ABSENT);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA, source), -BULKHEAD_EEXIST);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA + PAGE_SIZE, BULKHEAD_ZERO), 0);
	assert_int_equal(cell_memory(0, LAZY_GPA + PAGE_SIZE)[7], 0);
	/* Arguments. */
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA + 8, source), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA, source + 8), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, 0, source), -BULKHEAD_EEXIST);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, NO_GPA, source), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 3, LAZY_GPA, source), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, BIT(32) | 1, LAZY_GPA, source),
			 -BULKHEAD_ENOENT);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA + 2 * PAGE_SIZE, NO_GPA),
			 -BULKHEAD_EFAULT);
	assert_int_equal(cell_frame(0, CELL_LAZY + 2), UINT64_MAX);
	/* P4. */
	cells.bugs_expected = true;
	(void)PARTITION_BUG_ON(&cells.partition[0].bug, true, RULE_I5);
	assert_int_equal(CALL(2, BULKHEAD_PAGE_FILL, 1, LAZY_GPA + 2 * PAGE_SIZE, source),
			 -BULKHEAD_EIO);
	assert_true(memory_fault_is_held(&cells.partition[0], gfn(CELL_LAZY + 2), &frame));
}

/* The pool fails: the frame is held as before, and nothing is lost. */
static void test_fill_without_memory(void **state)
{
	unsigned int before;
	pfn_t frame;
	bool done = false;

	(void)state;
	for (uint64_t n = 1; !done; n++) {
		assert_true(memory_fault_is_held(&cells.partition[0], gfn(CELL_LAZY), &frame));
		cells.partition[0].pool.fail_at = n;
		done = memory_fault_fill(&cells.entry[0], gpa(LAZY_GPA), NULL, &error) == 0;
		cells.partition[0].pool.fail_at = 0;
		assert_true(n < 50);
	}
	/* The same where the page had been given back. */
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 9, 1), 1);
	before = (unsigned int)frames_count_owner(1);
	done = false;
	for (uint64_t n = 1; !done; n++) {
		assert_int_equal(frames_count_owner(1), before);
		cells.partition[0].pool.fail_at = n;
		done = memory_fault_fill(&cells.entry[0], gpa(9 * PAGE_SIZE), NULL, &error) == 0;
		cells.partition[0].pool.fail_at = 0;
		assert_true(n < 50);
	}
	assert_int_equal(frames_count_owner(1), before + 1);
	assert_int_equal(cells.partition[0].balloon.given, 0);
}

static void test_balloon(void **state)
{
	uint64_t frame = cell_frame(0, 10);
	size_t before = frames_count_owner(1);

	(void)state;
	assert_int_equal(cell_touch(0, 10 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	memset(cell_memory(0, 10 * PAGE_SIZE), 0x66, PAGE_SIZE);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 10, 4), 4);
	assert_int_equal(frame_get(pfn(frame)).state, FRAME_FREE);
	assert_int_equal(frames_count_owner(1), before - 4);
	assert_int_equal(cell_touch(0, 10 * PAGE_SIZE, MMU_READ), MMU_ABSENT);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 10, 1), -BULKHEAD_ENODATA);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 8, 4), 2); /* as far as it goes */
	assert_int_equal(cells.partition[0].balloon.given, 6);
	/* Others may have the frames now; scrubbed. */
	assert_int_equal(CALL(1, BULKHEAD_BALLOON_GIVE, 0, 1), 1);
	assert_int_equal(CALL(1, BULKHEAD_BALLOON_TAKE, 0, 1), 1);
	assert_int_equal(cell_memory(1, 0)[9], 0);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 8, 7), 6);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 14, 1), -BULKHEAD_EEXIST);
	assert_int_equal(cell_memory(0, 10 * PAGE_SIZE)[0], 0);
	assert_int_equal(cell_touch(0, 10 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	assert_int_equal(frames_count_owner(1), before);
	assert_int_equal(cells.partition[0].balloon.given, 0);
	assert_int_equal(cells.partition[0].balloon.took, 6);
	/* Arguments. */
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 0, 0), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 0, 0), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 0, BULKHEAD_BALLOON_MAX + 1),
			 -BULKHEAD_E2BIG);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, CELL_NOWHERE, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, CELL_NOWHERE, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, UINT64_MAX, 2), -BULKHEAD_ENOENT);
	/* What a manager is to fill, and has filled. */
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, CELL_LAZY, 1), -BULKHEAD_ENODATA);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, CELL_LAZY, 1), -BULKHEAD_EPERM);
}

/* A frame that was held, filled, given back and is the partition's again behind another page
 * is not taken for the held one: the page gets a frame of its own. */
static void test_frame_comes_again(void **state)
{
	pfn_t frame;
	pfn_t other;

	(void)state;
	assert_true(memory_fault_is_held(&cells.partition[0], gfn(CELL_LAZY), &frame));
	assert_int_equal(memory_fault_fill(&cells.entry[0], gpa(LAZY_GPA), NULL, &error), 0);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 5, 1), 1);
	assert_int_equal(frames_alloc(1, 1, 2, FRAME_PRIVATE, &other), 0);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, CELL_LAZY, 1), 1);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 5, 1), 1);
	assert_true(cell_frame(0, 5) == frame.v); /* the lowest free one is what is had */
	assert_int_equal(memory_fault_fill(&cells.entry[0], gpa(LAZY_GPA), NULL, &error), 0);
	assert_int_not_equal(cell_frame(0, CELL_LAZY), frame.v);
}

static void test_balloon_without_memory(void **state)
{
	size_t before = frames_count_owner(1);
	bool done = false;
	pfn_t frame;

	(void)state;
	for (uint64_t n = 1; !done; n++) {
		assert_int_equal(frames_count_owner(1), before);
		cells.partition[0].pool.fail_at = n;
		done = CALL(0, BULKHEAD_BALLOON_GIVE, 20, 1) == 1;
		cells.partition[0].pool.fail_at = 0;
		assert_true(n < 50);
	}
	while (frames_alloc(1, 1, 2, FRAME_PRIVATE, &frame) == 0) {
	}
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_TAKE, 20, 1), -BULKHEAD_ENOMEM);
	assert_int_equal(memory_fault_fill(&cells.entry[0], gpa(20 * PAGE_SIZE), NULL, &error),
			 -ENOMEM);
	/* Held frames are there whatever the machine has. */
	assert_int_equal(memory_fault_fill(&cells.entry[0], gpa(LAZY_GPA), NULL, &error), 0);
}

/* The frame table says that a page's frame is somebody else's. */
static void test_mismatch(void **state)
{
	struct frame_info ours = { .owner = 1, .state = FRAME_PRIVATE };
	struct frame_info theirs = { .owner = 2, .state = FRAME_PRIVATE };

	(void)state;
	assert_true(frame_change(pfn(cell_frame(0, 30)), ours, theirs));
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 30, 1), -BULKHEAD_EPERM);
	assert_int_equal(memory_fault_hold(&cells.partition[0], pfn(cell_frame(0, 30)), 1), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cell_test(test_first_wins),
		cell_test(test_missed),
		cell_test(test_what_failed),
		cell_test(test_table_walk),
		cell_test(test_in_its_stead),
		cell_test(test_stuck),
		cell_test(test_managers_are_told),
		cell_test(test_manager_parked),
		cell_test(test_fill),
		cell_test(test_fill_without_memory),
		cell_test(test_balloon),
		cell_test(test_frame_comes_again),
		cell_test(test_balloon_without_memory),
		cell_test(test_mismatch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
