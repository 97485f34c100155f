/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit: recomputes the invariants from what is in memory, by other means than the code
 * that keeps them. Tables are read as the CPU reads them, from the roots down, with the
 * format's own predicates; slots are searched one by one; frames are asked one by one. It
 * follows no address that is not in the pool, and never recurses deeper than the tables.
 *
 *     roots --> tables --> leaves ==I1==> rmap heads        every leaf once in the rmap
 *                            ^                |
 *                            +------I2--------+              every entry at such a leaf
 *     headers: each live one was reached exactly once (I5, I14)
 *
 * On a healthy partition the first violation bugs it; on a bugged one they are only listed.
 */
#include "mm/walk.h"

#include "lib/string.h"

struct audit {
	struct mmu *mmu;
	struct bug_state *bug;
	const struct memslots *slots;
	struct mmu_audit *out;
	bool was_bugged;
	uint8_t stamp;
};

/* One entry of a table: where it is, by the way that led there. */
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

static void note(struct audit *audit, enum rule rule, const struct bug_detail *detail)
{
	struct mmu_audit *out = audit->out;

	if (out->finding_count < MMU_AUDIT_FINDINGS_MAX) {
		out->findings[out->finding_count].rule = rule;
		out->findings[out->finding_count].detail = *detail;
		out->finding_count++;
	}
	out->violations++;
}

/* Truth of `cond`, evaluated once; when true it is listed, and bugs a healthy partition. */
#define FOUND_AS(check, a, cond, rule, ...)                                                    \
	({                                                                                     \
		bool found_ =                                                                  \
			(a)->was_bugged ? !!(cond) : check((a)->bug, cond, rule, __VA_ARGS__); \
		if (found_) {                                                                  \
			note(a, rule, &(const struct bug_detail){ __VA_ARGS__ });              \
		}                                                                              \
		found_;                                                                        \
	})
#define FOUND(a, cond, rule, ...) FOUND_AS(PARTITION_BUG_ON, a, cond, rule, __VA_ARGS__)
#define DATA_FOUND(a, cond, rule, ...) FOUND_AS(PARTITION_DATA_BUG_ON, a, cond, rule, __VA_ARGS__)

/* The slot over a gfn, by asking each. */
static const struct memslot *slot_of(const struct audit *audit, gfn_t frame)
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
static struct table *header_of(const struct audit *audit, hpa_t address)
{
	const struct pool *pool = audit->mmu->config.pool;
	const uint8_t *page = hpa_to_ptr(hpa(align_down(address.v, PAGE_SIZE)));

	if (page < pool->base || page >= pool->base + pool->next * PAGE_SIZE) {
		return NULL;
	}
	return &audit->mmu->tables[(size_t)(page - pool->base) / PAGE_SIZE];
}

/* I1 from the leaf's side: how often its slot's rmap holds it. */
static void audit_leaf_rmap(struct audit *audit, const struct spot *spot,
			    const struct memslot *slot)
{
	struct rmap *rmap = &audit->mmu->rmap;
	struct rmap_cursor cursor = { 0 };
	struct rmap_path path;
	unsigned int count = 0;
	uint64_t head = 0;
	hpa_t sptep;

	if (DATA_FOUND(audit, rmap_find(rmap, slot, spot->gfn, spot->level, &path) != RMAP_OK,
		       RULE_I2, SPOT(spot), .text = "rmap storage leads out of the pool")) {
		return;
	}
	head = path.head ? *path.head : 0;
	while (rmap_next(rmap, head, &cursor, &sptep)) {
		count += sptep.v == spot->sptep.v;
	}
	(void)(DATA_FOUND(audit, count == 0, RULE_I1, SPOT(spot), .rmap_head = head,
			  .text = "a leaf is not in its slot's rmap") ||
	       DATA_FOUND(audit, count > 1, RULE_I1, SPOT(spot), .rmap_head = head,
			  .text = "a leaf is in its slot's rmap more than once"));
}

/* I4: the first frame under a leaf that is not this partition's own, or the end. */
static uint64_t foreign_frame(const struct audit *audit, const struct spot *spot)
{
	uint64_t count = level_frames(spot->level);
	uint64_t i = 0;

	while (i < count) {
		struct frame_info info = frame_get(pfn(spte_pfn(spot->spte).v + i));

		if (info.owner != audit->mmu->config.owner || info.state != FRAME_PRIVATE) {
			break;
		}
		i++;
	}
	return count - i;
}

