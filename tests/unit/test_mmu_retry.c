/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every test that makes a fault start again (RETRY_ON), and that it bites: each is driven to
 * the one place where it matters, without a race, by a gate or a hook (mmu_threads.h). What
 * the fault then must have done is nothing; and tried again, it succeeds.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/store_log.h"

#include "tests/unit/mmu_threads.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define PAGES 0x800
#define FIRST 0x10001 /* gfn: not as RAM modulo 2 MiB, so that leaves are small */
#define DEVICE 0x100  /* a gfn without a slot */

static struct fixture current;
static struct mmu_vcpu other;
static enum mmu_result other_result;

/* Two vCPUs in view 0; leaves are small, and writes recorded if `flags` says so. */
static void start(const struct spte_format *format, uint32_t flags)
{
	other = (struct mmu_vcpu){ 0 };
	fixture_start(&current, hook_format(format));
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, flags), 0);
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
	assert_int_not_equal(mmu_vcpu_root(&other).v, 0);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	cache_fill(&other.cache, &current.mmu.rmap);
	cache_fill(&current.vcpu.cache, &current.mmu.rmap);
}

static void end(void)
{
	assert_int_equal(hook.place, HOOK_NONE);
	assert_clean(&current);
	fixture_end(&current);
}

/* What the first vCPU's fault comes to while `action` is done at `place` of it. */
static enum mmu_result fault_during(enum hook_place place, void (*action)(void), uint64_t frame,
				    unsigned int access)
{
	hook_set(place, action);
	return fixture_fault(&current, frame, access);
}

static struct table *table_over(uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, 0, frame);

	return table_of(&current.mmu, hpa_to_pfn(step.sptep));
}

/* No root at all, and one that is invalid: nothing is stored, and a new one is asked for. */
static void test_root_is_missing_or_invalid(void **state)
{
	(void)state;
	start(&ept_format, 0);
	mmu_zap_all(&current.mmu);
	atomic_store(&current.vcpu.stale, false);
	mmu_read_begin(&current.vcpu);
	assert_int_equal(mmu_fault(&current.vcpu, gfn_to_gpa(gfn(FIRST)), MMU_READ), MMU_RETRY);
	mmu_read_end(&current.vcpu);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_equal(current.vcpu.root->table->count, 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	/* One that never asked. */
	mmu_vcpu_leave(&other);
	other = (struct mmu_vcpu){ 0 };
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
	atomic_store(&other.stale, false);
	mmu_read_begin(&other);
	assert_int_equal(mmu_fault(&other, gfn_to_gpa(gfn(FIRST)), MMU_READ), MMU_RETRY);
	assert_true(mmu_vcpu_is_stale(&other));
	atomic_store(&other.stale, false);
	assert_int_equal(mmu_fault(&other, gfn_to_gpa(gfn(DEVICE)), MMU_READ), MMU_RETRY);
	assert_true(mmu_vcpu_is_stale(&other));
	atomic_store(&other.stale, false);
	assert_int_equal(mmu_fault_malformed(&other, gfn_to_gpa(gfn(DEVICE))), MMU_RETRY);
	assert_true(mmu_vcpu_is_stale(&other));
	mmu_read_end(&other);
	assert_int_equal(fixture_fault_of(&other, FIRST, MMU_READ), MMU_RETRY);
	assert_int_equal(fixture_fault_of(&other, FIRST + 1, MMU_READ), MMU_FIXED);
	end();
}

/* V2, first half: inside the bracket nothing is installed, outside it is. */
static void test_invalidation_in_progress(void **state)
{
	(void)state;
	start(&ept_format, 0);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + 8), 8);
	assert_int_equal(fixture_fault(&current, FIRST + 7, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 16, MMU_READ), MMU_FIXED);
	for (uint64_t i = 8; i < 16; i++) {
		assert_int_equal(fixture_fault(&current, FIRST + i, MMU_READ), MMU_RETRY);
		assert_false(fixture_walk(&current, 0, FIRST + i).present);
	}
	mmu_invalidate_end(&current.mmu, gfn(FIRST + 8), 8);
	assert_int_equal(fixture_fault(&current, FIRST + 8, MMU_READ), MMU_FIXED);
	end();
}

