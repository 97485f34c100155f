/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259A pair by its data sheet, programmed through its ports as a PC does. */
/* sources: hv/vdev/vpic.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vpic.h"

#define EOI 0x20
#define ROTATE_EOI 0xa0
#define SPECIFIC_EOI 0x60

static struct vdev_host host;
static struct vpic pic;

static void program(uint8_t icw4)
{
	out8(0x20, 0x11);
	out8(0x21, 0x30);
	out8(0x21, 0x04);
	out8(0x21, icw4);
	out8(0xa0, 0x11);
	out8(0xa1, 0x38);
	out8(0xa1, 0x02);
	out8(0xa1, icw4);
}

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vpic_init(&pic, &host);
	assert_int_equal(vpic_attach(&pic, &fake.ports), 0);
	program(1);
	return 0;
}

static void pulse(unsigned int irq)
{
	vpic_set_irq(&pic, irq, false);
	vpic_set_irq(&pic, irq, true);
}

/* INTR, the peek and INTA agree on `vector`. */
static void expect_intack(int vector)
{
	assert_true(fake.intr);
	assert_int_equal(vpic_pending_vector(&pic), vector);
	assert_int_equal(vpic_pending_vector(&pic), vector);
	assert_int_equal(vpic_intack(&pic), vector);
}

static void expect_quiet(void)
{
	assert_false(fake.intr);
	assert_int_equal(vpic_pending_vector(&pic), -1);
}

static void as_firmware_leaves_it(void **state)
{
	(void)state;
	host = fake_start();
	vpic_init(&pic, &host);
	assert_int_equal(vpic_attach(&pic, &fake.ports), 0);
	assert_int_equal(in8(0x21), 0xff);
	assert_int_equal(in8(0xa1), 0xff);
	assert_int_equal(in8(0x4d1), 0x02);
	pulse(0);
	pulse(8);
	expect_quiet();
	out8(0x21, 0xfa);
	expect_intack(0x08);
	out8(0x20, EOI);
	out8(0xa1, 0xfe);
	expect_intack(0x70);
}

static void fully_nested(void **state)
{
	(void)state;
	pulse(4);
	pulse(1);
	pulse(6);
	assert_int_equal(in8(0x20), 0x52); /* IRR */
	expect_intack(0x31);
	expect_quiet(); /* lower ones wait */
	pulse(0);
	expect_intack(0x30); /* higher ones do not */
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0x03); /* ISR */
	out8(0x20, 0x0a);
	assert_int_equal(in8(0x20), 0x50);
	out8(0x20, EOI);
	expect_quiet();
	out8(0x20, SPECIFIC_EOI | 1);
	expect_intack(0x34);
	out8(0x20, EOI);
	expect_intack(0x36);
	out8(0x20, EOI);
	expect_quiet();
}

static void cascade(void **state)
{
	(void)state;
	pulse(12);
	pulse(9);
	pulse(3);
	vpic_set_irq(&pic, 9, false); /* level by default: gone with its line */
	vpic_set_irq(&pic, 2, true);  /* no such input */
	expect_intack(0x3c);	      /* IR2 goes before IR3 */
	pulse(8);
	expect_quiet(); /* the slave's IR0 is blocked by the master's ISR 2 */
	out8(0xa0, EOI);
	expect_quiet();
	out8(0x20, EOI);
	expect_intack(0x38);
	out8(0xa0, EOI);
	out8(0x20, EOI);
	expect_intack(0x33);
}

static void special_fully_nested(void **state)
{
	(void)state;
	program(0x11);
	pulse(12);
	expect_intack(0x3c);
	pulse(13);
	expect_quiet();
	pulse(8);
	expect_intack(0x38);
	pulse(1);
	expect_intack(0x31);
}

static void spurious(void **state)
{
	(void)state;
	pulse(5);
	vpic_set_irq(&pic, 5, false); /* gone before INTA */
	expect_quiet();
	assert_int_equal(vpic_intack(&pic), 0x37);
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0); /* nothing in service */
	/* On the slave: the master's IR2 is in service, the slave's IR7 not. */
	pulse(14);
	expect_intack(0x3e);
	out8(0xa0, 0x0b);
	assert_int_equal(in8(0xa0), 0x40);
}

static void masks(void **state)
{
	(void)state;
	out8(0x21, 0x10);
	assert_int_equal(in8(0x21), 0x10);
	pulse(4);
	expect_quiet();
	out8(0x21, 0);
	expect_intack(0x34);
	/* Special mask mode: a masked input in service blocks nobody, EOI leaves it. */
	out8(0x21, 0x10);
	pulse(6);
	expect_quiet();
	out8(0x20, 0x68);
	expect_intack(0x36);
	out8(0x20, EOI);
	out8(0x20, EOI);
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0x10);
	out8(0x20, SPECIFIC_EOI | 4);
	assert_int_equal(in8(0x20), 0);
	out8(0x20, 0x48); /* off again */
	pulse(3);
	expect_intack(0x33);
}

