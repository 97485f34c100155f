/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC by the SDM's rules: priorities, EOI, IPIs, errors, timer modes, x2APIC. */
/* sources: hv/vdev/vlapic.c hv/vdev/vlapic_registers.c hv/vdev/vlapic_timer.c */
/* sources: hv/vdev/vlapic_msr.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vlapic.h"

static struct vdev_host host;
static struct vlapic apic;

static uint32_t rd(enum vlapic_register number)
{
	uint64_t value;

	vlapic_mmio_read(&apic, number * 16U, 4, &value);
	return (uint32_t)value;
}

static void wr(enum vlapic_register number, uint32_t value)
{
	vlapic_mmio_write(&apic, number * 16U, 4, value);
}

static void timer_due(void *device, enum vtimer timer)
{
	assert_int_equal(timer, VTIMER_LAPIC);
	vlapic_timer(device);
}

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vlapic_init(&apic, &host, 0);
	return 0;
}

/* How many times `vector` comes within `ticks`, each served at once. */
static unsigned int served(uint64_t ticks, uint64_t step, int vector)
{
	unsigned int count = 0;

	for (uint64_t t = 0; t < ticks; t += step) {
		fake_pass(step, timer_due, &apic);
		if (vlapic_pending(&apic) == vector) {
			vlapic_take(&apic, vector);
			vlapic_eoi(&apic);
			count++;
		}
	}
	return count;
}

static void starts_in_virtual_wire_mode(void **state)
{
	(void)state;
	assert_int_equal(rd(VLAPIC_ID), 0);
	assert_int_equal(rd(VLAPIC_VERSION) & 0xff, 0x14);
	assert_int_equal(rd(VLAPIC_VERSION) >> 16 & 0xff, 5);
	assert_int_equal(rd(VLAPIC_SVR), 0x1ff);
	assert_int_equal(rd(VLAPIC_LVT_LINT0), 0x700);
	assert_int_equal(rd(VLAPIC_LVT_LINT1), 0x400);
	assert_int_equal(rd(VLAPIC_LVT_TIMER), 0x10000);
	assert_int_equal(rd(VLAPIC_DFR), 0xffffffff);
	assert_true(vlapic_takes_extint(&apic));
	wr(VLAPIC_LVT_LINT0, 0x10700);
	assert_false(vlapic_takes_extint(&apic));
	assert_int_equal(vlapic_set_base(&apic, VLAPIC_GPA | APIC_BASE_BSP), 0);
	assert_true(vlapic_takes_extint(&apic));
}

static void priorities(void **state)
{
	(void)state;
	assert_int_equal(vlapic_pending(&apic), -1);
	vlapic_accept(&apic, APIC_FIXED, 0x35, false);
	vlapic_accept(&apic, APIC_LOWEST, 0x41, false);
	vlapic_accept(&apic, APIC_FIXED, 0x4f, false);
	assert_int_equal(vlapic_pending(&apic), 0x4f);
	assert_int_equal(rd(VLAPIC_IRR + 2), 1U << 1 | 1U << 15);
	/* The TPR's class holds back its own class too. */
	wr(VLAPIC_TPR, 0x40);
	assert_int_equal(vlapic_pending(&apic), -1);
	vlapic_set_tpr(&apic, 0x3f);
	assert_int_equal(vlapic_cr8(&apic), 3);
	assert_int_equal(rd(VLAPIC_PPR), 0x3f);
	assert_int_equal(vlapic_pending(&apic), 0x4f);
	vlapic_set_tpr(&apic, 0);
	assert_true(vlapic_take(&apic, 0x4f));
	assert_false(vlapic_take(&apic, 0x4f));
	assert_int_equal(rd(VLAPIC_ISR + 2), 1U << 15);
	assert_int_equal(rd(VLAPIC_PPR), 0x40);
	/* 0x41 is of the class in service. */
	assert_int_equal(vlapic_pending(&apic), -1);
	vlapic_accept(&apic, APIC_FIXED, 0x50, false);
	assert_int_equal(vlapic_pending(&apic), 0x50);
	assert_true(vlapic_take(&apic, 0x50));
	assert_int_equal(rd(VLAPIC_PPR), 0x50);
	wr(VLAPIC_EOI, 0);
	assert_int_equal(rd(VLAPIC_PPR), 0x40);
	assert_int_equal(vlapic_pending(&apic), -1);
	wr(VLAPIC_EOI, 0);
	assert_int_equal(vlapic_pending(&apic), 0x41);
	assert_true(vlapic_take(&apic, 0x41));
	wr(VLAPIC_EOI, 0);
	assert_int_equal(vlapic_pending(&apic), 0x35);
	assert_true(vlapic_take(&apic, 0x35));
	wr(VLAPIC_EOI, 0);
	wr(VLAPIC_EOI, 0); /* nothing in service: nothing happens */
	assert_int_equal(vlapic_pending(&apic), -1);
	assert_int_equal(fake.eois, 0);
}