/* V2, second half, and I7: begun before, ended before the lock was had. */
static void test_invalidation_overtakes(void **state)
{
	struct fault_thread fault;

	(void)state;
	start(&npt_format, 0);
	fault_start(&fault, &current.vcpu, FIRST + 3, MMU_WRITE);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST + 3), 1);
	mmu_invalidate_end(&current.mmu, gfn(FIRST + 3), 1);
	assert_int_equal(fault_finish(&fault), MMU_RETRY);
	assert_false(fixture_walk(&current, 0, FIRST + 3).present);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	end();
}

/* Both halves again, but the bracket is still open when the fault has the lock. */
static void test_invalidation_begins_meanwhile(void **state)
{
	struct fault_thread fault;

	(void)state;
	start(&npt_format, 0);
	fault_start(&fault, &current.vcpu, FIRST + 3, MMU_WRITE);
	mmu_invalidate_begin(&current.mmu, gfn(FIRST), 8);
	assert_int_equal(fault_finish(&fault), MMU_RETRY);
	assert_false(fixture_walk(&current, 0, FIRST + 3).present);
	mmu_invalidate_end(&current.mmu, gfn(FIRST), 8);
	assert_int_equal(fixture_fault(&current, FIRST + 3, MMU_WRITE), MMU_FIXED);
	end();
}

/* An entry that somebody else has claimed, in a table of small leaves. */
static void freeze(uint64_t frame, bool frozen)
{
	struct table *table = table_over(frame);
	struct mmu_held held = mmu_lock(&current.mmu);

	table_damage(held, table, level_index(gfn(frame), 1), (spte_t){ frozen ? SPTE_FROZEN : 0 });
	mmu_unlock(held);
}

static void test_frozen_entry(void **state)
{
	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	freeze(FIRST + 1, true);
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_READ), MMU_RETRY);
	assert_int_equal(fixture_walk(&current, 0, FIRST + 1).spte, SPTE_FROZEN);
	/* No hardware reports a frozen one, but the walk may meet it a moment later. */
	assert_int_equal(fixture_malformed(&current, FIRST + 1), MMU_RETRY);
	freeze(FIRST + 1, false);
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_READ), MMU_FIXED);
	/* The same in a table of MMIO SPTEs: no SPTE this time, but the access is emulated. */
	assert_int_equal(fixture_fault(&current, DEVICE, MMU_READ), MMU_MMIO);
	freeze(DEVICE + 1, true);
	assert_int_equal(fixture_fault(&current, DEVICE + 1, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_walk(&current, 0, DEVICE + 1).spte, SPTE_FROZEN);
	freeze(DEVICE + 1, false);
	assert_int_equal(fixture_fault(&current, DEVICE + 1, MMU_READ), MMU_MMIO);
	assert_true(fixture_walk(&current, 0, DEVICE + 1).mmio);
	end();
}

/* A fault of another vCPU stands with its entry frozen: it waits for the rmap head. */
static void test_frozen_by_another_fault(void **state)
{
	struct fault_thread fault = { .vcpu = &other, .frame = FIRST + 1, .access = MMU_WRITE };
	struct error_text error;
	struct rmap_path path;
	struct table *table;

	(void)state;
	start(&npt_format, 0);
	assert_int_equal(fixture_fault_in(&current, 1, FIRST + 1, MMU_WRITE), MMU_FIXED);
	assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_WRITE), MMU_FIXED);
	assert_int_equal(rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				   gfn(FIRST + 1), 1, &path),
			 RMAP_OK);
	table = table_over(FIRST);
	atomic_fetch_or(path.head, RMAP_LOCKED);
	thread_start(&fault.thread, fault_body, &fault);
	while (!spte_is_frozen(table_get(&current.mmu, table, level_index(gfn(FIRST + 1), 1)))) {
		sched_yield();
	}
	assert_true(thread_spins(&fault.thread));
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_WRITE), MMU_RETRY);
	atomic_fetch_and(path.head, ~RMAP_LOCKED);
	thread_join(&fault.thread);
	assert_int_equal(fault.result, MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_WRITE), MMU_RETRY);
	assert_int_equal(mmu_view_destroy(&current.mmu, 1, &error), 0);
	end();
}

