/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What forbids a change of an SPTE, rule by rule. Nothing is stored here.
 *
 *              new:  empty        MMIO         leaf               table
 *     old: empty     .            I8           I2 I4 I11 I12 I13  I5 I14
 *          MMIO      .            I8           I2 I4 I11 I12 I13  (zap first)
 *          leaf      I1 I2 I4     never, I15   same pfn, I15      same pages, I15
 *          table     I5 I14       never, I15   never, I12         same table, I14
 *     Any new value: I3, and I6 if it adds something. Any old value that goes away: I3.
 */
#include "mm/table_check.h"

#include "mm/frames.h"

static bool leaf_is_allowed(const struct change *c, spte_t leaf)
{
	return frames_may_map(spte_pfn(leaf), level_frames(c->level), c->mmu->config.owner,
			      c->mmu->config.format->rights(leaf));
}

/* The frame that the slot has for the leaf's first page, wherever it is (backing.h). */
static bool leaf_is_backed(const struct change *c, spte_t leaf)
{
	const struct backing *backing = &c->mmu->backing[c->slot->id];
	pfn_t frame = memslot_pfn(c->slot, c->gfn);

	if (!backing_is_plain(backing, c->slot) &&
	    (!backing_get(backing, c->slot, c->gfn, &frame) ||
	     backing_level(backing, c->slot, c->gfn, c->level) < c->level)) {
		return false;
	}
	return spte_pfn(leaf).v == frame.v;
}

/*
 * True when the new table, not linked yet, maps each page of the old large leaf to the same
 * frame, with no right that the leaf did not have.
 */
static bool is_same_by_smaller(const struct change *c)
{
	const struct spte_format *format = c->mmu->config.format;
	const struct table *child = table_of(c->mmu, spte_pfn(c->new));
	uint64_t step = level_frames(c->level - 1);

	if (!child || table_count(child) != SPTE_PER_TABLE) {
		return false;
	}
	for (unsigned int i = 0; i < SPTE_PER_TABLE; i++) {
		spte_t small = table_get(c->mmu, child, i);

		if (!spte_is_leaf(small, c->level - 1) ||
		    spte_pfn(small).v != spte_pfn(c->old).v + i * step ||
		    spte_slot(small) != spte_slot(c->old) ||
		    (format->rights(small) & ~format->rights(c->old))) {
			return false;
		}
	}
	return true;
}

/* What may follow something present, whatever the values: I15, I12, I14. */
static int check_kinds(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	bool was_leaf = spte_is_leaf(c->old, c->level);
	bool is_leaf = spte_is_leaf(c->new, c->level);
	bool changes = spte_is_present(c->new);
	bool same_pfn = spte_pfn(c->old).v == spte_pfn(c->new).v;

	if (PARTITION_BUG_ON(bug, !spte_is_empty(c->new) && !changes, RULE_I15, OLD_PLACE(c),
			     .text = "an MMIO SPTE would overwrite a present one") ||
	    PARTITION_BUG_ON(bug, changes && was_leaf && !is_leaf && !is_same_by_smaller(c),
			     RULE_I15, OLD_PLACE(c),
			     .text = "a table would overwrite a leaf and not map the same") ||
	    PARTITION_BUG_ON(bug, changes && !was_leaf && is_leaf, RULE_I12, NEW_PLACE(c),
			     .text = "a large leaf would cover smaller SPTEs") ||
	    PARTITION_BUG_ON(bug, changes && was_leaf && is_leaf && !same_pfn, RULE_I15,
			     OLD_PLACE(c), .text = "a present leaf changes its pfn in one step") ||
	    PARTITION_BUG_ON(bug, changes && !was_leaf && !is_leaf && !same_pfn, RULE_I14,
			     OLD_PLACE(c), .text = "a linked table is replaced in one step")) {
		return -EIO;
	}
	return 0;
}

/* Only pages of 4 KiB are writable while writes are recorded. */
static bool leaf_is_dirty(const struct change *c)
{
	const struct dirty_log *log = &c->mmu->dirty[c->slot->id];

	return c->level == 1 && log->map && dirty_test(log, c->gfn.v - c->slot->gfn.v);
}

static bool view_allows(const struct change *c)
{
	unsigned int view = role_view(c->table->role);
	unsigned int rights = c->mmu->config.format->rights(c->new);

	if (likely(!view_is_limited(c->slots, view))) {
		return true;
	}
	return !(rights & ~memslots_view_rights(c->slots, view, c->gfn)) &&
	       memslots_view_level(c->slots, view, c->gfn, c->level) == c->level;
}

