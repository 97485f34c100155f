/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's RAM as boot knows it: the firmware's memory map made into sorted, disjoint,
 * page-aligned ranges, and an allocator that only goes up, for what is needed before the
 * frame table exists (page tables, stacks, the frame table itself).
 */
#ifndef ARCH_X86_RAM_H
#define ARCH_X86_RAM_H

#include "lib/boot_info.h"

#define RAM_RANGES_MAX 64

/* [start, end), page-aligned. */
struct ram_range {
	hpa_t start;
	hpa_t end;
};

struct ram_map {
	struct ram_range ranges[RAM_RANGES_MAX];
	unsigned int count;
};

/*
 * Available regions without what other types claim, merged, rounded inwards, cut at `limit`
 * (an address). Pure. False when there are more than RAM_RANGES_MAX (the highest are cut).
 */
bool ram_normalise(const struct boot_region *regions, unsigned int count, uint64_t limit,
		   struct ram_map *map);

/*
 * Remembers the map and what is taken: the image ([image_start, image_end)) and the modules.
 * `limit` is where physical addresses end (MAXPHYADDR).
 */
void ram_init(const struct boot_info *info, hpa_t image_start, hpa_t image_end, uint64_t limit);

const struct ram_map *ram_map(void);

/* True when all of [start, start + size) is RAM. */
bool ram_contains(hpa_t start, uint64_t size);

/*
 * `page_count` zeroed contiguous pages at or above 1 MiB, aligned to a power of two, below
 * the limit of ram_set_limit(). Panics when there are none, or after ram_close().
 */
hpa_t ram_alloc(size_t page_count, uint64_t align);

/* Memory above is not given out (not mapped yet); 4 GiB at first. */
void ram_set_limit(uint64_t limit);

/* No more allocations: what was given out is now known, and goes to frames_reserve(). */
void ram_close(void);
bool ram_is_closed(void);

/*
 * What must not be given out as free RAM: image, modules, everything allocated, and the
 * first MiB. Whole pages. Valid after ram_close(); returns the number of ranges.
 */
unsigned int ram_taken(const struct ram_range **ranges);

#endif
