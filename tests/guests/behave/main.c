/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes what a partition's machine does, against what the manuals say that it must do:
 * runs the tables of probes and prints "behave: <name> pass|fail|skip [detail]" for each,
 * then "behave: N passed, N failed". Exit status 1 when one failed.
 *
 * Options: only=PREFIX (of names), skip=PREFIX, cr3 (see probe_cr3_reserved).
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

extern uint64_t boot_pdpt[512];

uint8_t window_frames[WINDOW_PAGES][4096] __attribute__((aligned(4096)));
static uint64_t window_table[512] __attribute__((aligned(4096)));
static uint64_t window_directory[512] __attribute__((aligned(4096)));

static char detail_text[200];
static void *checkpoint[5];

void detail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	string_vformat(detail_text, sizeof(detail_text), format, args);
	va_end(args);
}

enum verdict failed(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	string_vformat(detail_text, sizeof(detail_text), format, args);
	va_end(args);
	return FAIL;
}

enum verdict skipped(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	string_vformat(detail_text, sizeof(detail_text), format, args);
	va_end(args);
	return SKIP;
}

void window_map(unsigned int page, uint64_t pte)
{
	boot_pdpt[WINDOW_VA / GIB] = (uintptr_t)window_directory | PTE_P | PTE_W | PTE_U;
	window_directory[0] = (uintptr_t)window_table | PTE_P | PTE_W | PTE_U;
	window_table[page] = pte;
	asm volatile("invlpg (%0)" : : "r"(WINDOW_VA + page * PAGE_SIZE) : "memory");
}

void window_map_all(void)
{
	for (unsigned int page = 0; page < WINDOW_PAGES; page++) {
		window_map(page, (uintptr_t)window_frames[page] | PTE_P | PTE_W | PTE_U);
	}
}

/* An exception out of nowhere ends the probe that is running. */
static void on_unexpected(struct trap_frame *frame)
{
	detail("unexpected vector %u error 0x%llx rip 0x%llx cr2 0x%llx",
	       (unsigned int)frame->vector, ull(frame->error), ull(frame->rip), ull(read_cr2()));
	__builtin_longjmp(checkpoint, 1);
}

/* What a failed probe may have left behind. */
static void clean_up(void)
{
	irq_off();
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x400)));
	write_cr8(0);
	memset(trap_handlers, 0, sizeof(trap_handlers));
	trap_init(0);
	lapic_enable();
	pic_mask_all();
}

static void run_probe(const struct probe *probe, unsigned int counts[3])
{
	static const char *const words[] = { "pass", "fail", "skip" };
	volatile enum verdict verdict = FAIL;
	print("behave: %s ", probe->name);
	detail_text[0] = 0;
	if (__builtin_setjmp(checkpoint) == 0) {
		verdict = probe->run();
	}
	clean_up();
	counts[verdict]++;
	print("%s%s%s\n", words[verdict], detail_text[0] ? " " : "", detail_text);
}

int guest_main(void)
{
	static const struct probe *const tables[] = {
		cpuid_probes, msr_probes,	control_probes, instruction_probes, port_probes,
		mmio_probes,  interrupt_probes, timer_probes,	exception_probes,   state_probes,
	};
	unsigned int counts[3] = { 0 };
	char only[40] = "", skip[40] = "";
	option_text("only", only, sizeof(only));
	option_text("skip", skip, sizeof(skip));
	trap_fallback = on_unexpected;
	clean_up();
	for (unsigned int t = 0; t < ARRAY_COUNT(tables); t++) {
		for (const struct probe *probe = tables[t]; probe->name; probe++) {
			if (string_starts_with(probe->name, only) &&
			    !(skip[0] && string_starts_with(probe->name, skip))) {
				run_probe(probe, counts);
			}
		}
	}
	print("behave: %u passed, %u failed\n", counts[PASS], counts[FAIL]);
	return counts[FAIL] != 0;
}
