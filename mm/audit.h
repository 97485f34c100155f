/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the audit share: how a violation is noted, and what each part looks at.
 * Internal to mm/. Each part checks one thing where it is, by what is in memory alone; how
 * much of it at a time is the business of audit.c.
 *
 *     audit.c  ->  audit_state.c    roots, views, vCPUs, slots, what must be over
 *                  audit_table.c    a table: header, entries, leaves, links
 *                  audit_rmap.c     heads and chains
 *                  audit_backing.c  pages that are not where the slot says
 */
#ifndef MM_AUDIT_H
#define MM_AUDIT_H

#include "mm/walk.h"

struct audit {
	struct mmu *mmu;
	struct bug_state *bug;
	const struct memslots *slots;
	struct mmu_audit *out;
	bool was_bugged; /* violations are listed, no more */
	bool whole;	 /* all in one go: marks and totals are compared */
	bool by_frame;	 /* frames are asked one by one, not by blocks */
	bool changing;	 /* slots or views change: more rights may be there than they give */
	uint8_t stamp;	 /* of a whole audit */
	uint64_t lines;	 /* in the chains that were met */
	uint64_t left;	 /* entries that may still be looked at */
};

/* One entry of a table. */
struct spot {
	const struct table *table;
	unsigned int index;
	unsigned int level;
	unsigned int view;
	gfn_t gfn;
	hpa_t sptep;
	spte_t spte;
};

#define SPOT(s)                                                                     \
	.view = (s)->view, .level = (s)->level, .has_gfn = true, .gfn = (s)->gfn.v, \
	.sptep = (s)->sptep.v, .spte = (s)->spte.v

/* Lists a violation. */
void audit_note(struct audit *audit, enum rule rule, const struct bug_detail *detail);

/* Truth of `cond`, evaluated once; when true it is listed, and bugs a healthy partition. */
#define FOUND_AS(check, a, cond, rule, ...)                                                    \
	({                                                                                     \
		bool found_ =                                                                  \
			(a)->was_bugged ? !!(cond) : check((a)->bug, cond, rule, __VA_ARGS__); \
		if (found_) {                                                                  \
			audit_note(a, rule, &(const struct bug_detail){ __VA_ARGS__ });        \
		}                                                                              \
		found_;                                                                        \
	})
#define FOUND(a, cond, rule, ...) FOUND_AS(PARTITION_BUG_ON, a, cond, rule, __VA_ARGS__)
#define DATA_FOUND(a, cond, rule, ...) FOUND_AS(PARTITION_DATA_BUG_ON, a, cond, rule, __VA_ARGS__)

/* So many entries were looked at. */
static inline void audit_spend(struct audit *audit, uint64_t entries)
{
	audit->left -= MIN(audit->left, entries);
}

/* The slot over a gfn, by asking each. */
static inline const struct memslot *audit_slot(const struct audit *audit, gfn_t frame)
{
	for (unsigned int i = 0; i < audit->slots->count; i++) {
		const struct memslot *slot = &audit->slots->slot[i];

		if (frame.v >= slot->gfn.v && frame.v < slot->gfn.v + slot->page_count) {
			return slot;
		}
	}
	return NULL;
}

/* The header of the page at an address, live or not; NULL outside of the pool's pages. */
static inline struct table *audit_header(const struct audit *audit, hpa_t address)
{
	const struct pool *pool = audit->mmu->config.pool;
	const uint8_t *page = hpa_to_ptr(hpa(align_down(address.v, PAGE_SIZE)));

	return pool_contains(pool, page)
		       ? &audit->mmu->tables[(size_t)(page - pool->base) / PAGE_SIZE]
		       : NULL;
}

/* audit_state.c. False: the array of slots, or the list of roots, cannot be followed. */
bool audit_slots_order(struct audit *audit);
bool audit_roots(struct audit *audit);
void audit_slots_shape(struct audit *audit);
void audit_at_rest(struct audit *audit);

/*
 * audit_table.c. The first: everything under a table, which is what the arguments say, with
 * marks. The second: one table, by its header, from entry *index on as far as the budget goes;
 * false when it ran out, and *index says where to go on.
 */
void audit_tree(struct audit *audit, struct table *table, unsigned int level, unsigned int view,
		gfn_t first);
bool audit_table(struct audit *audit, struct table *table, uint64_t *index);

/*
 * audit_rmap.c and audit_backing.c: one slot's, from *index on as far as the budget goes;
 * false when it ran out, and *index says where to go on.
 */
bool audit_rmap(struct audit *audit, unsigned int id, unsigned int level, uint64_t *index);
bool audit_backing(struct audit *audit, unsigned int id, uint64_t *index);

/*
 * Where a page of a slot is, read by other means than backing_get(): false when it is absent,
 * or the nodes are damaged. *same: so many pages from there on have no word of their own.
 */
bool audit_backing_page(const struct audit *audit, const struct memslot *slot, gfn_t page,
			pfn_t *frame, uint64_t *same);

#endif
