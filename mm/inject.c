/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault injection: damages one partition's metadata in a chosen way, in every build, so that
 * an operator can see it found. Nothing here checks or repairs; what must find each kind is
 * in the table. SPTEs are written by table_damage(), the one exception to table_store().
 */
#include "mm/mmu.h"
#include "mm/table.h"

/* A leaf: the place to damage. */
struct target {
	struct table *table;
	unsigned int index;
	unsigned int level;
	gfn_t gfn;
	spte_t spte;
};

static const struct {
	const char *name;
	const char *text;
} kinds[MMU_INJECT_COUNT] = {
	[MMU_INJECT_SPTE_RESERVED] = { "spte-reserved",
				       "set a reserved bit in an SPTE: the CPU reports it (I3)" },
	[MMU_INJECT_SPTE_FOREIGN] = { "spte-foreign",
				      "let an SPTE map a frame of somebody else (I4)" },
	[MMU_INJECT_RMAP_DROPPED] = { "rmap-dropped", "drop an SPTE from its rmap (I1)" },
	[MMU_INJECT_RMAP_DOUBLED] = { "rmap-doubled", "put an SPTE into its rmap twice (I1)" },
	[MMU_INJECT_RMAP_WRONG] = { "rmap-wrong", "let an rmap head point at another SPTE (I1)" },
	[MMU_INJECT_COUNT_OFF] = { "count-off", "make a table's count wrong by one (I5)" },
	[MMU_INJECT_SLOT_GONE] = { "slot-gone", "take a slot away under its mappings (I1)" },
};

/* For the shell; "?" for a number that is no kind. */
const char *mmu_inject_name(enum mmu_inject kind)
{
	return kind < MMU_INJECT_COUNT ? kinds[kind].name : "?";
}

const char *mmu_inject_text(enum mmu_inject kind)
{
	return kind < MMU_INJECT_COUNT ? kinds[kind].text : "?";
}

/* The leaf that maps a gfn in the first view that has one. */
static bool find_leaf(struct mmu *mmu, gfn_t frame, struct target *target)
{
	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		const struct mmu_root *root = mmu->view_root[view];
		struct table *table = root ? root->table : NULL;

		for (unsigned int level = SPTE_LEVELS; table; level--) {
			unsigned int index = level_index(frame, level);
			spte_t spte = table_get(mmu, table, index);

			if (spte_is_leaf(spte, level)) {
				*target = (struct target){ table, index, level,
							   level_align(frame, level), spte };
				return true;
			}
			table = spte_is_table(spte, level) ? table_child(mmu, table, index, spte)
							   : NULL;
		}
	}
	return false;
}

static int damage_reserved(struct mmu_held held, const struct target *target,
			   struct error_text *error)
{
	uint64_t reserved = held.mmu->spte_limits.reserved[target->level][true] & ~SPTE_LARGE;

	if (reserved == 0) {
		return error_set(error, -ENOENT,
				 "this CPU has no reserved bit in a leaf of level %u",
				 target->level);
	}
	/* The highest one: a reserved address bit where there is one. */
	table_damage(held, target->table, target->index,
		     (spte_t){ target->spte.v | BIT(63 - __builtin_clzll(reserved)) });
	return 0;
}

static int damage_foreign(struct mmu_held held, const struct target *target, pfn_t foreign,
			  struct error_text *error)
{
	uint64_t frames = level_frames(target->level);
	pfn_t first = pfn(align_down(foreign.v, frames));
	struct frame_info ours = { .owner = held.mmu->config.owner, .state = FRAME_PRIVATE };

	if (first.v >= held.mmu->slot_limits.pfn_end || frames_all(first, frames, ours)) {
		return error_set(error, -EINVAL, "pfn " PRIpfn " is not somebody else's",
				 ADDR_ARG(foreign));
	}
	table_damage(held, target->table, target->index,
		     (spte_t){ (target->spte.v & ~SPTE_PFN) | pfn_to_hpa(first).v });
	return 0;
}

static int damage_rmap(struct mmu_held held, enum mmu_inject kind, const struct target *target,
		       struct error_text *error)
{
	struct mmu *mmu = held.mmu;
	hpa_t sptep = table_sptep(mmu, target->table, target->index);
	const struct memslot *slot = memslot_by_id(
		atomic_load_explicit(&mmu->slots, memory_order_relaxed), spte_slot(target->spte));
	struct rmap_path path = { .head = NULL };

