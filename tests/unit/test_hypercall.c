/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls as a guest makes them: who may, what each answers to good and to bad arguments,
 * that a buffer in an absent page parks the vCPU and the call is made again, and noise.
 */
/* sources: hv/hypercall.c hv/hypercall_memory.c hv/hypercall_others.c hv/grant.c hv/balloon.c */
/* sources: hv/events.c hv/gate.c hv/memory_fault.c hv/memory_resolve.c hv/exit.c hv/fetch.c */
/* sources: hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c hv/decoder_tables.c */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c lib/mul_div.c */
/* sources: tests/unit/harness.c tests/unit/cells.c */
#include "tests/unit/cells.h"
#include "tests/unit/harness.h"

static void test_who_may(void **state)
{
	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_VERSION), BULKHEAD_ABI_VERSION);
	assert_int_equal(CALL(2, BULKHEAD_IDENTITY), 3);
	assert_int_equal(CALL(0, (enum bulkhead_call)5), -BULKHEAD_ENOSYS);
	assert_int_equal(CALL(0, (enum bulkhead_call)0x42480003), -BULKHEAD_ENOSYS);
	/* User mode learns nothing, not even which numbers there are. */
	cells.paging.cpl = 3;
	assert_int_equal(CALL(0, BULKHEAD_VERSION), -BULKHEAD_EPERM);
	assert_int_equal(CALL(0, (enum bulkhead_call)5), -BULKHEAD_EPERM);
	assert_int_equal(CALL(0, BULKHEAD_BALLOON_GIVE, 0, 1), -BULKHEAD_EPERM);
	cells.paging.cpl = 0;
	assert_int_not_equal(cell_frame(0, 0), UINT64_MAX);
	/* What managers alone may. */
	assert_int_equal(CALL(0, BULKHEAD_FAULT_NEXT, 0, 0x100), -BULKHEAD_EPERM);
	assert_int_equal(CALL(0, BULKHEAD_FAULT_RESOLVE, 2, 0), -BULKHEAD_EPERM);
	assert_int_equal(CALL(0, BULKHEAD_PAGE_FILL, 2, LAZY_GPA, BULKHEAD_ZERO), -BULKHEAD_EPERM);
}

/* Outside of 64-bit code registers have 32 bits, whatever was left in the upper ones. */
static void test_32_bit(void **state)
{
	uint64_t high = UINT64_C(0xabcd) << 32;

	(void)state;
	memcpy(cell_memory(0, 0x100), "hello", 5);
	cells.paging.cs_rights = SEGMENT_RIGHTS_DB;
	assert_int_equal(
		CALL(0, (enum bulkhead_call)BULKHEAD_CONSOLE_WRITE, high | 0x100, high | 5), 5);
	assert_memory_equal(cells.output, "hello", 5);
	cells.paging.cs_rights = SEGMENT_RIGHTS_L;
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, high | 0x100, 5), -BULKHEAD_EFAULT);
}

static void test_capabilities(void **state)
{
	struct cpuid_result leaf = hypercall_leaf(&cells.partition[1]);

	(void)state;
	assert_int_equal(leaf.eax, BULKHEAD_ABI_VERSION);
	assert_int_equal(leaf.ecx, 2);
	assert_int_equal(leaf.edx, BULKHEAD_HOW_VMMCALL);
	assert_int_equal(leaf.ebx & BULKHEAD_CAP_MANAGER, 0);
	cells.partition[1].manager = true;
	assert_int_equal(hypercall_leaf(&cells.partition[1]).ebx ^ leaf.ebx, BULKHEAD_CAP_MANAGER);
}

static void test_find(void **state)
{
	(void)state;
	memcpy(cell_memory(0, 0x100), "threexy", 7);
	assert_int_equal(CALL(0, BULKHEAD_FIND, 0x100, 5), 3);
	assert_int_equal(CALL(0, BULKHEAD_FIND, 0x100, 6), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_FIND, 0x100, 0), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_FIND, 0x100, PARTITION_NAME_MAX), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_FIND, NO_GPA, 5), -BULKHEAD_EFAULT);
}

