/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes while vCPUs run (V1-V6, I7, I9, I10, I13): the brackets of an invalidation, read
 * sections, and slots that are created, deleted, moved, resized and given other flags under a
 * fault that began before. The four steps of V4 are in test_fault_on_the_old_slots().
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "mm/invalidate.h"
#include "tests/unit/mmu_threads.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define PAGES 0x800
#define FIRST 0x10001 /* gfn: not as RAM modulo 2 MiB, so that leaves are small */
#define FOREIGN (RAM + PAGES)

static struct fixture current;
static struct error_text error;

static void start(const struct spte_format *format, uint32_t flags)
{
	fixture_start(&current, format);
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST, 0x100, RAM, flags), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

/* How many leaves map a gfn, by the rmap; 0 without a slot. */
static unsigned int mapped(uint64_t frame)
{
	struct mmu_rmap_entry entry;

	return mmu_rmap_list(&current.mmu, gfn(frame), &entry, 1);
}

/* V1: several may overlap; the range is their union until the last has ended. */
static void test_brackets_overlap(void **state)
{
	uint64_t seq;

	(void)state;
	start(&ept_format, 0);
	seq = atomic_load(&current.mmu.invalidate_seq);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST), 4);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + 8), 4);
	assert_int_equal(atomic_load(&current.mmu.invalidate_seq), seq);
	assert_int_equal(fixture_fault(&current, FIRST + 6, MMU_READ), MMU_RETRY);
	mmu_invalidate_end(&current.mmu, gfn(FIRST), 4);
	assert_int_equal(atomic_load(&current.mmu.invalidate_seq), seq + 1);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_RETRY);
	assert_int_equal(fixture_fault(&current, FIRST + 12, MMU_READ), MMU_FIXED);
	mmu_invalidate_end(&current.mmu, gfn(FIRST + 8), 4);
	assert_int_equal(atomic_load(&current.mmu.invalidate_seq), seq + 2);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 6, MMU_READ), MMU_FIXED);
	/* A new one starts from nothing. */
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + 16), 1);
	assert_int_equal(fixture_fault(&current, FIRST + 10, MMU_READ), MMU_FIXED);
	mmu_invalidate_end(&current.mmu, gfn(FIRST + 16), 1);
	end();
}

static void test_bracket_ends_that_did_not_begin(void **state)
{
	(void)state;
	start(&ept_format, 0);
	mmu_invalidate_end(&current.mmu, gfn(FIRST), 1);
	assert_int_equal(fixture_rule(&current), RULE_I9);
	assert_int_equal(atomic_load(&current.mmu.invalidate_in_progress), 0);
	fixture_end(&current);
	start(&ept_format, 0);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST), 4);
	mmu_invalidate_end(&current.mmu, gfn(FIRST), 5);
	assert_int_equal(fixture_rule(&current), RULE_I9);
	fixture_end(&current);
}

/* Unmapping inside a bracket: gone in every view and root, flushed, and the slot brings it back. */
static void test_unmap(void **state)
{
	(void)state;
	start(&npt_format, 0);
	for (unsigned int view = 0; view < 3; view++) {
		for (uint64_t i = 0; i < 8; i++) {
			assert_int_equal(fixture_fault_in(&current, view, FIRST + i, MMU_WRITE),
					 MMU_FIXED);
		}
	}
	/* View 1's root is on its way out, and a vCPU is still in view 2's. */
	mmu_zap_all(&current.mmu);
	assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_WRITE), MMU_FIXED);
	assert_int_equal(mapped(FIRST + 2), 4);
	current.flush_count = 0;
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + 2), 3);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(FIRST + 2), 3), 0);
	assert_int_equal(current.flush_count, 1);
	assert_int_equal(current.last_flush.views, 7);
	assert_int_equal(current.last_flush.root_count, 4);
	assert_true(current.last_flush.start.v <= FIRST + 2);
	assert_true(current.last_flush.end.v >= FIRST + 5);
	mmu_invalidate_end(&current.mmu, gfn(FIRST + 2), 3);
	assert_int_equal(mapped(FIRST + 1), 3);
	assert_int_equal(mapped(FIRST + 2), 0);
	assert_int_equal(mapped(FIRST + 4), 0);
	assert_int_equal(mapped(FIRST + 5), 3);
	assert_clean(&current);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	end();
}