static void audit_leaf(struct audit *audit, const struct spot *spot)
{
	const struct memslot *slot = slot_of(audit, spot->gfn);
	unsigned int rights = audit->mmu->config.format->rights(spot->spte);
	uint64_t frames = level_frames(spot->level);
	uint64_t mapped = spte_pfn(spot->spte).v;

	audit->out->leaves++;
	FOUND(audit, foreign_frame(audit, spot) != 0, RULE_I4, SPOT(spot),
	      .text = "a leaf maps a frame that is not the partition's");
	if (DATA_FOUND(audit, !slot, RULE_I1, SPOT(spot), .text = "a leaf outlived its slot")) {
		return;
	}
	FOUND(audit, slot->id != spte_slot(spot->spte), RULE_I13, SPOT(spot),
	      .text = "a leaf carries the id of another slot");
	FOUND(audit, spot->gfn.v + frames > slot->gfn.v + slot->page_count, RULE_I12, SPOT(spot),
	      .text = "a leaf reaches out of its slot");
	FOUND(audit, (spot->gfn.v | mapped) % frames != 0, RULE_I12, SPOT(spot),
	      .text = "a large leaf whose gfn or pfn is not aligned");
	DATA_FOUND(audit, mapped - slot->pfn.v != spot->gfn.v - slot->gfn.v, RULE_I2, SPOT(spot),
		   .text = "a leaf does not map the slot's frame");
	FOUND(audit, (rights & SPTE_WRITE) && (slot->flags & MEMSLOT_READ_ONLY), RULE_I11,
	      SPOT(spot), .text = "a writable SPTE in a read-only slot");
	audit_leaf_rmap(audit, spot, slot);
}

static void audit_mmio(struct audit *audit, const struct spot *spot)
{
	if (!spte_mmio_is_current(spot->spte, audit->slots->generation)) {
		return; /* stale: replaced by the next fault there */
	}
	FOUND(audit, spte_mmio_gfn(spot->spte).v != spot->gfn.v, RULE_I8, SPOT(spot),
	      .text = "an MMIO SPTE of another gfn");
	FOUND(audit, slot_of(audit, spot->gfn) != NULL, RULE_I8, SPOT(spot),
	      .text = "a current MMIO SPTE in a memslot's range");
}

/* Role, key and parent of the table under an entry; it when it can be walked, else NULL. */
static struct table *audit_link(struct audit *audit, const struct spot *spot)
{
	struct table *child = header_of(audit, pfn_to_hpa(spte_pfn(spot->spte)));

	if (DATA_FOUND(audit, !child || child->state != TABLE_LINKED, RULE_I14, SPOT(spot),
		       .text = "an SPTE points at something that is not a live table")) {
		return NULL;
	}
	FOUND(audit,
	      FIELD_GET(ROLE_LEVEL, child->role) != spot->level - 1 ||
		      FIELD_GET(ROLE_VIEW, child->role) != spot->view ||
		      FIELD_GET(ROLE_FORMAT, child->role) != audit->mmu->config.format->id ||
		      FIELD_GET(ROLE_ROOT, child->role) != FIELD_GET(ROLE_ROOT, spot->table->role),
	      RULE_I14, SPOT(spot), .text = "a table of another role is linked");
	FOUND(audit, child->gfn.v != spot->gfn.v, RULE_I13, SPOT(spot),
	      .text = "a table of another gfn is linked");
	FOUND(audit, child->generation > (uint32_t)audit->slots->generation, RULE_I13, SPOT(spot),
	      .text = "a table from a generation that is yet to come");
	FOUND(audit, child->parent.v != spot->sptep.v, RULE_I13, SPOT(spot),
	      .text = "a table does not know the SPTE that links it");
	if (FOUND(audit, child->seen == audit->stamp, RULE_I14, SPOT(spot),
		  .text = "a table is linked twice")) {
		return NULL;
	}
	return child;
}

/* I3, by the format's own words for this CPU. */
static bool is_malformed(const struct audit *audit, const struct spot *spot)
{
	const struct spte_format *format = audit->mmu->config.format;
	bool leaf = format->is_leaf(spot->spte, spot->level);
	uint64_t reserved = format->reserved(spot->level, leaf, audit->mmu->config.maxphyaddr);

	if (spot->level == 3 && !audit->mmu->config.large_1g) {
		reserved |= SPTE_LARGE;
	}
	return !format->is_present(spot->spte) || !spte_is_present(spot->spte) ||
	       (spot->spte.v & reserved) || format->is_malformed(spot->spte, leaf);
}

/*
 * One table at `level`, whose header says what the caller found it to be. Recursion ends at
 * level 1 by the argument, not by what is in memory.
 */
