/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested faults: a missing leaf is filled in, an access to no memory becomes an MMIO SPTE
 * (so that the next one is recognised by the CPU's own report), a malformed entry is told
 * from a stale one. The idea: find the table where the walk ends, make the tables that are
 * missing below it out of sight, fill them from the leaf upwards, and link the topmost last.
 *
 *     root . . > table            found by walking, or remembered from the last fault
 *                  |  <---------- linked last, so a CPU sees all of it or nothing
 *                 new table
 *                  |
 *                 new table -- leaf    stored first
 */
#include "lib/log.h"
#include "mm/table.h"

/* M6: as often may the same fault come back without anything to do. */
#define AGAIN_LIMIT 64
/* MMIO SPTEs are a convenience: none is made when less than this part of the pool is left. */
#define MMIO_POOL_SHARE 8

/* descend() from the root. NULL when the partition was found bugged on the way. */
static struct table *descend_from_root(struct mmu *mmu, const struct mmu_root *root, gfn_t frame,
				       spte_t *spte)
{
	struct table *table = root->table;

	for (unsigned int level = SPTE_LEVELS;; level--) {
		unsigned int index = level_index(frame, level);
		struct table *child;

		*spte = table_get(mmu, table, index);
		if (!spte_is_table(*spte, level)) {
			return table;
		}
		child = table_child(mmu, table, index, *spte);
		if (PARTITION_DATA_BUG_ON(
			    mmu->config.bug, !child, RULE_I14, .view = root->view, .level = level,
			    .has_gfn = true, .gfn = frame.v, .spte = spte->v,
			    .sptep = table_sptep(mmu, table, index).v,
			    .text = "an SPTE points at something that is not its table")) {
			return NULL;
		}
		table = child;
		if (level == 2) {
			mmu->last_table = table;
		}
	}
}

/*
 * The table at which the walk to `frame` ends, and the entry that it found there: a leaf, an
 * MMIO SPTE or nothing. NULL when the partition was found bugged on the way. The table of
 * the last fault is it when its state, its whole role and its gfn say so.
 */
static inline struct table *descend(struct mmu *mmu, const struct mmu_root *root, gfn_t frame,
				    spte_t *spte)
{
	struct table *table = mmu->last_table;

	if (likely(table && table->state == TABLE_LINKED &&
		   table->role == root->table->role - (SPTE_LEVELS - 1) &&
		   table->gfn.v == level_align(frame, 2).v)) {
		*spte = table_get(mmu, table, level_index(frame, 1));
		return table;
	}
	return descend_from_root(mmu, root, frame, spte);
}

/* Frees tables that were never linked. */
static void discard(struct mmu_held held, struct table **made, unsigned int count)
{
	while (count > 0) {
		table_free(held, made[--count]);
	}
}

/* install() where tables are missing between `table` and `level`. */
static int install_below(struct mmu_held held, struct table *table, gfn_t frame, unsigned int level,
			 spte_t value)
{
	const struct spte_format *format = held.mmu->config.format;
	unsigned int top = role_level(table->role);
	struct table *made[SPTE_LEVELS];
	unsigned int count = 0;
	int error;

	while (top - count > level) {
		made[count] =
			table_alloc(held, table->role - count - 1, level_align(frame, top - count));
		if (!made[count]) {
			discard(held, made, count);
			return bug_is_set(held.mmu->config.bug) ? -EIO : -ENOMEM;
		}
		count++;
	}
	error = table_store(held, made[count - 1], level_index(frame, level), value);
	if (error) {
		if (error == -ENOMEM) {
			discard(held, made, count);
		}
		return error;
	}
	while (count > 0 && !error) {
		spte_t link = spte_table(format, table_pfn(held.mmu, made[count - 1]));
		struct table *above = count > 1 ? made[count - 2] : table;

		count--;
		error = table_store(held, above, level_index(frame, top - count), link);
	}
	if (level == 1) {
		held.mmu->last_table = made[top - 2];
	}
	return error;
}

/* Stores `value` for `frame` at `level`, where the walk ended at `table`: all or nothing. */
static int install(struct mmu_held held, struct table *table, gfn_t frame, unsigned int level,
		   spte_t value)
{
	if (role_level(table->role) == level) {
		return table_store(held, table, level_index(frame, level), value);
	}
	return install_below(held, table, frame, level, value);
}

/* M6: nothing was to be done, so the guest tries again; but not for ever. */
static enum mmu_result fault_again(struct mmu *mmu, unsigned int view, gpa_t address,
				   unsigned int access)
{
	struct mmu_again *again = &mmu->again;

	if (again->address.v != address.v || again->view != view || again->access != access) {
		*again = (struct mmu_again){ address, view, access, 0 };
	}
	if (++again->count > AGAIN_LIMIT) {
		again->count = 0;
		return MMU_STUCK;
	}
	mmu->stats.retries++;
	return MMU_RETRY;
}

/* What the hardware objected to is in front of us: every level's value, for the operator. */
static void log_walk(const struct mmu *mmu, const struct mmu_root *root, gfn_t frame)
{
	const struct table *table = root->table;

	for (unsigned int level = SPTE_LEVELS; table; level--) {
		unsigned int index = level_index(frame, level);
		spte_t spte = table_get(mmu, table, index);
		bool broken = spte_check(&mmu->spte_limits, spte, level) != RULE_NONE;

		log_printf("mmu: view %u gfn " PRIgfn " level %u: spte " PRIspte " at " PRIhpa "%s",
			   root->view, ADDR_ARG(frame), level, (unsigned long long)spte.v,
			   ADDR_ARG(table_sptep(mmu, table, index)), broken ? " MALFORMED" : "");
		table = spte_is_table(spte, level) ? table_child(mmu, table, index, spte) : NULL;
	}
}

/* I3 at each level from the true root; true when the partition is found bugged. */
static bool walk_is_broken(const struct mmu *mmu, const struct mmu_root *root, gfn_t frame)
{
	const struct table *table = root->table;

	for (unsigned int level = SPTE_LEVELS; table; level--) {
		unsigned int index = level_index(frame, level);
		spte_t spte = table_get(mmu, table, index);
		bool broken = spte_check(&mmu->spte_limits, spte, level) != RULE_NONE;

		if (broken) {
			log_walk(mmu, root, frame);
		}
		if (PARTITION_DATA_BUG_ON(mmu->config.bug, broken, RULE_I3, .view = root->view,
					  .level = level, .has_gfn = true, .gfn = frame.v,
					  .sptep = table_sptep(mmu, table, index).v, .spte = spte.v,
					  .text = "the CPU met an SPTE with a reserved bit")) {
			return true;
		}
		table = spte_is_table(spte, level) ? table_child(mmu, table, index, spte) : NULL;
	}
	return false;
}

/* Fills the largest leaf that slot, alignment and the tables that exist allow (I12). */
static int fill_leaf(struct mmu_held held, const struct memslot *slot, gfn_t frame,
		     struct table *table, unsigned int *level)
{
	unsigned int found = role_level(table->role);
	gfn_t first;

	*level = found == 1 ? 1 : MIN(found, memslot_level(slot, frame));
	first = level_align(frame, *level);
	return install(held, table, first, *level, memslot_leaf(slot, first, *level));
}

static void count_fixed(struct mmu_stats *stats, unsigned int level)
{
	if (level == 1) {
		stats->fixed_4k++;
	} else if (level == 2) {
		stats->fixed_2m++;
	} else {
		stats->fixed_1g++;
	}
}

static enum mmu_result fault_memory(struct mmu_held held, const struct mmu_root *root,
				    const struct memslot *slot, gpa_t address, unsigned int access)
{
	struct mmu *mmu = held.mmu;
	gfn_t frame = gpa_to_gfn(address);
	int error;

	do {
		unsigned int level;
		spte_t spte;
		struct table *table = descend(mmu, root, frame, &spte);

		if (!table) {
			return MMU_BUGGED;
		}
		if (spte_is_present(spte)) {
			return walk_is_broken(mmu, root, frame)
				       ? MMU_BUGGED
				       : fault_again(mmu, root->view, address, access);
		}
		error = fill_leaf(held, slot, frame, table, &level);
		if (!error) {
			mmu->again.count = 0;
			count_fixed(&mmu->stats, level);
			return MMU_FIXED;
		}
	} while (error == -ENOMEM && table_reclaim(held));
	return bug_is_set(mmu->config.bug) ? MMU_BUGGED : MMU_NO_MEMORY;
}

/* No slot: the access is emulated in any case; an MMIO SPTE makes the next one cheaper. */
static enum mmu_result fault_mmio(struct mmu_held held, const struct mmu_root *root,
				  uint64_t generation, gfn_t frame, unsigned int access)
{
	struct mmu *mmu = held.mmu;
	struct pool *pool = mmu->config.pool;
	struct table *table;
	spte_t mmio;
	spte_t spte;
	int error;

	if (frame.v >= mmu->slot_limits.gfn_end) {
		return MMU_MMIO;
	}
	table = descend(mmu, root, frame, &spte);
	if (!table || PARTITION_DATA_BUG_ON(mmu->config.bug, spte_is_present(spte), RULE_I1,
					    .view = root->view, .level = role_level(table->role),
					    .has_gfn = true, .gfn = frame.v, .spte = spte.v,
					    .text = "a fault on a leaf that outlived its slot")) {
		return MMU_BUGGED;
	}
	mmio = mmu->config.format->make_mmio(frame, access, generation, mmu->config.maxphyaddr);
	if (!spte_is_empty(spte) && spte_mmio_is_current(spte, generation)) {
		mmu->stats.mmio_hits++;
		return MMU_MMIO;
	}
	if (spte_is_empty(mmio) || (role_level(table->role) > 1 &&
				    pool_available(pool) < pool->page_count / MMIO_POOL_SHARE)) {
		return MMU_MMIO;
	}
	error = install(held, table, frame, 1, mmio);
	mmu->stats.mmio_installed += error == 0;
	return error == -EIO ? MMU_BUGGED : MMU_MMIO;
}

/* The valid root of a view, or NULL: nobody can have faulted there (I6). */
static const struct mmu_root *fault_root(struct mmu *mmu, unsigned int view, gpa_t address)
{
	const struct mmu_root *root = view < MMU_VIEWS_MAX ? mmu->view_root[view] : NULL;

	if (bug_is_set(mmu->config.bug) ||
	    PARTITION_BUG_ON(mmu->config.bug, !root || !root->valid, RULE_I6, .view = view,
			     .has_gfn = true, .gfn = gpa_to_gfn(address).v,
			     .text = "a fault in a view that has no valid root")) {
		return NULL;
	}
	return root;
}

static enum mmu_result fault(struct mmu_held held, unsigned int view, gpa_t address,
			     unsigned int access)
{
	struct mmu *mmu = held.mmu;
	const struct mmu_root *root = fault_root(mmu, view, address);
	const struct memslots *slots;
	const struct memslot *slot;

	if (!root) {
		return MMU_BUGGED;
	}
	mmu->stats.faults++;
	/* Relaxed: arrays are published under the lock that is held. */
	slots = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	slot = memslot_find(slots, gpa_to_gfn(address), &mmu->slot_hint);
	if (!slot) {
		return fault_mmio(held, root, slots->generation, gpa_to_gfn(address), access);
	}
	if (slot->flags & MEMSLOT_INVALID) {
		return fault_again(mmu, view, address, access);
	}
	if (access & ~memslot_rights(slot)) {
		return MMU_READ_ONLY;
	}
	return fault_memory(held, root, slot, address, access);
}

/* See mmu.h. O(depth), but for the shrinker when the pool is exhausted. Takes the MMU lock. */
enum mmu_result mmu_fault(struct mmu *mmu, unsigned int view, gpa_t address, unsigned int access)
{
	struct mmu_held held = mmu_lock(mmu);
	enum mmu_result result = fault(held, view, address, access);

	mmu_unlock(held);
	return result;
}

/* A well-formed MMIO SPTE: current, and then no slot is there; or stale, and then it goes. */
static enum mmu_result mmio_hit(struct mmu_held held, struct table *table, gfn_t frame, spte_t spte)
{
	struct mmu *mmu = held.mmu;
	/* Relaxed: arrays are published under the lock that is held. */
	const struct memslots *slots = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	unsigned int index = level_index(frame, 1);

	if (likely(spte_mmio_is_current(spte, slots->generation))) {
		if (PARTITION_BUG_ON(mmu->config.bug,
				     spte_mmio_gfn(spte).v != frame.v ||
					     memslot_find(slots, frame, &mmu->slot_hint),
				     RULE_I8, .level = 1, .has_gfn = true, .gfn = frame.v,
				     .sptep = table_sptep(mmu, table, index).v, .spte = spte.v,
				     .text = "a current MMIO SPTE in a slot or of another gfn")) {
			return MMU_BUGGED;
		}
		mmu->stats.mmio_hits++;
		return MMU_MMIO;
	}
	if (table_zap(held, mmu->root_store[FIELD_GET(ROLE_ROOT, table->role)].table, frame,
		      gfn(frame.v + 1))) {
		return MMU_BUGGED;
	}
	table_flush(held);
	mmu->stats.retries++;
	return MMU_RETRY;
}

static enum mmu_result fault_malformed(struct mmu_held held, unsigned int view, gpa_t address)
{
	struct mmu *mmu = held.mmu;
	const struct mmu_root *root = fault_root(mmu, view, address);
	gfn_t frame = gpa_to_gfn(address);
	struct table *table;
	spte_t spte;

	if (!root) {
		return MMU_BUGGED;
	}
	mmu->stats.faults++;
	table = descend(mmu, root, frame, &spte);
	if (!table) {
		return MMU_BUGGED;
	}
	if (!spte_is_present(spte) && role_level(table->role) == 1 &&
	    mmu->config.format->is_mmio(spte)) {
		return mmio_hit(held, table, frame, spte);
	}
	if (walk_is_broken(mmu, root, frame)) {
		return MMU_BUGGED;
	}
	return fault_again(mmu, view, address, 0);
}

/* See mmu.h. Takes the MMU lock. */
enum mmu_result mmu_fault_malformed(struct mmu *mmu, unsigned int view, gpa_t address)
{
	struct mmu_held held = mmu_lock(mmu);
	enum mmu_result result = fault_malformed(held, view, address);

	mmu_unlock(held);
	return result;
}