/* I9: not covered, half covered, and after the end. */
static void test_unmap_outside_of_a_bracket(void **state)
{
	static const struct {
		uint64_t start, count;
	} cases[] = { { 0, 0 }, { FIRST, 4 }, { FIRST + 1, 8 }, { FIRST + 8, 8 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		start(&ept_format, 0);
		assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
		if (cases[i].count) {
			mmu_invalidate_begin(&current.mmu, gfn(cases[i].start), cases[i].count);
		}
		assert_int_equal(mmu_unmap(&current.mmu, gfn(FIRST), 8), -EIO);
		assert_int_equal(fixture_rule(&current), RULE_I9);
		assert_true(fixture_walk(&current, 0, FIRST).leaf);
		fixture_end(&current);
	}
	start(&ept_format, 0);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST), 8);
	mmu_invalidate_end(&current.mmu, gfn(FIRST), 8);
	assert_int_equal(mmu_unmap(&current.mmu, gfn(FIRST), 8), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I9);
	/* P4. */
	assert_int_equal(mmu_unmap(&current.mmu, gfn(FIRST), 8), -EIO);
	fixture_end(&current);
}

static enum rule rule_of_going(gfn_t first, gfn_t last, const struct memslot *going)
{
	struct mmu_held held = mmu_lock(&current.mmu);
	enum rule rule;

	assert_int_equal(unmap_gfn_range(held, first, last, going), -EIO);
	mmu_unlock(held);
	rule = fixture_rule(&current);
	fixture_end(&current);
	return rule;
}

/* The slot, published as INVALID without any more ado. */
static const struct memslot *start_marked(void)
{
	struct memslots *marked;

	start(&ept_format, 0);
	marked = pool_alloc_page(&current.pool);
	assert_non_null(marked);
	memslots_with_invalid(marked, atomic_load(&current.mmu.slots), 0);
	atomic_store(&current.mmu.slots, marked);
	return memslot_by_id(marked, 0);
}

/* V3: the exception is for exactly the slot that is published, marked, and not beyond it. */
static void test_exception_for_deletion_is_tight(void **state)
{
	const struct memslot *slot;
	struct memslot copy;
	struct mmu_held held;

	(void)state;
	/* Not marked. */
	start(&ept_format, 0);
	slot = memslot_by_id(atomic_load(&current.mmu.slots), 0);
	assert_int_equal(rule_of_going(slot->gfn, gfn(FIRST + 0x100), slot), RULE_I9);
	/* Marked, but not what is published. */
	start(&ept_format, 0);
	copy = *memslot_by_id(atomic_load(&current.mmu.slots), 0);
	copy.flags |= (uint32_t)MEMSLOT_INVALID;
	assert_int_equal(rule_of_going(copy.gfn, gfn(FIRST + 0x100), &copy), RULE_I9);
	/* As it must be, but a copy. */
	copy = *start_marked();
	assert_int_equal(rule_of_going(copy.gfn, gfn(FIRST + 0x100), &copy), RULE_I9);
	/* One gfn too far at either end. */
	slot = start_marked();
	assert_int_equal(rule_of_going(gfn(FIRST), gfn(FIRST + 0x101), slot), RULE_I9);
	slot = start_marked();
	assert_int_equal(rule_of_going(gfn(FIRST - 1), gfn(FIRST + 0x100), slot), RULE_I9);
	/* As it must be. */
	slot = start_marked();
	held = mmu_lock(&current.mmu);
	assert_int_equal(unmap_gfn_range(held, gfn(FIRST), gfn(FIRST + 0x100), slot), 0);
	mmu_unlock(held);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
	fixture_end(&current);
}

enum change {
	CHANGE_DELETE,
	CHANGE_MOVE,
	CHANGE_SHRINK,
	CHANGE_READ_ONLY,
	CHANGE_LOG,
	CHANGE_HIDE,
	CHANGE_COUNT,
};

/* What the thread that changes slots does, and how it went. */
struct change_thread {
	struct thread thread;
	enum change change;
	int status;
};

#define VICTIM (FIRST + 0xc0)
#define MOVED 0x20000

