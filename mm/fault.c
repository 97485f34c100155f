/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested faults, in parallel: what is looked up is looked up without a lock, checked again
 * under the shared one, and installed by table_store(). The idea of the table part: find the
 * table where the walk ends; where tables are missing below it, claim its entry, make them out
 * of sight, fill them from the leaf upwards, and link the topmost last.
 *
 *     root . . > table [FROZEN]   found by walking, or remembered from the last fault
 *                  |  <---------- linked last, so a CPU sees all of it or nothing
 *                 new table
 *                  |
 *                 new table -- leaf    stored first
 *
 * What needs the lock for writing (a split, a stale MMIO SPTE, memory) is done between tries.
 */
#include "lib/log.h"
#include "mm/prove.h"
#include "mm/table.h"

/* M6: as often may the same fault come back without anything to do. */
#define AGAIN_LIMIT 64
/* MMIO SPTEs are a convenience: none is made when less than this part of the pool is left. */
#define MMIO_POOL_SHARE 8

/* What one try came to, when it is not the answer. */
enum { TRY_AGAIN = -EAGAIN, TRY_MEMORY = -ENOMEM, TRY_SPLIT = -E2BIG };

/* A fault as it is looked up without a lock. */
struct fault {
	struct mmu_vcpu *vcpu;
	gpa_t address;
	gfn_t page;
	unsigned int access;
	uint64_t seq; /* sampled before slot and backing are read (V2) */
	const struct memslots *slots;
	const struct memslot *slot;
	bool present;	    /* the page is there */
	pfn_t frame;	    /* behind the page */
	unsigned int level; /* the largest leaf that slot and backing allow */
};

/* descend() from the root. NULL when the partition was found bugged on the way. */
static struct table *descend_from_root(struct mmu_vcpu *vcpu, const struct mmu_root *root,
				       gfn_t page, spte_t *spte)
{
	struct mmu *mmu = vcpu->mmu;
	struct table *table = root->table;

	for (unsigned int level = SPTE_LEVELS;; level--) {
		unsigned int index = level_index(page, level);
		struct table *child;

		*spte = table_get(mmu, table, index);
		if (level <= 2) {
			vcpu->last_table = table;
		}
		if (!spte_is_table(*spte, level)) {
			return table;
		}
		child = table_child(mmu, table, index, *spte);
		if (PARTITION_DATA_BUG_ON(
			    mmu->config.bug, !child, RULE_I14, .view = root->view, .level = level,
			    .has_gfn = true, .gfn = page.v, .spte = spte->v,
			    .sptep = table_sptep(mmu, table, index).v,
			    .text = "an SPTE points at something that is not its table")) {
			return NULL;
		}
		table = child;
	}
}

/*
 * The table at which the walk to `page` ends, and the entry that it found there: a leaf, an
 * MMIO SPTE, a frozen one or nothing. NULL when the partition was found bugged on the way. The
 * table of the last fault is it when its state, its whole role and its gfn say so.
 */
static inline struct table *descend(struct mmu_vcpu *vcpu, const struct mmu_root *root, gfn_t page,
				    spte_t *spte)
{
	struct table *table = vcpu->last_table;

	if (likely(table && table->state == TABLE_LINKED &&
		   table->role == root->table->role - (SPTE_LEVELS - 1) &&
		   table->gfn.v == level_align(page, 2).v)) {
		*spte = table_get(vcpu->mmu, table, level_index(page, 1));
		return table;
	}
	return descend_from_root(vcpu, root, page, spte);
}

/* Frees tables that were never linked. */
static void discard(struct mmu_held held, struct table **made, unsigned int count)
{
	while (count > 0) {
		table_free(held, made[--count]);
	}
}

