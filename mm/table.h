/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Table pages: what the CPU walks, and a header for each kept apart from it. Internal to
 * mm/. Headers are an array beside the pool, indexed by page, so that any address the CPU or
 * an SPTE names is either found to be a live table or refused, without following anything.
 *
 *     pool page n   | 512 SPTEs |        mmu->tables[n]   | gfn, role, parent, count ... |
 *
 *     NONE --alloc--> UNLINKED --store in parent--> LINKED --zap--> RETIRED --flush--> NONE
 */
#ifndef MM_TABLE_H
#define MM_TABLE_H

#include "mm/mmu.h"

enum table_state {
	TABLE_NONE, /* the page is not a table */
	TABLE_UNLINKED,
	TABLE_LINKED,
	TABLE_RETIRED, /* out of reach for new walks; a CPU may still have it cached */
};

/*
 * What a table is for, in one word, so that comparing all of it is one instruction (I14).
 * A table one level down has the same role less one.
 */
#define ROLE_LEVEL BITS(3, 0)
#define ROLE_VIEW BITS(7, 4)
#define ROLE_FORMAT BITS(11, 8)
#define ROLE_ROOT BITS(19, 16) /* index in mmu->root_store */

struct table {
	gfn_t gfn;    /* first that it covers (I13) */
	hpa_t parent; /* SPTE that links it; 0 for a root */
	uint32_t role;
	uint32_t generation; /* of the slots when it was made */
	/* Entries that are not empty: present or MMIO (I5). Raised with the MMU lock shared,
	 * before the entry is stored; the other fields change before the table is linked, or
	 * with the lock held for writing. */
	_Atomic uint16_t count;
	_Atomic uint8_t state; /* enum table_state; see table_set_state() */
	uint8_t seen;	       /* the audit's mark */
	uint32_t next;	       /* index of the next retired one, or TABLE_END */
};

static_assert(sizeof(struct table) == 32, "two headers in a cache line");

#define TABLE_END UINT32_MAX

/*
 * Proof that the MMU lock is held, made by mmu_lock() and mmu_lock_shared() alone. Slots are
 * those that the holder goes by: the published ones when it holds the lock for writing, those
 * that it started with in a fault.
 */
struct mmu_held {
	struct mmu *mmu;
	struct mmu_cache *cache; /* the holder's; its `slots` are those meant above */
};

/* True in a fault: nothing present may go. */
static inline bool held_is_shared(struct mmu_held held)
{
	return held.cache != &held.mmu->cache;
}

static inline struct mmu_held mmu_lock(struct mmu *mmu)
{
	write_lock(&mmu->lock);
	/* Relaxed: arrays are published under the lock that is held. */
	mmu->cache.slots = atomic_load_explicit(&mmu->slots, memory_order_relaxed);
	return (struct mmu_held){ mmu, &mmu->cache };
}

static inline void mmu_unlock(struct mmu_held held)
{
	write_unlock(&held.mmu->lock);
}

/* In a read section that began before `slots` was read. */
static inline struct mmu_held mmu_lock_shared(struct mmu_vcpu *vcpu, const struct memslots *slots)
{
	read_lock(&vcpu->mmu->lock);
	vcpu->cache.slots = slots;
	return (struct mmu_held){ vcpu->mmu, &vcpu->cache };
}

static inline void mmu_unlock_shared(struct mmu_held held)
{
	read_unlock(&held.mmu->lock);
}

/* Statistics are counted in parallel. */
static inline void stat_count(_Atomic uint64_t *counter, uint64_t change)
{
	atomic_fetch_add_explicit(counter, change, memory_order_relaxed);
}

/*
 * Release: a fault that remembers the table from an earlier life, and finds it LINKED again,
 * sees the rest of its header.
 */
static inline void table_set_state(struct table *table, enum table_state state)
{
	atomic_store_explicit(&table->state, (uint8_t)state, memory_order_release);
}

static inline unsigned int role_level(uint32_t role)
{
	return (unsigned int)FIELD_GET(ROLE_LEVEL, role);
}

static inline unsigned int role_view(uint32_t role)
{
	return (unsigned int)FIELD_GET(ROLE_VIEW, role);
}

/* The page of a header, and the header of a page (NULL: not a table of this pool). */
static inline pfn_t table_pfn(const struct mmu *mmu, const struct table *table)
{
	return pfn(mmu->pool_start.v + (uint64_t)(table - mmu->tables));
}

static inline _Atomic uint64_t *table_entries(const struct mmu *mmu, const struct table *table)
{
	return (_Atomic uint64_t *)hpa_to_ptr(pfn_to_hpa(table_pfn(mmu, table)));
}

static inline struct table *table_of(const struct mmu *mmu, pfn_t page)
{
	uint64_t index = page.v - mmu->pool_start.v;

	if (index >= mmu->config.pool->page_count || mmu->tables[index].state == TABLE_NONE) {
		return NULL;
	}
	return &mmu->tables[index];
}

