/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All devices wired together: the ways of an interrupt from a line to the vCPU, and a hostile
 * guest that pokes at everything.
 */
/* sources: hv/vdev/vdevs.c hv/vdev/bus.c hv/vdev/vlapic.c hv/vdev/vlapic_registers.c */
/* sources: hv/vdev/vlapic_timer.c hv/vdev/vlapic_msr.c hv/vdev/vioapic.c hv/vdev/vpic.c */
/* sources: hv/vdev/vpit.c hv/vdev/vpit_channel.c hv/vdev/vuart.c hv/vdev/vrtc.c */
/* sources: hv/vdev/vrtc_calendar.c hv/vdev/vpm.c hv/vdev/vboard.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vdevs.h"

static struct vdevs devices;

static void timer_due(void *device, enum vtimer timer)
{
	vdevs_timer(device, timer);
}

static int setup(void **state)
{
	(void)state;
	memset(&devices, 0, sizeof(devices));
	devices.host = fake_start();
	assert_int_equal(vdevs_init(&devices, 256 * MIB, true), 0);
	return 0;
}

static void out(uint16_t port, uint8_t value)
{
	bus_write(&devices.ports, port, 1, value);
}

static uint8_t in(uint16_t port)
{
	uint64_t value;

	bus_read(&devices.ports, port, 1, &value);
	return (uint8_t)value;
}

static void mmio(uint64_t gpa, uint32_t value)
{
	bus_write(&devices.mmio, gpa, 4, value);
}

static void ioapic(unsigned int pin, uint32_t low)
{
	mmio(VIOAPIC_GPA, 0x11 + 2 * pin);
	mmio(VIOAPIC_GPA + 0x10, 0);
	mmio(VIOAPIC_GPA, 0x10 + 2 * pin);
	mmio(VIOAPIC_GPA + 0x10, low);
}

static void eoi(void)
{
	mmio(VLAPIC_GPA + 0xb0, 0);
}

static void program_pics(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} steps[] = { { 0x20, 0x11 }, { 0x21, 0x30 }, { 0x21, 0x04 }, { 0x21, 0x01 },
		      { 0xa0, 0x11 }, { 0xa1, 0x38 }, { 0xa1, 0x02 }, { 0xa1, 0x01 } };

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		out(steps[i].port, steps[i].value);
	}
}

/* 100 Hz on IRQ 0. */
static void program_pit(void)
{
	out(0x43, 0x34);
	out(0x40, 11932 & 0xff);
	out(0x40, 11932 >> 8);
}

/* How often `vector` is offered in a second; `finish` ends each. */
static unsigned int count_vector(int vector, void (*finish)(void))
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		fake_pass(MS, timer_due, &devices);
		if (vdevs_pending_vector(&devices) >= 0) {
			assert_int_equal(vdevs_pending_vector(&devices), vector);
			vdevs_interrupt_taken(&devices, vector);
			finish();
			count++;
		}
		assert_int_equal(vdevs_pending_vector(&devices), -1);
	}
	return count;
}

static void pic_eoi(void)
{
	out(0x20, 0x20);
}

static void nothing_at_start(void **state)
{
	(void)state;
	fake_pass(10 * SECOND, timer_due, &devices);
	assert_int_equal(vdevs_pending_vector(&devices), -1);
	assert_false(vdevs_nmi_pending(&devices));
	assert_int_equal(fake.wakeups, 0);
}

static void pit_through_the_8259(void **state)
{
	(void)state;
	program_pics();
	program_pit();
	assert_in_range(count_vector(0x30, pic_eoi), 99, 102);
	/* LINT0 masked: cut off; hardware-disabled APIC: through again. */
	mmio(VLAPIC_GPA + 0x350, 0x10700);
	assert_int_equal(count_vector(0x30, pic_eoi), 0);
	assert_int_equal(vlapic_set_base(&devices.vlapic, VLAPIC_GPA), 0);
	assert_in_range(count_vector(0x30, pic_eoi), 99, 102);
}

