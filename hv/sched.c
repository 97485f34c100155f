/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU loop: preemptive round robin over runnable vCPUs. One struct a CPU (one CPU is
 * started now), reached only by that CPU, so there is no lock.
 *
 *     run queue  -> vcpu_run() -> interrupted: tail of the queue when its slice is over
 *         ^                    -> blocked: sleepers, by wake-up time
 *         |_ wake-up: timer, interrupt, console _|
 *
 * Host interrupts are off except in the two windows here, where no lock is held and nothing
 * is half done: sti_window() after an exit for a host interrupt, and the idle HLT.
 */
#include "hv/sched.h"

#include "arch/x86/cpu.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/lapic.h"
#include "arch/x86/tsc.h"
#include "hv/gate.h"
#include "hv/operator.h"
#include "lib/panic.h"

struct sched_cpu {
	struct list_node runnable;
	struct list_node sleepers;   /* sorted by wake_at */
	struct sched_entity *loaded; /* the vCPU whose state is in this CPU's hardware */
	struct sched_entity *running;
	uint64_t armed; /* what the host timer is set to, UINT64_MAX: off */
	bool in_guest;	/* between vcpu_run() and its return */
};

static struct sched_cpu cpus[MAX_CPUS];

static struct sched_cpu *my_cpu(void)
{
	return &cpus[this_cpu()->id];
}

static struct vcpu *vcpu_of(const struct sched_entity *entity)
{
	return &entity->entry->partition->vcpus[entity->vcpu];
}

static void timer_interrupt(uint8_t vector)
{
	(void)vector;
	my_cpu()->armed = UINT64_MAX; /* it has fired; the loop looks at the clock itself */
	lapic_eoi();
}

void sched_init(void)
{
	struct sched_cpu *cpu = my_cpu();

	list_init(&cpu->runnable);
	list_init(&cpu->sleepers);
	cpu->armed = UINT64_MAX;
	interrupt_set_handler(VECTOR_TIMER, timer_interrupt);
}

/* Programs the host timer for `deadline` unless it comes earlier anyway. */
static void arm(struct sched_cpu *cpu, uint64_t deadline)
{
	if (deadline < cpu->armed) {
		cpu->armed = deadline;
		lapic_timer_start(deadline);
	}
}

static void dequeue(struct sched_entity *entity)
{
	list_remove(&entity->link);
	entity->queued = false;
	entity->sleeping = false;
}

void sched_wake(struct sched_entity *entity)
{
	struct sched_cpu *cpu = my_cpu();

	if (entity->queued || cpu->running == entity) {
		return;
	}
	dequeue(entity);
	list_append(&cpu->runnable, &entity->link);
	entity->queued = true;
}

static void unload(struct sched_cpu *cpu)
{
	if (cpu->loaded) {
		virt->vcpu_put(&vcpu_of(cpu->loaded)->virt);
		cpu->loaded = NULL;
	}
}

void sched_unload(void)
{
	unload(my_cpu());
}

void sched_load(struct sched_entity *entity)
{
	struct sched_cpu *cpu = my_cpu();

	if (cpu->loaded == entity) {
		return;
	}
	unload(cpu);
	if (unlikely(partition_asids_shared())) {
		vcpu_of(entity)->virt.flush = true;
	}
	virt->vcpu_load(&vcpu_of(entity)->virt);
	cpu->loaded = entity;
}

void sched_remove(struct sched_entity *entity)
{
	struct sched_cpu *cpu = my_cpu();

	dequeue(entity);
	if (cpu->loaded == entity) {
		unload(cpu);
	}
	if (cpu->running == entity) {
		cpu->running = NULL;
	}
}

void sched_guest_timer(struct vcpu *vcpu, uint64_t deadline)
{
	struct sched_cpu *cpu = my_cpu();

	if (!cpu->in_guest) {
		return; /* run() arms before it enters */
	}
	if (virt_caps.deadline_timer) {
		virt->set_deadline(&vcpu->virt, MIN(deadline, vcpu->core_at));
	} else if (deadline != UINT64_MAX) {
		arm(cpu, deadline); /* a timer too many is only a look at the clock */
	}
}

