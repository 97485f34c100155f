/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host frames and their owners. Machine-owned. Not an allocator of table pages: those come
 * from a partition's pool. The idea: the words are the truth, the rest only makes it fast.
 *
 *     words   one a frame        [state | owner]           the truth; changed by CAS
 *     blocks  one per 512 words  the common word, or MIXED    a run is checked by the block
 *     free    sorted ranges      [start, end) ...              a run is found without a scan
 *
 * A frame on its way in or out is FRAME_HYPERVISOR for the time of its zeroing, which runs
 * without the lock. Ranges that do not fit into `free` are found again by a scan.
 */
#include "mm/frames.h"

#include "mm/page.h"

#define WORD_OWNER ((uint32_t)BITS(15, 0))
#define WORD_STATE ((uint32_t)BITS(23, 16))
#define WORD_CLEAN ((uint32_t)BIT(24)) /* with FREE (or in between): the frame holds zeroes */
#define WORD_MIXED UINT32_MAX	       /* in blocks[] only */

#define BLOCK_FRAMES UINT64_C(512)
#define RANGES_MAX 1024

static struct {
	struct spinlock lock;
	_Atomic uint32_t *words;
	_Atomic uint32_t *blocks;
	uint64_t end; /* frames that the table covers: [0, end) */
	struct frame_range free[RANGES_MAX];
	size_t free_count;
	bool ranges_lost; /* a free range did not fit into free[] */
} frames;

static uint32_t word_make(owner_t owner, enum frame_state state)
{
	return (uint32_t)(FIELD_PREP(WORD_STATE, state) | FIELD_PREP(WORD_OWNER, owner));
}

static enum frame_state word_state(uint32_t word)
{
	return (enum frame_state)FIELD_GET(WORD_STATE, word);
}

static owner_t word_owner(uint32_t word)
{
	return (owner_t)FIELD_GET(WORD_OWNER, word);
}

/* Relaxed: a word says who owns a frame; it does not publish what the frame holds. */
static uint32_t word_get(uint64_t frame)
{
	return atomic_load_explicit(&frames.words[frame], memory_order_relaxed);
}

static uint64_t block_count(uint64_t end)
{
	return align_up(end, BLOCK_FRAMES) / BLOCK_FRAMES;
}

static uint32_t block_get(uint64_t frame)
{
	return atomic_load_explicit(&frames.blocks[frame / BLOCK_FRAMES], memory_order_relaxed);
}

static void block_set(uint64_t frame, uint32_t word)
{
	atomic_store_explicit(&frames.blocks[frame / BLOCK_FRAMES], word, memory_order_relaxed);
}

static void words_fill(_Atomic uint32_t *words, uint64_t count, uint32_t word)
{
	/* memory: as in page_zero(). Aligned 32-bit stores, so no reader sees half a word. */
	__asm__ volatile("rep stosl" : "+D"(words), "+c"(count) : "a"(word) : "memory");
}

/* Gives every frame of [start, end) the same word. */
static void words_set(uint64_t start, uint64_t end, uint32_t word)
{
	words_fill(&frames.words[start], end - start, word);
	for (uint64_t frame = start; frame < end;) {
		uint64_t next = MIN(align_down(frame, BLOCK_FRAMES) + BLOCK_FRAMES, end);

		block_set(frame, next - frame == BLOCK_FRAMES ? word : WORD_MIXED);
		frame = next;
	}
}

/* The frames after `frame` that are known to have the same word, at least one. */
static uint64_t same_word_until(uint64_t frame, uint64_t end)
{
	if (is_aligned(frame, BLOCK_FRAMES) && block_get(frame) != WORD_MIXED) {
		return MIN(frame + BLOCK_FRAMES, end);
	}
	return frame + 1;
}

static void zero_frames(uint64_t start, uint64_t end)
{
	page_zero(hpa_to_ptr(pfn_to_hpa(pfn(start))), end - start);
}