	if (!slot || rmap_find(&mmu->rmap, slot, target->gfn, target->level, &path) != RMAP_OK ||
	    !path.head) {
		return error_set(error, -ENOENT, "gfn " PRIgfn " has no rmap entry",
				 ADDR_ARG(target->gfn));
	}
	if (kind == MMU_INJECT_RMAP_DROPPED) {
		atomic_store_explicit(path.head, 0, memory_order_relaxed);
	} else if (kind == MMU_INJECT_RMAP_WRONG) {
		atomic_store_explicit(path.head,
				      table_sptep(mmu, target->table, target->index ^ 1).v,
				      memory_order_relaxed);
	} else if (rmap_force(&mmu->rmap, held.cache, &path, sptep) != RMAP_OK) {
		return error_set(error, -ENOMEM, "the pool is exhausted");
	}
	return 0;
}

static int damage_slot(struct mmu_held held, const struct target *target, struct error_text *error)
{
	struct mmu *mmu = held.mmu;
	struct memslots *old = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	struct memslots *new = pool_alloc_page(mmu->config.pool);

	if (!new) {
		return error_set(error, -ENOMEM, "the pool is exhausted");
	}
	memslots_without(new, old, spte_slot(target->spte));
	/* Release: readers see the array filled. The old one is left to them. */
	atomic_store_explicit(&mmu->slots, new, memory_order_release);
	return 0;
}

static int inject(struct mmu_held held, enum mmu_inject kind, const struct target *target,
		  pfn_t foreign, struct error_text *error)
{
	switch (kind) {
	case MMU_INJECT_SPTE_RESERVED:
		return damage_reserved(held, target, error);
	case MMU_INJECT_SPTE_FOREIGN:
		return damage_foreign(held, target, foreign, error);
	case MMU_INJECT_RMAP_DROPPED:
	case MMU_INJECT_RMAP_DOUBLED:
	case MMU_INJECT_RMAP_WRONG:
		return damage_rmap(held, kind, target, error);
	case MMU_INJECT_COUNT_OFF:
		atomic_fetch_add_explicit(&target->table->count, 1, memory_order_relaxed);
		return 0;
	case MMU_INJECT_SLOT_GONE:
		return damage_slot(held, target, error);
	case MMU_INJECT_COUNT:
		break;
	}
	return error_set(error, -EINVAL, "unknown kind of fault");
}

/* See mmu.h. Takes the MMU lock. */
int mmu_inject(struct mmu *mmu, enum mmu_inject kind, gfn_t frame, pfn_t foreign,
	       struct error_text *error)
{
	struct mmu_held held = mmu_lock(mmu);
	struct target target;
	int status;

	if (bug_is_set(mmu->config.bug)) {
		status = error_set(error, -EIO, "the partition is bugged already");
	} else if (!find_leaf(mmu, frame, &target)) {
		status = error_set(error, -ENOENT, "gfn " PRIgfn " is not mapped", ADDR_ARG(frame));
	} else {
		status = inject(held, kind, &target, foreign, error);
	}
	if (!status) {
		held.mmu->flush_pending = true;
		table_flush(held);
	}
	mmu_unlock(held);
	return status;
}

/* See mmu.h: a leaf of the table of the last fault, else of any. Takes the MMU lock. */
int mmu_inject_gfn(struct mmu *mmu, gfn_t *frame)
{
	struct mmu_held held = mmu_lock(mmu);
	size_t page_count = mmu->config.pool->page_count;
	const struct mmu_vcpu *vcpu = atomic_load_explicit(&mmu->vcpu[0], memory_order_acquire);
	const struct table *last = vcpu ? vcpu->last_table : NULL;
	size_t start = last ? (size_t)(last - mmu->tables) : 0;
	int status = bug_is_set(mmu->config.bug) ? -EIO : -ENOENT;

	for (size_t n = 0; n < page_count && status == -ENOENT; n++) {
		const struct table *table = &mmu->tables[(start + n) % page_count];

		if (table->state != TABLE_LINKED) {
			continue;
		}
		for (unsigned int i = 0; i < SPTE_PER_TABLE && status == -ENOENT; i++) {
			if (spte_is_leaf(table_get(mmu, table, i), role_level(table->role))) {
				*frame = table_entry_gfn(table, i);
				status = 0;
			}
		}
	}
	mmu_unlock(held);
	return status;
}
