/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port and MMIO decoder of a partition: devices register ranges at creation, accesses
 * find them by binary search. What nobody claims reads as all ones and swallows writes,
 * and is counted, never fatal. Partition-owned.
 */
#ifndef HV_VDEV_BUS_H
#define HV_VDEV_BUS_H

#include "lib/bits.h"
#include "lib/status.h"

#define BUS_RANGES_MAX 32

/*
 * One access of `size` bytes (1, 2, 4; MMIO also 8) at `offset` from the start of the range.
 * A read fills *value (upper bytes 0), a write takes it.
 */
typedef void bus_read_fn(void *device, uint64_t offset, unsigned int size, uint64_t *value);
typedef void bus_write_fn(void *device, uint64_t offset, unsigned int size, uint64_t value);

struct bus_range {
	uint64_t start; /* [start, end) */
	uint64_t end;
	bus_read_fn *read;
	bus_write_fn *write;
	void *device;
	const char *name;
	bool bytes; /* an 8-bit device: wider accesses come as bytes, lowest first, as on ISA */
};

struct bus {
	struct bus_range ranges[BUS_RANGES_MAX]; /* sorted by start, no overlap */
	unsigned int count;
	unsigned int last; /* index of the range that was hit last */
	uint64_t all;	   /* accesses */
	uint64_t unclaimed_reads;
	uint64_t unclaimed_writes;
	uint64_t last_unclaimed; /* address of the latest one */
};

void bus_init(struct bus *bus);

/* -EEXIST on overlap, -ENOSPC when full, -EINVAL when empty. Nothing changed then. */
int __must_check bus_add(struct bus *bus, const struct bus_range *range);

/* An access that crosses the end of a range is unclaimed. */
void bus_read(struct bus *bus, uint64_t address, unsigned int size, uint64_t *value);
void bus_write(struct bus *bus, uint64_t address, unsigned int size, uint64_t value);

#endif
