/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 interval timer and port 0x61. Channel 0 drives IRQ 0, channel 1 nothing, channel
 * 2 the speaker bits of port 0x61, where Linux calibrates its TSC. All six modes, binary and
 * BCD. Nothing counts: values follow from the 1193182 Hz ticks since a channel was loaded.
 */
#ifndef HV_VDEV_VPIT_H
#define HV_VDEV_VPIT_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

#define VPIT_HZ UINT64_C(1193182)
#define VPIT_CHANNELS 3

enum vpit_mode {
	VPIT_TERMINAL_COUNT = 0,
	VPIT_ONE_SHOT = 1,
	VPIT_RATE = 2,
	VPIT_SQUARE = 3,
	VPIT_SOFTWARE_STROBE = 4,
	VPIT_HARDWARE_STROBE = 5,
};

struct vpit_channel {
	uint8_t mode;	/* enum vpit_mode */
	uint8_t access; /* 1 low byte, 2 high byte, 3 both */
	bool bcd;
	bool gate;
	bool loaded;	 /* a count was written since the mode */
	bool running;	 /* counts; else `held` counts have passed */
	bool write_high; /* access 3: the next byte written is the high one */
	bool read_high;	 /* likewise for reads */
	uint8_t low;	 /* the low byte, until the high one comes */
	uint8_t latched; /* bytes of `latch` still to be read */
	bool status_latched;
	uint8_t status;
	uint16_t latch;
	uint32_t count; /* 1-65536 (10000 in BCD): what was written, 0 meaning the maximum */
	uint32_t triggered_count; /* modes 1 and 5: in `count` from the next trigger on */
	uint64_t start; /* tick at which `count` is loaded; may be ahead, see vpit_channel.c */
	uint64_t held;
};

struct vpit {
	struct vdev_host *host;
	struct vpit_channel channels[VPIT_CHANNELS];
	uint64_t next_edge; /* tick of the next rising edge of OUT0, VTIMER_NEVER: none */
	uint8_t port61;	    /* the writable bits */
};

void vpit_init(struct vpit *vpit, struct vdev_host *host);
int __must_check vpit_attach(struct vpit *vpit, struct bus *ports);

/* VTIMER_PIT came due. */
void vpit_timer(struct vpit *vpit);

/* One channel at a tick, in vpit_channel.c. */
bool vpit_is_periodic(const struct vpit_channel *channel);
bool vpit_is_triggered(const struct vpit_channel *channel);
bool vpit_starts_later(const struct vpit_channel *channel, uint64_t ticks);
bool vpit_output(const struct vpit_channel *channel, uint64_t ticks);
uint16_t vpit_current(const struct vpit_channel *channel, uint64_t ticks);
void vpit_load(struct vpit_channel *channel, uint16_t word, uint64_t ticks);
void vpit_set_gate(struct vpit_channel *channel, bool gate, uint64_t ticks);
void vpit_latch_count(struct vpit_channel *channel, uint64_t ticks);
void vpit_latch_status(struct vpit_channel *channel, uint64_t ticks);

#endif
