/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC by the 82093AA data sheet: registers, edge and level cycles, delivery modes. */
/* sources: hv/vdev/vioapic.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vioapic.h"

#define LEVEL 0x8000U
#define MASKED 0x10000U
#define REMOTE_IRR 0x4000U

static struct vdev_host host;
static struct vioapic ioapic;

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vioapic_init(&ioapic, &host);
	return 0;
}

static uint32_t rd(uint8_t number)
{
	uint64_t value;

	vioapic_mmio_write(&ioapic, 0, 4, number);
	vioapic_mmio_read(&ioapic, 0x10, 4, &value);
	return (uint32_t)value;
}

static void wr(uint8_t number, uint32_t value)
{
	vioapic_mmio_write(&ioapic, 0, 4, number);
	vioapic_mmio_write(&ioapic, 0x10, 4, value);
}

static void set_entry(unsigned int pin, uint32_t low, uint8_t destination)
{
	wr((uint8_t)(0x11 + 2 * pin), (uint32_t)destination << 24);
	wr((uint8_t)(0x10 + 2 * pin), low);
}

static void registers(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(rd(1), 0x00170020);
	wr(1, 0);
	assert_int_equal(rd(1), 0x00170020);
	wr(0, 0xffffffff);
	assert_int_equal(rd(0), 0x0f000000);
	for (unsigned int pin = 0; pin < 24; pin++) {
		assert_int_equal(rd((uint8_t)(0x10 + 2 * pin)), MASKED);
		assert_int_equal(rd((uint8_t)(0x11 + 2 * pin)), 0);
	}
	/* Delivery status, remote IRR and reserved bits are not software's. */
	set_entry(5, 0xffffffff, 0xff);
	assert_int_equal(rd(0x1a), 0x1afff);
	assert_int_equal(rd(0x1b), 0xff000000);
	assert_int_equal(rd(0x40), 0);
	wr(0x40, 0xffffffff);
	assert_int_equal(rd(0xff), 0);
	vioapic_mmio_write(&ioapic, 0, 1, 1);
	vioapic_mmio_read(&ioapic, 0, 1, &value);
	assert_int_equal(value, 1);
	vioapic_mmio_read(&ioapic, 0x10, 2, &value); /* only 32 bits */
	assert_int_equal(value, 0);
	vioapic_mmio_read(&ioapic, 0x20, 4, &value);
	assert_int_equal(value, 0);
}

static void edge(void **state)
{
	(void)state;
	vioapic_set_pin(&ioapic, 4, true); /* masked: lost */
	set_entry(4, 0x831, 0x03);
	assert_int_equal(fake.message.count, 0);
	vioapic_set_pin(&ioapic, 4, true); /* no edge */
	assert_int_equal(fake.message.count, 0);
	vioapic_set_pin(&ioapic, 4, false);
	vioapic_set_pin(&ioapic, 4, true);
	assert_int_equal(fake.message.count, 1);
	assert_int_equal(fake.message.vector, 0x31);
	assert_int_equal(fake.message.destination, 3);
	assert_true(fake.message.logical);
	assert_false(fake.message.level);
	assert_int_equal(rd(0x18), 0x831); /* no remote IRR */
	vioapic_set_pin(&ioapic, 4, false);
	vioapic_set_pin(&ioapic, 4, true);
	assert_int_equal(fake.message.count, 2);
	vioapic_set_pin(&ioapic, 24, true); /* no such pin */
	vioapic_set_pin(&ioapic, 1000, true);
}

static void level(void **state)
{
	(void)state;
	vioapic_set_pin(&ioapic, 9, true);
	set_entry(9, LEVEL | MASKED | 0x50, 0);
	assert_int_equal(fake.message.count, 0);
	set_entry(9, LEVEL | 0x50, 0); /* unmasked while asserted */
	assert_int_equal(fake.message.count, 1);
	assert_true(fake.message.level);
	assert_int_equal(rd(0x22), LEVEL | REMOTE_IRR | 0x50);
	vioapic_set_pin(&ioapic, 9, false);
	vioapic_set_pin(&ioapic, 9, true); /* in service: held back */
	assert_int_equal(fake.message.count, 1);
	vioapic_eoi(&ioapic, 0x51); /* another vector */
	assert_int_equal(fake.message.count, 1);
	vioapic_eoi(&ioapic, 0x50); /* still asserted: again */
	assert_int_equal(fake.message.count, 2);
	vioapic_set_pin(&ioapic, 9, false);
	vioapic_mmio_write(&ioapic, 0x40, 4, 0x50); /* EOI register */
	assert_int_equal(fake.message.count, 2);
	assert_int_equal(rd(0x22), LEVEL | 0x50);
	/* Masked during service: the EOI sends nothing, unmasking does. */
	vioapic_set_pin(&ioapic, 9, true);
	assert_int_equal(fake.message.count, 3);
	set_entry(9, LEVEL | MASKED | 0x50, 0);
	vioapic_eoi(&ioapic, 0x50);
	assert_int_equal(fake.message.count, 3);
	set_entry(9, LEVEL | 0x50, 0);
	assert_int_equal(fake.message.count, 4);
	/* To edge and back drops remote IRR. */
	set_entry(9, 0x50, 0);
	assert_int_equal(rd(0x22), 0x50);
	set_entry(9, LEVEL | 0x50, 0);
	assert_int_equal(fake.message.count, 5);
}

static void delivery_modes(void **state)
{
	(void)state;
	for (unsigned int mode = 0; mode < 8; mode++) {
		bool sent = mode == 0 || mode == 1 || mode == 4;

		fake.message.count = 0;
		set_entry(7, mode << 8 | 0x60, 0);
		vioapic_set_pin(&ioapic, 7, true);
		vioapic_set_pin(&ioapic, 7, false);
		assert_int_equal(fake.message.count, sent);
		assert_true(!sent || fake.message.mode == mode);
	}
	set_entry(7, LEVEL | 0x460, 0); /* NMI has no remote IRR */
	vioapic_set_pin(&ioapic, 7, true);
	assert_int_equal(rd(0x1e) & REMOTE_IRR, 0);
}

static void random_poking(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		uint64_t r = fake_random();

		switch (r % 4) {
		case 0:
			vioapic_mmio_write(&ioapic, r >> 8 & 0xff0, 1U << (r >> 6 & 3), r >> 20);
			break;
		case 1:
			wr((uint8_t)(r >> 8), (uint32_t)(r >> 20));
			break;
		case 2:
			vioapic_set_pin(&ioapic, r >> 8 & 31, r >> 6 & 1);
			break;
		default:
			vioapic_eoi(&ioapic, (uint8_t)(r >> 8));
			vioapic_mmio_read(&ioapic, r >> 8 & 0xfff, 1U << (r >> 6 & 3), &value);
			break;
		}
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers), TEST(edge), TEST(level), TEST(delivery_modes), TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