/* SDM: PPR is the TPR when its class is not below that of the ISR, else that class. */
static void processor_priority(void **state)
{
	static const struct {
		uint8_t tpr;
		uint8_t in_service;
		uint8_t ppr;
	} rows[] = { { 0x00, 0x41, 0x40 }, { 0x2f, 0x41, 0x40 }, { 0x3f, 0x4f, 0x40 },
		     { 0x40, 0x4f, 0x40 }, { 0x45, 0x41, 0x45 }, { 0x50, 0x4f, 0x50 },
		     { 0xff, 0x10, 0xff }, { 0x07, 0x10, 0x10 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		vlapic_set_tpr(&apic, 0);
		vlapic_accept(&apic, APIC_FIXED, rows[i].in_service, false);
		assert_true(vlapic_take(&apic, rows[i].in_service));
		vlapic_set_tpr(&apic, rows[i].tpr);
		assert_int_equal(rd(VLAPIC_PPR), rows[i].ppr);
		vlapic_eoi(&apic);
		assert_int_equal(rd(VLAPIC_PPR), rows[i].tpr);
	}
}

/* The vCPU takes what it was offered although something more urgent came meanwhile. */
static void lower_one_taken(void **state)
{
	(void)state;
	vlapic_accept(&apic, APIC_FIXED, 0x31, false);
	vlapic_accept(&apic, APIC_FIXED, 0xe1, false);
	assert_true(vlapic_take(&apic, 0x31));
	assert_int_equal(vlapic_pending(&apic), 0xe1);
	assert_true(vlapic_take(&apic, 0xe1));
	vlapic_eoi(&apic);
	assert_int_equal(rd(VLAPIC_PPR), 0x30);
}

static void all_vectors_in_order(void **state)
{
	(void)state;
	for (unsigned int vector = 16; vector < 256; vector++) {
		vlapic_accept(&apic, APIC_FIXED, (uint8_t)(16 + (vector * 7) % 240), false);
	}
	for (int vector = 255; vector >= 16; vector--) {
		assert_int_equal(vlapic_pending(&apic), vector);
		assert_true(vlapic_take(&apic, vector));
		vlapic_eoi(&apic);
	}
	assert_int_equal(vlapic_pending(&apic), -1);
}

static void level_eoi_is_broadcast(void **state)
{
	(void)state;
	vlapic_accept(&apic, APIC_FIXED, 0x61, true);
	assert_int_equal(rd(VLAPIC_TMR + 3), 2);
	vlapic_take(&apic, 0x61);
	wr(VLAPIC_EOI, 0);
	assert_int_equal(fake.eois, 1);
	assert_int_equal(fake.eoi_vector, 0x61);
	/* An edge message of the same vector turns the TMR bit off again. */
	vlapic_accept(&apic, APIC_FIXED, 0x61, false);
	assert_int_equal(rd(VLAPIC_TMR + 3), 0);
	vlapic_take(&apic, 0x61);
	wr(VLAPIC_EOI, 0);
	assert_int_equal(fake.eois, 1);
	wr(VLAPIC_SVR, 0x11ff); /* directed EOI */
	vlapic_accept(&apic, APIC_FIXED, 0x61, true);
	vlapic_take(&apic, 0x61);
	wr(VLAPIC_EOI, 0);
	assert_int_equal(fake.eois, 1);
}

static void software_disable(void **state)
{
	(void)state;
	vlapic_accept(&apic, APIC_FIXED, 0x31, false);
	wr(VLAPIC_LVT_ERROR, 0x33);
	wr(VLAPIC_SVR, 0xff);
	/* What is in the IRR stays; nothing new comes, NMI does; LVTs are masked for good. */
	assert_int_equal(vlapic_pending(&apic), 0x31);
	vlapic_accept(&apic, APIC_FIXED, 0x91, false);
	assert_int_equal(vlapic_pending(&apic), 0x31);
	vlapic_accept(&apic, APIC_NMI, 0, false);
	assert_true(apic.nmi);
	assert_int_equal(rd(VLAPIC_LVT_ERROR), 0x10033);
	wr(VLAPIC_LVT_ERROR, 0x33);
	assert_int_equal(rd(VLAPIC_LVT_ERROR), 0x10033);
	wr(VLAPIC_SVR, 0x1ff);
	wr(VLAPIC_LVT_ERROR, 0x33);
	assert_int_equal(rd(VLAPIC_LVT_ERROR), 0x33);
}

static void ipis_to_itself(void **state)
{
	(void)state;
	wr(VLAPIC_ICR, 0x40000 | 0x71); /* shorthand self */
	assert_int_equal(vlapic_pending(&apic), 0x71);
	wr(VLAPIC_ICR, 0x80000 | 0x72); /* all */
	assert_int_equal(vlapic_pending(&apic), 0x72);
	wr(VLAPIC_ICR, 0xc0000 | 0x73); /* others: nobody */
	assert_int_equal(vlapic_pending(&apic), 0x72);
	wr(VLAPIC_ICR_HIGH, 0x01000000); /* APIC 1: not there */
	wr(VLAPIC_ICR, 0x74);
	assert_int_equal(vlapic_pending(&apic), 0x72);
	assert_int_equal(rd(VLAPIC_ICR), 0x74);
	wr(VLAPIC_ICR_HIGH, 0);
	wr(VLAPIC_ICR, 0x75);
	assert_int_equal(vlapic_pending(&apic), 0x75);
	wr(VLAPIC_LDR, 0x04000000);
	wr(VLAPIC_ICR_HIGH, 0x0b000000); /* logical, flat: another bit */
	wr(VLAPIC_ICR, 0x876);
	assert_int_equal(vlapic_pending(&apic), 0x75);
	wr(VLAPIC_ICR_HIGH, 0x06000000);
	wr(VLAPIC_ICR, 0x876);
	assert_int_equal(vlapic_pending(&apic), 0x76);
	wr(VLAPIC_DFR, 0); /* cluster */
	wr(VLAPIC_LDR, 0x21000000);
	assert_true(vlapic_matches(&apic, 0x23, true));
	assert_false(vlapic_matches(&apic, 0x13, true));
	assert_true(vlapic_matches(&apic, 0xff, true));
	assert_false(apic.nmi);
	wr(VLAPIC_ICR, 0x40400); /* NMI to self */
	assert_true(apic.nmi);
	wr(VLAPIC_ICR, 0x500); /* INIT: nothing */
	wr(VLAPIC_ICR, 0x4600);
	assert_int_equal(rd(VLAPIC_ICR) & 0x1000, 0); /* never busy */
}

static void errors(void **state)
{
	(void)state;
	wr(VLAPIC_LVT_ERROR, 0xfe);
	wr(VLAPIC_ICR, 0x40000 | 0x0f);
	assert_int_equal(vlapic_pending(&apic), 0xfe);
	assert_int_equal(rd(VLAPIC_ESR), 0); /* shown after a write */
	wr(VLAPIC_ESR, 0);
	assert_int_equal(rd(VLAPIC_ESR), 0x20);
	vlapic_accept(&apic, APIC_FIXED, 3, false);
	(void)rd(0x3c); /* no such register */
	wr(VLAPIC_ESR, 0);
	assert_int_equal(rd(VLAPIC_ESR), 0xc0);
	wr(VLAPIC_ESR, 0);
	assert_int_equal(rd(VLAPIC_ESR), 0);
	/* An error LVT that is itself an error. */
	wr(VLAPIC_LVT_ERROR, 0x01);
	wr(VLAPIC_ICR, 0x40000);
	wr(VLAPIC_ESR, 0);
	assert_int_equal(rd(VLAPIC_ESR), 0x60);
}

static void lint0(void **state)
{
	(void)state;
	wr(VLAPIC_LVT_LINT0, 0x45); /* fixed: the rising edge */
	vlapic_set_lint0(&apic, true);
	vlapic_set_lint0(&apic, true);
	assert_int_equal(vlapic_pending(&apic), 0x45);
	vlapic_take(&apic, 0x45);
	vlapic_eoi(&apic);
	vlapic_set_lint0(&apic, false);
	assert_int_equal(vlapic_pending(&apic), -1);
	wr(VLAPIC_LVT_LINT0, 0x400);
	vlapic_set_lint0(&apic, true);
	assert_true(apic.nmi);
	assert_int_equal(vlapic_pending(&apic), -1);
}

static void odd_accesses(void **state)
{
	uint64_t value;

	(void)state;
	wr(VLAPIC_TPR, 0x20);
	for (unsigned int offset = 0x80; offset < 0x90; offset++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			bool good = offset == 0x80 && size == 4;

			vlapic_mmio_read(&apic, offset, size, &value);
			assert_int_equal(value, good ? 0x20 : 0);
			if (!good) {
				vlapic_mmio_write(&apic, offset, size, 0x50);
			}
		}
	}
	assert_int_equal(rd(VLAPIC_TPR), 0x20);
	wr(VLAPIC_VERSION, 0);
	wr(VLAPIC_ID, 0x5000000);
	assert_int_equal(rd(VLAPIC_ID), 0);
	assert_int_equal(rd(VLAPIC_VERSION) & 0xff, 0x14);
}