static void other_maps_the_page(void)
{
	other_result = fixture_fault_of(&other, FIRST + 5, MMU_READ);
}

/* Does `action` before the n-th store that is still to come. */
static struct {
	unsigned int left;
	void (*action)(void);
	rmap_word_t *head; /* of an rmap: not while its lock bit is set; or NULL */
	bool done;
	bool skipped;
} intruder;

static void intrude(const uint8_t *address)
{
	(void)address;
	if (intruder.done || --intruder.left > 0) {
		return;
	}
	intruder.done = true;
	store_log_pause(true);
	if (intruder.head && (atomic_load(intruder.head) & RMAP_LOCKED)) {
		intruder.skipped = true;
	} else {
		intruder.action();
	}
	store_log_pause(false);
}

/* The first vCPU's fault, in which `action` is done before the n-th store to the pool. */
static enum mmu_result fault_intruded(unsigned int n, void (*action)(void), uint64_t frame,
				      unsigned int access)
{
	enum mmu_result result;

	intruder.left = n;
	intruder.action = action;
	intruder.done = false;
	intruder.skipped = false;
	other_result = MMU_STUCK;
	store_log_start(&current, intrude, NULL);
	result = fixture_fault(&current, frame, access);
	store_log_stop();
	return result;
}

/* The leaf's own entry: another fault stored it between the look and the compare-and-swap. */
static void test_lost_entry(void **state)
{
	const uint32_t flags[] = { 0, MEMSLOT_LOG_DIRTY };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(flags); i++) {
		start(&ept_format, flags[i]);
		assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_fault_of(&other, FIRST + 1, MMU_READ), MMU_FIXED);
		assert_int_equal(fault_intruded(1, other_maps_the_page, FIRST + 5, MMU_READ),
				 MMU_RETRY);
		assert_int_equal(other_result, MMU_FIXED);
		assert_int_equal(current.mmu.rmap.entry_count, 4);
		end();
	}
}

static void other_maps_the_neighbour(void)
{
	other_result = fixture_fault_of(&other, FIRST + 6, MMU_WRITE);
}

/* The entry above missing tables: another fault linked a table there first. */
static void test_lost_table(void **state)
{
	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(
		fault_during(HOOK_MAKE_LEAF, other_maps_the_neighbour, FIRST + 5, MMU_WRITE),
		MMU_RETRY);
	assert_int_equal(other_result, MMU_FIXED);
	assert_true(fixture_walk(&current, 0, FIRST + 6).leaf);
	assert_clean(&current);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
	assert_true(fixture_walk(&current, 0, FIRST + 6).leaf);
	end();
}

/* The claimed one: while tables are made below it, others meet it frozen. */
static void test_claimed_table(void **state)
{
	(void)state;
	start(&npt_format, 0);
	assert_int_equal(
		fault_during(HOOK_MAKE_TABLE, other_maps_the_neighbour, FIRST + 5, MMU_WRITE),
		MMU_FIXED);
	assert_int_equal(other_result, MMU_RETRY);
	assert_int_equal(fixture_fault_of(&other, FIRST + 6, MMU_WRITE), MMU_FIXED);
	end();
}

static void other_meets_the_device(void)
{
	other_result = fixture_fault_of(&other, DEVICE + 1, MMU_WRITE);
}

/* The same for an MMIO SPTE: it is a convenience, and the access is emulated anyhow. */
static void test_lost_mmio(void **state)
{
	(void)state;
	start(&ept_format, 0);
	assert_int_equal(fault_during(HOOK_MAKE_MMIO, other_meets_the_device, DEVICE, MMU_READ),
			 MMU_MMIO);
	assert_int_equal(other_result, MMU_MMIO);
	assert_true(fixture_walk(&current, 0, DEVICE + 1).mmio);
	assert_false(fixture_walk(&current, 0, DEVICE).mmio);
	assert_int_equal(fault_during(HOOK_MAKE_MMIO, other_meets_the_device, DEVICE, MMU_READ),
			 MMU_MMIO);
	assert_true(fixture_walk(&current, 0, DEVICE).mmio);
	end();
}