/* The tables between a claimed entry of `table` and `level`, filled and linked one to another. */
static int make_below(struct mmu_held held, struct table *table, gfn_t page, unsigned int level,
		      spte_t value, struct table **topmost)
{
	const struct spte_format *format = held.mmu->config.format;
	unsigned int top = role_level(table->role);
	struct table *made[SPTE_LEVELS];
	unsigned int count = 0;
	int error;

	while (top - count > level) {
		made[count] =
			table_alloc(held, table->role - count - 1, level_align(page, top - count));
		if (!made[count]) {
			discard(held, made, count);
			return bug_is_set(held.mmu->config.bug) ? -EIO : -ENOMEM;
		}
		count++;
	}
	error = table_store(held, made[count - 1], level_index(page, level), (spte_t){ 0 }, value);
	if (error == -ENOMEM) {
		discard(held, made, count);
	}
	for (unsigned int i = count - 1; i > 0 && !error; i--) {
		spte_t link = spte_table(format, table_pfn(held.mmu, made[i]));

		error = table_store(held, made[i - 1], level_index(page, top - i), (spte_t){ 0 },
				    link);
	}
	*topmost = made[0];
	return error;
}

/* Stores `value` for `page` at `level`, where the walk ended at `table`: all or nothing. */
static int install(struct mmu_held held, struct table *table, gfn_t page, unsigned int level,
		   spte_t old, spte_t value)
{
	unsigned int index = level_index(page, role_level(table->role));
	struct table *topmost;
	int error;

	if (likely(role_level(table->role) == level)) {
		return table_store(held, table, index, old, value);
	}
	if (RETRY_ON(!table_claim(held, table, index))) {
		return TRY_AGAIN;
	}
	error = make_below(held, table, page, level, value, &topmost);
	if (error) {
		table_unclaim(held, table, index);
		return error;
	}
	value = spte_table(held.mmu->config.format, table_pfn(held.mmu, topmost));
	return table_store_claimed(held, table, index, value);
}

/* M6: nothing was to be done, so the guest tries again; but not for ever. */
static enum mmu_result fault_again(const struct fault *fault)
{
	struct mmu_vcpu *vcpu = fault->vcpu;
	struct mmu_again *again = &vcpu->again;
	/* Relaxed: of this vCPU. */
	unsigned int view = atomic_load_explicit(&vcpu->view, memory_order_relaxed);

	if (again->address.v != fault->address.v || again->view != view ||
	    again->access != fault->access) {
		*again = (struct mmu_again){ fault->address, view, fault->access, 0 };
	}
	stat_count(&vcpu->mmu->stats.retries, 1);
	if (++again->count > AGAIN_LIMIT) {
		again->count = 0;
		return MMU_STUCK;
	}
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
		bool broken = !spte_is_frozen(spte) &&
			      spte_check(&mmu->spte_limits, spte, level) != RULE_NONE;

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

/* What slot and view allow at the page; in a logged slot as if it were dirty. */
static unsigned int allowed_rights(const struct fault *fault, unsigned int view)
{
	unsigned int rights = memslot_rights(fault->slot);

	if (unlikely(view_is_limited(fault->slots, view))) {
		rights &= memslots_view_rights(fault->slots, view, fault->page);
	}
	return rights;
}

/* V2: a leaf of `level` over the page would reach into an invalidation that is in progress. */
static bool reaches_invalidation(const struct fault *fault, unsigned int level)
{
	const struct mmu *mmu = fault->vcpu->mmu;
	gfn_t first = level_align(fault->page, level);

	/* Relaxed: it is written under the lock, which is held. */
	return unlikely(atomic_load_explicit(&mmu->invalidate_in_progress, memory_order_relaxed) >
			0) &&
	       ranges_overlap(first.v, first.v + level_frames(level), mmu->invalidate_start.v,
			      mmu->invalidate_end.v);
}

/* The largest leaf that slot, backing and view allow, and the invalidations in progress. */
static unsigned int allowed_level(const struct fault *fault, unsigned int view)
{
	unsigned int level = fault->level;

	if (unlikely(view_is_limited(fault->slots, view))) {
		level = memslots_view_level(fault->slots, view, fault->page, level);
	}
	while (level > 1 && reaches_invalidation(fault, level)) {
		level--;
	}
	return level;
}

/*
 * The leaf for the fault at `level`. In a logged slot it is writable only for a write, and
 * then its page is dirty before the leaf is stored (I11).
 */
static spte_t wanted_leaf_slowly(const struct fault *fault, unsigned int view, unsigned int level)
{
	struct mmu *mmu = fault->vcpu->mmu;
	const struct memslot *slot = fault->slot;
	unsigned int rights = allowed_rights(fault, view);
	gfn_t first = level_align(fault->page, level);
	pfn_t frame = pfn(fault->frame.v - (fault->page.v - first.v));

	if (unlikely(slot->flags & MEMSLOT_LOG_DIRTY)) {
		if (!(fault->access & rights & MMU_WRITE)) {
			rights &= ~SPTE_WRITE;
		} else if (dirty_mark(&mmu->dirty[slot->id], fault->page.v - slot->gfn.v)) {
			stat_count(&mmu->stats.dirtied, 1);
		}
	}
	return spte_leaf(mmu->config.format, frame, level, rights, slot->id);
}

/* The leaf for the fault where nothing narrows what the slot allows. */
static inline spte_t wanted_leaf(const struct fault *fault, unsigned int view, unsigned int level)
{
	const struct memslot *slot = fault->slot;
	uint64_t above = fault->page.v & (level_frames(level) - 1); /* pages into the leaf */

	if (unlikely((slot->flags & MEMSLOT_LOG_DIRTY) || (view_is_limited(fault->slots, view)))) {
		return wanted_leaf_slowly(fault, view, level);
	}
	return (spte_t){ slot->leaf[level - 1].v | pfn_to_hpa(pfn(fault->frame.v - above)).v };
}

/*
 * A leaf is there already: more rights for it, as slot and view allow; or smaller leaves; or
 * somebody was faster.
 */
static int widen(struct mmu_held held, const struct fault *fault, const struct mmu_root *root,
		 struct table *table, spte_t old, enum mmu_result *result)
{
	const struct spte_format *format = held.mmu->config.format;
	unsigned int level = role_level(table->role);
	int error;

