/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware: PM1a event and control blocks and the PM timer. The machine is always
 * in ACPI mode (no SMI command port). The only fixed event is the timer's: no buttons, no
 * general-purpose events. Entering S5 powers the partition off.
 */
#ifndef HV_VDEV_VPM_H
#define HV_VDEV_VPM_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

#define VPM_BASE 0x600
#define VPM_EVENT_PORT VPM_BASE /* status and enable, 2 bytes each */
#define VPM_CONTROL_PORT (VPM_BASE + 4)
#define VPM_TIMER_PORT (VPM_BASE + 8)
#define VPM_END (VPM_BASE + 12)
#define VPM_SCI 9
#define VPM_TIMER_HZ UINT64_C(3579545)

/* SLP_TYP of S5, as the DSDT's \_S5 says. */
#define VPM_SLEEP_S5 5

struct vpm {
	struct vdev_host *host;
	uint16_t status;
	uint16_t enable;
	uint16_t control;
	uint64_t seen; /* partition time up to which the timer's status is settled */
	bool sci;
};

void vpm_init(struct vpm *vpm, struct vdev_host *host);
int __must_check vpm_attach(struct vpm *vpm, struct bus *ports);

/* VTIMER_PM came due. */
void vpm_timer(struct vpm *vpm);

#endif
