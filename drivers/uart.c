/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One 16550 of the host (PC16550D data sheet, "Registers"). Not the console: see console.c.
 * The idea: every wait is bounded, so that a port that is absent, or dies, costs bytes and
 * never the hypervisor.
 */
#include "drivers/uart.h"

#include "arch/x86/cpu.h"

/* Offsets from the port. The first two are the divisor while LCR_DLAB is set. */
enum uart_register {
	UART_DATA = 0,
	UART_IER = 1,
	UART_IIR = 2, /* read */
	UART_FCR = 2, /* write */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
};

#define IIR_NONE_PENDING BIT(0)
#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_CLEAR_TX BIT(2)
#define LCR_8N1 0x03
#define LCR_DLAB BIT(7)
#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT2 BIT(3) /* lets the interrupt line out of the chip on a PC */
#define MCR_LOOP BIT(4)
#define LSR_DATA_READY BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_THR_EMPTY BIT(5)
#define LSR_ALL_SENT BIT(6)

/* Reads of a status register before a wait is given up: a port read takes about 1 us. */
#define WAIT_READS 200000

static uint8_t reg_read(const struct uart *uart, enum uart_register reg)
{
	return inb((uint16_t)(uart->port + reg));
}

static void reg_write(const struct uart *uart, enum uart_register reg, uint64_t value)
{
	outb((uint16_t)(uart->port + reg), (uint8_t)value);
}

static bool wait_line_status(const struct uart *uart, uint64_t bit)
{
	for (unsigned int i = 0; i < WAIT_READS; i++) {
		if (reg_read(uart, UART_LSR) & bit) {
			return true;
		}
		__builtin_ia32_pause();
	}
	return false;
}

static void set_speed(const struct uart *uart, uint32_t speed)
{
	uint32_t divisor = UART_SPEED_MAX / speed;

	reg_write(uart, UART_LCR, LCR_DLAB | LCR_8N1);
	reg_write(uart, UART_DATA, divisor & 0xff);
	reg_write(uart, UART_IER, divisor >> 8);
	reg_write(uart, UART_LCR, LCR_8N1);
}

/* Sends a byte to the chip itself. An absent port reads as all ones and fails this. */
static bool loopback_works(const struct uart *uart)
{
	const uint8_t probe = 0xa5;
	bool works;

	reg_write(uart, UART_MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
	reg_write(uart, UART_FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
	reg_write(uart, UART_DATA, probe);
	works = wait_line_status(uart, LSR_DATA_READY) && reg_read(uart, UART_DATA) == probe;
	reg_write(uart, UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	return works;
}

/*
 * Sets up the 16550 at `port`: `speed` baud (a divisor of 115200), 8N1, FIFOs on,
 * interrupts off. -ENODEV when nothing there behaves like one; -EINVAL for a wrong speed.
 */
int uart_init(struct uart *uart, uint16_t port, uint32_t speed)
{
	if (speed == 0 || speed > UART_SPEED_MAX || UART_SPEED_MAX % speed != 0) {
		return -EINVAL;
	}
	uart->port = port;
	uart->overruns = 0;
	reg_write(uart, UART_IER, 0);
	/* At full speed, so that the test is short whatever speed was asked for. */
	set_speed(uart, UART_SPEED_MAX);
	if (!loopback_works(uart)) {
		return -ENODEV;
	}
	set_speed(uart, speed);
	/* Receive trigger of 1 byte: a typed character is seen at once. */
	reg_write(uart, UART_FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
	return 0;
}

/* True when the transmit FIFO is empty and UART_FIFO_SIZE bytes can be written. */
bool uart_tx_ready(struct uart *uart)
{
	return (reg_read(uart, UART_LSR) & LSR_THR_EMPTY) != 0;
}

/* Waits (bounded) until the last byte is on the line: before the chip is taken away. */
void uart_wait_idle(struct uart *uart)
{
	(void)wait_line_status(uart, LSR_ALL_SENT);
}

/* Writes as many of `count` bytes as fit now without waiting; returns how many. */
size_t uart_fill(struct uart *uart, const uint8_t *bytes, size_t count)
{
	size_t taken = MIN(count, (size_t)UART_FIFO_SIZE);

	if (taken == 0 || !uart_tx_ready(uart)) {
		return 0;
	}
	for (size_t i = 0; i < taken; i++) {
		reg_write(uart, UART_DATA, bytes[i]);
	}
	return taken;
}

/* Writes one byte, waiting (bounded) until it fits; a port that is stuck loses it. */
void uart_put(struct uart *uart, uint8_t byte)
{
	if (wait_line_status(uart, LSR_THR_EMPTY)) {
		reg_write(uart, UART_DATA, byte);
	}
}

/* Takes one received byte; false when there is none. Counts hardware overruns. */
bool uart_get(struct uart *uart, uint8_t *byte)
{
	uint8_t status = reg_read(uart, UART_LSR);

	/* All ones: the port has gone away. */
	if (status == 0xff || !(status & LSR_DATA_READY)) {
		return false;
	}
	if (status & LSR_OVERRUN) {
		uart->overruns++;
	}
	*byte = reg_read(uart, UART_DATA);
	return true;
}

/*
 * Enables exactly the interrupts of `sources`. Enabling UART_IRQ_TX while the FIFO is
 * empty raises one at once.
 */
void uart_set_interrupts(struct uart *uart, uint64_t sources)
{
	reg_write(uart, UART_IER, sources);
}

/*
 * True while the chip has an interrupt to report. Reading acknowledges the transmitter's,
 * and the modem's are read away here: they are never enabled, but a chip may insist.
 */
bool uart_irq_pending(struct uart *uart)
{
	bool pending = !(reg_read(uart, UART_IIR) & IIR_NONE_PENDING);

	if (pending) {
		(void)reg_read(uart, UART_MSR);
	}
	return pending;
}
