/* SPDX-License-Identifier: BSD-2-Clause */
/* The gates, one line each; hv/gate.h says what they are. */
#include "hv/gate.h"

#include "hv/hypercall.h"
#include "hv/memory_fault.h"
#include "hv/sched.h"

void gate_serve(struct vcpu *vcpu)
{
	enum gate gate = vcpu->gate;

	vcpu->gate = GATE_NONE;
	switch (gate) {
	case GATE_HYPERCALL:
		hypercall_core(vcpu);
		break;
	case GATE_FAULT:
		memory_fault_announce(vcpu);
		break;
	case GATE_NONE:
		break;
	}
}
