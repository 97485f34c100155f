/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's real-time clock (MC146818), read once at boot: the wall time of partitions. */
#ifndef DRIVERS_RTC_H
#define DRIVERS_RTC_H

#include "lib/bits.h"

/*
 * Reads the clock; waits at most a few milliseconds for an update in progress to end. A clock
 * that gives nonsense counts as 2000-01-01. Needs nothing but the ports.
 */
void rtc_init(void);

/* UTC seconds since 1970 when rtc_init() ran. */
uint64_t rtc_boot_seconds(void);

#endif
