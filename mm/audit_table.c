/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit of tables: read as the CPU reads them, with the format's own predicates; slots are
 * searched one by one, frames asked one by one. No address is followed that is not in the pool.
 *
 *     table --> leaf ==I1==> rmap       every leaf once in its slot's rmap
 *       ^ |
 *       | +--> table                    each knows the other, one level apart
 *       +--- parent                     so every table hangs on a root, at one place
 */
#include "mm/audit.h"

#include "mm/frames.h"

#define PRESENT_ENTRIES 12 /* what is looked at for a present one is worth so many empty ones */

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
		       RULE_I2, SPOT(spot), .text = "a leaf's rmap leads out of the pool")) {
		return;
	}
	head = path.head ? rmap_word_get(path.head) : 0;
	while (rmap_next(rmap, head, &cursor, &sptep)) {
		count += sptep.v == spot->sptep.v;
	}
	(void)(DATA_FOUND(audit, count == 0, RULE_I1, SPOT(spot), .rmap_head = head,
			  .text = "a leaf is not in its slot's rmap") ||
	       DATA_FOUND(audit, count > 1, RULE_I1, SPOT(spot), .rmap_head = head,
			  .text = "a leaf is in its slot's rmap more than once"));
}

/* The partition may map this frame with these rights, by what the frame table says of it. */
static bool may_map(const struct audit *audit, pfn_t frame, unsigned int rights)
{
	struct frame_info info = frame_get(frame);
	owner_t who = audit->mmu->config.owner;

	if (info.owner == who) {
		return info.state == FRAME_PRIVATE || info.state == FRAME_GRANTED;
	}
	return info.state == FRAME_GRANTED && info.grantee == who && !(rights & ~info.rights);
}

/* I4: some frame under a leaf is not this partition's, nor granted to it with these rights. */
static bool is_foreign(const struct audit *audit, const struct spot *spot)
{
	unsigned int rights = audit->mmu->config.format->rights(spot->spte);
	uint64_t count = level_frames(spot->level);
	pfn_t first = spte_pfn(spot->spte);

	if (!audit->by_frame) { /* as the checks do it: a slice is short */
		return !frames_may_map(first, count, audit->mmu->config.owner, rights);
	}
	for (uint64_t i = 0; i < count; i++) {
		if (!may_map(audit, pfn(first.v + i), rights)) {
			return true;
		}
	}
	return false;
}

/* I2: a page under a leaf is not at the frame where the slot, or its backing, has it. */
static bool is_elsewhere(const struct audit *audit, const struct spot *spot,
			 const struct memslot *slot)
{
	uint64_t mapped = spte_pfn(spot->spte).v;
	uint64_t same;

	for (uint64_t i = 0; i < level_frames(spot->level); i += same) {
		pfn_t frame;

		if (!audit_backing_page(audit, slot, gfn(spot->gfn.v + i), &frame, &same) ||
		    frame.v != mapped + i) {
			return true;
		}
	}
	return false;
}

/* A page of a logged slot is dirty. Only pages of 4 KiB are. */
static bool is_dirty(const struct audit *audit, const struct spot *spot, const struct memslot *slot)
{
	const struct dirty_log *log = &audit->mmu->dirty[slot->id];
	const struct pool *pool = audit->mmu->config.pool;
	uint64_t index = spot->gfn.v - slot->gfn.v;

	return spot->level == 1 && pool_contains(pool, log->map) && index < log->page_count &&
	       pool_contains(pool, log->map[index / DIRTY_PAGE_BITS]) && dirty_test(log, index);
}

/* The rights that the ranges of a view leave to a leaf: each that it shares a gfn with. */
static unsigned int view_rights(const struct audit *audit, const struct spot *spot)
{
	uint64_t end = spot->gfn.v + level_frames(spot->level);
	unsigned int rights = SPTE_RIGHTS_ALL;

	for (unsigned int i = 0; i < audit->slots->range_count; i++) {
		const struct view_range *range = &audit->slots->range[i];

		if (range->view == spot->view && range->gfn.v < end &&
		    spot->gfn.v < range->gfn.v + range->page_count) {
			rights &= range->rights;
		}
	}
	return rights;
}

/* I11: a right that the slot, its log or the view does not give. */
static void audit_rights(struct audit *audit, const struct spot *spot, const struct memslot *slot)
{
	unsigned int rights = audit->mmu->config.format->rights(spot->spte);
	bool writable = (rights & SPTE_WRITE) != 0;

	if (audit->changing) {
		return; /* published first, taken away then */
	}
	FOUND(audit, writable && (slot->flags & MEMSLOT_READ_ONLY), RULE_I11, SPOT(spot),
	      .text = "a writable SPTE in a read-only slot");
	FOUND(audit, writable && (slot->flags & MEMSLOT_LOG_DIRTY) && !is_dirty(audit, spot, slot),
	      RULE_I11, SPOT(spot), .text = "a writable SPTE over a page that is clean in the log");
	FOUND(audit, rights & ~view_rights(audit, spot), RULE_I11, SPOT(spot),
	      .text = "an SPTE with more rights than its view allows");
}

