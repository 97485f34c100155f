/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nested-page MMU of one partition, as the rest of the hypervisor sees it: slots in,
 * faults in, a root pointer out, and the instruments (walk, rmap, audit, inject). What the
 * rules are: docs/mmu.md. Partition-owned, allocated from the partition's pool.
 *
 *     memslots  ->  mmu_fault()  ->  tables of SPTEs  <-  rmap (slot's gfn -> its SPTEs)
 *                                        |
 *                                      root (one a view)  ->  the CPU
 */
#ifndef MM_MMU_H
#define MM_MMU_H

#include "lib/addr.h"
#include "lib/bug.h"
#include "lib/lock.h"
#include "lib/status.h"
#include "mm/backing.h"
#include "mm/cache.h"
#include "mm/dirty.h"
#include "mm/frames.h"
#include "mm/memslot.h"
#include "mm/pool.h"
#include "mm/rmap.h"
#include "mm/root.h"
#include "mm/spte.h"

/* Same values as ACCESS_... of arch/x86/exit.h (tied by static_assert in hv/). */
#define MMU_READ 1u
#define MMU_WRITE 2u
#define MMU_EXECUTE 4u

#define MMU_VIEWS_MAX 8
#define MMU_LEVELS 4
#define MMU_VCPUS_MAX 64

struct mmu;
struct table;

/* Each view may have one valid root; the others are on their way out, see mmu_work(). */
#define MMU_ROOTS_MAX 16

/* What a flush must reach. */
struct mmu_flush {
	uint32_t views; /* a bit for each view */
	gfn_t start;	/* [start, end) */
	gfn_t end;
	unsigned int root_count; /* of these views, those on their way out too */
	hpa_t root[MMU_ROOTS_MAX];
};

/* Upward calls, handed over at mmu_init(). */
struct mmu_ops {
	/* Every CPU drops its cached translations of these views and gfns (or more) before it
	 * enters this partition again, and this returns only when none can use an old one (I10). */
	void (*flush)(void *context, const struct mmu_flush *what);
	/* Every vCPU leaves guest mode and asks mmu_vcpu_is_stale() before it enters again. */
	void (*kick)(void *context);
};

struct mmu_config {
	const struct spte_format *format; /* &ept_format or &npt_format */
	unsigned int maxphyaddr;	  /* of the host CPU: reserved bits start here */
	bool large_1g;			  /* the CPU has 1 GiB leaves */
	bool accessed_dirty;		  /* the CPU sets accessed and dirty bits */
	struct pool *pool;
	struct bug_state *bug;
	owner_t owner;
	const struct mmu_ops *ops;
	void *context; /* passed to ops */
};

enum mmu_result {
	MMU_FIXED,     /* mapped: run the instruction again */
	MMU_RETRY,     /* somebody was faster, or a transient state: run it again */
	MMU_MMIO,      /* no slot there: emulate the access */
	MMU_READ_ONLY, /* a write to a read-only slot */
	MMU_ABSENT,    /* a slot, but the page is not there yet, or was given back (M rules) */
	MMU_DENIED,    /* the view forbids it (M rules) */
	MMU_NO_MEMORY, /* the pool is exhausted and nothing could be reclaimed */
	MMU_STUCK,     /* M6: the same fault again and again without progress */
	MMU_BUGGED,    /* the partition is bugged (-EIO of P4) */
};

/* Counters for `mmu stat`: relaxed atomics, for faults count in parallel. */
struct mmu_stats {
	_Atomic uint64_t faults;
	_Atomic uint64_t fixed[MMU_LEVELS - 1]; /* by leaf: 4 KiB, 2 MiB, 1 GiB */
	_Atomic uint64_t mmio_installed;
	_Atomic uint64_t mmio_hits;
	_Atomic uint64_t retries;
	_Atomic uint64_t zaps;
	_Atomic uint64_t flushes;
	_Atomic uint64_t tables;
	_Atomic uint64_t rmap_entries;
	_Atomic uint64_t rmap_chains; /* lines of chains in use */
	_Atomic uint64_t reclaimed;   /* tables zapped because the pool was short */
	_Atomic uint64_t splits;
	_Atomic uint64_t collapses;
	_Atomic uint64_t dirtied; /* clean pages of logged slots that became dirty */
};

/* The last fault that changed nothing, and how often it came (M6). */
struct mmu_again {
	gpa_t address;
	unsigned int view;
	unsigned int access;
	unsigned int count;
};

/*
 * One vCPU's side of the MMU: what its faults need without asking anybody. Written by the
 * CPU that runs the vCPU, but where it says otherwise. Partition-owned.
 */
struct mmu_vcpu {
	struct mmu *mmu;
	/* Epoch of the read section that is under way, 0: none. Others read it (V4). */
	_Atomic uint64_t reading;
	/* Set by others: mmu_vcpu_root() must be asked before the next entry. */
	_Atomic bool stale;
	_Atomic unsigned int view; /* others read it for the shell */
	struct mmu_root *root;	   /* of `view`; holds a reference; under the MMU lock */
	/* Of the last fault, NULL without a root; believed only after a comparison. */
	struct table *last_table;
	unsigned int slot_hint;
	struct mmu_again again;
	struct mmu_cache cache;
};

/*
 * The MMU itself. Fields are mm/'s own business; the structure is here so that a partition
 * can embed it. Under `lock`: written with it held for writing, read with it held either
 * way, but for the constant part and where it says otherwise.
 */
struct mmu {
	struct rwlock lock;

	/* Constant after mmu_init(). */
	struct mmu_config config;
	struct spte_limits spte_limits;
	struct memslot_limits slot_limits;
	pfn_t pool_start;
	struct table *tables; /* a header for each page of the pool */

	/* Changes of slots and views, one at a time: taken before `lock`, never on a fault. */
	struct spinlock slots_lock;
	/* Readers take no lock, but stand in a read section (mmu_read_begin()). */
	struct memslots *_Atomic slots;
	_Atomic uint64_t epoch; /* raised by each wait for a quiescent point */
	struct mmu_vcpu *_Atomic vcpu[MMU_VCPUS_MAX];
	_Atomic unsigned int vcpu_count;

	/* V1, V2. Written under the lock; `seq` and `in_progress` are read without it. */
	_Atomic uint64_t invalidate_seq;
	_Atomic unsigned int invalidate_in_progress;
	gfn_t invalidate_start; /* the union of the ranges in progress */
	gfn_t invalidate_end;

	struct rmap rmap;
	struct backing backing[MEMSLOTS_MAX]; /* pages that are not where the slot says */
	struct dirty_log dirty[MEMSLOTS_MAX];
	struct list_node roots;
	struct mmu_root root_store[MMU_ROOTS_MAX];
	struct mmu_root *view_root[MMU_VIEWS_MAX]; /* each holds a reference */
	uint32_t views;				   /* a bit for each view that exists */
	uint32_t collapse_slots;		   /* slots to be looked at by mmu_work() */
	_Atomic bool has_work;			   /* for mmu_work() */

	struct mmu_flush flush_what;
	bool flush_pending;
	uint32_t retired_tables; /* index of the first, or TABLE_END */
	size_t reclaim_cursor;
	uint8_t audit_stamp;
	struct mmu_cache cache; /* for changes under the lock held for writing */
	struct mmu_stats stats;
};

/* 0, or an error before anything is visible (-ENOMEM). `mmu` is zeroed memory of the pool. */
int __must_check mmu_init(struct mmu *mmu, const struct mmu_config *config);

/*
 * A vCPU joins, in view 0; `vcpu` is zeroed memory of the pool. -ENOMEM, -ENOSPC. It leaves
 * again when it never runs any more; not to be called in a read section.
 */
int __must_check mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu *mmu);
void mmu_vcpu_leave(struct mmu_vcpu *vcpu);

