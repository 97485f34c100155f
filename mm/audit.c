/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit: recomputes the invariants from what is in memory, by other means than the code
 * that keeps them; audit.h says who looks at what. Two ways to go about it:
 *
 *     whole        roots, all under them with marks, headers, rmaps, pages, totals: one look
 *     in slices    |state|tab|le |s   |rmap|s  |pages|state|...   a bounded number of entries
 *                    \___cursor keeps the place, never a pointer__/      under the lock at a time
 *
 * In slices each table is looked at alone: it and the table above name each other, one level
 * apart and with one role, so all of them hang on roots. What changes between two slices is
 * seen at the next pass. Left out by nature: I7 and I15 are about changes, and are checked at
 * the store only; so is the other half of I9 and I10.
 *
 * On a healthy partition the first violation bugs it; on a bugged one they are only listed.
 */
#include "mm/audit.h"

#include "mm/prove.h"

enum phase { PHASE_STATE, PHASE_TABLES, PHASE_RMAP, PHASE_BACKING, PHASE_COUNT };

#define STATE_ENTRIES 256 /* what the phase of that name costs, about */
#define BUDGET_MIN 512	  /* with less, a slice might not get from a root to a head */

/* See audit.h. */
void audit_note(struct audit *audit, enum rule rule, const struct bug_detail *detail)
{
	struct mmu_audit *out = audit->out;

	if (out->finding_count < MMU_AUDIT_FINDINGS_MAX) {
		out->findings[out->finding_count].rule = rule;
		out->findings[out->finding_count].detail = *detail;
		out->finding_count++;
	}
	out->violations++;
}

/* The MMU lock is held for writing, or the partition is bugged. */
static struct audit audit_start(struct mmu *mmu, struct mmu_audit *out)
{
	*out = (struct mmu_audit){ 0 };
	return (struct audit){
		.mmu = mmu,
		.bug = mmu->config.bug,
		/* Acquire: pairs with slots_publish(). */
		.slots = atomic_load_explicit(&mmu->slots, memory_order_acquire),
		.out = out,
		.was_bugged = bug_is_set(mmu->config.bug),
		/* Whoever has published something and is not done yet holds it. */
		.changing = spin_is_locked(&mmu->slots_lock),
	};
}

/* Every live header was reached from a root, and none is between two states. */
static void audit_headers(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;
	uint64_t live = 0;

	for (size_t n = 0; n < mmu->config.pool->page_count; n++) {
		const struct table *table = &mmu->tables[n];

		live += table->state != TABLE_NONE;
		FOUND(audit,
		      table->state != TABLE_NONE &&
			      (table->state != TABLE_LINKED || table->seen != audit->stamp),
		      RULE_I5, .view = role_view(table->role), .level = role_level(table->role),
		      .has_gfn = true, .gfn = table->gfn.v,
		      .text = "a live table that no root leads to");
	}
	FOUND(audit, live != mmu->stats.tables, RULE_I5,
	      .text = "the number of tables is not what was counted");
}

/* The slots' own: rmaps, and pages that are elsewhere. */
static void audit_slots(struct audit *audit)
{
	struct rmap *rmap = &audit->mmu->rmap;

	for (unsigned int id = 0; id < MEMSLOTS_MAX; id++) {
		for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
			uint64_t index = 0;

			(void)audit_rmap(audit, id, level, &index);
		}
	}
	DATA_FOUND(audit, audit->out->rmap_entries != rmap->entry_count, RULE_I1,
		   .text = "the number of rmap entries is not what was counted");
	DATA_FOUND(audit, audit->lines != rmap->line_count, RULE_I2,
		   .text = "the number of lines in chains is not what was counted");
	for (unsigned int id = 0; id < MEMSLOTS_MAX; id++) {
		uint64_t index = 0;

		(void)audit_backing(audit, id, &index);
	}
}

/* All of it, with the lock or on a bugged partition. */
static void audit_whole(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;

	/* 0 is what a new table has, so it is never a mark. */
	mmu->audit_stamp = mmu->audit_stamp == UINT8_MAX ? 1 : (uint8_t)(mmu->audit_stamp + 1);
	audit->stamp = mmu->audit_stamp;
	audit->whole = true;
	audit->left = UINT64_MAX;
	if (audit_slots_order(audit)) {
		(void)audit_roots(audit);
		audit_headers(audit);
		audit_slots(audit);
		audit_slots_shape(audit);
		audit_at_rest(audit);
	}
}

