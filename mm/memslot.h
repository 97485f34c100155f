/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslots: which gfns of a partition are memory, which frames back them, and what each view
 * allows there. All of it is one immutable array, sorted by gfn, published by a pointer:
 * readers take no lock, and a change is a new array. Partition-owned, a page of the pool each.
 *
 *     struct memslots   slot[0]      slot[1]           slot[2]
 *     gfns         0 ...|####|.......|##########|......|####|....... 2^36
 *     view 1       .......................|r--|....................   range[0]
 */
#ifndef MM_MEMSLOT_H
#define MM_MEMSLOT_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/status.h"
#include "mm/spte.h"

#define MEMSLOTS_MAX 16

#define VIEW_RANGES_MAX 64

/* Flags of a slot. */
#define MEMSLOT_READ_ONLY BIT(0)
#define MEMSLOT_LOG_DIRTY BIT(1) /* writes are recorded, page by page (dirty.h) */
#define MEMSLOT_ABSENT BIT(2)	 /* its pages are not there until mmu_page_insert() */
#define MEMSLOT_GRANTED BIT(3)	 /* its frames are another partition's, granted to this one */
#define MEMSLOT_FLAGS (MEMSLOT_READ_ONLY | MEMSLOT_LOG_DIRTY | MEMSLOT_ABSENT | MEMSLOT_GRANTED)

/* What the creator of a slot says. */
struct memslot_config {
	unsigned int id; /* 0..15, chosen by the creator */
	gfn_t gfn;
	uint64_t page_count;
	pfn_t pfn;
	uint32_t flags; /* MEMSLOT_... of the above */
};

/* Flags of our own, in struct memslot only. */
#define MEMSLOT_INVALID BIT(31) /* being deleted: no new SPTE (V4) */

/* Frames that leaves of one large level may cover: [first, first + count) in gfns. */
struct memslot_large {
	gfn_t first;
	uint64_t count; /* 0: none of that size fits */
};

struct memslot {
	gfn_t gfn;
	uint64_t page_count;
	pfn_t pfn;
	uint32_t id;
	uint32_t flags;
	struct memslot_large large[SPTE_LEAF_LEVELS - 1]; /* levels 2 and 3 */
	spte_t leaf[SPTE_LEAF_LEVELS]; /* a leaf of this slot by level, but for its pfn */
};

/* The most that a view allows in a range. Sorted by view, then gfn; no overlap in a view. */
struct view_range {
	gfn_t gfn;
	uint64_t page_count;
	uint32_t view;
	uint32_t rights; /* SPTE_READ | WRITE | EXECUTE; 0: hidden */
};

struct memslots {
	uint64_t generation; /* one more with each array (I8) */
	unsigned int count;
	uint8_t position[MEMSLOTS_MAX]; /* by id: index + 1 in slot[], or 0 */
	struct memslot slot[MEMSLOTS_MAX];
	uint32_t limited_views; /* a bit for each view that has ranges */
	unsigned int range_count;
	struct view_range range[VIEW_RANGES_MAX];
};

static_assert(sizeof(struct memslots) <= PAGE_SIZE, "an array of slots is one page");

/* What a slot must keep to. */
struct memslot_limits {
	uint64_t gfn_end; /* gfns that the tables and the guest can reach */
	uint64_t pfn_end;
	bool large_1g;
	const struct spte_format *format;
};

/* True when the slots are not all that decides in `view`. Mostly no view is limited. */
static inline bool view_is_limited(const struct memslots *slots, unsigned int view)
{
	return unlikely(slots->limited_views) && (slots->limited_views >> view & 1);
}

static inline bool memslot_covers(const struct memslot *slot, gfn_t frame)
{
	return frame.v - slot->gfn.v < slot->page_count;
}

/* The frame behind a gfn that the slot covers. */
static inline pfn_t memslot_pfn(const struct memslot *slot, gfn_t frame)
{
	return pfn(slot->pfn.v + (frame.v - slot->gfn.v));
}

