/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Table pages and the one function that stores SPTEs, table_store(). The idea: every change
 * is described first (struct change), then each rule that forbids it is asked, then memory
 * for the rmap is taken; after that nothing can fail, and the store, the rmap, the counts
 * and the pending flush follow in this order.
 *
 *              new:  empty        MMIO         leaf               table
 *     old: empty     .            I8           I2 I4 I11 I12 I13  I5 I14
 *          MMIO      .            I8           I2 I4 I11 I12 I13  (zap first)
 *          leaf      I1 I2 I4     never, I15   same pfn, I15      never, I15
 *          table     I5 I14       never, I15   never, I12         same table, I14
 *     Any new value: I3, and I6 unless it is empty. Any old value that goes away: I3.
 */
#include "mm/table.h"

#include "mm/frames.h"

struct change {
	struct mmu *mmu;
	struct table *table;
	unsigned int index;
	unsigned int level;
	gfn_t gfn;
	spte_t old;
	spte_t new;
	const struct memslot *slot; /* of the leaf that comes or goes */
};

#define CHANGE_PLACE(c, value)                                                       \
	.view = role_view((c)->table->role), .level = (c)->level, .has_gfn = true,   \
	.gfn = (c)->gfn.v, .sptep = table_sptep((c)->mmu, (c)->table, (c)->index).v, \
	.spte = (value).v
#define OLD_PLACE(c) CHANGE_PLACE(c, (c)->old)
#define NEW_PLACE(c) CHANGE_PLACE(c, (c)->new)

/* A page from the pool, UNLINKED, for `role` from `frame` on; NULL when the pool is empty. */
struct table *table_alloc(struct mmu_held held, uint32_t role, gfn_t frame)
{
	struct mmu *mmu = held.mmu;
	void *page = pool_alloc_page(mmu->config.pool);
	struct table *table;

	if (!page) {
		return NULL;
	}
	table = &mmu->tables[hpa_to_pfn(ptr_to_hpa(page)).v - mmu->pool_start.v];
	if (PARTITION_DATA_BUG_ON(mmu->config.bug, table->state != TABLE_NONE, RULE_I14,
				  .view = role_view(role), .level = role_level(role),
				  .has_gfn = true, .gfn = frame.v,
				  .text = "the pool gave out a page that is a live table")) {
		return NULL;
	}
	*table = (struct table){
		.gfn = frame,
		.role = role,
		.generation = (uint32_t)atomic_load_explicit(&mmu->slots, memory_order_relaxed)
				      ->generation,
		.state = TABLE_UNLINKED,
		.next = TABLE_END,
	};
	mmu->stats.tables++;
	return table;
}

/* Gives back a table that no CPU can know: it was never linked, or the flush is over. */
void table_free(struct mmu_held held, struct table *table)
{
	struct mmu *mmu = held.mmu;

	if (PARTITION_BUG_ON(mmu->config.bug, table->count != 0 || table->state == TABLE_LINKED,
			     RULE_I5, .view = role_view(table->role),
			     .level = role_level(table->role), .has_gfn = true, .gfn = table->gfn.v,
			     .text = "a table in use is freed")) {
		return;
	}
	table->state = TABLE_NONE;
	mmu->stats.tables--;
	pool_free_page(mmu->config.pool, hpa_to_ptr(pfn_to_hpa(table_pfn(mmu, table))));
}

/* Takes an unlinked table out of use; it is freed by the next table_flush(). */
void table_retire(struct mmu_held held, struct table *table)
{
	table->state = TABLE_RETIRED;
	table->next = held.mmu->retired_tables;
	held.mmu->retired_tables = (uint32_t)(table - held.mmu->tables);
	held.mmu->flush_pending = true;
}

