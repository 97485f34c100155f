/* SPDX-License-Identifier: BSD-2-Clause */
/* The MC146818 by its data sheet: calendar, formats, setting, flags, alarm, NVRAM. */
/* sources: hv/vdev/vrtc.c hv/vdev/vrtc_calendar.c hv/vdev/bus.c lib/mul_div.c */
#include <time.h>

#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vrtc.h"

static struct vdev_host host;
static struct vrtc rtc;

static void timer_due(void *device, enum vtimer timer)
{
	assert_int_equal(timer, VTIMER_RTC);
	vrtc_timer(device);
}

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vrtc_init(&rtc, &host, 512 * MIB);
	assert_int_equal(vrtc_attach(&rtc, &fake.ports), 0);
	return 0;
}

static uint8_t rd(uint8_t cell)
{
	out8(0x70, cell);
	return in8(0x71);
}

static void wr(uint8_t cell, uint8_t value)
{
	out8(0x70, cell);
	out8(0x71, value);
}

static void pass(uint64_t ticks)
{
	fake_pass(ticks, timer_due, &rtc);
}

/* Against the C library, over the range that the two-digit century can show. */
static void calendar(void **state)
{
	(void)state;
	for (uint64_t seconds = 0; seconds < UINT64_C(253402300800); seconds += 86400 * 11 + 4321) {
		time_t t = (time_t)seconds;
		struct tm tm;
		struct vrtc_time time;

		gmtime_r(&t, &tm);
		vrtc_time_from_seconds(seconds, &time);
		assert_int_equal(time.second, tm.tm_sec);
		assert_int_equal(time.minute, tm.tm_min);
		assert_int_equal(time.hour, tm.tm_hour);
		assert_int_equal(time.weekday, tm.tm_wday + 1);
		assert_int_equal(time.day, tm.tm_mday);
		assert_int_equal(time.month, tm.tm_mon + 1);
		assert_int_equal(time.year, tm.tm_year + 1900);
		assert_true(vrtc_time_to_seconds(&time) == seconds);
	}
}

/* Against a search second by second. */
static void alarm_search(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t after = fake_random() % 200000;
		unsigned int hour = i % 3 == 0 ? VRTC_ANY : (unsigned int)(fake_random() % 24);
		unsigned int minute = i % 5 < 2 ? VRTC_ANY : (unsigned int)(fake_random() % 60);
		unsigned int second = i % 7 < 3 ? VRTC_ANY : (unsigned int)(fake_random() % 60);
		uint64_t at = after + 1;

		while ((hour != VRTC_ANY && at / 3600 % 24 != hour) ||
		       (minute != VRTC_ANY && at / 60 % 60 != minute) ||
		       (second != VRTC_ANY && at % 60 != second)) {
			at++;
		}
		assert_true(vrtc_next_alarm(after, hour, minute, second) == at);
	}
	assert_true(vrtc_next_alarm(0, 24, 0, 0) == UINT64_MAX);
	assert_true(vrtc_next_alarm(0, 0, 60, 0) == UINT64_MAX);
	assert_true(vrtc_next_alarm(0, 0, 0, 60) == UINT64_MAX);
}

static void shows_the_wall_clock(void **state)
{
	(void)state;
	/* 2023-11-14 22:13:20, a Tuesday. */
	assert_int_equal(rd(0x00), 0x20);
	assert_int_equal(rd(0x02), 0x13);
	assert_int_equal(rd(0x04), 0x22);
	assert_int_equal(rd(0x06), 3);
	assert_int_equal(rd(0x07), 0x14);
	assert_int_equal(rd(0x08), 0x11);
	assert_int_equal(rd(0x09), 0x23);
	assert_int_equal(rd(0x32), 0x20);
	assert_int_equal(rd(0x0d), 0x80);
	wr(0x0b, 0x06); /* binary */
	assert_int_equal(rd(0x04), 22);
	assert_int_equal(rd(0x09), 23);
	assert_int_equal(rd(0x32), 0x20);
	wr(0x0b, 0x04); /* 12 hours */
	assert_int_equal(rd(0x04), 0x80 | 10);
	wr(0x0b, 0x00);
	assert_int_equal(rd(0x04), 0x90);
	pass(2 * 3600 * SECOND);
	assert_int_equal(rd(0x04), 0x12); /* just after midnight */
	assert_int_equal(rd(0x07), 0x15);
	assert_int_equal(rd(0x06), 4);
}

