/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's console: one serial line, text out and bytes in. Machine-owned; used by one
 * CPU, with host interrupts off (the CPU loop's windows only ever reach console_irq()).
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

#include "lib/bits.h"
#include "lib/status.h"

#define CONSOLE_OUTPUT_SIZE (128 * KIB)
#define CONSOLE_INPUT_SIZE (1 * KIB)
#define CONSOLE_NO_IRQ (-1)

/* Where the line is: the meaning of console=... on the command line. */
struct console_config {
	uint16_t port;
	uint32_t speed;
	int irq; /* ISA interrupt, or CONSOLE_NO_IRQ when the port has no customary one */
};

struct console_stats {
	uint64_t output_polled; /* bytes that were waited for because the ring was full */
	uint64_t input_lost;	/* received bytes that nobody fetched in time */
	uint64_t overruns;	/* times that the chip itself lost received bytes */
};

/* What holds when the command line says nothing: COM1 at 115200. */
#define CONSOLE_DEFAULT ((struct console_config){ 0x3f8, 115200, 4 })

int __must_check console_parse(const char *value, struct console_config *config,
			       struct error_text *error);
int __must_check console_init(const struct console_config *config);
void console_start_interrupts(void);
bool console_has_interrupt(void);
void console_write(const char *text, size_t length);
size_t console_space(void);
int console_getc(void);
void console_irq(void);
void console_flush_polled(void);
void console_write_polled(const char *text, size_t length);
void console_get_stats(struct console_stats *stats);

#endif
