/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 8254, by its data sheet. Each channel is described by its mode, count and the tick at which
 * the count was loaded; value and output are functions of the time since then. A new count
 * in modes 2 and 3 takes over at the end of the running period: then `start` is ahead of now
 * and the counter shows what is left until it. IRQ 0 edges that nobody could see coalesce.
 */
#include "hv/vdev/vpit.h"

#define CONTROL_CHANNEL BITS(7, 6)
#define CONTROL_ACCESS BITS(5, 4)
#define CONTROL_MODE BITS(3, 1)
#define CONTROL_BCD BIT(0)
#define CONTROL_READ_BACK 3
#define READ_BACK_NO_COUNT BIT(5)
#define READ_BACK_NO_STATUS BIT(4)

#define STATUS_OUT BIT(7)
#define STATUS_NULL_COUNT BIT(6)

#define PORT61_GATE2 BIT(0)
#define PORT61_WRITABLE 0x0f
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT2 BIT(5)
/* Channel 1 of a PC asks for a DRAM refresh every 18 ticks. */
#define REFRESH_TICKS 18

enum mode {
	MODE_TERMINAL_COUNT = 0,
	MODE_ONE_SHOT = 1,
	MODE_RATE = 2,
	MODE_SQUARE = 3,
	MODE_SOFTWARE_STROBE = 4,
	MODE_HARDWARE_STROBE = 5,
};

static bool is_periodic(const struct vpit_channel *channel)
{
	return channel->mode == MODE_RATE || channel->mode == MODE_SQUARE;
}

/* In these modes the gate's rising edge starts the count, not the write. */
static bool is_triggered(const struct vpit_channel *channel)
{
	return channel->mode == MODE_ONE_SHOT || channel->mode == MODE_HARDWARE_STROBE;
}

static uint64_t ticks_now(const struct vpit *vpit)
{
	return vdev_ticks(vpit->host, vpit->host->now(vpit->host), VPIT_HZ);
}

static uint32_t modulus(const struct vpit_channel *channel)
{
	return channel->bcd ? 10000 : 65536;
}

/* Ticks since the load. Only when the start is not ahead. */
static uint64_t elapsed(const struct vpit_channel *channel, uint64_t ticks)
{
	return channel->running ? ticks - channel->start : channel->held;
}

static bool starts_later(const struct vpit_channel *channel, uint64_t ticks)
{
	return channel->running && channel->start > ticks;
}

/* High while in the first half of the square wave, which has the odd tick. */
static bool square_is_high(const struct vpit_channel *channel, uint64_t position)
{
	return position < (channel->count + 1) / 2;
}

/* The counting element as a number. */
static uint32_t current_count(const struct vpit_channel *channel, uint64_t ticks)
{
	uint64_t passed;
	uint64_t position;

	if (!channel->loaded) {
		return 0;
	}
	if (starts_later(channel, ticks)) {
		return (uint32_t)((channel->start - ticks) % modulus(channel));
	}
	passed = elapsed(channel, ticks);
	position = passed % channel->count;
	if (channel->mode == MODE_RATE) {
		return (uint32_t)(channel->count - position) % modulus(channel);
	}
	if (channel->mode == MODE_SQUARE) {
		if (!square_is_high(channel, position)) {
			position -= (channel->count + 1) / 2;
		}
		return (uint32_t)((channel->count & ~1U) - 2 * position) % modulus(channel);
	}
	/* The other modes count on through zero. */
	passed %= modulus(channel);
	return (uint32_t)(channel->count + modulus(channel) - passed) % modulus(channel);
}

static bool output(const struct vpit_channel *channel, uint64_t ticks)
{
	uint64_t passed;

	if (!channel->loaded) {
		return channel->mode != MODE_TERMINAL_COUNT;
	}
	if (starts_later(channel, ticks)) {
		return true;
	}
	passed = elapsed(channel, ticks);
	switch ((enum mode)channel->mode) {
	case MODE_TERMINAL_COUNT:
		return passed >= channel->count;
	case MODE_ONE_SHOT:
		return !channel->running || passed >= channel->count;
	case MODE_RATE:
		return !channel->gate || passed % channel->count != channel->count - 1;
	case MODE_SQUARE:
		return !channel->gate || square_is_high(channel, passed % channel->count);
	case MODE_SOFTWARE_STROBE:
	case MODE_HARDWARE_STROBE:
		return passed != channel->count;
	}
	return true;
}

/* A number as the counter's two bytes show it. */
static uint16_t to_register(const struct vpit_channel *channel, uint32_t count)
{
	if (!channel->bcd) {
		return (uint16_t)count;
	}
	return (uint16_t)(count % 10 | count / 10 % 10 << 4 | count / 100 % 10 << 8 |
			  count / 1000 % 10 << 12);
}

/* The inverse; 0 is the maximum. */
static uint32_t from_register(const struct vpit_channel *channel, uint16_t word)
{
	uint32_t count = word;

	if (channel->bcd) {
		count = (word & 0xfU) + (word >> 4 & 0xfU) * 10 + (word >> 8 & 0xfU) * 100 +
			(word >> 12 & 0xfU) * 1000;
	}
	/* Digits above 9 could exceed the BCD range. */
	count %= modulus(channel);
	return count == 0 ? modulus(channel) : count;
}

