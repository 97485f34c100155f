/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Views: which exist, what they allow, who is in them, and their roots. A view's rights are
 * part of the published array of slots; narrowing them is publish, wait, zap.
 */
#include "mm/invalidate.h"
#include "mm/prove.h"
#include "mm/slots.h"

static int check_view(struct mmu *mmu, unsigned int view, struct error_text *error)
{
	if (view >= MMU_VIEWS_MAX) {
		return error_set(error, -EINVAL, "view %u: views are 0 to %u", view,
				 MMU_VIEWS_MAX - 1);
	}
	if (bug_is_set(mmu->config.bug)) {
		return error_set(error, -EIO, "view %u: the partition is bugged", view);
	}
	return 0;
}

static bool view_exists(const struct mmu *mmu, unsigned int view)
{
	return view < MMU_VIEWS_MAX && (mmu->views & (UINT32_C(1) << view));
}

/* Every vCPU asks for its root before it enters again. */
static void make_stale(struct mmu *mmu)
{
	unsigned int count = atomic_load_explicit(&mmu->vcpu_count, memory_order_acquire);

	for (unsigned int i = 0; i < count; i++) {
		struct mmu_vcpu *vcpu = atomic_load_explicit(&mmu->vcpu[i], memory_order_acquire);

		if (vcpu) {
			/* Release: pairs with mmu_vcpu_is_stale(). */
			atomic_store_explicit(&vcpu->stale, true, memory_order_release);
		}
	}
	mmu->config.ops->kick(mmu->config.context);
}

/* See mmu.h. Takes the MMU lock. The root comes with the first vCPU. */
int mmu_view_create(struct mmu *mmu, unsigned int view, struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	int status = check_view(mmu, view, error);

	if (!status && view_exists(mmu, view)) {
		status = error_set(error, -EEXIST, "view %u: exists already", view);
	}
	if (!status) {
		mmu->views |= UINT32_C(1) << view;
		make_stale(mmu); /* it joins the lists of guests that switch by themselves */
	}
	mmu_unlock(held);
	return status;
}

static bool view_is_used(const struct mmu *mmu, unsigned int view)
{
	unsigned int count = atomic_load_explicit(&mmu->vcpu_count, memory_order_acquire);

	for (unsigned int i = 0; i < count; i++) {
		struct mmu_vcpu *vcpu = atomic_load_explicit(&mmu->vcpu[i], memory_order_acquire);

		/* Relaxed: vCPUs change their view under the lock that is held. */
		if (vcpu && atomic_load_explicit(&vcpu->view, memory_order_relaxed) == view) {
			return true;
		}
	}
	return false;
}

/* The view loses its root, which becomes invalid and the lazy freer's. 0 or -EIO. */
static int drop_root(struct mmu_held held, unsigned int view)
{
	struct mmu_root *root = held.mmu->view_root[view];

	if (!root) {
		return 0;
	}
	held.mmu->view_root[view] = NULL;
	root_invalidate(held, root);
	return root_put(held, root);
}

/* Publishes an array made by the caller, and frees the one before it after the wait. */
static int publish_ranges(struct mmu_held held, struct memslots *new, int status)
{
	struct mmu *mmu = held.mmu;
	const struct memslots *old = held.cache->slots;

	if (!status) {
		status = slots_publish(&held, new);
	} else if (new) {
		pool_free_page(mmu->config.pool, new);
	}
	mmu_unlock(held);
	if (!status) {
		slots_free(mmu, old);
	}
	return status;
}

static int destroy(struct mmu *mmu, unsigned int view, struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	struct memslots *new = NULL;
	int status = check_view(mmu, view, error);

	if (!status && (view == 0 || !view_exists(mmu, view))) {
		status = view == 0 ? error_set(error, -EINVAL, "view 0 always exists")
				   : error_set(error, -ENOENT, "view %u: there is none", view);
	}
	if (!status && view_is_used(mmu, view)) {
		status = error_set(error, -EBUSY, "view %u: a vCPU is in it", view);
	}
	if (!status) {
		new = mmu_take_page(held);
		status =
			new ? 0 : error_set(error, -ENOMEM, "view %u: the pool is exhausted", view);
	}
	if (!status) {
		memslots_without_view(new, held.cache->slots, view);
		mmu->views &= ~(UINT32_C(1) << view);
		status = drop_root(held, view);
		make_stale(mmu);
	}
	return publish_ranges(held, new, status);
}

