/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ticket spinlock: fair, one word. Interrupts are not its business: the hypervisor runs
 * with them off except in the windows of the CPU loop, where no lock is held.
 *
 * THE ORDER OF ALL LOCKS (this is the one place that states it; take downwards only):
 *     1. partition table (hv/partition.c, machine-owned)
 *     2. a partition's MMU lock (mm/mmu.h, partition-owned)
 *     3. a partition's pool lock (mm/pool.h, partition-owned)
 *     4. frame table (mm/frames.c, machine-owned)
 *     5. log (lib/log.c, machine-owned)
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spinlock {
	_Atomic uint32_t next;	  /* ticket that the next taker draws */
	_Atomic uint32_t serving; /* ticket that holds the lock */
};

#define SPINLOCK_INIT \
	{             \
		0, 0  \
	}

static inline void spinlock_init(struct spinlock *lock)
{
	atomic_init(&lock->next, 0);
	atomic_init(&lock->serving, 0);
}

static inline void spin_lock(struct spinlock *lock)
{
	uint32_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);

	/* Acquire: what the last holder wrote is seen after its release of `serving`. */
	while (atomic_load_explicit(&lock->serving, memory_order_acquire) != ticket) {
		__builtin_ia32_pause();
	}
}

static inline void spin_unlock(struct spinlock *lock)
{
	uint32_t serving = atomic_load_explicit(&lock->serving, memory_order_relaxed);

	/* Release: everything written under the lock is seen by the next holder. */
	atomic_store_explicit(&lock->serving, serving + 1, memory_order_release);
}

/* True when somebody holds it: what assert_held() can know without an owner field. */
static inline bool spin_is_locked(struct spinlock *lock)
{
	return atomic_load_explicit(&lock->next, memory_order_relaxed) !=
	       atomic_load_explicit(&lock->serving, memory_order_relaxed);
}

#define assert_held(lock) ASSERT(spin_is_locked(lock))

#endif
