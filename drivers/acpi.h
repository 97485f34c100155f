/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the hypervisor wants to know from the firmware's ACPI tables: CPUs, interrupt
 * controllers, the PM timer and the registers that end the machine. Pure functions over
 * bytes: no AML interpreter, no hardware; memory comes through a hook.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include "lib/addr.h"
#include "lib/status.h"

#define ACPI_CPUS_MAX 64
#define ACPI_IOAPICS_MAX 8
#define ACPI_OVERRIDES_MAX 24
#define ACPI_RSDP_SIZE 36

/* Where tables are read: NULL when [address, address + size) is not readable memory. */
struct acpi_memory {
	void *context;
	const uint8_t *(*map)(void *context, hpa_t address, uint64_t size);
};

struct acpi_cpu {
	uint32_t apic_id;
	bool enabled;
};

struct acpi_ioapic {
	uint8_t id;
	uint32_t address;
	uint32_t gsi_base;
};

/* An ISA interrupt that is not wired to the GSI of its own number. */
struct acpi_override {
	uint8_t source;
	uint32_t gsi;
	uint16_t flags; /* MPS INTI: polarity in bits 1:0, trigger mode in bits 3:2 */
};

struct acpi_info {
	/* MADT */
	uint64_t lapic_address;
	bool has_8259; /* a pair of PICs is there, to be masked */
	struct acpi_cpu cpus[ACPI_CPUS_MAX];
	unsigned int cpu_count;
	unsigned int cpus_ignored; /* more than fit */
	struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
	unsigned int ioapic_count;
	struct acpi_override overrides[ACPI_OVERRIDES_MAX];
	unsigned int override_count;
	/* FADT; all zero when there is none */
	bool has_fadt;
	uint16_t pm_timer_port; /* 0: none */
	bool pm_timer_32bit;
	uint16_t smi_command;
	uint8_t acpi_enable;
	uint16_t pm1a_control;
	uint16_t pm1b_control;
	bool has_reset;
	uint8_t reset_space; /* generic address space: 0 memory, 1 I/O */
	uint64_t reset_address;
	uint8_t reset_value;
	/* \_S5 of the DSDT or an SSDT */
	bool has_s5;
	uint8_t s5_type_a;
	uint8_t s5_type_b;
};

int __must_check acpi_find_rsdp(const struct acpi_memory *memory, uint8_t rsdp[ACPI_RSDP_SIZE]);
int __must_check acpi_parse(const struct acpi_memory *memory, const uint8_t *rsdp, size_t size,
			    struct acpi_info *info, struct error_text *error);

#endif