static void other_writes_the_page(void)
{
	other_result = fixture_fault_of(&other, FIRST + 5, MMU_WRITE);
}

/* More rights for a leaf that is there: another fault gave them first. */
static void test_lost_rights(void **state)
{
	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_READ), MMU_FIXED);
	assert_int_equal(fault_during(HOOK_RIGHTS, other_writes_the_page, FIRST + 5, MMU_WRITE),
			 MMU_RETRY);
	assert_int_equal(other_result, MMU_FIXED);
	assert_true(fixture_walk(&current, 0, FIRST + 5).spte & SPTE_WRITABLE);
	end();
}

static _Atomic uint64_t *entry_over(uint64_t frame)
{
	return (_Atomic uint64_t *)hpa_to_ptr(fixture_walk(&current, 0, frame).sptep);
}

static _Atomic uint64_t *cpu_entry;

static void cpu_marks_the_entry(void)
{
	atomic_fetch_or(cpu_entry, hook.base->accessed | hook.base->dirty);
}

/*
 * The CPU sets accessed and dirty bits at any time, with the lock held for writing too: the
 * write protection of a logged page is stored all the same.
 */
static void test_cpu_marks_meanwhile(void **state)
{
	const struct spte_format *const formats[] = { &ept_format, &npt_format };

	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		uint64_t bitmap = 0;

		start(formats[f], MEMSLOT_LOG_DIRTY);
		assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
		cpu_entry = entry_over(FIRST + 5);
		atomic_fetch_and(cpu_entry, ~(formats[f]->accessed | formats[f]->dirty));
		hook_set(HOOK_RIGHTS, cpu_marks_the_entry);
		assert_int_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, &bitmap, true), 0);
		assert_int_equal(bitmap, BIT(5));
		assert_false(fixture_walk(&current, 0, FIRST + 5).spte & SPTE_WRITABLE);
		assert_int_equal(current.flush_count, 1);
		end();
	}
}

static void cpu_drops_the_frame(void)
{
	atomic_fetch_xor(cpu_entry, PAGE_SIZE);
}

/* Anything else that changes under the lock held for writing is no CPU's doing: not stored. */
static void test_entry_changes_by_itself(void **state)
{
	uint64_t bitmap = 0;

	(void)state;
	start(&ept_format, MEMSLOT_LOG_DIRTY);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_WRITE), MMU_FIXED);
	cpu_entry = entry_over(FIRST + 5);
	hook_set(HOOK_RIGHTS, cpu_drops_the_frame);
	assert_int_not_equal(mmu_dirty_read(&current.mmu, 0, 0, 64, &bitmap, true), 0);
	assert_true(atomic_load(cpu_entry) & SPTE_WRITABLE);
	fixture_end(&current);
}

/* I8: a current one is a hit, one of older slots goes. */
static void test_stale_mmio(void **state)
{
	struct error_text error;

	(void)state;
	start(&npt_format, 0);
	assert_int_equal(fixture_fault(&current, DEVICE, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_malformed(&current, DEVICE), MMU_MMIO);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_READ_ONLY, &error), 0);
	assert_int_equal(fixture_malformed(&current, DEVICE), MMU_RETRY);
	assert_false(fixture_walk(&current, 0, DEVICE).mmio);
	assert_int_equal(fixture_fault(&current, DEVICE, MMU_READ), MMU_MMIO);
	assert_int_equal(fixture_malformed(&current, DEVICE), MMU_MMIO);
	end();
}

static void other_maps_in_view_1(void)
{
	other_result = fixture_fault_of(&other, FIRST + 5, MMU_WRITE);
}

/*
 * Two faults in every order: for every store of the first one, the second runs from its begin
 * to its end before that store. Each is done or tries again, and in the end both are done.
 */
