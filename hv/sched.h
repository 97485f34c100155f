/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU loop and its run queue: preemptive round robin, HLT blocks, an interrupt or a
 * timer wakes. Machine-owned, one struct a CPU; everything here is the core.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include "hv/partition.h"

#define SLICE_MICROSECONDS 10000

void sched_init(void);

/* Makes the vCPU runnable (again); no effect when it is. */
void sched_wake(struct sched_entity *entity);
/* Takes it off the queues; if it is loaded on this CPU, its state is saved. */
void sched_remove(struct sched_entity *entity);

/*
 * For the shell: makes the vCPU current on this CPU, so that virt_ops.get_state and the like
 * work, until the CPU loop runs another.
 */
void sched_load(struct sched_entity *entity);

/* Saves the state of whichever vCPU is loaded here: the hardware is free for another use. */
void sched_unload(void);

/* The guest asked for a timer at host TSC `deadline` while it is served: arm for it. */
void sched_guest_timer(struct vcpu *vcpu, uint64_t deadline);

_Noreturn void sched_loop(void);

#endif
