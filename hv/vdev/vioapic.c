/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins to messages. An edge pin sends on the rising edge when it is not masked, else the edge
 * is lost, as in the 82093AA. A level pin sends while asserted and sets remote IRR, which
 * holds it back until the local APIC's EOI for its vector (or the EOI register) clears it.
 */
#include "hv/vdev/vioapic.h"

#define OFFSET_SELECT 0x00
#define OFFSET_WINDOW 0x10
#define OFFSET_EOI 0x40

#define REGISTER_ID 0
#define REGISTER_VERSION 1
#define REGISTER_ARBITRATION 2
#define REGISTER_ENTRIES 0x10

#define VERSION_NUMBER 0x20
#define ID_FIELD BITS(27, 24)

#define ENTRY_VECTOR BITS(7, 0)
#define ENTRY_DELIVERY BITS(10, 8)
#define ENTRY_LOGICAL BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_DESTINATION BITS(63, 56)
#define ENTRY_WRITABLE (ENTRY_DESTINATION | BITS(16, 15) | BIT(13) | BITS(11, 0))

enum delivery {
	DELIVERY_FIXED = 0,
	DELIVERY_LOWEST = 1,
	DELIVERY_NMI = 4,
};

/* All pins masked, no line asserted. */
void vioapic_init(struct vioapic *vioapic, struct vdev_host *host)
{
	*vioapic = (struct vioapic){ .host = host };
	for (unsigned int i = 0; i < VIOAPIC_PINS; i++) {
		vioapic->entries[i] = ENTRY_MASKED;
	}
}

/* Sends the message of `pin` once. */
static void send(struct vioapic *vioapic, unsigned int pin)
{
	uint64_t entry = vioapic->entries[pin];
	uint8_t mode = (uint8_t)FIELD_GET(ENTRY_DELIVERY, entry);
	bool level = (entry & ENTRY_LEVEL) != 0;

	if (mode != DELIVERY_FIXED && mode != DELIVERY_LOWEST && mode != DELIVERY_NMI) {
		return;
	}
	/* An NMI is always edge and gets no EOI. */
	if (level && mode != DELIVERY_NMI) {
		vioapic->entries[pin] |= ENTRY_REMOTE_IRR;
	}
	vioapic->host->apic_message(vioapic->host, (uint8_t)FIELD_GET(ENTRY_DESTINATION, entry),
				    (entry & ENTRY_LOGICAL) != 0, mode,
				    (uint8_t)FIELD_GET(ENTRY_VECTOR, entry), level);
}

/* Sends for a level pin that is asserted, not masked, and not already in service. */
static void evaluate_level(struct vioapic *vioapic, unsigned int pin)
{
	uint64_t entry = vioapic->entries[pin];

	if ((entry & ENTRY_LEVEL) != 0 && (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) == 0 &&
	    (vioapic->lines & BIT(pin)) != 0) {
		send(vioapic, pin);
	}
}

/* The line at `pin` is now asserted or not. Pins that do not exist are ignored. */
void vioapic_set_pin(struct vioapic *vioapic, unsigned int pin, bool level)
{
	uint64_t entry;
	bool rising;

	if (pin >= VIOAPIC_PINS) {
		return;
	}
	entry = vioapic->entries[pin];
	rising = level && (vioapic->lines & BIT(pin)) == 0;
	if (!level) {
		vioapic->lines &= ~(uint32_t)BIT(pin);
		return;
	}
	vioapic->lines |= (uint32_t)BIT(pin);
	if ((entry & ENTRY_LEVEL) != 0) {
		evaluate_level(vioapic, pin);
	} else if (rising && (entry & ENTRY_MASKED) == 0) {
		send(vioapic, pin);
	}
}

/* A level interrupt of `vector` has ended: its pins may send again, and do when asserted. */
void vioapic_eoi(struct vioapic *vioapic, uint8_t vector)
{
	for (unsigned int pin = 0; pin < VIOAPIC_PINS; pin++) {
		uint64_t entry = vioapic->entries[pin];

		if ((entry & ENTRY_REMOTE_IRR) != 0 && FIELD_GET(ENTRY_VECTOR, entry) == vector) {
			vioapic->entries[pin] &= ~ENTRY_REMOTE_IRR;
			evaluate_level(vioapic, pin);
		}
	}
}

/* Replaces half of an entry. Turning a pin to edge drops remote IRR, as software expects. */
static void write_entry(struct vioapic *vioapic, unsigned int index, uint32_t value)
{
	unsigned int pin = index / 2;
	unsigned int shift = index % 2 == 0 ? 0 : 32;
	uint64_t writable = ENTRY_WRITABLE & ((uint64_t)UINT32_MAX << shift);
	uint64_t *entry = &vioapic->entries[pin];

	*entry = (*entry & ~writable) | (((uint64_t)value << shift) & writable);
	if ((*entry & ENTRY_LEVEL) == 0) {
		*entry &= ~ENTRY_REMOTE_IRR;
	}
	evaluate_level(vioapic, pin);
}

static uint32_t read_register(const struct vioapic *vioapic)
{
	unsigned int index = vioapic->select - REGISTER_ENTRIES;

	switch (vioapic->select) {
	case REGISTER_ID:
	case REGISTER_ARBITRATION:
		return vioapic->id;
	case REGISTER_VERSION:
		return VERSION_NUMBER | ((VIOAPIC_PINS - 1) << 16);
	default:
		if (index >= 2 * VIOAPIC_PINS) {
			return 0;
		}
		return (uint32_t)(vioapic->entries[index / 2] >> (index % 2 == 0 ? 0 : 32));
	}
}

static void write_register(struct vioapic *vioapic, uint32_t value)
{
	unsigned int index = vioapic->select - REGISTER_ENTRIES;

	if (vioapic->select == REGISTER_ID) {
		vioapic->id = value & (uint32_t)ID_FIELD;
	} else if (index < 2 * VIOAPIC_PINS) {
		write_entry(vioapic, index, value);
	}
}

/* Reads a register of the page; IOREGSEL in any width, the window in 32 bits. Else 0. */
void vioapic_mmio_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vioapic *vioapic = device;

	*value = 0;
	if (offset == OFFSET_SELECT) {
		*value = vioapic->select;
	} else if (offset == OFFSET_WINDOW && size == 4) {
		*value = read_register(vioapic);
	}
}

/* Writes, likewise. Everything else is ignored. */
void vioapic_mmio_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vioapic *vioapic = device;

	if (offset == OFFSET_SELECT) {
		vioapic->select = (uint8_t)value;
	} else if (offset == OFFSET_WINDOW && size == 4) {
		write_register(vioapic, (uint32_t)value);
	} else if (offset == OFFSET_EOI && size == 4) {
		vioapic_eoi(vioapic, (uint8_t)value);
	}
}
