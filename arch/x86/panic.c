/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine with an explanation. Works from the first instruction in C on:
 * until somebody hands over a better way out it drives COM1 itself, polled. Takes no lock,
 * for the fault may have come from under one. A fault within a report ends the report.
 */
#include "arch/x86/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "arch/x86/cpu.h"
#include "arch/x86/symbol.h"
#include "lib/string.h"

#define COM1 0x3f8
#define COM_LINE_CONTROL 3
#define COM_MODEM_CONTROL 4
#define COM_LINE_STATUS 5
#define COM_TRANSMITTER_EMPTY BIT(5)
#define COM_POLLS 1000000

#define LINE_MAX_LENGTH 256
#define BACKTRACE_DEPTH 24

static _Atomic unsigned int reports;
static panic_write_fn *output;
static void (*exit_hook)(void);

static void com1_put(uint8_t byte)
{
	for (unsigned int polls = 0; polls < COM_POLLS; polls++) {
		if (inb(COM1 + COM_LINE_STATUS) & COM_TRANSMITTER_EMPTY) {
			break;
		}
	}
	outb(COM1, byte);
}

/* COM1 at 115200 8N1, without interrupts; gives up on a UART that is not there. */
static void com1_write(const char *text, size_t length)
{
	static bool ready;

	if (!ready) {
		outb(COM1 + 1, 0);
		outb(COM1 + COM_LINE_CONTROL, 0x83); /* divisor, 8N1 */
		outb(COM1, 1);
		outb(COM1 + 1, 0);
		outb(COM1 + COM_LINE_CONTROL, 0x03);
		outb(COM1 + COM_MODEM_CONTROL, 0x03);
		ready = true;
	}
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n') {
			com1_put('\r');
		}
		com1_put((uint8_t)text[i]);
	}
}

void panic_set_output(panic_write_fn *write)
{
	output = write;
}

void panic_set_exit(void (*fn)(void))
{
	exit_hook = fn;
}

/* As panic_line(), with its arguments in a list. */
__attribute__((format(printf, 1, 0))) static void panic_vline(const char *format, va_list args)
{
	char line[LINE_MAX_LENGTH];
	panic_write_fn *write = output ? output : com1_write;
	int length = string_vformat(line, sizeof(line) - 1, format, args);
	size_t end = MIN((size_t)MAX(length, 0), sizeof(line) - 2);

	line[end++] = '\n';
	write(line, end);
}

void panic_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	panic_vline(format, args);
	va_end(args);
}

/* Reads a word that may not be mapped; the IDT's fixups make that harmless. */
static bool word_read_safe(uintptr_t address, uintptr_t *value)
{
	uintptr_t word = 0;
	bool faulted;

	__asm__ volatile("clc\n1:\tmovq (%2), %0\n2:\n" FIXUP_ENTRY("1b", "2b")
			 : "+r"(word), "=@ccc"(faulted)
			 : "r"(address));
	*value = word;
	return !faulted;
}

static void backtrace_line(unsigned int depth, uintptr_t address)
{
	/* A return address may be the first one of the next function: look at the call. */
	uintptr_t back = depth > 0 ? 1 : 0;
	uintptr_t offset = 0;
	const char *name = symbol_lookup(address - back, &offset);

	if (name) {
		panic_line("  #%-2u %016lx %s+0x%lx", depth, address, name, offset + back);
	} else {
		panic_line("  #%-2u %016lx", depth, address);
	}
}

void panic_backtrace(uintptr_t rip, uintptr_t rbp)
{
	panic_line("backtrace:");
	for (unsigned int depth = 0; depth < BACKTRACE_DEPTH; depth++) {
		uintptr_t next = 0;

		backtrace_line(depth, rip);
		/* Stacks grow down, so callers lie higher; anything else is not a frame. */
		if (!is_aligned(rbp, 8) || !word_read_safe(rbp, &next) ||
		    !word_read_safe(rbp + 8, &rip) || !symbol_is_text(rip)) {
			return;
		}
		if (next <= rbp) {
			backtrace_line(depth + 1, rip);
			return;
		}
		rbp = next;
	}
}

bool panic_enter(void)
{
	cli();
	return atomic_fetch_add(&reports, 1) == 0;
}

_Noreturn void panic_stop(void)
{
	/* A fault in the hook comes back here: then only halting is left. */
	if (exit_hook && atomic_fetch_add(&reports, 1) < 4) {
		exit_hook();
	}
	cpu_halt();
}

_Noreturn void panic(const char *format, ...)
{
	if (panic_enter()) {
		va_list args;

		panic_line("\nbulkhead: panic on CPU %u:", this_cpu()->id);
		va_start(args, format);
		panic_vline(format, args);
		va_end(args);
		panic_line("  cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %08lx", read_cr0(),
			   read_cr2(), read_cr3(), read_cr4());
		panic_backtrace((uintptr_t)__builtin_return_address(0),
				*(const uintptr_t *)__builtin_frame_address(0));
	}
	panic_stop();
}
