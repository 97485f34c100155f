/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions to a slot's linear backing; see the drawing in backing.h. Only node addresses
 * inside the pool are followed, so that damage stays damage.
 */
#include "mm/backing.h"

#define NODE_WORDS 512u
#define NODE_BITS 9u
#define NODE_DEPTH BACKING_NODES /* levels of nodes: 1 GiB, 2 MiB, and pages */
#define LINK_NODE PAGE_MASK
#define LINK_COUNT (PAGE_SIZE - 1) /* in the link to a node of pages: those not the slot's own */

typedef _Atomic uint64_t word_t;

/*
 * The key of a page: its place among the slot's frames, with the frames' own alignment to
 * 1 GiB. Where a large leaf is possible, gfn and key are aligned alike (I12).
 */
static uint64_t key_of(const struct memslot *slot, gfn_t page)
{
	return (page.v - slot->gfn.v) + (slot->pfn.v & (level_frames(3) - 1));
}

static unsigned int word_index(uint64_t key, unsigned int depth)
{
	return (unsigned int)(key >> (NODE_BITS * (depth - 1))) & (NODE_WORDS - 1);
}

static word_t *node_of(uint64_t link)
{
	return (word_t *)(uintptr_t)(link & LINK_NODE);
}

static uint64_t word_get(const word_t *word)
{
	/* Acquire: pairs with the store that links a node. */
	return atomic_load_explicit(word, memory_order_acquire);
}

/* What a page is that has no word of its own. */
static bool absent_by_default(const struct memslot *slot)
{
	return (slot->flags & MEMSLOT_ABSENT) != 0;
}

static bool word_is_linear(const struct memslot *slot, uint64_t word)
{
	return word == BACKING_LINEAR || (word == BACKING_DEFAULT && !absent_by_default(slot));
}

/* The link to the node that covers `key` at `depth` (1: pages), or NULL; no node is made. */
static word_t *find_link(const struct backing *backing, uint64_t key, unsigned int depth)
{
	word_t *link = (word_t *)&backing->root;

	for (unsigned int at = NODE_DEPTH; at > depth; at--) {
		uint64_t value = word_get(link);

		if (value == 0) {
			return NULL;
		}
		link = &node_of(value)[word_index(key, at)];
	}
	return link;
}

/* See backing.h. At most NODE_DEPTH steps. */
bool backing_get(const struct backing *backing, const struct memslot *slot, gfn_t page,
		 pfn_t *frame)
{
	uint64_t key = key_of(slot, page);
	word_t *link = find_link(backing, key, 1);
	uint64_t value = link ? word_get(link) : 0;
	uint64_t word = BACKING_DEFAULT;

	if (value != 0) {
		word = word_get(&node_of(value)[word_index(key, 1)]);
	}
	*frame = memslot_pfn(slot, page);
	if ((word & BACKING_KIND) == BACKING_FRAME) {
		*frame = pfn(word >> PAGE_SHIFT);
		return true;
	}
	return word_is_linear(slot, word);
}

/* See backing.h. A leaf of 1 GiB needs that there never was an exception under it. */
unsigned int backing_level(const struct backing *backing, const struct memslot *slot, gfn_t page,
			   unsigned int level)
{
	uint64_t key = key_of(slot, page);
	word_t *link;

	if (level >= 3) {
		link = find_link(backing, key, 2);
		if ((link && word_get(link) != 0) || absent_by_default(slot)) {
			level = 2;
		}
	}
	if (level == 2) {
		link = find_link(backing, key, 1);
		if (link && word_get(link) != 0) {
			level = (word_get(link) & LINK_COUNT) == 0 ? 2 : 1;
		} else if (absent_by_default(slot)) {
			level = 1;
		}
	}
	return level;
}

/* The link to the node of pages over `key`, with the nodes on the way made; NULL: no memory. */
static word_t *make_nodes(struct backing *backing, struct pool *pool, uint64_t key,
			  uint64_t exceptions)
{
	word_t *link = &backing->root;

	for (unsigned int at = NODE_DEPTH; at > 0; at--) {
		uint64_t value = word_get(link);

		if (value == 0) {
			void *node = pool_alloc_kept(pool);

			if (!node) {
				return NULL; /* nodes made so far are empty, and stay */
			}
			value = (uintptr_t)node | (at == 1 ? exceptions : 0);
			/* Release: who follows the link sees the node zeroed. */
			atomic_store_explicit(link, value, memory_order_release);
		}
		if (at == 1) {
			break;
		}
		link = &node_of(value)[word_index(key, at)];
	}
	return link;
}

/* Sets a page's word in the node behind `link`, which exists, and counts. */
static void set_word(word_t *link, const struct memslot *slot, uint64_t key, uint64_t word)
{
	uint64_t value = word_get(link);
	word_t *at = &node_of(value)[word_index(key, 1)];
	bool was = word_is_linear(slot, word_get(at));
	bool is = word_is_linear(slot, word);

	/* Release: who reads the word, and finds its page, sees what was put into the page. */
	atomic_store_explicit(at, word, memory_order_release);
	value += was && !is;
	value -= is && !was;
	atomic_store_explicit(link, value, memory_order_release);
}

/* See backing.h. */
int backing_set(struct backing *backing, struct pool *pool, const struct memslot *slot, gfn_t page,
		uint64_t word)
{
	uint64_t key = key_of(slot, page);
	word_t *link;

	if (slot->page_count > BACKING_PAGES_MAX) {
		return -ERANGE;
	}
	link = make_nodes(backing, pool, key, absent_by_default(slot) ? NODE_WORDS : 0);
	if (!link) {
		return -ENOMEM;
	}
	set_word(link, slot, key, word);
	return 0;
}

/* See backing.h. A step for each page that has a node, one for 512 that have none. */
void backing_trim(struct backing *backing, const struct memslot *slot, uint64_t page_count)
{
	uint64_t key = key_of(slot, gfn(slot->gfn.v + page_count));
	uint64_t end = key_of(slot, gfn(slot->gfn.v + slot->page_count));

	if (word_get(&backing->root) == 0) {
		return;
	}
	while (key < end) {
		word_t *link = find_link(backing, key, 1);

		if (!link || word_get(link) == 0) {
			key = align_down(key, NODE_WORDS) + NODE_WORDS;
			continue;
		}
		set_word(link, slot, key, BACKING_DEFAULT);
		key++;
	}
}

static void free_node(struct pool *pool, uint64_t link, unsigned int depth)
{
	word_t *node = node_of(link);

	if (link == 0 || !pool_contains(pool, node)) {
		return;
	}
	for (unsigned int i = 0; depth > 1 && i < NODE_WORDS; i++) {
		free_node(pool, word_get(&node[i]), depth - 1);
	}
	pool_free_kept(pool, node);
}

/* See backing.h. Recursion ends by the depth, not by what is in memory. */
void backing_free(struct backing *backing, struct pool *pool)
{
	free_node(pool, word_get(&backing->root), NODE_DEPTH);
	atomic_store_explicit(&backing->root, 0, memory_order_relaxed);
}
