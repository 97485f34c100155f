/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 clock with 114 bytes of NVRAM at ports 0x70/0x71, IRQ 8. The time is the host's
 * wall clock at the partition's start plus the partition's own time plus an offset that the
 * guest makes when it sets the clock. The oscillator cannot be stopped; the divider bits only
 * hide the update flag.
 */
#ifndef HV_VDEV_VRTC_H
#define HV_VDEV_VRTC_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

#define VRTC_IRQ 8
#define VRTC_CELLS 128

/* RAM below this address is what the NVRAM calls low; the rest is above 4 GiB. */
#define VRTC_LOW_END UINT64_C(0xc0000000)

struct vrtc {
	struct vdev_host *host;
	uint8_t index;
	uint8_t cells[VRTC_CELLS]; /* time cells: valid while register B says SET */
	int64_t offset;		   /* seconds that the guest's clock is ahead of ours */
	uint64_t seen;		   /* partition time up to which the flags are settled */
};

void vrtc_init(struct vrtc *vrtc, struct vdev_host *host, uint64_t memory_bytes);
int __must_check vrtc_attach(struct vrtc *vrtc, struct bus *ports);

/* VTIMER_RTC came due. */
void vrtc_timer(struct vrtc *vrtc);

/* Calendar, in vrtc_calendar.c. Years are four digits, months and days count from 1. */
struct vrtc_time {
	unsigned int second;
	unsigned int minute;
	unsigned int hour;
	unsigned int weekday; /* 1 is Sunday */
	unsigned int day;
	unsigned int month;
	unsigned int year;
};

/* An alarm field that matches anything. */
#define VRTC_ANY 0xffU

void vrtc_time_from_seconds(uint64_t seconds, struct vrtc_time *time);
uint64_t vrtc_time_to_seconds(const struct vrtc_time *time);
uint64_t vrtc_next_alarm(uint64_t after, unsigned int hour, unsigned int minute,
			 unsigned int second);

#endif
