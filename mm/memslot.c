/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslot arrays: searching one, checking a candidate, and deriving the next array from the
 * last. Nothing here publishes or frees an array; mm/mmu.c does.
 */
#include "mm/memslot.h"

#include "lib/string.h"

/* See memslot.h. */
const struct memslot *memslot_search(const struct memslots *slots, gfn_t frame)
{
	unsigned int low = 0;
	unsigned int high = slots->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct memslot *slot = &slots->slot[middle];

		if (memslot_covers(slot, frame)) {
			return slot;
		}
		if (frame.v < slot->gfn.v) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return NULL;
}

/* The first slot of [start, start + count), which does not wrap, but not `except`; or NULL. */
static const struct memslot *first_overlap(const struct memslots *slots, gfn_t start,
					   uint64_t count, unsigned int except)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		const struct memslot *slot = &slots->slot[i];

		if (slot->id != except && ranges_overlap(start.v, start.v + count, slot->gfn.v,
							 slot->gfn.v + slot->page_count)) {
			return slot;
		}
	}
	return NULL;
}

/* True when a slot shares a gfn with [start, start + count), which does not wrap. */
bool memslots_overlap(const struct memslots *slots, gfn_t start, uint64_t count)
{
	return first_overlap(slots, start, count, MEMSLOTS_MAX) != NULL;
}

/*
 * Checks all that can be checked without the frame table (V6): 0, or an error with its
 * message. -EINVAL: not a slot at all; -ERANGE: beyond the guest's or the machine's
 * addresses; -EEXIST: the id or a gfn is taken. `replaces`: the slot of that id will go.
 */
int memslots_check(const struct memslots *slots, const struct memslot_config *config,
		   const struct memslot_limits *limits, bool replaces, struct error_text *error)
{
	const struct memslot *other;

	if (config->id >= MEMSLOTS_MAX) {
		return error_set(error, -EINVAL, "slot %u: ids are 0 to %u", config->id,
				 MEMSLOTS_MAX - 1);
	}
	if (config->flags & ~(uint32_t)MEMSLOT_FLAGS) {
		return error_set(error, -EINVAL, "slot %u: unknown flags 0x%x", config->id,
				 config->flags);
	}
	if (config->page_count == 0) {
		return error_set(error, -EINVAL, "slot %u: no pages", config->id);
	}
	if (!range_fits(config->gfn.v, config->page_count, limits->gfn_end)) {
		return error_set(
			error, -ERANGE, "slot %u: gfn " PRIgfn " + 0x%llx pages is beyond 0x%llx",
			config->id, ADDR_ARG(config->gfn), (unsigned long long)config->page_count,
			(unsigned long long)limits->gfn_end);
	}
	if (!range_fits(config->pfn.v, config->page_count, limits->pfn_end)) {
		return error_set(
			error, -ERANGE, "slot %u: pfn " PRIpfn " + 0x%llx pages is beyond 0x%llx",
			config->id, ADDR_ARG(config->pfn), (unsigned long long)config->page_count,
			(unsigned long long)limits->pfn_end);
	}
	if (!replaces && memslot_by_id(slots, config->id)) {
		return error_set(error, -EEXIST, "slot %u: exists already", config->id);
	}
	other = first_overlap(slots, config->gfn, config->page_count,
			      replaces ? config->id : MEMSLOTS_MAX);
	if (other) {
		return error_set(error, -EEXIST, "slot %u: overlaps slot %u at gfn " PRIgfn,
				 config->id, other->id, ADDR_ARG(other->gfn));
	}
	return 0;
}

/* The gfns of a slot that leaves of `level` may cover: whole ones, aligned on both sides. */
static struct memslot_large large_range(const struct memslot *slot, unsigned int level)
{
	uint64_t frames = level_frames(level);
	uint64_t first = align_up(slot->gfn.v, frames);
	uint64_t end = align_down(slot->gfn.v + slot->page_count, frames);

	if (!is_aligned(slot->gfn.v ^ slot->pfn.v, frames) || first >= end) {
		return (struct memslot_large){ gfn(0), 0 };
	}
	return (struct memslot_large){ gfn(first), end - first };
}

static void set_positions(struct memslots *slots)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		slots->position[slots->slot[i].id] = (uint8_t)(i + 1);
	}
}

/* Large pages and the leaves of a slot, by its flags: writes are recorded page by page. */
static void set_leaves(struct memslot *slot, const struct memslot_limits *limits)
{
	bool logged = (slot->flags & MEMSLOT_LOG_DIRTY) != 0;
	unsigned int rights = memslot_rights(slot) & (logged ? ~SPTE_WRITE : SPTE_RIGHTS_ALL);

	if (!logged) {
		slot->large[0] = large_range(slot, 2);
		if (limits->large_1g) {
			slot->large[1] = large_range(slot, 3);
		}
	}
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		slot->leaf[level - 1] = spte_leaf(limits->format, pfn(0), level, rights, slot->id);
	}
}

/* What a new array has beside its slots. */
static void finish(struct memslots *new, const struct memslots *old)
{
	new->generation = old->generation + 1;
	set_positions(new);
	new->limited_views = old->limited_views;
	new->range_count = old->range_count;
	memcpy(new->range, old->range, sizeof(new->range));
}