static void setting_the_time(void **state)
{
	(void)state;
	wr(0x0b, 0x82); /* SET: what is written is not disturbed */
	wr(0x00, 0x58);
	wr(0x02, 0x59);
	wr(0x04, 0x23);
	wr(0x07, 0x28);
	wr(0x08, 0x02);
	wr(0x09, 0x28);
	wr(0x32, 0x20);
	pass(5 * SECOND);
	assert_int_equal(rd(0x00), 0x58);
	wr(0x0b, 0x02);
	assert_int_equal(rd(0x00), 0x58);
	pass(2 * SECOND);
	assert_int_equal(rd(0x00), 0x00);
	assert_int_equal(rd(0x02), 0x00);
	assert_int_equal(rd(0x04), 0x00);
	assert_int_equal(rd(0x07), 0x29); /* 2028 is a leap year */
	assert_int_equal(rd(0x08), 0x02);
	assert_int_equal(rd(0x06), 3); /* a Tuesday */
	pass(86400 * SECOND);
	assert_int_equal(rd(0x07), 0x01);
	assert_int_equal(rd(0x08), 0x03);
	/* Without SET, one cell; 12-hour format. */
	wr(0x0b, 0x00);
	wr(0x04, 0x92); /* 12 PM is noon */
	wr(0x0b, 0x02);
	assert_int_equal(rd(0x04), 0x12);
	wr(0x0b, 0x00);
	wr(0x04, 0x12);
	wr(0x0b, 0x02);
	assert_int_equal(rd(0x04), 0x00);
}

static void update_flag(void **state)
{
	uint64_t set = 0;
	uint8_t last = 0;

	(void)state;
	assert_int_equal(rd(0x0a), 0x26);
	for (uint64_t t = 0; t < 2 * SECOND; t += 10 * US) {
		uint8_t a = rd(0x0a);

		set += (a & 0x80) != 0;
		/* It falls when the time changes, not before. */
		if ((last & 0x80) != 0 && (a & 0x80) == 0) {
			assert_true((fake.now % SECOND) < 20 * US);
		}
		last = a;
		fake.now += 10 * US;
	}
	/* 244 us before and 1984 us of update, twice. */
	assert_in_range(set, 2 * 200, 2 * 223);
	wr(0x0b, 0x82);
	for (uint64_t t = 0; t < SECOND; t += 100 * US) {
		assert_int_equal(rd(0x0a) & 0x80, 0);
		fake.now += 100 * US;
	}
}

static void periodic_interrupt(void **state)
{
	unsigned int count = 0;

	(void)state;
	(void)rd(0x0c);
	wr(0x0b, 0x42);
	for (unsigned int i = 0; i < 100000; i++) {
		pass(10 * US);
		if (fake.irq[8]) {
			assert_int_equal(rd(0x0c) & 0xc0, 0xc0);
			assert_false(fake.irq[8]);
			count++;
		}
	}
	assert_in_range(count, 1023, 1025);
	/* Nobody reads register C: no more edges and no more wake-ups. */
	fake.edges[8] = 0;
	fake.wakeups = 0;
	pass(SECOND);
	assert_int_equal(fake.edges[8], 1);
	assert_int_equal(fake.wakeups, 1);
	wr(0x0a, 0x23); /* 8192 Hz */
	count = 0;
	for (unsigned int i = 0; i < 100000; i++) {
		pass(10 * US);
		count += (rd(0x0c) & 0x80) != 0;
	}
	assert_in_range(count, 8191, 8193);
	wr(0x0a, 0x20); /* off */
	(void)rd(0x0c);
	pass(SECOND);
	assert_int_equal(rd(0x0c) & 0x40, 0);
}

