/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/console.c over a 16550 that is a few variables: the functions of uart.h, faked. */
/* sources: drivers/console.c lib/string_util.c lib/printf.c lib/status.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/console.h"
#include "drivers/uart.h"

/* The fake: `ready` is an empty FIFO; what is sent and what was typed. */
static bool present;
static bool ready;
static char sent[512 * 1024];
static size_t sent_count;
static const char *typed;
static uint64_t sources;
static unsigned int interrupts;

int uart_init(struct uart *uart, uint16_t port, uint32_t speed)
{
	(void)speed;
	uart->port = port;
	uart->overruns = 3;
	return present ? 0 : -ENODEV;
}

bool uart_tx_ready(struct uart *uart)
{
	(void)uart;
	return ready;
}

void uart_wait_idle(struct uart *uart)
{
	(void)uart;
}

size_t uart_fill(struct uart *uart, const uint8_t *bytes, size_t count)
{
	(void)uart;
	if (!ready || count == 0) {
		return 0;
	}
	assert_true(count <= UART_FIFO_SIZE);
	memcpy(sent + sent_count, bytes, count);
	sent_count += count;
	ready = false;
	return count;
}

void uart_put(struct uart *uart, uint8_t byte)
{
	(void)uart;
	sent[sent_count++] = (char)byte;
}

bool uart_get(struct uart *uart, uint8_t *byte)
{
	(void)uart;
	if (!typed || *typed == '\0') {
		return false;
	}
	*byte = (uint8_t)*typed++;
	return true;
}

void uart_set_interrupts(struct uart *uart, uint64_t wanted)
{
	(void)uart;
	sources = wanted;
}

bool uart_irq_pending(struct uart *uart)
{
	(void)uart;
	if (interrupts == 0) {
		return false;
	}
	interrupts--;
	return true;
}

static int setup(void **state)
{
	struct console_config config = CONSOLE_DEFAULT;

	(void)state;
	present = true;
	ready = true;
	sent_count = 0;
	typed = NULL;
	sources = 0;
	interrupts = 0;
	memset(sent, 0, sizeof(sent));
	return console_init(&config);
}

static void test_parse_good(void **state)
{
	struct console_config config;

	(void)state;
	assert_int_equal(console_parse("com1", &config, NULL), 0);
	assert_int_equal(config.port, 0x3f8);
	assert_int_equal(config.speed, 115200);
	assert_int_equal(config.irq, 4);
	assert_int_equal(console_parse("com2,57600", &config, NULL), 0);
	assert_int_equal(config.port, 0x2f8);
	assert_int_equal(config.speed, 57600);
	assert_int_equal(config.irq, 3);
	assert_int_equal(console_parse("0x3f8,9600", &config, NULL), 0);
	assert_int_equal(config.irq, 4);
	assert_int_equal(config.speed, 9600);
	assert_int_equal(console_parse("0xe000", &config, NULL), 0);
	assert_int_equal(config.irq, CONSOLE_NO_IRQ);
}

static void test_parse_bad(void **state)
{
	static const char *const wrong[] = {
		"",	     "com",	    "com0",	   "com5",
		"com11",     ",9600",	    "com1,",	   "com1,0",
		"com1,9601", "com1,115201", "com1,fast",   "0",
		"0xfff9",    "65536",	    "0x3f8 ",	   "com1,9600,8n1",
		"COM1",	     "0x",	    "com1,230400", "0000000000000003f8",
	};
	struct console_config config = { 1, 2, 3 };
	struct error_text error;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		error.text[0] = '\0';
		assert_int_equal(console_parse(wrong[i], &config, &error), -EINVAL);
		assert_non_null(strstr(error.text, "console="));
		assert_non_null(strstr(error.text, "expected"));
	}
	assert_int_equal(config.port, 1);
	assert_int_equal(config.irq, 3);
}

