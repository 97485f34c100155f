/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One 16550 of the host: a port, 8N1, 16-byte FIFOs. It moves bytes and says what it can
 * take; buffering and policy belong to console.c. No locking: its user serialises.
 */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#include "lib/bits.h"
#include "lib/status.h"

#define UART_FIFO_SIZE 16
#define UART_SPEED_MAX 115200

/* Sources for uart_set_interrupts(), the bits of the interrupt enable register. */
#define UART_IRQ_RX BIT(0)
#define UART_IRQ_TX BIT(1)

struct uart {
	uint16_t port;
	uint64_t overruns; /* times that the receiver lost bytes in hardware */
};

int __must_check uart_init(struct uart *uart, uint16_t port, uint32_t speed);
bool uart_tx_ready(struct uart *uart);
void uart_wait_idle(struct uart *uart);
size_t uart_fill(struct uart *uart, const uint8_t *bytes, size_t count);
void uart_put(struct uart *uart, uint8_t byte);
bool uart_get(struct uart *uart, uint8_t *byte);
void uart_set_interrupts(struct uart *uart, uint64_t sources);
bool uart_irq_pending(struct uart *uart);

#endif
