/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC (82093AA, with the EOI register of version 0x20): 24 pins, a redirection
 * entry each, messages to the local APICs. set_pin() takes "asserted", not volts: devices
 * here have no polarity, so the polarity bit of an entry is kept but means nothing.
 * ExtINT, SMI and INIT entries send nothing.
 */
#ifndef HV_VDEV_VIOAPIC_H
#define HV_VDEV_VIOAPIC_H

#include "hv/vdev/vdev.h"

#define VIOAPIC_GPA UINT64_C(0xfec00000)
#define VIOAPIC_SIZE UINT64_C(0x1000)
#define VIOAPIC_PINS 24

struct vioapic {
	struct vdev_host *host;
	uint32_t id;
	uint8_t select; /* IOREGSEL */
	uint32_t lines; /* asserted pins */
	uint64_t entries[VIOAPIC_PINS];
};

void vioapic_init(struct vioapic *vioapic, struct vdev_host *host);
void vioapic_set_pin(struct vioapic *vioapic, unsigned int pin, bool level);
void vioapic_eoi(struct vioapic *vioapic, uint8_t vector);

/* bus_read_fn and bus_write_fn of its page. */
void vioapic_mmio_read(void *device, uint64_t offset, unsigned int size, uint64_t *value);
void vioapic_mmio_write(void *device, uint64_t offset, unsigned int size, uint64_t value);

#endif