/*
 * True for a leaf of a table that a split fills, with no right that the large leaf has not. It
 * may come while slot or view are about to take such rights away: from whatever is there then.
 */
static bool is_inherited(const struct change *c)
{
	const struct spte_format *format = c->mmu->config.format;
	unsigned int index = (unsigned int)(c->table->parent.v % PAGE_SIZE / sizeof(spte_t));
	const struct table *parent;
	spte_t large;

	if (likely(c->table->state != TABLE_UNLINKED)) {
		return false;
	}
	parent = table_of(c->mmu, hpa_to_pfn(c->table->parent));
	large = parent ? table_get(c->mmu, parent, index) : (spte_t){ 0 };
	return spte_is_leaf(large, c->level + 1) &&
	       !(format->rights(c->new) & ~format->rights(large));
}

/* I11: no more rights than slot, log and view give. */
static int check_rights(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslot *slot = c->slot;
	bool writable = (c->new.v &SPTE_WRITABLE) != 0;
	bool logged = (slot->flags & MEMSLOT_LOG_DIRTY) != 0;

	if (PARTITION_BUG_ON(bug, writable && (slot->flags & MEMSLOT_READ_ONLY), RULE_I11,
			     NEW_PLACE(c), .text = "a writable SPTE in a read-only slot") ||
	    PARTITION_BUG_ON(bug, writable && logged && !leaf_is_dirty(c), RULE_I11, NEW_PLACE(c),
			     .text = "a writable SPTE over a page that is clean in the log") ||
	    PARTITION_BUG_ON(bug, !view_allows(c), RULE_I11, NEW_PLACE(c),
			     .text = "an SPTE with more rights than its view allows")) {
		return -EIO;
	}
	return 0;
}

/* A leaf that comes, or stays with other rights. Sets c->slot. */
static int check_new_leaf(struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslot *slot = memslot_by_id(c->slots, spte_slot(c->new));
	uint64_t frames = level_frames(c->level);
	bool inherited = is_inherited(c);

	c->slot = slot;
	if (PARTITION_BUG_ON(bug, !leaf_is_allowed(c, c->new), RULE_I4, NEW_PLACE(c),
			     .text = "a leaf would map a frame that is not the partition's") ||
	    PARTITION_BUG_ON(bug, !slot || ((slot->flags & MEMSLOT_INVALID) && !inherited),
			     RULE_I13, NEW_PLACE(c),
			     .text = "a leaf is installed for a slot that is gone") ||
	    PARTITION_BUG_ON(bug,
			     !memslot_covers(slot, c->gfn) ||
				     c->gfn.v - slot->gfn.v + frames > slot->page_count,
			     RULE_I12, NEW_PLACE(c),
			     .text = "a leaf would reach out of its slot") ||
	    PARTITION_BUG_ON(bug, !leaf_is_backed(c, c->new), RULE_I2, NEW_PLACE(c),
			     .text = "a leaf would not map the slot's frame")) {
		return -EIO;
	}
	return inherited ? 0 : check_rights(c);
}

/* A leaf that goes. Sets c->slot. */
static int check_old_leaf(struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslot *slot = memslot_by_id(c->slots, spte_slot(c->old));

	c->slot = slot;
	if (PARTITION_DATA_BUG_ON(bug, !leaf_is_allowed(c, c->old), RULE_I4, OLD_PLACE(c),
				  .text = "a leaf maps a frame that is not the partition's") ||
	    PARTITION_DATA_BUG_ON(bug, !slot || !memslot_covers(slot, c->gfn), RULE_I1,
				  OLD_PLACE(c), .text = "a leaf outlived its slot") ||
	    PARTITION_DATA_BUG_ON(bug, !leaf_is_backed(c, c->old), RULE_I2, OLD_PLACE(c),
				  .text = "a leaf does not map the slot's frame")) {
		return -EIO;
	}
	return 0;
}

static int check_new_mmio(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslots *slots = c->slots;

	if (PARTITION_BUG_ON(bug,
			     spte_mmio_gfn(c->new).v != c->gfn.v ||
				     !spte_mmio_is_current(c->new, slots->generation),
			     RULE_I8, NEW_PLACE(c),
			     .text = "an MMIO SPTE of another place or time") ||
	    PARTITION_BUG_ON(bug, memslots_overlap(slots, c->gfn, 1), RULE_I8, NEW_PLACE(c),
			     .text = "an MMIO SPTE in a memslot's range")) {
		return -EIO;
	}
	return 0;
}