static void update_ended_interrupt(void **state)
{
	(void)state;
	(void)rd(0x0c);
	wr(0x0b, 0x12);
	for (unsigned int i = 0; i < 10; i++) {
		pass(SECOND);
		assert_true(fake.irq[8]);
		assert_int_equal(rd(0x0c) & 0x90, 0x90);
	}
	assert_int_equal(fake.edges[8], 10);
	/* SET turns its enable off. */
	wr(0x0b, 0x92);
	assert_int_equal(rd(0x0b), 0x82);
	pass(10 * SECOND);
	assert_false(fake.irq[8]);
	/* Flags without enables: seen by polling, no line, no wake-up. */
	wr(0x0b, 0x02);
	(void)rd(0x0c);
	fake.wakeups = 0;
	pass(2 * SECOND);
	assert_int_equal(rd(0x0c) & 0x90, 0x10);
	assert_int_equal(fake.wakeups, 0);
}

static void alarm_interrupt(void **state)
{
	(void)state;
	wr(0x05, 0x22);
	wr(0x03, 0x14);
	wr(0x01, 0x05); /* in 45 s */
	(void)rd(0x0c);
	wr(0x0b, 0x22);
	pass(44 * SECOND);
	assert_false(fake.irq[8]);
	pass(SECOND);
	assert_true(fake.irq[8]);
	assert_int_equal(rd(0x00), 0x05);
	assert_int_equal(rd(0x0c) & 0xa0, 0xa0);
	pass(86000 * SECOND);
	assert_false(fake.irq[8]);
	pass(400 * SECOND);
	assert_true(fake.irq[8]); /* the next day */
	(void)rd(0x0c);
	wr(0x05, 0xc0);
	wr(0x03, 0xff); /* every minute */
	fake.edges[8] = 0;
	for (unsigned int i = 0; i < 600; i++) {
		pass(SECOND);
		(void)rd(0x0c);
	}
	assert_int_equal(fake.edges[8], 10);
	wr(0x01, 0x77); /* never */
	assert_true(fake.timers[VTIMER_RTC] == VTIMER_NEVER);
}

static void nvram(void **state)
{
	unsigned int sum = 0;

	(void)state;
	assert_int_equal(rd(0x15) | rd(0x16) << 8, 640);
	assert_int_equal(rd(0x17) | rd(0x18) << 8, 0xffff);
	assert_int_equal(rd(0x34) | rd(0x35) << 8, (512 - 16) * 16);
	assert_int_equal(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16, 0);
	for (uint8_t cell = 0x10; cell < 0x2e; cell++) {
		sum += rd(cell);
	}
	assert_int_equal(sum, rd(0x2e) << 8 | rd(0x2f));
	wr(0x40, 0xa5);
	wr(0x7f, 0x5a);
	assert_int_equal(rd(0x40), 0xa5);
	assert_int_equal(rd(0xff), 0x5a); /* bit 7 masks NMIs */
	assert_int_equal(in8(0x70), 0x7f);
	wr(0x0d, 0);
	assert_int_equal(rd(0x0d), 0x80);
	vrtc_init(&rtc, &host, 5 * GIB + 3 * MIB);
	assert_int_equal(rd(0x34) | rd(0x35) << 8, (3072 - 16) * 16);
	assert_int_equal(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16, (2048 + 3) * 16);
	vrtc_init(&rtc, &host, 8 * MIB);
	assert_int_equal(rd(0x30) | rd(0x31) << 8, 7 * 1024);
	assert_int_equal(rd(0x34) | rd(0x35) << 8, 0);
}

static void random_poking(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100000; i++) {
		wr((uint8_t)(fake_random() % 16), (uint8_t)fake_random());
		wr((uint8_t)(fake_random() % 64), (uint8_t)fake_random());
		(void)rd((uint8_t)fake_random());
		pass(fake_random() % (100 * MS));
	}
	wr(0x0a, 0x23);
	wr(0x0b, 0x72);
	fake_poke(0x70, 2, timer_due, &rtc);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calendar),
		TEST(alarm_search),
		TEST(shows_the_wall_clock),
		TEST(setting_the_time),
		TEST(update_flag),
		TEST(periodic_interrupt),
		TEST(update_ended_interrupt),
		TEST(alarm_interrupt),
		TEST(nvram),
		TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
