/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reverse map: heads, chains and the trees that hold them; see the drawing in rmap.h. This
 * file says what it found (enum rmap_result) and changes nothing when that is a violation;
 * mm/table.c turns it into a bugged partition. Every pointer is checked to lie in the pool
 * before it is followed, so all of this is safe on damaged metadata.
 */
#include "mm/rmap.h"

static bool line_is_valid(const struct rmap *rmap, const struct rmap_line *line)
{
	return pool_contains(rmap->pool, line) &&
	       is_aligned((uintptr_t)line, sizeof(struct rmap_line));
}

static struct rmap_line *head_line(uint64_t head)
{
	return (struct rmap_line *)(uintptr_t)(head & ~RMAP_CHAIN);
}

static uint64_t line_head(const struct rmap_line *line)
{
	return (uintptr_t)line | RMAP_CHAIN;
}

static unsigned int line_used(const struct rmap_line *line)
{
	unsigned int used = 0;

	while (used < RMAP_LINE_ENTRIES && line->sptep[used] != 0) {
		used++;
	}
	return used;
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

static struct rmap_line *line_take(struct rmap *rmap)
{
	struct rmap_line *line = rmap->spare;

	rmap->spare = line->next;
	line->next = NULL;
	rmap->line_count++;
	return line;
}

static void line_give(struct rmap *rmap, struct rmap_line *line)
{
	*line = (struct rmap_line){ .next = rmap->spare };
	rmap->spare = line;
	rmap->line_count--;
}

/* At least one spare line, or false. A page of them is cut up at a time. */
static bool line_top_up(struct rmap *rmap)
{
	struct rmap_line *lines;

	if (rmap->spare) {
		return true;
	}
	lines = pool_alloc_page(rmap->pool);
	for (unsigned int i = 0; lines && i < PAGE_SIZE / sizeof(*lines); i++) {
		lines[i].next = rmap->spare;
		rmap->spare = &lines[i];
	}
	return lines != NULL;
}

/* Puts `sptep` under a head, which may have others. Needs a spare line if it has. */
static void head_insert(struct rmap *rmap, uint64_t *head, uint64_t sptep)
{
	struct rmap_line *line;
	unsigned int used;

	if (*head == 0) {
		*head = sptep;
		return;
	}
	if (!(*head & RMAP_CHAIN)) {
		line = line_take(rmap);
		line->sptep[0] = *head;
		line->sptep[1] = sptep;
		*head = line_head(line);
		return;
	}
	line = head_line(*head);
	used = line_used(line);
	if (used == RMAP_LINE_ENTRIES) {
		struct rmap_line *first = line_take(rmap);

		first->next = line;
		line = first;
		used = 0;
		*head = line_head(line);
	}
	line->sptep[used] = sptep;
}

/* How often a head holds `sptep`, and where in a chain; RMAP_DAMAGED by *damaged. */
static unsigned int head_count(const struct rmap *rmap, uint64_t head, uint64_t sptep,
			       uint64_t **where, bool *damaged)
{
	struct rmap_cursor cursor = { 0 };
	unsigned int count = 0;
	hpa_t entry;

	while (rmap_next(rmap, head, &cursor, &entry)) {
		if (entry.v == sptep) {
			count++;
			*where = cursor.line ? (uint64_t *)&cursor.line->sptep[cursor.next - 1]
					     : NULL;
		}
	}
	*damaged = cursor.damaged;
	return count;
}

/* A chain, whose lines are valid, has two entries at least; one is kept in the head. */
static bool chain_is_long(uint64_t head)
{
	const struct rmap_line *first = head_line(head);

	return line_used(first) >= (first->next ? 1 : 2);
}

/* Fills the hole with the first line's last entry; one entry left goes back to the head. */
static void chain_delete(struct rmap *rmap, uint64_t *head, uint64_t *where)
{
	struct rmap_line *first = head_line(*head);
	unsigned int used = line_used(first);

	*where = first->sptep[used - 1];
	first->sptep[used - 1] = 0;
	used--;
	if (used == 0) {
		*head = line_head(first->next);
		line_give(rmap, first);
		first = head_line(*head);
		used = line_used(first);
	}
	if (used == 1 && !first->next) {
		*head = first->sptep[0];
		line_give(rmap, first);
	}
}

void rmap_init(struct rmap *rmap, struct pool *pool)
{
	*rmap = (struct rmap){ .pool = pool };
}

/* No memory is taken: only the depth of each tree is set, by the slot's size. */
void rmap_open(struct rmap *rmap, const struct memslot *slot)
{
	gfn_t last = gfn(slot->gfn.v + slot->page_count - 1);

	rmap->hint.key = 0;
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		uint64_t highest = rmap_index(slot, last, level);
		unsigned int depth = 1;

		while (highest >> (RMAP_NODE_BITS * depth)) {
			depth++;
		}
		rmap->tree[slot->id][level - 1] = (struct rmap_tree){ 0, depth };
	}
}

/* Ends a slot's trees; false when one still held something. */
bool rmap_close(struct rmap *rmap, unsigned int slot_id)
{
	bool empty = true;

	rmap->hint.key = 0;
	for (unsigned int i = 0; i < SPTE_LEAF_LEVELS; i++) {
		empty = empty && rmap->tree[slot_id][i].root == 0;
		rmap->tree[slot_id][i] = (struct rmap_tree){ 0, 0 };
	}
	return empty;
}