/* A table that is linked. */
static int check_new_table(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct table *child = table_of(c->mmu, spte_pfn(c->new));

	if (PARTITION_BUG_ON(bug,
			     !child || child->state != TABLE_UNLINKED ||
				     child->role != c->table->role - 1,
			     RULE_I14, NEW_PLACE(c), .text = "a table of another role is linked") ||
	    PARTITION_BUG_ON(bug, child->gfn.v != c->gfn.v, RULE_I13, NEW_PLACE(c),
			     .text = "a table of another gfn is linked") ||
	    PARTITION_BUG_ON(bug, table_count(child) == 0, RULE_I5, NEW_PLACE(c),
			     .text = "an empty table is linked")) {
		return -EIO;
	}
	return 0;
}

/* A table that is unlinked. */
static int check_old_table(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct table *child = table_child(c->mmu, c->table, c->index, c->old);

	if (PARTITION_DATA_BUG_ON(bug, !child, RULE_I14, OLD_PLACE(c),
				  .text = "an SPTE points at something that is not its table") ||
	    PARTITION_BUG_ON(
		    bug, table_count(child) != 0 || table_count_entries(c->mmu, child) != 0,
		    RULE_I5, OLD_PLACE(c), .text = "a table is unlinked before it is empty")) {
		return -EIO;
	}
	return 0;
}

/* True when there is more afterwards than before: not for less rights, or a mark taken off. */
static bool adds(const struct change *c)
{
	const struct spte_format *format = c->mmu->config.format;

	if (!spte_is_present(c->old) || !spte_is_present(c->new)) {
		return !spte_is_empty(c->new);
	}
	return (format->rights(c->new) & ~format->rights(c->old)) != 0;
}

/* What holds for any store: the table, the values, the count. */
static int check_any(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct spte_limits *limits = &c->mmu->spte_limits;
	const struct mmu_root *root = &c->mmu->root_store[FIELD_GET(ROLE_ROOT, c->table->role)];
	unsigned int count = table_count(c->table);
	/* Entries that the table must have room for, or must have. */
	unsigned int least = spte_is_empty(c->old) ? 0 : 1;
	unsigned int most = spte_is_empty(c->old) ? SPTE_PER_TABLE - 1 : SPTE_PER_TABLE;

	if (PARTITION_BUG_ON(bug, unlikely(!root->valid) && adds(c), RULE_I6, NEW_PLACE(c),
			     .text = "an SPTE is installed under an invalid root") ||
	    PARTITION_BUG_ON(bug, c->table->state == TABLE_RETIRED, RULE_I14, NEW_PLACE(c),
			     .text = "an SPTE is stored in a retired table") ||
	    PARTITION_BUG_ON(bug, spte_check(limits, c->new, c->level) != RULE_NONE, RULE_I3,
			     NEW_PLACE(c), .text = "an SPTE with a reserved bit is stored") ||
	    PARTITION_DATA_BUG_ON(bug,
				  !spte_is_empty(c->old) &&
					  spte_check(limits, c->old, c->level) != RULE_NONE,
				  RULE_I3, OLD_PLACE(c), .text = "an SPTE has a reserved bit") ||
	    PARTITION_BUG_ON(bug, count < least || count > most, RULE_I5, OLD_PLACE(c),
			     .text = "a table's count and its entries differ")) {
		return -EIO;
	}
	return 0;
}

/* See table_check.h. */
int change_check(struct change *c)
{
	int error = spte_is_present(c->old) ? check_kinds(c) : 0;
	bool splits = spte_is_leaf(c->old, c->level) && spte_is_table(c->new, c->level);

	if (!error) {
		error = check_any(c);
	}
	if (!error && spte_is_present(c->old) && (spte_is_empty(c->new) || splits)) {
		error = spte_is_leaf(c->old, c->level) ? check_old_leaf(c) : check_old_table(c);
	}
	if (error || spte_is_empty(c->new)) {
		return error;
	}
	if (!spte_is_present(c->new)) {
		return check_new_mmio(c);
	}
	if (spte_is_leaf(c->new, c->level)) {
		return check_new_leaf(c);
	}
	return spte_is_table(c->old, c->level) ? 0 : check_new_table(c);
}
