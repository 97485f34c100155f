/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gates: what a vCPU asks of the core. What serves a partition writes partition-owned memory
 * alone; where an exit needs more (frames, other partitions), it says which gate it stands at
 * and vcpu_run() returns. The CPU loop then serves the gate, in the core, before anything
 * else is done with the vCPU. No pointer crosses: the core finds the arguments itself.
 */
#ifndef HV_GATE_H
#define HV_GATE_H

struct vcpu;

enum gate {
	GATE_NONE,
	GATE_HYPERCALL, /* the hypercall that exited is one of the core's */
	GATE_FAULT,	/* the vCPU was parked: tell who manages the partition */
};

/* The vCPU stands at a gate. Core; the vCPU is loaded on this CPU, before and after. */
void gate_serve(struct vcpu *vcpu);

#endif
