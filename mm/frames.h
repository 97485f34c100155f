/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame table: for each host frame, who owns it and in which state it is (contract,
 * section 5). Machine-owned; the ground truth for I4 and for tear-down. Runs of frames are
 * given out and taken back here; single table pages come from a partition's pool instead.
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
	FRAME_GRANTED,	   /* guest memory of its owner, granted to somebody (later issue) */
	FRAME_QUARANTINED, /* not given out again */
};

/* 0 is the machine; partitions have 1 and up. */
typedef uint16_t owner_t;
#define OWNER_MACHINE 0

struct frame_info {
	owner_t owner;
	enum frame_state state;
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
 * frames_table_size(end) bytes. Then frames_reserve() takes out what is in use.
 */
void frames_init(void *table, pfn_t end, const struct frame_range *ranges, unsigned int count);

/* Marks [start, end) as the hypervisor's; absent frames stay absent. Before any allocation. */
void frames_reserve(pfn_t start, pfn_t end);

/*
 * A run of `count` free frames, zeroed, aligned to `align` frames (a power of two), for
 * `owner` in `state`. -ENOMEM when there is no such run. Takes the frame lock.
 */
int __must_check frames_alloc(size_t count, size_t align, owner_t owner, enum frame_state state,
			      pfn_t *start);

/* Gives [start, start + count) of `owner` back, zeroed. -EINVAL and nothing changed if any is
 * not that owner's. */
int __must_check frames_free(pfn_t start, size_t count, owner_t owner);

/*
 * Tear-down by the table alone (P4): every frame of `owner` becomes free and zeroed. The
 * caller has flushed every translation of that partition on every CPU (I10). Returns how many.
 */
size_t frames_release_owner(owner_t owner);

struct frame_info frame_get(pfn_t frame);

/* True when every frame of [start, start + count) is exactly `info`: I4 of a whole run. */
bool frames_all(pfn_t start, size_t count, struct frame_info info);

/* Compare-and-swap of one frame's owner and state; false when it was not `expected`. */
bool frame_change(pfn_t frame, struct frame_info expected, struct frame_info wanted);

struct frame_stats {
	size_t total; /* all but absent */
	size_t free;
	size_t hypervisor;
	size_t largest_free_run;
};
void frames_stats(struct frame_stats *stats);
/* Frames of `owner`, by a walk of the table. */
size_t frames_count_owner(owner_t owner);

#endif
