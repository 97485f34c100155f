/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's I/O APICs: which line (GSI) raises which vector on which CPU. All lines are
 * masked until they are routed. Where ISA lines really go is told by the caller (MADT).
 */
#ifndef ARCH_X86_IOAPIC_H
#define ARCH_X86_IOAPIC_H

#include "lib/addr.h"
#include "lib/status.h"

#define IOAPICS_MAX 16

/* How a line signals, as the MADT's interrupt source override has it. */
struct ioapic_line {
	uint32_t gsi;
	bool active_low;
	bool level;
};

/* Maps one I/O APIC whose lines start at `gsi_base` and masks all of them. */
int __must_check ioapic_add(hpa_t base, uint32_t gsi_base);

/* -ENOENT when no I/O APIC has that line; -EINVAL for an APIC id above 255. */
int __must_check ioapic_route(const struct ioapic_line *line, uint8_t vector, uint32_t apic_id);
void ioapic_mask(uint32_t gsi);

#endif