	if (walk_is_broken(held.mmu, root, fault->page)) {
		*result = MMU_BUGGED;
		return 0;
	}
	if ((fault->access & ~format->rights(old)) == 0) {
		*result = fault_again(fault);
		return 0;
	}
	if (allowed_level(fault, root->view) < level) {
		return TRY_SPLIT;
	}
	error = table_store(held, table, level_index(fault->page, level), old,
			    wanted_leaf(fault, root->view, level));
	*result = error == -EIO ? MMU_BUGGED : MMU_FIXED;
	return error == -EIO ? 0 : error;
}

/* Fills the largest leaf that slot, backing, view, and the tables that exist allow (I12). */
static int fill(struct mmu_held held, const struct fault *fault, const struct mmu_root *root,
		struct table *table, spte_t old, enum mmu_result *result)
{
	unsigned int found = role_level(table->role);
	unsigned int allowed = found == 1 ? 1 : allowed_level(fault, root->view);
	unsigned int level = MIN(found, allowed);
	int error;

	error = install(held, table, level_align(fault->page, level), level, old,
			wanted_leaf(fault, root->view, level));
	if (unlikely(error)) {
		*result = MMU_BUGGED;
		return error == -EIO ? 0 : error;
	}
	fault->vcpu->again.count = 0;
	stat_count(&held.mmu->stats.fixed[level - 1], 1);
	*result = MMU_FIXED;
	return 0;
}

/* V2: the backing changes, or has changed since it was looked up. */
static bool is_overtaken(const struct mmu *mmu, const struct fault *fault)
{
	bool in_progress = unlikely(atomic_load_explicit(&mmu->invalidate_in_progress,
							 memory_order_relaxed) > 0) &&
			   fault->page.v >= mmu->invalidate_start.v &&
			   fault->page.v < mmu->invalidate_end.v;

	return RETRY_ON(in_progress) ||
	       RETRY_ON(atomic_load_explicit(&mmu->invalidate_seq, memory_order_relaxed) !=
			fault->seq);
}

/* The vCPU's root when SPTEs may go in (I6); NULL: it must ask for a new one. */
static const struct mmu_root *valid_root(struct mmu_vcpu *vcpu)
{
	const struct mmu_root *root = vcpu->root;

	if (RETRY_ON(!root || !root->valid)) {
		atomic_store_explicit(&vcpu->stale, true, memory_order_relaxed);
		return NULL;
	}
	return root;
}

/* One try with the lock shared: 0 with the answer, or what must happen before the next one. */
static int try_memory(struct mmu_held held, const struct fault *fault, enum mmu_result *result)
{
	const struct mmu_root *root;
	struct table *table;
	spte_t spte;

	*result = MMU_BUGGED;
	if (bug_is_set(held.mmu->config.bug)) {
		return 0;
	}
	*result = MMU_RETRY;
	root = valid_root(fault->vcpu);
	if (!root || is_overtaken(held.mmu, fault)) {
		return 0;
	}
	if (unlikely(fault->access & ~allowed_rights(fault, root->view))) {
		*result = MMU_DENIED;
		return 0;
	}
	table = descend(fault->vcpu, root, fault->page, &spte);
	if (!table) {
		*result = MMU_BUGGED;
		return 0;
	}
	if (RETRY_ON(spte_is_frozen(spte))) {
		return 0;
	}
	if (spte_is_present(spte)) {
		return widen(held, fault, root, table, spte, result);
	}
	return fill(held, fault, root, table, spte, result);
}

/* Between two tries: the large leaf over the page becomes small ones. */
static void split_at_fault(struct mmu *mmu, const struct fault *fault)
{
	struct mmu_held held = mmu_lock(mmu);
	const struct mmu_root *root = valid_root(fault->vcpu);
	unsigned int level = root ? allowed_level(fault, root->view) : 0;
	int error = 0;

	while (root && !error && !bug_is_set(mmu->config.bug)) {
		spte_t spte;
		struct table *table = descend_from_root(fault->vcpu, root, fault->page, &spte);
		unsigned int found = table ? role_level(table->role) : 0;

		if (found <= level || !spte_is_leaf(spte, found)) {
			break;
		}
		error = table_split(held, table, level_index(fault->page, found));
		if (error == -ENOMEM && table_reclaim(held)) {
			error = 0;
		}
	}
	table_flush(held);
	mmu_unlock(held);
}

/* Between two tries: memory, at the cost of cold mappings. False: there is none. */
static bool reclaim_for_fault(struct mmu *mmu)
{
	struct mmu_held held = mmu_lock(mmu);
	bool reclaimed = table_reclaim(held);

	mmu_unlock(held);
	return reclaimed;
}

static enum mmu_result fault_memory(struct fault *fault)
{
	struct mmu_vcpu *vcpu = fault->vcpu;
	struct mmu *mmu = vcpu->mmu;
	enum mmu_result result;
	unsigned int splits = 0;
	int next;

