/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reverse map: heads, chains and the trees that hold them; see the drawing in rmap.h. This
 * file says what it found (enum rmap_result) and changes nothing when that is a violation;
 * mm/table.c turns it into a bugged partition. Every pointer is checked to lie in the pool
 * before it is followed, so all of this is safe on damaged metadata.
 */
#include "mm/rmap.h"

#include "mm/cache.h"

static bool line_is_valid(const struct rmap *rmap, const struct rmap_line *line)
{
	return pool_contains(rmap->pool, line) &&
	       is_aligned((uintptr_t)line, sizeof(struct rmap_line));
}

static struct rmap_line *head_line(uint64_t head)
{
	return (struct rmap_line *)(uintptr_t)(head & ~(RMAP_CHAIN | RMAP_LOCKED));
}

static uint64_t line_head(const struct rmap_line *line)
{
	return (uintptr_t)line | RMAP_CHAIN;
}

static uint64_t *link_node(uint64_t link)
{
	return (uint64_t *)(uintptr_t)(link & RMAP_NODE);
}

/* Release: who finds the word sees what it points at. */
static void word_set(rmap_word_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* One more, or one less, word in use in the node behind a link. */
static void link_count(rmap_word_t *link, uint64_t change)
{
	atomic_fetch_add_explicit(link, change, memory_order_relaxed);
}

static void entries_count(struct rmap *rmap, uint64_t change)
{
	atomic_fetch_add_explicit(&rmap->entry_count, change, memory_order_relaxed);
}

static void lines_count(struct rmap *rmap, uint64_t change)
{
	atomic_fetch_add_explicit(&rmap->line_count, change, memory_order_relaxed);
}

/* Hints of before are void. */
static void forget_hints(struct rmap *rmap)
{
	atomic_fetch_add_explicit(&rmap->generation, 1, memory_order_relaxed);
}

/* Reads the next entry of `head`; false at the end or, with cursor->damaged, at damage. */
bool rmap_next(const struct rmap *rmap, uint64_t head, struct rmap_cursor *cursor, hpa_t *sptep)
{
	if (!(head & RMAP_CHAIN)) {
		*sptep = hpa(head);
		return head != 0 && cursor->next++ == 0;
	}
	if (!cursor->line && cursor->steps == 0) {
		cursor->line = head_line(head);
	}
	while (cursor->line) {
		/* No chain has more lines than the pool: a ring of them ends here. */
		if (!line_is_valid(rmap, cursor->line) ||
		    cursor->steps > rmap->pool->page_count * (PAGE_SIZE / sizeof(*cursor->line))) {
			cursor->damaged = true;
			return false;
		}
		if (cursor->next < RMAP_LINE_ENTRIES && cursor->line->sptep[cursor->next] != 0) {
			*sptep = hpa(cursor->line->sptep[cursor->next++]);
			return true;
		}
		cursor->line = cursor->line->next;
		cursor->next = 0;
		cursor->steps++;
	}
	return false;
}

/* See rmap.h. A page of lines is cut up at a time. */
struct rmap_line *rmap_line_take(struct rmap *rmap)
{
	struct rmap_line *line;

	spin_lock(&rmap->spare_lock);
	if (!rmap->spare) {
		struct rmap_line *lines = pool_alloc_page(rmap->pool);

		for (unsigned int i = 0; lines && i < PAGE_SIZE / sizeof(*lines); i++) {
			lines[i].next = rmap->spare;
			rmap->spare = &lines[i];
		}
	}
	line = rmap->spare;
	if (line) {
		rmap->spare = line->next;
		line->next = NULL;
	}
	spin_unlock(&rmap->spare_lock);
	return line;
}

/* See rmap.h. */
void rmap_line_give(struct rmap *rmap, struct rmap_line *line)
{
	*line = (struct rmap_line){ .next = NULL };
	spin_lock(&rmap->spare_lock);
	line->next = rmap->spare;
	rmap->spare = line;
	spin_unlock(&rmap->spare_lock);
}

/* How often a head holds `sptep`, and the line with the last of them; damage by *damaged. */
static unsigned int head_count(const struct rmap *rmap, uint64_t head, uint64_t sptep,
			       struct rmap_line **line, bool *damaged)
{
	struct rmap_cursor cursor = { 0 };
	unsigned int count = 0;
	hpa_t entry;

	while (rmap_next(rmap, head, &cursor, &entry)) {
		if (entry.v == sptep) {
			count++;
			*line = (struct rmap_line *)cursor.line;
		}
	}
	*damaged = cursor.damaged;
	return count;
}

/* The head with one entry more; may use the cache's line. */
static uint64_t head_insert(struct rmap *rmap, struct mmu_cache *cache, uint64_t head,
			    uint64_t sptep)
{
	struct rmap_line *line = cache->line;

	if (head == 0) {
		return sptep;
	}
	if ((head & RMAP_CHAIN) && rmap_line_insert(head_line(head), sptep)) {
		return head;
	}
	cache->line = NULL;
	lines_count(rmap, 1);
	if (head & RMAP_CHAIN) {
		line->next = head_line(head);
	} else {
		(void)rmap_line_insert(line, head);
	}
	(void)rmap_line_insert(line, sptep);
	return line_head(line);
}

/* A chain, whose lines are valid, has two entries at least; one is kept in the head. */
static bool chain_is_long(uint64_t head)
{
	const struct rmap_line *first = head_line(head);

	return rmap_line_used(first) >= (first->next ? 1 : 2);
}

/* Gives the first line back; the head that is left. */
static uint64_t drop_line(struct rmap *rmap, struct rmap_line *first, uint64_t head)
{
	rmap_line_give(rmap, first);
	lines_count(rmap, -UINT64_C(1));
	return head;
}

/*
 * Takes the entry at `where` of `line` away; one entry that is left goes back to the head.
 * The head afterwards.
 */
static uint64_t chain_delete(struct rmap *rmap, uint64_t head, struct rmap_line *line,
			     unsigned int where)
{
	struct rmap_line *first = head_line(head);

	rmap_line_delete(first, line, where);
	if (first->sptep[0] == 0) {
		struct rmap_line *next = first->next;

		head = drop_line(rmap, first, line_head(next));
		first = next;
	}
	if (rmap_line_used(first) == 1 && !first->next) {
		head = drop_line(rmap, first, first->sptep[0]);
	}
	return head;
}

void rmap_init(struct rmap *rmap, struct pool *pool)
{
	rmap->pool = pool;
	spinlock_init(&rmap->spare_lock);
}

/* No memory is taken: only the depth of each tree is set, by the slot's size. */
void rmap_open(struct rmap *rmap, const struct memslot *slot)
{
	gfn_t last = gfn(slot->gfn.v + slot->page_count - 1);

	forget_hints(rmap);
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		uint64_t highest = rmap_index(slot, last, level);
		unsigned int depth = 1;

		while (highest >> (RMAP_NODE_BITS * depth)) {
			depth++;
		}
		word_set(&rmap->tree[slot->id][level - 1].root, 0);
		rmap->tree[slot->id][level - 1].depth = depth;
	}
}