static void audit_table(struct audit *audit, struct table *table, unsigned int level,
			unsigned int view, gfn_t first)
{
	const struct spte_format *format = audit->mmu->config.format;
	unsigned int count = 0;

	table->seen = audit->stamp;
	audit->out->tables++;
	for (unsigned int i = 0; i < SPTE_PER_TABLE; i++) {
		struct spot spot = {
			.table = table,
			.index = i,
			.level = level,
			.view = view,
			.gfn = gfn(first.v + i * level_frames(level)),
			.sptep = table_sptep(audit->mmu, table, i),
			.spte = table_get(audit->mmu, table, i),
		};

		if (spot.spte.v == 0) {
			continue;
		}
		count++;
		if (level == 1 && format->is_mmio(spot.spte)) {
			audit_mmio(audit, &spot);
		} else if (DATA_FOUND(audit, is_malformed(audit, &spot), RULE_I3, SPOT(&spot),
				      .text = "an SPTE has a reserved bit")) {
			continue;
		} else if (format->is_leaf(spot.spte, level)) {
			audit_leaf(audit, &spot);
		} else {
			struct table *child = audit_link(audit, &spot);

			if (child && level > 1) {
				audit_table(audit, child, level - 1, view, spot.gfn);
			}
		}
	}
	FOUND(audit, count != table->count || (count == 0 && level < SPTE_LEVELS), RULE_I5,
	      .view = view, .level = level, .has_gfn = true, .gfn = first.v,
	      .sptep = table_sptep(audit->mmu, table, 0).v,
	      .text = "a table's count is not the number of its entries");
}

static void audit_roots(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;
	struct list_node *node = mmu->roots.next;

	for (unsigned int n = 0; node != &mmu->roots; n++, node = node->next) {
		struct mmu_root *root = list_entry(node, struct mmu_root, node);
		size_t offset = (uintptr_t)root - (uintptr_t)mmu->root_store;
		bool known = offset < sizeof(mmu->root_store) && offset % sizeof(*root) == 0;

		if (FOUND(audit, n >= MMU_ROOTS_MAX || !known, RULE_I6,
			  .text = "the list of roots is damaged")) {
			return;
		}
		FOUND(audit, root->refcount == 0, RULE_I6, .view = root->view,
		      .text = "a root on the list has no reference");
		if (FOUND(audit,
			  !root->table || root->table < mmu->tables ||
				  root->table >= mmu->tables + mmu->config.pool->next ||
				  root->table->state != TABLE_LINKED ||
				  FIELD_GET(ROLE_LEVEL, root->table->role) != SPTE_LEVELS ||
				  FIELD_GET(ROLE_VIEW, root->table->role) != root->view,
			  RULE_I14, .view = root->view,
			  .text = "a root's table is not a root's table")) {
			return;
		}
		audit_table(audit, root->table, SPTE_LEVELS, root->view, gfn(0));
	}
}

/* Every live header was reached from a root, and none is between two states. */
static void audit_headers(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;
	uint64_t live = 0;

	for (size_t n = 0; n < mmu->config.pool->page_count; n++) {
		const struct table *table = &mmu->tables[n];

		live += table->state != TABLE_NONE;
		FOUND(audit,
		      table->state != TABLE_NONE &&
			      (table->state != TABLE_LINKED || table->seen != audit->stamp),
		      RULE_I5, .view = role_view(table->role), .level = role_level(table->role),
		      .has_gfn = true, .gfn = table->gfn.v,
		      .text = "a live table that no root leads to");
	}
	FOUND(audit, live != mmu->stats.tables, RULE_I5,
	      .text = "the number of tables is not what was counted");
	FOUND(audit, mmu->config.pool->refused_count != 0, RULE_I13,
	      .text = "the pool was given a page that is not its own");
}

/* I2: one entry of the rmap of (slot, gfn, level). */
static void audit_entry(struct audit *audit, const struct memslot *slot, gfn_t frame,
			unsigned int level, uint64_t head, hpa_t sptep)
{
	struct table *table = header_of(audit, sptep);
	struct spot spot = { .level = level, .gfn = frame, .sptep = sptep };

	audit->out->rmap_entries++;
	if (DATA_FOUND(audit, !table || table->state != TABLE_LINKED || sptep.v % sizeof(spte_t),
		       RULE_I2, SPOT(&spot), .rmap_head = head,
		       .text = "an rmap entry points at something that is not in a live table")) {
		return;
	}
	spot.view = role_view(table->role);
	spot.index = (unsigned int)(sptep.v % PAGE_SIZE / sizeof(spte_t));
	spot.spte = table_get(audit->mmu, table, spot.index);
	(void)(DATA_FOUND(audit,
			  role_level(table->role) != level || !spte_is_leaf(spot.spte, level),
			  RULE_I2, SPOT(&spot), .rmap_head = head,
			  .text = "an rmap entry points at an SPTE that is no leaf of its level") ||
	       DATA_FOUND(audit, table->gfn.v + spot.index * level_frames(level) != frame.v,
			  RULE_I2, SPOT(&spot), .rmap_head = head,
			  .text = "an rmap entry points at a leaf of another gfn") ||
	       DATA_FOUND(audit, spte_pfn(spot.spte).v - slot->pfn.v != frame.v - slot->gfn.v,
			  RULE_I2, SPOT(&spot), .rmap_head = head,
			  .text = "an rmap entry points at a leaf of another pfn"));
}