static void one_shot(void **state)
{
	(void)state;
	wr(VLAPIC_DIVIDE, 0xb); /* by 1: 100 counts a microsecond */
	wr(VLAPIC_LVT_TIMER, 0x40);
	wr(VLAPIC_INITIAL_COUNT, 100000);
	fake_pass(250 * US, timer_due, &apic);
	assert_in_range(rd(VLAPIC_CURRENT_COUNT), 74998, 75002);
	fake_pass(749 * US, timer_due, &apic);
	assert_int_equal(vlapic_pending(&apic), -1);
	fake_pass(2 * US, timer_due, &apic);
	assert_int_equal(vlapic_pending(&apic), 0x40);
	assert_int_equal(rd(VLAPIC_CURRENT_COUNT), 0);
	assert_int_equal(rd(VLAPIC_INITIAL_COUNT), 100000);
	assert_int_equal(served(10 * MS, US, 0x40), 1);
	assert_true(fake.timers[VTIMER_LAPIC] == VTIMER_NEVER);
	assert_int_equal(fake.wakeups, 1);
	/* Expired while masked: unmasking brings nothing. */
	wr(VLAPIC_LVT_TIMER, 0x10040);
	wr(VLAPIC_INITIAL_COUNT, 1000);
	fake_pass(MS, timer_due, &apic);
	wr(VLAPIC_LVT_TIMER, 0x40);
	assert_int_equal(served(MS, US, 0x40), 0);
}

