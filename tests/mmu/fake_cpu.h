/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU with nested paging, for host tests: it walks the tables of a root as hardware does,
 * sets accessed and dirty bits by compare-and-swap, and keeps what it has walked until it is
 * told to forget it. So a flush that is missing is seen: as a stale translation.
 *
 *     fake_enter() . fake_access() ... fake_access() . fake_leave()     by the CPU's thread
 *         | forgets what was flushed      | fault: to the MMU, outside
 *     fake_flush(), fake_kick() by others: the CPU leaves guest mode first
 *
 * What is cached is tagged with the root; nothing but a flush that names the root, or making
 * the root current again (as virt_ops.set_root does it), drops it.
 */
#ifndef TESTS_MMU_FAKE_CPU_H
#define TESTS_MMU_FAKE_CPU_H

#include "mm/mmu.h"

#define FAKE_LEAVES 64 /* of each size */
#define FAKE_LINKS 16
#define FAKE_FLUSHES 8

/* A cached translation; level 0: none. */
struct fake_leaf {
	hpa_t root;
	gfn_t gfn; /* first that it covers */
	pfn_t pfn;
	unsigned int level;
	unsigned int rights;
	bool dirty; /* the entry has its dirty bit */
};

/* A cached way to a lowest table; table 0: none. */
struct fake_link {
	hpa_t root;
	gfn_t gfn;
	hpa_t table;
};

struct fake_cpu {
	struct mmu_vcpu vcpu; /* whose guest runs here */
	const struct mmu_config *config;
	hpa_t root; /* the current one */

	/* The CPU's own. */
	struct fake_leaf leaf[SPTE_LEAF_LEVELS][FAKE_LEAVES];
	struct fake_link link[FAKE_LINKS];
	uint64_t hits;
	uint64_t walks;

	_Atomic bool in_guest;
	_Atomic bool interrupted; /* leave guest mode: something is wanted */
	struct spinlock wanted_lock;
	unsigned int wanted_count; /* more than FAKE_FLUSHES: forget everything */
	struct mmu_flush wanted[FAKE_FLUSHES];
};

enum fake_result {
	FAKE_DONE,
	FAKE_VIOLATION, /* for mmu_fault() */
	FAKE_MALFORMED, /* for mmu_fault_malformed() */
};

void fake_init(struct fake_cpu *cpu, const struct mmu_config *config);

/* Makes a root current and drops what is cached of it. Out of guest mode. */
void fake_set_root(struct fake_cpu *cpu, hpa_t root);
/* Drops what is cached of a root that the guest may switch to by itself. Out of guest mode. */
void fake_forget_root(struct fake_cpu *cpu, hpa_t root);

/* Into guest mode; false when the CPU was interrupted, then look at everything again. */
bool fake_enter(struct fake_cpu *cpu);
void fake_leave(struct fake_cpu *cpu);
static inline bool fake_is_interrupted(struct fake_cpu *cpu)
{
	return atomic_load_explicit(&cpu->interrupted, memory_order_seq_cst);
}

/* One access in guest mode; with FAKE_DONE, *used is the translation that it went by. */
enum fake_result fake_access(struct fake_cpu *cpu, gfn_t page, unsigned int access,
			     struct fake_leaf *used);

/* The frame that a translation has for a page under it. */
static inline pfn_t fake_frame(const struct fake_leaf *leaf, gfn_t page)
{
	return pfn(leaf->pfn.v + (page.v - leaf->gfn.v));
}

/* mmu_ops for CPUs: the flush returns when none can use what it names. */
void fake_flush(struct fake_cpu *cpus, unsigned int count, const struct mmu_flush *what);
void fake_kick(struct fake_cpu *cpus, unsigned int count);

#endif
