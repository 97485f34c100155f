/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A by its data sheet, and the probing sequence of Linux's 8250 driver. */
/* sources: hv/vdev/vuart.c hv/vdev/bus.c lib/mul_div.c */
#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vuart.h"

#define DATA 0x3f8
#define IER 0x3f9
#define IIR 0x3fa
#define FCR 0x3fa
#define LCR 0x3fb
#define MCR 0x3fc
#define LSR 0x3fd
#define MSR 0x3fe
#define SCR 0x3ff

#define OUT2 0x08
#define LOOP 0x10

static struct vdev_host host;
static struct vuart uart;

static int setup(void **state)
{
	(void)state;
	host = fake_start();
	vuart_init(&uart, &host);
	assert_int_equal(vuart_attach(&uart, &fake.ports), 0);
	return 0;
}

static void after_reset(void **state)
{
	(void)state;
	assert_int_equal(in8(IER), 0);
	assert_int_equal(in8(IIR), 0x01);
	assert_int_equal(in8(LCR), 0);
	assert_int_equal(in8(MCR), 0);
	assert_int_equal(in8(LSR), 0x60);
	assert_int_equal(in8(MSR), 0xb0);
}

static void output_and_divisor(void **state)
{
	(void)state;
	out8(LCR, 0x83);
	out8(DATA, 0x01);
	out8(IER, 0x02);
	assert_int_equal(in8(DATA), 0x01);
	assert_int_equal(in8(IER), 0x02);
	out8(LCR, 0x03);
	assert_int_equal(fake.output_count, 0);
	assert_int_equal(in8(IER), 0);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(in8(LSR) & 0x60, 0x60);
		out8(DATA, (uint8_t) "hello"[i]);
	}
	assert_int_equal(fake.output_count, 5);
	assert_memory_equal(fake.output, "hello", 5);
	out8(SCR, 0x5a);
	assert_int_equal(in8(SCR), 0x5a);
}

static void input_without_fifo(void **state)
{
	(void)state;
	out8(MCR, OUT2);
	out8(IER, 0x01);
	assert_true(vuart_input(&uart, 'a'));
	assert_true(fake.irq[4]);
	assert_int_equal(in8(IIR), 0x04);
	assert_false(vuart_input(&uart, 'b'));
	assert_int_equal(in8(LSR), 0x61);
	assert_int_equal(in8(DATA), 'a');
	assert_false(fake.irq[4]);
	assert_int_equal(in8(LSR), 0x60);
	assert_int_equal(in8(IIR), 0x01);
	assert_true(vuart_input(&uart, 'b'));
	assert_int_equal(in8(DATA), 'b');
}

static void fifo_and_trigger(void **state)
{
	(void)state;
	out8(MCR, OUT2);
	out8(IER, 0x01);
	out8(FCR, 0x81); /* trigger at 8 */
	for (unsigned int i = 0; i < 16; i++) {
		assert_true(vuart_input(&uart, (uint8_t)('a' + i)));
		assert_true(fake.irq[4]);
		assert_int_equal(in8(IIR), i + 1 < 8 ? 0xcc : 0xc4);
	}
	assert_false(vuart_input(&uart, 'x'));
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(in8(LSR), 0x61);
		assert_int_equal(in8(DATA), 'a' + i);
	}
	assert_int_equal(in8(LSR), 0x60);
	assert_false(fake.irq[4]);
	assert_int_equal(in8(IIR), 0xc1);
	/* Clearing the receiver, and switching FIFOs, lose what is in it. */
	assert_true(vuart_input(&uart, 'y'));
	out8(FCR, 0x83);
	assert_int_equal(in8(LSR), 0x60);
	assert_true(vuart_input(&uart, 'y'));
	out8(FCR, 0x00);
	assert_int_equal(in8(LSR), 0x60);
	assert_int_equal(in8(IIR), 0x01);
}

static void overrun_in_loopback(void **state)
{
	(void)state;
	out8(FCR, 0x01);
	out8(IER, 0x04);
	out8(MCR, LOOP);
	for (unsigned int i = 0; i < 17; i++) {
		out8(DATA, (uint8_t)i);
	}
	assert_int_equal(fake.output_count, 0);
	assert_false(fake.irq[4]); /* OUT2 is off in loopback */
	assert_int_equal(in8(IIR), 0xc6);
	assert_int_equal(in8(LSR), 0x63);
	assert_int_equal(in8(LSR), 0x61); /* cleared by the read */
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(in8(DATA), i);
	}
	assert_false(vuart_input(&uart, 'a')); /* the cable is off */
	/* Without FIFO the newcomer wins. */
	out8(FCR, 0x00);
	out8(DATA, 1);
	out8(DATA, 2);
	assert_int_equal(in8(LSR), 0x63);
	assert_int_equal(in8(DATA), 2);
}