/*
 * A read section (V4): between the two, slots, and pointers of mmu_guest_ptr(), stay what
 * they are. One vCPU's sections do not nest. vCPUs are in one while an exit is handled, not
 * while they are in guest mode or wait. Who changes slots is not in one: it would wait for
 * itself.
 */
static inline void mmu_read_begin(struct mmu_vcpu *vcpu)
{
	/* Acquire: a section of a new epoch sees the slots that were published before it. */
	uint64_t epoch = atomic_load_explicit(&vcpu->mmu->epoch, memory_order_acquire);

	/* Sequentially consistent: seen by mmu_synchronize() before anything is read here. */
	atomic_exchange_explicit(&vcpu->reading, epoch, memory_order_seq_cst);
}

static inline void mmu_read_end(struct mmu_vcpu *vcpu)
{
	/* Release: what was read is done with. */
	atomic_store_explicit(&vcpu->reading, 0, memory_order_release);
}

/* The vCPU's root is not good any more: before the next entry it takes mmu_vcpu_root(). */
static inline bool mmu_vcpu_is_stale(struct mmu_vcpu *vcpu)
{
	/* Acquire: what made it stale is seen by mmu_vcpu_root(). */
	return unlikely(atomic_load_explicit(&vcpu->stale, memory_order_acquire));
}