/* Lets every CPU forget what was zapped, if something was, then frees what was retired. */
void table_flush(struct mmu_held held)
{
	struct mmu *mmu = held.mmu;

	if (!mmu->flush_pending) {
		return;
	}
	mmu->flush_pending = false;
	mmu->stats.flushes++;
	mmu->config.ops->flush(mmu->config.context);
	while (mmu->retired_tables != TABLE_END) {
		struct table *table = &mmu->tables[mmu->retired_tables];

		mmu->retired_tables = table->next;
		table_free(held, table);
	}
}

static bool leaf_is_owned(const struct change *c, spte_t leaf)
{
	struct frame_info ours = { c->mmu->config.owner, FRAME_PRIVATE };

	return frames_all(spte_pfn(leaf), level_frames(c->level), ours);
}

static const struct memslots *change_slots(const struct change *c)
{
	/* Relaxed: arrays are published under the lock that is held. */
	return atomic_load_explicit(&c->mmu->slots, memory_order_relaxed);
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
	    PARTITION_BUG_ON(bug, changes && was_leaf && !is_leaf, RULE_I15, OLD_PLACE(c),
			     .text = "a table would overwrite a leaf") ||
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

/* A leaf that comes, or stays with other rights. Sets c->slot. */
static int check_new_leaf(struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	bool writable = (c->new.v &SPTE_WRITABLE) != 0;
	uint64_t frames = level_frames(c->level);
	const struct memslot *slot;

	slot = memslot_by_id(change_slots(c), spte_slot(c->new));
	c->slot = slot;
	if (PARTITION_BUG_ON(bug, !leaf_is_owned(c, c->new), RULE_I4, NEW_PLACE(c),
			     .text = "a leaf would map a frame that is not the partition's") ||
	    PARTITION_BUG_ON(bug, !slot || (slot->flags & MEMSLOT_INVALID), RULE_I13, NEW_PLACE(c),
			     .text = "a leaf is installed for a slot that is gone") ||
	    PARTITION_BUG_ON(bug,
			     !memslot_covers(slot, c->gfn) ||
				     c->gfn.v - slot->gfn.v + frames > slot->page_count,
			     RULE_I12, NEW_PLACE(c),
			     .text = "a leaf would reach out of its slot") ||
	    PARTITION_BUG_ON(bug, spte_pfn(c->new).v != memslot_pfn(slot, c->gfn).v, RULE_I2,
			     NEW_PLACE(c), .text = "a leaf would not map the slot's frame") ||
	    PARTITION_BUG_ON(bug, writable && (slot->flags & MEMSLOT_READ_ONLY), RULE_I11,
			     NEW_PLACE(c), .text = "a writable SPTE in a read-only slot")) {
		return -EIO;
	}
	return 0;
}

/* A leaf that goes. Sets c->slot. */
static int check_old_leaf(struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslot *slot = memslot_by_id(change_slots(c), spte_slot(c->old));

	c->slot = slot;
	if (PARTITION_DATA_BUG_ON(bug, !leaf_is_owned(c, c->old), RULE_I4, OLD_PLACE(c),
				  .text = "a leaf maps a frame that is not the partition's") ||
	    PARTITION_DATA_BUG_ON(bug, !slot || !memslot_covers(slot, c->gfn), RULE_I1,
				  OLD_PLACE(c), .text = "a leaf outlived its slot") ||
	    PARTITION_DATA_BUG_ON(bug, spte_pfn(c->old).v != memslot_pfn(slot, c->gfn).v, RULE_I2,
				  OLD_PLACE(c), .text = "a leaf does not map the slot's frame")) {
		return -EIO;
	}
	return 0;
}

static int check_new_mmio(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct memslots *slots = change_slots(c);

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
	    PARTITION_BUG_ON(bug, child->count == 0, RULE_I5, NEW_PLACE(c),
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
	    PARTITION_BUG_ON(bug, child->count != 0 || table_count_entries(c->mmu, child) != 0,
			     RULE_I5, OLD_PLACE(c),
			     .text = "a table is unlinked before it is empty")) {
		return -EIO;
	}
	return 0;
}

/* What holds for any store: the table, the values, the count. */
static int check_any(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	const struct spte_limits *limits = &c->mmu->spte_limits;
	const struct mmu_root *root = &c->mmu->root_store[FIELD_GET(ROLE_ROOT, c->table->role)];
	/* Entries that the table must have room for, or must have. */
	unsigned int least = spte_is_empty(c->old) ? 0 : 1;
	unsigned int most = spte_is_empty(c->old) ? SPTE_PER_TABLE - 1 : SPTE_PER_TABLE;

	if (PARTITION_BUG_ON(bug, !spte_is_empty(c->new) && !root->valid, RULE_I6, NEW_PLACE(c),
			     .text = "an SPTE is installed under an invalid root") ||
	    PARTITION_BUG_ON(bug, c->table->state == TABLE_RETIRED, RULE_I14, NEW_PLACE(c),
			     .text = "an SPTE is stored in a retired table") ||
	    PARTITION_BUG_ON(bug, spte_check(limits, c->new, c->level) != RULE_NONE, RULE_I3,
			     NEW_PLACE(c), .text = "an SPTE with a reserved bit is stored") ||
	    PARTITION_DATA_BUG_ON(bug,
				  !spte_is_empty(c->old) &&
					  spte_check(limits, c->old, c->level) != RULE_NONE,
				  RULE_I3, OLD_PLACE(c), .text = "an SPTE has a reserved bit") ||
	    PARTITION_BUG_ON(bug, c->table->count < least || c->table->count > most, RULE_I5,
			     OLD_PLACE(c), .text = "a table's count and its entries differ")) {
		return -EIO;
	}
	return 0;
}

/* Everything that forbids the change. Touches nothing. */
static inline int check_change(struct change *c)
{
	int error = spte_is_present(c->old) ? check_kinds(c) : 0;

	if (!error) {
		error = check_any(c);
	}
	if (error) {
		return error;
	}
	if (spte_is_present(c->new)) {
		if (spte_is_leaf(c->new, c->level)) {
			return check_new_leaf(c);
		}
		return spte_is_present(c->old) ? 0 : check_new_table(c);
	}
	if (spte_is_present(c->old)) {
		return spte_is_leaf(c->old, c->level) ? check_old_leaf(c) : check_old_table(c);
	}
	return spte_is_empty(c->new) ? 0 : check_new_mmio(c);
}

static hpa_t change_sptep(const struct change *c)
{
	return table_sptep(c->mmu, c->table, c->index);
}

/* Memory for the rmap entry of a leaf that comes. */
static int reserve_rmap(const struct change *c, struct rmap_path *path)
{
	enum rmap_result result = rmap_reserve(&c->mmu->rmap, c->slot, c->gfn, c->level, path);

	if (PARTITION_DATA_BUG_ON(c->mmu->config.bug, result == RMAP_DAMAGED, RULE_I2, NEW_PLACE(c),
				  .text = "rmap storage leads out of the pool")) {
		return -EIO;
	}
	return result == RMAP_OK ? 0 : -ENOMEM;
}

static int add_rmap(const struct change *c, struct rmap_path *path)
{
	enum rmap_result result = rmap_add(&c->mmu->rmap, path, change_sptep(c));
	uint64_t head = *path->head;

	if (PARTITION_DATA_BUG_ON(c->mmu->config.bug, result == RMAP_DUPLICATE, RULE_I1,
				  NEW_PLACE(c), .rmap_head = head,
				  .text = "rmap add: the SPTE is there already") ||
	    PARTITION_DATA_BUG_ON(c->mmu->config.bug, result != RMAP_OK, RULE_I2, NEW_PLACE(c),
				  .rmap_head = head, .text = "rmap add: the chain is damaged")) {
		return -EIO;
	}
	return 0;
}

/* The three violations of a removal, and two more that a damaged chain has. */
static int remove_rmap(const struct change *c)
{
	struct bug_state *bug = c->mmu->config.bug;
	struct rmap *rmap = &c->mmu->rmap;
	struct rmap_path path;
	enum rmap_result result = rmap_find(rmap, c->slot, c->gfn, c->level, &path);
	uint64_t head = path.head ? *path.head : 0;

	if (result == RMAP_OK) {
		result = rmap_remove(rmap, &path, change_sptep(c));
	}
	if (PARTITION_DATA_BUG_ON(bug, result == RMAP_EMPTY, RULE_I1, OLD_PLACE(c),
				  .rmap_head = head, .text = "rmap remove: the head is empty") ||
	    PARTITION_DATA_BUG_ON(bug, result == RMAP_OTHER, RULE_I1, OLD_PLACE(c),
				  .rmap_head = head,
				  .text = "rmap remove: the head holds another SPTE") ||
	    PARTITION_DATA_BUG_ON(bug, result == RMAP_MISSING, RULE_I1, OLD_PLACE(c),
				  .rmap_head = head,
				  .text = "rmap remove: the chain does not hold the SPTE") ||
	    PARTITION_DATA_BUG_ON(bug, result == RMAP_TWICE, RULE_I1, OLD_PLACE(c),
				  .rmap_head = head,
				  .text = "rmap remove: the chain holds the SPTE twice") ||
	    PARTITION_DATA_BUG_ON(bug, result != RMAP_OK, RULE_I2, OLD_PLACE(c), .rmap_head = head,
				  .text = "rmap remove: damaged storage")) {
		return -EIO;
	}
	return 0;
}

/* A table entry came or went: its table's header follows. */
static void relink(struct mmu_held held, const struct change *c)
{
	struct table *child = table_of(c->mmu, spte_pfn(spte_is_present(c->new) ? c->new : c->old));

	if (spte_is_present(c->new)) {
		child->state = TABLE_LINKED;
		child->parent = change_sptep(c);
	} else {
		child->parent = hpa(0);
		table_retire(held, child);
	}
}

/*
 * The one function that stores SPTEs. Entry `index` of `table` becomes `new`; the old value
 * is read here. 0; -ENOMEM and nothing stored, when the rmap has no memory; -EIO when a rule
 * forbids it (the partition is bugged, and what was stored is not trusted any more).
 */
int table_store(struct mmu_held held, struct table *table, unsigned int index, spte_t new)
{
	struct mmu *mmu = held.mmu;
	struct change c = {
		.mmu = mmu,
		.table = table,
		.index = index,
		.level = role_level(table->role),
		.gfn = table_entry_gfn(table, index),
		.old = table_get(mmu, table, index),
		.new = new,
	};
	bool was_present = spte_is_present(c.old);
	bool is_present = spte_is_present(new);
	bool leaf = spte_is_leaf(is_present ? new : c.old, c.level);
	struct rmap_path path;
	int error = check_change(&c);

	if (!error && is_present && !was_present && leaf) {
		error = reserve_rmap(&c, &path);
	}
	if (error) {
		return error;
	}
	/* Release: a CPU that walks to a new table sees its entries. */
	atomic_store_explicit(&table_entries(mmu, table)[index], new.v, memory_order_release);
	table->count = (uint16_t)(table->count + !spte_is_empty(new) - !spte_is_empty(c.old));
	if (was_present != is_present) {
		if (!leaf) {
			relink(held, &c);
		} else {
			error = is_present ? add_rmap(&c, &path) : remove_rmap(&c);
		}
	}
	if (was_present && !is_present) {
		mmu->stats.zaps += leaf;
		mmu->flush_pending = true;
	}
	return error;
}

/*
 * Writes past every check, for fault injection (mm/inject.c), and only that: it is how the
 * tests show that damage is found. The CPUs' caches are dropped by the caller.
 */
void table_damage(struct mmu_held held, struct table *table, unsigned int index, spte_t value)
{
	atomic_store_explicit(&table_entries(held.mmu, table)[index], value.v,
			      memory_order_release);
}