	do {
		struct mmu_held held;

		if (!cache_is_full(&vcpu->cache)) {
			cache_fill(&vcpu->cache, &mmu->rmap);
		}
		held = mmu_lock_shared(vcpu, fault->slots);
		next = try_memory(held, fault, &result);
		mmu_unlock_shared(held);
		if (likely(next == 0)) {
			mmu_prove(mmu);
			return result;
		}
		if (next == TRY_SPLIT) {
			split_at_fault(mmu, fault);
			splits++;
		}
		if (next == TRY_MEMORY && !reclaim_for_fault(mmu)) {
			return bug_is_set(mmu->config.bug) ? MMU_BUGGED : MMU_NO_MEMORY;
		}
	} while (next != TRY_AGAIN && splits < SPTE_LEVELS);
	return splits < SPTE_LEVELS ? MMU_RETRY : MMU_NO_MEMORY;
}

/* A stale MMIO SPTE goes, with tables that it was alone in. */
static enum mmu_result drop_stale_mmio(struct mmu_vcpu *vcpu, gfn_t page)
{
	struct mmu_held held = mmu_lock(vcpu->mmu);
	const struct mmu_root *root = valid_root(vcpu);
	enum mmu_result result = MMU_RETRY;
	spte_t spte;

	if (root && !bug_is_set(vcpu->mmu->config.bug)) {
		struct table *table = descend_from_root(vcpu, root, page, &spte);

		if (!table) {
			result = MMU_BUGGED;
		} else if (!spte_is_present(spte) && !spte_is_empty(spte) &&
			   !spte_mmio_is_current(spte, held.cache->slots->generation) &&
			   (table_store(held, table, level_index(page, 1), spte, (spte_t){ 0 }) ||
			    table_unlink_empty(held, table))) {
			result = MMU_BUGGED;
		}
		table_flush(held);
		stat_count(&vcpu->mmu->stats.retries, 1);
	}
	mmu_unlock(held);
	return result;
}

/* An MMIO SPTE makes the next access there cheaper; a convenience. */
static enum mmu_result try_mmio(struct mmu_held held, const struct fault *fault)
{
	struct mmu *mmu = held.mmu;
	struct pool *pool = mmu->config.pool;
	uint64_t generation = held.cache->slots->generation;
	const struct mmu_root *root;
	struct table *table;
	spte_t mmio;
	spte_t spte;
	int error;

