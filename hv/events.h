/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: a word of bits that the core raises for a partition and the guest polls, with an
 * interrupt vector if it asked for one. A bit that is raised twice before it was polled is
 * one event: the guest looks for all there is of that kind. Partition-owned.
 */
#ifndef HV_EVENTS_H
#define HV_EVENTS_H

#include "lib/bits.h"

struct partition;
struct partition_entry;

struct events {
	uint32_t pending; /* BULKHEAD_EVENT_... */
	uint8_t vector;	  /* 0: none */
};

/* Raises `bits`; nothing when the partition does not run. Core. */
void events_raise(struct partition_entry *entry, uint32_t bits);

/* What was raised since the last time. While serving, as the next. */
uint32_t events_poll(struct partition *partition);

/* The vector from now on, at once if something is pending; false: an illegal one. */
bool events_set_vector(struct partition *partition, uint64_t vector);

#endif