/* Frees a tree of nodes whose heads are all empty; false when one is not, or at damage. */
static bool close_node(struct rmap *rmap, uint64_t link, unsigned int depth)
{
	uint64_t *node = link_node(link);
	bool empty = true;

	if (link == 0) {
		return true;
	}
	if (depth > RMAP_DEPTH_MAX || !pool_contains(rmap->pool, node)) {
		return false;
	}
	for (unsigned int i = 0; i < RMAP_NODE_WORDS; i++) {
		empty = empty && (depth > 1 ? close_node(rmap, node[i], depth - 1) : node[i] == 0);
	}
	pool_free_page(rmap->pool, node);
	return empty;
}

/*
 * Ends a slot's trees; false when one still held something. Nodes without entries are there
 * when a fault made them and then was not the one that installed.
 */
bool rmap_close(struct rmap *rmap, unsigned int slot_id)
{
	bool empty = true;

	forget_hints(rmap);
	for (unsigned int i = 0; i < SPTE_LEAF_LEVELS; i++) {
		struct rmap_tree *tree = &rmap->tree[slot_id][i];

		empty = close_node(rmap, rmap_word_get(&tree->root), tree->depth) && empty;
		word_set(&tree->root, 0);
		tree->depth = 0;
	}
	return empty;
}

