/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the machine: its memory, its log, its end. */
#include "arch/x86/cpu.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/tsc.h"
#include "drivers/console.h"
#include "drivers/power.h"
#include "hv/shell/shell.h"
#include "lib/log.h"

static void cmd_log(const struct shell_args *args)
{
	const struct ring *ring = log_ring();
	uint64_t cursor = ring_oldest(ring);
	uint64_t lines = 0;
	uint8_t byte;

	if (args->count == 1) {
		if (!shell_number(args, 0, "count of lines", &lines)) {
			return;
		}
		cursor = ring->head;
		while (cursor > ring_oldest(ring)) {
			if (ring->data[(cursor - 1) & (ring->size - 1)] == '\n' && lines-- == 0) {
				break;
			}
			cursor--;
		}
	}
	while (ring_get(ring, &cursor, &byte, NULL)) {
		shell_print("%c", byte);
	}
}

static void cmd_machine(const struct shell_args *args)
{
	struct console_stats console;
	struct frame_stats frames;

	frames_stats(&frames);
	console_get_stats(&console);
	if (args->json) {
		json_open(NULL, '{');
		json_string("virtualisation", virt ? virt->name : "none");
		json_number("uptime_us", tsc_uptime_us());
		json_number("tsc_hz", tsc_hz());
		json_number("frames_total", frames.total);
		json_number("frames_free", frames.free);
		json_number("frames_hypervisor", frames.hypervisor);
		json_number("largest_free_run", frames.largest_free_run);
		json_number("timer_interrupts", interrupt_count(VECTOR_TIMER));
		json_number("console_input_lost", console.input_lost);
		json_close('}');
		json_end();
		return;
	}
	shell_print("virtualisation  %s, TSC %llu kHz, up %llu ms\n", virt ? virt->name : "none",
		    (unsigned long long)(tsc_hz() / 1000),
		    (unsigned long long)(tsc_uptime_us() / 1000));
	shell_print(
		"memory          %llu MiB, %llu free (largest run %llu), %llu the hypervisor's\n",
		(unsigned long long)(frames.total * PAGE_SIZE / MIB),
		(unsigned long long)(frames.free * PAGE_SIZE / MIB),
		(unsigned long long)(frames.largest_free_run * PAGE_SIZE / MIB),
		(unsigned long long)(frames.hypervisor * PAGE_SIZE / MIB));
	shell_print("interrupts      %llu timer, %llu NMI, %llu spurious\n",
		    (unsigned long long)interrupt_count(VECTOR_TIMER),
		    (unsigned long long)this_cpu()->nmi_count,
		    (unsigned long long)this_cpu()->spurious_count);
	shell_print("console         %llu typed bytes lost, %llu bytes written by polling\n",
		    (unsigned long long)(console.input_lost + console.overruns),
		    (unsigned long long)console.output_polled);
}

static void cmd_poweroff(const struct shell_args *args)
{
	uint64_t status = 0;

	if (args->count == 1 && !shell_number(args, 0, "status", &status)) {
		return;
	}
	if (status > POWER_STATUS_MAX) {
		shell_error(args, "status %llu: expected 0 to %u", (unsigned long long)status,
			    POWER_STATUS_MAX);
		return;
	}
	power_off((uint32_t)status);
}

static void cmd_reboot(const struct shell_args *args)
{
	(void)args;
	power_reboot();
}

static const struct shell_command commands[] = {
	{ "machine", "[-j]", "host memory, clocks and interrupts", 0, 0, true, cmd_machine },
	{ "log", "[LINES]", "the hypervisor's log from its first line, or the last LINES", 0, 1,
	  false, cmd_log },
	{ "reboot", "", "reset the machine", 0, 0, false, cmd_reboot },
	{ "poweroff", "[STATUS]", "end it; in an emulator with this exit status", 0, 1, false,
	  cmd_poweroff },
};

const struct shell_family shell_machine = { "Machine", commands, ARRAY_COUNT(commands) };
