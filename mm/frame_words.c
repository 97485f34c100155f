/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the words of the frame table say, and changes from one owner's state to another:
 * questions, grants, counts. Not how frames come and go (frames.c). Drawing: frame_words.h.
 *
 * Changes are a compare-and-swap of a whole run: all of it is compared under the frame lock,
 * then all of it is written, so there is nothing to undo.
 */
#include "mm/frame_words.h"

#include "mm/spte.h"

static_assert(FIELD_GET(WORD_RIGHTS, WORD_RIGHTS) == SPTE_RIGHTS_ALL, "rights fill their field");

struct frame_table frame_table;

static void block_set(uint64_t frame, uint32_t word)
{
	/* Release: who sees it sees every word that was written before. */
	atomic_store_explicit(&frame_table.blocks[frame / FRAME_BLOCK], word, memory_order_release);
}

/* Says MIXED for every block that has a frame of [start, end). Under the frame lock. */
void blocks_mix(uint64_t start, uint64_t end)
{
	for (uint64_t frame = align_down(start, FRAME_BLOCK); frame < end; frame += FRAME_BLOCK) {
		block_set(frame, WORD_MIXED);
	}
	/* No word is written before the blocks say MIXED. */
	atomic_thread_fence(memory_order_release);
}

static void words_fill(_Atomic uint32_t *words, uint64_t count, uint32_t word)
{
	/* memory: as in page_zero(). Aligned 32-bit stores, so no reader sees half a word. */
	__asm__ volatile("rep stosl" : "+D"(words), "+c"(count) : "a"(word) : "memory");
}

/* Gives every frame of [start, end) the same word. Under the frame lock. */
void words_set(uint64_t start, uint64_t end, uint32_t word)
{
	uint64_t block = align_up(start, FRAME_BLOCK);

	blocks_mix(start, end);
	if (end - start == 1) {
		atomic_store_explicit(&frame_table.words[start], word, memory_order_relaxed);
		return;
	}
	words_fill(&frame_table.words[start], end - start, word);
	for (; range_fits(block, FRAME_BLOCK, end); block += FRAME_BLOCK) {
		block_set(block, word);
	}
}

/* A block at the edge of a run may have become all the same: then it says so again. */
static void block_join(uint64_t frame)
{
	uint64_t start = align_down(frame, FRAME_BLOCK);
	uint32_t word = word_get(start);

	if (!range_fits(start, FRAME_BLOCK, frame_table.end) || block_get(start) != WORD_MIXED) {
		return;
	}
	for (uint64_t i = 1; i < FRAME_BLOCK; i++) {
		if (word_get(start + i) != word) {
			return;
		}
	}
	block_set(start, word);
}

/* True when the bits `mask` of each word of [start, end) are those of `expected`. */
static bool words_are(uint64_t start, uint64_t end, uint32_t mask, uint32_t expected)
{
	uint32_t word;

	while (start < end) {
		start = word_run(start, end, &word);
		if ((word & mask) != expected) {
			return false;
		}
	}
	return true;
}

/* The compare-and-swap of a run; false and nothing changed when one was not `expected`. */
static bool words_change(pfn_t start, size_t count, uint32_t mask, uint32_t expected,
			 uint32_t wanted)
{
	uint64_t end = start.v + count;
	bool same;

	if (!range_fits(start.v, count, frame_table.end)) {
		return false;
	}
	spin_lock(&frame_lock);
	same = words_are(start.v, end, mask, expected);
	if (same) {
		words_set(start.v, end, wanted);
		block_join(start.v);
		block_join(end - 1);
	}
	spin_unlock(&frame_lock);
	return same;
}

static uint32_t granted_word(owner_t owner, owner_t grantee, unsigned int rights)
{
	return word_make(owner, FRAME_GRANTED) | (uint32_t)FIELD_PREP(WORD_GRANTEE, grantee) |
	       (uint32_t)FIELD_PREP(WORD_RIGHTS, rights);
}

static bool is_partition(owner_t owner)
{
	return owner != OWNER_MACHINE && owner <= OWNER_MAX;
}

/* Without reading there is no mapping that both formats can hold. */
static bool is_grant(owner_t owner, owner_t grantee, unsigned int rights)
{
	return is_partition(owner) && is_partition(grantee) && owner != grantee &&
	       (rights & SPTE_READ) && !(rights & ~SPTE_RIGHTS_ALL);
}

/* The word that says `info`, but for WORD_CLEAN; false when there is none. */
static bool info_to_word(struct frame_info info, uint32_t *word)
{
	if (info.state == FRAME_GRANTED) {
		*word = granted_word(info.owner, info.grantee, info.rights);
		return is_grant(info.owner, info.grantee, info.rights);
	}
	*word = word_make(info.owner, info.state);
	return info.owner <= OWNER_MAX && info.state <= FRAME_QUARANTINED && info.grantee == 0 &&
	       info.rights == 0;
}

/* What the table says about a frame; beyond the table it is absent. No lock. */
struct frame_info frame_get(pfn_t frame)
{
	uint32_t word = frame.v < frame_table.end ? word_get(frame.v) : 0;