	if (bug_is_set(mmu->config.bug)) {
		return MMU_BUGGED;
	}
	root = valid_root(fault->vcpu);
	/* Relaxed: arrays are published under the lock. A slot may be there by now. */
	if (!root ||
	    RETRY_ON(atomic_load_explicit(&mmu->slots, memory_order_relaxed) != fault->slots)) {
		return MMU_RETRY;
	}
	table = descend(fault->vcpu, root, fault->page, &spte);
	if (!table || PARTITION_DATA_BUG_ON(mmu->config.bug, spte_is_present(spte), RULE_I1,
					    .view = root->view, .level = role_level(table->role),
					    .has_gfn = true, .gfn = fault->page.v, .spte = spte.v,
					    .text = "a fault on a leaf that outlived its slot")) {
		return MMU_BUGGED;
	}
	mmio = mmu->config.format->make_mmio(fault->page, fault->access, generation,
					     mmu->config.maxphyaddr);
	if (RETRY_ON(spte_is_frozen(spte))) {
		return MMU_MMIO;
	}
	if (!spte_is_empty(spte) && spte_mmio_is_current(spte, generation)) {
		stat_count(&mmu->stats.mmio_hits, 1);
		return MMU_MMIO;
	}
	if (spte_is_empty(mmio) || (role_level(table->role) > 1 &&
				    pool_available(pool) < pool->page_count / MMIO_POOL_SHARE)) {
		return MMU_MMIO;
	}
	error = install(held, table, fault->page, 1, spte, mmio);
	stat_count(&mmu->stats.mmio_installed, error == 0);
	return error == -EIO ? MMU_BUGGED : MMU_MMIO;
}

static enum mmu_result fault_mmio(const struct fault *fault)
{
	struct mmu_vcpu *vcpu = fault->vcpu;
	struct mmu_held held;
	enum mmu_result result;

	if (fault->page.v >= vcpu->mmu->slot_limits.gfn_end) {
		return MMU_MMIO;
	}
	if (!cache_is_full(&vcpu->cache)) {
		cache_fill(&vcpu->cache, &vcpu->mmu->rmap);
	}
	held = mmu_lock_shared(vcpu, fault->slots);
	result = try_mmio(held, fault);
	mmu_unlock_shared(held);
	mmu_prove(vcpu->mmu);
	return result;
}

/* V2: the sequence number first, then slot and backing, all without a lock. */
static void look_up(struct fault *fault)
{
	struct mmu_vcpu *vcpu = fault->vcpu;
	struct mmu *mmu = vcpu->mmu;
	const struct memslot *slot;

	/* Acquire, both: pairs with invalidate_end() and slots_publish(). */
	fault->seq = atomic_load_explicit(&mmu->invalidate_seq, memory_order_acquire);
	fault->slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	slot = memslot_find(fault->slots, fault->page, &vcpu->slot_hint);
	fault->slot = slot;
	if (!slot) {
		return;
	}
	fault->frame = memslot_pfn(slot, fault->page);
	fault->level = memslot_level(slot, fault->page);
	fault->present = true;
	if (!backing_is_plain(&mmu->backing[slot->id], slot)) {
		const struct backing *backing = &mmu->backing[slot->id];

		fault->present = backing_get(backing, slot, fault->page, &fault->frame);
		fault->level = backing_level(backing, slot, fault->page, fault->level);
	}
}

/* The rest of mmu_fault(). O(depth), but for a split, and the shrinker when the pool is exhausted.
 */
enum mmu_result fault_any(struct mmu_vcpu *vcpu, gpa_t address, unsigned int access)
{
	struct fault fault;