static int change(enum change kind)
{
	struct mmu *mmu = &current.mmu;

	switch (kind) {
	case CHANGE_DELETE:
		return mmu_slot_delete(mmu, 0, &error);
	case CHANGE_MOVE:
		return mmu_slot_move(mmu, 0, gfn(MOVED), &error);
	case CHANGE_SHRINK:
		return mmu_slot_resize(mmu, 0, 0x80, &error);
	case CHANGE_READ_ONLY:
		return mmu_slot_set_flags(mmu, 0, MEMSLOT_READ_ONLY, &error);
	case CHANGE_LOG:
		return mmu_slot_set_flags(mmu, 0, MEMSLOT_LOG_DIRTY, &error);
	case CHANGE_HIDE:
		return mmu_view_protect(mmu, 0, gfn(VICTIM), 1, 0, &error);
	case CHANGE_COUNT:
		break;
	}
	return -EINVAL;
}

static void change_body(void *context)
{
	struct change_thread *thread = context;

	thread->status = change(thread->change);
}

static void change_start(struct change_thread *thread, enum change kind)
{
	*thread = (struct change_thread){ .change = kind, .status = 1 };
	thread_start(&thread->thread, change_body, thread);
}

/* What a write to the page comes to when the change is over. */
static const enum mmu_result after_change[CHANGE_COUNT] = {
	[CHANGE_DELETE] = MMU_MMIO,	    [CHANGE_MOVE] = MMU_MMIO, [CHANGE_SHRINK] = MMU_MMIO,
	[CHANGE_READ_ONLY] = MMU_READ_ONLY, [CHANGE_LOG] = MMU_FIXED, [CHANGE_HIDE] = MMU_DENIED,
};

/*
 * The four steps of V4: (1) a fault starts on the old slots, (2) new ones are published, (3)
 * what the old ones mapped is zapped or protected, (4) the fault ends. With the wait between
 * (2) and (3) the fault ends first, and what it mapped is taken away like the rest; without it
 * a mapping stays that no slot knows.
 */
static void test_fault_on_the_old_slots(void **state)
{
	(void)state;
	for (enum change kind = 0; kind < CHANGE_COUNT; kind++) {
		struct change_thread changer;
		struct fault_thread fault;
		const struct memslots *before;
		uint64_t generation;
		bool waits;

		start(kind % 2 ? &ept_format : &npt_format, 0);
		before = atomic_load(&current.mmu.slots);
		generation = before->generation;
		fault_start(&fault, &current.vcpu, VICTIM, MMU_WRITE);
		change_start(&changer, kind);
		waits = thread_spins(&changer.thread);
		/* Until then nobody frees the array that the fault goes by. */
		if (waits) {
			assert_ptr_not_equal(atomic_load(&current.mmu.slots), before);
			assert_int_equal(before->generation, generation);
		}
		assert_int_equal(fault_finish(&fault), MMU_FIXED);
		thread_join(&changer.thread);
		assert_int_equal(changer.status, 0);
		assert_clean(&current);
		assert_false(fixture_walk(&current, 0, VICTIM).spte & SPTE_WRITABLE);
		assert_true(waits);
		assert_int_equal(fixture_fault(&current, VICTIM, MMU_WRITE), after_change[kind]);
		end();
	}
}

/* The wait is for sections that began before, and for no others: it ends. */
static void test_wait_is_for_older_sections(void **state)
{
	struct mmu_vcpu late = { 0 };
	struct mmu_vcpu outside = { 0 };
	struct change_thread changer;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(mmu_vcpu_init(&late, &current.mmu), 0);
	assert_int_equal(mmu_vcpu_init(&outside, &current.mmu), 0);
	mmu_read_begin(&outside);
	mmu_read_end(&outside);
	mmu_read_begin(&current.vcpu);
	change_start(&changer, CHANGE_HIDE);
	assert_true(thread_spins(&changer.thread));
	mmu_read_begin(&late);
	mmu_read_end(&current.vcpu);
	thread_join(&changer.thread);
	assert_int_equal(changer.status, 0);
	/* And who changes next waits for that one. */
	change_start(&changer, CHANGE_READ_ONLY);
	assert_true(thread_spins(&changer.thread));
	mmu_read_end(&late);
	thread_join(&changer.thread);
	assert_int_equal(changer.status, 0);
	mmu_vcpu_leave(&late);
	mmu_vcpu_leave(&outside);
	assert_int_equal(change(CHANGE_DELETE), 0);
	end();
}