/*
 * The root table of the vCPU's view, for virt_ops.set_root; made at its first use; the vCPU
 * holds it until it asks again. 0 on a bugged partition or without memory. Takes the MMU lock.
 */
hpa_t mmu_vcpu_root(struct mmu_vcpu *vcpu);

/* -ENOENT: no such view. The vCPU is stale afterwards. Its own CPU, or while it does not run. */
int __must_check mmu_view_switch(struct mmu_vcpu *vcpu, unsigned int view);
/*
 * For CPUs whose guests switch by themselves (VMFUNC): the root that it is found in. 0, or
 * -ENOENT when that is no valid root any more; the vCPU then is stale, and in that root's view
 * if there still is one.
 */
int __must_check mmu_view_found(struct mmu_vcpu *vcpu, hpa_t root);
/* The root of a view for such a CPU's list, made if need be; valid until mmu_ops.kick. */
hpa_t mmu_view_root(struct mmu *mmu, unsigned int view);

/*
 * Views: address spaces over the same slots. View 0 always exists. A view starts with all
 * that the slots allow; mmu_view_protect() sets the most that it allows in a range (0: hidden,
 * MMU_READ|WRITE|EXECUTE: as the slots say). Not in a read section. -EINVAL, -ERANGE,
 * -EEXIST, -ENOENT, -EBUSY (a vCPU is in it), -ENOSPC (64 ranges), -ENOMEM, -EIO: nothing changed.
 */
int __must_check mmu_view_create(struct mmu *mmu, unsigned int view, struct error_text *error);
int __must_check mmu_view_destroy(struct mmu *mmu, unsigned int view, struct error_text *error);
int __must_check mmu_view_protect(struct mmu *mmu, unsigned int view, gfn_t start, uint64_t count,
				  unsigned int rights, struct error_text *error);

/*
 * Slots (V6), all while vCPUs run: overlap, wrap-around, misalignment, zero size, a gfn beyond
 * MAXPHYADDR, frames that are not this partition's: an error and nothing changed. Deleting,
 * moving and shrinking wait until every vCPU has passed a quiescent point (V4), so not in a
 * read section. A moved slot keeps its frames, and its pages' state. mmu_slot_resize() takes
 * or leaves frames at the end of the run.
 */
int __must_check mmu_slot_create(struct mmu *mmu, const struct memslot_config *config,
				 struct error_text *error);
int __must_check mmu_slot_delete(struct mmu *mmu, unsigned int slot_id, struct error_text *error);
int __must_check mmu_slot_move(struct mmu *mmu, unsigned int slot_id, gfn_t to,
			       struct error_text *error);
int __must_check mmu_slot_resize(struct mmu *mmu, unsigned int slot_id, uint64_t page_count,
				 struct error_text *error);
/* MEMSLOT_READ_ONLY and MEMSLOT_LOG_DIRTY; the other flags are as they were created. */
int __must_check mmu_slot_set_flags(struct mmu *mmu, unsigned int slot_id, uint32_t flags,
				    struct error_text *error);

/*
 * Backing changes (V1). Between begin and end no fault installs anything in the range. Several
 * may overlap. Not nested in the MMU lock. mmu_unmap() zaps the range in every view and root,
 * splitting large leaves at its ends, and flushes before it returns (I9, I10): 0, -ENOMEM
 * (nothing zapped), -EIO.
 */