	if (bug_is_set(vcpu->mmu->config.bug)) {
		return MMU_BUGGED;
	}
	fault.vcpu = vcpu;
	fault.address = address;
	fault.page = gpa_to_gfn(address);
	fault.access = access;
	look_up(&fault);
	if (!fault.slot) {
		return fault_mmio(&fault);
	}
	if (RETRY_ON(fault.slot->flags & MEMSLOT_INVALID)) {
		return MMU_RETRY;
	}
	if (access & ~memslot_rights(fault.slot)) {
		return MMU_READ_ONLY;
	}
	if (!fault.present) {
		return MMU_ABSENT;
	}
	return fault_memory(&fault);
}

/* A well-formed MMIO SPTE: current, and then no slot is there; or stale, and then it goes. */
static enum mmu_result mmio_hit(struct mmu_held held, struct table *table, gfn_t page, spte_t spte,
				bool *stale)
{
	struct mmu *mmu = held.mmu;

	*stale = RETRY_ON(!spte_mmio_is_current(spte, held.cache->slots->generation));
	if (*stale) {
		return MMU_RETRY;
	}
	if (PARTITION_BUG_ON(
		    mmu->config.bug,
		    spte_mmio_gfn(spte).v != page.v || memslot_search(held.cache->slots, page),
		    RULE_I8, .level = 1, .has_gfn = true, .gfn = page.v,
		    .sptep = table_sptep(mmu, table, level_index(page, 1)).v, .spte = spte.v,
		    .text = "a current MMIO SPTE in a slot or of another gfn")) {
		return MMU_BUGGED;
	}
	stat_count(&mmu->stats.mmio_hits, 1);
	return MMU_MMIO;
}

static enum mmu_result try_malformed(struct mmu_held held, const struct fault *fault, bool *stale)
{
	struct mmu *mmu = held.mmu;
	const struct mmu_root *root;
	struct table *table;
	spte_t spte;

	if (bug_is_set(mmu->config.bug)) {
		return MMU_BUGGED;
	}
	root = valid_root(fault->vcpu);
	if (!root) {
		return MMU_RETRY;
	}
	table = descend(fault->vcpu, root, fault->page, &spte);
	if (!table) {
		return MMU_BUGGED;
	}
	if (!spte_is_present(spte) && role_level(table->role) == 1 &&
	    mmu->config.format->is_mmio(spte)) {
		return mmio_hit(held, table, fault->page, spte, stale);
	}
	if (walk_is_broken(mmu, root, fault->page)) {
		return MMU_BUGGED;
	}
	return fault_again(fault);
}

/* See mmu.h. Takes the MMU lock, shared; for a stale MMIO SPTE for writing. */
enum mmu_result mmu_fault_malformed(struct mmu_vcpu *vcpu, gpa_t address)
{
	struct fault fault = { .vcpu = vcpu, .address = address, .page = gpa_to_gfn(address) };
	struct mmu *mmu = vcpu->mmu;
	enum mmu_result result;
	struct mmu_held held;
	bool stale = false;

	stat_count(&mmu->stats.faults, 1);
	/* Acquire: pairs with slots_publish(). */
	fault.slots = atomic_load_explicit(&mmu->slots, memory_order_acquire);
	held = mmu_lock_shared(vcpu, fault.slots);
	result = try_malformed(held, &fault, &stale);
	mmu_unlock_shared(held);
	return stale ? drop_stale_mmio(vcpu, fault.page) : result;
}
