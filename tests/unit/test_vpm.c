/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware, and the odd ports of the board: resets, i8042, POST, debug exit. */
/* sources: hv/vdev/vpm.c hv/vdev/vboard.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vboard.h"
#include "hv/vdev/vpm.h"

#define S5 (5 << 10)
#define SLP_EN BIT(13)

static struct vdev_host host;
static struct vpm pm;
static struct vboard board;

static void timer_due(void *device, enum vtimer timer)
{
	assert_int_equal(timer, VTIMER_PM);
	vpm_timer(device);
}

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vpm_init(&pm, &host);
	vboard_init(&board, &host);
	assert_int_equal(vpm_attach(&pm, &fake.ports), 0);
	assert_int_equal(vboard_attach(&board, &fake.ports, true), 0);
	return 0;
}

static uint32_t in(uint16_t port, unsigned int size)
{
	uint64_t value;

	bus_read(&fake.ports, port, size, &value);
	return (uint32_t)value;
}

static void out(uint16_t port, unsigned int size, uint64_t value)
{
	bus_write(&fake.ports, port, size, value);
}

static void power_off(void **state)
{
	(void)state;
	assert_int_equal(in(0x604, 2), 1); /* SCI_EN: always in ACPI mode */
	out(0x604, 2, S5);
	assert_int_equal(fake.power_offs, 0);
	assert_int_equal(in(0x604, 2), S5 | 1);
	out(0x604, 2, SLP_EN | 4 << 10);
	assert_int_equal(fake.power_offs, 0);
	out(0x604, 2, SLP_EN | S5 | 1);
	assert_int_equal(fake.power_offs, 1);
	assert_int_equal(in(0x604, 2), S5 | 1); /* SLP_EN is write-only */
	out(0x605, 1, (SLP_EN | S5) >> 8);
	assert_int_equal(fake.power_offs, 2);
	out(0x604, 4, SLP_EN | S5);
	assert_int_equal(fake.power_offs, 3);
	out(0x604, 1, 0xff);
	assert_int_equal(fake.power_offs, 3);
}

static void pm_timer(void **state)
{
	uint32_t before = in(0x608, 4);
	uint32_t whole;

	(void)state;
	fake.now += 100 * MS;
	assert_in_range(in(0x608, 4) - before, 357953, 357956);
	fake.now = (UINT64_C(3) << 32) * FAKE_HZ / VPM_TIMER_HZ; /* has wrapped */
	whole = in(0x608, 4);
	assert_true(whole < 2 || whole == UINT32_MAX);
	fake.now += SECOND;
	whole = in(0x608, 4);
	assert_in_range(whole, 3579543, 3579547);
	assert_int_equal(in(0x608, 2), whole & 0xffff);
	assert_int_equal(in(0x60a, 2), whole >> 16);
	assert_int_equal(in(0x609, 1), whole >> 8 & 0xff);
	out(0x608, 4, 0);
	assert_int_equal(in(0x608, 4), whole);
}

static void timer_status_and_sci(void **state)
{
	const uint64_t half = (UINT64_C(1) << 31) * FAKE_HZ / VPM_TIMER_HZ; /* 600 s */

	(void)state;
	assert_int_equal(in(0x600, 2), 0);
	fake_pass(half, timer_due, &pm);
	assert_int_equal(in(0x600, 4), 1); /* status without enable: no SCI, no wake-up */
	assert_false(fake.irq[9]);
	assert_int_equal(fake.wakeups, 0);
	out(0x602, 2, 0xffff);
	assert_int_equal(in(0x602, 2), 0x0721);
	assert_true(fake.irq[9]);
	out(0x600, 2, 0xfffe);
	assert_true(fake.irq[9]);
	out(0x600, 1, 0x01);
	assert_false(fake.irq[9]);
	assert_int_equal(in(0x600, 2), 0);
	fake_pass(half - SECOND, timer_due, &pm);
	assert_false(fake.irq[9]);
	fake_pass(2 * SECOND, timer_due, &pm);
	assert_true(fake.irq[9]);
	assert_int_equal(fake.wakeups, 1);
	out(0x602, 2, 0);
	assert_false(fake.irq[9]);
	assert_true(fake.timers[VTIMER_PM] == VTIMER_NEVER);
}

