/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine around the boot CPU, from the firmware's tables: interrupt controllers, time,
 * the console's interrupt line, and at last the frame table, which ends boot-time memory.
 * Without ACPI it goes on with what the CPU and the PC's fixed devices offer.
 */
#include "boot/machine.h"

#include <assert.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/host_map.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/lapic.h"
#include "arch/x86/ram.h"
#include "arch/x86/tsc.h"
#include "drivers/acpi.h"
#include "drivers/power.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/frames.h"

#define ACPI_TABLE_SIZE_MAX (16 * MIB)
#define RSDP_REVISION_OFFSET 15
#define RSDP_OLD_SIZE 20

static struct acpi_info acpi;
static struct console_config console;

void boot_set_console(const struct console_config *config)
{
	console = *config;
}

/* struct acpi_memory.map: read-only mappings, kept for ever. */
static const uint8_t *map_firmware(void *context, hpa_t address, uint64_t size)
{
	(void)context;
	if (size == 0 || size > ACPI_TABLE_SIZE_MAX ||
	    !range_fits(address.v, size, BIT(cpuid_maxphyaddr()))) {
		return NULL;
	}
	return host_map_ro(address, size);
}

static void start_acpi(const struct boot_info *info)
{
	const struct acpi_memory memory = { NULL, map_firmware };
	struct error_text error = { "no RSDP was found" };
	uint8_t rsdp[ACPI_RSDP_SIZE];
	bool found = info->has_rsdp;

	static_assert(ACPI_RSDP_SIZE == BOOT_RSDP_MAX, "two names for the size of an RSDP");
	memcpy(rsdp, info->rsdp, sizeof(rsdp));
	if (!found) {
		found = acpi_find_rsdp(&memory, rsdp) == 0;
	}
	if (!found ||
	    acpi_parse(&memory, rsdp, rsdp[RSDP_REVISION_OFFSET] < 2 ? RSDP_OLD_SIZE : sizeof(rsdp),
		       &acpi, &error)) {
		log_printf("acpi: %s; going on without", error.text);
		memset(&acpi, 0, sizeof(acpi));
		return;
	}
	power_init(&acpi);
	log_printf("acpi: %u CPUs, %u I/O APICs, PM timer at port 0x%x, reset register: %s, S5: %s",
		   acpi.cpu_count, acpi.ioapic_count, acpi.pm_timer_port,
		   acpi.has_reset ? "yes" : "no", acpi.has_s5 ? "yes" : "no");
}

static void start_time(void)
{
	lapic_init(hpa(acpi.lapic_address));
	tsc_init(acpi.pm_timer_port);
	log_set_clock(tsc_uptime_us);
	log_printf("lapic: %s, id %u", lapic_mode_name(), lapic_id());
	log_printf("tsc: %llu kHz, measured against the %s", (unsigned long long)(tsc_hz() / 1000),
		   tsc_reference());
}

static void start_ioapics(void)
{
	for (unsigned int i = 0; i < acpi.ioapic_count; i++) {
		if (ioapic_add(hpa(acpi.ioapics[i].address), acpi.ioapics[i].gsi_base)) {
			log_printf("ioapic: more than %u of them; the rest is left alone",
				   IOAPICS_MAX);
			return;
		}
	}
}

/* Where ISA interrupt `irq` really goes (MPS INTI flags: 3 is low and level). */
static struct ioapic_line isa_line(uint8_t irq)
{
	struct ioapic_line line = { irq, false, false };

	for (unsigned int i = 0; i < acpi.override_count; i++) {
		const struct acpi_override *o = &acpi.overrides[i];

		if (o->source == irq) {
			line.gsi = o->gsi;
			line.active_low = (o->flags & 3) == 3;
			line.level = (o->flags >> 2 & 3) == 3;
		}
	}
	return line;
}

static void console_interrupt(uint8_t vector)
{
	(void)vector;
	console_irq();
	lapic_eoi();
}

/* Without an interrupt the console still works: output is polled, and so is input. */
static void start_console_interrupts(void)
{
	struct ioapic_line line;
	uint8_t vector;

	if (console.irq == CONSOLE_NO_IRQ) {
		log_printf("console: port 0x%x has no known interrupt; polled", console.port);
		return;
	}
	line = isa_line((uint8_t)console.irq);
	vector = (uint8_t)(VECTOR_DEVICE + line.gsi);
	if (line.gsi > VECTOR_DEVICE_LAST - VECTOR_DEVICE ||
	    ioapic_route(&line, vector, lapic_id())) {
		log_printf("console: interrupt %d cannot be routed; polled", console.irq);
		return;
	}
	interrupt_set_handler(vector, console_interrupt);
	console_start_interrupts();
}

/* The frame table, in boot-time memory; what boot took stays the hypervisor's. */
static void start_frames(void)
{
	static struct frame_range ranges[RAM_RANGES_MAX];
	const struct ram_map *ram = ram_map();
	const struct ram_range *taken;
	struct frame_stats stats;
	unsigned int taken_count;
	size_t size;
	pfn_t end;
	void *table;

	for (unsigned int i = 0; i < ram->count; i++) {
		ranges[i].start = hpa_to_pfn(ram->ranges[i].start);
		ranges[i].end = hpa_to_pfn(ram->ranges[i].end);
	}
	end = ranges[ram->count - 1].end; /* sorted; ram_alloc() worked, so there is one */
	size = frames_table_size(end);
	table = hpa_to_ptr(ram_alloc(align_up(size, PAGE_SIZE) / PAGE_SIZE, PAGE_SIZE));
	frames_init(table, end, ranges, ram->count);
	ram_close();
	taken_count = ram_taken(&taken);
	for (unsigned int i = 0; i < taken_count; i++) {
		frames_reserve(hpa_to_pfn(taken[i].start), hpa_to_pfn(taken[i].end));
	}
	frames_stats(&stats);
	log_printf("frames: %zu MiB of RAM, %zu MiB free", stats.total >> 8, stats.free >> 8);
}

void boot_machine(const struct boot_info *info)
{
	start_acpi(info);
	start_time();
	start_ioapics();
	start_console_interrupts();
	start_frames();
}