static void audit_leaf(struct audit *audit, const struct spot *spot)
{
	const struct memslot *slot = audit_slot(audit, spot->gfn);
	uint64_t frames = level_frames(spot->level);
	uint64_t mapped = spte_pfn(spot->spte).v;

	audit->out->leaves++;
	audit_spend(audit, frames / SPTE_PER_TABLE);
	FOUND(audit, is_foreign(audit, spot), RULE_I4, SPOT(spot),
	      .text = "a leaf maps a frame that is not the partition's");
	if (DATA_FOUND(audit, !slot, RULE_I1, SPOT(spot), .text = "a leaf outlived its slot")) {
		return;
	}
	FOUND(audit, slot->id != spte_slot(spot->spte), RULE_I13, SPOT(spot),
	      .text = "a leaf carries the id of another slot");
	if (FOUND(audit, spot->gfn.v + frames > slot->gfn.v + slot->page_count, RULE_I12,
		  SPOT(spot), .text = "a leaf reaches out of its slot")) {
		return;
	}
	FOUND(audit, (spot->gfn.v | mapped) % frames != 0, RULE_I12, SPOT(spot),
	      .text = "a large leaf whose gfn or pfn is not aligned");
	DATA_FOUND(audit, is_elsewhere(audit, spot, slot), RULE_I2, SPOT(spot),
		   .text = "a leaf does not map the slot's frame");
	audit_rights(audit, spot, slot);
	audit_leaf_rmap(audit, spot, slot);
}

static void audit_mmio(struct audit *audit, const struct spot *spot)
{
	if (!spte_mmio_is_current(spot->spte, audit->slots->generation)) {
		return; /* stale: replaced by the next fault there */
	}
	FOUND(audit, spte_mmio_gfn(spot->spte).v != spot->gfn.v, RULE_I8, SPOT(spot),
	      .text = "an MMIO SPTE of another gfn");
	FOUND(audit, audit_slot(audit, spot->gfn) != NULL, RULE_I8, SPOT(spot),
	      .text = "a current MMIO SPTE in a memslot's range");
}

/* Role, key and parent of the table under an entry; it when it can be walked, else NULL. */
static struct table *audit_link(struct audit *audit, const struct spot *spot)
{
	struct table *child = audit_header(audit, pfn_to_hpa(spte_pfn(spot->spte)));

