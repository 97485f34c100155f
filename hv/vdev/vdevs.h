/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All emulated devices of one partition in one struct, how they are wired, and the few
 * calls that the rest of hv/ makes: create, route an interrupt, wake by a timer, take what
 * the vCPU should be offered. Partition-owned, allocated from its pool.
 */
#ifndef HV_VDEV_VDEVS_H
#define HV_VDEV_VDEVS_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vboard.h"
#include "hv/vdev/vdev.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vlapic.h"
#include "hv/vdev/vpic.h"
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpm.h"
#include "hv/vdev/vrtc.h"
#include "hv/vdev/vuart.h"

struct vdevs {
	struct vdev_host host; /* filled by the owner before vdevs_init */
	struct bus ports;
	struct bus mmio;
	struct vlapic vlapic; /* of vCPU 0; one a vCPU later */
	struct vioapic vioapic;
	struct vpic vpic;
	struct vpit vpit;
	struct vuart vuart;
	struct vrtc vrtc;
	struct vpm vpm;
	struct vboard vboard;
};

/*
 * Resets all devices and registers their ranges. host must be filled, except its routing hooks
 * (set_irq, pic_output, apic_message, apic_eoi), which this sets. -ENOSPC/-EEXIST cannot happen
 * but are passed on.
 */
int __must_check vdevs_init(struct vdevs *devices, uint64_t memory_bytes, bool debug_exit);

/* Called when the deadline of `timer` has passed. */
void vdevs_timer(struct vdevs *devices, enum vtimer timer);

/* The vector that the 8259 pair has for the vCPU (through LINT0 as ExtINT), or -1. */
int vdevs_pending_extint(struct vdevs *devices);

/*
 * The vector that the vCPU should be offered now, or -1: the vLAPIC's highest above its PPR,
 * else the 8259's. Does not change anything.
 */
static inline int vdevs_pending_vector(struct vdevs *devices)
{
	int vector = vlapic_pending(&devices->vlapic);

	if (unlikely(vector < 0 && devices->vpic.output)) {
		return vdevs_pending_extint(devices);
	}
	return vector;
}

/*
 * The guest took `vector` (as offered): IRR to ISR, or the 8259's INTA. To be called before any
 * device is touched after the offer.
 */
void vdevs_interrupt_taken(struct vdevs *devices, int vector);

/* An NMI (by IPI, LVT or I/O APIC) waits for the vCPU; and: the vCPU took it. */
bool vdevs_nmi_pending(const struct vdevs *devices);
void vdevs_nmi_taken(struct vdevs *devices);

/* A byte for the guest's serial line. False when its FIFO is full (try again later). */
bool vdevs_serial_input(struct vdevs *devices, uint8_t byte);

#endif
