/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1 of a partition: a 16550A at 0x3f8 on IRQ 4, with a cable to a terminal that is always
 * there (CTS, DSR, DCD). Bytes leave at once, so the transmitter is always empty; bytes come
 * in through vuart_input(), which refuses while the receiver is full, so none is ever lost
 * from outside. Speed and format are kept but mean nothing.
 */
#ifndef HV_VDEV_VUART_H
#define HV_VDEV_VUART_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

#define VUART_PORT 0x3f8
#define VUART_IRQ 4
#define VUART_FIFO_SIZE 16

struct vuart {
	struct vdev_host *host;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t lsr;	   /* the error bits; the rest follows from the state */
	uint8_t msr_delta; /* bits 3:0 of the MSR */
	uint8_t scratch;
	uint16_t divisor;
	bool thre_pending; /* the transmitter-empty interrupt is due */
	bool irq;	   /* level given to the host */
	uint8_t fifo[VUART_FIFO_SIZE];
	uint8_t fifo_first;
	uint8_t fifo_count;
};

void vuart_init(struct vuart *vuart, struct vdev_host *host);
int __must_check vuart_attach(struct vuart *vuart, struct bus *ports);

/* A byte for the guest. False when the receiver is full or looped back: try again later. */
bool vuart_input(struct vuart *vuart, uint8_t byte);

#endif
