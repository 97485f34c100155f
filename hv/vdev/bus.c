/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder of ports and MMIO: a sorted array, binary search, and a guess first, because
 * most accesses go to the range of the access before. What is unclaimed reads as all ones,
 * as an undriven bus does.
 */
#include "hv/vdev/bus.h"

/* Empties `bus` and its counts. */
void bus_init(struct bus *bus)
{
	*bus = (struct bus){ 0 };
}

/* The index of the first range whose end is above `address`; bus->count if there is none. */
static unsigned int first_ending_above(const struct bus *bus, uint64_t address)
{
	unsigned int low = 0;
	unsigned int high = bus->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (bus->ranges[middle].end <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Registers a copy of `range`. See bus.h for the errors; on one of them nothing changes. */
int bus_add(struct bus *bus, const struct bus_range *range)
{
	unsigned int at = first_ending_above(bus, range->start);

	if (range->start >= range->end) {
		return -EINVAL;
	}
	if (at < bus->count && bus->ranges[at].start < range->end) {
		return -EEXIST;
	}
	if (bus->count == BUS_RANGES_MAX) {
		return -ENOSPC;
	}
	for (unsigned int i = bus->count; i > at; i--) {
		bus->ranges[i] = bus->ranges[i - 1];
	}
	bus->ranges[at] = *range;
	bus->count++;
	return 0;
}

static bool holds(const struct bus_range *range, uint64_t address, unsigned int size)
{
	return address >= range->start && address < range->end && size <= range->end - address;
}

/* The range that holds all of the access, or NULL. */
static const struct bus_range *find(struct bus *bus, uint64_t address, unsigned int size)
{
	unsigned int at;

	bus->all++;
	if (holds(&bus->ranges[bus->last], address, size)) {
		return &bus->ranges[bus->last];
	}
	at = first_ending_above(bus, address);
	if (at == bus->count || !holds(&bus->ranges[at], address, size)) {
		return NULL;
	}
	bus->last = at;
	return &bus->ranges[at];
}

static uint64_t size_mask(unsigned int size)
{
	return BITS(size * 8 - 1, 0);
}

/* Reads `size` bytes (1, 2, 4, 8) at `address`; all ones when nobody claims them. */
void bus_read(struct bus *bus, uint64_t address, unsigned int size, uint64_t *value)
{
	const struct bus_range *range = find(bus, address, size);
	unsigned int step;

	*value = 0;
	if (range == NULL) {
		bus->unclaimed_reads++;
		bus->last_unclaimed = address;
		*value = size_mask(size);
		return;
	}
	step = range->bytes ? 1 : size;
	for (unsigned int i = 0; i < size; i += step) {
		uint64_t part = 0;

		range->read(range->device, address - range->start + i, step, &part);
		*value |= (part & size_mask(step)) << (8 * i);
	}
}

/* Writes the low `size` bytes (1, 2, 4, 8) of `value`; swallowed when nobody claims them. */
void bus_write(struct bus *bus, uint64_t address, unsigned int size, uint64_t value)
{
	const struct bus_range *range = find(bus, address, size);
	unsigned int step;

	if (range == NULL) {
		bus->unclaimed_writes++;
		bus->last_unclaimed = address;
		return;
	}
	step = range->bytes ? 1 : size;
	for (unsigned int i = 0; i < size; i += step) {
		range->write(range->device, address - range->start + i, step,
			     (value >> (8 * i)) & size_mask(step));
	}
}
