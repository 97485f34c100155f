/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every store to the pool, seen as it happens: the pool is write-protected, each store faults,
 * and is done by a single step of the CPU; the test is called before it, or before the next
 * instruction. What the test sees then is what a CPU that walks at this instant sees; and what
 * it does then, a fault of another vCPU for one, is what another CPU could have done there: a
 * compare-and-swap that faults has its expected value already.
 *
 *     store --SIGSEGV--> before(), page writable, trap flag
 *           --the store--> SIGTRAP --> after(), page protected again
 *
 * The callbacks run in a signal handler: they must not end the test (they count failures), and
 * must not wait for a lock of whoever they interrupt.
 */
#ifndef TESTS_UNIT_STORE_LOG_H
#define TESTS_UNIT_STORE_LOG_H

/* For REG_EFL: this header comes before those of the system. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/unit/mmu_fixture.h"

#define TRAP_FLAG 0x100

static struct {
	uint8_t *base;
	size_t size;
	uint8_t *address;			/* of the store under way */
	void (*before)(const uint8_t *address); /* or NULL, both */
	void (*after)(const uint8_t *address);
	struct sigaction old_segv;
	struct sigaction old_trap;
} store_log;

static inline void store_log_protect(uint8_t *start, size_t size, bool protect)
{
	if (mprotect(start, size, protect ? PROT_READ : PROT_READ | PROT_WRITE) != 0) {
		abort();
	}
}

/* For a callback that stores to the pool itself: around it. */
static inline void store_log_pause(bool pause)
{
	store_log_protect(store_log.base, store_log.size, !pause);
}

/* The page of the store under way; no store crosses a page. */
static inline void store_log_open(bool open)
{
	uintptr_t page = align_down((uintptr_t)store_log.address, PAGE_SIZE);

	store_log_protect((uint8_t *)page, PAGE_SIZE, !open);
}

static inline void store_log_segv(int number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	uint8_t *address = info->si_addr;

	if (address < store_log.base || address >= store_log.base + store_log.size) {
		/* Not ours: again, with what was there before. */
		sigaction(number, &store_log.old_segv, NULL);
		return;
	}
	store_log.address = address;
	if (store_log.before) {
		store_log.before(address);
	}
	store_log_open(true);
	user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static inline void store_log_trap(int number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	(void)number;
	(void)info;
	user->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (store_log.after) {
		store_log.after(store_log.address);
	}
	store_log_open(false);
}

/* From now on the two are called before and after each store to the pool; one thread only. */
static inline void store_log_start(struct fixture *fixture, void (*before)(const uint8_t *address),
				   void (*after)(const uint8_t *address))
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER };

	store_log.base = fixture->pool.base;
	store_log.size = fixture->pool.page_count * PAGE_SIZE;
	store_log.before = before;
	store_log.after = after;
	action.sa_sigaction = store_log_segv;
	assert_int_equal(sigaction(SIGSEGV, &action, &store_log.old_segv), 0);
	action.sa_sigaction = store_log_trap;
	assert_int_equal(sigaction(SIGTRAP, &action, &store_log.old_trap), 0);
	store_log_pause(false);
}

static inline void store_log_stop(void)
{
	store_log_pause(true);
	assert_int_equal(sigaction(SIGSEGV, &store_log.old_segv, NULL), 0);
	assert_int_equal(sigaction(SIGTRAP, &store_log.old_trap, NULL), 0);
}

/* What the CPU finds on its way to a gfn under a root, by the format's own words. */
struct cpu_walk {
	bool mapped;
	pfn_t frame; /* of the page itself */
	unsigned int rights;
	unsigned int level;
};

static inline struct cpu_walk cpu_walk(const struct spte_format *format, hpa_t root, gfn_t frame)
{
	struct cpu_walk walk = { .rights = SPTE_RIGHTS_ALL };
	const uint64_t *table = hpa_to_ptr(root);

	for (walk.level = SPTE_LEVELS; walk.level > 0; walk.level--) {
		spte_t spte = { (
			(const volatile uint64_t *)table)[level_index(frame, walk.level)] };

		/* The CPU does not know MMIO SPTEs: to it they are not there, or refused. */
		if (!format->is_present(spte) || (spte.v & SPTE_PRESENT) == 0) {
			return (struct cpu_walk){ .level = walk.level };
		}
		walk.rights &= format->rights(spte);
		if (format->is_leaf(spte, walk.level)) {
			walk.mapped = true;
			walk.frame =
				pfn(spte_pfn(spte).v + (frame.v & (level_frames(walk.level) - 1)));
			return walk;
		}
		table = hpa_to_ptr(pfn_to_hpa(spte_pfn(spte)));
	}
	return walk;
}

#endif