	if (DATA_FOUND(audit, !child || child->state != TABLE_LINKED, RULE_I14, SPOT(spot),
		       .text = "an SPTE points at something that is not a live table")) {
		return NULL;
	}
	FOUND(audit,
	      role_level(child->role) != spot->level - 1 || role_view(child->role) != spot->view ||
		      FIELD_GET(ROLE_FORMAT, child->role) != audit->mmu->config.format->id ||
		      FIELD_GET(ROLE_ROOT, child->role) != FIELD_GET(ROLE_ROOT, spot->table->role),
	      RULE_I14, SPOT(spot), .text = "a table of another role is linked");
	FOUND(audit, child->gfn.v != spot->gfn.v, RULE_I13, SPOT(spot),
	      .text = "a table of another gfn is linked");
	FOUND(audit, child->generation > (uint32_t)audit->slots->generation, RULE_I13, SPOT(spot),
	      .text = "a table from a generation that is yet to come");
	FOUND(audit, child->parent.v != spot->sptep.v, RULE_I13, SPOT(spot),
	      .text = "a table does not know the SPTE that links it");
	if (FOUND(audit, audit->whole && child->seen == audit->stamp, RULE_I14, SPOT(spot),
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

/* One entry; the table under it when there is one that can be walked. */
static struct table *audit_entry(struct audit *audit, const struct spot *spot)
{
	const struct spte_format *format = audit->mmu->config.format;

	audit_spend(audit, 1);
	if (spot->spte.v == 0) {
		return NULL;
	}
	if (DATA_FOUND(audit, spte_is_frozen(spot->spte), RULE_I3, SPOT(spot),
		       .text = "an SPTE is frozen and nobody works on it")) {
		return NULL;
	}
	if (spot->level == 1 && format->is_mmio(spot->spte)) {
		audit_mmio(audit, spot);
		return NULL;
	}
	if (DATA_FOUND(audit, is_malformed(audit, spot), RULE_I3, SPOT(spot),
		       .text = "an SPTE has a reserved bit")) {
		return NULL;
	}
	if (format->is_leaf(spot->spte, spot->level)) {
		audit_leaf(audit, spot);
		return NULL;
	}
	return audit_link(audit, spot);
}

/* An entry of a table that is at `level` of a view and covers what begins at `first`. */
static struct spot spot_at(const struct audit *audit, const struct table *table, unsigned int level,
			   gfn_t first, unsigned int index)
{
	return (struct spot){
		.table = table,
		.index = index,
		.level = level,
		.view = role_view(table->role),
		.gfn = gfn(first.v + index * level_frames(level)),
		.sptep = table_sptep(audit->mmu, table, index),
		.spte = table_get(audit->mmu, table, index),
	};
}

/* I5: `count` is how many entries were found in the table. */
static void audit_count(struct audit *audit, const struct table *table, unsigned int level,
			unsigned int view, unsigned int count)
{
	FOUND(audit, count != table_count(table) || (count == 0 && level < SPTE_LEVELS), RULE_I5,
	      .view = view, .level = level, .has_gfn = true, .gfn = table->gfn.v,
	      .sptep = table_sptep(audit->mmu, table, 0).v,
	      .text = "a table's count is not the number of its entries");
}

/*
 * See audit.h. Level, view and gfn are those of the way that led here, not the header's.
 * Recursion ends at level 1 by the argument, not by what is in memory.
 */
void audit_tree(struct audit *audit, struct table *table, unsigned int level, unsigned int view,
		gfn_t first)
{
	unsigned int count = 0;

	table->seen = audit->stamp;
	audit->out->tables++;
	for (unsigned int i = 0; i < SPTE_PER_TABLE; i++) {
		struct table *child;
		struct spot spot;

		if (spte_is_empty(table_get(audit->mmu, table, i))) {
			continue;
		}
		count++;
		spot = spot_at(audit, table, level, first, i);
		spot.view = view;
		child = audit_entry(audit, &spot);
		if (child && level > 1) {
			audit_tree(audit, child, level - 1, view, spot.gfn);
		}
	}
	audit_count(audit, table, level, view, count);
}

/* A role that a table can have. */
static bool is_role(const struct audit *audit, uint32_t role)
{
	unsigned int level = role_level(role);

	return level > 0 && level <= SPTE_LEVELS && role_view(role) < MMU_VIEWS_MAX &&
	       FIELD_GET(ROLE_FORMAT, role) == audit->mmu->config.format->id;
}

/* The place in the tree that a header claims: an entry of a live table above it, or a root. */
static bool is_in_place(const struct audit *audit, const struct table *table)
{
	const struct mmu_root *root = &audit->mmu->root_store[FIELD_GET(ROLE_ROOT, table->role)];
	const struct table *parent = audit_header(audit, table->parent);
	unsigned int above = role_level(table->role) + 1;
	struct spot link;

	if (above > SPTE_LEVELS) {
		return root->table == table && root->view == role_view(table->role) &&
		       table->parent.v == 0 && table->gfn.v == 0;
	}
	if (!parent || parent->state != TABLE_LINKED || parent->role != table->role + 1) {
		return false;
	}
	link = spot_at(audit, parent, above, parent->gfn,
		       (unsigned int)(table->parent.v % PAGE_SIZE / sizeof(spte_t)));
	return link.sptep.v == table->parent.v && link.gfn.v == table->gfn.v &&
	       spte_is_table(link.spte, above) &&
	       spte_pfn(link.spte).v == table_pfn(audit->mmu, table).v;
}

/* The header, and the count of the entries; false: the entries cannot be read by it. */
static bool audit_table_header(struct audit *audit, const struct table *table)
{
	unsigned int level = role_level(table->role);
	unsigned int view = role_view(table->role);

	if (FOUND(audit, table->state != TABLE_LINKED || !is_role(audit, table->role), RULE_I14,
		  .view = view, .level = level, .has_gfn = true, .gfn = table->gfn.v,
		  .text = "a live table has no role")) {
		return false;
	}
	FOUND(audit, !is_in_place(audit, table), RULE_I14, .view = view, .level = level,
	      .has_gfn = true, .gfn = table->gfn.v, .sptep = table->parent.v,
	      .text = "a live table that no table above it links");
	audit_spend(audit, SPTE_PER_TABLE / 8); /* cheap: no entry is followed */
	audit_count(audit, table, level, view, table_count_entries(audit->mmu, table));
	return true;
}

/* See audit.h. The table may be another one than at the last call: its header says what it is. */
bool audit_table(struct audit *audit, struct table *table, uint64_t *index)
{
	unsigned int level = role_level(table->role);

	if (table->state == TABLE_NONE || (*index == 0 && !audit_table_header(audit, table)) ||
	    !is_role(audit, table->role)) {
		return true;
	}
	for (; *index < SPTE_PER_TABLE; ++*index) {
		struct spot spot = spot_at(audit, table, level, table->gfn, (unsigned int)*index);

		if (audit->left == 0) {
			return false;
		}
		(void)audit_entry(audit, &spot);
		if (spte_is_present(spot.spte)) {
			audit_spend(audit, PRESENT_ENTRIES);
		}
	}
	audit->out->tables++;
	return true;
}