	return (struct frame_info){ .owner = word_owner(word),
				    .state = word_state(word),
				    .grantee = (owner_t)FIELD_GET(WORD_GRANTEE, word),
				    .rights = (unsigned int)FIELD_GET(WORD_RIGHTS, word) };
}

/* True when every frame of [start, start + count) is exactly `info`. No lock. */
bool frames_all(pfn_t start, size_t count, struct frame_info info)
{
	uint32_t expected;

	return info_to_word(info, &expected) && range_fits(start.v, count, frame_table.end) &&
	       words_are(start.v, start.v + count, ~WORD_CLEAN, expected);
}

/* I4 of one word: see frames_may_map(). */
static bool word_allows(uint32_t word, owner_t who, unsigned int rights)
{
	enum frame_state state = word_state(word);

	if (state != FRAME_PRIVATE && state != FRAME_GRANTED) {
		return false;
	}
	if (word_owner(word) == who) {
		return true;
	}
	return state == FRAME_GRANTED && FIELD_GET(WORD_GRANTEE, word) == who &&
	       !(rights & ~FIELD_GET(WORD_RIGHTS, word));
}

/* frames_may_map() for any run. A word like the one before it needs one comparison. No lock. */
bool frames_may_map_run(pfn_t start, size_t count, owner_t who, unsigned int rights)
{
	uint32_t allowed = FRAME_WORD_PRIVATE | who;
	uint64_t frame = start.v;
	uint32_t word;

	if (!range_fits(start.v, count, frame_table.end)) {
		return false;
	}
	while (frame < start.v + count) {
		frame = word_run(frame, start.v + count, &word);
		if (word != allowed && !word_allows(word, who, rights)) {
			return false;
		}
		allowed = word;
	}
	return true;
}

/*
 * Compare-and-swap of one frame; false when it was not `expected`. Free and absent frames
 * change only by alloc and free, so neither side may be one. Takes the frame lock.
 */
bool frame_change(pfn_t frame, struct frame_info expected, struct frame_info wanted)
{
	uint32_t old;
	uint32_t new;

	return info_to_word(expected, &old) && info_to_word(wanted, &new) &&
	       expected.state > FRAME_FREE && wanted.state > FRAME_FREE &&
	       words_change(frame, 1, UINT32_MAX, old, new);
}

/*
 * Each frame of [start, start + count) is `owner`'s and private; from now on `grantee` may map
 * it as well, with at most `rights`. -EPERM when one is not, -EINVAL for what can be no grant:
 * nothing changed. Takes the frame lock; O(count).
 */
int frames_grant(pfn_t start, size_t count, owner_t owner, owner_t grantee, unsigned int rights)
{
	if (count == 0 || !is_grant(owner, grantee, rights)) {
		return -EINVAL;
	}
	return words_change(start, count, UINT32_MAX, word_make(owner, FRAME_PRIVATE),
			    granted_word(owner, grantee, rights))
		       ? 0
		       : -EPERM;
}

/*
 * Each frame is `owner`'s and granted to `grantee`, whatever the rights, and is private again.
 * -EPERM, -EINVAL as above. The caller has unmapped and flushed them in the grantee (I10).
 * Takes the frame lock; O(count).
 */
int frames_revoke(pfn_t start, size_t count, owner_t owner, owner_t grantee)
{
	if (count == 0 || !is_grant(owner, grantee, SPTE_READ)) {
		return -EINVAL;
	}
	return words_change(start, count, ~WORD_RIGHTS, granted_word(owner, grantee, 0),
			    word_make(owner, FRAME_PRIVATE))
		       ? 0
		       : -EPERM;
}

/* Counts what each frame is, by a walk of the table. No lock: a snapshot of each frame. */
void frames_stats(struct frame_stats *stats)
{
	size_t count[FRAME_QUARANTINED + 1] = { 0 };
	size_t run = 0;
	size_t largest = 0;
	uint32_t word;

	for (uint64_t frame = 0, next; frame < frame_table.end; frame = next) {
		next = word_run(frame, frame_table.end, &word);
		count[word_state(word)] += next - frame;
		run = word_state(word) == FRAME_FREE ? run + (next - frame) : 0;
		largest = MAX(largest, run);
	}
	*stats = (struct frame_stats){ .total = frame_table.end - count[FRAME_ABSENT],
				       .free = count[FRAME_FREE],
				       .hypervisor = count[FRAME_HYPERVISOR],
				       .quarantined = count[FRAME_QUARANTINED],
				       .largest_free_run = largest };
}

/* Frames of `owner`, those that it granted too, by a walk of the table. No lock. */
size_t frames_count_owner(owner_t owner)
{
	size_t count = 0;
	uint32_t word;

	for (uint64_t frame = 0, next; frame < frame_table.end; frame = next) {
		next = word_run(frame, frame_table.end, &word);
		count += word_owner(word) == owner ? next - frame : 0;
	}
	return count;
}
