/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every emulated device is given at creation, and nothing else: the time, a way to
 * raise a line and to ask for a wake-up. Devices are partition-owned, know no vCPU and no
 * machine, and compile unchanged in host tests. Calls are serialised by the partition's
 * device lock (one vCPU: by construction).
 */
#ifndef HV_VDEV_VDEV_H
#define HV_VDEV_VDEV_H

#include "lib/bits.h"

/* Deadlines that a device may have outstanding, one of each. */
enum vtimer {
	VTIMER_LAPIC,
	VTIMER_PIT,
	VTIMER_RTC,
	VTIMER_PM,
	VTIMER_COUNT,
};

#define VTIMER_NEVER UINT64_MAX

struct vdev_host {
	/*
	 * Partition time in ticks of its TSC (host TSC + offset): what the guest's RDTSC gives.
	 * Monotonic, at `tsc_hz` ticks a second.
	 */
	uint64_t (*now)(struct vdev_host *host);
	/* Asks for <device>_timer() at or soon after `deadline` (ticks); VTIMER_NEVER cancels. */
	void (*set_timer)(struct vdev_host *host, enum vtimer timer, uint64_t deadline);
	/* Sets the level of an ISA/GSI input (0-23), wired to both the 8259 pair and the I/O APIC.
	 */
	void (*set_irq)(struct vdev_host *host, unsigned int gsi, bool level);
	/* The INTR output of the 8259 pair changed (ExtINT to the vLAPIC's LINT0). */
	void (*pic_output)(struct vdev_host *host, bool level);
	/* A message to the local APICs: from the I/O APIC (and later MSI). */
	void (*apic_message)(struct vdev_host *host, uint8_t destination, bool logical,
			     uint8_t delivery_mode, uint8_t vector, bool level);
	/* A local APIC ended a level interrupt of `vector`: for the I/O APIC. */
	void (*apic_eoi)(struct vdev_host *host, uint8_t vector);
	/* The guest asks for the end: power off, reset (reboot), or debug exit with a status. */
	void (*power_off)(struct vdev_host *host);
	void (*reset)(struct vdev_host *host, const char *how);
	void (*debug_exit)(struct vdev_host *host, uint32_t status);
	/* One byte that the guest sent on its serial line. */
	void (*serial_output)(struct vdev_host *host, uint8_t byte);
	uint64_t tsc_hz;
	uint64_t wall_seconds; /* UTC seconds since 1970 at partition time 0 */
};

/* Ticks of a clock of `hz` that have passed at partition time `now`: now * hz / tsc_hz. */
static inline uint64_t vdev_ticks(const struct vdev_host *host, uint64_t now, uint64_t hz)
{
	return mul_div(now, hz, host->tsc_hz);
}

/* The inverse: the first partition time at which vdev_ticks() gives `ticks` or more. */
static inline uint64_t vdev_deadline(const struct vdev_host *host, uint64_t ticks, uint64_t hz)
{
	uint64_t deadline = mul_div(ticks, host->tsc_hz, hz);

	/* The quotient was rounded down, or saturated at VTIMER_NEVER. */
	return vdev_ticks(host, deadline, hz) < ticks ? MAX(deadline + 1, deadline) : deadline;
}

/* Periodic timers ask for a wake-up this often at most, however short the guest's period is. */
#define VDEV_WAKEUPS_MAX_HZ 20000

/*
 * The deadline of a periodic timer whose next period ends at `ticks`: missed periods coalesce,
 * so a hostile period costs the guest interrupts and us nothing.
 */
static inline uint64_t vdev_periodic_deadline(const struct vdev_host *host, uint64_t now,
					      uint64_t ticks, uint64_t hz)
{
	uint64_t earliest = now + host->tsc_hz / VDEV_WAKEUPS_MAX_HZ;
	uint64_t deadline = vdev_deadline(host, ticks, hz);

	return MAX(deadline, earliest);
}

#endif
