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

struct mmu;
struct table;

/* Upward calls, handed over at mmu_init(). */
struct mmu_ops {
	/* Every CPU drops its cached translations of this partition before it enters again, and
	 * this returns only when none can use an old one (I10). */
	void (*flush)(void *context);
};

struct mmu_config {
	const struct spte_format *format; /* &ept_format or &npt_format */
	unsigned int maxphyaddr;	  /* of the host CPU: reserved bits start here */
	bool large_1g;			  /* the CPU has 1 GiB leaves */
	bool accessed_dirty;
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
	MMU_NO_MEMORY, /* the pool is exhausted and nothing could be reclaimed */
	MMU_STUCK,     /* M6: the same fault again and again without progress */
	MMU_BUGGED,    /* the partition is bugged (-EIO of P4) */
};

/* Counters for `mmu stat`. Written under the MMU lock. */
struct mmu_stats {
	uint64_t faults;
	uint64_t fixed_4k;
	uint64_t fixed_2m;
	uint64_t fixed_1g;
	uint64_t mmio_installed;
	uint64_t mmio_hits;
	uint64_t retries;
	uint64_t zaps;
	uint64_t flushes;
	uint64_t tables;
	uint64_t rmap_entries;
	uint64_t rmap_chains; /* lines of chains in use */
	uint64_t reclaimed;   /* tables zapped because the pool was short */
};

/* Each view may have one valid root and one on its way out. */
#define MMU_ROOTS_MAX (2 * MMU_VIEWS_MAX)

/* The last fault that changed nothing, and how often it came (M6). */
struct mmu_again {
	gpa_t address;
	unsigned int view;
	unsigned int access;
	unsigned int count;
};

/*
 * The MMU itself. Fields are mm/'s own business; the structure is here so that a partition
 * can embed it. Everything but `slots` and the constant part is under `lock`.
 */
struct mmu {
	struct spinlock lock;

	/* Constant after mmu_init(). */
	struct mmu_config config;
	struct spte_limits spte_limits;
	struct memslot_limits slot_limits;
	pfn_t pool_start;
	struct table *tables; /* a header for each page of the pool */

	/* Readers take no lock; the array before the present one is kept for their sake. */
	struct memslots *_Atomic slots;
	struct memslots *retired_slots;
	_Atomic unsigned int slot_hint;

	struct rmap rmap;
	struct list_node roots;
	struct mmu_root root_store[MMU_ROOTS_MAX];
	struct mmu_root *view_root[MMU_VIEWS_MAX]; /* each holds a reference */

	struct table *last_table; /* of the last fault; believed only after a comparison */
	bool flush_pending;
	uint32_t retired_tables; /* index of the first, or TABLE_END */
	size_t reclaim_cursor;
	uint8_t audit_stamp;
	struct mmu_again again;
	struct mmu_stats stats;
};

/* 0, or an error before anything is visible (-ENOMEM). `mmu` is zeroed memory of the pool. */
int __must_check mmu_init(struct mmu *mmu, const struct mmu_config *config);

/*
 * Slots (V6): overlap, wrap-around, misalignment, zero size, a gfn beyond MAXPHYADDR,
 * frames that are not this partition's: an error and nothing changed. Takes the MMU lock.
 */
int __must_check mmu_slot_create(struct mmu *mmu, const struct memslot_config *config,
				 struct error_text *error);
int __must_check mmu_slot_delete(struct mmu *mmu, unsigned int slot_id);

/*
 * The root table of a view, for virt_ops.set_root; made at its first use. 0 on a bugged
 * partition, for an unknown view, or without memory. Takes the MMU lock.
 */
hpa_t mmu_root(struct mmu *mmu, unsigned int view);

/* Ends a view: its root becomes invalid, and goes when nobody holds it. Takes the MMU lock. */
int __must_check mmu_view_destroy(struct mmu *mmu, unsigned int view);

/* A nested fault at `address` with MMU_READ | WRITE | EXECUTE. O(depth). Takes the MMU lock. */
enum mmu_result mmu_fault(struct mmu *mmu, unsigned int view, gpa_t address, unsigned int access);

/*
 * The hardware reported a malformed entry: a well-formed MMIO SPTE gives MMU_MMIO, a stale
 * or sane one MMU_RETRY (bounded), reserved bits bug the partition (I3).
 */
enum mmu_result mmu_fault_malformed(struct mmu *mmu, unsigned int view, gpa_t address);

/*
 * Host pointer to guest memory at `address`, and in *size how many bytes follow in the same
 * slot; NULL when no slot is there, or `write` and the slot is read-only. No lock: slots.
 * On a bugged partition memory can still be read (P7), but not written.
 */
void *mmu_guest_ptr(struct mmu *mmu, gpa_t address, size_t *size, bool write);

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

/* Recomputes I1-I6, I8, I11-I14 from scratch. Each broken rule is reported and bugs the
 * partition at the first; all are counted. Safe on a bugged MMU (only reports then). */
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
/* Returns the number of violations. Takes the MMU lock. */
uint64_t mmu_audit(struct mmu *mmu, struct mmu_audit *audit);

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
