/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An MMU with a few mappings, and means to damage it, for the tests of the rules: `current` is
 * the machine at hand, and nothing here takes the MMU lock, for there is one thread.
 */
#ifndef TESTS_UNIT_MMU_DAMAGE_H
#define TESTS_UNIT_MMU_DAMAGE_H

#include <string.h>

#include "tests/unit/mmu_fixture.h"

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

#define RAM 0x40000
#define FOREIGN (RAM + 0x10000) /* frames of the next partition */

static struct fixture current;

/* As if the lock were held for writing. */
static inline struct mmu_held held(void)
{
	current.mmu.cache.slots = current.mmu.slots;
	return (struct mmu_held){ &current.mmu, &current.mmu.cache };
}

/*
 * Slot 0: gfn 0x401 on, 4 KiB leaves. Slot 1: gfn 0x1000 on, 2 MiB leaves. Slot 2: read-only.
 * Mapped: gfns 0x401, 0x402 and 0x1000.
 */
static inline void start_mapped(struct fixture *fixture, const struct spte_format *format)
{
	fixture_start(fixture, format);
	fixture_give(RAM, 0x3000, FIXTURE_OWNER);
	fixture_give(FOREIGN, 0x400, FIXTURE_OWNER + 1);
	assert_int_equal(fixture_slot(fixture, 0, 0x401, 0x1ff, RAM, 0), 0);
	assert_int_equal(fixture_slot(fixture, 1, 0x1000, 0x1000, RAM + 0x1000, 0), 0);
	assert_int_equal(fixture_slot(fixture, 2, 0x800, 0x10, RAM + 0x800, MEMSLOT_READ_ONLY), 0);
	assert_int_equal(fixture_fault(fixture, 0x401, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(fixture, 0x402, MMU_WRITE), MMU_FIXED);
	assert_int_equal(fixture_fault(fixture, 0x1000, MMU_WRITE), MMU_FIXED);
	assert_clean(fixture);
}

/* The table that holds a gfn's entry at `level` in view 0. */
static inline struct table *table_at(struct fixture *fixture, uint64_t frame, unsigned int level)
{
	struct mmu_walk walk;

	mmu_walk(&fixture->mmu, 0, gfn_to_gpa(gfn(frame)), &walk);
	assert_true(walk.count >= SPTE_LEVELS - level + 1);
	return table_of(&fixture->mmu, hpa_to_pfn(walk.steps[SPTE_LEVELS - level].sptep));
}

static inline spte_t leaf(struct fixture *fixture, uint64_t frame, unsigned int level,
			  unsigned int slot)
{
	return spte_leaf(fixture->mmu.config.format, pfn(frame), level, SPTE_RIGHTS_ALL, slot);
}

/* The entry of a gfn at a level, for damaging. */
struct entry {
	struct table *table;
	unsigned int index;
	spte_t spte;
};

static inline struct entry entry_at(uint64_t frame, unsigned int level)
{
	struct entry entry = { table_at(&current, frame, level),
			       level_index(gfn(frame), level),
			       { 0 } };

	entry.spte = table_get(&current.mmu, entry.table, entry.index);
	return entry;
}

static inline void damage(struct entry entry, uint64_t value)
{
	table_damage(held(), entry.table, entry.index, (spte_t){ value });
}

/* The rmap head of a gfn in slot 0, made if it is not there. */
static inline rmap_word_t *head_at(uint64_t frame)
{
	struct rmap_path path;

	assert_int_equal(rmap_reserve(&current.mmu.rmap, &current.mmu.cache,
				      memslot_by_id(current.mmu.slots, 0), gfn(frame), 1, &path),
			 RMAP_OK);
	return path.head;
}

/* What must be found first, by the audit and by the deletion of the slot. */
static const struct {
	enum rule audit;
	enum rule removal;
} expected[MMU_INJECT_COUNT] = {
	[MMU_INJECT_SPTE_RESERVED] = { RULE_I3, RULE_I3 },
	[MMU_INJECT_SPTE_FOREIGN] = { RULE_I4, RULE_I4 },
	[MMU_INJECT_RMAP_DROPPED] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_RMAP_DOUBLED] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_RMAP_WRONG] = { RULE_I1, RULE_I1 },
	[MMU_INJECT_COUNT_OFF] = { RULE_I5, RULE_I5 },
	[MMU_INJECT_SLOT_GONE] = { RULE_I1, RULE_NONE },
};

