/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports of the 8254 and the interrupt of channel 0, for whose next rising edge a wake-up is
 * asked for. Edges that nobody could see coalesce. What a channel shows is in vpit_channel.c.
 */
#include "hv/vdev/vpit.h"

#define CONTROL_CHANNEL BITS(7, 6)
#define CONTROL_ACCESS BITS(5, 4)
#define CONTROL_MODE BITS(3, 1)
#define CONTROL_BCD BIT(0)
#define CONTROL_READ_BACK 3
#define READ_BACK_NO_COUNT BIT(5)
#define READ_BACK_NO_STATUS BIT(4)

#define PORT61_GATE2 BIT(0)
#define PORT61_WRITABLE 0x0f
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT2 BIT(5)
/* Channel 1 of a PC asks for a DRAM refresh every 18 ticks. */
#define REFRESH_TICKS 18

static uint64_t ticks_now(const struct vpit *vpit)
{
	return vdev_ticks(vpit->host, vpit->host->now(vpit->host), VPIT_HZ);
}

/* Asks for a wake-up at the next rising edge of OUT0. */
static void arm(struct vpit *vpit, uint64_t now)
{
	struct vdev_host *host = vpit->host;
	uint64_t deadline = VTIMER_NEVER;

	if (vpit->next_edge != VTIMER_NEVER) {
		deadline = vpit_is_periodic(&vpit->channels[0])
				   ? vdev_periodic_deadline(host, now, vpit->next_edge, VPIT_HZ)
				   : vdev_deadline(host, vpit->next_edge, VPIT_HZ);
	}
	host->set_timer(host, VTIMER_PIT, deadline);
}

/* Channel 0 was programmed: sets the line and finds the next edge. */
static void restart_channel0(struct vpit *vpit)
{
	const struct vpit_channel *channel = &vpit->channels[0];
	uint64_t now = vpit->host->now(vpit->host);
	uint64_t ticks = vdev_ticks(vpit->host, now, VPIT_HZ);

	vpit->next_edge = VTIMER_NEVER;
	if (vpit_starts_later(channel, ticks)) {
		vpit->next_edge = channel->start;
	} else if (channel->loaded && channel->running && !vpit_is_triggered(channel)) {
		vpit->next_edge = channel->start + channel->count;
	}
	vpit->host->set_irq(vpit->host, 0,
			    channel->mode != VPIT_TERMINAL_COUNT || vpit_output(channel, ticks));
	arm(vpit, now);
}

/* VTIMER_PIT came due: one edge on IRQ 0 for all that passed, then the next wake-up. */
void vpit_timer(struct vpit *vpit)
{
	struct vpit_channel *channel = &vpit->channels[0];
	struct vdev_host *host = vpit->host;
	uint64_t now = host->now(host);
	uint64_t ticks = vdev_ticks(host, now, VPIT_HZ);

	if (ticks >= vpit->next_edge) {
		uint64_t periods = (ticks - channel->start) / channel->count;

		vpit->next_edge = vpit_is_periodic(channel)
					  ? channel->start + (periods + 1) * channel->count
					  : VTIMER_NEVER;
		host->set_irq(host, 0, false);
		host->set_irq(host, 0, true);
	}
	arm(vpit, now);
}

static void write_count(struct vpit *vpit, unsigned int index, uint8_t value)
{
	struct vpit_channel *channel = &vpit->channels[index];
	uint64_t ticks = ticks_now(vpit);

	if (channel->access == 3 && !channel->write_high) {
		channel->low = value;
		channel->write_high = true;
		if (channel->mode == VPIT_TERMINAL_COUNT) {
			/* The first byte stops the count and pulls OUT low. */
			channel->loaded = false;
			channel->running = false;
		}
	} else {
		unsigned int word = channel->access == 1 ? value : (unsigned int)value << 8;

		if (channel->access == 3) {
			word |= channel->low;
		}
		channel->write_high = false;
		vpit_load(channel, (uint16_t)word, ticks);
	}
	if (index == 0) {
		restart_channel0(vpit);
	}
}

