/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit of pages that are not where their slot says: a second reading of the tree that
 * backing.h draws, with every address checked, and the counts of its nodes.
 *
 *     key = place among the slot's frames, aligned as they are to 1 GiB
 *     root --27--> node --18--> node --9--> node of words --> absent, own frame, other frame
 */
#include "mm/audit.h"

#include "mm/frames.h"

#define NODE_WORDS UINT64_C(512)
#define NODE_BITS 9
#define NODE_DEPTH 3
#define KEY_END (UINT64_C(1) << (NODE_BITS * NODE_DEPTH))

/* The pages of a slot before key 0. */
static uint64_t first_key(const struct memslot *slot)
{
	return slot->pfn.v % level_frames(3);
}

/*
 * The word at `key` and a depth (0: a page's; 1: the link to its node), with how many keys
 * from there on are covered by the lack of a node. False: an address is not in the pool.
 */
static bool read_word(const struct audit *audit, const struct memslot *slot, uint64_t key,
		      unsigned int depth, uint64_t *word, uint64_t *same)
{
	*word = atomic_load_explicit(&audit->mmu->backing[slot->id].root, memory_order_acquire);
	for (unsigned int at = NODE_DEPTH; at > depth; at--) {
		const _Atomic uint64_t *node =
			(const _Atomic uint64_t *)(uintptr_t)(*word & PAGE_MASK);
		uint64_t span = UINT64_C(1) << (NODE_BITS * at);

		*same = span - key % span;
		if (*word == 0) {
			return true;
		}
		if (!pool_contains(audit->mmu->config.pool, node)) {
			return false;
		}
		*word = atomic_load_explicit(&node[key % span / (span / NODE_WORDS)],
					     memory_order_acquire);
	}
	*same = (UINT64_C(1) << (NODE_BITS * depth)) - key % (UINT64_C(1) << (NODE_BITS * depth));
	return true;
}

/* See audit.h. */
bool audit_backing_page(const struct audit *audit, const struct memslot *slot, gfn_t page,
			pfn_t *frame, uint64_t *same)
{
	uint64_t key = page.v - slot->gfn.v + first_key(slot);
	uint64_t word;

	*frame = pfn(slot->pfn.v + (page.v - slot->gfn.v));
	if (atomic_load_explicit(&audit->mmu->backing[slot->id].root, memory_order_acquire) == 0) {
		*same = UINT64_MAX / 2; /* any number of pages, tracked or not */
		return !(slot->flags & MEMSLOT_ABSENT);
	}
	if (!read_word(audit, slot, key, 0, &word, same)) {
		return false;
	}
	switch (word & BACKING_KIND) {
	case BACKING_LINEAR:
		return true;
	case BACKING_FRAME:
		*frame = pfn(word >> PAGE_SHIFT);
		return true;
	case BACKING_DEFAULT:
		return !(slot->flags & MEMSLOT_ABSENT);
	default:
		return false;
	}
}

static bool is_known(uint64_t word)
{
	uint64_t kind = word & BACKING_KIND;

	return kind == BACKING_FRAME || (kind < BACKING_FRAME && word == kind);
}

/*
 * I4 for what the hypervisor itself would reach: a page behind a frame of its own. While an
 * invalidation is in progress, a frame may have gone before the page.
 */
static bool is_lost(const struct audit *audit, const struct memslot *slot, uint64_t key,
		    uint64_t word)
{
	bool invalidating = atomic_load_explicit(&audit->mmu->invalidate_in_progress,
						 memory_order_relaxed) != 0;

	return (word & BACKING_KIND) == BACKING_FRAME && !invalidating &&
	       key - first_key(slot) < slot->page_count &&
	       !frames_may_map(pfn(word >> PAGE_SHIFT), 1, audit->mmu->config.owner, SPTE_READ);
}

/* A node of words, `link` to it in the node above; `key` is its first. */
static void audit_node(struct audit *audit, const struct memslot *slot, uint64_t key, uint64_t link)
{
	const _Atomic uint64_t *node = (const _Atomic uint64_t *)(uintptr_t)(link & PAGE_MASK);
	gfn_t first = gfn(slot->gfn.v + key - first_key(slot));
	unsigned int count = 0;

	if (DATA_FOUND(audit, !pool_contains(audit->mmu->config.pool, node), RULE_I2,
		       .has_gfn = true, .gfn = first.v,
		       .text = "a node of a slot's backing is not in the pool")) {
		return;
	}
	for (uint64_t i = 0; i < NODE_WORDS; i++) {
		uint64_t word = atomic_load_explicit(&node[i], memory_order_acquire);

		count += word != BACKING_LINEAR &&
			 (word != BACKING_DEFAULT || (slot->flags & MEMSLOT_ABSENT));
		DATA_FOUND(audit, !is_known(word), RULE_I2, .has_gfn = true, .gfn = first.v + i,
			   .text = "a page's backing is of no kind");
		FOUND(audit, is_lost(audit, slot, key + i, word), RULE_I4, .has_gfn = true,
		      .gfn = first.v + i, .text = "a page's frame is not the partition's");
	}
	audit_spend(audit, NODE_WORDS);
	DATA_FOUND(audit, count != (link & (PAGE_SIZE - 1)), RULE_I12, .has_gfn = true,
		   .gfn = first.v, .text = "the number of pages elsewhere is not what was counted");
}

/* See audit.h. The index is a key. */
bool audit_backing(struct audit *audit, unsigned int id, uint64_t *index)
{
	const struct memslot *slot = memslot_by_id(audit->slots, id);
	uint64_t root = atomic_load_explicit(&audit->mmu->backing[id].root, memory_order_acquire);

	/* A change gives the nodes back after the slot has gone. */
	if (root == 0 ||
	    FOUND(audit, !slot && !audit->changing, RULE_I13, .text = "pages without a slot") ||
	    !slot) {
		return true;
	}
	while (*index < KEY_END) {
		uint64_t link;
		uint64_t same;

		if (audit->left == 0) {
			return false;
		}
		if (DATA_FOUND(audit, !read_word(audit, slot, *index, 1, &link, &same), RULE_I2,
			       .has_gfn = true, .gfn = slot->gfn.v,
			       .text = "the backing of a slot leads out of the pool")) {
			return true;
		}
		if (link != 0) {
			audit_node(audit, slot, *index, link);
		}
		audit_spend(audit, 1);
		*index += same;
	}
	return true;
}