static void dividers(void **state)
{
	/* SDM, figure "Divide Configuration Register". */
	static const struct {
		uint8_t code;
		uint8_t divider;
	} rows[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
		     { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		wr(VLAPIC_DIVIDE, rows[i].code);
		assert_int_equal(rd(VLAPIC_DIVIDE), rows[i].code);
		wr(VLAPIC_INITIAL_COUNT, UINT32_MAX);
		fake.now += 128 * MS;
		assert_in_range(UINT32_MAX - rd(VLAPIC_CURRENT_COUNT),
				12800000U / rows[i].divider - 1, 12800000U / rows[i].divider + 1);
	}
	/* Changed on the way: the count goes on from where it is. */
	wr(VLAPIC_DIVIDE, 0xb);
	wr(VLAPIC_LVT_TIMER, 0x40);
	wr(VLAPIC_INITIAL_COUNT, 100000);
	fake_pass(500 * US, timer_due, &apic);
	wr(VLAPIC_DIVIDE, 0x1);
	assert_in_range(rd(VLAPIC_CURRENT_COUNT), 49999, 50001);
	fake_pass(1999 * US, timer_due, &apic);
	assert_int_equal(vlapic_pending(&apic), -1);
	fake_pass(2 * US, timer_due, &apic);
	assert_int_equal(vlapic_pending(&apic), 0x40);
}

static void periodic(void **state)
{
	(void)state;
	wr(VLAPIC_DIVIDE, 0x3); /* by 16 */
	wr(VLAPIC_LVT_TIMER, 0x20040);
	wr(VLAPIC_INITIAL_COUNT, 6250); /* 1 ms */
	assert_in_range(served(100 * MS, 10 * US, 0x40), 99, 100);
	/* Masked it goes on without interrupts and without wake-ups. */
	wr(VLAPIC_LVT_TIMER, 0x30040);
	fake.wakeups = 0;
	assert_int_equal(served(10 * MS, 10 * US, 0x40), 0);
	assert_int_equal(fake.wakeups, 0);
	assert_true(rd(VLAPIC_CURRENT_COUNT) > 0);
	wr(VLAPIC_LVT_TIMER, 0x20040);
	assert_in_range(served(10 * MS, 10 * US, 0x40), 9, 11);
	/* Slept through: one interrupt for a thousand periods. */
	fake.now += SECOND;
	vlapic_timer(&apic);
	vlapic_timer(&apic);
	assert_int_equal(served(500 * US, 10 * US, 0x40), 1);
	wr(VLAPIC_INITIAL_COUNT, 0);
	assert_int_equal(served(10 * MS, 10 * US, 0x40), 0);
}

static void hostile_period(void **state)
{
	(void)state;
	wr(VLAPIC_DIVIDE, 0xb);
	wr(VLAPIC_LVT_TIMER, 0x20040);
	wr(VLAPIC_INITIAL_COUNT, 1); /* 10 ns */
	fake_pass(SECOND, timer_due, &apic);
	assert_in_range(fake.wakeups, 1000, VDEV_WAKEUPS_MAX_HZ + 1);
	assert_int_equal(vlapic_pending(&apic), 0x40);
	assert_int_equal(rd(VLAPIC_CURRENT_COUNT), 1);
}

/* TSCs slower than the timer's clock, and of an odd frequency: neither early nor late. */
static void other_tsc_frequencies(void **state)
{
	static const uint64_t frequencies[] = { 10000000, 99999999, 2893299000, 5000000001 };

	for (size_t i = 0; i < ARRAY_COUNT(frequencies); i++) {
		uint64_t hz = frequencies[i];
		uint64_t start;

		setup(state);
		host.tsc_hz = hz;
		fake.now = hz * 86400 * 100; /* up for 100 days */
		start = fake.now;
		wr(VLAPIC_DIVIDE, 0xb);
		wr(VLAPIC_LVT_TIMER, 0x40);
		wr(VLAPIC_INITIAL_COUNT, 100000); /* 1 ms */
		assert_in_range(fake.timers[VTIMER_LAPIC] - start, hz / 1000 - hz / 1000000 - 1,
				hz / 1000 + hz / 1000000 + 1);
		fake_pass(hz / 500, timer_due, &apic);
		assert_int_equal(vlapic_pending(&apic), 0x40);
		assert_int_equal(fake.wakeups, 1);
		wr(VLAPIC_LVT_TIMER, 0x20040);
		wr(VLAPIC_INITIAL_COUNT, 7);
		fake_pass(hz / 10, timer_due, &apic);
		assert_true(fake.wakeups <= VDEV_WAKEUPS_MAX_HZ / 10 + 2);
	}
}

static void tsc_deadline(void **state)
{
	(void)state;
	vlapic_set_deadline(&apic, fake.now + 10 * US); /* not in that mode: ignored */
	assert_int_equal(vlapic_deadline(&apic), 0);
	wr(VLAPIC_LVT_TIMER, 0x40040);
	wr(VLAPIC_INITIAL_COUNT, 55); /* ignored in this one */
	assert_int_equal(rd(VLAPIC_CURRENT_COUNT), 0);
	vlapic_set_deadline(&apic, fake.now + 10 * US);
	assert_true(vlapic_deadline(&apic) == fake.now + 10 * US);
	assert_true(fake.timers[VTIMER_LAPIC] == fake.now + 10 * US);
	assert_int_equal(served(9 * US, US, 0x40), 0);
	assert_int_equal(served(2 * US, US, 0x40), 1);
	assert_int_equal(vlapic_deadline(&apic), 0);
	assert_int_equal(served(100 * US, US, 0x40), 0);
	/* In the past: at once. */
	vlapic_set_deadline(&apic, 1);
	assert_int_equal(vlapic_pending(&apic), 0x40);
	assert_int_equal(served(3 * US, US, 0x40), 1);
	/* Disarmed by 0, and by leaving the mode. */
	vlapic_set_deadline(&apic, fake.now + 10 * US);
	vlapic_set_deadline(&apic, 0);
	assert_int_equal(served(20 * US, US, 0x40), 0);
	vlapic_set_deadline(&apic, fake.now + 10 * US);
	wr(VLAPIC_LVT_TIMER, 0x40);
	assert_int_equal(served(20 * US, US, 0x40), 0);
	assert_true(fake.timers[VTIMER_LAPIC] == VTIMER_NEVER);
}

static void modes_of_the_base_msr(void **state)
{
	const uint64_t off = VLAPIC_GPA | APIC_BASE_BSP;
	const uint64_t on = off | APIC_BASE_ENABLE;
	const uint64_t x2 = on | APIC_BASE_X2APIC;
	uint64_t value;

	(void)state;
	assert_true(apic.base == on);
	assert_int_equal(vlapic_set_base(&apic, on + 0x1000), -EPERM);
	assert_int_equal(vlapic_set_base(&apic, on | 1), -EPERM);
	assert_int_equal(vlapic_set_base(&apic, on | BIT(40)), -EPERM);
	assert_int_equal(vlapic_set_base(&apic, off | APIC_BASE_X2APIC), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x802, &value), -EPERM);
	vlapic_accept(&apic, APIC_FIXED, 0x55, false);
	assert_int_equal(vlapic_set_base(&apic, x2), 0);
	assert_int_equal(vlapic_pending(&apic), 0x55);
	assert_int_equal(rd(VLAPIC_TPR), 0xffffffff); /* the page is gone */
	assert_int_equal(vlapic_set_base(&apic, on), -EPERM);
	assert_int_equal(vlapic_set_base(&apic, off), 0);
	assert_false(vlapic_hw_enabled(&apic));
	assert_int_equal(vlapic_pending(&apic), -1);
	assert_int_equal(rd(VLAPIC_TPR), 0xffffffff);
	assert_int_equal(vlapic_set_base(&apic, x2), -EPERM);
	assert_int_equal(vlapic_set_base(&apic, on), 0);
	assert_int_equal(rd(VLAPIC_SVR), 0xff); /* as after reset */
	assert_int_equal(rd(VLAPIC_LVT_LINT0), 0x10000);
}

