/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames are free: a tree of bits, so that one free frame is found in a few steps and
 * a run in one pass, however many holes there are. It knows numbers only: who owns what is
 * the frame table's business (mm/frames.h). No lock: the frame table's protects it.
 *
 *     level 2    1 bit for 4096 frames    set: one of them is free
 *     level 1    1 bit for 64 frames      set: one of them is free
 *     level 0    1 bit a frame            set: it is free
 *
 * It needs a little more than one bit a frame, whatever is free and whatever is not.
 */
#ifndef MM_FREE_MAP_H
#define MM_FREE_MAP_H

#include "lib/addr.h"

#define FREE_MAP_LEVELS_MAX 11 /* 64 to the 11th is more than any number of frames */

struct free_map {
	uint64_t *level[FREE_MAP_LEVELS_MAX];
	uint64_t words[FREE_MAP_LEVELS_MAX];
	unsigned int level_count;
	uint64_t end; /* frames [0, end) */
};

/* Bytes that the map needs for frames [0, end), a multiple of 8. */
size_t free_map_size(uint64_t end);

/* Starts with no frame free. `memory` has free_map_size(end) bytes, aligned to 8. */
void free_map_init(struct free_map *map, void *memory, uint64_t end);

/* Marks [start, end), inside of the map, as free or as in use. O(length / 64). */
void free_map_mark(struct free_map *map, uint64_t start, uint64_t end, bool is_free);

/* The first free frame at or after `from`, or UINT64_MAX. O(levels). */
uint64_t free_map_next(const struct free_map *map, uint64_t from);

/*
 * The first run of `count` free frames, aligned to `align` frames (a power of two): true, and
 * where it starts. Takes nothing. O(levels) for one frame, else at most two passes of level 0.
 */
bool free_map_find(const struct free_map *map, uint64_t count, uint64_t align, uint64_t *start);

#endif
