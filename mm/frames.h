/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame table: for each host frame, who owns it, in which state it is, and to whom it is
 * granted (contract, section 5). Machine-owned; the ground truth for I4 and for tear-down.
 * Runs of frames are given out and taken back here; single table pages come from a
 * partition's pool instead.
 *
 *     FREE --alloc--> HYPERVISOR, PRIVATE, POOL --free, release--> FREE
 *                           PRIVATE --grant--> GRANTED --revoke--> PRIVATE
 *                           GRANTED, when its owner is released --> QUARANTINED
 *
 * What only looks takes no lock; what changes something takes the frame lock, which every
 * CPU shares. All counts are frames.
 */
#ifndef MM_FRAMES_H
#define MM_FRAMES_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/lock.h"
#include "lib/status.h"

enum frame_state {
	FRAME_ABSENT, /* no RAM, or reserved by the firmware */
	FRAME_FREE,
	FRAME_HYPERVISOR,  /* image, stacks, tables, modules */
	FRAME_PRIVATE,	   /* guest memory of its owner */
	FRAME_POOL,	   /* metadata of its owner */
	FRAME_HELD,	   /* of its owner, for a page that is not there yet: not mapped */
	FRAME_GRANTED,	   /* guest memory of its owner, which `grantee` may map too */
	FRAME_QUARANTINED, /* not given out again */
};

/* 0 is the machine; partitions have 1 to OWNER_MAX. */
typedef uint16_t owner_t;
#define OWNER_MACHINE 0
#define OWNER_MAX 255

struct frame_info {
	owner_t owner;
	enum frame_state state;
	/* Of FRAME_GRANTED only, else 0. Rights are SPTE_READ | SPTE_WRITE | SPTE_EXECUTE. */
	owner_t grantee;
	unsigned int rights;
};

/* A range of RAM for frames_init(), [start, end), page-aligned, sorted, no overlap. */
struct frame_range {
	pfn_t start;
	pfn_t end;
};

/* Bytes that the table needs for frames [0, end). */
size_t frames_table_size(pfn_t end);

/*
 * Starts with every frame of `ranges` free and the rest absent. `table` has
 * frames_table_size(end) bytes, aligned to 8. Then frames_reserve() takes out what is in use.
 */
void frames_init(void *table, pfn_t end, const struct frame_range *ranges, unsigned int count);

/* Marks what is free in [start, end) as the hypervisor's; absent frames stay absent. Takes the
 * frame lock. Before any allocation. */
void frames_reserve(pfn_t start, pfn_t end);

/*
 * A run of `count` free frames, zeroed, aligned to `align` frames (a power of two), for
 * `owner`, in state HYPERVISOR, PRIVATE or POOL. -ENOMEM when there is no such run, -EINVAL
 * for other arguments. One frame is had in a few steps however many holes there are. Takes
 * the frame lock, but not for the zeroing.
 */
int __must_check frames_alloc(size_t count, size_t align, owner_t owner, enum frame_state state,
			      pfn_t *start);

/*
 * Gives [start, start + count) of `owner` back, zeroed. -EINVAL and nothing changed if any is
 * not that owner's, or is granted (revoke first), or quarantined. The caller has flushed every
 * translation of them (I10). Takes the frame lock, but not for the zeroing.
 */
int __must_check frames_free(pfn_t start, size_t count, owner_t owner);

/*
 * Tear-down by the table alone (P4), a slice of it: frames of `owner`, a partition, become
 * free and zeroed, about `budget` of them. *cursor starts at 0 and is UINT64_MAX when all is
 * done. Returns how many were released; 0 is possible before the end, for looking at the
 * frames of others costs budget too. What is not released yet stays the owner's; nothing may
 * be given to it meanwhile.
 *
 * The caller has revoked what `owner` had granted, and flushed every translation of these
 * frames on every CPU (I10). A frame that is granted even so may still be mapped by the
 * grantee: it is quarantined and stays its owner's, so that frames_count_owner() is not 0
 * afterwards. Frames granted to `owner` are not its own: nothing happens to them.
 * Takes the frame lock, but not for the zeroing.
 */
