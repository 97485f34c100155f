/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Table pages and the function that stores SPTEs. The idea: every change is described
 * first (struct change), then each rule that forbids it is asked (check_change(), in
 * table_check.c), then memory for the rmap is taken; after that the entry is claimed by
 * compare-and-swap, and the rmap, the count and the store follow, in this order: whoever sees
 * a leaf finds it in the rmap, whoever sees an entry finds it counted.
 *
 *     empty --CAS--> FROZEN --> rmap, count --store--> leaf       a fault that meets FROZEN
 *                                                                  tries again
 */
#include "mm/table.h"

#include "mm/frames.h"
#include "mm/table_check.h"

/* A page from the pool, UNLINKED, for `role` from `frame` on; NULL when the pool is empty. */
struct table *table_alloc(struct mmu_held held, uint32_t role, gfn_t frame)
{
	struct mmu *mmu = held.mmu;
	void *page = cache_take_page(held.cache);
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
	/* Field by field: a fault that remembers the table may look at its state just now. */
	table->gfn = frame;
	table->parent = hpa(0);
	table->role = role;
	table->generation = (uint32_t)held.cache->slots->generation;
	atomic_store_explicit(&table->count, 0, memory_order_relaxed);
	table->seen = 0;
	table->next = TABLE_END;
	table_set_state(table, TABLE_UNLINKED);
	stat_count(&mmu->stats.tables, 1);
	return table;
}

/* Gives back a table that no CPU can know: it was never linked, or the flush is over. */
void table_free(struct mmu_held held, struct table *table)
{
	struct mmu *mmu = held.mmu;

	if (PARTITION_BUG_ON(
		    mmu->config.bug, table_count(table) != 0 || table->state == TABLE_LINKED,
		    RULE_I5, .view = role_view(table->role), .level = role_level(table->role),
		    .has_gfn = true, .gfn = table->gfn.v, .text = "a table in use is freed")) {
		return;
	}
	table_set_state(table, TABLE_NONE);
	stat_count(&mmu->stats.tables, -UINT64_C(1));
	pool_free_page(mmu->config.pool, hpa_to_ptr(pfn_to_hpa(table_pfn(mmu, table))));
}

/* Takes an unlinked table out of use; it is freed by the next table_flush(). */
void table_retire(struct mmu_held held, struct table *table)
{
	table_set_state(table, TABLE_RETIRED);
	table->next = held.mmu->retired_tables;
	held.mmu->retired_tables = (uint32_t)(table - held.mmu->tables);
	table_flush_later(held, role_view(table->role), table->gfn,
			  level_frames(role_level(table->role) + 1));
}

/* Memory for the rmap entry of a leaf that comes. */
static int reserve_rmap(struct mmu_held held, const struct change *c, struct rmap_path *path)
{
	enum rmap_result result =
		rmap_reserve(&c->mmu->rmap, held.cache, c->slot, c->gfn, c->level, path);

	if (PARTITION_DATA_BUG_ON(c->mmu->config.bug, result == RMAP_DAMAGED, RULE_I2, NEW_PLACE(c),
				  .text = "rmap storage leads out of the pool")) {
		return -EIO;
	}
	return result == RMAP_OK ? 0 : -ENOMEM;
}

