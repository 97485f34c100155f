/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI specification, "ACPI Hardware Features": the block is three 32-bit words (event,
 * control, timer), of which any aligned or unaligned part may be accessed. The timer is 32
 * bits wide; its status bit is set whenever bit 31 changes.
 */
#include "hv/vdev/vpm.h"

#define STATUS_TIMER BIT(0)
/* Timer, bus master, global lock, power, sleep and RTC, wake: written 1 to clear. */
#define STATUS_WRITABLE 0x8731
#define ENABLE_WRITABLE 0x0721

#define CONTROL_SCI_ENABLE BIT(0)
#define CONTROL_SLEEP_TYPE BITS(12, 10)
#define CONTROL_SLEEP_ENABLE BIT(13)
#define CONTROL_WRITABLE (CONTROL_SLEEP_TYPE | BIT(1))

#define TIMER_MSB 31

enum word {
	WORD_EVENT,
	WORD_CONTROL,
	WORD_TIMER,
};

static uint64_t timer_ticks(const struct vpm *vpm, uint64_t now)
{
	return vdev_ticks(vpm->host, now, VPM_TIMER_HZ);
}

/* Brings the timer's status up to date, then the SCI and the next wake-up for it. */
static void settle(struct vpm *vpm)
{
	struct vdev_host *host = vpm->host;
	uint64_t now = host->now(host);
	uint64_t half = timer_ticks(vpm, now) >> TIMER_MSB;
	uint64_t deadline = VTIMER_NEVER;
	bool sci;

	if (timer_ticks(vpm, vpm->seen) >> TIMER_MSB != half) {
		vpm->status |= STATUS_TIMER;
	}
	vpm->seen = now;
	sci = (vpm->status & vpm->enable) != 0;
	if (sci != vpm->sci) {
		vpm->sci = sci;
		host->set_irq(host, VPM_SCI, sci);
	}
	if ((vpm->enable & STATUS_TIMER) != 0 && !sci) {
		deadline = vdev_deadline(host, (half + 1) << TIMER_MSB, VPM_TIMER_HZ);
	}
	host->set_timer(host, VTIMER_PM, deadline);
}

/* See vpm.h. */
void vpm_timer(struct vpm *vpm)
{
	settle(vpm);
}

static uint32_t read_word(struct vpm *vpm, enum word word)
{
	switch (word) {
	case WORD_EVENT:
		settle(vpm);
		return vpm->status | ((uint32_t)vpm->enable << 16);
	case WORD_CONTROL:
		return vpm->control;
	case WORD_TIMER:
		return (uint32_t)timer_ticks(vpm, vpm->host->now(vpm->host));
	}
	return 0;
}

/* `mask` has the bits that the access covers. */
static void write_word(struct vpm *vpm, enum word word, uint32_t mask, uint32_t value)
{
	value &= mask;
	if (word == WORD_EVENT) {
		settle(vpm);
		vpm->status &= (uint16_t) ~(value & STATUS_WRITABLE);
		vpm->enable = (uint16_t)((vpm->enable & ~(mask >> 16)) |
					 ((value >> 16) & ENABLE_WRITABLE));
		settle(vpm);
	} else if (word == WORD_CONTROL) {
		vpm->control = (uint16_t)(CONTROL_SCI_ENABLE | (vpm->control & ~mask) |
					  (value & CONTROL_WRITABLE));
		if ((value & CONTROL_SLEEP_ENABLE) != 0 &&
		    FIELD_GET(CONTROL_SLEEP_TYPE, vpm->control) == VPM_SLEEP_S5) {
			vpm->host->power_off(vpm->host);
		}
	}
}

/* An access that runs into the next word is cut off there: nobody makes one. */
static uint32_t access_mask(uint64_t offset, unsigned int size)
{
	return (uint32_t)(BITS(size * 8 - 1, 0) << (8 * (offset % 4)));
}

static void pm_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	uint32_t word = read_word(device, (enum word)(offset / 4));

	*value = (word & access_mask(offset, size)) >> (8 * (offset % 4));
}

static void pm_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	write_word(device, (enum word)(offset / 4), access_mask(offset, size),
		   (uint32_t)(value << (8 * (offset % 4))));
}

/* In ACPI mode, no event enabled. */
void vpm_init(struct vpm *vpm, struct vdev_host *host)
{
	*vpm = (struct vpm){ .host = host, .control = CONTROL_SCI_ENABLE, .seen = host->now(host) };
	host->set_timer(host, VTIMER_PM, VTIMER_NEVER);
}

/* Claims 0x600-0x60b. */
int vpm_attach(struct vpm *vpm, struct bus *ports)
{
	const struct bus_range range = { VPM_BASE, VPM_END, pm_read, pm_write, vpm, "pm", false };

	return bus_add(ports, &range);
}