/* Puts [start, end) before free[index]; when there is no room a later scan will find it. */
static void range_insert(size_t index, uint64_t start, uint64_t end)
{
	if (frames.free_count == RANGES_MAX) {
		frames.ranges_lost = true;
		return;
	}
	for (size_t i = frames.free_count; i > index; i--) {
		frames.free[i] = frames.free[i - 1];
	}
	frames.free[index] = (struct frame_range){ pfn(start), pfn(end) };
	frames.free_count++;
}

static void range_remove(size_t index)
{
	frames.free_count--;
	for (size_t i = index; i < frames.free_count; i++) {
		frames.free[i] = frames.free[i + 1];
	}
}

/* Takes [start, end), which lies inside free[index], out of it. */
static void range_cut(size_t index, uint64_t start, uint64_t end)
{
	struct frame_range *range = &frames.free[index];
	uint64_t old_end = range->end.v;

	if (start > range->start.v) {
		range->end = pfn(start);
		if (end < old_end) {
			range_insert(index + 1, end, old_end);
		}
	} else if (end < old_end) {
		range->start = pfn(end);
	} else {
		range_remove(index);
	}
}

/* Adds [start, end) and joins it with its neighbours. */
static void range_add(uint64_t start, uint64_t end)
{
	size_t low = 0;
	size_t high = frames.free_count;
	bool joins_before, joins_after;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (frames.free[middle].start.v < start) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	joins_before = low > 0 && frames.free[low - 1].end.v == start;
	joins_after = low < frames.free_count && frames.free[low].start.v == end;
	if (joins_before && joins_after) {
		frames.free[low - 1].end = frames.free[low].end;
		range_remove(low);
	} else if (joins_before) {
		frames.free[low - 1].end = pfn(end);
	} else if (joins_after) {
		frames.free[low].start = pfn(start);
	} else {
		range_insert(low, start, end);
	}
}

/* Makes free[] anew from the words. */
static void ranges_rebuild(void)
{
	uint64_t frame = 0;

	frames.free_count = 0;
	frames.ranges_lost = false;
	while (frame < frames.end) {
		uint64_t start = frame;

		while (frame < frames.end && word_state(word_get(frame)) == FRAME_FREE) {
			frame = same_word_until(frame, frames.end);
		}
		if (frame > start) {
			range_insert(frames.free_count, start, frame);
		} else {
			frame = same_word_until(frame, frames.end);
		}
	}
}

/* First fit; the index of the range and the run's start, or false. */
static bool range_find(uint64_t count, uint64_t align, size_t *index, uint64_t *start)
{
	for (size_t i = 0; i < frames.free_count; i++) {
		uint64_t first = align_up(frames.free[i].start.v, align);

		if (range_fits(first, count, frames.free[i].end.v)) {
			*index = i;
			*start = first;
			return true;
		}
	}
	return false;
}

/* Bytes that the table needs for frames [0, end). */
size_t frames_table_size(pfn_t end)
{
	return (end.v + block_count(end.v)) * sizeof(uint32_t);
}

/*
 * Starts with every frame of `ranges` free and the rest absent; `table` holds
 * frames_table_size(end) bytes. What the frames hold is unknown: they are zeroed when they
 * are first given out.
 */
void frames_init(void *table, pfn_t end, const struct frame_range *ranges, unsigned int count)
{
	spinlock_init(&frames.lock);
	frames.words = (_Atomic uint32_t *)table;
	frames.blocks = frames.words + end.v;
	frames.end = end.v;
	frames.free_count = 0;
	frames.ranges_lost = false;
	words_set(0, end.v, word_make(OWNER_MACHINE, FRAME_ABSENT));
	for (unsigned int i = 0; i < count; i++) {
		uint64_t start = ranges[i].start.v;
		uint64_t stop = MIN(ranges[i].end.v, end.v);

		if (start < stop) {
			words_set(start, stop, word_make(OWNER_MACHINE, FRAME_FREE));
			range_add(start, stop);
		}
	}
}

