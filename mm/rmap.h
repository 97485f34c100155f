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
 *
 * Entries are added with the MMU lock shared: nodes by compare-and-swap, a head by the same
 * while it is empty, else under its lock bit. They are removed with it held for writing.
 */
#ifndef MM_RMAP_H
#define MM_RMAP_H

#include "lib/addr.h"
#include "lib/lock.h"
#include "mm/memslot.h"
#include "mm/pool.h"
#include "mm/rmap_line.h"

#define RMAP_CHAIN BIT(0)  /* in a head: it points at a chain line */
#define RMAP_LOCKED BIT(1) /* in a head: somebody adds to it */

/* A link to a node: its page's address and how many of its 512 words are not 0. */
#define RMAP_NODE PAGE_MASK
#define RMAP_COUNT (PAGE_SIZE - 1)
#define RMAP_NODE_BITS 9
#define RMAP_NODE_WORDS 512
#define RMAP_DEPTH_MAX 4

typedef _Atomic uint64_t rmap_word_t; /* a head or a link */

struct mmu_cache;

struct rmap_tree {
	rmap_word_t root;   /* a link */
	unsigned int depth; /* nodes on the way to a head; 0: closed */
};

/* The node of heads that its owner last reserved in; void when a node has gone since. */
struct rmap_hint {
	uint64_t key; /* slot id, level, index of the node; 0: none */
	uint64_t generation;
	rmap_word_t *link;
};

struct rmap {
	struct pool *pool;
	_Atomic uint64_t generation; /* one more whenever a node goes */
	struct spinlock spare_lock;
	struct rmap_line *spare; /* lines to use, threaded by next; under spare_lock */
	_Atomic uint64_t entry_count;
	_Atomic uint64_t line_count;			       /* lines in chains */
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
	rmap_word_t *link[RMAP_DEPTH_MAX]; /* to each node; the last may be empty */
	unsigned int node_count;
	rmap_word_t *head; /* NULL: there is no storage for it */
};

void rmap_init(struct rmap *rmap, struct pool *pool);

/* Sets the trees of a new slot up; closing says whether they were empty, as they must be.
 * Nobody adds to or reads from that slot's trees meanwhile. */
void rmap_open(struct rmap *rmap, const struct memslot *slot);
bool rmap_close(struct rmap *rmap, unsigned int slot_id);

/* A zeroed line that is in no chain, or NULL; and back. Take the lock of spare lines. */
struct rmap_line *rmap_line_take(struct rmap *rmap);
void rmap_line_give(struct rmap *rmap, struct rmap_line *line);

/* The key in the tree of `level` for a gfn that the slot covers. */
static inline uint64_t rmap_index(const struct memslot *slot, gfn_t frame, unsigned int level)
{
	unsigned int shift = SPTE_INDEX_BITS * (level - 1);

	return (frame.v >> shift) - (slot->gfn.v >> shift);
}

/* The key of a node of heads, for hints; never 0. */
static inline uint64_t rmap_hint_key(const struct memslot *slot, unsigned int level, uint64_t index)
{
	return (uint64_t)slot->id << 60 | (uint64_t)level << 56 | index >> RMAP_NODE_BITS;
}

/* Acquire: pairs with the stores that link a node or release a head. */
static inline uint64_t rmap_word_get(const rmap_word_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

/* RMAP_OK with path->head NULL when there is no storage yet. RMAP_DAMAGED otherwise. */
enum rmap_result rmap_find(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
			   unsigned int level, struct rmap_path *path);

/*
 * As rmap_find(), but makes the head, and sees to it that the next rmap_add() has memory:
 * pages and a line of `cache`. The path is good for that add only: it may know no more than
 * its last link.
 */
enum rmap_result rmap_reserve(struct rmap *rmap, struct mmu_cache *cache,
			      const struct memslot *slot, gfn_t frame, unsigned int level,
			      struct rmap_path *path);

/* After rmap_reserve() with the same cache. Duplicates are refused (I1). Anything but RMAP_OK
 * changed nothing. */
enum rmap_result rmap_add(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
			  hpa_t sptep);

/*
 * Both in one, for the case of nearly every fault: the node is the one of `hint`, and the
 * head is empty. False and nothing changed when it is another case.
 */
static inline bool rmap_add_hinted(struct rmap *rmap, const struct rmap_hint *hint,
				   const struct memslot *slot, gfn_t frame, unsigned int level,
				   hpa_t sptep)
{
	uint64_t index = rmap_index(slot, frame, level);
	uint64_t empty = 0;
	rmap_word_t *node;

	if (hint->key != rmap_hint_key(slot, level, index) ||
	    hint->generation != atomic_load_explicit(&rmap->generation, memory_order_relaxed)) {
		return false;
	}
	node = (rmap_word_t *)(uintptr_t)(rmap_word_get(hint->link) & RMAP_NODE);
	if (!atomic_compare_exchange_strong_explicit(&node[index & (RMAP_NODE_WORDS - 1)], &empty,
						     sptep.v, memory_order_acq_rel,
						     memory_order_relaxed)) {
		return false;
	}
	atomic_fetch_add_explicit(hint->link, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&rmap->entry_count, 1, memory_order_relaxed);
	return true;
}

/* Removes one entry, and storage that became empty. Anything but RMAP_OK changed nothing. The
 * MMU lock is held for writing. */
enum rmap_result rmap_remove(struct rmap *rmap, struct rmap_path *path, hpa_t sptep);

/* Reads a head's entries one by one: start with a zeroed cursor. MMU lock held for writing. */
struct rmap_cursor {
	const struct rmap_line *line;
	unsigned int next;
	size_t steps;
	bool damaged;
};
bool rmap_next(const struct rmap *rmap, uint64_t head, struct rmap_cursor *cursor, hpa_t *sptep);

/* For injection only: adds without asking whether it is there. */
enum rmap_result rmap_force(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
			    hpa_t sptep);

#endif