static void read_back(struct vpit *vpit, uint8_t value)
{
	uint64_t ticks = ticks_now(vpit);

	for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
		struct vpit_channel *channel = &vpit->channels[i];

		if ((value & BIT(i + 1)) == 0) {
			continue;
		}
		if ((value & READ_BACK_NO_COUNT) == 0) {
			vpit_latch_count(channel, ticks);
		}
		if ((value & READ_BACK_NO_STATUS) == 0) {
			vpit_latch_status(channel, ticks);
		}
	}
}

static void write_control(struct vpit *vpit, uint8_t value)
{
	unsigned int index = (unsigned int)FIELD_GET(CONTROL_CHANNEL, value);
	unsigned int access = (unsigned int)FIELD_GET(CONTROL_ACCESS, value);
	unsigned int mode = (unsigned int)FIELD_GET(CONTROL_MODE, value);
	struct vpit_channel *channel;

	if (index == CONTROL_READ_BACK) {
		read_back(vpit, value);
		return;
	}
	channel = &vpit->channels[index];
	if (access == 0) {
		vpit_latch_count(channel, ticks_now(vpit));
		return;
	}
	*channel = (struct vpit_channel){
		/* 6 and 7 are 2 and 3: the top bit of the mode is not decoded there. */
		.mode = (uint8_t)(mode > VPIT_HARDWARE_STROBE ? mode - 4 : mode),
		.access = (uint8_t)access,
		.bcd = (value & CONTROL_BCD) != 0,
		.gate = channel->gate,
		.count = 1,
	};
	if (index == 0) {
		restart_channel0(vpit);
	}
}

static uint8_t read_count(struct vpit *vpit, unsigned int index)
{
	struct vpit_channel *channel = &vpit->channels[index];
	bool high = channel->access == 2;
	uint16_t word;

	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->status;
	}
	word = channel->latch;
	if (channel->latched != 0) {
		channel->latched--;
	} else {
		word = vpit_current(channel, ticks_now(vpit));
	}
	if (channel->access == 3) {
		high = channel->read_high;
		channel->read_high = !channel->read_high;
	}
	return (uint8_t)(high ? word >> 8 : word);
}

static void pit_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vpit *vpit = device;

	(void)size;
	/* The control word cannot be read back. */
	*value = offset < VPIT_CHANNELS ? read_count(vpit, (unsigned int)offset) : 0xff;
}

static void pit_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpit *vpit = device;

	(void)size;
	if (offset < VPIT_CHANNELS) {
		write_count(vpit, (unsigned int)offset, (uint8_t)value);
	} else {
		write_control(vpit, (uint8_t)value);
	}
}

static void port61_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vpit *vpit = device;
	uint64_t ticks = ticks_now(vpit);

	(void)offset;
	(void)size;
	*value = vpit->port61;
	if ((ticks / REFRESH_TICKS) % 2 != 0) {
		*value |= PORT61_REFRESH;
	}
	if (vpit_output(&vpit->channels[2], ticks)) {
		*value |= PORT61_OUT2;
	}
}

static void port61_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpit *vpit = device;

	(void)offset;
	(void)size;
	vpit->port61 = value & PORT61_WRITABLE;
	vpit_set_gate(&vpit->channels[2], (value & PORT61_GATE2) != 0, ticks_now(vpit));
}

/* Nothing counts until programmed; gates of channels 0 and 1 are tied high. */
void vpit_init(struct vpit *vpit, struct vdev_host *host)
{
	*vpit = (struct vpit){ .host = host, .next_edge = VTIMER_NEVER };
	for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
		vpit->channels[i] = (struct vpit_channel){
			.mode = VPIT_SQUARE, .access = 3, .gate = i != 2, .count = 1
		};
	}
	host->set_timer(host, VTIMER_PIT, VTIMER_NEVER);
}

/* Claims 0x40-0x43 and 0x61. */
int vpit_attach(struct vpit *vpit, struct bus *ports)
{
	const struct bus_range pit = { 0x40, 0x44, pit_read, pit_write, vpit, "pit", true };
	const struct bus_range port61 = { 0x61, 0x62,	  port61_read, port61_write,
					  vpit, "port61", true };
	int status = bus_add(ports, &pit);

	return status != 0 ? status : bus_add(ports, &port61);
}