/* After reserve_rmap(), which has seen to the memory. */
static int add_rmap(struct mmu_held held, const struct change *c, struct rmap_path *path)
{
	enum rmap_result result = rmap_add(&c->mmu->rmap, held.cache, path, change_sptep(c));

	if (PARTITION_DATA_BUG_ON(c->mmu->config.bug, result == RMAP_DUPLICATE, RULE_I1,
				  NEW_PLACE(c), .rmap_head = rmap_word_get(path->head),
				  .text = "rmap add: the SPTE is there already") ||
	    PARTITION_DATA_BUG_ON(c->mmu->config.bug, result != RMAP_OK, RULE_I2, NEW_PLACE(c),
				  .rmap_head = rmap_word_get(path->head),
				  .text = "rmap add: the chain is damaged")) {
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
	uint64_t head = path.head ? rmap_word_get(path.head) : 0;

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

/* A child's header is right before a CPU can reach the child. */
static void link_child(const struct change *c)
{
	struct table *child = table_of(c->mmu, spte_pfn(c->new));

	child->parent = change_sptep(c);
	table_set_state(child, TABLE_LINKED);
}

static _Atomic uint64_t *change_entry(const struct change *c)
{
	return &table_entries(c->mmu, c->table)[c->index];
}

/* The entry from what was seen to FROZEN; -EAGAIN when it is something else by now. */
static int claim(const struct change *c)
{
	uint64_t seen = c->old.v;

	/* Acquire: what was done to the entry before is seen. */
	return RETRY_ON(!atomic_compare_exchange_strong_explicit(change_entry(c), &seen,
								 SPTE_FROZEN, memory_order_acquire,
								 memory_order_relaxed))
		       ? -EAGAIN
		       : 0;
}

/* Release: who sees the value, a CPU that walks to a new table too, sees what it stands for. */
static void publish(const struct change *c, spte_t value)
{
	atomic_store_explicit(change_entry(c), value.v, memory_order_release);
}

/*
 * Something comes where nothing present was, with the entry claimed: rmap, count, child, and
 * the value last. On an error the old value is there again, but for -EIO.
 */
static int install(struct mmu_held held, struct change *c)
{
	bool leaf = spte_is_leaf(c->new, c->level);
	struct rmap_path path;
	int error = leaf ? reserve_rmap(held, c, &path) : 0;

	if (!error && leaf) {
		error = add_rmap(held, c, &path);
	}
	if (error) {
		publish(c, c->old);
		return error;
	}
	if (spte_is_empty(c->old)) {
		/* Relaxed: the value is published after it. */
		atomic_fetch_add_explicit(&c->table->count, 1, memory_order_relaxed);
	}
	if (spte_is_present(c->new) && !leaf) {
		link_child(c);
	}
	publish(c, c->new);
	return 0;
}

/* A present entry becomes another: more or less rights, or the same pages by smaller leaves. */
static int replace(struct mmu_held held, struct change *c)
{
	const struct spte_format *format = c->mmu->config.format;
	uint64_t seen = c->old.v;
	bool splits = spte_is_leaf(c->old, c->level) && !spte_is_leaf(c->new, c->level);

	if (splits) {
		link_child(c);
	}
	while (RETRY_ON(!atomic_compare_exchange_strong_explicit(
		change_entry(c), &seen, c->new.v, memory_order_acq_rel, memory_order_relaxed))) {
		/* The CPU sets accessed and dirty bits at any time; others wait for the lock. */
		if (held_is_shared(held) ||
		    ((seen ^ c->old.v) & ~(format->accessed | format->dirty))) {
			return -EAGAIN;
		}
		c->old.v = seen;
	}
	if (splits || (format->rights(c->old) & ~format->rights(c->new))) {
		table_flush_later(held, role_view(c->table->role), c->gfn, level_frames(c->level));
	}
	return splits ? remove_rmap(c) : 0;
}

/* Something goes. Only the CPU's accessed and dirty bits can have changed meanwhile. */
static int take_out(struct mmu_held held, struct change *c)
{
	bool leaf = spte_is_leaf(c->old, c->level);

	atomic_store_explicit(change_entry(c), 0, memory_order_relaxed);
	atomic_fetch_sub_explicit(&c->table->count, 1, memory_order_relaxed);
	if (!spte_is_present(c->old)) {
		return 0;
	}
	table_flush_later(held, role_view(c->table->role), c->gfn, level_frames(c->level));
	if (leaf) {
		stat_count(&c->mmu->stats.zaps, 1);
		return remove_rmap(c);
	}
	table_of(c->mmu, spte_pfn(c->old))->parent = hpa(0);
	table_retire(held, table_of(c->mmu, spte_pfn(c->old)));
	return 0;
}

static struct change describe(struct mmu_held held, struct table *table, unsigned int index,
			      spte_t old, spte_t new)
{
	return (struct change){
		.mmu = held.mmu,
		.slots = held.cache->slots,
		.table = table,
		.index = index,
		.level = role_level(table->role),
		.gfn = table_entry_gfn(table, index),
		.old = old,
		.new = new,
	};
}

/*
 * The function that stores SPTEs (and fill_plainly() of fault_plain.c): entry `index` of
 * `table` from `old` to `new`. 0; -EAGAIN and nothing stored when another value is there;
 * -ENOMEM and nothing stored when the rmap has no memory; -EIO when a rule forbids it (the
 * partition is bugged, and what was stored is not trusted any more). With the lock shared,
 * nothing present goes and no large leaf is split.
 */
int table_store(struct mmu_held held, struct table *table, unsigned int index, spte_t old,
		spte_t new)
{
	struct change c = describe(held, table, index, old, new);
	int error = change_check(&c);

	if (error) {
		return error;
	}
	if (spte_is_empty(new)) {
		return take_out(held, &c);
	}
	if (spte_is_present(old)) {
		return replace(held, &c);
	}
	error = claim(&c);
	return error ? error : install(held, &c);
}

/* Freezes an empty entry for the caller alone; false: it is not empty any more. */
bool table_claim(struct mmu_held held, struct table *table, unsigned int index)
{
	struct change c = describe(held, table, index, (spte_t){ 0 }, (spte_t){ 0 });

	return claim(&c) == 0;
}

/* table_store() from empty to `new` where table_claim() was true; also ends the claim. */
int table_store_claimed(struct mmu_held held, struct table *table, unsigned int index, spte_t new)
{
	struct change c = describe(held, table, index, (spte_t){ 0 }, new);
	int error = change_check(&c);

	return error ? error : install(held, &c);
}

/* Ends a claim with nothing stored. */
void table_unclaim(struct mmu_held held, struct table *table, unsigned int index)
{
	struct change c = describe(held, table, index, (spte_t){ 0 }, (spte_t){ 0 });

	publish(&c, c.old);
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