static void test_polled_write_is_out_on_return(void **state)
{
	(void)state;
	console_write("one\ntwo", 7);
	assert_string_equal(sent, "one\r\ntwo");
	assert_int_equal(console_space(), CONSOLE_OUTPUT_SIZE);
}

static void test_interrupts_carry_the_rest(void **state)
{
	(void)state;
	console_start_interrupts();
	assert_int_equal(sources, UART_IRQ_RX);
	console_write("0123456789abcdefGHIJ", 20);
	assert_string_equal(sent, "0123456789abcdef");
	assert_int_equal(sources, UART_IRQ_RX | UART_IRQ_TX);
	assert_int_equal(console_space(), CONSOLE_OUTPUT_SIZE - 4);
	ready = true;
	interrupts = 1;
	console_irq();
	assert_string_equal(sent, "0123456789abcdefGHIJ");
	assert_int_equal(sources, UART_IRQ_RX);
}

static void test_full_ring_loses_nothing(void **state)
{
	static char text[CONSOLE_OUTPUT_SIZE + 1000];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 23);
	}
	console_start_interrupts();
	ready = false;
	console_write(text, sizeof(text));
	assert_true(console_space() < UART_FIFO_SIZE);
	console_flush_polled();
	assert_int_equal(sent_count, sizeof(text));
	assert_memory_equal(sent, text, sizeof(text));
	assert_int_equal(sources, 0);
}

static void test_panic_comes_after_what_was_queued(void **state)
{
	(void)state;
	console_start_interrupts();
	ready = false;
	console_write("queued ", 7);
	assert_int_equal(sent_count, 0);
	console_write_polled("panic", 5);
	assert_string_equal(sent, "queued panic");
}

static void test_input_in_order(void **state)
{
	(void)state;
	assert_int_equal(console_getc(), -1);
	console_start_interrupts();
	typed = "ab";
	interrupts = 1;
	console_irq();
	typed = "c"; /* without an interrupt: seen when the ring is empty */
	assert_int_equal(console_getc(), 'a');
	assert_int_equal(console_getc(), 'b');
	assert_int_equal(console_getc(), 'c');
	assert_int_equal(console_getc(), -1);
}

static void test_input_overflow_is_counted(void **state)
{
	static char text[CONSOLE_INPUT_SIZE + 11];
	struct console_stats stats;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	typed = text;
	console_start_interrupts();
	interrupts = 2;
	console_irq();
	assert_int_equal(console_getc(), 'x');
	console_get_stats(&stats);
	assert_int_equal(stats.input_lost, 10);
	assert_int_equal(stats.overruns, 3);
}

static void test_a_noisy_chip_is_left_alone(void **state)
{
	(void)state;
	console_start_interrupts();
	interrupts = 1000000;
	console_irq();
	assert_true(interrupts > 0);
}

static void test_absent_port_does_nothing(void **state)
{
	struct console_config config = CONSOLE_DEFAULT;

	(void)state;
	present = false;
	assert_int_equal(console_init(&config), -ENODEV);
	console_write("text", 4);
	console_start_interrupts();
	interrupts = 1;
	console_irq();
	console_flush_polled();
	assert_int_equal(sent_count, 0);
	assert_int_equal(console_getc(), -1);
	assert_int_equal(console_space(), CONSOLE_OUTPUT_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_good),
		cmocka_unit_test(test_parse_bad),
		cmocka_unit_test_setup(test_polled_write_is_out_on_return, setup),
		cmocka_unit_test_setup(test_interrupts_carry_the_rest, setup),
		cmocka_unit_test_setup(test_full_ring_loses_nothing, setup),
		cmocka_unit_test_setup(test_panic_comes_after_what_was_queued, setup),
		cmocka_unit_test_setup(test_input_in_order, setup),
		cmocka_unit_test_setup(test_input_overflow_is_counted, setup),
		cmocka_unit_test_setup(test_a_noisy_chip_is_left_alone, setup),
		cmocka_unit_test_setup(test_absent_port_does_nothing, setup),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