static inline void inject(enum mmu_inject kind, uint64_t frame)
{
	unsigned int flushes = current.flush_count;
	struct error_text error = { "" };

	if (mmu_inject(&current.mmu, kind, gfn(frame), pfn(FOREIGN), &error) != 0) {
		fail_msg("%s: %s", mmu_inject_name(kind), error.text);
	}
	assert_int_equal(current.flush_count, flushes + 1);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
}

/* P4: an error, and nothing else. */
static inline void check_all_refuse(uint64_t frame)
{
	struct mmu *mmu = &current.mmu;
	struct error_text error;
	uint64_t bits;
	size_t size;
	gfn_t found;
	pfn_t page;

	assert_int_equal(fixture_fault(&current, frame, MMU_READ), MMU_BUGGED);
	assert_int_equal(fixture_malformed(&current, 0), MMU_BUGGED);
	assert_int_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	assert_int_equal(mmu_view_root(mmu, 0).v, 0);
	assert_int_equal(mmu_view_create(mmu, 1, &error), -EIO);
	assert_int_equal(mmu_view_destroy(mmu, 1, &error), -EIO);
	assert_int_equal(mmu_view_protect(mmu, 0, gfn(frame), 1, 0, &error), -EIO);
	assert_int_equal(fixture_slot(&current, 3, 0x5000, 1, RAM, 0), -EIO);
	assert_int_equal(fixture_delete(&current, 2), -EIO);
	assert_int_equal(mmu_slot_move(mmu, 2, gfn(0x7000), &error), -EIO);
	assert_int_equal(mmu_slot_resize(mmu, 2, 1, &error), -EIO);
	assert_int_equal(mmu_slot_set_flags(mmu, 2, 0, &error), -EIO);
	assert_int_equal(mmu_unmap(mmu, gfn(frame), 1), -EIO);
	assert_int_equal(mmu_page_remove(mmu, gfn(frame), &page), -EIO);
	assert_int_equal(mmu_page_insert(mmu, gfn(frame), PFN_LINEAR), -EIO);
	assert_int_equal(mmu_dirty_read(mmu, 0, 0, 64, &bits, true), -EIO);
	assert_false(mmu_work(mmu, 1000));
	assert_int_equal(mmu_inject(mmu, MMU_INJECT_COUNT_OFF, gfn(frame), pfn(0), &error), -EIO);
	assert_int_equal(mmu_inject_gfn(mmu, &found), -EIO);
	assert_null(mmu_guest_ptr(mmu, gpa(0x1000000), &size, true));
}

/* P4 and P7: nothing works any more but looking. */
static inline void check_bugged_mmu(uint64_t frame)
{
	const struct bug_record *first = bug_first(&current.bug);
	uint64_t violations = atomic_load(&current.bug.violations);
	struct bug_record before = *first;
	struct mmu_rmap_entry entry;
	struct mmu_walk walk;
	struct mmu_audit audit;
	struct mmu_stats stats;

	/* As if a vCPU had died with the lock: looking must not wait for it. */
	write_lock(&current.mmu.lock);
	mmu_walk(&current.mmu, 0, gfn_to_gpa(gfn(frame)), &walk);
	assert_true(walk.count > 0);
	mmu_rmap_list(&current.mmu, gfn(frame), &entry, 1);
	mmu_get_stats(&current.mmu, &stats);
	assert_true(mmu_audit(&current.mmu, &audit) > 0);
	assert_in_range(audit.finding_count, 1, MMU_AUDIT_FINDINGS_MAX);
	write_unlock(&current.mmu.lock);
	check_all_refuse(frame);
	/* P2: the first cause stays, and looking adds nothing. */
	assert_memory_equal(first, &before, sizeof(before));
	assert_int_equal(atomic_load(&current.bug.violations), violations);
}

#endif
