/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames are free, as a tree of bits: see free_map.h for the drawing. A bit of a level
 * above 0 says whether the 64-bit word below it is not zero; that is the whole invariant.
 */
#include "mm/free_map.h"

#define WORD_BITS UINT64_C(64)

static uint64_t words_for(uint64_t bits)
{
	return bits / WORD_BITS + (bits % WORD_BITS != 0);
}

/* Bytes that the map needs for frames [0, end), a multiple of 8. */
size_t free_map_size(uint64_t end)
{
	uint64_t words = words_for(end);
	size_t size = words * sizeof(uint64_t);

	while (words > 1) {
		words = words_for(words);
		size += words * sizeof(uint64_t);
	}
	return size;
}

/* Starts with no frame free. `memory` has free_map_size(end) bytes, aligned to 8. */
void free_map_init(struct free_map *map, void *memory, uint64_t end)
{
	uint64_t *next = memory;
	uint64_t words = words_for(end);

	*map = (struct free_map){ .end = end };
	while (words > 0) {
		map->level[map->level_count] = next;
		map->words[map->level_count] = words;
		map->level_count++;
		for (uint64_t i = 0; i < words; i++) {
			next[i] = 0;
		}
		next += words;
		words = words > 1 ? words_for(words) : 0;
	}
}

/* The bits of word `index` that stand for [start, end), which shares a bit with that word. */
static uint64_t word_mask(uint64_t index, uint64_t start, uint64_t end)
{
	uint64_t low = index * WORD_BITS;
	uint64_t first = start > low ? start - low : 0;
	uint64_t last = MIN(end - low, WORD_BITS) - 1;

	return BITS(last, first);
}

/* Marks [start, end), inside of the map, as free or as in use. O(length / 64). */
void free_map_mark(struct free_map *map, uint64_t start, uint64_t end, bool is_free)
{
	for (unsigned int level = 0; level < map->level_count && start < end; level++) {
		uint64_t *words = map->level[level];
		uint64_t first = start / WORD_BITS;
		uint64_t last = (end - 1) / WORD_BITS;

		for (uint64_t i = first; i <= last; i++) {
			uint64_t mask = word_mask(i, start, end);

			words[i] = is_free ? words[i] | mask : words[i] & ~mask;
		}
		/* In use: a word that has a free frame left, at either end, keeps its bit. */
		start = first + (!is_free && words[first] != 0);
		end = last + 1 - (!is_free && words[last] != 0);
	}
}

/* The first free frame at or after `from`, or UINT64_MAX. O(levels). */
uint64_t free_map_next(const struct free_map *map, uint64_t from)
{
	for (unsigned int level = 0; level < map->level_count; level++) {
		uint64_t index = from / WORD_BITS;
		uint64_t bits;

		if (index >= map->words[level]) {
			break;
		}
		bits = map->level[level][index] & (~UINT64_C(0) << (from % WORD_BITS));
		if (bits == 0) {
			from = index + 1; /* the next word, as a bit of the level above */
			continue;
		}
		from = index * WORD_BITS + (unsigned int)__builtin_ctzll(bits);
		while (level > 0) {
			level--;
			bits = map->level[level][from];
			from = from * WORD_BITS + (unsigned int)__builtin_ctzll(bits);
		}
		return from;
	}
	return UINT64_MAX;
}

/* The lowest frame from which on all of [start, end) is free; `end` when its last is not. */
static uint64_t free_since(const struct free_map *map, uint64_t start, uint64_t end)
{
	while (end > start) {
		uint64_t index = (end - 1) / WORD_BITS;
		uint64_t used = ~map->level[0][index] & word_mask(index, start, end);

		if (used) {
			return (index + 1) * WORD_BITS - (unsigned int)__builtin_clzll(used);
		}
		end = MAX(start, index * WORD_BITS);
	}
	return start;
}

/*
 * The first run of `count` free frames (not 0), aligned to `align` frames (a power of two):
 * true, and where it starts. Takes nothing. A window that does not fit is read from its end,
 * and the next one starts behind the last frame in use: so no frame is read more than twice.
 */
bool free_map_find(const struct free_map *map, uint64_t count, uint64_t align, uint64_t *start)
{
	uint64_t from = free_map_next(map, 0);

	while (from != UINT64_MAX) {
		uint64_t first = align_up(from, align);
		uint64_t since;

		if (first < from || !range_fits(first, count, map->end)) {
			return false;
		}
		since = free_since(map, first, first + count);
		if (since == first) {
			*start = first;
			return true;
		}
		from = free_map_next(map, since);
	}
	return false;
}