/* Goes as far as there are nodes. */
enum rmap_result rmap_find(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
			   unsigned int level, struct rmap_path *path)
{
	struct rmap_tree *tree = &rmap->tree[slot->id][level - 1];
	uint64_t index = rmap_index(slot, frame, level);
	rmap_word_t *link = &tree->root;

	path->node_count = 0;
	path->head = NULL;
	if (tree->depth == 0 || tree->depth > RMAP_DEPTH_MAX) {
		return RMAP_DAMAGED;
	}
	for (unsigned int left = tree->depth; left > 0; left--) {
		uint64_t value = rmap_word_get(link);
		rmap_word_t *node = (rmap_word_t *)link_node(value);

		path->link[path->node_count] = link;
		if (value == 0) {
			return RMAP_OK;
		}
		if (!pool_contains(rmap->pool, node)) {
			return RMAP_DAMAGED;
		}
		path->node_count++;
		link = &node[(index >> (RMAP_NODE_BITS * (left - 1))) & (RMAP_NODE_WORDS - 1)];
	}
	path->head = link;
	return RMAP_OK;
}

/* One node more where the path ended, or the one that somebody else was faster with. */
static bool path_grow(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
		      uint64_t index, unsigned int depth)
{
	rmap_word_t *link = path->link[path->node_count];
	unsigned int shift = RMAP_NODE_BITS * (depth - path->node_count - 1);
	rmap_word_t *node = cache_take_page(cache);
	uint64_t found = 0;

	if (!node) {
		return false;
	}
	/* Release: who follows the link sees the node zeroed. */
	if (atomic_compare_exchange_strong_explicit(link, &found, (uintptr_t)node,
						    memory_order_acq_rel, memory_order_acquire)) {
		if (path->node_count > 0) {
			link_count(path->link[path->node_count - 1], 1);
		}
	} else {
		cache_put_page(cache, node);
		node = (rmap_word_t *)link_node(found);
		if (!pool_contains(rmap->pool, node)) {
			return false;
		}
	}
	link = &node[(index >> shift) & (RMAP_NODE_WORDS - 1)];
	path->node_count++;
	if (path->node_count < depth) {
		path->link[path->node_count] = link;
	} else {
		path->head = link;
	}
	return true;
}

/* Gives nodes back whose last word went, from the head upwards. */
static void path_prune(struct rmap *rmap, struct rmap_path *path)
{
	for (unsigned int i = path->node_count; i > 0; i--) {
		rmap_word_t *link = path->link[i - 1];
		uint64_t value = rmap_word_get(link);

		if (value & RMAP_COUNT) {
			return;
		}
		forget_hints(rmap);
		pool_free_page(rmap->pool, link_node(value));
		word_set(link, 0);
		if (i > 1) {
			link_count(path->link[i - 2], -UINT64_C(1));
		}
	}
	path->head = NULL;
}

/* Walks the tree, makes what is missing, and remembers the node. */
static enum rmap_result reserve_slowly(struct rmap *rmap, struct mmu_cache *cache,
				       const struct memslot *slot, gfn_t frame, unsigned int level,
				       struct rmap_path *path)
{
	struct rmap_tree *tree = &rmap->tree[slot->id][level - 1];
	uint64_t index = rmap_index(slot, frame, level);
	enum rmap_result result;

	/* Before the walk: a node that goes afterwards makes the hint void. */
	cache->hint.key = 0;
	cache->hint.generation = atomic_load_explicit(&rmap->generation, memory_order_relaxed);
	if (!cache->line) {
		cache->line = rmap_line_take(rmap);
	}
	result = rmap_find(rmap, slot, frame, level, path);
	if (result != RMAP_OK) {
		return result;
	}
	while (!path->head && path_grow(rmap, cache, path, index, tree->depth)) {
	}
	if (!path->head || !cache->line) {
		return RMAP_NO_MEMORY;
	}
	cache->hint.key = rmap_hint_key(slot, level, index);
	cache->hint.link = path->link[path->node_count - 1];
	return RMAP_OK;
}

/* See rmap.h. First the case of every second fault: the node is the last one's. */
enum rmap_result rmap_reserve(struct rmap *rmap, struct mmu_cache *cache,
			      const struct memslot *slot, gfn_t frame, unsigned int level,
			      struct rmap_path *path)
{
	uint64_t index = rmap_index(slot, frame, level);
	uint64_t key = rmap_hint_key(slot, level, index);
	struct rmap_hint *hint = &cache->hint;

