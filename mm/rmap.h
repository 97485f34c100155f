/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reverse map: from a slot's gfn (at a leaf's level) to every SPTE that maps it. One head
 * word for each, which holds the common case, one SPTE, by itself. Storage is lazy: a small
 * tree for each slot and level, whose nodes are pages of the pool that come and go with the
 * mappings. Partition-owned. SPTEs are named by their host-physical address.
 *
 *     tree.root                   node                    head
 *     |node page|count| --> ... --> |node page|count| --> |0|                    empty
 *                                                         |address of an SPTE|   one
 *                                                         |chain line      |1|   several
 *     line (64 bytes): |next|sptep|sptep|sptep|0|0|0|0|   only the first line has holes
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "lib/addr.h"
#include "mm/memslot.h"
#include "mm/pool.h"

#define RMAP_CHAIN BIT(0) /* in a head: it points at a chain line */
#define RMAP_LINE_ENTRIES 7

struct rmap_line {
	struct rmap_line *next;
	uint64_t sptep[RMAP_LINE_ENTRIES]; /* filled from the front; 0: free */
};

static_assert(sizeof(struct rmap_line) == 64, "a chain line is a cache line");

/* A link to a node: its page's address and how many of its 512 words are not 0. */
#define RMAP_NODE PAGE_MASK
#define RMAP_COUNT (PAGE_SIZE - 1)
#define RMAP_NODE_BITS 9
#define RMAP_NODE_WORDS 512
#define RMAP_DEPTH_MAX 4

struct rmap_tree {
	uint64_t root;	    /* a link */
	unsigned int depth; /* nodes on the way to a head; 0: closed */
};

/* The node of heads that was last reserved in; forgotten whenever a node goes. */
struct rmap_hint {
	uint64_t key; /* slot id, level, index of the node; 0: none */
	uint64_t *link;
};

struct rmap {
	struct pool *pool;
	struct rmap_hint hint;
	struct rmap_line *spare; /* lines to use, threaded by next */
	uint64_t entry_count;
	uint64_t line_count;				       /* lines in use */
	struct rmap_tree tree[MEMSLOTS_MAX][SPTE_LEAF_LEVELS]; /* [slot id][level - 1] */
};

enum rmap_result {
	RMAP_OK,
	RMAP_NO_MEMORY,
	RMAP_DUPLICATE, /* add: it is there already */
	RMAP_EMPTY,	/* remove: the head is empty */
	RMAP_OTHER,	/* remove: the head holds one SPTE, another one */
	RMAP_MISSING,	/* remove: the chain does not hold it */
	RMAP_TWICE,	/* remove: the chain holds it more than once */
	RMAP_DAMAGED,	/* a pointer that leads out of the pool, or a chain without an end */
};

/* The way to a head, as rmap_find() and rmap_reserve() went it. */
struct rmap_path {
	uint64_t *link[RMAP_DEPTH_MAX]; /* to each node; the last may be empty */
	unsigned int node_count;
	uint64_t *head; /* NULL: there is no storage for it */
};

void rmap_init(struct rmap *rmap, struct pool *pool);

/* Sets the trees of a new slot up; closing says whether they were empty, as they must be. */
void rmap_open(struct rmap *rmap, const struct memslot *slot);
bool rmap_close(struct rmap *rmap, unsigned int slot_id);

/* The key in the tree of `level` for a gfn that the slot covers. */
static inline uint64_t rmap_index(const struct memslot *slot, gfn_t frame, unsigned int level)
{
	unsigned int shift = SPTE_INDEX_BITS * (level - 1);

	return (frame.v >> shift) - (slot->gfn.v >> shift);
}

/* RMAP_OK with path->head NULL when there is no storage yet. RMAP_DAMAGED otherwise. */
enum rmap_result rmap_find(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
			   unsigned int level, struct rmap_path *path);

/* The key of a node of heads, for the hint; never 0. */
static inline uint64_t rmap_hint_key(const struct memslot *slot, unsigned int level, uint64_t index)
{
	return (uint64_t)slot->id << 60 | (uint64_t)level << 56 | index >> RMAP_NODE_BITS;
}

static inline uint64_t *rmap_link_node(uint64_t link)
{
	return (uint64_t *)(uintptr_t)(link & RMAP_NODE);
}

enum rmap_result rmap_reserve_slowly(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
				     unsigned int level, struct rmap_path *path);
enum rmap_result rmap_add_slowly(struct rmap *rmap, struct rmap_path *path, hpa_t sptep);

/*
 * As rmap_find(), but makes the head, and sees to it that the next rmap_add() has memory.
 * The path is good for that add only: it may know no more than its last link. Inline is the
 * case of every second fault: the node is the last one's, and the head is empty.
 */
static inline enum rmap_result rmap_reserve(struct rmap *rmap, const struct memslot *slot,
					    gfn_t frame, unsigned int level, struct rmap_path *path)
{
	uint64_t index = rmap_index(slot, frame, level);

	if (likely(rmap->hint.key == rmap_hint_key(slot, level, index))) {
		path->link[0] = rmap->hint.link;
		path->node_count = 1;
		path->head = rmap_link_node(*rmap->hint.link) + (index & (RMAP_NODE_WORDS - 1));
		if (likely(*path->head == 0)) {
			return RMAP_OK;
		}
	}
	return rmap_reserve_slowly(rmap, slot, frame, level, path);
}

/* After rmap_reserve(): cannot run out of memory. Duplicates are refused (I1). */
static inline enum rmap_result rmap_add(struct rmap *rmap, struct rmap_path *path, hpa_t sptep)
{
	if (likely(*path->head == 0)) {
		*path->head = sptep.v;
		*path->link[path->node_count - 1] += 1;
		rmap->entry_count++;
		return RMAP_OK;
	}
	return rmap_add_slowly(rmap, path, sptep);
}

/* Removes one entry, and storage that became empty. Anything but RMAP_OK changed nothing. */
enum rmap_result rmap_remove(struct rmap *rmap, struct rmap_path *path, hpa_t sptep);

/* Reads a head's entries one by one: start with a zeroed cursor. */
struct rmap_cursor {
	const struct rmap_line *line;
	unsigned int next;
	size_t steps;
	bool damaged;
};
bool rmap_next(const struct rmap *rmap, uint64_t head, struct rmap_cursor *cursor, hpa_t *sptep);

/* For injection only: adds without asking whether it is there. */
enum rmap_result rmap_force(struct rmap *rmap, struct rmap_path *path, hpa_t sptep);

#endif
