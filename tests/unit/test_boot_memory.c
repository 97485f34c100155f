/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: arch/x86/ram.c boot/options.c lib/string_util.c lib/printf.c tests/unit/harness.c */
/*
 * Boot-time memory: the firmware's map made into ranges (against a plain bitmap of pages,
 * for random maps), the allocator that only goes up, and the words of the command line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/x86/ram.h"
#include "boot/options.h"
#include "lib/string.h"
#include "tests/unit/harness.h"

#define NO_LIMIT (UINT64_C(1) << 52)

static struct ram_map map;

static struct boot_region region(uint64_t start, uint64_t end, enum boot_region_type type)
{
	return (struct boot_region){ hpa(start), hpa(end), type };
}

static void expect(const struct ram_map *found, const uint64_t *pairs, unsigned int count)
{
	assert_int_equal(found->count, count);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(found->ranges[i].start.v, pairs[2 * i]);
		assert_int_equal(found->ranges[i].end.v, pairs[2 * i + 1]);
	}
}

static void test_normalise(void **state)
{
	const struct boot_region regions[] = {
		region(0x100000, 0x8000800, BOOT_REGION_AVAILABLE),
		region(0, 0x9fc00, BOOT_REGION_AVAILABLE),
		region(0x8001000, 0x9000000, BOOT_REGION_AVAILABLE),
		region(0x9000000, 0x9100000, BOOT_REGION_AVAILABLE), /* touches: merged */
		region(0x2000001, 0x2000fff, BOOT_REGION_RESERVED),  /* rounded outwards */
		region(0x90ff000, 0xa000000, BOOT_REGION_ACPI_RECLAIMABLE),
		region(0x5000010, 0x5000020, BOOT_REGION_AVAILABLE), /* inside another */
		region(0xb000010, 0xb000fff, BOOT_REGION_AVAILABLE), /* less than a page */
	};
	const uint64_t wanted[] = { 0,	       0x9f000,	  0x100000,  0x2000000,
				    0x2001000, 0x8000000, 0x8001000, 0x90ff000 };

	(void)state;
	assert_true(ram_normalise(regions, ARRAY_COUNT(regions), NO_LIMIT, &map));
	expect(&map, wanted, 4);
}

static void test_normalise_limit(void **state)
{
	const struct boot_region regions[] = {
		region(0x1000, 0x5000, BOOT_REGION_AVAILABLE),
		region(0x8000, 0x9000, BOOT_REGION_AVAILABLE),
		region(0x2800, UINT64_MAX, BOOT_REGION_BAD),
	};
	const uint64_t wanted[] = { 0x1000, 0x2000 };

	(void)state;
	assert_true(ram_normalise(regions, 2, 0x3fff, &map));
	assert_int_equal(map.count, 1);
	assert_int_equal(map.ranges[0].end.v, 0x3000);
	assert_true(ram_normalise(regions, 3, NO_LIMIT, &map));
	expect(&map, wanted, 1);
}

static void test_normalise_full(void **state)
{
	struct boot_region regions[RAM_RANGES_MAX + 2];

	(void)state;
	for (unsigned int i = 0; i < RAM_RANGES_MAX + 1; i++) {
		/* From the top down: the highest falls off. */
		uint64_t start = (RAM_RANGES_MAX - i) * UINT64_C(0x4000);

		regions[i] = region(start, start + 0x3000, BOOT_REGION_AVAILABLE);
	}
	assert_false(ram_normalise(regions, RAM_RANGES_MAX + 1, NO_LIMIT, &map));
	assert_int_equal(map.count, RAM_RANGES_MAX);
	assert_int_equal(map.ranges[0].start.v, 0);
	assert_int_equal(map.ranges[RAM_RANGES_MAX - 1].start.v, (RAM_RANGES_MAX - 1) * 0x4000);
	/* A split in a full list drops the highest as well. */
	regions[RAM_RANGES_MAX + 1] = region(0x1000, 0x2000, BOOT_REGION_RESERVED);
	assert_false(ram_normalise(regions, RAM_RANGES_MAX + 2, NO_LIMIT, &map));
	assert_int_equal(map.count, RAM_RANGES_MAX);
	assert_int_equal(map.ranges[0].end.v, 0x1000);
	assert_int_equal(map.ranges[1].start.v, 0x2000);
}

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % limit;
}

/* Against a byte per page, computed in the plain way. */
static void test_normalise_random(void **state)
{
	enum { PAGES = 128, REGIONS = 24 };

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		struct boot_region regions[REGIONS];
		bool ram[PAGES + 1] = { false };
		bool found[PAGES + 1] = { false };

		for (unsigned int i = 0; i < REGIONS; i++) {
			uint64_t start = random_below(PAGES * 4) * UINT64_C(1024);
			uint64_t end = start + random_below(30000);

			regions[i] = region(start, MIN(end, PAGES * PAGE_SIZE),
					    random_below(2) ? BOOT_REGION_AVAILABLE
							    : BOOT_REGION_RESERVED);
			regions[i].end = hpa(MAX(regions[i].end.v, start));
		}
		for (uint64_t p = 0; p < PAGES; p++) {
			for (unsigned int i = 0; i < REGIONS; i++) {
				ram[p] |= regions[i].type == BOOT_REGION_AVAILABLE &&
					  regions[i].start.v <= p * PAGE_SIZE &&
					  (p + 1) * PAGE_SIZE <= regions[i].end.v;
			}
			for (unsigned int i = 0; i < REGIONS; i++) {
				ram[p] &= regions[i].type == BOOT_REGION_AVAILABLE ||
					  regions[i].start.v == regions[i].end.v ||
					  !ranges_overlap(p * PAGE_SIZE, (p + 1) * PAGE_SIZE,
							  regions[i].start.v, regions[i].end.v);
			}
		}
		assert_true(ram_normalise(regions, REGIONS, NO_LIMIT, &map));
		for (unsigned int i = 0; i < map.count; i++) {
			assert_true(map.ranges[i].start.v < map.ranges[i].end.v);
			assert_true(i == 0 || map.ranges[i - 1].end.v < map.ranges[i].start.v);
			for (uint64_t p = map.ranges[i].start.v >> PAGE_SHIFT;
			     p < map.ranges[i].end.v >> PAGE_SHIFT; p++) {
				found[p] = true;
			}
		}
		/* A page counts when one available region covers it whole, and nothing else
		 * touches it. */
		assert_memory_equal(ram, found, sizeof(ram));
	}
}