	if (likely(hint->key == key && cache->line &&
		   hint->generation ==
			   atomic_load_explicit(&rmap->generation, memory_order_relaxed))) {
		rmap_word_t *node = (rmap_word_t *)link_node(rmap_word_get(hint->link));

		path->link[0] = hint->link;
		path->node_count = 1;
		path->head = node + (index & (RMAP_NODE_WORDS - 1));
		return RMAP_OK;
	}
	return reserve_slowly(rmap, cache, slot, frame, level, path);
}

/* The head's value, whose lock bit is now this caller's. */
static uint64_t head_lock(rmap_word_t *head)
{
	uint64_t value;

	/* Acquire: the chain is as the last holder left it. */
	while ((value = atomic_fetch_or_explicit(head, RMAP_LOCKED, memory_order_acquire)) &
	       RMAP_LOCKED) {
		__builtin_ia32_pause();
	}
	return value;
}

/* Adds under the head's lock bit; `unique`: not twice the same (I1). */
static enum rmap_result head_add(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
				 hpa_t sptep, bool unique)
{
	uint64_t head = head_lock(path->head);
	enum rmap_result result = cache->line ? RMAP_OK : RMAP_NO_MEMORY;
	struct rmap_line *line;
	bool damaged = false;

	if (unique && head_count(rmap, head, sptep.v, &line, &damaged) > 0) {
		result = RMAP_DUPLICATE;
	} else if (damaged) {
		result = RMAP_DAMAGED;
	}
	if (result == RMAP_OK) {
		if (head == 0) {
			link_count(path->link[path->node_count - 1], 1);
		}
		head = head_insert(rmap, cache, head, sptep.v);
		entries_count(rmap, 1);
	}
	word_set(path->head, head); /* and the lock bit goes */
	return result;
}

/* See rmap.h. */
enum rmap_result rmap_add(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
			  hpa_t sptep)
{
	uint64_t empty = 0;

	if (likely(atomic_compare_exchange_strong_explicit(
		    path->head, &empty, sptep.v, memory_order_acq_rel, memory_order_relaxed))) {
		link_count(path->link[path->node_count - 1], 1);
		entries_count(rmap, 1);
		return RMAP_OK;
	}
	return head_add(rmap, cache, path, sptep, true);
}

/* Adds without asking what is there. */
enum rmap_result rmap_force(struct rmap *rmap, struct mmu_cache *cache, struct rmap_path *path,
			    hpa_t sptep)
{
	if (!cache->line) {
		cache->line = rmap_line_take(rmap);
	}
	return head_add(rmap, cache, path, sptep, false);
}

/* The only entry of a head goes, and storage that became empty. */
static void remove_last(struct rmap *rmap, struct rmap_path *path)
{
	word_set(path->head, 0);
	link_count(path->link[path->node_count - 1], -UINT64_C(1));
	entries_count(rmap, -UINT64_C(1));
	path_prune(rmap, path);
}

/* Tells the violations of a removal apart; the caller reports them. */
enum rmap_result rmap_remove(struct rmap *rmap, struct rmap_path *path, hpa_t sptep)
{
	uint64_t head = path->head ? rmap_word_get(path->head) : 0;
	struct rmap_line *line = NULL;
	unsigned int where = 0;
	unsigned int count;
	bool damaged;

	if (head == 0) {
		return RMAP_EMPTY;
	}
	if (!(head & RMAP_CHAIN)) {
		if (head != sptep.v) {
			return RMAP_OTHER;
		}
		remove_last(rmap, path);
		return RMAP_OK;
	}
	count = head_count(rmap, head, sptep.v, &line, &damaged);
	if (damaged || !chain_is_long(head)) {
		return RMAP_DAMAGED;
	}
	if (count != 1) {
		return count == 0 ? RMAP_MISSING : RMAP_TWICE;
	}
	(void)rmap_line_count(line, sptep.v, &where);
	word_set(path->head, chain_delete(rmap, head, line, where));
	entries_count(rmap, -UINT64_C(1));
	return RMAP_OK;
}