static void x2apic_registers(void **state)
{
	uint64_t value;

	(void)state;
	vlapic_init(&apic, &host, 0x23);
	assert_int_equal(vlapic_set_base(&apic, apic.base | APIC_BASE_X2APIC), 0);
	assert_int_equal(vlapic_msr_read(&apic, 0x802, &value), 0);
	assert_int_equal(value, 0x23);
	assert_int_equal(vlapic_msr_read(&apic, 0x80d, &value), 0);
	assert_int_equal(value, 0x20008);
	assert_true(vlapic_matches(&apic, 0x20008, true));
	assert_false(vlapic_matches(&apic, 0x30008, true));
	assert_false(vlapic_matches(&apic, 0x20004, true));
	assert_true(vlapic_matches(&apic, 0x23, false));
	assert_true(vlapic_matches(&apic, 0xffffffff, false));
	/* Missing, read-only, write-only, reserved bits. */
	assert_int_equal(vlapic_msr_read(&apic, 0x80e, &value), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x831, &value), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x80b, &value), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x83f, &value), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x840, &value), -EPERM);
	assert_int_equal(vlapic_msr_read(&apic, 0x7ff, &value), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x802, 0), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x80d, 0), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x839, 0), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x808, 0x100), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x808, BIT(32)), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x80b, 1), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x828, 1), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x80f, 0x2ff), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x830, BIT(20)), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x83e, 4), -EPERM);
	assert_int_equal(vlapic_msr_write(&apic, 0x831, 0), -EPERM);
	/* What works. */
	assert_int_equal(vlapic_msr_write(&apic, 0x808, 0x30), 0);
	assert_int_equal(vlapic_cr8(&apic), 3);
	assert_int_equal(vlapic_msr_write(&apic, 0x83f, 0x91), 0);
	assert_int_equal(vlapic_pending(&apic), 0x91);
	assert_true(vlapic_take(&apic, 0x91));
	assert_int_equal(vlapic_msr_write(&apic, 0x80b, 0), 0);
	assert_int_equal(vlapic_msr_write(&apic, 0x830, UINT64_C(0x23) << 32 | 0x92), 0);
	assert_int_equal(vlapic_pending(&apic), 0x92);
	assert_int_equal(vlapic_msr_write(&apic, 0x830, UINT64_C(0x2300) << 32 | 0x93), 0);
	assert_int_equal(vlapic_pending(&apic), 0x92);
	assert_int_equal(vlapic_msr_read(&apic, 0x830, &value), 0);
	assert_true(value == (UINT64_C(0x2300) << 32 | 0x93));
	assert_int_equal(vlapic_msr_write(&apic, 0x832, 0x20040), 0);
	assert_int_equal(vlapic_msr_write(&apic, 0x838, 1000), 0);
	fake_pass(5 * MS, timer_due, &apic);
	assert_int_equal(vlapic_msr_read(&apic, 0x839, &value), 0);
	assert_in_range(value, 1, 1000);
}

