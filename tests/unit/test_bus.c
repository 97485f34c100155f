/* SPDX-License-Identifier: BSD-2-Clause */
/* The decoder: who claims what, what nobody claims, errors of registration. */
/* sources: hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

struct recorder {
	uint64_t offset;
	unsigned int size;
	uint64_t value;
	unsigned int calls;
};

static void record_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct recorder *recorder = device;

	recorder->offset = offset;
	recorder->size = size;
	recorder->calls++;
	*value = recorder->value + offset;
}

static void record_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct recorder *recorder = device;

	recorder->offset = offset;
	recorder->size = size;
	recorder->calls++;
	recorder->value = recorder->value << 8 | value;
}

static int add(struct bus *bus, uint64_t start, uint64_t end, struct recorder *device, bool bytes)
{
	const struct bus_range range = {
		start, end, record_read, record_write, device, "x", bytes
	};

	return bus_add(bus, &range);
}

static void finds_each_of_many(void **state)
{
	struct recorder devices[BUS_RANGES_MAX] = { 0 };
	struct bus bus;
	uint64_t value;

	(void)state;
	bus_init(&bus);
	/* Out of order, with gaps. */
	for (unsigned int i = 0; i < BUS_RANGES_MAX; i++) {
		unsigned int n = i * 13 % BUS_RANGES_MAX;

		devices[n].value = n * 100;
		assert_int_equal(add(&bus, n * 16, n * 16 + 8, &devices[n], false), 0);
	}
	assert_int_equal(add(&bus, 0x10000, 0x10001, &devices[0], false), -ENOSPC);
	for (unsigned int n = 0; n < BUS_RANGES_MAX; n++) {
		bus_read(&bus, n * 16 + 4, 4, &value);
		assert_int_equal(value, n * 100 + 4);
		assert_int_equal(devices[n].size, 4);
		bus_read(&bus, n * 16 + 8, 1, &value);
		assert_int_equal(value, 0xff);
		bus_read(&bus, n * 16, 1, &value);
		assert_int_equal(value, n * 100 % 256);
	}
	assert_int_equal(bus.unclaimed_reads, BUS_RANGES_MAX);
	assert_int_equal(bus.all, 3 * BUS_RANGES_MAX);
}

static void refuses_overlap_and_empty(void **state)
{
	struct recorder device = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(add(&bus, 0x100, 0x110, &device, false), 0);
	assert_int_equal(add(&bus, 0x10f, 0x111, &device, false), -EEXIST);
	assert_int_equal(add(&bus, 0xf0, 0x101, &device, false), -EEXIST);
	assert_int_equal(add(&bus, 0x104, 0x105, &device, false), -EEXIST);
	assert_int_equal(add(&bus, 0xf0, 0x200, &device, false), -EEXIST);
	assert_int_equal(add(&bus, 0x200, 0x200, &device, false), -EINVAL);
	assert_int_equal(add(&bus, 0xf0, 0x100, &device, false), 0);
	assert_int_equal(add(&bus, 0x110, 0x120, &device, false), 0);
	assert_int_equal(bus.count, 3);
}

static void unclaimed_is_all_ones_and_counted(void **state)
{
	struct recorder device = { 0 };
	struct bus bus;
	uint64_t value;

	(void)state;
	bus_init(&bus);
	bus_read(&bus, 0, 2, &value);
	assert_int_equal(value, 0xffff);
	assert_int_equal(add(&bus, 0x100, 0x104, &device, false), 0);
	bus_read(&bus, 0x102, 4, &value); /* crosses the end */
	assert_int_equal(value, 0xffffffff);
	bus_read(&bus, 0xfe, 4, &value); /* crosses the start */
	assert_int_equal(value, 0xffffffff);
	bus_read(&bus, UINT64_MAX, 8, &value);
	assert_true(value == UINT64_MAX);
	bus_write(&bus, 0x103, 2, 1);
	assert_int_equal(device.calls, 0);
	assert_int_equal(bus.unclaimed_reads, 4);
	assert_int_equal(bus.unclaimed_writes, 1);
	assert_int_equal(bus.last_unclaimed, 0x103);
}

static void eight_bit_devices_see_bytes(void **state)
{
	struct recorder device = { 0 };
	struct bus bus;
	uint64_t value;

	(void)state;
	bus_init(&bus);
	assert_int_equal(add(&bus, 0x100, 0x108, &device, true), 0);
	bus_write(&bus, 0x102, 4, 0x44332211);
	assert_int_equal(device.value, 0x11223344);
	assert_int_equal(device.size, 1);
	assert_int_equal(device.offset, 5);
	device.value = 0x10;
	bus_read(&bus, 0x100, 4, &value);
	assert_int_equal(value, 0x13121110);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_of_many),
		cmocka_unit_test(refuses_overlap_and_empty),
		cmocka_unit_test(unclaimed_is_all_ones_and_counted),
		cmocka_unit_test(eight_bit_devices_see_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
