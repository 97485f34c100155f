/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer of the local APIC: one-shot, periodic, TSC-deadline. Nothing counts: the current
 * count follows from the ticks of a VLAPIC_BUS_HZ clock since the start, and one wake-up is
 * asked for at the next expiry. However many periods have passed, one division finds where
 * we are and one interrupt stands for all of them. A masked timer asks for no wake-up.
 */
#include "hv/vdev/vlapic.h"

static uint32_t timer_lvt(const struct vlapic *vlapic)
{
	return vlapic->lvt[VLAPIC_LVT_TIMER - VLAPIC_LVT_TIMER];
}

static bool in_mode(const struct vlapic *vlapic, enum lvt_timer_mode mode)
{
	return FIELD_GET(LVT_TIMER_MODE, timer_lvt(vlapic)) == mode;
}

/* log2 of the divider: SDM, "Divide Configuration Register"; bits 3, 1 and 0, 111b is 1. */
static unsigned int divide_shift(const struct vlapic *vlapic)
{
	unsigned int code = ((vlapic->divide >> 1) & 4) | (vlapic->divide & 3);

	return (code + 1) & 7;
}

/* A full count down in bus ticks. */
static uint64_t period(const struct vlapic *vlapic)
{
	return (uint64_t)vlapic->initial << divide_shift(vlapic);
}

static uint64_t bus_ticks(const struct vlapic *vlapic, uint64_t now)
{
	return vdev_ticks(vlapic->host, now, VLAPIC_BUS_HZ);
}

static void arm(struct vlapic *vlapic, uint64_t now)
{
	struct vdev_host *host = vlapic->host;
	uint64_t deadline = VTIMER_NEVER;

	if ((timer_lvt(vlapic) & LVT_MASKED) == 0) {
		if (vlapic->deadline != 0) {
			deadline = vlapic->deadline;
		} else if (vlapic->timer_running && in_mode(vlapic, LVT_TIMER_PERIODIC)) {
			deadline = vdev_periodic_deadline(host, now, vlapic->timer_next,
							  VLAPIC_BUS_HZ);
		} else if (vlapic->timer_running) {
			deadline = vdev_deadline(host, vlapic->timer_next, VLAPIC_BUS_HZ);
		}
	}
	host->set_timer(host, VTIMER_LAPIC, deadline);
}

/* Brings the timer up to `now`: delivers once if it expired since it was last looked at. */
static void settle(struct vlapic *vlapic, uint64_t now)
{
	uint64_t ticks;

	if (vlapic->deadline != 0) {
		if (now >= vlapic->deadline) {
			vlapic->deadline = 0;
			vlapic_lvt_deliver(vlapic, VLAPIC_LVT_TIMER);
		}
		return;
	}
	ticks = bus_ticks(vlapic, now);
	if (!vlapic->timer_running || ticks < vlapic->timer_next) {
		return;
	}
	if (in_mode(vlapic, LVT_TIMER_PERIODIC)) {
		uint64_t periods = (ticks - vlapic->timer_start) / period(vlapic);

		vlapic->timer_next = vlapic->timer_start + (periods + 1) * period(vlapic);
	} else {
		vlapic->timer_running = false;
	}
	vlapic_lvt_deliver(vlapic, VLAPIC_LVT_TIMER);
}

/* VTIMER_LAPIC came due (or a little early or late, which does not matter). */
void vlapic_timer(struct vlapic *vlapic)
{
	uint64_t now = vlapic->host->now(vlapic->host);

	settle(vlapic, now);
	arm(vlapic, now);
}

/* Writes the LVT (already checked). Going into or out of TSC-deadline mode disarms the timer. */
void vlapic_timer_set_lvt(struct vlapic *vlapic, uint32_t value)
{
	uint64_t now = vlapic->host->now(vlapic->host);

	settle(vlapic, now);
	if (((timer_lvt(vlapic) ^ value) & LVT_TIMER_DEADLINE_BIT) != 0) {
		vlapic->timer_running = false;
		vlapic->initial = 0;
		vlapic->deadline = 0;
	}
	vlapic->lvt[VLAPIC_LVT_TIMER - VLAPIC_LVT_TIMER] = value;
	arm(vlapic, now);
}

/* Starts a count down; 0 stops. Ignored in TSC-deadline mode. */
void vlapic_timer_set_initial(struct vlapic *vlapic, uint32_t initial)
{
	uint64_t now = vlapic->host->now(vlapic->host);

	if ((timer_lvt(vlapic) & LVT_TIMER_DEADLINE_BIT) != 0) {
		return;
	}
	vlapic->initial = initial;
	vlapic->timer_running = initial != 0;
	vlapic->timer_start = bus_ticks(vlapic, now);
	vlapic->timer_next = vlapic->timer_start + period(vlapic);
	arm(vlapic, now);
}

/* Counts that have passed since the start (in periodic mode: of the current period). */
static uint64_t elapsed_counts(const struct vlapic *vlapic, uint64_t now)
{
	uint64_t counts = (bus_ticks(vlapic, now) - vlapic->timer_start) >> divide_shift(vlapic);

	return in_mode(vlapic, LVT_TIMER_PERIODIC) ? counts % vlapic->initial
						   : MIN(counts, vlapic->initial);
}

/* Changes the divider; the current count stays and goes on at the new pace. */
void vlapic_timer_set_divide(struct vlapic *vlapic, uint32_t divide)
{
	uint64_t now = vlapic->host->now(vlapic->host);
	uint64_t counts;

	settle(vlapic, now);
	if (!vlapic->timer_running) {
		vlapic->divide = divide;
		return;
	}
	counts = elapsed_counts(vlapic, now);
	vlapic->divide = divide;
	/* May wrap below 0 early in a partition's life; differences come out right. */
	vlapic->timer_start = bus_ticks(vlapic, now) - (counts << divide_shift(vlapic));
	vlapic->timer_next = vlapic->timer_start + period(vlapic);
	arm(vlapic, now);
}

/* The current count register. */
uint32_t vlapic_timer_current(const struct vlapic *vlapic)
{
	if (!vlapic->timer_running) {
		return 0;
	}
	return (uint32_t)(vlapic->initial -
			  elapsed_counts(vlapic, vlapic->host->now(vlapic->host)));
}

/* Reads IA32_TSC_DEADLINE: 0 when disarmed, expired, or not in TSC-deadline mode. */
uint64_t vlapic_deadline(struct vlapic *vlapic)
{
	settle(vlapic, vlapic->host->now(vlapic->host));
	return vlapic->deadline;
}

/* Writes it: 0 disarms, the past fires at once. Ignored in the other modes. */
void vlapic_set_deadline(struct vlapic *vlapic, uint64_t deadline)
{
	uint64_t now = vlapic->host->now(vlapic->host);

	if (!in_mode(vlapic, LVT_TIMER_TSC_DEADLINE)) {
		return;
	}
	vlapic->deadline = deadline;
	settle(vlapic, now);
	arm(vlapic, now);
}