static void random_poking(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		uint64_t r = fake_random();
		uint32_t data = (uint32_t)(r >> 32) & (uint32_t)(fake_random() >> (r % 61));
		int pending;

		switch ((r >> 8) % 8) {
		case 0:
			vlapic_mmio_read(&apic, r >> 16 & 0xfff, 1U << (r >> 28 & 3), &value);
			break;
		case 1:
			(void)!vlapic_msr_write(&apic, 0x800 + (r >> 16 & 0x3f), data);
			(void)!vlapic_msr_read(&apic, 0x800 + (r >> 22 & 0x3f), &value);
			break;
		case 2:
			vlapic_set_deadline(&apic, fake.now + data % 100000);
			break;
		case 3:
			vlapic_accept(&apic, (enum apic_delivery)(r >> 16 & 7), (uint8_t)data,
				      r >> 20 & 1);
			break;
		case 4:
			if (r % 97 == 0) {
				(void)!vlapic_set_base(&apic, VLAPIC_GPA | (r >> 16 & 0xd00));
			}
			break;
		default:
			vlapic_mmio_write(&apic, r >> 16 & 0xff0, 4, data);
			break;
		}
		pending = vlapic_pending(&apic);
		assert_in_range(pending + 1, 0, 256);
		if (pending >= 0) {
			assert_true(pending >= 16);
			assert_true(pending >> 4 > apic.ppr >> 4);
			assert_true(vlapic_take(&apic, pending));
		}
		fake_pass(r % 5000, timer_due, &apic);
	}
	fake.wakeups = 0;
	fake_pass(SECOND, timer_due, &apic);
	assert_true(fake.wakeups <= VDEV_WAKEUPS_MAX_HZ + 1);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_in_virtual_wire_mode),
		TEST(priorities),
		TEST(processor_priority),
		TEST(lower_one_taken),
		TEST(all_vectors_in_order),
		TEST(level_eoi_is_broadcast),
		TEST(software_disable),
		TEST(ipis_to_itself),
		TEST(errors),
		TEST(lint0),
		TEST(odd_accesses),
		TEST(one_shot),
		TEST(dividers),
		TEST(periodic),
		TEST(hostile_period),
		TEST(other_tsc_frequencies),
		TEST(tsc_deadline),
		TEST(modes_of_the_base_msr),
		TEST(x2apic_registers),
		TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
