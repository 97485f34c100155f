/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Audits in the background. Each partition that runs or is paused has its own cursor and its
 * own budget of CPU time, so that a large one is only slower to get round, and takes nothing
 * from the others; nothing of this is on the way of an exit. The state is machine-owned: a
 * partition that damages itself does not reach it.
 *
 *     partition a  |-|...........|-|...........|-|      SLICE_US of every PERIOD_US
 *     partition b     |-|...........|-|...........|-|   cursors go on where they were
 */
#include "hv/background.h"

#include "arch/x86/tsc.h"

#define PERIOD_US 100000
#define SLICE_US 20
#define STEP_ENTRIES 512 /* between two looks at the clock, and two holds of the MMU lock */

struct background {
	unsigned int start_count; /* the partition's life that the cursor is of */
	uint64_t next;		  /* host TSC */
	struct mmu_audit_cursor cursor;
};

static struct background backgrounds[PARTITIONS_MAX]; /* by id - 1 */

static struct background *background_of(const struct partition_entry *entry)
{
	return &backgrounds[entry->id - 1];
}

/* An injection is left to what must run into it; it has an audit of its own (audit_at). */
static bool may_audit(const struct partition_entry *entry)
{
	return entry->partition && entry->audit_at == UINT64_MAX &&
	       (entry->state == PARTITION_RUNNING || entry->state == PARTITION_PAUSED);
}

/* See background.h. */
void background_audit(struct partition_entry *entry, uint64_t now)
{
	struct background *background = background_of(entry);
	uint64_t start = rdtsc(); /* others may have had their slices since `now` */
	struct mmu_audit audit;
	bool done;

	if (!may_audit(entry) || now < background->next) {
		return;
	}
	if (background->start_count != entry->start_count) {
		*background = (struct background){ .start_count = entry->start_count };
	}
	do {
		done = mmu_audit_step(&entry->partition->mmu, &background->cursor, STEP_ENTRIES,
				      &audit);
	} while (!done && !bug_is_set(&entry->partition->bug) &&
		 rdtsc() - start < tsc_from_us(SLICE_US));
	background->next = rdtsc() + tsc_from_us(PERIOD_US);
	if (bug_is_set(&entry->partition->bug)) {
		partition_ended(entry);
	}
}

/* See background.h. A paused partition does not wake the CPU for it. */
uint64_t background_next(const struct partition_entry *entry)
{
	return entry->state == PARTITION_RUNNING && may_audit(entry) ? background_of(entry)->next
								     : UINT64_MAX;
}

/* See background.h. */
const struct mmu_audit_cursor *background_cursor(const struct partition_entry *entry)
{
	return &background_of(entry)->cursor;
}