static void pit_through_the_ioapic(void **state)
{
	(void)state;
	out(0x21, 0xff);
	out(0xa1, 0xff);
	ioapic(2, 0x41);
	program_pit();
	assert_in_range(count_vector(0x41, eoi), 99, 102);
	ioapic(2, 0x10041);
	assert_int_equal(count_vector(0x41, eoi), 0);
	ioapic(0, 0x42); /* pin 0 has no line */
	assert_int_equal(count_vector(0x42, eoi), 0);
}

static void uart_through_both(void **state)
{
	(void)state;
	program_pics();
	ioapic(4, 0x44);
	out(0x3f9, 0x01);
	out(0x3fc, 0x08);
	assert_true(vdevs_serial_input(&devices, 'a'));
	assert_int_equal(vdevs_pending_vector(&devices), 0x44); /* the APIC goes first */
	vdevs_interrupt_taken(&devices, 0x44);
	assert_int_equal(vdevs_pending_vector(&devices), 0x34);
	vdevs_interrupt_taken(&devices, 0x34);
	assert_int_equal(in(0x3f8), 'a');
	eoi();
	out(0x20, 0x20);
	assert_int_equal(vdevs_pending_vector(&devices), -1);
}

/* The SCI: level in both controllers, again after each EOI until its cause is gone. */
static void level_interrupt_until_its_cause_is_gone(void **state)
{
	(void)state;
	ioapic(9, 0x8049);
	bus_write(&devices.ports, 0x602, 2, 1);
	fake_pass(601 * SECOND, timer_due, &devices);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(vdevs_pending_vector(&devices), 0x49);
		vdevs_interrupt_taken(&devices, 0x49);
		assert_int_equal(vdevs_pending_vector(&devices), -1);
		if (i == 2) {
			bus_write(&devices.ports, 0x600, 2, 1);
		}
		eoi();
	}
	assert_int_equal(vdevs_pending_vector(&devices), -1);
}

/* Taken, and only then the guest's TPR (CR8 without exit) is known to be higher. */
static void taken_before_a_tpr_change(void **state)
{
	(void)state;
	program_pics();
	vlapic_accept(&devices.vlapic, APIC_FIXED, 0x51, false);
	vlapic_set_tpr(&devices.vlapic, 0xf0);
	vdevs_interrupt_taken(&devices, 0x51);
	vlapic_set_tpr(&devices.vlapic, 0);
	assert_int_equal(vdevs_pending_vector(&devices), -1);
	eoi();
	assert_int_equal(vdevs_pending_vector(&devices), -1);
}

static void nmi(void **state)
{
	(void)state;
	ioapic(4, 0x400);
	out(0x3f9, 0x01);
	out(0x3fc, 0x08);
	assert_true(vdevs_serial_input(&devices, 'a'));
	assert_true(vdevs_nmi_pending(&devices));
	assert_int_equal(vdevs_pending_vector(&devices), -1);
	vdevs_nmi_taken(&devices);
	assert_false(vdevs_nmi_pending(&devices));
}

/* 82093AA destinations reach the local APIC by ID or not at all. */
static void destinations(void **state)
{
	(void)state;
	ioapic(4, 0x44);
	mmio(VIOAPIC_GPA, 0x19);
	mmio(VIOAPIC_GPA + 0x10, 0x01000000);
	out(0x3f9, 0x01);
	out(0x3fc, 0x08);
	assert_true(vdevs_serial_input(&devices, 'a'));
	assert_int_equal(vdevs_pending_vector(&devices), -1);
	(void)in(0x3f8);
	mmio(VIOAPIC_GPA + 0x10, 0xff000000);
	assert_true(vdevs_serial_input(&devices, 'b'));
	assert_int_equal(vdevs_pending_vector(&devices), 0x44);
}

static void end_requests_reach_the_owner(void **state)
{
	(void)state;
	bus_write(&devices.ports, 0x604, 2, 0x3400);
	assert_int_equal(fake.power_offs, 1);
	out(0x64, 0xfe);
	out(0xcf9, 6);
	assert_int_equal(fake.resets, 2);
	bus_write(&devices.ports, 0xf4, 4, 77);
	assert_int_equal(fake.debug_status, 77);
	out(0x3f8, '!');
	assert_int_equal(fake.output[0], '!');
	(void)in(0x1234);
	assert_int_equal(devices.ports.unclaimed_reads, 1);
}

