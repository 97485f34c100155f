/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one ring in memory, one sink. Works before anything else does, since it needs
 * neither a console nor a clock: lines wait in the ring for the sink.
 */
#include "lib/log.h"

#include "lib/lock.h"
#include "lib/string.h"

#define LOG_SIZE (64 * KIB)
#define LINE_MAX 400

static uint8_t log_data[LOG_SIZE];
static struct ring ring = { log_data, LOG_SIZE, 0 };
static struct spinlock lock = SPINLOCK_INIT; /* guards the ring and the hooks */
static log_sink_fn *sink;
static log_clock_fn *clock;

static void write_line(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		ring_put(&ring, (uint8_t)text[i]);
	}
	if (sink) {
		sink(text, length);
	}
}

/* Ends the line that string_vformat() made, of `length` characters before it was cut. */
static size_t end_line(char *line, size_t length)
{
	if (length > LINE_MAX - 2) {
		memcpy(line + LINE_MAX - 5, "...", 3);
		length = LINE_MAX - 2;
	}
	line[length] = '\n';
	return length + 1;
}

void log_printf(const char *format, ...)
{
	char line[LINE_MAX];
	size_t length;
	uint64_t now;
	va_list args;

	now = clock ? clock() : 0;
	length = (size_t)string_format(line, sizeof(line), "[%5llu.%06llu] ",
				       (unsigned long long)(now / 1000000),
				       (unsigned long long)(now % 1000000));
	va_start(args, format);
	length += (size_t)string_vformat(line + length, sizeof(line) - length, format, args);
	va_end(args);
	length = end_line(line, length);

	spin_lock(&lock);
	write_line(line, length);
	spin_unlock(&lock);
}

void log_set_sink(log_sink_fn *fn)
{
	char line[128];
	size_t length = 0;
	uint64_t cursor = 0;
	uint8_t byte;

	spin_lock(&lock);
	sink = fn;
	while (sink && ring_get(&ring, &cursor, &byte, NULL)) {
		line[length++] = (char)byte;
		if (byte == '\n' || length == sizeof(line)) {
			sink(line, length);
			length = 0;
		}
	}
	spin_unlock(&lock);
}

void log_set_clock(log_clock_fn *fn)
{
	clock = fn;
}

const struct ring *log_ring(void)
{
	return &ring;
}
