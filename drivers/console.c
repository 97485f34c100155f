/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's console over one 16550. Output goes through a ring: at boot and in a panic
 * it is drained by polling, after console_start_interrupts() by the transmitter's
 * interrupt. The idea: the hypervisor's text is never lost (a full ring is drained by
 * waiting), and a guest's need never wait (its writer looks at console_space() first).
 *
 *     console_write -> output ring -> FIFO (16) -> line -> input ring -> console_getc
 */
#include "drivers/console.h"

#include "drivers/uart.h"
#include "lib/ring.h"
#include "lib/string.h"

/* Bound on one visit of the handler: a chip that never falls silent must not hold the CPU. */
#define IRQ_ROUNDS_MAX 64

static uint8_t output_data[CONSOLE_OUTPUT_SIZE];
static uint8_t input_data[CONSOLE_INPUT_SIZE];

static struct {
	bool present;
	bool interrupts;
	struct uart uart;
	struct ring output;
	struct ring input;
	uint64_t output_cursor; /* next byte of `output` for the FIFO; never overtaken */
	uint64_t input_cursor;	/* next byte of `input` for console_getc() */
	struct console_stats stats;
} console;

static size_t output_pending(void)
{
	return (size_t)(console.output.head - console.output_cursor);
}

/*
 * Parses "com1".."com4" or a port number, optionally followed by ",SPEED". Fills `config`
 * only when all of it is right; else -EINVAL and a message that quotes the value.
 */
int console_parse(const char *value, struct console_config *config, struct error_text *error)
{
	static const struct console_config known[] = {
		{ 0x3f8, UART_SPEED_MAX, 4 },
		{ 0x2f8, UART_SPEED_MAX, 3 },
		{ 0x3e8, UART_SPEED_MAX, 4 },
		{ 0x2e8, UART_SPEED_MAX, 3 },
	};
	struct console_config found = { 0, UART_SPEED_MAX, CONSOLE_NO_IRQ };
	const char *comma = strchr(value, ',');
	size_t port_length = comma ? (size_t)(comma - value) : strlen(value);
	char port[16];
	uint64_t number;

	if (port_length >= sizeof(port)) {
		return error_set(error, -EINVAL, "console=%.32s: expected com1..com4 or a port",
				 value);
	}
	memcpy(port, value, port_length);
	port[port_length] = '\0';
	if (string_starts_with(port, "com") && port_length == 4 && port[3] >= '1' &&
	    port[3] <= '4') {
		number = known[port[3] - '1'].port;
	} else if (!string_to_u64(port, &number) || number == 0 || number > 0xfff8) {
		return error_set(error, -EINVAL,
				 "console=%.32s: expected com1..com4 or a port such as 0x3f8",
				 value);
	}
	found.port = (uint16_t)number;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		if (known[i].port == found.port) {
			found.irq = known[i].irq;
		}
	}
	if (comma) {
		if (!string_to_u64(comma + 1, &number) || number == 0 || number > UART_SPEED_MAX ||
		    UART_SPEED_MAX % number != 0) {
			return error_set(error, -EINVAL,
					 "console=%.32s: expected a speed that divides %u", value,
					 UART_SPEED_MAX);
		}
		found.speed = (uint32_t)number;
	}
	*config = found;
	return 0;
}

/*
 * Opens the line, polled. -ENODEV when no 16550 answers: then every other function here
 * does nothing, and console_space() is the whole ring.
 */
int console_init(const struct console_config *config)
{
	int status = uart_init(&console.uart, config->port, config->speed);

	ring_init(&console.output, output_data, sizeof(output_data));
	ring_init(&console.input, input_data, sizeof(input_data));
	console.output_cursor = 0;
	console.input_cursor = 0;
	console.stats = (struct console_stats){ 0 };
	console.interrupts = false;
	console.present = status == 0;
	return status;
}

