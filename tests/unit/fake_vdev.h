/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for one device under test: time that the test steps, lines, messages and requests
 * that it can look at afterwards. One tick of the partition's TSC is a nanosecond.
 */
#ifndef TESTS_UNIT_FAKE_VDEV_H
#define TESTS_UNIT_FAKE_VDEV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"
#include "lib/string.h"

#define FAKE_HZ UINT64_C(1000000000)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND FAKE_HZ
#define FAKE_WALL UINT64_C(1700000000) /* 2023-11-14 22:13:20 UTC, a Tuesday */
#define FAKE_OUTPUT_MAX 4096

struct fake {
	uint64_t now;
	uint64_t timers[VTIMER_COUNT];
	unsigned int wakeups;
	bool irq[24];
	unsigned int edges[24]; /* rising */
	bool intr;
	struct {
		unsigned int count;
		uint8_t destination;
		bool logical;
		uint8_t mode;
		uint8_t vector;
		bool level;
	} message;
	unsigned int eois;
	uint8_t eoi_vector;
	unsigned int power_offs;
	unsigned int resets;
	unsigned int debug_exits;
	uint32_t debug_status;
	uint8_t output[FAKE_OUTPUT_MAX];
	size_t output_count;
	struct bus ports;
	uint64_t random;
};

static struct fake fake;

static inline uint64_t fake_now(struct vdev_host *host)
{
	(void)host;
	return fake.now;
}

static inline void fake_set_timer(struct vdev_host *host, enum vtimer timer, uint64_t deadline)
{
	(void)host;
	fake.timers[timer] = deadline;
}

static inline void fake_set_irq(struct vdev_host *host, unsigned int gsi, bool level)
{
	(void)host;
	assert_in_range(gsi, 0, 23);
	fake.edges[gsi] += level && !fake.irq[gsi];
	fake.irq[gsi] = level;
}

static inline void fake_pic_output(struct vdev_host *host, bool level)
{
	(void)host;
	fake.intr = level;
}

static inline void fake_message(struct vdev_host *host, uint8_t destination, bool logical,
				uint8_t delivery_mode, uint8_t vector, bool level)
{
	(void)host;
	fake.message.count++;
	fake.message.destination = destination;
	fake.message.logical = logical;
	fake.message.mode = delivery_mode;
	fake.message.vector = vector;
	fake.message.level = level;
}

static inline void fake_eoi(struct vdev_host *host, uint8_t vector)
{
	(void)host;
	fake.eois++;
	fake.eoi_vector = vector;
}

static inline void fake_power_off(struct vdev_host *host)
{
	(void)host;
	fake.power_offs++;
}

static inline void fake_reset(struct vdev_host *host, const char *how)
{
	(void)host;
	assert_non_null(how);
	fake.resets++;
}

static inline void fake_debug_exit(struct vdev_host *host, uint32_t status)
{
	(void)host;
	fake.debug_exits++;
	fake.debug_status = status;
}

static inline void fake_serial_output(struct vdev_host *host, uint8_t byte)
{
	(void)host;
	fake.output[fake.output_count++ % FAKE_OUTPUT_MAX] = byte;
}

/* A fresh machine, a little after its start, and the host that a device is given. */
static inline struct vdev_host fake_start(void)
{
	memset(&fake, 0, sizeof(fake));
	bus_init(&fake.ports);
	fake.now = 12345;
	fake.random = 88172645463325252;
	for (unsigned int i = 0; i < VTIMER_COUNT; i++) {
		fake.timers[i] = VTIMER_NEVER;
	}
	return (struct vdev_host){
		.now = fake_now,
		.set_timer = fake_set_timer,
		.set_irq = fake_set_irq,
		.pic_output = fake_pic_output,
		.apic_message = fake_message,
		.apic_eoi = fake_eoi,
		.power_off = fake_power_off,
		.reset = fake_reset,
		.debug_exit = fake_debug_exit,
		.serial_output = fake_serial_output,
		.tsc_hz = FAKE_HZ,
		.wall_seconds = FAKE_WALL,
	};
}

typedef void fake_timer_fn(void *device, enum vtimer timer);

/* Lets `ticks` pass; `handler` is called at each deadline on the way. */
static inline void fake_pass(uint64_t ticks, fake_timer_fn *handler, void *device)
{
	uint64_t end = fake.now + ticks;
	unsigned int in_a_row = 0;

	for (;;) {
		unsigned int first = 0;

		for (unsigned int i = 1; i < VTIMER_COUNT; i++) {
			first = fake.timers[i] < fake.timers[first] ? i : first;
		}
		if (fake.timers[first] > end) {
			break;
		}
		/* Each device may ask for the same instant once, none for ever. */
		in_a_row = fake.timers[first] > fake.now ? 0 : in_a_row + 1;
		assert_true(in_a_row <= 2 * VTIMER_COUNT);
		fake.now = MAX(fake.now, fake.timers[first]);
		fake.timers[first] = VTIMER_NEVER;
		fake.wakeups++;
		handler(device, (enum vtimer)first);
	}
	fake.now = end;
}

static inline uint8_t in8(uint16_t port)
{
	uint64_t value;

	bus_read(&fake.ports, port, 1, &value);
	return (uint8_t)value;
}

static inline void out8(uint16_t port, uint8_t value)
{
	bus_write(&fake.ports, port, 1, value);
}

/* xorshift64: repeatable. */
static inline uint64_t fake_random(void)
{
	fake.random ^= fake.random << 13;
	fake.random ^= fake.random >> 7;
	fake.random ^= fake.random << 17;
	return fake.random;
}

/* Random port accesses of a hostile guest, with time passing, in [first, first + count). */
static inline void fake_poke(uint16_t first, unsigned int count, fake_timer_fn *handler,
			     void *device)
{
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t r = fake_random();
		uint16_t port = (uint16_t)(first + (r & 0xffff) % count);
		unsigned int size = 1U << ((r >> 16) % 3);
		uint64_t value;

		if ((r >> 20) % 2 != 0) {
			bus_write(&fake.ports, port, size, r >> 32);
		} else {
			bus_read(&fake.ports, port, size, &value);
			assert_true(value <= BITS(size * 8 - 1, 0));
		}
		fake_pass((r >> 24) % (100 * US), handler, device);
	}
	/* However it was programmed: no storm. */
	fake.wakeups = 0;
	fake_pass(SECOND, handler, device);
	assert_true(fake.wakeups <= 3 * VDEV_WAKEUPS_MAX_HZ);
}

#endif
