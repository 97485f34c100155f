/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit of the reverse map, from its own side: every node's count, every head, and every
 * entry, which must be the address of a leaf that maps this gfn of this slot (I2).
 *
 *     slot, level: root link --> node --> node --> head --> line --> line
 *                  its count = words in use          each entry --> leaf --> same gfn, pfn
 */
#include "mm/audit.h"

/* What is being looked at. */
struct heads {
	const struct memslot *slot;
	unsigned int level;
};

/* The first gfn of a head. */
static gfn_t head_gfn(const struct heads *heads, uint64_t index)
{
	unsigned int shift = SPTE_INDEX_BITS * (heads->level - 1);

	return gfn(((heads->slot->gfn.v >> shift) + index) << shift);
}

static bool is_elsewhere(const struct audit *audit, const struct spot *spot,
			 const struct memslot *slot)
{
	uint64_t same;
	pfn_t frame;

	return !audit_backing_page(audit, slot, spot->gfn, &frame, &same) ||
	       frame.v != spte_pfn(spot->spte).v;
}

/* I2: one entry. */
static void audit_entry(struct audit *audit, const struct heads *heads, gfn_t frame, uint64_t head,
			hpa_t sptep)
{
	struct table *table = audit_header(audit, sptep);
	struct spot spot = { .level = heads->level, .gfn = frame, .sptep = sptep };

	audit->out->rmap_entries++;
	audit_spend(audit, 1);
	if (DATA_FOUND(audit, !table || table->state != TABLE_LINKED || sptep.v % sizeof(spte_t),
		       RULE_I2, SPOT(&spot), .rmap_head = head,
		       .text = "an rmap entry points at something that is not in a live table")) {
		return;
	}
	spot.view = role_view(table->role);
	spot.index = (unsigned int)(sptep.v % PAGE_SIZE / sizeof(spte_t));
	spot.spte = table_get(audit->mmu, table, spot.index);
	(void)(DATA_FOUND(audit,
			  role_level(table->role) != spot.level ||
				  !spte_is_leaf(spot.spte, spot.level),
			  RULE_I2, SPOT(&spot), .rmap_head = head,
			  .text = "an rmap entry points at an SPTE that is no leaf of its level") ||
	       DATA_FOUND(audit, table->gfn.v + spot.index * level_frames(spot.level) != frame.v,
			  RULE_I2, SPOT(&spot), .rmap_head = head,
			  .text = "an rmap entry points at a leaf of another gfn") ||
	       DATA_FOUND(audit, is_elsewhere(audit, &spot, heads->slot), RULE_I2, SPOT(&spot),
			  .rmap_head = head,
			  .text = "an rmap entry points at a leaf of another pfn"));
}

/* A line of a chain: full, but the first, which has an entry at least; nothing behind a hole. */
static bool is_well_filled(const struct rmap_line *line, bool first)
{
	unsigned int used = rmap_line_used(line);

	for (unsigned int i = used; i < RMAP_LINE_ENTRIES; i++) {
		if (line->sptep[i] != 0) {
			return false;
		}
	}
	return first ? used > (line->next ? 0 : 1) : used == RMAP_LINE_ENTRIES;
}

static void audit_head(struct audit *audit, const struct heads *heads, uint64_t index,
		       uint64_t head)
{
	struct rmap_cursor cursor = { 0 };
	const struct rmap_line *line = NULL;
	gfn_t frame = head_gfn(heads, index);
	hpa_t sptep;

	audit_spend(audit, 1);
	if (DATA_FOUND(audit, head & RMAP_LOCKED, RULE_I2, .level = heads->level, .has_gfn = true,
		       .gfn = frame.v, .rmap_head = head,
		       .text = "an rmap head is locked and nobody adds to it")) {
		return;
	}
	while (rmap_next(&audit->mmu->rmap, head, &cursor, &sptep)) {
		if (cursor.line != line) {
			audit->lines++;
			DATA_FOUND(audit, !is_well_filled(cursor.line, line == NULL), RULE_I2,
				   .level = heads->level, .has_gfn = true, .gfn = frame.v,
				   .rmap_head = head, .text = "an rmap chain has a hole");
			line = cursor.line;
		}
		audit_entry(audit, heads, frame, head, sptep);
	}
	DATA_FOUND(audit, cursor.damaged, RULE_I2, .level = heads->level, .has_gfn = true,
		   .gfn = frame.v, .rmap_head = head, .text = "an rmap chain is damaged");
}

/* The words of a node that are in use, against the count in the link to it. */
static void audit_node_count(struct audit *audit, const struct heads *heads, uint64_t base,
			     uint64_t link)
{
	const rmap_word_t *node = (const rmap_word_t *)(uintptr_t)(link & RMAP_NODE);
	unsigned int used = 0;

	for (unsigned int i = 0; i < RMAP_NODE_WORDS; i++) {
		used += rmap_word_get(&node[i]) != 0;
	}
	audit_spend(audit, RMAP_NODE_WORDS / 8); /* cheap: nothing is followed */
	DATA_FOUND(audit, used != (link & RMAP_COUNT), RULE_I2, .level = heads->level,
		   .has_gfn = true, .gfn = head_gfn(heads, base).v, .rmap_head = link,
		   .text = "an rmap node's count is not the number of its words");
}

/*
 * The heads from *index on under a link; `base` is the first that it covers. False when the
 * budget ran out. Recursion ends by the depth, not by what is in memory.
 */
static bool audit_node(struct audit *audit, const struct heads *heads, uint64_t link,
		       unsigned int depth, uint64_t base, uint64_t *index)
{
	const rmap_word_t *node = (const rmap_word_t *)(uintptr_t)(link & RMAP_NODE);
	unsigned int shift = RMAP_NODE_BITS * (depth - 1);

	if (DATA_FOUND(audit, !pool_contains(audit->mmu->config.pool, node), RULE_I2,
		       .level = heads->level, .has_gfn = true, .gfn = head_gfn(heads, base).v,
		       .rmap_head = link, .text = "rmap storage leads out of the pool")) {
		return true;
	}
	if (*index <= base) {
		audit_node_count(audit, heads, base, link);
	}
	for (uint64_t i = *index > base ? (*index - base) >> shift : 0; i < RMAP_NODE_WORDS; i++) {
		uint64_t word = rmap_word_get(&node[i]);
		uint64_t first = base + (i << shift);

		if (word == 0) {
			continue;
		}
		if (audit->left == 0) {
			*index = MAX(*index, first);
			return false;
		}
		if (depth == 1) {
			audit_head(audit, heads, first, word);
		} else if (!audit_node(audit, heads, word, depth - 1, first, index)) {
			return false;
		}
	}
	return true;
}

/* See audit.h. */
bool audit_rmap(struct audit *audit, unsigned int id, unsigned int level, uint64_t *index)
{
	const struct rmap_tree *tree = &audit->mmu->rmap.tree[id][level - 1];
	struct heads heads = { memslot_by_id(audit->slots, id), level };
	uint64_t root = rmap_word_get(&tree->root);

	if (root == 0 ||
	    DATA_FOUND(audit, !heads.slot || tree->depth - 1 >= RMAP_DEPTH_MAX, RULE_I2,
		       .level = level, .rmap_head = root, .text = "an rmap without a slot")) {
		return true;
	}
	return audit_node(audit, &heads, root, tree->depth, 0, index);
}
