/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Standing still in the middle: how a test gets between two steps of the MMU without a race.
 * Three means, none of which depends on time. A gate is a lock of the MMU's that the test
 * holds until it sees somebody wait for it. A hook is a format whose functions call the test
 * back while a fault has the lock shared. And a thread that neither ends nor waits for the
 * test is known to spin by the CPU time that it has used.
 */
#ifndef TESTS_UNIT_MMU_THREADS_H
#define TESTS_UNIT_MMU_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/unit/mmu_fixture.h"

/* More CPU time than any change of the tests needs, and what a thread that spins soon has. */
#define THREAD_SPUN_NS 20000000

struct thread {
	pthread_t id;
	void (*body)(void *context);
	void *context;
	_Atomic bool done;
};

static inline void *thread_main(void *context)
{
	struct thread *thread = context;

	thread->body(thread->context);
	atomic_store(&thread->done, true);
	/* Its CPU time can be asked for until it is joined. */
	return NULL;
}

static inline void thread_start(struct thread *thread, void (*body)(void *), void *context)
{
	thread->body = body;
	thread->context = context;
	atomic_store(&thread->done, false);
	assert_int_equal(pthread_create(&thread->id, NULL, thread_main, thread), 0);
}

static inline void thread_join(struct thread *thread)
{
	assert_int_equal(pthread_join(thread->id, NULL), 0);
	assert_true(atomic_load(&thread->done));
}

static inline uint64_t thread_cpu_ns(struct thread *thread)
{
	struct timespec time;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(thread->id, &clock), 0);
	assert_int_equal(clock_gettime(clock, &time), 0);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* True when the thread spins: it has used more CPU time than its work needs. False: it ended. */
static inline bool thread_spins(struct thread *thread)
{
	uint64_t start = thread_cpu_ns(thread);

	while (!atomic_load(&thread->done)) {
		if (thread_cpu_ns(thread) - start > THREAD_SPUN_NS) {
			return true;
		}
		sched_yield();
	}
	return false;
}

/* A gate: whoever comes to this lock stands there. */
static inline void gate_close(struct spinlock *gate)
{
	spin_lock(gate);
}

static inline void gate_wait(struct spinlock *gate)
{
	while (atomic_load(&gate->next) - atomic_load(&gate->serving) < 2) {
		sched_yield();
	}
}

static inline void gate_open(struct spinlock *gate)
{
	spin_unlock(gate);
}

/*
 * The gate between the look-up of a fault and its lock: there the vCPU's cache is filled, here
 * with a chain line that it does not have.
 */
static inline struct spinlock *fault_gate(struct mmu_vcpu *vcpu)
{
	cache_empty(&vcpu->cache, &vcpu->mmu->rmap);
	return &vcpu->mmu->rmap.spare_lock;
}

/* A fault in a thread of its own. */
struct fault_thread {
	struct thread thread;
	struct mmu_vcpu *vcpu;
	uint64_t frame;
	unsigned int access;
	enum mmu_result result;
};

static inline void fault_body(void *context)
{
	struct fault_thread *fault = context;

	fault->result = fixture_fault_of(fault->vcpu, fault->frame, fault->access);
}

/* Starts a fault, which then stands between look-up and lock until gate_open(). */
static inline void fault_start(struct fault_thread *fault, struct mmu_vcpu *vcpu, uint64_t frame,
			       unsigned int access)
{
	struct spinlock *gate = fault_gate(vcpu);

	*fault = (struct fault_thread){ .vcpu = vcpu, .frame = frame, .access = access };
	gate_close(gate);
	thread_start(&fault->thread, fault_body, fault);
	gate_wait(gate);
}

static inline enum mmu_result fault_finish(struct fault_thread *fault)
{
	gate_open(&fault->vcpu->mmu->rmap.spare_lock);
	thread_join(&fault->thread);
	return fault->result;
}

/* Hooks: which function of the format calls back, once. */
enum hook_place {
	HOOK_NONE,
	HOOK_RIGHTS,
	HOOK_MAKE_LEAF,
	HOOK_MAKE_TABLE,
	HOOK_MAKE_MMIO,
};

static struct {
	const struct spte_format *base;
	struct spte_format format;
	enum hook_place place;
	unsigned int skip; /* calls to let pass */
	void (*action)(void);
} hook;

static inline void hook_call(enum hook_place place)
{
	if (hook.place == place && hook.skip-- == 0) {
		hook.place = HOOK_NONE;
		hook.action();
	}
}

static inline spte_t hook_make_leaf(pfn_t frame, unsigned int level, unsigned int rights,
				    enum memory_type type)
{
	hook_call(HOOK_MAKE_LEAF);
	return hook.base->make_leaf(frame, level, rights, type);
}

static inline spte_t hook_make_table(pfn_t table)
{
	hook_call(HOOK_MAKE_TABLE);
	return hook.base->make_table(table);
}

static inline spte_t hook_make_mmio(gfn_t frame, unsigned int rights, uint64_t generation,
				    unsigned int maxphyaddr)
{
	hook_call(HOOK_MAKE_MMIO);
	return hook.base->make_mmio(frame, rights, generation, maxphyaddr);
}

static inline unsigned int hook_rights(spte_t spte)
{
	hook_call(HOOK_RIGHTS);
	return hook.base->rights(spte);
}

/* The format that calls back, to be given to the fixture. */
static inline const struct spte_format *hook_format(const struct spte_format *base)
{
	hook.base = base;
	hook.place = HOOK_NONE;
	hook.format = *base;
	hook.format.make_leaf = hook_make_leaf;
	hook.format.make_table = hook_make_table;
	hook.format.make_mmio = hook_make_mmio;
	hook.format.rights = hook_rights;
	return &hook.format;
}

/* `action` is called at the next use of `place`. */
static inline void hook_set(enum hook_place place, void (*action)(void))
{
	hook.place = place;
	hook.skip = 0;
	hook.action = action;
}

#endif
