/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's small runtime: start, end, serial line, options. Polled and single-threaded;
 * usable from handlers.
 */
#include "tests/guests/common/guest.h"
#include "lib/string.h"
#include "tests/guests/common/apic.h"
#include "tests/guests/common/boot_info.h"
#include "tests/guests/common/io.h"

#define UART_IER (COM1 + 1)
#define UART_FCR (COM1 + 2)
#define UART_LCR (COM1 + 3)
#define UART_MCR (COM1 + 4)
#define UART_LSR (COM1 + 5)
#define LSR_DATA BIT(0)
#define LSR_THRE BIT(5)
#define LSR_POLLS 20000u /* then the byte is sent anyhow: never hangs on a broken line */

/* Called by start.asm. */
void guest_start(uint32_t magic, uint32_t info);

/* 115200 8n1, FIFOs on, interrupts off, no loopback. */
void serial_init(void)
{
	out8(UART_IER, 0);
	out8(UART_LCR, 0x80);
	out8(COM1, 1);
	out8(UART_IER, 0);
	out8(UART_LCR, 3);
	out8(UART_FCR, 7);
	out8(UART_MCR, 3);
}

static void serial_byte(char byte)
{
	for (unsigned int i = 0; i < LSR_POLLS && !(in8(UART_LSR) & LSR_THRE); i++) {
		pause();
	}
	out8(COM1, (uint8_t)byte);
}

void serial_write(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			serial_byte('\r');
		}
		serial_byte(*text);
	}
}

int serial_read(void)
{
	uint8_t status = in8(UART_LSR);
	return status != 0xff && (status & LSR_DATA) ? in8(COM1) : -1;
}

void print(const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	string_vformat(line, sizeof(line), format, args);
	va_end(args);
	serial_write(line);
}

void guest_exit(uint32_t status)
{
	out32(PORT_DEBUG_EXIT, status);
	/* Bochs on its own ends at this word; elsewhere nothing is at that port. */
	for (const char *c = "Shutdown"; *c; c++) {
		out8(0x8900, (uint8_t)*c);
	}
	for (;;) {
		asm volatile("cli; hlt");
	}
}

/* The text after `key` of the word that begins with it; NULL when there is none. */
static const char *find_option(const char *key)
{
	const char *word = guest_boot.cmdline;
	while (*word) {
		size_t length = strlen(key);
		if (string_starts_with(word, key) &&
		    (word[length] == '=' || word[length] == ' ' || !word[length])) {
			return word + length;
		}
		const char *space = strchr(word, ' ');
		if (!space) {
			break;
		}
		word = space + 1;
	}
	return NULL;
}

bool option_flag(const char *key)
{
	return find_option(key) != NULL;
}

bool option_text(const char *key, char *value, size_t size)
{
	const char *text = find_option(key);
	if (!text || *text != '=') {
		return false;
	}
	size_t length = 0;
	for (text++; text[length] && text[length] != ' ' && length + 1 < size; length++) {
		value[length] = text[length];
	}
	value[length] = 0;
	return true;
}

bool option_u64(const char *key, uint64_t *value)
{
	char text[32];
	if (!option_text(key, text, sizeof(text))) {
		return false;
	}
	if (!string_to_u64(text, value)) {
		print("guest: %s=%s is not a number\n", key, text);
		guest_exit(1);
	}
	return true;
}

void guest_start(uint32_t magic, uint32_t info)
{
	serial_init();
	trap_init(0);
	pic_mask_all();
	if (!boot_info_read(magic, info)) {
		print("guest: started by neither Multiboot 1 nor PVH (magic 0x%x)\n", magic);
		guest_exit(1);
	}
	guest_exit((uint32_t)guest_main());
}