static void remove_body(void *context)
{
	pfn_t frame;

	*(int *)context = mmu_page_remove(&current.mmu, gfn(FIRST), &frame);
}

/* A pointer into guest memory is good until the end of its section, also when its page goes. */
static void test_page_waits_for_its_readers(void **state)
{
	struct thread thread;
	int status = 1;
	size_t size;

	(void)state;
	start(&ept_format, 0);
	mmu_read_begin(&current.vcpu);
	assert_non_null(mmu_guest_ptr(&current.mmu, gfn_to_gpa(gfn(FIRST)), &size, true));
	thread_start(&thread, remove_body, &status);
	assert_true(thread_spins(&thread));
	assert_null(mmu_guest_ptr(&current.mmu, gfn_to_gpa(gfn(FIRST)), &size, true));
	mmu_read_end(&current.vcpu);
	thread_join(&thread);
	assert_int_equal(status, 0);
	end();
}

/* Who keeps a pointer over the end of a section sees by the stamp that it may be wrong. */
static void test_memory_stamp(void **state)
{
	uint64_t stamp;
	pfn_t frame;

	(void)state;
	start(&ept_format, 0);
	stamp = mmu_memory_stamp(&current.mmu);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_WRITE), MMU_FIXED);
	assert_int_equal(mmu_memory_stamp(&current.mmu), stamp);
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(FIRST), &frame), 0);
	assert_int_not_equal(mmu_memory_stamp(&current.mmu), stamp);
	for (enum change kind = CHANGE_COUNT; kind-- > 0;) {
		stamp = mmu_memory_stamp(&current.mmu);
		assert_int_equal(change(kind), 0);
		assert_true(mmu_memory_stamp(&current.mmu) > stamp);
		if (kind == CHANGE_LOG) {
			assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
		}
	}
	end();
}

/* Each vCPU has page 3 mapped, in a view of its own. */
static void map_everywhere(void)
{
	for (unsigned int view = 0; view < 3; view++) {
		assert_int_equal(fixture_fault_in(&current, view, FIRST + 3, MMU_WRITE), MMU_FIXED);
		assert_int_equal(fixture_fault_in(&current, view, VICTIM, MMU_WRITE), MMU_FIXED);
	}
	assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
}

static void test_move(void **state)
{
	(void)state;
	start(&ept_format, 0);
	map_everywhere();
	current.flush_count = 0;
	assert_int_equal(mmu_slot_move(&current.mmu, 0, gfn(MOVED), &error), 0);
	assert_true(current.flush_count > 0);
	assert_clean(&current);
	assert_int_equal(current.mmu.rmap.entry_count, 0);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_MMIO);
	assert_int_equal(fixture_fault(&current, MOVED + 3, MMU_WRITE), MMU_FIXED);
	assert_int_equal(spte_pfn((spte_t){ fixture_walk(&current, 0, MOVED + 3).spte }).v,
			 RAM + 3);
	/* Over itself, and back. */
	assert_int_equal(mmu_slot_move(&current.mmu, 0, gfn(MOVED + 0x80), &error), 0);
	assert_int_equal(fixture_fault(&current, MOVED + 0x80, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, MOVED, MMU_WRITE), MMU_MMIO);
	assert_int_equal(mmu_slot_move(&current.mmu, 0, gfn(FIRST), &error), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	end();
}

static void test_resize(void **state)
{
	(void)state;
	start(&npt_format, 0);
	map_everywhere();
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, 0xc0, &error), 0);
	assert_clean(&current);
	assert_int_equal(fixture_fault(&current, VICTIM - 1, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, VICTIM, MMU_WRITE), MMU_MMIO);
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, 0x200, &error), 0);
	assert_int_equal(fixture_fault(&current, VICTIM, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 0x1ff, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 0x200, MMU_WRITE), MMU_MMIO);
	end();
}