static void resets(void **state)
{
	(void)state;
	out8(0xcf9, 0x02);
	assert_int_equal(fake.resets, 0);
	assert_int_equal(in8(0xcf9), 0x02);
	out8(0xcf9, 0x06);
	assert_int_equal(fake.resets, 1);
	out8(0xcf9, 0x0e);
	assert_int_equal(fake.resets, 2);
	out(0xcf8, 4, 0x80000600); /* PCI configuration address: not ours */
	assert_int_equal(fake.resets, 2);
	assert_int_equal(in8(0x92), 0x02);
	out8(0x92, 0x02);
	assert_int_equal(fake.resets, 2);
	out8(0x92, 0x03);
	assert_int_equal(fake.resets, 3);
	out8(0x64, 0xfe);
	assert_int_equal(fake.resets, 4);
	out8(0x64, 0xff); /* pulses nothing */
	assert_int_equal(fake.resets, 4);
	out8(0x64, 0xd1);
	out8(0x60, 0xdf);
	assert_int_equal(fake.resets, 4);
	out8(0x64, 0xd1);
	out8(0x60, 0xde);
	assert_int_equal(fake.resets, 5);
	assert_int_equal(fake.power_offs, 0);
}

static void i8042(void **state)
{
	(void)state;
	/* Idle: neither full buffer, so wait loops end at once. */
	assert_int_equal(in8(0x64) & 0x03, 0);
	out8(0x64, 0xaa);
	assert_int_equal(in8(0x64) & 0x03, 1);
	assert_int_equal(in8(0x60), 0x55);
	assert_int_equal(in8(0x64) & 0x03, 0);
	out8(0x64, 0x60);
	out8(0x60, 0x35);
	out8(0x64, 0x20);
	assert_int_equal(in8(0x60), 0x35);
	out8(0x64, 0xd0);
	assert_int_equal(in8(0x60) & 0x03, 0x03); /* A20 on, not in reset */
	out8(0x64, 0xab);
	assert_int_not_equal(in8(0x60), 0); /* no keyboard */
	out8(0x60, 0xff);		    /* reset the keyboard: no answer */
	assert_int_equal(in8(0x64) & 0x03, 0);
}

static void debug_exit(void **state)
{
	(void)state;
	out(0xf4, 4, 0x12345678);
	assert_int_equal(fake.debug_status, 0x12345678);
	out(0xf4, 2, 0xffff1234);
	assert_int_equal(fake.debug_status, 0x1234);
	out(0xf4, 1, 0xab);
	assert_int_equal(fake.debug_status, 0xab);
	assert_int_equal(fake.debug_exits, 3);
	out(0xf5, 1, 1);
	assert_int_equal(fake.debug_exits, 3);
	/* Not there unless asked for. */
	bus_init(&fake.ports);
	assert_int_equal(vboard_attach(&board, &fake.ports, false), 0);
	out(0xf4, 4, 1);
	assert_int_equal(fake.debug_exits, 3);
	assert_int_equal(fake.ports.unclaimed_writes, 1);
}

static void post_codes(void **state)
{
	(void)state;
	out8(0x80, 0x42);
	assert_int_equal(in8(0x80), 0x42);
	assert_int_equal(fake.ports.unclaimed_writes, 0);
}

static void random_poking(void **state)
{
	(void)state;
	fake_poke(0x5f0, 0x30, timer_due, &pm);
	fake_poke(0x60, 0x40, timer_due, &pm);
	fake_poke(0xcf0, 0x10, timer_due, &pm);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_off), TEST(pm_timer),   TEST(timer_status_and_sci), TEST(resets),
		TEST(i8042),	 TEST(debug_exit), TEST(post_codes),	       TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