/* See mmu.h. Takes the lock of slot changes and the MMU lock. */
int mmu_view_destroy(struct mmu *mmu, unsigned int view, struct error_text *error)
{
	int status;

	spin_lock(&mmu->slots_lock);
	status = destroy(mmu, view, error);
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

static int publish_range(struct mmu *mmu, const struct view_range *range, struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	struct memslots *new = NULL;
	int status = check_view(mmu, range->view, error);

	if (!status && !view_exists(mmu, range->view)) {
		status = error_set(error, -ENOENT, "view %u: there is none", range->view);
	}
	if (!status) {
		new = mmu_take_page(held);
		status = new ? 0
			     : error_set(error, -ENOMEM, "view %u: the pool is exhausted",
					 range->view);
	}
	if (!status && !memslots_with_range(new, held.cache->slots, range)) {
		status = error_set(error, -ENOSPC, "view %u: more than %u ranges", range->view,
				   VIEW_RANGES_MAX);
	}
	if (!status) {
		mmu->collapse_slots = UINT32_MAX >> (32 - MEMSLOTS_MAX);
		atomic_store_explicit(&mmu->has_work, true, memory_order_relaxed);
	}
	return publish_ranges(held, new, status);
}

/* What the view maps in the range goes; faults bring back what is allowed. */
static int zap_range(struct mmu *mmu, const struct view_range *range)
{
	struct mmu_held held = mmu_lock(mmu);
	gfn_t end = gfn(range->gfn.v + range->page_count);
	struct mmu_root *root = NULL;
	int status = 0;

	invalidate_begin(held, range->gfn, range->page_count);
	while (!status && (root = root_next_in(held, root, range->view, false)) != NULL) {
		do {
			status = table_split_at(held, root->table, range->gfn);
			status = status ? status : table_split_at(held, root->table, end);
		} while (status == -ENOMEM && table_reclaim(held));
		/* Without memory for a split the large leaf goes whole: a fault brings it back. */
		status = table_zap(held, root->table, range->gfn, end);
		if (status) {
			(void)!root_put(held, root);
		}
	}
	invalidate_end(held);
	table_flush(held);
	mmu_unlock(held);
	return status || bug_is_set(mmu->config.bug) ? -EIO : 0;
}

static int protect(struct mmu *mmu, const struct view_range *range, struct error_text *error)
{
	int status;

	if (range->rights & ~SPTE_RIGHTS_ALL ||
	    (range->rights != 0 && !(range->rights & SPTE_READ))) {
		return error_set(error, -EINVAL, "view %u: rights 0x%x are not 0, r, rw, rx or rwx",
				 range->view, range->rights);
	}
	if (range->page_count == 0 ||
	    !range_fits(range->gfn.v, range->page_count, mmu->slot_limits.gfn_end)) {
		return error_set(error, -ERANGE, "view %u: gfn " PRIgfn " + 0x%llx pages",
				 range->view, ADDR_ARG(range->gfn),
				 (unsigned long long)range->page_count);
	}
	status = publish_range(mmu, range, error);
	return status ? status : zap_range(mmu, range);
}

/* See mmu.h. Takes the lock of slot changes and the MMU lock. */
int mmu_view_protect(struct mmu *mmu, unsigned int view, gfn_t start, uint64_t count,
		     unsigned int rights, struct error_text *error)
{
	const struct view_range range = { start, count, view, rights };
	int status;

	spin_lock(&mmu->slots_lock);
	status = protect(mmu, &range, error);
	spin_unlock(&mmu->slots_lock);
	mmu_prove(mmu);
	return status;
}

/* The view's valid root, made if there is none; NULL without memory. */
static struct mmu_root *view_root(struct mmu_held held, unsigned int view)
{
	struct mmu *mmu = held.mmu;
	unsigned int budget = UINT32_MAX;

	while (!mmu->view_root[view]) {
		mmu->view_root[view] = root_create(held, view);
		if (mmu->view_root[view]) {
			break;
		}
		/* Roots on their way out take structures and pages; then cold tables go. */
		if (budget != 0) {
			(void)root_free_some(held, &budget);
			budget = 0;
			table_flush(held);
		} else if (pool_available(mmu->config.pool) > 0 || !table_reclaim(held)) {
			break;
		}
	}
	return mmu->view_root[view];
}

/* The vCPU lets its root go and holds `root`, or none. 0 or -EIO. */
static int hold_root(struct mmu_held held, struct mmu_vcpu *vcpu, struct mmu_root *root)
{
	struct mmu_root *before = vcpu->root;

	if (root == before) {
		return 0;
	}
	if (root) {
		root_get(held, root);
	}
	vcpu->root = root;
	vcpu->last_table = NULL;
	return before ? root_put(held, before) : 0;
}

/* See mmu.h. Takes the MMU lock. */
hpa_t mmu_vcpu_root(struct mmu_vcpu *vcpu)
{
	struct mmu *mmu = vcpu->mmu;
	struct mmu_held held;
	struct mmu_root *root = NULL;
	hpa_t address = hpa(0);

	/* Before the root is read: a change that comes later is seen at the next entry. */
	atomic_store_explicit(&vcpu->stale, false, memory_order_relaxed);
	held = mmu_lock(mmu);
	/* First its own reference goes: what an old root takes may be what the new one needs. */
	if (!bug_is_set(mmu->config.bug) &&
	    (!vcpu->root || vcpu->root->valid || hold_root(held, vcpu, NULL) == 0)) {
		root = view_root(held, atomic_load_explicit(&vcpu->view, memory_order_relaxed));
	}
	if (root && hold_root(held, vcpu, root) == 0) {
		address = pfn_to_hpa(table_pfn(mmu, root->table));
	}
	mmu_unlock(held);
	mmu_prove(mmu);
	return address;
}

/* See mmu.h. Takes the MMU lock. */
int mmu_view_switch(struct mmu_vcpu *vcpu, unsigned int view)
{
	struct mmu_held held = mmu_lock(vcpu->mmu);
	bool exists = view_exists(vcpu->mmu, view);

	if (exists) {
		atomic_store_explicit(&vcpu->view, view, memory_order_relaxed);
		atomic_store_explicit(&vcpu->stale, true, memory_order_release);
	}
	mmu_unlock(held);
	return exists ? 0 : -ENOENT;
}

/* The root on the list whose table is at `address`, valid or not; NULL: none. */
static struct mmu_root *root_at(struct mmu *mmu, hpa_t address)
{
	struct list_node *node = mmu->roots.next;

	for (; node != &mmu->roots; node = node->next) {
		struct mmu_root *root = list_entry(node, struct mmu_root, node);

		if (pfn_to_hpa(table_pfn(mmu, root->table)).v == address.v) {
			return root;
		}
	}
	return NULL;
}

/* See mmu.h. Takes the MMU lock, unless the vCPU is where it was. */
int mmu_view_found(struct mmu_vcpu *vcpu, hpa_t root)
{
	struct mmu *mmu = vcpu->mmu;
	struct mmu_root *found;
	struct mmu_held held;
	int status = -ENOENT;

	/* Without the lock: nobody else changes the root that this vCPU holds. */
	if (vcpu->root && pfn_to_hpa(table_pfn(mmu, vcpu->root->table)).v == root.v) {
		return 0;
	}
	held = mmu_lock(mmu);
	found = root_at(mmu, root);
	if (found && view_exists(mmu, found->view)) {
		atomic_store_explicit(&vcpu->view, found->view, memory_order_relaxed);
	}
	if (found && found->valid) {
		status = hold_root(held, vcpu, found);
	} else {
		/* Release: pairs with mmu_vcpu_is_stale(). */
		atomic_store_explicit(&vcpu->stale, true, memory_order_release);
	}
	mmu_unlock(held);
	return status;
}

/* See mmu.h. Takes the MMU lock. */
hpa_t mmu_view_root(struct mmu *mmu, unsigned int view)
{
	struct mmu_held held = mmu_lock(mmu);
	struct mmu_root *root = NULL;

	if (!bug_is_set(mmu->config.bug) && view_exists(mmu, view)) {
		root = view_root(held, view);
	}
	mmu_unlock(held);
	return root ? pfn_to_hpa(table_pfn(mmu, root->table)) : hpa(0);
}

/* See mmu.h. Takes the MMU lock: as long as there are views. */
void mmu_zap_all(struct mmu *mmu)
{
	struct mmu_held held = mmu_lock(mmu);

	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		if (drop_root(held, view)) {
			break;
		}
	}
	make_stale(mmu);
	table_flush(held);
	mmu_unlock(held);
	mmu_prove(mmu);
}

