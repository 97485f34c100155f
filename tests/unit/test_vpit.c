/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 by its data sheet, and the loops by which systems calibrate against it. */
/* sources: hv/vdev/vpit.c hv/vdev/vpit_channel.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vpit.h"

static struct vdev_host host;
static struct vpit pit;

static void timer_due(void *device, enum vtimer timer)
{
	assert_int_equal(timer, VTIMER_PIT);
	vpit_timer(device);
}

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vpit_init(&pit, &host);
	assert_int_equal(vpit_attach(&pit, &fake.ports), 0);
	return 0;
}

/* To the middle of the tick `count` ticks further, so that rounding does not matter. */
static void pass_ticks(uint64_t count)
{
	uint64_t tick = vdev_ticks(&host, fake.now, VPIT_HZ) + count;

	fake_pass((tick * 2 + 1) * FAKE_HZ / (2 * VPIT_HZ) - fake.now, timer_due, &pit);
}

static void program(unsigned int channel, unsigned int mode, uint16_t count)
{
	out8(0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	out8((uint16_t)(0x40 + channel), (uint8_t)count);
	out8((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static unsigned int latched(unsigned int channel)
{
	unsigned int low;

	out8(0x43, (uint8_t)(channel << 6));
	low = in8((uint16_t)(0x40 + channel));
	return low | (unsigned int)in8((uint16_t)(0x40 + channel)) << 8;
}

static bool out2(void)
{
	return (in8(0x61) & 0x20) != 0;
}

static unsigned int status(unsigned int channel)
{
	out8(0x43, (uint8_t)(0xe0 | 2U << channel));
	return in8((uint16_t)(0x40 + channel));
}

static void interrupt_on_terminal_count(void **state)
{
	(void)state;
	pass_ticks(1);
	program(0, 0, 1000);
	assert_false(fake.irq[0]);
	pass_ticks(400);
	assert_int_equal(latched(0), 600);
	pass_ticks(599);
	assert_false(fake.irq[0]);
	assert_int_equal(latched(0), 1);
	pass_ticks(1);
	assert_true(fake.irq[0]);
	assert_int_equal(latched(0), 0);
	pass_ticks(1);
	assert_int_equal(latched(0), 0xffff); /* counts on */
	fake_pass(SECOND, timer_due, &pit);
	assert_int_equal(fake.edges[0], 1);
	out8(0x40, 0x10); /* the first byte stops and pulls OUT low */
	assert_false(fake.irq[0]);
	fake_pass(SECOND, timer_due, &pit);
	assert_false(fake.irq[0]);
	out8(0x40, 0);
	pass_ticks(0x10);
	assert_int_equal(fake.edges[0], 2);
}

static void rate_generator(void **state)
{
	(void)state;
	program(0, 2, 11932); /* Linux at 100 Hz */
	fake.edges[0] = 0;
	fake_pass(10 * SECOND, timer_due, &pit);
	assert_in_range(fake.edges[0], 999, 1000);
	assert_in_range(latched(0), 1, 11932);
	/* A new count waits for the end of the period. */
	setup(state);
	pass_ticks(1);
	program(0, 2, 1000);
	fake.edges[0] = 0;
	pass_ticks(100);
	out8(0x40, 100);
	out8(0x40, 0);
	assert_int_equal(latched(0), 900);
	assert_int_equal(status(0) & 0x40, 0x40);
	pass_ticks(899);
	assert_int_equal(fake.edges[0], 0);
	pass_ticks(1);
	assert_int_equal(fake.edges[0], 1);
	assert_int_equal(latched(0), 100);
	assert_int_equal(status(0) & 0x40, 0);
	pass_ticks(30);
	assert_int_equal(latched(0), 70);
	pass_ticks(70);
	assert_int_equal(fake.edges[0], 2);
}

static void maximum_count(void **state)
{
	(void)state;
	program(0, 2, 0); /* 65536: 18.2 Hz */
	fake.edges[0] = 0;
	fake_pass(10 * SECOND, timer_due, &pit);
	assert_in_range(fake.edges[0], 181, 183);
}

static void square_wave(void **state)
{
	(void)state;
	out8(0x61, 1);
	pass_ticks(1);
	program(2, 3, 7); /* odd: 4 high, 3 low */
	for (unsigned int tick = 0; tick < 70; tick++) {
		assert_int_equal(out2(), tick % 7 < 4);
		assert_int_equal(latched(2) % 2, 0);
		pass_ticks(1);
	}
	program(0, 3, 1193);
	fake.edges[0] = 0;
	fake_pass(SECOND, timer_due, &pit);
	assert_in_range(fake.edges[0], 999, 1001);
}

static void gate_of_channel_2(void **state)
{
	(void)state;
	/* Mode 0: the gate suspends. */
	out8(0x61, 0);
	pass_ticks(1);
	program(2, 0, 500);
	pass_ticks(1000);
	assert_false(out2());
	assert_int_equal(latched(2), 500);
	out8(0x61, 1);
	pass_ticks(200);
	out8(0x61, 0);
	pass_ticks(1000);
	assert_int_equal(latched(2), 300);
	out8(0x61, 1);
	pass_ticks(299);
	assert_false(out2());
	pass_ticks(1);
	assert_true(out2());
	/* Mode 2: off, OUT is high; the rising edge reloads. */
	program(2, 2, 100);
	pass_ticks(99);
	assert_false(out2());
	out8(0x61, 0);
	assert_true(out2());
	out8(0x61, 1);
	assert_int_equal(latched(2), 100);
	/* Mode 1: triggered by the rising edge, again and again. */
	program(2, 1, 50);
	pass_ticks(100);
	assert_true(out2());
	out8(0x61, 0);
	out8(0x61, 1);
	assert_false(out2());
	pass_ticks(40);
	out8(0x61, 0);
	assert_false(out2());
	out8(0x61, 1);
	pass_ticks(40);
	assert_false(out2());
	pass_ticks(10);
	assert_true(out2());
	/* Mode 5: a strobe when the triggered count ends; mode 4: started by the write. */
	program(2, 5, 20);
	pass_ticks(100);
	out8(0x61, 0);
	out8(0x61, 1);
	pass_ticks(19);
	assert_true(out2());
	pass_ticks(1);
	assert_false(out2());
	pass_ticks(1);
	assert_true(out2());
	program(2, 4, 20);
	pass_ticks(20);
	assert_false(out2());
	pass_ticks(1);
	assert_true(out2());
}

static void bytes_latches_and_status(void **state)
{
	(void)state;
	pass_ticks(1);
	program(0, 2, 0x1234);
	out8(0x43, 0x00);
	out8(0x43, 0x00); /* the second latch is ignored */
	pass_ticks(0x34);
	assert_int_equal(in8(0x40), 0x34);
	assert_int_equal(in8(0x40), 0x12);
	assert_int_equal(in8(0x40), 0x00); /* live again */
	assert_int_equal(in8(0x40), 0x12);
	/* Read-back of status and count together: status first. */
	out8(0x43, 0xc2);
	assert_int_equal(in8(0x40), 0xb4); /* OUT, both bytes, mode 2 */
	assert_int_equal(in8(0x40), 0x00);
	assert_int_equal(in8(0x40), 0x12);
	out8(0x43, 0x10 | 2 << 1); /* low byte only */
	assert_int_equal(status(0), 0xd4);
	out8(0x40, 0x80);
	assert_int_equal(in8(0x40), 0x80);
	assert_int_equal(in8(0x40), 0x80);
	out8(0x43, 0x20 | 2 << 1); /* high byte only */
	out8(0x40, 0x80);
	assert_int_equal(in8(0x40), 0x80);
	assert_int_equal(status(0), 0xa4);
	out8(0x43, 0x3c); /* mode 6 is mode 2 */
	assert_int_equal(status(0) & 0x3f, 0x34);
	assert_int_equal(in8(0x43), 0xff);
}

static void bcd(void **state)
{
	(void)state;
	pass_ticks(1);
	out8(0x43, 0x35);
	out8(0x40, 0x50);
	out8(0x40, 0x12); /* 1250 */
	pass_ticks(251);
	assert_int_equal(latched(0), 0x0999);
	out8(0x43, 0x31); /* mode 0, 0 is 10000 */
	out8(0x40, 0);
	out8(0x40, 0);
	pass_ticks(1);
	assert_int_equal(latched(0), 0x9999);
	assert_false(fake.irq[0]);
	pass_ticks(9999);
	assert_true(fake.irq[0]);
	pass_ticks(1);
	assert_int_equal(latched(0), 0x9999);
}

/* pit_calibrate_tsc() style: channel 2 in mode 0 over 50 ms, watching OUT2. */
static void calibration_by_out2(void **state)
{
	uint16_t latch = (uint16_t)(VPIT_HZ / 20);
	uint64_t start;

	(void)state;
	out8(0x61, (uint8_t)((in8(0x61) & ~2) | 1));
	out8(0x43, 0xb0);
	out8(0x42, (uint8_t)latch);
	out8(0x42, (uint8_t)(latch >> 8));
	start = fake.now;
	while (!out2()) {
		assert_true(fake.now - start < SECOND);
		fake.now += 700; /* an exit */
	}
	/* 50 ms within 20 ppm. */
	assert_in_range(fake.now - start, 50 * MS - 2 * US, 50 * MS + 2 * US);
}

/* quick_pit_calibrate() style: unlatched reads, waiting for each change of the high byte. */
static void calibration_by_high_byte(void **state)
{
	uint64_t start = 0;

	(void)state;
	out8(0x61, 1);
	out8(0x43, 0xb0);
	out8(0x42, 0xff);
	out8(0x42, 0xff);
	for (unsigned int expected = 0xff; expected > 0x80; expected--) {
		unsigned int reads = 0;

		for (;;) {
			unsigned int high;

			(void)in8(0x42);
			fake.now += 300;
			high = in8(0x42);
			fake.now += 300;
			if (high != expected) {
				assert_int_equal(high, expected - 1);
				break;
			}
			reads++;
		}
		assert_true(reads > 50);
		if (expected == 0xff) {
			start = fake.now;
		}
	}
	/* 126 changes of 256 ticks. */
	assert_in_range(fake.now - start, 126 * 256 * FAKE_HZ / VPIT_HZ - 2 * US,
			126 * 256 * FAKE_HZ / VPIT_HZ + 2 * US);
}

static void port_61(void **state)
{
	unsigned int toggles = 0;
	uint8_t last;

	(void)state;
	out8(0x61, 0xff);
	assert_int_equal(in8(0x61) & 0xcf, 0x0f);
	out8(0x61, 0x02);
	assert_int_equal(in8(0x61) & 0x0f, 0x02);
	last = in8(0x61);
	for (unsigned int i = 0; i < 1000; i++) {
		fake.now += US;
		toggles += ((in8(0x61) ^ last) & 0x10) != 0;
		last = in8(0x61);
	}
	assert_in_range(toggles, 65, 67); /* every 15.09 us */
}

static void missed_edges_coalesce(void **state)
{
	(void)state;
	program(0, 2, 1193);
	fake.edges[0] = 0;
	fake.now += 3600 * SECOND;
	vpit_timer(&pit);
	vpit_timer(&pit);
	assert_int_equal(fake.edges[0], 1);
	fake_pass(10 * MS, timer_due, &pit);
	assert_in_range(fake.edges[0], 10, 12);
	program(0, 2, 1); /* hostile */
	fake.wakeups = 0;
	fake_pass(SECOND, timer_due, &pit);
	assert_in_range(fake.wakeups, 1000, VDEV_WAKEUPS_MAX_HZ + 1);
}

static void random_poking(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		fake_poke(0x40, 0x22, timer_due, &pit);
		fake_poke(0x40, 4, timer_due, &pit);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(interrupt_on_terminal_count),
		TEST(rate_generator),
		TEST(maximum_count),
		TEST(square_wave),
		TEST(gate_of_channel_2),
		TEST(bytes_latches_and_status),
		TEST(bcd),
		TEST(calibration_by_out2),
		TEST(calibration_by_high_byte),
		TEST(port_61),
		TEST(missed_edges_coalesce),
		TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
