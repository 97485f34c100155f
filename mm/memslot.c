/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memslot arrays: searching one, checking a candidate, and deriving the next array from the
 * last. Nothing here publishes or frees an array; mm/mmu.c does.
 */
#include "mm/memslot.h"

/* The slot that covers `frame`, by bisection, or NULL; on success *hint is its index. */
const struct memslot *memslot_search(const struct memslots *slots, gfn_t frame,
				     _Atomic unsigned int *hint)
{
	unsigned int low = 0;
	unsigned int high = slots->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct memslot *slot = &slots->slot[middle];

		if (memslot_covers(slot, frame)) {
			/* Relaxed: only a guess for the next search. */
			atomic_store_explicit(hint, middle, memory_order_relaxed);
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

/* The first slot of [start, start + count), which does not wrap, or NULL. */
static const struct memslot *first_overlap(const struct memslots *slots, gfn_t start,
					   uint64_t count)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		const struct memslot *slot = &slots->slot[i];

		if (ranges_overlap(start.v, start.v + count, slot->gfn.v,
				   slot->gfn.v + slot->page_count)) {
			return slot;
		}
	}
	return NULL;
}

/* True when a slot shares a gfn with [start, start + count), which does not wrap. */
bool memslots_overlap(const struct memslots *slots, gfn_t start, uint64_t count)
{
	return first_overlap(slots, start, count) != NULL;
}

/*
 * Checks all that can be checked without the frame table (V6): 0, or an error with its
 * message. -EINVAL: not a slot at all; -ERANGE: beyond the guest's or the machine's
 * addresses; -EEXIST: the id or a gfn is taken.
 */
int memslots_check(const struct memslots *slots, const struct memslot_config *config,
		   const struct memslot_limits *limits, struct error_text *error)
{
	const struct memslot *other;

	if (config->id >= MEMSLOTS_MAX) {
		return error_set(error, -EINVAL, "slot %u: ids are 0 to %u", config->id,
				 MEMSLOTS_MAX - 1);
	}
	if (config->flags & ~(uint32_t)MEMSLOT_READ_ONLY) {
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
	if (memslot_by_id(slots, config->id)) {
		return error_set(error, -EEXIST, "slot %u: exists already", config->id);
	}
	other = first_overlap(slots, config->gfn, config->page_count);
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

/* `new` becomes `old` and the slot of `config`, which memslots_check() accepted. */
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
	unsigned int i = 0;

	slot.large[0] = large_range(&slot, 2);
	if (limits->large_1g) {
		slot.large[1] = large_range(&slot, 3);
	}
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		slot.leaf[level - 1] =
			spte_leaf(limits->format, pfn(0), level, memslot_rights(&slot), slot.id);
	}
	for (; i < old->count && old->slot[i].gfn.v < slot.gfn.v; i++) {
		new->slot[i] = old->slot[i];
	}
	new->slot[i] = slot;
	for (; i < old->count; i++) {
		new->slot[i + 1] = old->slot[i];
	}
	new->count = old->count + 1;
	new->generation = old->generation + 1;
	set_positions(new);
}

/* `new` becomes `old` less the slot `id`. */
void memslots_without(struct memslots *new, const struct memslots *old, unsigned int id)
{
	for (unsigned int i = 0; i < old->count; i++) {
		if (old->slot[i].id != id) {
			new->slot[new->count++] = old->slot[i];
		}
	}
	new->generation = old->generation + 1;
	set_positions(new);
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