void mmu_invalidate_begin(struct mmu *mmu, gfn_t start, uint64_t count);
void mmu_invalidate_end(struct mmu *mmu, gfn_t start, uint64_t count);
int __must_check mmu_unmap(struct mmu *mmu, gfn_t start, uint64_t count);

/*
 * Pages of a slot, one by one. mmu_page_remove(): from now on absent; its frame is what
 * *frame says, unmapped and flushed everywhere, and not this MMU's affair any more.
 * mmu_page_insert(): an absent page is there again, backed by `frame`, which the partition
 * owns (or PFN_LINEAR: the frame that the slot has for it). -ENOENT no slot there, -EEXIST
 * present, -ENODATA absent already, -EPERM not ours, -ENOMEM, -EIO. Not in a read section.
 */
#define PFN_LINEAR pfn(~UINT64_C(0))
int __must_check mmu_page_remove(struct mmu *mmu, gfn_t frame_number, pfn_t *frame);
int __must_check mmu_page_insert(struct mmu *mmu, gfn_t frame_number, pfn_t frame);
/* 0 with the frame behind a gfn, -ENOENT, -ENODATA (absent). In a read section. */
int __must_check mmu_page_lookup(struct mmu *mmu, gfn_t frame_number, pfn_t *frame);

/*
 * Dirty log of a slot with MEMSLOT_LOG_DIRTY. Reads the bits of pages [first, first + count)
 * of the slot (first and count multiples of 64) into bitmap[], bit n of word n/64 first, and
 * with `clear` makes those pages clean, atomically: a write that comes later is in the next
 * reading. -ENOENT, -EINVAL, -ENODATA (not logged), -EIO.
 */
int __must_check mmu_dirty_read(struct mmu *mmu, unsigned int slot_id, uint64_t first,
				uint64_t count, uint64_t *bitmap, bool clear);
/* After the hypervisor itself wrote to guest memory; in the same read section. */
void mmu_mark_dirty(struct mmu *mmu, gpa_t address, size_t size);

/* R5: every mapping goes. O(1): the roots become invalid, mmu_work() frees what is under them. */
void mmu_zap_all(struct mmu *mmu);

/* Work that waits: dead roots, pages that could be large again. At most about `budget` entries
 * of tables are touched. True when some is left. Not in a read section. */
bool mmu_work(struct mmu *mmu, unsigned int budget);

/* A nested fault at `address` with MMU_READ | WRITE | EXECUTE. O(depth). In a read section. */
enum mmu_result mmu_fault(struct mmu_vcpu *vcpu, gpa_t address, unsigned int access);

/*
 * The hardware reported a malformed entry: a well-formed MMIO SPTE gives MMU_MMIO, a stale
 * or sane one MMU_RETRY (bounded), reserved bits bug the partition (I3). In a read section.
 */
enum mmu_result mmu_fault_malformed(struct mmu_vcpu *vcpu, gpa_t address);

/*
 * Host pointer to guest memory at `address`, and in *size how many bytes follow in one piece;
 * NULL when no slot is there or its page is absent, or `write` and the slot is read-only.
 * In a read section: the pointer is good until its end. On a bugged partition memory can
 * still be read (P7), but not written.
 */
void *mmu_guest_ptr(struct mmu *mmu, gpa_t address, size_t *size, bool write);

/*
 * Changes with every change of slots and backing: who keeps a pointer of mmu_guest_ptr() over
 * the end of a read section compares it, taken before the pointer, with a new one.
 */
static inline uint64_t mmu_memory_stamp(struct mmu *mmu)
{
	/* Acquire, both: pairs with slots_publish() and invalidate_end(); each only grows. */
	return atomic_load_explicit(&mmu->slots, memory_order_acquire)->generation +
	       atomic_load_explicit(&mmu->invalidate_seq, memory_order_acquire);
}

