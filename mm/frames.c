/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How host frames are given out and come back, zeroed either way. Machine-owned. Not who may
 * map what (frame_words.c), and not an allocator of table pages: those come from a
 * partition's pool. The idea: the words are the truth, the map only finds what is free.
 *
 * A frame on its way in or out is FRAME_HYPERVISOR for the time of its zeroing, which runs
 * without the lock; nobody else touches its word then.
 */
#include "mm/frames.h"

#include "mm/frame_words.h"
#include "mm/free_map.h"
#include "mm/page.h"

/* Looking at a word costs about this part of zeroing a frame. */
#define LOOKS_A_FRAME 64
/* A slice of frames_release_owner(), which has no bound. */
#define RELEASE_BUDGET 4096

struct spinlock frame_lock;
static struct free_map free_map; /* exactly the frames whose state is FRAME_FREE */

static uint64_t block_count(uint64_t end)
{
	return align_up(end, FRAME_BLOCK) / FRAME_BLOCK;
}

static void zero_frames(uint64_t start, uint64_t end)
{
	page_zero(hpa_to_ptr(pfn_to_hpa(pfn(start))), end - start);
}

/* Bytes that the table needs for frames [0, end). */
size_t frames_table_size(pfn_t end)
{
	return free_map_size(end.v) + (end.v + block_count(end.v)) * sizeof(uint32_t);
}

/*
 * Starts with every frame of `ranges` free and the rest absent; `table` holds
 * frames_table_size(end) bytes, aligned to 8. What the frames hold is unknown: they are
 * zeroed when they are first given out.
 */
void frames_init(void *table, pfn_t end, const struct frame_range *ranges, unsigned int count)
{
	spinlock_init(&frame_lock);
	free_map_init(&free_map, table, end.v);
	frame_table.words = (_Atomic uint32_t *)((uintptr_t)table + free_map_size(end.v));
	frame_table.blocks = frame_table.words + end.v;
	frame_table.end = end.v;
	words_set(0, end.v, word_make(OWNER_MACHINE, FRAME_ABSENT));
	for (unsigned int i = 0; i < count; i++) {
		uint64_t start = ranges[i].start.v;
		uint64_t stop = MIN(ranges[i].end.v, end.v);

		if (start < stop) {
			words_set(start, stop, word_make(OWNER_MACHINE, FRAME_FREE));
			free_map_mark(&free_map, start, stop, true);
		}
	}
}

/* The end of the free frames that begin at `frame`, not beyond `end`. */
static uint64_t free_until(uint64_t frame, uint64_t end)
{
	while (frame < end) {
		uint32_t word;
		uint64_t next = word_run(frame, end, &word);

		if (word_state(word) != FRAME_FREE) {
			break;
		}
		frame = next;
	}
	return frame;
}

