/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chain's lines: plain functions over one cache line of entries. Who calls them has the
 * head's lock bit, or the MMU lock for writing. Filled from the front, without holes; only
 * the first line of a chain is less than full.
 */
#ifndef MM_RMAP_LINE_H
#define MM_RMAP_LINE_H

#include <assert.h>

#include "lib/bits.h"

#define RMAP_LINE_ENTRIES 7u

struct rmap_line {
	struct rmap_line *next;
	uint64_t sptep[RMAP_LINE_ENTRIES]; /* filled from the front; 0: free */
};

static_assert(sizeof(struct rmap_line) == 64, "a chain line is a cache line");

/* Entries in use: those before the first 0. */
static inline unsigned int rmap_line_used(const struct rmap_line *line)
{
	unsigned int used = 0;

	while (used < RMAP_LINE_ENTRIES && line->sptep[used] != 0) {
		used++;
	}
	return used;
}

/* How often the line holds `sptep`; *where is the index of the last one found. */
static inline unsigned int rmap_line_count(const struct rmap_line *line, uint64_t sptep,
					   unsigned int *where)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < RMAP_LINE_ENTRIES && line->sptep[i] != 0; i++) {
		if (line->sptep[i] == sptep) {
			*where = i;
			count++;
		}
	}
	return count;
}

/* Puts an entry, not 0, at the end; false: the line is full. */
static inline bool rmap_line_insert(struct rmap_line *line, uint64_t sptep)
{
	unsigned int used = rmap_line_used(line);

	if (used == RMAP_LINE_ENTRIES) {
		return false;
	}
	line->sptep[used] = sptep;
	return true;
}

/* Takes the last entry of a line that has one. */
static inline uint64_t rmap_line_pop(struct rmap_line *line)
{
	unsigned int last = rmap_line_used(line) - 1;
	uint64_t sptep = line->sptep[last];

	line->sptep[last] = 0;
	return sptep;
}

/* Takes the entry at `where` of `line` away: the last one of the chain's first line fills it. */
static inline void rmap_line_delete(struct rmap_line *first, struct rmap_line *line,
				    unsigned int where)
{
	uint64_t last = rmap_line_pop(first);

	if (line != first || line->sptep[where] != 0) {
		line->sptep[where] = last;
	}
}

#endif
