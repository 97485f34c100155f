/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O APICs by their two registers, select and window. Used at boot and by one CPU: no lock.
 */
#include "arch/x86/ioapic.h"

#include "arch/x86/host_map.h"

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_SIZE 0x20

#define REG_VERSION 0x01
#define REG_ENTRY_LOW(line) (0x10 + 2 * (line))
#define REG_ENTRY_HIGH(line) (0x11 + 2 * (line))
#define VERSION_MAX_LINE BITS(23, 16)

#define ENTRY_ACTIVE_LOW BIT(13)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)

struct ioapic {
	volatile uint8_t *registers;
	uint32_t gsi_base;
	uint32_t line_count;
};

static struct ioapic ioapics[IOAPICS_MAX];
static unsigned int ioapic_count;

static uint32_t ioapic_read(const struct ioapic *apic, uint32_t reg)
{
	*(volatile uint32_t *)(apic->registers + IOAPIC_SELECT) = reg;
	return *(volatile uint32_t *)(apic->registers + IOAPIC_WINDOW);
}

static void ioapic_write(const struct ioapic *apic, uint32_t reg, uint64_t value)
{
	*(volatile uint32_t *)(apic->registers + IOAPIC_SELECT) = reg;
	*(volatile uint32_t *)(apic->registers + IOAPIC_WINDOW) = (uint32_t)value;
}

static const struct ioapic *ioapic_of(uint32_t gsi)
{
	for (unsigned int i = 0; i < ioapic_count; i++) {
		if (gsi >= ioapics[i].gsi_base &&
		    gsi - ioapics[i].gsi_base < ioapics[i].line_count) {
			return &ioapics[i];
		}
	}
	return NULL;
}

/* Maps one I/O APIC whose lines start at `gsi_base`; masks all. -ENOSPC after IOAPICS_MAX. */
int ioapic_add(hpa_t base, uint32_t gsi_base)
{
	struct ioapic *apic = &ioapics[ioapic_count];

	if (ioapic_count == IOAPICS_MAX) {
		return -ENOSPC;
	}
	apic->registers = host_map_mmio(base, IOAPIC_SIZE);
	apic->gsi_base = gsi_base;
	apic->line_count =
		(uint32_t)FIELD_GET(VERSION_MAX_LINE, ioapic_read(apic, REG_VERSION)) + 1;
	ioapic_count++;
	for (uint32_t i = 0; i < apic->line_count; i++) {
		ioapic_write(apic, REG_ENTRY_LOW(i), ENTRY_MASKED);
		ioapic_write(apic, REG_ENTRY_HIGH(i), 0);
	}
	return 0;
}

int ioapic_route(const struct ioapic_line *line, uint8_t vector, uint32_t apic_id)
{
	const struct ioapic *apic = ioapic_of(line->gsi);
	uint32_t index;

	if (!apic) {
		return -ENOENT;
	}
	if (apic_id > 0xff) {
		return -EINVAL; /* needs interrupt remapping */
	}
	index = line->gsi - apic->gsi_base;
	/* Masked while its other half changes. */
	ioapic_write(apic, REG_ENTRY_LOW(index), ENTRY_MASKED);
	ioapic_write(apic, REG_ENTRY_HIGH(index), apic_id << 24);
	ioapic_write(apic, REG_ENTRY_LOW(index),
		     vector | (line->active_low ? ENTRY_ACTIVE_LOW : 0) |
			     (line->level ? ENTRY_LEVEL : 0));
	return 0;
}

void ioapic_mask(uint32_t gsi)
{
	const struct ioapic *apic = ioapic_of(gsi);

	if (apic) {
		ioapic_write(apic, REG_ENTRY_LOW(gsi - apic->gsi_base), ENTRY_MASKED);
	}
}