static void test_every_interleaving(void **state)
{
	static const struct {
		void (*action)(void);
		uint64_t other_frame;
		uint32_t flags;
		unsigned int view;
		bool warm; /* tables and rmap nodes are there already */
	} cases[] = {
		{ other_maps_the_page, FIRST + 5, 0, 0, false },
		{ other_maps_the_page, FIRST + 5, 0, 0, true },
		{ other_maps_the_neighbour, FIRST + 6, 0, 0, false },
		{ other_maps_the_neighbour, FIRST + 6, 0, 0, true },
		{ other_writes_the_page, FIRST + 5, MEMSLOT_LOG_DIRTY, 0, true },
		{ other_maps_in_view_1, FIRST + 5, 0, 1, false },
		{ other_maps_in_view_1, FIRST + 5, 0, 1, true },
	};
	unsigned int skipped = 0;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		for (unsigned int n = 1;; n++) {
			struct rmap_path path = { .head = NULL };
			enum mmu_result result;

			start(i % 2 ? &ept_format : &npt_format, cases[i].flags);
			if (cases[i].view) {
				assert_int_equal(fixture_fault_in(&current, 1, DEVICE, 1),
						 MMU_MMIO);
				assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
				assert_int_equal(mmu_view_switch(&other, 1), 0);
				assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
				assert_int_not_equal(mmu_vcpu_root(&other).v, 0);
			}
			if (cases[i].warm) {
				fixture_fault(&current, FIRST, MMU_READ);
				fixture_fault_of(&other, FIRST + 1, MMU_READ);
				(void)rmap_find(&current.mmu.rmap,
						memslot_by_id(atomic_load(&current.mmu.slots), 0),
						gfn(FIRST + 5), 1, &path);
			}
			cache_fill(&other.cache, &current.mmu.rmap);
			cache_fill(&current.vcpu.cache, &current.mmu.rmap);
			intruder.head = path.head;
			result = fault_intruded(n, cases[i].action, FIRST + 5, MMU_WRITE);
			assert_true(result == MMU_FIXED || result == MMU_RETRY);
			if (!intruder.done) {
				assert_int_equal(result, MMU_FIXED);
				assert_true(n > 2);
				end();
				break;
			}
			skipped += intruder.skipped;
			if (!intruder.skipped) {
				assert_true(other_result == MMU_FIXED || other_result == MMU_RETRY);
				/* One of the two got somewhere. */
				assert_true(result == MMU_FIXED || other_result == MMU_FIXED);
			}
			assert_clean(&current);
			result = fixture_fault(&current, FIRST + 5, MMU_WRITE);
			assert_true(result == MMU_FIXED || result == MMU_RETRY);
			result = fixture_fault_of(&other, cases[i].other_frame, MMU_WRITE);
			assert_true(result == MMU_FIXED || result == MMU_RETRY);
			assert_true(fixture_walk(&current, 0, FIRST + 5).spte & SPTE_WRITABLE);
			assert_true(
				fixture_walk(&current, cases[i].view, cases[i].other_frame).spte &
				SPTE_WRITABLE);
			end();
			assert_in_range(n, 1, 3000);
		}
	}
	assert_in_range(skipped, 0, 16);
}

static void create_body(void *context)
{
	*(int *)context = fixture_slot(&current, 1, DEVICE, 1, RAM, 0);
}

/* I8: no MMIO SPTE, and no emulation, where a slot has come between look-up and lock. */
static void test_slot_comes_meanwhile(void **state)
{
	const struct memslots *before;
	struct fault_thread fault;
	struct thread thread;
	int status = 1;

	(void)state;
	start(&ept_format, 0);
	before = atomic_load(&current.mmu.slots);
	fault_start(&fault, &current.vcpu, DEVICE, MMU_READ);
	thread_start(&thread, create_body, &status);
	while (atomic_load(&current.mmu.slots) == before) {
		sched_yield();
	}
	assert_int_equal(fault_finish(&fault), MMU_RETRY);
	thread_join(&thread);
	assert_int_equal(status, 0);
	assert_false(fixture_walk(&current, 0, DEVICE).mmio);
	assert_int_equal(fixture_fault(&current, DEVICE, MMU_READ), MMU_FIXED);
	end();
}

