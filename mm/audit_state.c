/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit of what is neither table nor rmap: the list of roots and who holds them, slots
 * and views as they are published, their logs, and what must be over while nobody has the
 * MMU lock.
 *
 *     list of roots:  root  references = its view + vCPUs in it + the lazy freer   (I6, R1)
 *                      |
 *                     table  whose role names this root                            (I14)
 */
#include "mm/audit.h"

/* A pointer to a root that can be followed. */
static bool is_root(const struct mmu *mmu, const struct mmu_root *root)
{
	size_t offset = (uintptr_t)root - (uintptr_t)mmu->root_store;

	return offset < sizeof(mmu->root_store) && offset % sizeof(*root) == 0;
}

/* Those who hold a reference on a root: its view, vCPUs, the lazy freer. */
static unsigned int count_holders(const struct mmu *mmu, const struct mmu_root *root)
{
	unsigned int holders = root->dying;

	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		holders += mmu->view_root[view] == root;
	}
	for (unsigned int i = 0; i < MMU_VCPUS_MAX; i++) {
		const struct mmu_vcpu *vcpu =
			atomic_load_explicit(&mmu->vcpu[i], memory_order_acquire);

		holders += vcpu && vcpu->root == root;
	}
	return holders;
}

/* One root on the list; false: its table cannot be followed. */
static bool audit_root(struct audit *audit, struct mmu_root *root)
{
	struct mmu *mmu = audit->mmu;
	unsigned int holders = count_holders(mmu, root);
	const struct table *table = root->table;

	FOUND(audit, root->refcount == 0, RULE_I6, .view = root->view,
	      .text = "a root on the list has no reference");
	FOUND(audit, root->refcount < holders, RULE_I6, .view = root->view,
	      .text = "a root has more holders than references");
	FOUND(audit, root->refcount > holders, RULE_R1, .view = root->view,
	      .text = "a root has a reference that nobody holds");
	FOUND(audit,
	      root->valid && (root->dying || root->view >= MMU_VIEWS_MAX ||
			      mmu->view_root[root->view] != root),
	      RULE_I6, .view = root->view, .text = "a valid root that is not its view's");
	if (FOUND(audit,
		  !table || table < mmu->tables || table >= mmu->tables + mmu->config.pool->next ||
			  table->state != TABLE_LINKED || role_level(table->role) != SPTE_LEVELS ||
			  role_view(table->role) != root->view,
		  RULE_I14, .view = root->view, .text = "a root's table is not a root's table")) {
		return false;
	}
	FOUND(audit,
	      FIELD_GET(ROLE_ROOT, table->role) != (size_t)(root - mmu->root_store) ||
		      table->parent.v != 0 || table->gfn.v != 0,
	      RULE_I14, .view = root->view, .text = "a root's table is another root's");
	return true;
}

/* Views, and the roots that they hold. */
static void audit_views(struct audit *audit)
{
	const struct mmu *mmu = audit->mmu;

	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		const struct mmu_root *root = mmu->view_root[view];

		FOUND(audit,
		      root && (!is_root(mmu, root) || !root->table || !root->valid ||
			       root->view != view || !(mmu->views & (UINT32_C(1) << view))),
		      RULE_I6, .view = view, .text = "a view's root is not a valid one of its own");
	}
}

static void audit_vcpus(struct audit *audit)
{
	const struct mmu *mmu = audit->mmu;

	for (unsigned int i = 0; i < MMU_VCPUS_MAX; i++) {
		const struct mmu_vcpu *vcpu =
			atomic_load_explicit(&mmu->vcpu[i], memory_order_acquire);
		/* Relaxed: changed under the lock that is held. */
		unsigned int view =
			vcpu ? atomic_load_explicit(&vcpu->view, memory_order_relaxed) : 0;

		FOUND(audit,
		      vcpu && vcpu->root && (!is_root(mmu, vcpu->root) || !vcpu->root->table),
		      RULE_I6, .vcpu = i, .view = view,
		      .text = "a vCPU is in a root that is not on the list");
		FOUND(audit, view >= MMU_VIEWS_MAX || !(mmu->views & (UINT32_C(1) << view)),
		      RULE_I6, .vcpu = i, .view = view,
		      .text = "a vCPU is in a view that does not exist");
	}
}

/* See audit.h. In a whole audit, with everything under each root. */
bool audit_roots(struct audit *audit)
{
	struct mmu *mmu = audit->mmu;
	struct list_node *node = mmu->roots.next;
	unsigned int count = 0;

	for (; node != &mmu->roots; count++, node = node->next) {
		struct mmu_root *root = list_entry(node, struct mmu_root, node);

		if (FOUND(audit, count >= MMU_ROOTS_MAX || !is_root(mmu, root), RULE_I6,
			  .text = "the list of roots is damaged") ||
		    !audit_root(audit, root)) {
			return false;
		}
		if (audit->whole) {
			audit_tree(audit, root->table, SPTE_LEVELS, root->view, gfn(0));
		}
	}
	for (unsigned int i = 0; i < MMU_ROOTS_MAX; i++) {
		count -= mmu->root_store[i].table != NULL;
	}
	FOUND(audit, count != 0, RULE_I6, .text = "a root in use is not on the list");
	audit_views(audit);
	audit_vcpus(audit);
	return true;
}