/* Marks what is free in [start, end) as the hypervisor's. Takes the frame lock. */
void frames_reserve(pfn_t start, pfn_t end)
{
	spin_lock(&frames.lock);
	for (size_t i = 0; i < frames.free_count;) {
		uint64_t first = MAX(start.v, frames.free[i].start.v);
		uint64_t stop = MIN(end.v, frames.free[i].end.v);
		size_t before = frames.free_count;

		if (first >= stop) {
			i++;
			continue;
		}
		words_set(first, stop, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
		range_cut(i, first, stop);
		i += frames.free_count >= before;
	}
	spin_unlock(&frames.lock);
}

/* Takes [start, end) from FREE to in-between; each word keeps what it says about zeroes. */
static void run_claim(uint64_t start, uint64_t end)
{
	uint32_t word = word_make(OWNER_MACHINE, FRAME_HYPERVISOR);

	for (uint64_t frame = start; frame < end; frame++) {
		uint32_t clean = word_get(frame) & WORD_CLEAN;

		atomic_store_explicit(&frames.words[frame], word | clean, memory_order_relaxed);
	}
	for (uint64_t frame = align_down(start, BLOCK_FRAMES); frame < end; frame += BLOCK_FRAMES) {
		block_set(frame, WORD_MIXED);
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
 * `owner` in `state`. -ENOMEM when there is none, -EINVAL for a count of 0 or a state that
 * cannot be given out. Takes the frame lock, but not for the zeroing.
 */
int frames_alloc(size_t count, size_t align, owner_t owner, enum frame_state state, pfn_t *start)
{
	uint64_t first;
	size_t index;
	bool found;

	if (count == 0 || align == 0 || (align & (align - 1)) || state == FRAME_FREE ||
	    state == FRAME_ABSENT) {
		return -EINVAL;
	}
	spin_lock(&frames.lock);
	found = range_find(count, align, &index, &first);
	if (!found && frames.ranges_lost) {
		ranges_rebuild();
		found = range_find(count, align, &index, &first);
	}
	if (found) {
		range_cut(index, first, first + count);
		run_claim(first, first + count);
	}
	spin_unlock(&frames.lock);
	if (!found) {
		return -ENOMEM;
	}
	run_zero(first, first + count);
	words_set(first, first + count, word_make(owner, state));
	*start = pfn(first);
	return 0;
}

/* Scrubs a run that is FRAME_HYPERVISOR for the time of it, then gives it back. */
static void run_release(uint64_t start, uint64_t end)
{
	zero_frames(start, end);
	spin_lock(&frames.lock);
	words_set(start, end, word_make(OWNER_MACHINE, FRAME_FREE) | WORD_CLEAN);
	range_add(start, end);
	spin_unlock(&frames.lock);
}

/*
 * Gives [start, start + count) of `owner` back, zeroed. -EINVAL and nothing changed when one
 * of the frames is not that owner's, or is quarantined. Takes the frame lock.
 */
int frames_free(pfn_t start, size_t count, owner_t owner)
{
	bool valid = count != 0 && range_fits(start.v, count, frames.end);

	spin_lock(&frames.lock);
	for (uint64_t frame = start.v; valid && frame < start.v + count;) {
		uint32_t word = word_get(frame);

		valid = word_owner(word) == owner && word_state(word) > FRAME_FREE &&
			word_state(word) != FRAME_QUARANTINED;
		frame = same_word_until(frame, start.v + count);
	}
	if (valid) {
		words_set(start.v, start.v + count, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
	}
	spin_unlock(&frames.lock);
	if (!valid) {
		return -EINVAL;
	}
	run_release(start.v, start.v + count);
	return 0;
}

static bool releasable(uint64_t frame, owner_t owner)
{
	uint32_t word = word_get(frame);

	return word_owner(word) == owner && word_state(word) != FRAME_QUARANTINED;
}

/*
 * Tear-down by the table alone (P4): every frame of `owner`, a partition, but the
 * quarantined ones becomes free and zeroed. The caller has flushed every translation on
 * every CPU (I10). Returns how many. Takes the frame lock.
 */
size_t frames_release_owner(owner_t owner)
{
	size_t released = 0;
	uint64_t frame = 0;

	if (owner == OWNER_MACHINE) {
		return 0;
	}
	while (frame < frames.end) {
		uint64_t start = frame;

		while (frame < frames.end && releasable(frame, owner)) {
			frame = same_word_until(frame, frames.end);
		}
		if (frame == start) {
			frame = same_word_until(frame, frames.end);
			continue;
		}
		words_set(start, frame, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
		run_release(start, frame);
		released += frame - start;
	}
	return released;
}

/* A frame beyond the table is absent. No lock. */
struct frame_info frame_get(pfn_t frame)
{
	uint32_t word = frame.v < frames.end ? word_get(frame.v) : 0;

	return (struct frame_info){ word_owner(word), word_state(word) };
}

/* True when every frame of [start, start + count) is exactly `info`. No lock (I4). */
bool frames_all(pfn_t start, size_t count, struct frame_info info)
{
	uint32_t expected = word_make(info.owner, info.state);
	uint64_t frame = start.v;

	if (!range_fits(start.v, count, frames.end)) {
		return false;
	}
	if (count == 1) {
		return word_get(frame) == expected;
	}
	while (frame < start.v + count) {
		if ((word_get(frame) & ~WORD_CLEAN) != expected) {
			return false;
		}
		frame = same_word_until(frame, start.v + count);
	}
	return true;
}

/*
 * Compare-and-swap of one frame's owner and state; false when it was not `expected`. Free
 * and absent frames change only by alloc and free, so neither side may be one. No lock.
 */
bool frame_change(pfn_t frame, struct frame_info expected, struct frame_info wanted)
{
	uint32_t old = word_make(expected.owner, expected.state);
	uint32_t new = word_make(wanted.owner, wanted.state);

	if (frame.v >= frames.end || expected.state <= FRAME_FREE || wanted.state <= FRAME_FREE) {
		return false;
	}
	/* Before the word: who sees the new word must not see a block that still says the old. */
	atomic_store_explicit(&frames.blocks[frame.v / BLOCK_FRAMES], WORD_MIXED,
			      memory_order_release);
	return atomic_compare_exchange_strong_explicit(&frames.words[frame.v], &old, new,
						       memory_order_acq_rel, memory_order_relaxed);
}

static size_t count_words(uint32_t mask, uint32_t value)
{
	size_t count = 0;

	for (uint64_t frame = 0; frame < frames.end;) {
		uint64_t next = same_word_until(frame, frames.end);

		count += (word_get(frame) & mask) == value ? next - frame : 0;
		frame = next;
	}
	return count;
}

/* Takes the frame lock for the free ranges; the rest is a walk of the table. */
void frames_stats(struct frame_stats *stats)
{
	size_t absent = count_words(WORD_STATE, word_make(0, FRAME_ABSENT));

	*stats = (struct frame_stats){ .total = frames.end - absent };
	stats->free = count_words(WORD_STATE, word_make(0, FRAME_FREE));
	stats->hypervisor = count_words(WORD_STATE, word_make(0, FRAME_HYPERVISOR));
	spin_lock(&frames.lock);
	for (size_t i = 0; i < frames.free_count; i++) {
		size_t length = frames.free[i].end.v - frames.free[i].start.v;

		stats->largest_free_run = MAX(stats->largest_free_run, length);
	}
	spin_unlock(&frames.lock);
}

/* Frames of `owner`, by a walk of the table. */
size_t frames_count_owner(owner_t owner)
{
	return count_words(WORD_OWNER, word_make(owner, FRAME_ABSENT));
}