static void transmitter_interrupt(void **state)
{
	(void)state;
	out8(MCR, OUT2);
	out8(IER, 0x02); /* enabling with an empty transmitter: at once */
	assert_true(fake.irq[4]);
	assert_int_equal(in8(IIR), 0x02);
	assert_false(fake.irq[4]); /* the read of IIR clears it */
	assert_int_equal(in8(IIR), 0x01);
	out8(IER, 0x02); /* no change, no interrupt */
	assert_false(fake.irq[4]);
	out8(DATA, 'x'); /* sent at once: empty again */
	assert_true(fake.irq[4]);
	assert_int_equal(in8(IIR), 0x02);
	out8(IER, 0x00);
	out8(IER, 0x02);
	assert_true(fake.irq[4]);
	out8(IER, 0x00);
	assert_false(fake.irq[4]);
	/* It is not cleared by reading IIR while something more urgent is reported. */
	out8(IER, 0x03);
	assert_true(vuart_input(&uart, 'a'));
	assert_int_equal(in8(IIR), 0x04);
	(void)in8(DATA);
	assert_int_equal(in8(IIR), 0x02);
	assert_int_equal(in8(IIR), 0x01);
}

static void modem_status(void **state)
{
	(void)state;
	out8(IER, 0x08);
	out8(MCR, LOOP); /* all lines fall */
	assert_int_equal(in8(IIR), 0x00);
	assert_int_equal(in8(MSR), 0x0b);
	assert_int_equal(in8(MSR), 0x00);
	assert_int_equal(in8(IIR), 0x01);
	out8(MCR, LOOP | 0x01);
	assert_int_equal(in8(MSR), 0x22); /* DSR */
	out8(MCR, LOOP | 0x02);
	assert_int_equal(in8(MSR), 0x13); /* CTS, DSR fell */
	out8(MCR, LOOP | 0x04);
	assert_int_equal(in8(MSR), 0x41); /* RI rising: no delta of its own */
	out8(MCR, LOOP | 0x08);
	assert_int_equal(in8(MSR), 0x8c); /* its trailing edge; DCD */
}

static void out2_gates_the_line(void **state)
{
	(void)state;
	out8(IER, 0x01);
	assert_true(vuart_input(&uart, 'a'));
	assert_false(fake.irq[4]);
	out8(MCR, OUT2);
	assert_true(fake.irq[4]);
	out8(MCR, OUT2 | LOOP);
	assert_false(fake.irq[4]);
}

/* The steps of autoconfig() for a port that ends as a 16550A. */
static void linux_autoconfig(void **state)
{
	unsigned int count = 0;

	(void)state;
	out8(IER, 0x00);
	assert_int_equal(in8(IER), 0x00);
	out8(IER, 0xff);
	assert_int_equal(in8(IER), 0x0f); /* neither TI's nor Intel's extra bits */
	out8(IER, 0x00);
	out8(MCR, LOOP | 0x0a);
	assert_int_equal(in8(MSR) & 0xf0, 0x90);
	out8(MCR, 0x00);
	out8(LCR, 0xbf);
	out8(FCR, 0x00);
	out8(LCR, 0x00);
	out8(FCR, 0x01);
	assert_int_equal(in8(IIR) >> 6, 3); /* a 16550A or better */
	out8(LCR, 0x80);
	assert_int_not_equal(in8(IIR), 0); /* no EFR of a 16650 */
	out8(LCR, 0xbf);
	assert_int_not_equal(in8(IIR), 0);
	out8(LCR, 0x00);
	/* 64-byte FIFO of a 16750: bit 5 of the FCR would show in the IIR. */
	out8(FCR, 0x21);
	assert_int_equal(in8(IIR) >> 5, 6);
	out8(LCR, 0x80);
	out8(FCR, 0x21);
	assert_int_equal(in8(IIR) >> 5, 6);
	out8(LCR, 0x00);
	/* size_fifo(): 256 bytes in loopback. */
	out8(FCR, 0x07);
	out8(MCR, LOOP);
	for (unsigned int i = 0; i < 256; i++) {
		out8(DATA, (uint8_t)i);
	}
	for (; (in8(LSR) & 1) != 0 && count < 256; count++) {
		assert_int_equal(in8(DATA), count);
	}
	assert_int_equal(count, 16);
	assert_int_equal(fake.output_count, 0);
}

/* The tests of serial8250_do_startup(): is THRE raised again, is it raised at all? */
static void linux_startup(void **state)
{
	uint8_t first;
	uint8_t second;

	(void)state;
	out8(FCR, 0x07);
	out8(FCR, 0x00);
	assert_int_not_equal(in8(LSR), 0xff);
	out8(MCR, OUT2);
	out8(IER, 0x02);
	first = in8(IIR);
	out8(IER, 0x00);
	out8(IER, 0x02);
	second = in8(IIR);
	out8(IER, 0x00);
	assert_int_equal(first & 1, 0);
	assert_int_equal(second & 1, 0);
	out8(IER, 0x02);
	assert_int_equal(in8(LSR) & 0x40, 0x40);
	assert_int_equal(in8(IIR) & 1, 0);
	out8(IER, 0x05);
	assert_int_equal(in8(IIR), 1);
	assert_false(fake.irq[4]);
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
		fake_poke(0x3f8, 8, ignore_timer, NULL);
		for (unsigned int k = 0; k < 100; k++) {
			(void)vuart_input(&uart, (uint8_t)k);
		}
		assert_in_range(uart.fifo_count, 0, VUART_FIFO_SIZE);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_reset),	TEST(output_and_divisor),  TEST(input_without_fifo),
		TEST(fifo_and_trigger), TEST(overrun_in_loopback), TEST(transmitter_interrupt),
		TEST(modem_status),	TEST(out2_gates_the_line), TEST(linux_autoconfig),
		TEST(linux_startup),	TEST(random_poking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