/* P4: another CPU finds a rule broken while a fault is on its way to the lock. */
static void test_bugged_meanwhile(void **state)
{
	static const uint64_t frames[] = { FIRST, DEVICE };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(frames); i++) {
		struct fault_thread fault;

		start(&ept_format, 0);
		fault_start(&fault, &current.vcpu, frames[i], MMU_READ);
		assert_true(PARTITION_BUG_ON(&current.bug, true, RULE_I2));
		assert_int_equal(fault_finish(&fault), MMU_BUGGED);
		assert_int_equal(current.vcpu.root->table->count, 0);
		fixture_end(&current);
	}
}

/* The link to a node of the rmap that is not there yet, and where it leads all of a sudden. */
static const uint8_t *missing_link;

static void link_goes_wild(const uint8_t *address)
{
	if (address == missing_link) {
		store_log_pause(true);
		*(uint64_t *)(uintptr_t)missing_link = 0xdead000 | 1;
		store_log_pause(false);
		missing_link = NULL;
	}
}

/* I2: the node that another fault seems to have been faster with is none, and not followed. */
static void test_rmap_goes_wild_meanwhile(void **state)
{
	struct rmap_path path;
	enum mmu_result result;

	(void)state;
	start(&ept_format, 0);
	/* Two, in tables of their own: it looks like want of memory, and one goes for it. */
	assert_int_equal(fixture_fault(&current, FIRST + 0x400, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 0x600, MMU_READ), MMU_FIXED);
	assert_int_equal(rmap_find(&current.mmu.rmap, memslot_by_id(current.mmu.slots, 0),
				   gfn(FIRST), 1, &path),
			 RMAP_OK);
	assert_null(path.head);
	assert_int_equal(path.node_count, 1);
	missing_link = (const uint8_t *)path.link[1];
	store_log_start(&current, link_goes_wild, NULL);
	result = fixture_fault(&current, FIRST, MMU_READ);
	store_log_stop();
	assert_null(missing_link);
	assert_int_equal(result, MMU_BUGGED);
	assert_int_equal(fixture_rule(&current), RULE_I2);
	assert_int_equal(current.mmu.rmap.entry_count, 1);
	fixture_end(&current);
}

static void delete_body(void *context)
{
	*(int *)context = fixture_delete(&current, 0);
}

/* V4: the slot is published as INVALID and waits for this vCPU, whose next fault sees it. */
static void test_invalid_slot(void **state)
{
	const struct memslots *before;
	struct thread thread;
	int status = 1;

	(void)state;
	start(&ept_format, 0);
	before = atomic_load(&current.mmu.slots);
	mmu_read_begin(&current.vcpu);
	thread_start(&thread, delete_body, &status);
	while (atomic_load(&current.mmu.slots) == before) {
		sched_yield();
	}
	assert_int_equal(mmu_fault(&current.vcpu, gfn_to_gpa(gfn(FIRST)), MMU_READ), MMU_RETRY);
	assert_int_equal(current.vcpu.root->table->count, 0);
	mmu_read_end(&current.vcpu);
	thread_join(&thread);
	assert_int_equal(status, 0);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_MMIO);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_is_missing_or_invalid),
		cmocka_unit_test(test_invalidation_in_progress),
		cmocka_unit_test(test_invalidation_overtakes),
		cmocka_unit_test(test_invalidation_begins_meanwhile),
		cmocka_unit_test(test_frozen_entry),
		cmocka_unit_test(test_frozen_by_another_fault),
		cmocka_unit_test(test_lost_entry),
		cmocka_unit_test(test_lost_table),
		cmocka_unit_test(test_claimed_table),
		cmocka_unit_test(test_lost_mmio),
		cmocka_unit_test(test_lost_rights),
		cmocka_unit_test(test_cpu_marks_meanwhile),
		cmocka_unit_test(test_entry_changes_by_itself),
		cmocka_unit_test(test_stale_mmio),
		cmocka_unit_test(test_every_interleaving),
		cmocka_unit_test(test_slot_comes_meanwhile),
		cmocka_unit_test(test_bugged_meanwhile),
		cmocka_unit_test(test_rmap_goes_wild_meanwhile),
		cmocka_unit_test(test_invalid_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
