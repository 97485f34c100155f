/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Role exhaust: wants more metadata than its partition's pool has. Its slot is logged (leaves
 * of 4 KiB only) and it has several views, so each of them needs a table for every 2 MiB; and
 * each next page that it touches is in another table, so what the hypervisor takes away is
 * always needed again.
 *
 *     round --> page of a table --> view --> table          the last changes fastest
 *
 * Each page holds a stamp of its address and of how often it was written. A round compares
 * and writes every page in every view; afterwards the dirty log must have every page.
 *
 * Options: views=N (8, at most 8), rounds=N (1).
 */
#include "lib/string.h"
#include "tests/guests/calls/calls.h"
#include "tests/guests/common/guest.h"

#define TABLE_SPAN (2 * MIB)
#define TABLE_PAGES 512
#define VIEWS_MAX 8

/* The pages that it touches: whole tables. */
struct area {
	uint64_t start, end;
	uint64_t wrong;
};

static uint64_t dirty_bits[BULKHEAD_DIRTY_MAX / 64] __attribute__((aligned(8)));

/* Memory is zero at first. */
static uint64_t stamp(uint64_t address, uint64_t written)
{
	return written ? (address + written) * UINT64_C(0x9e3779b97f4a7c15) : 0;
}

/* Compares a page that was written so often, and writes it once more: in one access. */
static void touch(struct area *area, uint64_t page, uint64_t written)
{
	uint64_t address = page + (page >> PAGE_SHIFT) % 512 * 8; /* another word in each */
	uint64_t found = stamp(address, written + 1);

	asm volatile("xchg %0, %1" : "+r"(found), "+m"(*(volatile uint64_t *)address));
	if (found != stamp(address, written) && area->wrong++ == 0) {
		print("calls: 0x%llx holds 0x%llx after %llu writes\n", (unsigned long long)address,
		      (unsigned long long)found, (unsigned long long)written);
	}
}

/* Every page in every view; each was written `written` times before. */
static void touch_all(struct area *area, unsigned int views, uint64_t written)
{
	for (uint64_t i = 0; i < TABLE_PAGES; i++) {
		for (unsigned int view = 0; view < views; view++) {
			(void)call(BULKHEAD_VIEW_SWITCH, view, 0, 0, 0);
			for (uint64_t at = area->start; at < area->end; at += TABLE_SPAN) {
				touch(area, at + i * PAGE_SIZE, written + view);
			}
		}
	}
}

/* How many of the area's pages are not in the log; it takes them all. */
static uint64_t missing_from_log(const struct area *area, const struct bulkhead_slot *slot)
{
	uint64_t page = area->start >> PAGE_SHIFT;
	uint64_t missing = 0;

	while (page < area->end >> PAGE_SHIFT) {
		uint64_t count = MIN((area->end >> PAGE_SHIFT) - page, BULKHEAD_DIRTY_MAX);

		memset(dirty_bits, 0, sizeof(dirty_bits));
		if (call(BULKHEAD_DIRTY_TAKE, slot->id, page - slot->gfn, count,
			 (uintptr_t)dirty_bits) < 0) {
			return UINT64_MAX;
		}
		for (uint64_t i = 0; i < count; i++) {
			missing += !(dirty_bits[i / 64] >> (i % 64) & 1);
		}
		page += count;
	}
	return missing;
}

/*
 * What needs memory of the pool has it, although mappings took all there is: a page of each
 * table goes and comes again, a view gets a range, a new log starts.
 */
static void change_things(const struct area *area, const struct bulkhead_slot *slot)
{
	int64_t tables = (int64_t)((area->end - area->start) / TABLE_SPAN);
	int64_t given = 0;
	int64_t taken = 0;

	for (uint64_t at = area->start; at < area->end; at += TABLE_SPAN) {
		given += call(BULKHEAD_BALLOON_GIVE, at >> PAGE_SHIFT, 1, 0, 0);
	}
	for (uint64_t at = area->start; at < area->end; at += TABLE_SPAN) {
		taken += call(BULKHEAD_BALLOON_TAKE, at >> PAGE_SHIFT, 1, 0, 0);
	}
	expect("exhausted: give", given, tables);
	expect("exhausted: take", taken, tables);
	expect("exhausted: protect",
	       call(BULKHEAD_VIEW_PROTECT, 1, area->start >> PAGE_SHIFT, 1, BULKHEAD_READ), 0);
	expect("exhausted: log off", call(BULKHEAD_SLOT_LOG, slot->id, 0, 0, 0), 0);
	expect("exhausted: log on", call(BULKHEAD_SLOT_LOG, slot->id, 1, 0, 0), 0);
}

void exhaust(void)
{
	struct area area = { align_up((uintptr_t)image_end, TABLE_SPAN),
			     align_down(guest_boot.ram_end, TABLE_SPAN), 0 };
	uint64_t views = VIEWS_MAX;
	uint64_t rounds = 1;
	struct bulkhead_slot slot;

	option_u64("views", &views);
	option_u64("rounds", &rounds);
	views = MIN(MAX(views, 1u), (uint64_t)VIEWS_MAX);
	expect("slot", find_slot(&slot), 0);
	expect("log on", call(BULKHEAD_SLOT_LOG, slot.id, 1, 0, 0), 0);
	for (uint64_t view = 1; view < views; view++) {
		expect("view create", call(BULKHEAD_VIEW_CREATE, view, 0, 0, 0), 0);
	}
	for (uint64_t round = 0; round < rounds; round++) {
		touch_all(&area, (unsigned int)views, round * views);
		expect("round: wrong pages", (int64_t)area.wrong, 0);
		expect("round: not in the log", (int64_t)missing_from_log(&area, &slot), 0);
	}
	change_things(&area, &slot);
	expect("view back", call(BULKHEAD_VIEW_SWITCH, 0, 0, 0, 0), (int64_t)views - 1);
	expect("log off", call(BULKHEAD_SLOT_LOG, slot.id, 0, 0, 0), 0);
	for (uint64_t view = 1; view < views; view++) {
		expect("view destroy", call(BULKHEAD_VIEW_DESTROY, view, 0, 0, 0), 0);
	}
}