/* See audit.h. */
bool audit_slots_order(struct audit *audit)
{
	const struct memslots *slots = audit->slots;

	if (FOUND(audit,
		  !pool_contains(audit->mmu->config.pool, slots) || slots->count > MEMSLOTS_MAX ||
			  slots->range_count > VIEW_RANGES_MAX,
		  RULE_I13, .text = "the array of slots is damaged")) {
		return false;
	}
	for (unsigned int i = 0; i < slots->count; i++) {
		const struct memslot *slot = &slots->slot[i];
		const struct memslot *next = slot + 1;

		FOUND(audit,
		      slot->id >= MEMSLOTS_MAX || slots->position[slot->id] != i + 1 ||
			      (i + 1 < slots->count &&
			       next->gfn.v < slot->gfn.v + slot->page_count),
		      RULE_I13, .has_gfn = true, .gfn = slot->gfn.v,
		      .text = "the slots are not in order");
		if (slot->id >= MEMSLOTS_MAX) {
			return false;
		}
	}
	return true;
}

/* What is kept with a slot to be at hand: its leaves, and where large ones fit. */
static bool is_well_prepared(const struct audit *audit, const struct memslot *slot)
{
	const struct spte_format *format = audit->mmu->config.format;
	bool logged = (slot->flags & MEMSLOT_LOG_DIRTY) != 0;
	unsigned int rights = SPTE_READ | SPTE_EXECUTE;

	if (!logged && !(slot->flags & MEMSLOT_READ_ONLY)) {
		rights |= SPTE_WRITE;
	}
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		spte_t leaf = slot->leaf[level - 1];

		if (format->rights(leaf) != rights || spte_slot(leaf) != slot->id ||
		    spte_pfn(leaf).v != 0) {
			return false;
		}
	}
	for (unsigned int level = 2; level <= SPTE_LEAF_LEVELS; level++) {
		const struct memslot_large *large = &slot->large[level - 2];
		uint64_t before = large->first.v - slot->gfn.v;
		uint64_t frames = level_frames(level);

		if (large->count != 0 &&
		    (logged || !is_aligned(large->first.v | large->count, frames) ||
		     !is_aligned(slot->pfn.v + before, frames) || before > slot->page_count ||
		     large->count > slot->page_count - before)) {
			return false;
		}
	}
	return true;
}

/* A logged slot has a map with a page for each part of it, all in the pool. */
static bool has_log(const struct audit *audit, const struct memslot *slot)
{
	const struct dirty_log *log = &audit->mmu->dirty[slot->id];
	const struct pool *pool = audit->mmu->config.pool;

	if (!pool_contains(pool, log->map) || log->page_count != slot->page_count ||
	    log->page_count > DIRTY_PAGES_MAX) {
		return false;
	}
	for (uint64_t i = 0; i < log->page_count; i += DIRTY_PAGE_BITS) {
		if (!pool_contains(pool, log->map[i / DIRTY_PAGE_BITS])) {
			return false;
		}
	}
	return true;
}

static void audit_range(struct audit *audit, const struct view_range *range,
			const struct view_range *next)
{
	const struct mmu *mmu = audit->mmu;

	FOUND(audit,
	      range->view >= MMU_VIEWS_MAX || !(mmu->views & (UINT32_C(1) << range->view)) ||
		      !(audit->slots->limited_views & (UINT32_C(1) << range->view)) ||
		      range->page_count == 0 || (range->rights & ~SPTE_RIGHTS_ALL) != 0,
	      RULE_I11, .view = range->view, .has_gfn = true, .gfn = range->gfn.v,
	      .text = "a range of a view that cannot be");
	FOUND(audit,
	      next && (next->view < range->view ||
		       (next->view == range->view &&
			next->gfn.v < range->gfn.v + range->page_count)),
	      RULE_I11, .view = range->view, .has_gfn = true, .gfn = range->gfn.v,
	      .text = "the ranges of the views are not in order");
}

/* See audit.h. What each published slot and range is by itself. */
void audit_slots_shape(struct audit *audit)
{
	const struct memslots *slots = audit->slots;
	const struct memslot_limits *limits = &audit->mmu->slot_limits;

	for (unsigned int i = 0; i < slots->count; i++) {
		const struct memslot *slot = &slots->slot[i];

		FOUND(audit, (slot->flags & MEMSLOT_INVALID) && !audit->changing, RULE_I9,
		      .has_gfn = true, .gfn = slot->gfn.v,
		      .text = "a slot is marked and nobody deletes it");
		FOUND(audit,
		      slot->page_count == 0 ||
			      !range_fits(slot->gfn.v, slot->page_count, limits->gfn_end) ||
			      !range_fits(slot->pfn.v, slot->page_count, limits->pfn_end) ||
			      !is_well_prepared(audit, slot),
		      RULE_I13, .has_gfn = true, .gfn = slot->gfn.v,
		      .text = "a slot's leaves are not what its shape and flags say");
		FOUND(audit, (slot->flags & MEMSLOT_LOG_DIRTY) && !has_log(audit, slot), RULE_I11,
		      .has_gfn = true, .gfn = slot->gfn.v,
		      .text = "a logged slot without a whole log");
	}
	for (unsigned int i = 0; i < slots->range_count; i++) {
		const struct view_range *range = &slots->range[i];

		audit_range(audit, range, i + 1 < slots->range_count ? range + 1 : NULL);
	}
}

/* See audit.h. */
void audit_at_rest(struct audit *audit)
{
	const struct mmu *mmu = audit->mmu;

	FOUND(audit, mmu->flush_pending, RULE_I10,
	      .text = "the MMU lock was let go with a flush pending");
	FOUND(audit, mmu->retired_tables != TABLE_END, RULE_I10,
	      .text = "a retired table outlived its flush");
	FOUND(audit, mmu->config.pool->refused_count != 0, RULE_I13,
	      .text = "the pool was given a page that is not its own");
}