/* R4 too: a root that is made after the flags were published has them from the start. */
static void test_flags(void **state)
{
	struct mmu_rmap_entry entries[8];

	(void)state;
	start(&ept_format, 0);
	map_everywhere();
	current.flush_count = 0;
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_READ_ONLY, &error), 0);
	assert_true(current.flush_count > 0);
	assert_clean(&current);
	assert_int_equal(mmu_rmap_list(&current.mmu, gfn(FIRST + 3), entries, 8), 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(entries[i].spte & SPTE_WRITABLE, 0);
	}
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_READ_ONLY);
	assert_int_equal(fixture_fault(&current, FIRST + 4, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_walk(&current, 0, FIRST + 4).spte & SPTE_WRITABLE, 0);
	assert_int_equal(fixture_fault_in(&current, 5, FIRST + 3, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_walk(&current, 5, FIRST + 3).spte & SPTE_WRITABLE, 0);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	assert_true(fixture_walk(&current, 5, FIRST + 3).spte & SPTE_WRITABLE);
	/* The same flags again are no change. */
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
	end();
}

/* I4: a slot of granted frames gives no more than was granted, with other flags neither. */
static void test_flags_of_granted_frames(void **state)
{
	static const struct {
		unsigned int rights;
		int read_only;
		int writable;
	} cases[] = {
		{ SPTE_READ, -EPERM, -EPERM },
		{ SPTE_READ | SPTE_WRITE, -EPERM, -EPERM },
		{ SPTE_READ | SPTE_EXECUTE, 0, -EPERM },
		{ SPTE_RIGHTS_ALL, 0, 0 },
	};
	const uint32_t flags = MEMSLOT_GRANTED;

	(void)state;
	start(&ept_format, 0);
	fixture_give(FOREIGN, ARRAY_COUNT(cases), FIXTURE_OWNER + 1);
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		const uint64_t at = 0x3000 + i;

		assert_int_equal(frames_grant(pfn(FOREIGN + i), 1, FIXTURE_OWNER + 1, FIXTURE_OWNER,
					      cases[i].rights),
				 0);
		assert_int_equal(
			fixture_slot(&current, 1, at, 1, FOREIGN + i, flags | MEMSLOT_READ_ONLY),
			cases[i].read_only);
		if (cases[i].read_only == 0) {
			assert_int_equal(fixture_fault(&current, at, MMU_READ), MMU_FIXED);
			assert_int_equal(mmu_slot_set_flags(&current.mmu, 1, flags, &error),
					 cases[i].writable);
			assert_int_equal(fixture_fault(&current, at, MMU_WRITE),
					 cases[i].writable ? MMU_READ_ONLY : MMU_FIXED);
			assert_clean(&current);
			assert_int_equal(fixture_delete(&current, 1), 0);
		}
		assert_int_equal(fixture_slot(&current, 1, at, 1, FOREIGN + i, flags),
				 cases[i].writable);
	}
	assert_int_equal(fixture_fault(&current, 0x3003, MMU_EXECUTE), MMU_FIXED);
	end();
}

/* Everything that a slot change can be refused for. */
enum request {
	REQUEST_CREATE,
	REQUEST_DELETE,
	REQUEST_MOVE,
	REQUEST_RESIZE,
	REQUEST_FLAGS,
};

struct refusal {
	enum request request;
	unsigned int id;
	uint64_t first_gfn, count, first_pfn;
	uint32_t flags;
	int status;
};

static int request(const struct refusal *r)
{
	switch (r->request) {
	case REQUEST_CREATE:
		return fixture_slot(&current, r->id, r->first_gfn, r->count, r->first_pfn,
				    r->flags);
	case REQUEST_DELETE:
		return mmu_slot_delete(&current.mmu, r->id, &error);
	case REQUEST_MOVE:
		return mmu_slot_move(&current.mmu, r->id, gfn(r->first_gfn), &error);
	case REQUEST_RESIZE:
		return mmu_slot_resize(&current.mmu, r->id, r->count, &error);
	case REQUEST_FLAGS:
		return mmu_slot_set_flags(&current.mmu, r->id, r->flags, &error);
	}
	return 0;
}