/* See mmu.h. As long as the tables, heads and mapped frames; holds the lock all the time. */
uint64_t mmu_audit(struct mmu *mmu, struct mmu_audit *out)
{
	struct mmu_look look = mmu_look_begin(mmu);
	struct audit audit = audit_start(mmu, out);

	audit.by_frame = true;
	audit_whole(&audit);
	mmu_look_end(look);
	return out->violations;
}

/* What a phase looks at, one after the other: pages of the pool, slots and levels, slots. */
static uint64_t phase_places(const struct audit *audit, unsigned int phase)
{
	switch (phase) {
	case PHASE_TABLES:
		return audit->mmu->config.pool->next;
	case PHASE_RMAP:
		return MEMSLOTS_MAX * SPTE_LEAF_LEVELS;
	case PHASE_BACKING:
		return MEMSLOTS_MAX;
	default:
		return 1;
	}
}

/* One place of a phase from cursor->index on; false when the budget ran out in it. */
static bool audit_place(struct audit *audit, struct mmu_audit_cursor *cursor)
{
	unsigned int place = (unsigned int)cursor->place;

	audit_spend(audit, 1);
	switch (cursor->phase) {
	case PHASE_TABLES:
		return audit_table(audit, &audit->mmu->tables[place], &cursor->index);
	case PHASE_RMAP:
		return audit_rmap(audit, place / SPTE_LEAF_LEVELS, place % SPTE_LEAF_LEVELS + 1,
				  &cursor->index);
	case PHASE_BACKING:
		return audit_backing(audit, place, &cursor->index);
	default:
		audit_spend(audit, STATE_ENTRIES);
		if (audit_roots(audit)) {
			audit_slots_shape(audit);
			audit_at_rest(audit);
		}
		return true;
	}
}

/* To the next place, of this phase or the next one; true when that ends a pass. */
static bool cursor_advance(const struct audit *audit, struct mmu_audit_cursor *cursor)
{
	cursor->index = 0;
	cursor->place++;
	if (cursor->place < phase_places(audit, cursor->phase)) {
		return false;
	}
	cursor->place = 0;
	cursor->phase = (cursor->phase + 1) % PHASE_COUNT;
	cursor->passes += cursor->phase == 0;
	return cursor->phase == 0;
}

/* See mmu.h. The lock is held for about `budget` entries, or for what cannot be divided. */
bool mmu_audit_step(struct mmu *mmu, struct mmu_audit_cursor *cursor, unsigned int budget,
		    struct mmu_audit *out)
{
	struct mmu_held held;
	struct audit audit;
	bool done = false;

	*out = (struct mmu_audit){ 0 };
	if (bug_is_set(mmu->config.bug)) {
		return false;
	}
	held = mmu_lock(mmu);
	audit = audit_start(mmu, out);
	budget = MAX(budget, BUDGET_MIN);
	audit.left = budget;
	/* Whatever it says, the cursor leads nowhere but to what is there now. */
	if (cursor->phase >= PHASE_COUNT || cursor->place >= phase_places(&audit, cursor->phase)) {
		cursor->phase = cursor->phase % PHASE_COUNT;
		cursor->place = 0;
		cursor->index = 0;
	}
	if (audit_slots_order(&audit)) {
		while (!done && audit.left > 0 && audit_place(&audit, cursor)) {
			done = cursor_advance(&audit, cursor);
		}
	}
	cursor->entries += budget - audit.left;
	cursor->violations += out->violations;
	mmu_unlock(held);
	return done;
}

/* See mmu.h. */
const char *mmu_audit_phase(const struct mmu_audit_cursor *cursor)
{
	static const char *const names[PHASE_COUNT] = { "roots and slots", "tables", "rmaps",
							"pages" };

	return names[cursor->phase % PHASE_COUNT];
}

/* See prove.h. */
void mmu_prove_whole(struct mmu *mmu)
{
	struct mmu_audit out;
	struct mmu_held held;
	struct audit audit;

	/* Relaxed: a number for a decision that no order depends on. */
	if (bug_is_set(mmu->config.bug) ||
	    atomic_load_explicit(&mmu->stats.tables, memory_order_relaxed) > PROVE_TABLES_MAX) {
		return;
	}
	held = mmu_lock(mmu);
	audit = audit_start(mmu, &out);
	audit_whole(&audit);
	mmu_unlock(held);
}
