/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One channel of the 8254, by its data sheet. It is described by its mode, count and the tick at
 * which the count was loaded; value and output are functions of the time since then. A new
 * count in modes 2 and 3 takes over at the end of the running period: then `start` is ahead of
 * now and the counter shows what is left until it.
 */
#include "hv/vdev/vpit.h"

#define STATUS_OUT BIT(7)
#define STATUS_NULL_COUNT BIT(6)

/* Modes 2 and 3, which begin anew by themselves. */
bool vpit_is_periodic(const struct vpit_channel *channel)
{
	return channel->mode == VPIT_RATE || channel->mode == VPIT_SQUARE;
}

/* Modes 1 and 5: the gate's rising edge starts the count, not the write. */
bool vpit_is_triggered(const struct vpit_channel *channel)
{
	return channel->mode == VPIT_ONE_SHOT || channel->mode == VPIT_HARDWARE_STROBE;
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

/* True while an earlier period still runs that a new count has to wait for. */
bool vpit_starts_later(const struct vpit_channel *channel, uint64_t ticks)
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
	if (vpit_starts_later(channel, ticks)) {
		return (uint32_t)((channel->start - ticks) % modulus(channel));
	}
	passed = elapsed(channel, ticks);
	position = passed % channel->count;
	if (channel->mode == VPIT_RATE) {
		return (uint32_t)(channel->count - position) % modulus(channel);
	}
	if (channel->mode == VPIT_SQUARE) {
		if (!square_is_high(channel, position)) {
			position -= (channel->count + 1) / 2;
		}
		return (uint32_t)((channel->count & ~1U) - 2 * position) % modulus(channel);
	}
	/* The other modes count on through zero. */
	passed %= modulus(channel);
	return (uint32_t)(channel->count + modulus(channel) - passed) % modulus(channel);
}

/* The level of OUT at `ticks`. */
bool vpit_output(const struct vpit_channel *channel, uint64_t ticks)
{
	uint64_t passed;

	if (!channel->loaded) {
		return channel->mode != VPIT_TERMINAL_COUNT;
	}
	if (vpit_starts_later(channel, ticks)) {
		return true;
	}
	passed = elapsed(channel, ticks);
	switch ((enum vpit_mode)channel->mode) {
	case VPIT_TERMINAL_COUNT:
		return passed >= channel->count;
	case VPIT_ONE_SHOT:
		return !channel->running || passed >= channel->count;
	case VPIT_RATE:
		return !channel->gate || passed % channel->count != channel->count - 1;
	case VPIT_SQUARE:
		return !channel->gate || square_is_high(channel, passed % channel->count);
	case VPIT_SOFTWARE_STROBE:
	case VPIT_HARDWARE_STROBE:
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

/* The counter as it would be read at `ticks`. */
uint16_t vpit_current(const struct vpit_channel *channel, uint64_t ticks)
{
	return to_register(channel, current_count(channel, ticks));
}

/* The inverse of to_register(); 0 is the maximum. */
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

/* A complete count was written at `ticks`: takes effect as the mode says. */
void vpit_load(struct vpit_channel *channel, uint16_t word, uint64_t ticks)
{
	uint64_t boundary = ticks;

	if (vpit_is_periodic(channel) && channel->loaded && channel->running) {
		boundary = channel->start;
		if (!vpit_starts_later(channel, ticks)) {
			uint64_t periods = elapsed(channel, ticks) / channel->count;

			boundary += (periods + 1) * channel->count;
		}
	}
	channel->loaded = true;
	if (vpit_is_triggered(channel)) {
		channel->triggered_count = from_register(channel, word);
		return;
	}
	channel->count = from_register(channel, word);
	channel->start = boundary;
	channel->held = 0;
	channel->running = channel->gate;
}

/* The gate is now high or low. Only channel 2 has one that moves. */
void vpit_set_gate(struct vpit_channel *channel, bool gate, uint64_t ticks)
{
	bool rising = gate && !channel->gate;

	if (gate == channel->gate) {
		return;
	}
	channel->gate = gate;
	if (!channel->loaded) {
		return;
	}
	if (vpit_is_triggered(channel)) {
		if (rising) {
			channel->count = channel->triggered_count;
			channel->start = ticks;
			channel->running = true;
		}
		return;
	}
	if (!rising) {
		channel->held = vpit_starts_later(channel, ticks) ? 0 : elapsed(channel, ticks);
	} else {
		/* Modes 2 and 3 begin anew, 0 and 4 go on. */
		channel->start = vpit_is_periodic(channel) ? ticks : ticks - channel->held;
	}
	channel->running = gate;
}

/* Counter latch command: holds the count until it is read; a second one is ignored. */
void vpit_latch_count(struct vpit_channel *channel, uint64_t ticks)
{
	if (channel->latched != 0) {
		return;
	}
	channel->latch = vpit_current(channel, ticks);
	channel->latched = channel->access == 3 ? 2 : 1;
}

/* The status half of the read-back command, likewise. */
void vpit_latch_status(struct vpit_channel *channel, uint64_t ticks)
{
	if (channel->status_latched) {
		return;
	}
	channel->status_latched = true;
	channel->status = (uint8_t)((unsigned int)channel->access << 4 |
				    (unsigned int)channel->mode << 1 | channel->bcd);
	if (vpit_output(channel, ticks)) {
		channel->status |= (uint8_t)STATUS_OUT;
	}
	if (!channel->loaded || vpit_starts_later(channel, ticks)) {
		channel->status |= (uint8_t)STATUS_NULL_COUNT;
	}
}