/* Puts a blocked vCPU among the sleepers, by the time at which its next timer is due. */
static void sleep_until(struct sched_cpu *cpu, struct sched_entity *entity, uint64_t wake_at)
{
	struct list_node *node;

	dequeue(entity);
	entity->wake_at = wake_at;
	entity->sleeping = true;
	list_for_each(node, &cpu->sleepers) {
		if (list_entry(node, struct sched_entity, link)->wake_at > wake_at) {
			break;
		}
	}
	list_insert_before(node, &entity->link);
}

static void wake_sleepers(struct sched_cpu *cpu, uint64_t now)
{
	while (!list_is_empty(&cpu->sleepers)) {
		struct sched_entity *first =
			list_entry(cpu->sleepers.next, struct sched_entity, link);

		if (first->wake_at > now) {
			return;
		}
		sched_wake(first);
	}
}

/* The earliest thing that the host timer must not miss, but for the slice and the guest. */
static uint64_t next_event(struct sched_cpu *cpu)
{
	uint64_t partitions = partition_next_work();
	uint64_t own = operator_next_work();
	uint64_t next = MIN(partitions, own);

	if (!list_is_empty(&cpu->sleepers)) {
		next = MIN(next,
			   list_entry(cpu->sleepers.next, struct sched_entity, link)->wake_at);
	}
	return next;
}

static void arm_for(struct sched_cpu *cpu, struct vcpu *vcpu, uint64_t slice_end)
{
	uint64_t next = next_event(cpu);
	uint64_t guest = vcpu->partition->next_timer;

	if (!list_is_empty(&cpu->runnable)) {
		next = MIN(next, slice_end);
	}
	if (virt_caps.deadline_timer) {
		/*
		 * A stay in the guest ends by the deadline timer, too: a host interrupt could
		 * be lost (in Bochs it is, for a guest that entered with IF clear).
		 */
		vcpu->core_at = MIN(next, slice_end);
		virt->set_deadline(&vcpu->virt, MIN(guest, vcpu->core_at));
	} else if (guest > rdtsc()) { /* what is due runs before the guest does */
		next = MIN(next, guest);
	}
	if (next != UINT64_MAX) {
		arm(cpu, next);
	}
}

/* Everything that is not a vCPU's: console, shell, restarts, wake-ups. */
static void core_work(struct sched_cpu *cpu)
{
	uint64_t now = rdtsc();

	operator_work(now);
	partition_do_due_work(now);
	wake_sleepers(cpu, now);
}

/* Runs one vCPU until its slice is over or it does not want to go on. */
static void run(struct sched_cpu *cpu, struct sched_entity *entity)
{
	uint64_t slice_end = rdtsc() + tsc_from_us(SLICE_MICROSECONDS);

	cpu->running = entity;
	dequeue(entity); /* while it runs it is on no list */
	while (cpu->running == entity) {
		struct vcpu *vcpu = vcpu_of(entity);
		enum vcpu_result result;
		uint64_t start;

		sched_load(entity);
		arm_for(cpu, vcpu, slice_end);
		start = rdtsc();
		cpu->in_guest = true;
		result = vcpu_run(vcpu);
		cpu->in_guest = false;
		entity->cpu_ticks += rdtsc() - start;
		if (unlikely(vcpu->gate != GATE_NONE)) {
			gate_serve(vcpu);
		}
		if (result == VCPU_STOPPED) {
			partition_ended(entity->entry);
			return;
		}
		if (result == VCPU_BLOCKED) {
			sleep_until(cpu, entity, vcpu->partition->next_timer);
			cpu->running = NULL;
			return;
		}
		sti_window();
		core_work(cpu); /* may stop this very vCPU: then running is NULL */
		if (rdtsc() >= slice_end) {
			if (!list_is_empty(&cpu->runnable)) {
				break;
			}
			slice_end = rdtsc() + tsc_from_us(SLICE_MICROSECONDS);
		}
	}
	if (cpu->running == entity) {
		cpu->running = NULL;
		sched_wake(entity);
	}
}

static void idle(struct sched_cpu *cpu)
{
	uint64_t next = next_event(cpu);

	if (next <= rdtsc()) {
		return;
	}
	if (next != UINT64_MAX) {
		arm(cpu, next);
	}
	sti_hlt_cli();
}

_Noreturn void sched_loop(void)
{
	struct sched_cpu *cpu = my_cpu();

	for (;;) {
		core_work(cpu);
		if (list_is_empty(&cpu->runnable)) {
			idle(cpu);
			continue;
		}
		run(cpu, list_entry(cpu->runnable.next, struct sched_entity, link));
		sti_window();
	}
}