size_t frames_release_slice(owner_t owner, uint64_t *cursor, size_t budget);

/* The same without a bound. Returns how many. */
size_t frames_release_owner(owner_t owner);

/* What the table says about a frame; beyond the table it is absent. No lock. */
struct frame_info frame_get(pfn_t frame);

/* True when every frame of [start, start + count) is exactly `info`. No lock. */
bool frames_all(pfn_t start, size_t count, struct frame_info info);

/*
 * Compare-and-swap of one frame; false when it was not `expected`. Free and absent frames
 * change only by alloc and free, so neither side may be one. Takes the frame lock.
 */
bool frame_change(pfn_t frame, struct frame_info expected, struct frame_info wanted);

/*
 * Compare-and-swap of a run: each frame of [start, start + count) is `owner`'s and private,
 * and from now on `grantee` may map it as well, with at most `rights`, which include reading.
 * The owner keeps all rights. -EPERM when one is not, or is granted already; -EINVAL when
 * owner and grantee are not two partitions, or for wrong rights or no frames: nothing
 * changed. Takes the frame lock for as long as `count` needs: the caller bounds it.
 */
int __must_check frames_grant(pfn_t start, size_t count, owner_t owner, owner_t grantee,
			      unsigned int rights);

/*
 * The way back: each frame is `owner`'s and granted to `grantee`, whatever the rights, and is
 * private again. -EPERM, -EINVAL and the lock as with frames_grant(). The caller has unmapped
 * and flushed them in the grantee (I10), in an invalidation that ends after this.
 */
int __must_check frames_revoke(pfn_t start, size_t count, owner_t owner, owner_t grantee);

struct frame_stats {
	size_t total; /* all but absent */
	size_t free;
	size_t hypervisor;
	size_t quarantined;
	size_t largest_free_run;
};
/* Counts what each frame is, by a walk of the table. No lock: a snapshot of each frame. */
void frames_stats(struct frame_stats *stats);

/* Frames of `owner`, those that it granted too, by a walk of the table. No lock. */
size_t frames_count_owner(owner_t owner);

/* What follows is here for the inline function only; frame_words.h says what it is. */
#define FRAME_BLOCK UINT64_C(512)
#define FRAME_WORD_PRIVATE ((uint32_t)FRAME_PRIVATE << 24)
struct frame_table {
	_Atomic uint32_t *words;
	_Atomic uint32_t *blocks;
	uint64_t end;
};
extern struct frame_table frame_table; /* written by frames_init() only */

/* The rest of frames_may_map(): any run. */
bool frames_may_map_run(pfn_t start, size_t count, owner_t who, unsigned int rights);

/*
 * True when it is seen at once that the run, of 1 or 512 frames, is `who`'s own; false says
 * nothing. No lock.
 */
static inline bool frames_are_private(pfn_t start, size_t count, owner_t who)
{
	uint32_t own = FRAME_WORD_PRIVATE | who;

	if (unlikely(start.v >= frame_table.end)) {
		return false;
	}
	/* Relaxed: a word says who owns a frame; it publishes nothing of its contents. */
	if (count == 1) {
		return atomic_load_explicit(&frame_table.words[start.v], memory_order_relaxed) ==
		       own;
	}
	return count == FRAME_BLOCK && is_aligned(start.v, FRAME_BLOCK) &&
	       atomic_load_explicit(&frame_table.blocks[start.v / FRAME_BLOCK],
				    memory_order_relaxed) == own;
}

/*
 * I4 of a whole run: each frame of [start, start + count) is `who`'s own guest memory (what
 * it granted to others is still its own, with all rights), or granted to `who` with at least
 * `rights`. No lock: on the fault path, where one frame or one aligned block of private ones
 * is nearly everything there is.
 */
static inline bool frames_may_map(pfn_t start, size_t count, owner_t who, unsigned int rights)
{
	return frames_are_private(start, count, who) ||
	       frames_may_map_run(start, count, who, rights);
}

#endif