static const struct refusal refusals[] = {
	{ REQUEST_CREATE, 16, 0, 1, RAM, 0, -EINVAL },
	{ REQUEST_CREATE, 2, 0, 0, RAM, 0, -EINVAL },
	{ REQUEST_CREATE, 2, 0, 1, RAM, 0x40, -EINVAL },
	{ REQUEST_CREATE, 0, 0, 1, RAM, 0, -EEXIST },
	{ REQUEST_CREATE, 2, FIRST + 0xff, 1, RAM, 0, -EEXIST },
	{ REQUEST_CREATE, 2, FIRST - 1, 2, RAM, 0, -EEXIST },
	{ REQUEST_CREATE, 2, UINT64_MAX, 2, RAM, 0, -ERANGE },
	{ REQUEST_CREATE, 2, (UINT64_C(1) << 28) - 1, 2, RAM, 0, -ERANGE },
	{ REQUEST_CREATE, 2, 0, 1, UINT64_C(1) << 28, 0, -ERANGE },
	{ REQUEST_CREATE, 2, 0, 2, FOREIGN - 1, 0, -EPERM },
	{ REQUEST_DELETE, 2, 0, 0, 0, 0, -ENOENT },
	{ REQUEST_DELETE, 16, 0, 0, 0, 0, -ENOENT },
	{ REQUEST_MOVE, 2, 0, 0, 0, 0, -ENOENT },
	{ REQUEST_MOVE, 0, 0x3001, 0, 0, 0, -EEXIST },
	{ REQUEST_MOVE, 0, UINT64_MAX - 3, 0, 0, 0, -ERANGE },
	{ REQUEST_MOVE, 0, (UINT64_C(1) << 28) - 0xff, 0, 0, 0, -ERANGE },
	{ REQUEST_RESIZE, 2, 0, 1, 0, 0, -ENOENT },
	{ REQUEST_RESIZE, 0, 0, 0, 0, 0, -EINVAL },
	{ REQUEST_RESIZE, 0, 0, UINT64_MAX, 0, 0, -ERANGE },
	{ REQUEST_RESIZE, 0, 0, PAGES + 1, 0, 0, -EPERM },
	{ REQUEST_RESIZE, 1, 0, FIRST, 0, 0, -EEXIST },
	{ REQUEST_FLAGS, 2, 0, 0, 0, 0, -ENOENT },
	{ REQUEST_FLAGS, 0, 0, 0, 0, MEMSLOT_ABSENT, -EINVAL },
	{ REQUEST_FLAGS, 0, 0, 0, 0, 0x40, -EINVAL },
};

/* V6: a clear error, and nothing has changed. */
static void test_refusals_change_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(refusals); i++) {
		const struct memslots *before;
		uint64_t used;
		int status;

		start(&ept_format, 0);
		assert_int_equal(fixture_slot(&current, 1, 0x3000, 0x10, RAM + 0x400, 0), 0);
		map_everywhere();
		before = atomic_load(&current.mmu.slots);
		used = current.pool.used_count;
		status = request(&refusals[i]);
		if (status != refusals[i].status) {
			fail_msg("case %u: %d instead of %d", i, status, refusals[i].status);
		}
		assert_true(refusals[i].request == REQUEST_CREATE || error.text[0] != '\0');
		assert_ptr_equal(atomic_load(&current.mmu.slots), before);
		assert_int_equal(current.pool.used_count, used);
		assert_int_equal(mapped(VICTIM), 3);
		end();
	}
}

/* Resizing a logged slot: its log has room for so many pages. */
static void test_logged_slot_keeps_its_size(void **state)
{
	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, 0x80, &error), -EBUSY);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, 0, &error), 0);
	assert_int_equal(mmu_slot_resize(&current.mmu, 0, 0x80, &error), 0);
	end();
}

/* Changes when the n-th allocation fails: done, or an error and nothing changed. */
static void test_changes_without_memory(void **state)
{
	(void)state;
	for (enum change kind = 0; kind < CHANGE_COUNT; kind++) {
		int status = -ENOMEM;

		for (unsigned int n = 1; status; n++) {
			start(&ept_format, 0);
			map_everywhere();
			current.pool.fail_at = n;
			status = change(kind);
			if (status) {
				assert_int_equal(status, -ENOMEM);
			}
			current.pool.fail_at = 0;
			assert_clean(&current);
			assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_READ),
					 status == 0 && kind <= CHANGE_MOVE ? MMU_MMIO : MMU_FIXED);
			end();
			assert_in_range(n, 1, 20);
		}
	}
}