/* Asks for a wake-up at the next rising edge of OUT0. */
static void arm(struct vpit *vpit, uint64_t now)
{
	struct vdev_host *host = vpit->host;
	uint64_t deadline = VTIMER_NEVER;

	if (vpit->next_edge != VTIMER_NEVER) {
		deadline = is_periodic(&vpit->channels[0])
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
	if (starts_later(channel, ticks)) {
		vpit->next_edge = channel->start;
	} else if (channel->loaded && channel->running && !is_triggered(channel)) {
		vpit->next_edge = channel->start + channel->count;
	}
	vpit->host->set_irq(vpit->host, 0,
			    channel->mode != MODE_TERMINAL_COUNT || output(channel, ticks));
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

		vpit->next_edge = is_periodic(channel)
					  ? channel->start + (periods + 1) * channel->count
					  : VTIMER_NEVER;
		host->set_irq(host, 0, false);
		host->set_irq(host, 0, true);
	}
	arm(vpit, now);
}

/* A complete count was written. */
static void load(struct vpit_channel *channel, uint16_t word, uint64_t ticks)
{
	uint64_t boundary = ticks;

	if (is_periodic(channel) && channel->loaded && channel->running) {
		boundary = channel->start;
		if (!starts_later(channel, ticks)) {
			uint64_t periods = elapsed(channel, ticks) / channel->count;

			boundary += (periods + 1) * channel->count;
		}
	}
	channel->loaded = true;
	if (is_triggered(channel)) {
		channel->triggered_count = from_register(channel, word);
		return;
	}
	channel->count = from_register(channel, word);
	channel->start = boundary;
	channel->held = 0;
	channel->running = channel->gate;
}

static void write_count(struct vpit *vpit, unsigned int index, uint8_t value)
{
	struct vpit_channel *channel = &vpit->channels[index];
	uint64_t ticks = ticks_now(vpit);

	if (channel->access == 3 && !channel->write_high) {
		channel->low = value;
		channel->write_high = true;
		if (channel->mode == MODE_TERMINAL_COUNT) {
			/* The first byte stops the count and pulls OUT low. */
			channel->loaded = false;
			channel->running = false;
		}
	} else {
		unsigned int word = channel->access == 1 ? value
							 : (unsigned int)value << 8;

		if (channel->access == 3) {
			word |= channel->low;
		}
		channel->write_high = false;
		load(channel, (uint16_t)word, ticks);
	}
	if (index == 0) {
		restart_channel0(vpit);
	}
}

static void latch_count(struct vpit_channel *channel, uint64_t ticks)
{
	if (channel->latched != 0) {
		return;
	}
	channel->latch = to_register(channel, current_count(channel, ticks));
	channel->latched = channel->access == 3 ? 2 : 1;
}

static void latch_status(struct vpit_channel *channel, uint64_t ticks)
{
	if (channel->status_latched) {
		return;
	}
	channel->status_latched = true;
	channel->status = (uint8_t)((unsigned int)channel->access << 4 |
				    (unsigned int)channel->mode << 1 | channel->bcd);
	if (output(channel, ticks)) {
		channel->status |= (uint8_t)STATUS_OUT;
	}
	if (!channel->loaded || starts_later(channel, ticks)) {
		channel->status |= (uint8_t)STATUS_NULL_COUNT;
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
			latch_count(channel, ticks);
		}
		if ((value & READ_BACK_NO_STATUS) == 0) {
			latch_status(channel, ticks);
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
		latch_count(channel, ticks_now(vpit));
		return;
	}
	*channel = (struct vpit_channel){
		/* 6 and 7 are 2 and 3: the top bit of the mode is not decoded there. */
		.mode = (uint8_t)(mode > MODE_HARDWARE_STROBE ? mode - 4 : mode),
		.access = (uint8_t)access,
		.bcd = (value & CONTROL_BCD) != 0,
		.gate = channel->gate,
		.count = 1,
	};
	if (index == 0) {
		restart_channel0(vpit);
	}
}

/* Only channel 2 has a gate that moves. */
static void set_gate(struct vpit_channel *channel, bool gate, uint64_t ticks)
{
	bool rising = gate && !channel->gate;

	if (gate == channel->gate) {
		return;
	}
	channel->gate = gate;
	if (!channel->loaded) {
		return;
	}
	if (is_triggered(channel)) {
		if (rising) {
			channel->count = channel->triggered_count;
			channel->start = ticks;
			channel->running = true;
		}
		return;
	}
	if (!rising) {
		channel->held = starts_later(channel, ticks) ? 0 : elapsed(channel, ticks);
	} else {
		/* Modes 2 and 3 begin anew, 0 and 4 go on. */
		channel->start = is_periodic(channel) ? ticks : ticks - channel->held;
	}
	channel->running = gate;
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
		word = to_register(channel, current_count(channel, ticks_now(vpit)));
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
	if (output(&vpit->channels[2], ticks)) {
		*value |= PORT61_OUT2;
	}
}

static void port61_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpit *vpit = device;

	(void)offset;
	(void)size;
	vpit->port61 = value & PORT61_WRITABLE;
	set_gate(&vpit->channels[2], (value & PORT61_GATE2) != 0, ticks_now(vpit));
}

/* Nothing counts until programmed; gates of channels 0 and 1 are tied high. */
void vpit_init(struct vpit *vpit, struct vdev_host *host)
{
	*vpit = (struct vpit){ .host = host, .next_edge = VTIMER_NEVER };
	for (unsigned int i = 0; i < VPIT_CHANNELS; i++) {
		vpit->channels[i] = (struct vpit_channel){
			.mode = MODE_SQUARE, .access = 3, .gate = i != 2, .count = 1
		};
	}
	host->set_timer(host, VTIMER_PIT, VTIMER_NEVER);
}

/* Claims 0x40-0x43 and 0x61. */
int vpit_attach(struct vpit *vpit, struct bus *ports)
{
	const struct bus_range pit = { 0x40, 0x44, pit_read, pit_write, vpit, "pit", true };
	const struct bus_range port61 = { 0x61, 0x62, port61_read, port61_write, vpit, "port61",
					  true };
	int status = bus_add(ports, &pit);

	return status != 0 ? status : bus_add(ports, &port61);
}
