/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine. The idea: a ladder of ways, from the one that can carry a status
 * to the one that always works; a way that is absent falls through to the next.
 */
#include "drivers/power.h"

#include "arch/x86/cpu.h"
#include "drivers/console.h"
#include "drivers/emulator.h"
#include "lib/string.h"

#define QEMU_DEBUG_EXIT_PORT 0xf4 /* isa-debug-exit, as scripts/run places it */
#define BOCHS_SHUTDOWN_PORT 0x8900

/* ACPI specification, "PM1 Control Registers" */
#define PM1_SCI_EN BIT(0)
#define PM1_SLP_TYP BITS(12, 10)
#define PM1_SLP_EN BIT(13)

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO 1

#define RESET_CONTROL_PORT 0xcf9
#define RESET_CONTROL_HARD 0x02
#define RESET_CONTROL_DO_IT 0x06
#define I8042_COMMAND_PORT 0x64
#define I8042_INPUT_FULL BIT(1)
#define I8042_PULSE_RESET 0xfe

/* Port reads while a way is given time to act: some tens of milliseconds. */
#define SETTLE_READS 50000

static struct acpi_info acpi_copy;
static bool acpi_known;

/* Remembers how ACPI ends this machine; a copy, so nothing of `acpi` is needed later. */
void power_init(const struct acpi_info *acpi)
{
	acpi_copy = *acpi;
	acpi_known = true;
}

static void settle(void)
{
	for (unsigned int i = 0; i < SETTLE_READS; i++) {
		(void)inb(0x80);
	}
}

/* ACPI must own the power registers before a sleep command is heard on real hardware. */
static void acpi_enable(void)
{
	if ((inw(acpi_copy.pm1a_control) & PM1_SCI_EN) || acpi_copy.smi_command == 0 ||
	    acpi_copy.acpi_enable == 0) {
		return;
	}
	outb(acpi_copy.smi_command, acpi_copy.acpi_enable);
	for (unsigned int i = 0; i < SETTLE_READS; i++) {
		if (inw(acpi_copy.pm1a_control) & PM1_SCI_EN) {
			return;
		}
	}
}

static void acpi_soft_off(void)
{
	if (!acpi_known || !acpi_copy.has_s5 || acpi_copy.pm1a_control == 0) {
		return;
	}
	acpi_enable();
	outw(acpi_copy.pm1a_control,
	     (uint16_t)(FIELD_PREP(PM1_SLP_TYP, acpi_copy.s5_type_a) | PM1_SLP_EN));
	if (acpi_copy.pm1b_control != 0) {
		outw(acpi_copy.pm1b_control,
		     (uint16_t)(FIELD_PREP(PM1_SLP_TYP, acpi_copy.s5_type_b) | PM1_SLP_EN));
	}
	settle();
}

static _Noreturn void halt_forever(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

/* On a line of its own, whatever stood before: scripts/run looks for it. */
static void last_words(const char *text)
{
	console_write(text, strlen(text));
	console_flush_polled();
}

/*
 * Says so on the console, whose last line this is, and turns the machine off. `status`
 * (0..127, larger ones become 127) is the exit status of scripts/run.
 */
void power_off(uint32_t status)
{
	char line[48];

	status = MIN(status, (uint32_t)POWER_STATUS_MAX);
	(void)string_format(line, sizeof(line), "\nmachine: power off, status %u\n", status);
	last_words(line);
	switch (emulator_detect()) {
	case EMULATOR_QEMU:
		outl(QEMU_DEBUG_EXIT_PORT, status);
		break;
	case EMULATOR_BOCHS:
		for (const char *c = "Shutdown"; *c; c++) {
			outb(BOCHS_SHUTDOWN_PORT, (uint8_t)*c);
		}
		break;
	case EMULATOR_NONE:
		break;
	}
	acpi_soft_off();
	halt_forever();
}

static void acpi_reset(void)
{
	if (!acpi_known || !acpi_copy.has_reset) {
		return;
	}
	if (acpi_copy.reset_space == ACPI_SPACE_IO && acpi_copy.reset_address <= 0xffff) {
		outb((uint16_t)acpi_copy.reset_address, acpi_copy.reset_value);
	} else {
		/* A register in memory may lie outside the direct map: the next ways do. */
		return;
	}
	settle();
}

static void i8042_reset(void)
{
	for (unsigned int i = 0; i < SETTLE_READS; i++) {
		if (!(inb(I8042_COMMAND_PORT) & I8042_INPUT_FULL)) {
			break;
		}
	}
	outb(I8042_COMMAND_PORT, I8042_PULSE_RESET);
	settle();
}

/* With no interrupt table every exception ends in a triple fault, and that in a reset. */
static _Noreturn void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_table = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(no_table));
	halt_forever();
}

/*
 * Says so and resets the machine: by ACPI's register, the chipset's, the keyboard
 * controller, the CPU itself.
 */
void power_reboot(void)
{
	last_words("\nmachine: reboot\n");
	acpi_reset();
	outb(RESET_CONTROL_PORT, RESET_CONTROL_HARD);
	outb(RESET_CONTROL_PORT, RESET_CONTROL_DO_IT);
	settle();
	i8042_reset();
	triple_fault();
}