static void audit_head(struct audit *audit, const struct memslot *slot, gfn_t frame,
		       unsigned int level, uint64_t head)
{
	struct rmap_cursor cursor = { 0 };
	hpa_t sptep;

	while (rmap_next(&audit->mmu->rmap, head, &cursor, &sptep)) {
		audit_entry(audit, slot, frame, level, head, sptep);
	}
	DATA_FOUND(audit, cursor.damaged, RULE_I2, .level = level, .has_gfn = true, .gfn = frame.v,
		   .rmap_head = head, .text = "an rmap chain is damaged");
}

/* The nodes of one tree from a link down; `base` is the index of its first head. */
static void audit_node(struct audit *audit, const struct memslot *slot, unsigned int level,
		       uint64_t link, unsigned int depth, uint64_t base)
{
	uint64_t *node = (uint64_t *)(uintptr_t)(link & RMAP_NODE);
	unsigned int shift = SPTE_INDEX_BITS * (level - 1);
	uint64_t first = slot->gfn.v >> shift;
	unsigned int used = 0;

	if (DATA_FOUND(audit, !pool_contains(audit->mmu->config.pool, node), RULE_I2,
		       .level = level, .has_gfn = true, .gfn = (first + base) << shift,
		       .rmap_head = link, .text = "rmap storage leads out of the pool")) {
		return;
	}
	for (uint64_t i = 0; i < RMAP_NODE_WORDS; i++) {
		uint64_t index = base + (i << (RMAP_NODE_BITS * (depth - 1)));

		if (node[i] == 0) {
			continue;
		}
		used++;
		if (depth > 1) {
			audit_node(audit, slot, level, node[i], depth - 1, index);
		} else {
			audit_head(audit, slot, gfn((first + index) << shift), level, node[i]);
		}
	}
	DATA_FOUND(audit, used != (link & RMAP_COUNT), RULE_I2, .level = level, .has_gfn = true,
		   .gfn = (first + base) << shift, .rmap_head = link,
		   .text = "an rmap node's count is not the number of its words");
}

static void audit_rmap(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;

	for (unsigned int id = 0; id < MEMSLOTS_MAX; id++) {
		const struct memslot *slot = memslot_by_id(audit->slots, id);

		for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
			const struct rmap_tree *tree = &mmu->rmap.tree[id][level - 1];

			if (tree->root == 0 ||
			    DATA_FOUND(audit, !slot || tree->depth - 1 >= RMAP_DEPTH_MAX, RULE_I2,
				       .level = level, .rmap_head = tree->root,
				       .text = "an rmap without a slot")) {
				continue;
			}
			audit_node(audit, slot, level, tree->root, tree->depth, 0);
		}
	}
	DATA_FOUND(audit, audit->out->rmap_entries != mmu->rmap.entry_count, RULE_I1,
		   .text = "the number of rmap entries is not what was counted");
}

static void audit_slots(struct audit *audit)
{
	const struct memslots *slots = audit->slots;

	for (unsigned int i = 0; i < slots->count; i++) {
		const struct memslot *slot = &slots->slot[i];
		const struct memslot *next = slot + 1;

		FOUND(audit,
		      slot->id >= MEMSLOTS_MAX || slots->position[slot->id] != i + 1 ||
			      (i + 1 < slots->count &&
			       next->gfn.v < slot->gfn.v + slot->page_count),
		      RULE_I13, .has_gfn = true, .gfn = slot->gfn.v,
		      .text = "the slots are not in order");
	}
}

/* See mmu.h. As long as the tables and heads in use; holds the lock all the time. */
uint64_t mmu_audit(struct mmu *mmu, struct mmu_audit *out)
{
	struct mmu_look look = mmu_look_begin(mmu);
	struct audit audit = {
		.mmu = mmu,
		.bug = mmu->config.bug,
		.slots = atomic_load_explicit(&mmu->slots, memory_order_acquire),
		.out = out,
		.was_bugged = bug_is_set(mmu->config.bug),
	};

	*out = (struct mmu_audit){ 0 };
	/* 0 is what a new table has, so it is never a mark. */
	mmu->audit_stamp = mmu->audit_stamp == UINT8_MAX ? 1 : (uint8_t)(mmu->audit_stamp + 1);
	audit.stamp = mmu->audit_stamp;
	audit_slots(&audit);
	audit_roots(&audit);
	audit_headers(&audit);
	audit_rmap(&audit);
	mmu_look_end(look);
	return out->violations;
}