/* Most that a leaf of this slot may allow. */
static inline unsigned int memslot_rights(const struct memslot *slot)
{
	return slot->flags & MEMSLOT_READ_ONLY ? SPTE_READ | SPTE_EXECUTE : SPTE_RIGHTS_ALL;
}

/*
 * The leaf that maps `frame`, aligned to the level, with what a clean page of the slot allows:
 * where writes are recorded it is not writable.
 */
static inline spte_t memslot_leaf(const struct memslot *slot, gfn_t frame, unsigned int level)
{
	return (spte_t){ slot->leaf[level - 1].v | pfn_to_hpa(memslot_pfn(slot, frame)).v };
}

/* The largest level whose leaf over `frame` stays in the slot and is aligned in both (I12). */
static inline unsigned int memslot_level(const struct memslot *slot, gfn_t frame)
{
	unsigned int level = SPTE_LEAF_LEVELS;

	while (level > 1 &&
	       frame.v - slot->large[level - 2].first.v >= slot->large[level - 2].count) {
		level--;
	}
	return level;
}

/* memslot_level() is at least `level`, for who asks for one level only. */
static inline bool memslot_has_level(const struct memslot *slot, gfn_t frame, unsigned int level)
{
	return level == 1 ||
	       frame.v - slot->large[level - 2].first.v < slot->large[level - 2].count;
}

/* The slot of an id, or NULL. */
static inline const struct memslot *memslot_by_id(const struct memslots *slots, unsigned int id)
{
	unsigned int position = id < MEMSLOTS_MAX ? slots->position[id] : 0;

	return position - 1 < slots->count ? &slots->slot[position - 1] : NULL;
}

/* The slot that covers `frame`, by bisection, or NULL. */
const struct memslot *memslot_search(const struct memslots *slots, gfn_t frame);

/*
 * The same for who has looked before: `hint`, of the caller alone, remembers the last find;
 * any value is safe.
 */
static inline const struct memslot *memslot_find(const struct memslots *slots, gfn_t frame,
						 unsigned int *hint)
{
	const struct memslot *slot;

	if (likely(*hint < slots->count && memslot_covers(&slots->slot[*hint], frame))) {
		return &slots->slot[*hint];
	}
	slot = memslot_search(slots, frame);
	if (slot) {
		*hint = (unsigned int)(slot - slots->slot);
	}
	return slot;
}

/* True when a slot shares a gfn with [start, start + count). */
bool memslots_overlap(const struct memslots *slots, gfn_t start, uint64_t count);

/* 0, or why `config` cannot join `slots`; touches nothing. Frames' owners are not checked. */
int __must_check memslots_check(const struct memslots *slots, const struct memslot_config *config,
				const struct memslot_limits *limits, bool replaces,
				struct error_text *error);

/* Fills `new` (a zeroed page) from `old` with a slot more or replaced, less, or marked: cannot
 * fail. */
void memslots_with(struct memslots *new, const struct memslots *old,
		   const struct memslot_config *config, const struct memslot_limits *limits);
void memslots_without(struct memslots *new, const struct memslots *old, unsigned int id);
void memslots_with_invalid(struct memslots *new, const struct memslots *old, unsigned int id);

/* Rights of a view in [start, start + count): false when `new` has no room for the ranges. */
bool __must_check memslots_with_range(struct memslots *new, const struct memslots *old,
				      const struct view_range *range);
/* Without the ranges of a view. */
void memslots_without_view(struct memslots *new, const struct memslots *old, unsigned int view);

/* What a view with ranges allows at a gfn, and the largest level <= `level` where all under a
 * leaf there is allowed alike. */
unsigned int memslots_view_rights(const struct memslots *slots, unsigned int view, gfn_t frame);
unsigned int memslots_view_level(const struct memslots *slots, unsigned int view, gfn_t frame,
				 unsigned int level);

#endif