static unsigned int lost_count;

/* The flush comes before a page of tables can be given out again. */
static void flush_looks(void *context, const struct mmu_flush *what)
{
	fixture_flush(context, what);
	for (size_t n = 0; n < current.pool.page_count; n++) {
		const struct table *table = &current.mmu.tables[n];

		lost_count += table->state == TABLE_RETIRED;
		for (uint8_t *page = current.pool.free_list; page; page = *(uint8_t **)page) {
			assert_false(table->state == TABLE_RETIRED &&
				     page == current.pool.base + n * PAGE_SIZE);
		}
	}
}

static const struct mmu_ops looking_ops = { flush_looks, fixture_kick };

/* I10: tables go back after the flush, frames when the call has returned. */
static void test_flush_before_release(void **state)
{
	pfn_t frame;
	size_t used;

	(void)state;
	start(&ept_format, 0);
	current.mmu.config.ops = &looking_ops;
	map_everywhere();
	used = current.pool.used_count;
	lost_count = 0;
	current.flush_count = 0;
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(FIRST + 3), &frame), 0);
	assert_int_equal(frame.v, RAM + 3);
	assert_int_equal(current.flush_count, 1);
	assert_false(current.mmu.flush_pending);
	assert_int_equal(lost_count, 0);
	assert_int_equal(change(CHANGE_DELETE), 0);
	/* The three tables of each of the three views were still out during the flush. */
	assert_int_equal(lost_count, 9);
	assert_true(current.pool.used_count + 9 <= used);
	end();
}

/* As if something had been zapped after the flush. */
static void flush_is_overtaken(void *context, const struct mmu_flush *what)
{
	fixture_flush(context, what);
	current.mmu.flush_pending = true;
}

static const struct mmu_ops overtaken_ops = { flush_is_overtaken, fixture_kick };

static void test_page_leaves_before_the_flush(void **state)
{
	pfn_t frame;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_WRITE), MMU_FIXED);
	current.mmu.config.ops = &overtaken_ops;
	assert_int_equal(mmu_page_remove(&current.mmu, gfn(FIRST), &frame), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I10);
	fixture_end(&current);
}

/*
 * I13: the key that an SPTE went in under is in the SPTE and in its table. A slot that has
 * moved, or another in its place, is not taken for it.
 */
static void test_keys_are_compared(void **state)
{
	struct mmu_held held;
	spte_t spte;
	struct table *table;
	struct mmu_walk_step step;

	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_slot(&current, 1, 0x3000, 0x10, RAM + 0x400, 0), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	step = fixture_walk(&current, 0, FIRST + 3);
	spte = (spte_t){ step.spte };
	assert_int_equal(spte_slot(spte), 0);
	table = table_of(&current.mmu, hpa_to_pfn(step.sptep));
	assert_int_equal(table->gfn.v, level_align(gfn(FIRST + 3), 2).v);
	held = mmu_lock(&current.mmu);
	/* As if the other slot's id had been used. */
	spte.v ^= FIELD_PREP(SPTE_SLOT, 1);
	table_damage(held, table, level_index(gfn(FIRST + 3), 1), spte);
	mmu_unlock(held);
	assert_int_equal(change(CHANGE_DELETE), -EIO);
	assert_int_equal(fixture_rule(&current), RULE_I1);
	fixture_end(&current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brackets_overlap),
		cmocka_unit_test(test_bracket_ends_that_did_not_begin),
		cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_unmap_outside_of_a_bracket),
		cmocka_unit_test(test_exception_for_deletion_is_tight),
		cmocka_unit_test(test_fault_on_the_old_slots),
		cmocka_unit_test(test_wait_is_for_older_sections),
		cmocka_unit_test(test_page_waits_for_its_readers),
		cmocka_unit_test(test_memory_stamp),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_flags_of_granted_frames),
		cmocka_unit_test(test_refusals_change_nothing),
		cmocka_unit_test(test_logged_slot_keeps_its_size),
		cmocka_unit_test(test_changes_without_memory),
		cmocka_unit_test(test_flush_before_release),
		cmocka_unit_test(test_page_leaves_before_the_flush),
		cmocka_unit_test(test_keys_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