/* What the CPU would see on its way to `address`. */
struct mmu_walk_step {
	unsigned int level; /* 4 is the root's */
	hpa_t sptep;
	uint64_t spte;
	bool present;
	bool leaf;
	bool mmio;
	enum rule broken; /* RULE_NONE, or the rule that the value itself breaks */
};
struct mmu_walk {
	unsigned int count;
	struct mmu_walk_step steps[MMU_LEVELS];
};
/* Works on a bugged MMU too (P7): follows only table addresses inside the pool. */
void mmu_walk(struct mmu *mmu, unsigned int view, gpa_t address, struct mmu_walk *walk);

/* SPTEs that the rmap holds for a gfn, for the shell: up to `max`, returns how many there are. */
struct mmu_rmap_entry {
	hpa_t sptep;
	uint64_t spte;
	unsigned int level;
};
unsigned int mmu_rmap_list(struct mmu *mmu, gfn_t frame, struct mmu_rmap_entry *out,
			   unsigned int max);

/*
 * The audit recomputes I1-I6, I8-I14 and R1 from scratch, as far as what is in memory shows
 * them. Each broken rule is reported; the first bugs the partition; all are counted.
 */
struct mmu_audit_finding {
	enum rule rule;
	struct bug_detail detail;
};
#define MMU_AUDIT_FINDINGS_MAX 8
struct mmu_audit {
	uint64_t tables;
	uint64_t leaves;
	uint64_t rmap_entries;
	uint64_t violations;
	unsigned int finding_count; /* the first ones */
	struct mmu_audit_finding findings[MMU_AUDIT_FINDINGS_MAX];
};
/* All of it. Returns the number of violations. On a bugged MMU they are only listed. Takes
 * the MMU lock. */
uint64_t mmu_audit(struct mmu *mmu, struct mmu_audit *audit);

/* Where an audit in slices is; zeroed: at the start. Of whoever calls for it. */
struct mmu_audit_cursor {
	unsigned int phase; /* see mmu_audit_phase() */
	uint64_t place;	    /* in it: a page of the pool, or a slot */
	uint64_t index;	    /* there: an entry, a head, a page */
	uint64_t passes;
	uint64_t entries; /* looked at so far, about */
	uint64_t violations;
};
/*
 * A slice: about `budget` entries (of tables, heads, chains) from the cursor on, with the MMU
 * lock held; true when it ended a pass. *audit is what this slice found. Anything may change
 * in between. Nothing is done on a bugged MMU.
 */
bool mmu_audit_step(struct mmu *mmu, struct mmu_audit_cursor *cursor, unsigned int budget,
		    struct mmu_audit *audit);
const char *mmu_audit_phase(const struct mmu_audit_cursor *cursor); /* for the shell */

void mmu_get_stats(struct mmu *mmu, struct mmu_stats *stats);

/*
 * Fault injection, in every build (shell: inject). Damages the metadata of one partition in
 * a chosen way; the ordinary checks or the audit must find it.
 */
enum mmu_inject {
	MMU_INJECT_SPTE_RESERVED, /* SPTE with a reserved bit */
	MMU_INJECT_SPTE_FOREIGN,  /* SPTE to a frame of somebody else */
	MMU_INJECT_RMAP_DROPPED,
	MMU_INJECT_RMAP_DOUBLED,
	MMU_INJECT_RMAP_WRONG, /* rmap head pointing at another SPTE */
	MMU_INJECT_COUNT_OFF,  /* table count off by one */
	MMU_INJECT_SLOT_GONE,  /* slot gone under a live mapping */
	MMU_INJECT_COUNT,
};
const char *mmu_inject_name(enum mmu_inject kind); /* "spte-reserved", ... for the shell */
const char *mmu_inject_text(enum mmu_inject kind); /* a line of help */
/*
 * `frame` must be mapped by a leaf, else -ENOENT with a message (use mmu_inject_gfn() to find
 * one). `foreign` is a frame that is not the partition's, for SPTE_FOREIGN.
 * On success the CPUs' cached translations are dropped, so that hardware sees the change.
 */
int __must_check mmu_inject(struct mmu *mmu, enum mmu_inject kind, gfn_t frame, pfn_t foreign,
			    struct error_text *error);
/* A mapped gfn to use when the operator gives none; -ENOENT when nothing is mapped. */
int __must_check mmu_inject_gfn(struct mmu *mmu, gfn_t *frame);

#endif
