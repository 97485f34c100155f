/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map made usable, and the allocator of boot time. The allocator has one cursor
 * that only goes up over the ranges, past the image and the modules; nothing is ever given
 * back, and what it gave out is a short list for the frame table.
 *
 *     ranges   [=====]     [==============================]   [========]
 *     taken     ##            image  modules
 *     cursor                               -> here
 */
#include "arch/x86/ram.h"

#include "lib/panic.h"
#include "lib/string.h"

#define FIRST_ADDRESS MIB /* below: the real-mode BIOS, and start-up code of other CPUs */
#define TAKEN_MAX (BOOT_MODULES_MAX + 64)

static struct {
	struct ram_map map;
	struct ram_range taken[TAKEN_MAX];
	unsigned int taken_count;
	uint64_t cursor;
	uint64_t limit;
	bool closed;
} ram;

/* Makes room at `at`; the last range falls off a full list. False then. */
static bool ranges_insert(struct ram_map *map, unsigned int at, uint64_t start, uint64_t end)
{
	bool fits = map->count < RAM_RANGES_MAX;

	if (at >= RAM_RANGES_MAX) {
		return false;
	}
	map->count += fits ? 1 : 0;
	memmove(&map->ranges[at + 1], &map->ranges[at],
		(map->count - at - 1) * sizeof(map->ranges[0]));
	map->ranges[at] = (struct ram_range){ hpa(start), hpa(end) };
	return fits;
}

static void ranges_delete(struct ram_map *map, unsigned int at)
{
	map->count--;
	memmove(&map->ranges[at], &map->ranges[at + 1], (map->count - at) * sizeof(map->ranges[0]));
}

/* Adds [start, end), merging it with what it touches. */
static bool ranges_add(struct ram_map *map, uint64_t start, uint64_t end)
{
	unsigned int at = 0;

	if (start >= end) {
		return true;
	}
	while (at < map->count && map->ranges[at].end.v < start) {
		at++;
	}
	while (at < map->count && map->ranges[at].start.v <= end) {
		start = MIN(start, map->ranges[at].start.v);
		end = MAX(end, map->ranges[at].end.v);
		ranges_delete(map, at);
	}
	return ranges_insert(map, at, start, end);
}

/* Takes [start, end) out of every range. */
static bool ranges_subtract(struct ram_map *map, uint64_t start, uint64_t end)
{
	bool fits = true;

	unsigned int i = 0;

	while (i < map->count) {
		struct ram_range old = map->ranges[i];

		if (!ranges_overlap(start, end, old.start.v, old.end.v)) {
			i++;
			continue;
		}
		/* What is put back no longer overlaps, so the next look moves on. */
		ranges_delete(map, i);
		if (end < old.end.v) {
			fits = ranges_insert(map, i, end, old.end.v) && fits;
		}
		if (old.start.v < start) {
			fits = ranges_insert(map, i, old.start.v, start) && fits;
		}
	}
	return fits;
}

bool ram_normalise(const struct boot_region *regions, unsigned int count, uint64_t limit,
		   struct ram_map *map)
{
	bool fits = true;

	map->count = 0;
	for (unsigned int i = 0; i < count; i++) {
		if (regions[i].type == BOOT_REGION_AVAILABLE) {
			uint64_t start = MIN(regions[i].start.v, limit);
			uint64_t end = MIN(regions[i].end.v, limit);

			fits = ranges_add(map, align_up(start, PAGE_SIZE),
					  align_down(end, PAGE_SIZE)) &&
			       fits;
		}
	}
	for (unsigned int i = 0; i < count; i++) {
		if (regions[i].type != BOOT_REGION_AVAILABLE &&
		    regions[i].start.v < regions[i].end.v) {
			uint64_t start = MIN(regions[i].start.v, limit);
			uint64_t end = MIN(regions[i].end.v, limit);

			fits = ranges_subtract(map, align_down(start, PAGE_SIZE),
					       align_up(end, PAGE_SIZE)) &&
			       fits;
		}
	}
	return fits;
}

/* Whole pages of [start, end) are in use; grows the last entry when it goes on there. */
static void take(uint64_t start, uint64_t end)
{
	start = align_down(start, PAGE_SIZE);
	end = align_up(end, PAGE_SIZE);
	if (ram.taken_count > 0 && ram.taken[ram.taken_count - 1].end.v == start) {
		ram.taken[ram.taken_count - 1].end = hpa(end);
		return;
	}
	ASSERT(ram.taken_count < TAKEN_MAX);
	ram.taken[ram.taken_count++] = (struct ram_range){ hpa(start), hpa(end) };
}

void ram_init(const struct boot_info *info, hpa_t image_start, hpa_t image_end, uint64_t limit)
{
	(void)ram_normalise(info->regions, info->region_count, limit, &ram.map);
	ram.taken_count = 0;
	take(0, FIRST_ADDRESS);
	take(image_start.v, image_end.v);
	for (unsigned int i = 0; i < info->module_count; i++) {
		if (info->modules[i].start.v < info->modules[i].end.v) {
			take(info->modules[i].start.v, info->modules[i].end.v);
		}
	}
	ram.cursor = FIRST_ADDRESS;
	ram.limit = 4 * GIB;
	ram.closed = false;
}

const struct ram_map *ram_map(void)
{
	return &ram.map;
}

bool ram_contains(hpa_t start, uint64_t size)
{
	for (unsigned int i = 0; i < ram.map.count; i++) {
		const struct ram_range *range = &ram.map.ranges[i];

		if (start.v >= range->start.v && range_fits(start.v, size, range->end.v)) {
			return true;
		}
	}
	return false;
}

/* The lowest place in `range`, from `at` on, that is aligned and not taken; false if none. */
static bool place_find(const struct ram_range *range, uint64_t *at, uint64_t size, uint64_t align)
{
	uint64_t end = MIN(range->end.v, ram.limit);
	uint64_t place = align_up(MAX(*at, range->start.v), align);

	unsigned int i = 0;

	while (i < ram.taken_count && range_fits(place, size, end)) {
		if (ranges_overlap(place, place + size, ram.taken[i].start.v, ram.taken[i].end.v)) {
			place = align_up(ram.taken[i].end.v, align);
			i = 0; /* the list is not sorted: look at all of it again */
		} else {
			i++;
		}
	}
	*at = place;
	return range_fits(place, size, end);
}

hpa_t ram_alloc(size_t page_count, uint64_t align)
{
	uint64_t size = page_count * PAGE_SIZE;
	uint64_t place = ram.cursor;

	ASSERT(!ram.closed);
	for (unsigned int i = 0; i < ram.map.count; i++) {
		if (place_find(&ram.map.ranges[i], &place, size, MAX(align, PAGE_SIZE))) {
			take(place, place + size);
			ram.cursor = place + size;
			memset(hpa_to_ptr(hpa(place)), 0, size);
			return hpa(place);
		}
		place = ram.cursor;
	}
	panic("no %zu contiguous pages of RAM are left at boot", page_count);
}

void ram_set_limit(uint64_t limit)
{
	ram.limit = limit;
}

bool ram_is_closed(void)
{
	return ram.closed;
}

void ram_close(void)
{
	ram.closed = true;
}

unsigned int ram_taken(const struct ram_range **ranges)
{
	*ranges = ram.taken;
	return ram.taken_count;
}