static void test_console(void **state)
{
	(void)state;
	memcpy(cell_memory(0, PAGE_SIZE - 3), "abc", 3); /* over a page's end */
	memcpy(cell_memory(0, PAGE_SIZE), "def", 3);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, PAGE_SIZE - 3, 6), 6);
	assert_memory_equal(cells.output, "abcdef", 6);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, 0, 0), 0);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, 0, BULKHEAD_CONSOLE_MAX),
			 BULKHEAD_CONSOLE_MAX);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, 0, BULKHEAD_CONSOLE_MAX + 1),
			 -BULKHEAD_E2BIG);
	/* The end is not memory; round the end of all addresses. */
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, CELL_PAGES * PAGE_SIZE - 3, 6),
			 -BULKHEAD_EFAULT);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, UINT64_MAX - 2, 6), -BULKHEAD_EFAULT);
	assert_int_equal(cells.output_length, 6 + BULKHEAD_CONSOLE_MAX);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_EVENT_VECTOR, 31), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_VECTOR, 256), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_VECTOR, BIT(32) | 0x40), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), 0);
	events_raise(&cells.entry[0], BULKHEAD_EVENT_FAULT);
	assert_int_equal(cells.interrupts[0], 0);
	/* What waits already comes with the vector. */
	assert_int_equal(CALL(0, BULKHEAD_EVENT_VECTOR, 0x40), 0);
	assert_int_equal(cells.interrupts[0], 1);
	assert_int_equal(cells.vector, 0x40);
	/* The same again is no news until it was polled. */
	events_raise(&cells.entry[0], BULKHEAD_EVENT_FAULT);
	assert_int_equal(cells.interrupts[0], 1);
	events_raise(&cells.entry[0], BULKHEAD_EVENT_GRANT_OFFERED);
	assert_int_equal(cells.interrupts[0], 2);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL),
			 BULKHEAD_EVENT_FAULT | BULKHEAD_EVENT_GRANT_OFFERED);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), 0);
	assert_int_equal(CALL(0, BULKHEAD_EVENT_VECTOR, 0), 0);
	events_raise(&cells.entry[0], BULKHEAD_EVENT_FAULT);
	assert_int_equal(cells.interrupts[0], 2);
	/* Nobody is there. */
	cells.entry[0].state = PARTITION_CRASHED;
	events_raise(&cells.entry[0], BULKHEAD_EVENT_GRANT_REVOKED);
	cells.entry[0].state = PARTITION_RUNNING;
	assert_int_equal(CALL(0, BULKHEAD_EVENT_POLL), BULKHEAD_EVENT_FAULT);
}

static void test_slots(void **state)
{
	struct bulkhead_slot slot;

	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, 1, 0x200), 0);
	memcpy(&slot, cell_memory(0, 0x200), sizeof(slot));
	assert_int_equal(slot.id, 1);
	assert_int_equal(slot.flags, BULKHEAD_SLOT_ABSENT);
	assert_int_equal(slot.gfn, CELL_LAZY);
	assert_int_equal(slot.page_count, CELL_LAZY_PAGES);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, 3, 0x200), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, UINT64_MAX, 0x200), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, 0, ROM_GPA), -BULKHEAD_EFAULT);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 0, 2), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 5, 1), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, BIT(32), 1), -BULKHEAD_ENOENT);
	/* What else a slot is stays. */
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 2, 1), 0);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, 2, 0x200), 0);
	memcpy(&slot, cell_memory(0, 0x200), sizeof(slot));
	assert_int_equal(slot.flags, BULKHEAD_SLOT_READ_ONLY | BULKHEAD_SLOT_LOGGED);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 2, 0), 0);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 1, 1), 0);
}