/* Marks what is free in [start, end) as the hypervisor's. Takes the frame lock. */
void frames_reserve(pfn_t start, pfn_t end)
{
	uint64_t stop = MIN(end.v, frame_table.end);
	uint64_t frame;

	spin_lock(&frame_lock);
	for (frame = free_map_next(&free_map, start.v); frame < stop;
	     frame = free_map_next(&free_map, frame)) {
		uint64_t next = free_until(frame, stop);

		words_set(frame, next, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
		free_map_mark(&free_map, frame, next, false);
		frame = next;
	}
	spin_unlock(&frame_lock);
}

/* Takes [start, end) from FREE to in-between; each word keeps what it says about zeroes. */
static void run_claim(uint64_t start, uint64_t end)
{
	uint32_t word = word_make(OWNER_MACHINE, FRAME_HYPERVISOR);

	free_map_mark(&free_map, start, end, false);
	blocks_mix(start, end);
	for (uint64_t frame = start; frame < end; frame++) {
		uint32_t clean = word_get(frame) & WORD_CLEAN;

		atomic_store_explicit(&frame_table.words[frame], word | clean,
				      memory_order_relaxed);
	}
}

/* Zeroes those frames of a claimed run that are not known to be zero. */
static void run_zero(uint64_t start, uint64_t end)
{
	for (uint64_t frame = start; frame < end; frame++) {
		uint64_t dirty = frame;

		while (frame < end && !(word_get(frame) & WORD_CLEAN)) {
			frame++;
		}
		if (frame > dirty) {
			zero_frames(dirty, frame);
		}
	}
}

/*
 * A zeroed run of `count` free frames, aligned to `align` frames (a power of two), for
 * `owner` in `state`. -ENOMEM when there is none, -EINVAL for a count of 0, an owner above
 * OWNER_MAX or a state that is not given out. Takes the frame lock, but not for the zeroing.
 */
int frames_alloc(size_t count, size_t align, owner_t owner, enum frame_state state, pfn_t *start)
{
	uint64_t first;
	bool found;

	if (count == 0 || align == 0 || (align & (align - 1)) || owner > OWNER_MAX ||
	    (state != FRAME_HYPERVISOR && state != FRAME_PRIVATE && state != FRAME_POOL)) {
		return -EINVAL;
	}
	spin_lock(&frame_lock);
	found = free_map_find(&free_map, count, align, &first);
	if (found) {
		run_claim(first, first + count);
	}
	spin_unlock(&frame_lock);
	if (!found) {
		return -ENOMEM;
	}
	run_zero(first, first + count);
	spin_lock(&frame_lock);
	words_set(first, first + count, word_make(owner, state));
	spin_unlock(&frame_lock);
	*start = pfn(first);
	return 0;
}

/* Scrubs a run that is FRAME_HYPERVISOR for the time of it, then gives it back. */
static void run_release(uint64_t start, uint64_t end)
{
	zero_frames(start, end);
	spin_lock(&frame_lock);
	words_set(start, end, word_make(OWNER_MACHINE, FRAME_FREE) | WORD_CLEAN);
	free_map_mark(&free_map, start, end, true);
	spin_unlock(&frame_lock);
}

/* What may come back from `owner`: what somebody else may map stays, and what is quarantined. */
static bool releasable(uint32_t word, owner_t owner)
{
	enum frame_state state = word_state(word);

	return word_owner(word) == owner && state > FRAME_FREE && state != FRAME_GRANTED &&
	       state != FRAME_QUARANTINED;
}

/* The end of the releasable frames that begin at `frame`, not beyond `end`. */
static uint64_t releasable_until(uint64_t frame, uint64_t end, owner_t owner)
{
	while (frame < end) {
		uint32_t word;
		uint64_t next = word_run(frame, end, &word);

		if (!releasable(word, owner)) {
			break;
		}
		frame = next;
	}
	return frame;
}

/*
 * Gives [start, start + count) of `owner` back, zeroed. -EINVAL and nothing changed when one
 * of the frames is not that owner's, or is granted or quarantined. Takes the frame lock, but
 * not for the zeroing.
 */
int frames_free(pfn_t start, size_t count, owner_t owner)
{
	uint64_t end = start.v + count;
	bool valid;

	if (count == 0 || !range_fits(start.v, count, frame_table.end)) {
		return -EINVAL;
	}
	spin_lock(&frame_lock);
	valid = releasable_until(start.v, end, owner) == end;
	if (valid) {
		words_set(start.v, end, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
	}
	spin_unlock(&frame_lock);
	if (!valid) {
		return -EINVAL;
	}
	run_release(start.v, end);
	return 0;
}

/*
 * What begins at `frame` and is `owner`'s: a run that can be released is claimed, one frame
 * that is still granted is quarantined. Returns the end of it, not beyond `end`.
 */
static uint64_t claim_or_quarantine(uint64_t frame, uint64_t end, owner_t owner, bool *claimed)
{
	uint64_t next;

	spin_lock(&frame_lock);
	next = releasable_until(frame, end, owner);
	*claimed = next > frame;
	if (*claimed) {
		words_set(frame, next, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
	} else {
		uint32_t word = word_get(frame);

		next = frame + 1;
		if (word_owner(word) == owner && word_state(word) == FRAME_GRANTED) {
			words_set(frame, next, word_make(owner, FRAME_QUARANTINED));
		}
	}
	spin_unlock(&frame_lock);
	return next;
}

/*
 * A slice of the tear-down by the table alone (P4): about `budget` frames of `owner`, a
 * partition, become free and zeroed, but the quarantined ones; those that are granted are
 * quarantined. *cursor starts at 0 and is UINT64_MAX at the end. Returns how many, perhaps
 * none. The caller has flushed every translation on every CPU (I10). Takes the frame lock,
 * but not for the zeroing.
 */
size_t frames_release_slice(owner_t owner, uint64_t *cursor, size_t budget)
{
	uint64_t frame = *cursor;
	size_t released = 0;
	size_t looks = 0;

	if (owner == OWNER_MACHINE) {
		frame = frame_table.end;
	}
	while (frame < frame_table.end && released + looks / LOOKS_A_FRAME < MAX(budget, 1)) {
		uint64_t left = MAX(budget, 1) - released;
		uint64_t limit = frame + MIN(left, frame_table.end - frame);
		uint64_t start = frame;
		uint32_t word;
		bool claimed;

		frame = word_run(start, frame_table.end, &word);
		looks++;
		if (word_owner(word) != owner) {
			continue;
		}
		frame = claim_or_quarantine(start, limit, owner, &claimed);
		if (claimed) {
			run_release(start, frame);
			released += frame - start;
		}
	}
	*cursor = frame < frame_table.end ? frame : UINT64_MAX;
	return released;
}

/* All slices of the tear-down, one after the other. Returns how many frames were released. */
size_t frames_release_owner(owner_t owner)
{
	size_t released = 0;
	uint64_t cursor = 0;

	while (cursor != UINT64_MAX) {
		released += frames_release_slice(owner, &cursor, RELEASE_BUDGET);
	}
	return released;
}