/* Goes as far as there are nodes. */
enum rmap_result rmap_find(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
			   unsigned int level, struct rmap_path *path)
{
	struct rmap_tree *tree = &rmap->tree[slot->id][level - 1];
	uint64_t index = rmap_index(slot, frame, level);
	uint64_t *link = &tree->root;

	path->node_count = 0;
	path->head = NULL;
	if (tree->depth == 0 || tree->depth > RMAP_DEPTH_MAX) {
		return RMAP_DAMAGED;
	}
	for (unsigned int left = tree->depth; left > 0; left--) {
		uint64_t *node = rmap_link_node(*link);

		path->link[path->node_count] = link;
		if (*link == 0) {
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

/* Hangs `count` new nodes one below the other where the path ended: all of them or none. */
static bool path_grow(struct rmap *rmap, struct rmap_path *path, uint64_t index, unsigned int count)
{
	uint64_t *node[RMAP_DEPTH_MAX];

	for (unsigned int i = 0; i < count; i++) {
		node[i] = pool_alloc_page(rmap->pool);
		if (!node[i]) {
			while (i > 0) {
				pool_free_page(rmap->pool, node[--i]);
			}
			return false;
		}
	}
	for (unsigned int i = 0; i < count; i++) {
		unsigned int shift = RMAP_NODE_BITS * (count - 1 - i);
		uint64_t *word = &node[i][(index >> shift) & (RMAP_NODE_WORDS - 1)];

		*path->link[path->node_count] = (uintptr_t)node[i];
		if (path->node_count > 0) {
			*path->link[path->node_count - 1] += 1;
		}
		path->node_count++;
		if (i + 1 < count) {
			path->link[path->node_count] = word;
		}
		path->head = word;
	}
	return true;
}

/* Memory first: after RMAP_OK the add that follows cannot fail for want of it. */
enum rmap_result rmap_reserve_slowly(struct rmap *rmap, const struct memslot *slot, gfn_t frame,
				     unsigned int level, struct rmap_path *path)
{
	uint64_t index = rmap_index(slot, frame, level);
	enum rmap_result result = rmap_find(rmap, slot, frame, level, path);

	if (result != RMAP_OK) {
		return result;
	}
	if (!path->head && !path_grow(rmap, path, index,
				      rmap->tree[slot->id][level - 1].depth - path->node_count)) {
		return RMAP_NO_MEMORY;
	}
	rmap->hint.key = rmap_hint_key(slot, level, index);
	rmap->hint.link = path->link[path->node_count - 1];
	return *path->head == 0 || line_top_up(rmap) ? RMAP_OK : RMAP_NO_MEMORY;
}

/* Adds without asking what is there. Takes memory only when the head is not empty. */
enum rmap_result rmap_force(struct rmap *rmap, struct rmap_path *path, hpa_t sptep)
{
	if (*path->head == 0) {
		*path->link[path->node_count - 1] += 1;
	} else if (!line_top_up(rmap)) {
		return RMAP_NO_MEMORY;
	}
	head_insert(rmap, path->head, sptep.v);
	rmap->entry_count++;
	return RMAP_OK;
}

/* A head that has something already: not twice the same (I1). */
enum rmap_result rmap_add_slowly(struct rmap *rmap, struct rmap_path *path, hpa_t sptep)
{
	uint64_t *where;
	bool damaged;

	if (head_count(rmap, *path->head, sptep.v, &where, &damaged) > 0) {
		return RMAP_DUPLICATE;
	}
	return damaged ? RMAP_DAMAGED : rmap_force(rmap, path, sptep);
}

/* Gives nodes back whose last word went, from the head upwards. */
static void path_prune(struct rmap *rmap, struct rmap_path *path)
{
	rmap->hint.key = 0;
	for (unsigned int i = path->node_count; i > 0; i--) {
		uint64_t *link = path->link[i - 1];

		*link -= 1;
		if (*link & RMAP_COUNT) {
			return;
		}
		pool_free_page(rmap->pool, rmap_link_node(*link));
		*link = 0;
	}
	path->head = NULL;
}

/* Tells the violations of a removal apart; the caller reports them. */
enum rmap_result rmap_remove(struct rmap *rmap, struct rmap_path *path, hpa_t sptep)
{
	uint64_t head = path->head ? *path->head : 0;
	uint64_t *where = NULL;
	unsigned int count;
	bool damaged;

	if (head == 0) {
		return RMAP_EMPTY;
	}
	if (!(head & RMAP_CHAIN)) {
		if (head != sptep.v) {
			return RMAP_OTHER;
		}
		*path->head = 0;
		rmap->entry_count--;
		path_prune(rmap, path);
		return RMAP_OK;
	}
	count = head_count(rmap, head, sptep.v, &where, &damaged);
	if (damaged || !chain_is_long(head)) {
		return RMAP_DAMAGED;
	}
	if (count != 1) {
		return count == 0 ? RMAP_MISSING : RMAP_TWICE;
	}
	chain_delete(rmap, path->head, where);
	rmap->entry_count--;
	return RMAP_OK;
}