/*
 * `new` becomes `old` and the slot of `config`, which memslots_check() accepted; a slot of
 * that id in `old` is replaced.
 */
void memslots_with(struct memslots *new, const struct memslots *old,
		   const struct memslot_config *config, const struct memslot_limits *limits)
{
	struct memslot slot = {
		.gfn = config->gfn,
		.page_count = config->page_count,
		.pfn = config->pfn,
		.id = config->id,
		.flags = config->flags,
	};
	bool placed = false;

	set_leaves(&slot, limits);
	for (unsigned int i = 0; i < old->count; i++) {
		if (old->slot[i].id == slot.id) {
			continue;
		}
		if (!placed && old->slot[i].gfn.v > slot.gfn.v) {
			new->slot[new->count++] = slot;
			placed = true;
		}
		new->slot[new->count++] = old->slot[i];
	}
	if (!placed) {
		new->slot[new->count++] = slot;
	}
	finish(new, old);
}

/* `new` becomes `old` less the slot `id`. */
void memslots_without(struct memslots *new, const struct memslots *old, unsigned int id)
{
	for (unsigned int i = 0; i < old->count; i++) {
		if (old->slot[i].id != id) {
			new->slot[new->count++] = old->slot[i];
		}
	}
	finish(new, old);
}

/* `new` becomes `old` with the slot `id` marked as being deleted (V4). */
void memslots_with_invalid(struct memslots *new, const struct memslots *old, unsigned int id)
{
	*new = *old;
	new->generation = old->generation + 1;
	for (unsigned int i = 0; i < new->count; i++) {
		if (new->slot[i].id == id) {
			new->slot[i].flags |= (uint32_t)MEMSLOT_INVALID;
		}
	}
}

/* Appends a range unless it is empty or allows everything; false when there is no room. */
static bool range_append(struct memslots *new, uint64_t start, uint64_t end, uint32_t view,
			 uint32_t rights)
{
	if (start >= end || rights == SPTE_RIGHTS_ALL) {
		return true;
	}
	if (new->range_count == VIEW_RANGES_MAX) {
		return false;
	}
	new->range[new->range_count++] =
		(struct view_range){ gfn(start), end - start, view, rights };
	new->limited_views |= UINT32_C(1) << view;
	return true;
}

/* `new` becomes `old` with `range` laid over what its view had there; false: no room. */
bool memslots_with_range(struct memslots *new, const struct memslots *old,
			 const struct view_range *range)
{
	uint64_t start = range->gfn.v;
	uint64_t end = start + range->page_count;
	bool placed = false;
	bool fits = true;

	*new = *old;
	new->generation = old->generation + 1;
	new->range_count = 0;
	new->limited_views = 0;
	for (unsigned int i = 0; i < old->range_count; i++) {
		const struct view_range *other = &old->range[i];
		uint64_t other_end = other->gfn.v + other->page_count;

		if (other->view != range->view) {
			if (!placed && other->view > range->view) {
				fits &= range_append(new, start, end, range->view, range->rights);
				placed = true;
			}
			fits &= range_append(new, other->gfn.v, other_end, other->view,
					     other->rights);
			continue;
		}
		fits &= range_append(new, other->gfn.v, MIN(other_end, start), other->view,
				     other->rights);
		if (!placed && other_end > start) {
			fits &= range_append(new, start, end, range->view, range->rights);
			placed = true;
		}
		fits &= range_append(new, MAX(other->gfn.v, end), other_end, other->view,
				     other->rights);
	}
	if (!placed) {
		fits &= range_append(new, start, end, range->view, range->rights);
	}
	return fits;
}

/* `new` becomes `old` without the ranges of a view. */
void memslots_without_view(struct memslots *new, const struct memslots *old, unsigned int view)
{
	*new = *old;
	new->generation = old->generation + 1;
	new->limited_views &= ~(UINT32_C(1) << view);
	new->range_count = 0;
	for (unsigned int i = 0; i < old->range_count; i++) {
		if (old->range[i].view != view) {
			new->range[new->range_count++] = old->range[i];
		}
	}
}

/* What a view allows at a gfn, by the ranges alone. */
unsigned int memslots_view_rights(const struct memslots *slots, unsigned int view, gfn_t frame)
{
	for (unsigned int i = 0; i < slots->range_count; i++) {
		const struct view_range *range = &slots->range[i];

		if (range->view == view && frame.v - range->gfn.v < range->page_count) {
			return range->rights;
		}
	}
	return SPTE_RIGHTS_ALL;
}

/* The largest level up to `level` at which no end of a range lies inside the leaf over `frame`. */
unsigned int memslots_view_level(const struct memslots *slots, unsigned int view, gfn_t frame,
				 unsigned int level)
{
	for (unsigned int i = 0; i < slots->range_count; i++) {
		const struct view_range *range = &slots->range[i];
		uint64_t range_end = range->gfn.v + range->page_count;

		while (range->view == view && level > 1) {
			uint64_t first = level_align(frame, level).v;
			uint64_t end = first + level_frames(level);

			if ((range->gfn.v <= first || range->gfn.v >= end) &&
			    (range_end <= first || range_end >= end)) {
				break;
			}
			level--;
		}
	}
	return level;
}
