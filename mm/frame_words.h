/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the frame table, for frames.c and frame_words.c alone.
 *
 *     words     one a frame         the truth
 *     blocks    one per 512 words   the word that all 512 are, or MIXED
 *
 *      31   30     29..27  26..24  23..16   15..0
 *      0  | clean | rights | state | grantee | owner
 *
 * The one idea: words and blocks are written under the frame lock, and a block says MIXED
 * before the first of its words changes. So one load of a block that is not MIXED is as good
 * as the loads of its 512 words at that instant, for readers that take no lock.
 */
#ifndef MM_FRAME_WORDS_H
#define MM_FRAME_WORDS_H

#include <assert.h>

#include "mm/frames.h"

#define WORD_OWNER ((uint32_t)BITS(15, 0))
#define WORD_GRANTEE ((uint32_t)BITS(23, 16))
#define WORD_STATE ((uint32_t)BITS(26, 24))
#define WORD_RIGHTS ((uint32_t)BITS(29, 27))
#define WORD_CLEAN ((uint32_t)BIT(30)) /* with FREE (or in between): the frame holds zeroes */
#define WORD_MIXED UINT32_MAX	       /* in blocks[] only; bit 31 is in no word */

/* An owner of any value is told from another; a grantee is OWNER_MAX at most. */
static_assert(WORD_OWNER == (owner_t)~0, "owners fill their field");
static_assert(FIELD_GET(WORD_GRANTEE, WORD_GRANTEE) == OWNER_MAX, "grantees fill their field");
static_assert(FIELD_PREP(WORD_STATE, FRAME_PRIVATE) == FRAME_WORD_PRIVATE, "frames_may_map()");
static_assert(FRAME_QUARANTINED <= FIELD_GET(WORD_STATE, WORD_STATE), "states fit");

/* Taken by all that changes words, blocks and the map of free frames (lib/lock.h: its order). */
extern struct spinlock frame_lock;

static inline uint32_t word_make(owner_t owner, enum frame_state state)
{
	return (uint32_t)(FIELD_PREP(WORD_STATE, state) | FIELD_PREP(WORD_OWNER, owner));
}

static inline enum frame_state word_state(uint32_t word)
{
	return (enum frame_state)FIELD_GET(WORD_STATE, word);
}

static inline owner_t word_owner(uint32_t word)
{
	return (owner_t)FIELD_GET(WORD_OWNER, word);
}

/* Relaxed: a word says who owns a frame; it does not publish what the frame holds. */
static inline uint32_t word_get(uint64_t frame)
{
	return atomic_load_explicit(&frame_table.words[frame], memory_order_relaxed);
}

static inline uint32_t block_get(uint64_t frame)
{
	return atomic_load_explicit(&frame_table.blocks[frame / FRAME_BLOCK], memory_order_relaxed);
}

/*
 * The word of `frame`, and as the result the end of the frames from there on that are known
 * to have the same one: at least one frame, at most one block, not beyond `end`.
 */
static inline uint64_t word_run(uint64_t frame, uint64_t end, uint32_t *word)
{
	if (is_aligned(frame, FRAME_BLOCK)) {
		*word = block_get(frame);
		if (*word != WORD_MIXED) {
			return MIN(frame + FRAME_BLOCK, end);
		}
	}
	*word = word_get(frame);
	return frame + 1;
}

/* Says MIXED for every block that has a frame of [start, end). Under the frame lock. */
void blocks_mix(uint64_t start, uint64_t end);

/* Gives every frame of [start, end) the same word. Under the frame lock. */
void words_set(uint64_t start, uint64_t end, uint32_t word);

#endif