static const uint16_t interesting_ports[] = {
	0x20,  0x21,  0xa0,  0xa1,  0x40,  0x42,  0x43, 0x61, 0x70, 0x71,  0x3f8, 0x3f9, 0x3fa,
	0x3fc, 0x3fd, 0x600, 0x602, 0x604, 0x608, 0x60, 0x64, 0x92, 0x4d0, 0x4d1, 0xf4,	 0xcf9,
};

static void poke_once(uint64_t r, uint32_t data)
{
	uint16_t port = interesting_ports[(r >> 12) % ARRAY_COUNT(interesting_ports)];
	unsigned int size = 1U << (r >> 20 & 3);
	uint64_t value;

	switch (r % 8) {
	case 0:
		bus_write(&devices.ports, port, MIN(size, 4U), data);
		break;
	case 1:
		bus_read(&devices.ports, port, MIN(size, 4U), &value);
		break;
	case 2:
		bus_write(&devices.mmio, VLAPIC_GPA + (r >> 12 & 0x3f0), 4, data);
		break;
	case 3:
		bus_write(&devices.mmio, VIOAPIC_GPA + (r >> 12 & 0x10), 4, data % 0x20000);
		break;
	case 4:
		bus_read(&devices.mmio, VIOAPIC_GPA + (r >> 12 & 0xfff), size, &value);
		bus_read(&devices.mmio, VLAPIC_GPA + (r >> 12 & 0xfff), size, &value);
		break;
	case 5:
		(void)!vlapic_msr_write(&devices.vlapic, 0x800 + (r >> 12 & 0x3f), data);
		vlapic_set_deadline(&devices.vlapic, fake.now + data % 100000);
		break;
	case 6:
		(void)vdevs_serial_input(&devices, (uint8_t)data);
		break;
	default:
		if (r % 1001 == 0) {
			(void)!vlapic_set_base(&devices.vlapic, VLAPIC_GPA | (data & 0xd00));
		}
		break;
	}
}

/* The partition's state is in the struct alone: a copy put back goes on as before. */
static void snapshot(void **state)
{
	static struct vdevs copy;
	uint64_t timer;
	uint64_t then;

	(void)state;
	program_pics();
	program_pit();
	fake_pass(35 * MS, timer_due, &devices);
	memcpy(&copy, &devices, sizeof(copy));
	then = fake.now;
	timer = fake.timers[VTIMER_PIT];
	for (unsigned int i = 0; i < 10000; i++) {
		poke_once(fake_random(), (uint32_t)fake_random());
		fake_pass(10 * US, timer_due, &devices);
	}
	memcpy(&devices, &copy, sizeof(devices));
	fake.now = then;
	fake.timers[VTIMER_PIT] = timer;
	assert_in_range(count_vector(0x30, pic_eoi), 99, 102);
}

static void hostile_guest(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 1000000; i++) {
		uint64_t r = fake_random();
		int vector;

		poke_once(r, (uint32_t)(r >> 32));
		vector = vdevs_pending_vector(&devices);
		assert_in_range(vector + 1, 0, 256);
		if (vector >= 0 && r % 3 != 0) {
			vdevs_interrupt_taken(&devices, vector);
		}
		fake_pass(r % 3000, timer_due, &devices);
	}
	fake.wakeups = 0;
	fake_pass(SECOND, timer_due, &devices);
	assert_true(fake.wakeups <= 3 * VDEV_WAKEUPS_MAX_HZ);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_at_start),
		TEST(pit_through_the_8259),
		TEST(pit_through_the_ioapic),
		TEST(uart_through_both),
		TEST(level_interrupt_until_its_cause_is_gone),
		TEST(taken_before_a_tpr_change),
		TEST(nmi),
		TEST(destinations),
		TEST(end_requests_reach_the_owner),
		TEST(snapshot),
		TEST(hostile_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