static void test_alloc(void **state)
{
	static struct boot_info info;
	void *arena = test_arena(16 * MIB);
	const struct ram_range *taken;
	unsigned int count;

	(void)state;
	memset(&info, 0, sizeof(info));
	info.regions[0] = region(0, 0xa0000, BOOT_REGION_AVAILABLE);
	info.regions[1] = region(0x100000, 0x800000, BOOT_REGION_AVAILABLE);
	info.regions[2] = region(0x900000, 0x1000000, BOOT_REGION_AVAILABLE);
	info.region_count = 3;
	info.modules[0] = (struct boot_module){ hpa(0x102000), hpa(0x102001), "m" };
	info.modules[1] = (struct boot_module){ hpa(0x400000), hpa(0x7ff800), "big" };
	info.modules[2] = (struct boot_module){ hpa(0x900000), hpa(0x900000), "empty" };
	info.module_count = 3;
	memset(arena, 0xaa, 16 * MIB);
	ram_init(&info, hpa(0x200000), hpa(0x300000), NO_LIMIT);

	assert_int_equal(ram_alloc(2, PAGE_SIZE).v, 0x100000); /* above the first MiB */
	assert_int_equal(((uint8_t *)arena)[0x101fff], 0);     /* zeroed */
	assert_int_equal(((uint8_t *)arena)[0x102000], 0xaa);  /* and not beyond */
	assert_int_equal(ram_alloc(1, PAGE_SIZE).v, 0x103000); /* past the module */
	assert_int_equal(ram_alloc(1, 0x10000).v, 0x110000);
	assert_int_equal(ram_alloc(0x100, PAGE_SIZE).v, 0x300000); /* past the image */
	assert_int_equal(ram_alloc(2, PAGE_SIZE).v, 0x900000); /* one page is free before that */
	assert_true(ram_contains(hpa(0x7ff000), 0x1000));
	assert_false(ram_contains(hpa(0x7ff000), 0x1001));
	assert_false(ram_contains(hpa(0xa0000), 1));
	assert_false(ram_contains(hpa(UINT64_MAX), 2));

	ram_close();
	count = ram_taken(&taken);
	for (unsigned int i = 0; i < count; i++) {
		assert_true(is_aligned(taken[i].start.v | taken[i].end.v, PAGE_SIZE));
		for (unsigned int j = 0; j < i; j++) {
			assert_false(ranges_overlap(taken[i].start.v, taken[i].end.v,
						    taken[j].start.v, taken[j].end.v));
		}
	}
	assert_int_equal(taken[0].start.v, 0);
	assert_int_equal(taken[0].end.v, 0x100000);
	assert_int_equal(taken[count - 1].end.v, 0x902000);
	free(arena);
}

static void test_alloc_limit(void **state)
{
	static struct boot_info info;
	void *arena = test_arena(16 * MIB);

	(void)state;
	memset(&info, 0, sizeof(info));
	info.regions[0] = region(0x100000, 0x102000, BOOT_REGION_AVAILABLE);
	info.regions[1] = region(0x400000, 0x800000, BOOT_REGION_AVAILABLE);
	info.region_count = 2;
	ram_init(&info, hpa(0x200000), hpa(0x200000), NO_LIMIT);
	ram_set_limit(0x401000);
	assert_int_equal(ram_alloc(1, PAGE_SIZE).v, 0x100000);
	assert_int_equal(ram_alloc(1, PAGE_SIZE).v, 0x101000);
	assert_int_equal(ram_alloc(1, PAGE_SIZE).v, 0x400000);
	ram_set_limit(UINT64_MAX);
	assert_int_equal(ram_alloc(1, PAGE_SIZE).v, 0x401000);
	free(arena);
}

static void test_options(void **state)
{
	char value[8];

	(void)state;
	assert_true(option_value("console=com2", "console", value, sizeof(value)));
	assert_string_equal(value, "com2");
	assert_true(option_value("/boot/x  a=1 aa=2 a=3 b=", "a", value, sizeof(value)));
	assert_string_equal(value, "3");
	assert_true(option_value("a=1 b=", "b", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_true(option_value("a=b=c", "a", value, sizeof(value)));
	assert_string_equal(value, "b=c");
	assert_false(option_value("", "a", value, sizeof(value)));
	assert_false(option_value("a", "a", value, sizeof(value)));
	assert_false(option_value("ba=1", "a", value, sizeof(value)));
	assert_true(option_value("a=1234567", "a", value, sizeof(value)));
	assert_false(option_value("a=12345678", "a", value, sizeof(value)));
	assert_string_equal(value, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalise),      cmocka_unit_test(test_normalise_limit),
		cmocka_unit_test(test_normalise_full), cmocka_unit_test(test_normalise_random),
		cmocka_unit_test(test_alloc),	       cmocka_unit_test(test_alloc_limit),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
