/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spinlocks: one that a single holder has, and one that readers share. Interrupts are not
 * their business: the hypervisor runs with them off except in the windows of the CPU loop,
 * where no lock is held.
 *
 * THE ORDER OF ALL LOCKS (this is the one place that states it; take downwards only):
 *     1. partition table (hv/partition.c, machine-owned)
 *     2. a partition's lock of slot changes (mm/mmu.h, partition-owned)
 *     3. a partition's MMU lock (mm/mmu.h, partition-owned); faults share it
 *     4. an rmap head's bit (mm/rmap.c, partition-owned)
 *     5. a partition's chain lines, then its pool (mm/rmap.h, mm/pool.h, partition-owned)
 *     6. frame table (mm/frames.c, machine-owned)
 *     7. log (lib/log.c, machine-owned)
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Fair: tickets, one word each. */
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

/*
 * Many readers or one writer. Writers are fair among each other, and keep new readers out
 * as soon as they wait: a writer waits for those readers only that are in already.
 */
#define RWLOCK_WRITER UINT32_C(0x80000000)

struct rwlock {
	struct spinlock writers; /* held for the whole of a write section */
	_Atomic uint32_t state;	 /* RWLOCK_WRITER | readers inside, or trying */
};

static inline void rwlock_init(struct rwlock *lock)
{
	spinlock_init(&lock->writers);
	atomic_init(&lock->state, 0);
}

static inline void read_lock_slowly(struct rwlock *lock)
{
	do {
		atomic_fetch_sub_explicit(&lock->state, 1, memory_order_relaxed);
		while (atomic_load_explicit(&lock->state, memory_order_relaxed) & RWLOCK_WRITER) {
			__builtin_ia32_pause();
		}
		/* Acquire: as in read_lock(). */
	} while (atomic_fetch_add_explicit(&lock->state, 1, memory_order_acquire) & RWLOCK_WRITER);
}

static inline void read_lock(struct rwlock *lock)
{
	/* Acquire: what the last writer wrote is seen after it took its bit away. */
	if (__builtin_expect(atomic_fetch_add_explicit(&lock->state, 1, memory_order_acquire) &
				     RWLOCK_WRITER,
			     0)) {
		read_lock_slowly(lock);
	}
}

static inline void read_unlock(struct rwlock *lock)
{
	/* Release: what was done in the section is seen by the writer that waits for it. */
	atomic_fetch_sub_explicit(&lock->state, 1, memory_order_release);
}

static inline void write_lock(struct rwlock *lock)
{
	spin_lock(&lock->writers);
	atomic_fetch_or_explicit(&lock->state, RWLOCK_WRITER, memory_order_relaxed);
	/* Acquire: pairs with read_unlock(). */
	while (atomic_load_explicit(&lock->state, memory_order_acquire) & ~RWLOCK_WRITER) {
		__builtin_ia32_pause();
	}
}

static inline void write_unlock(struct rwlock *lock)
{
	/* Release: pairs with read_lock(). */
	atomic_fetch_and_explicit(&lock->state, ~RWLOCK_WRITER, memory_order_release);
	spin_unlock(&lock->writers);
}

#endif