static void rotation(void **state)
{
	(void)state;
	pulse(0);
	pulse(1);
	expect_intack(0x30);
	out8(0x20, ROTATE_EOI); /* 0 is the lowest now */
	pulse(0);
	expect_intack(0x31);
	out8(0x20, 0xe1); /* rotate on specific EOI 1: 2 is the highest, 1 the lowest */
	pulse(1);
	expect_intack(0x30);
	out8(0x20, EOI);
	expect_intack(0x31);
	out8(0x20, EOI);
	out8(0x20, 0xc5); /* set priority: 6 is the highest */
	pulse(5);
	pulse(7);
	pulse(6);
	expect_intack(0x36);
	out8(0x20, EOI);
	expect_intack(0x37);
	out8(0x20, EOI);
	expect_intack(0x35);
}

static void automatic_eoi(void **state)
{
	(void)state;
	program(3);
	pulse(4);
	pulse(1);
	expect_intack(0x31);
	expect_intack(0x34);
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0);
	out8(0x20, 0x80); /* rotate in automatic EOI mode */
	pulse(1);
	expect_intack(0x31);
	pulse(1);
	pulse(7);
	expect_intack(0x37);
	expect_intack(0x31);
}

static void poll(void **state)
{
	(void)state;
	pulse(5);
	out8(0x20, 0x0c);
	assert_int_equal(in8(0x20), 0x85);
	expect_quiet();
	assert_int_equal(in8(0x20), 0); /* an ordinary read again: IRR */
	out8(0x20, 0x0c);
	assert_int_equal(in8(0x20), 0);
	out8(0x20, 0x0b);
	assert_int_equal(in8(0x20), 0x20);
}

static void level_triggered(void **state)
{
	(void)state;
	out8(0x4d0, 0xff);
	out8(0x4d1, 0xff);
	assert_int_equal(in8(0x4d0), 0xf8); /* 0, 1, 2, 8 and 13 cannot */
	assert_int_equal(in8(0x4d1), 0xde);
	vpic_set_irq(&pic, 5, true);
	expect_intack(0x35);
	out8(0x20, EOI);
	expect_intack(0x35); /* still asserted */
	vpic_set_irq(&pic, 5, false);
	out8(0x20, EOI);
	expect_quiet();
	vpic_set_irq(&pic, 1, true); /* edge */
	expect_intack(0x31);
	out8(0x20, EOI);
	expect_quiet();
	vpic_set_irq(&pic, 1, true);
	expect_quiet();
}

static void initialisation(void **state)
{
	(void)state;
	out8(0x21, 0xff);
	vpic_set_irq(&pic, 1, true);
	out8(0x20, 0x13); /* single: no ICW3 */
	out8(0x21, 0x50);
	out8(0x21, 0x01);
	assert_int_equal(in8(0x21), 0); /* mask cleared; the next write is OCW1 */
	out8(0x21, 0x02);
	assert_int_equal(in8(0x21), 2);
	out8(0x21, 0);
	expect_quiet(); /* the old edge is forgotten */
	pulse(1);
	expect_intack(0x51);
	out8(0x20, 0x12); /* no ICW4 either */
	out8(0x21, 0x60);
	pulse(1);
	expect_intack(0x61);
	out8(0x20, 0x11); /* halfway: silent */
	out8(0x21, 0x30);
	pulse(1);
	expect_quiet();
	out8(0x21, 0x04);
	out8(0x21, 0x01);
	expect_intack(0x31);
}

static void ignore_timer(void *device, enum vtimer timer)
{
	(void)device;
	(void)timer;
}

static void random_poking(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		fake_poke(0x20, 2, ignore_timer, NULL);
		fake_poke(0xa0, 2, ignore_timer, NULL);
		for (unsigned int k = 0; k < 200; k++) {
			int vector;

			vpic_set_irq(&pic, (unsigned int)(fake_random() % 20), fake_random() % 2);
			vector = vpic_pending_vector(&pic);
			assert_true((vector >= 0) == fake.intr);
			if (vector >= 0) {
				assert_int_equal(vpic_intack(&pic), vector);
			}
			out8(0x4d0, (uint8_t)fake_random());
		}
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_firmware_leaves_it),
		TEST(fully_nested),
		TEST(cascade),
		TEST(special_fully_nested),
		TEST(spurious),
		TEST(masks),
		TEST(rotation),
		TEST(automatic_eoi),
		TEST(poll),
		TEST(level_triggered),
		TEST(initialisation),
		TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