static void test_dirty(void **state)
{
	uint64_t *words;

	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 0, 64, 0x1000), -BULKHEAD_ENODATA);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_LOG, 0, 1), 0);
	words = (uint64_t *)(void *)cell_memory(0, 0x1000);
	(void)CALL(0, BULKHEAD_DIRTY_TAKE, 0, 0, 256, 0x1000);
	assert_int_equal(cell_touch(0, 70 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	/* A bad buffer loses nothing. */
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_TAKE, 0, 64, 192, NO_GPA), -BULKHEAD_EFAULT);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_TAKE, 0, 64, 192, ROM_GPA), -BULKHEAD_EFAULT);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 64, 192, 0x1000), 1);
	assert_int_equal(words[0], BIT(6));
	assert_int_equal(words[1] | words[2], 0);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_TAKE, 0, 64, 192, 0x1000), 1);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 64, 192, 0x1000), 0);
	/* What the hypervisor writes for the guest counts. */
	(void)CALL(0, BULKHEAD_DIRTY_TAKE, 0, 64, 192, 0x1000);
	assert_int_equal(CALL(0, BULKHEAD_SLOT_GET, 0, 90 * PAGE_SIZE), 0);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 64, 192, 0x1000), 1);
	assert_int_equal(words[0], BIT(90 - 64));
	/* Arguments. */
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 1, 64, 0x1000), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 0, 63, 0x1000), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 0, 0, 0x1000), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 0, 64, 0x1001), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 99, 0, 64, 0x1000), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_DIRTY_READ, 0, 0, BULKHEAD_DIRTY_MAX + 64, 0x1000),
			 -BULKHEAD_E2BIG);
	assert_true(CALL(0, BULKHEAD_DIRTY_READ, 0, 256, 64, 0x1000) < 0);
	assert_true(CALL(0, BULKHEAD_DIRTY_READ, 0, UINT64_MAX - 63, 64, 0x1000) < 0);
}

static void test_views(void **state)
{
	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_VIEW_CREATE, 3), 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_CREATE, 3), -BULKHEAD_EEXIST);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_CREATE, MMU_VIEWS_MAX), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_CREATE, BIT(32) | 4), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_PROTECT, 3, 7, 2, BULKHEAD_READ), 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_PROTECT, 3, 7, 2, 8), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_PROTECT, 8, 7, 2, 1), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_PROTECT, BIT(32) | 3, 7, 2, 1), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_DESTROY, BIT(32) | 3), -BULKHEAD_EINVAL);
	assert_true(CALL(0, BULKHEAD_VIEW_PROTECT, 3, UINT64_MAX, 2, 1) < 0);
	assert_true(CALL(0, BULKHEAD_VIEW_PROTECT, 3, 7, 0, 1) < 0);
	assert_true(CALL(0, BULKHEAD_VIEW_PROTECT, 5, 7, 1, 1) < 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_SWITCH, 3), 0);
	assert_int_equal(cell_touch(0, 7 * PAGE_SIZE, MMU_READ), MMU_FIXED);
	assert_int_equal(cell_touch(0, 7 * PAGE_SIZE, MMU_WRITE), MMU_DENIED);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_DESTROY, 3), -BULKHEAD_EBUSY);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_SWITCH, 4), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_SWITCH, UINT64_MAX), -BULKHEAD_EINVAL);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_SWITCH, 0), 3);
	assert_int_equal(cell_touch(0, 7 * PAGE_SIZE, MMU_WRITE), MMU_FIXED);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_DESTROY, 3), 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_DESTROY, 3), -BULKHEAD_ENOENT);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_DESTROY, 0), -BULKHEAD_EINVAL);
}

static void test_vmfunc(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);

	(void)state;
	assert_int_equal(CALL(0, BULKHEAD_VIEW_VMFUNC, 1), -BULKHEAD_ENOSYS);
	assert_int_equal(hypercall_leaf(&cells.partition[0]).ebx & BULKHEAD_CAP_VMFUNC, 0);
	virt_caps.vmfunc_eptp = true;
	assert_int_not_equal(hypercall_leaf(&cells.partition[0]).ebx & BULKHEAD_CAP_VMFUNC, 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_VMFUNC, 2), -BULKHEAD_EINVAL);
	assert_true(mmu_vcpu_root(&vcpu->mmu).v != 0);
	assert_false(mmu_vcpu_is_stale(&vcpu->mmu));
	assert_int_equal(CALL(0, BULKHEAD_VIEW_VMFUNC, 1), 0);
	assert_true(vcpu->vmfunc && mmu_vcpu_is_stale(&vcpu->mmu));
	/* The guest has switched by itself: that is the view it was in. */
	assert_int_equal(CALL(0, BULKHEAD_VIEW_CREATE, 2), 0);
	cells.root = mmu_view_root(&cells.partition[0].mmu, 2);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_SWITCH, 0), 2);
	cells.root = mmu_view_root(&cells.partition[0].mmu, 0);
	assert_int_equal(CALL(0, BULKHEAD_VIEW_VMFUNC, 0), 0);
	assert_false(vcpu->vmfunc);
	assert_int_equal(cells.lists, 1);
	virt_caps.vmfunc_eptp = false;
}

