/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The upward calls of a partition's MMU and devices. They run while it is served and write
 * partition-owned state only; the timer is the one place that asks the core (a gate).
 */
#include "hv/partition_hooks.h"

#include "arch/x86/cpu.h"
#include "hv/sched.h"
#include "lib/string.h"

static void flush(void *context, const struct mmu_flush *what)
{
	struct partition *partition = context;

	for (unsigned int i = 0; i < partition->vcpu_count; i++) {
		partition->vcpus[i].virt.flush = true;
	}
	for (unsigned int i = 0; i < what->root_count; i++) {
		virt->flush_root(what->root[i]);
	}
}

/* One CPU: while this runs no vCPU is in guest mode, and each asks before it enters. */
static void kick(void *context)
{
	(void)context;
}

const struct mmu_ops partition_mmu_ops = { .flush = flush, .kick = kick };

static struct partition *of_host(struct vdev_host *host)
{
	return container_of(host, struct partition, devices.host);
}

static uint64_t host_now(struct vdev_host *host)
{
	return rdtsc() + of_host(host)->tsc_offset;
}

void partition_next_timer(struct partition *partition)
{
	uint64_t earliest = VTIMER_NEVER;
	uint64_t deadline;

	for (unsigned int i = 0; i < VTIMER_COUNT; i++) {
		earliest = MIN(earliest, partition->timer[i]);
	}
	deadline = earliest == VTIMER_NEVER ? UINT64_MAX : earliest - partition->tsc_offset;
	if (deadline != partition->next_timer) {
		partition->next_timer = deadline;
		sched_guest_timer(&partition->vcpus[0], deadline);
	}
}

static void host_set_timer(struct vdev_host *host, enum vtimer timer, uint64_t deadline)
{
	struct partition *partition = of_host(host);
	/* A deadline in the past or absurdly far stays within what host TSC values can say. */
	uint64_t now = rdtsc() + partition->tsc_offset;

	if (deadline != VTIMER_NEVER) {
		deadline = MAX(deadline, now);
		deadline = MIN(deadline, now + BIT(62));
	}
	partition->timer[timer] = deadline;
	partition_next_timer(partition);
}

static void host_power_off(struct vdev_host *host)
{
	partition_end(of_host(host), STOP_POWER_OFF, "the guest powered off");
}

static void host_reset(struct vdev_host *host, const char *how)
{
	partition_end(of_host(host), STOP_RESET, "the guest reset itself by %s", how);
}

static void host_debug_exit(struct vdev_host *host, uint32_t status)
{
	struct partition *partition = of_host(host);

	partition->stop_status = status;
	partition_end(partition, STOP_DEBUG_EXIT, "the guest ended with status %u", status);
}

static void host_serial_output(struct vdev_host *host, uint8_t byte)
{
	struct partition *partition = of_host(host);

	ring_put(&partition->serial, byte);
	if (partition->serial_watched && (byte == '\n' || (partition->serial.head & 63) == 0)) {
		partition->console_wakeup = true;
	}
}

void partition_host_init(struct partition *partition)
{
	struct vdev_host *host = &partition->devices.host;

	host->now = host_now;
	host->set_timer = host_set_timer;
	host->power_off = host_power_off;
	host->reset = host_reset;
	host->debug_exit = host_debug_exit;
	host->serial_output = host_serial_output;
}

void partition_end(struct partition *partition, enum stop_cause cause, const char *format, ...)
{
	va_list args;

	if (partition->stop != STOP_NONE) {
		return;
	}
	va_start(args, format);
	string_vformat(partition->stop_reason, sizeof(partition->stop_reason), format, args);
	va_end(args);
	partition->stop = cause;
}