/* Moves bytes from the ring to an empty FIFO, and asks for an interrupt if any remain. */
static void pump_output(void)
{
	uint8_t burst[UART_FIFO_SIZE];
	size_t count = 0;
	uint64_t cursor = console.output_cursor;

	while (count < sizeof(burst) && ring_get(&console.output, &cursor, &burst[count], NULL)) {
		count++;
	}
	console.output_cursor += uart_fill(&console.uart, burst, count);
}

static void update_interrupts(void)
{
	if (console.interrupts) {
		uart_set_interrupts(&console.uart,
				    UART_IRQ_RX | (output_pending() > 0 ? UART_IRQ_TX : 0));
	}
}

/* Waits until at most `left` bytes are in the ring. */
static void drain_polled(size_t left)
{
	uint8_t byte;

	while (output_pending() > left &&
	       ring_get(&console.output, &console.output_cursor, &byte, NULL)) {
		uart_put(&console.uart, byte);
	}
}

static void put_output(uint8_t byte)
{
	if (output_pending() == console.output.size) {
		drain_polled(console.output.size - UART_FIFO_SIZE);
		console.stats.output_polled += UART_FIFO_SIZE;
	}
	ring_put(&console.output, byte);
}

/*
 * From now on the ring is drained by interrupts, and input is received: the caller has
 * routed the line's interrupt to console_irq().
 */
void console_start_interrupts(void)
{
	if (!console.present) {
		return;
	}
	console.interrupts = true;
	update_interrupts();
}

/* False while, or because, output and input are polled: somebody must then look in time. */
bool console_has_interrupt(void)
{
	return console.interrupts;
}

/*
 * Writes `length` bytes of text, a carriage return before each newline. Before
 * console_start_interrupts() it returns when the chip has them; after it, at once, unless
 * the ring is full: then it waits for the line, so a guest's writer asks console_space().
 */
void console_write(const char *text, size_t length)
{
	if (!console.present) {
		return;
	}
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n') {
			put_output('\r');
		}
		put_output((uint8_t)text[i]);
	}
	if (!console.interrupts) {
		drain_polled(0);
		return;
	}
	pump_output();
	update_interrupts();
}

/* Bytes that console_write() takes without waiting; a newline needs two. */
size_t console_space(void)
{
	return console.present ? console.output.size - output_pending() : CONSOLE_OUTPUT_SIZE;
}

static void drain_input(void)
{
	uint8_t byte;

	/* Bounded by the ring: more than it holds would only be lost. */
	for (size_t i = 0; i < CONSOLE_INPUT_SIZE && uart_get(&console.uart, &byte); i++) {
		ring_put(&console.input, byte);
	}
}

/*
 * The next received byte, or -1. Without interrupts (or when one was missed) it looks at
 * the chip itself, so it also works at boot.
 */
int console_getc(void)
{
	uint8_t byte;

	if (!console.present) {
		return -1;
	}
	if (console.input_cursor == console.input.head) {
		drain_input();
	}
	if (!ring_get(&console.input, &console.input_cursor, &byte, &console.stats.input_lost)) {
		return -1;
	}
	return byte;
}

/* The line's interrupt: receives, sends on, until the chip has nothing to report. */
void console_irq(void)
{
	if (!console.present) {
		return;
	}
	for (unsigned int i = 0; i < IRQ_ROUNDS_MAX && uart_irq_pending(&console.uart); i++) {
		drain_input();
		pump_output();
	}
	update_interrupts();
}

/*
 * Before the end of the machine: sends all that is in the ring, by polling, and stays
 * polled. Takes no lock and may interrupt any other function here.
 */
void console_flush_polled(void)
{
	if (!console.present) {
		return;
	}
	console.interrupts = false;
	uart_set_interrupts(&console.uart, 0);
	drain_polled(0);
	uart_wait_idle(&console.uart);
}

/* What a panic writes with: first what is in the ring, then `text`, all of it polled. */
void console_write_polled(const char *text, size_t length)
{
	console_flush_polled();
	console_write(text, length);
}

void console_get_stats(struct console_stats *stats)
{
	*stats = console.stats;
	stats->overruns = console.uart.overruns;
}