/* See mmu.h. -ENOSPC: MMU_VCPUS_MAX. */
int mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu *mmu)
{
	struct mmu_held held = mmu_lock(mmu);
	/* Relaxed: written under the lock that is held. */
	unsigned int index = atomic_load_explicit(&mmu->vcpu_count, memory_order_relaxed);
	int status = index < MMU_VCPUS_MAX ? 0 : -ENOSPC;

	if (!status) {
		vcpu->mmu = mmu;
		vcpu->cache.pool = mmu->config.pool;
		atomic_store_explicit(&vcpu->stale, true, memory_order_relaxed);
		/* Release, both: mmu_synchronize() sees a vCPU that is whole. */
		atomic_store_explicit(&mmu->vcpu[index], vcpu, memory_order_release);
		atomic_store_explicit(&mmu->vcpu_count, index + 1, memory_order_release);
	}
	mmu_unlock(held);
	return status;
}

/* See mmu.h. Takes the MMU lock. */
void mmu_vcpu_leave(struct mmu_vcpu *vcpu)
{
	struct mmu *mmu = vcpu->mmu;
	struct mmu_held held = mmu_lock(mmu);

	for (unsigned int i = 0; i < MMU_VCPUS_MAX; i++) {
		if (atomic_load_explicit(&mmu->vcpu[i], memory_order_relaxed) == vcpu) {
			atomic_store_explicit(&mmu->vcpu[i], NULL, memory_order_release);
		}
	}
	(void)!hold_root(held, vcpu, NULL);
	cache_empty(&vcpu->cache, &mmu->rmap);
	mmu_unlock(held);
	mmu_prove(mmu);
}