/* A buffer in an absent page: the vCPU waits with everything as it was, then calls again. */
static void test_absent_buffer(void **state)
{
	struct vcpu *vcpu = cell_vcpu(0);
	struct error_text error;

	(void)state;
	assert_int_equal(cell_try(0, BULKHEAD_CONSOLE_WRITE, LAZY_GPA + 8, 4, 0, 0), OUTCOME_FAULT);
	assert_true(cells.rip == CELL_RIP);
	assert_int_equal(vcpu->virt.regs.gpr[GPR_RAX], BULKHEAD_CONSOLE_WRITE);
	assert_int_equal(cells.output_length, 0);
	assert_int_equal(vcpu->fault.fault.reason, MEMORY_FAULT_ABSENT);
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA + 8);
	assert_int_equal(vcpu->fault.fault.length, 4);
	assert_int_equal(vcpu->fault.fault.access, MMU_READ);
	assert_true(vcpu->fault.rip == CELL_RIP);
	assert_int_equal(memory_fault_fill(&cells.entry[0], gpa(LAZY_GPA), NULL, &error), 0);
	assert_int_equal(memory_fault_resolve(&cells.entry[0], 0, MEMORY_FAULT_RETRY, &error), 0);
	assert_int_equal(CALL(0, BULKHEAD_CONSOLE_WRITE, LAZY_GPA + 8, 4), 4);
	/* In the core, and for writing: the second of two pages. */
	assert_int_equal(cell_try(0, BULKHEAD_SLOT_GET, 0, LAZY_GPA + PAGE_SIZE - 8, 0, 0),
			 OUTCOME_FAULT);
	assert_true(vcpu->fault.fault.address.v == LAZY_GPA + PAGE_SIZE);
	assert_int_equal(vcpu->fault.fault.length, sizeof(struct bulkhead_slot) - 8);
	assert_int_equal(vcpu->fault.fault.access, MMU_WRITE);
	assert_int_equal(memory_fault_resolve(&cells.entry[0], 0, MEMORY_FAULT_RETRY, &error), 0);
	assert_int_equal(cell_try(0, BULKHEAD_FIND, LAZY_GPA + 2 * PAGE_SIZE, 4, 0, 0),
			 OUTCOME_FAULT);
	assert_int_equal(vcpu->fault.number, 3);
	assert_int_equal(vcpu->fault.again + vcpu->fault.missed, 0);
}

static uint64_t random_next(void)
{
	static uint64_t seed = 88172645463325252;

	return test_random(&seed);
}

/* Numbers near what is meant, and far from it. */
static uint64_t any_argument(void)
{
	static const uint64_t near[] = {
		0,     1,     2,      3,	7,	    64,		256,
		0x200, 0x300, 0x1000, 0x100000, UINT64_MAX, UINT32_MAX, 0x8000000000000000
	};
	uint64_t value = near[random_next() % ARRAY_COUNT(near)];

	switch (random_next() % 4) {
	case 0:
		return value + random_next() % 9 - 4;
	case 1:
		return random_next() >> (random_next() % 64);
	default:
		return value;
	}
}

/* Whatever all three say in any order: codes, never a broken rule. */
static void test_noise(void **state)
{
	struct error_text error;

	(void)state;
	cells.partition[2].manager = true;
	cells.config[2].manager = true;
	for (unsigned int i = 0; i < 60000; i++) {
		unsigned int cell = (unsigned int)(random_next() % CELLS);
		uint64_t number = BULKHEAD_VERSION + random_next() % 0x78;

		cells.output_length = 0;
		if (cell_vcpu(cell)->fault.parked) {
			assert_int_equal(memory_fault_resolve(&cells.entry[cell], 0,
							      MEMORY_FAULT_RETRY, &error),
					 0);
		}
		(void)cell_try(cell, (enum bulkhead_call)number, any_argument(), any_argument(),
			       any_argument(), any_argument());
		cells.partition[cell].stop = STOP_NONE; /* a manager may have killed it */
	}
	assert_int_equal(cells.bugs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cell_test(test_who_may),       cell_test(test_32_bit),
		cell_test(test_capabilities),  cell_test(test_find),
		cell_test(test_console),       cell_test(test_events),
		cell_test(test_slots),	       cell_test(test_dirty),
		cell_test(test_views),	       cell_test(test_vmfunc),
		cell_test(test_absent_buffer), cell_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