/* Acquire: pairs with the store that links a table; what it holds is seen. */
static inline spte_t table_get(const struct mmu *mmu, const struct table *table, unsigned int index)
{
	return (spte_t){ atomic_load_explicit(&table_entries(mmu, table)[index],
					      memory_order_acquire) };
}

static inline unsigned int table_count(const struct table *table)
{
	return atomic_load_explicit(&table->count, memory_order_relaxed);
}

static inline hpa_t table_sptep(const struct mmu *mmu, const struct table *table,
				unsigned int index)
{
	return hpa(pfn_to_hpa(table_pfn(mmu, table)).v + index * sizeof(spte_t));
}

/* First gfn under an entry. */
static inline gfn_t table_entry_gfn(const struct table *table, unsigned int index)
{
	return gfn(table->gfn.v + index * level_frames(role_level(table->role)));
}

/* The table that a present table entry must point at, or NULL when it is not that (I13, I14). */
static inline struct table *table_child(const struct mmu *mmu, const struct table *table,
					unsigned int index, spte_t spte)
{
	struct table *child = table_of(mmu, spte_pfn(spte));

	if (!child || child->state != TABLE_LINKED || child->role != table->role - 1 ||
	    child->gfn.v != table_entry_gfn(table, index).v) {
		return NULL;
	}
	return child;
}

/* Relaxed: whoever stored the entry held the lock, which is held for writing now. */
static inline uint64_t table_peek(const _Atomic uint64_t *entry)
{
	return atomic_load_explicit(entry, memory_order_relaxed);
}

/* True when the eight entries are empty. Written out: no compiler does it at -O2. */
static inline bool table_eight_empty(const _Atomic uint64_t *entry)
{
	return (table_peek(&entry[0]) | table_peek(&entry[1]) | table_peek(&entry[2]) |
		table_peek(&entry[3]) | table_peek(&entry[4]) | table_peek(&entry[5]) |
		table_peek(&entry[6]) | table_peek(&entry[7])) == 0;
}

/*
 * The first entry of [from, to) that is not empty, or `to`. With the lock held for writing. Eight
 * at a time: tables that the shrinker takes are often nearly empty, and its time goes here.
 */
static inline unsigned int table_next_entry(const struct mmu *mmu, const struct table *table,
					    unsigned int from, unsigned int to)
{
	const _Atomic uint64_t *entries = table_entries(mmu, table);

	while (from + 8 <= to && table_eight_empty(&entries[from])) {
		from += 8;
	}
	while (from < to && table_peek(&entries[from]) == 0) {
		from++;
	}
	return from;
}

/* Entries that are not empty, counted. With the lock held for writing. */
static inline unsigned int table_count_entries(const struct mmu *mmu, const struct table *table)
{
	unsigned int count = 0;
	unsigned int i = table_next_entry(mmu, table, 0, SPTE_PER_TABLE);

	while (i < SPTE_PER_TABLE) {
		count++;
		i = table_next_entry(mmu, table, i + 1, SPTE_PER_TABLE);
	}
	return count;
}

struct table *table_alloc(struct mmu_held held, uint32_t role, gfn_t frame);
void table_free(struct mmu_held held, struct table *table);
void table_retire(struct mmu_held held, struct table *table);

/* From `old` to `new` in one step, or -EAGAIN when another value is there by now. */
int __must_check table_store(struct mmu_held held, struct table *table, unsigned int index,
			     spte_t old, spte_t new);
/* Claims an empty entry, so that what comes below it can be made; then one of the two. */
bool __must_check table_claim(struct mmu_held held, struct table *table, unsigned int index);
int __must_check table_store_claimed(struct mmu_held held, struct table *table, unsigned int index,
				     spte_t new);
void table_unclaim(struct mmu_held held, struct table *table, unsigned int index);

/* zap.c: all with the lock held for writing. */
int __must_check table_zap(struct mmu_held held, struct table *table, gfn_t start, gfn_t end);
int __must_check table_zap_mmio(struct mmu_held held);
bool table_reclaim(struct mmu_held held);
int __must_check table_unlink_empty(struct mmu_held held, struct table *table);
struct table *table_parent(const struct mmu *mmu, const struct table *table, unsigned int *index);

/* split.c: the lock held for writing. */
int __must_check table_split(struct mmu_held held, struct table *table, unsigned int index);
int __must_check table_split_at(struct mmu_held held, struct table *table, gfn_t frame);
int __must_check table_write_protect(struct mmu_held held, const struct memslot *slot, gfn_t frame);
bool table_collapse(struct mmu_held held, unsigned int *budget);

/* flush.c */
void table_flush_later(struct mmu_held held, unsigned int view, gfn_t start, uint64_t count);
void table_flush(struct mmu_held held);

/* fault.c: a fault that is not the plain one, the lock not held. */
enum mmu_result fault_any(struct mmu_vcpu *vcpu, gpa_t address, unsigned int access);

/* slots.c */
void *mmu_take_page(struct mmu_held held);
void mmu_make_room(struct mmu_held held, size_t count);

/* The exception to the rule of one store: damage on purpose, for mm/inject.c alone. */
void table_damage(struct mmu_held held, struct table *table, unsigned int index, spte_t value);

#endif
