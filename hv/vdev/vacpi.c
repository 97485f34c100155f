/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT, by the ACPI specification's tables of offsets.
 * Every table is appended to one buffer; fields are stored by offset, so that each line can
 * be held against the specification. The DSDT is assembled by hand, its source beside it.
 */
#include "hv/vdev/vacpi.h"

#include "hv/vdev/vboard.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vlapic.h"
#include "hv/vdev/vpm.h"
#include "lib/string.h"

#define RSDP_SIZE 36
#define RSDP_V1_SIZE 20
#define HEADER_SIZE 36
#define FADT_SIZE 276
#define FACS_SIZE 64
#define MADT_SIZE 44 /* before its entries */

#define GAS_SYSTEM_IO 1

/* FADT, "Fixed ACPI Description Table Fixed Feature Flags" and "IA-PC Boot Architecture". */
#define FADT_WBINVD BIT(0)
#define FADT_C1 BIT(2)
#define FADT_NO_POWER_BUTTON BIT(4)
#define FADT_NO_SLEEP_BUTTON BIT(5)
#define FADT_NO_RTC_WAKE BIT(6)
#define FADT_TIMER_32BIT BIT(8)
#define FADT_RESET_REGISTER BIT(10)
#define FADT_HEADLESS BIT(12)
#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_NO_VGA BIT(2)
#define BOOT_NO_MSI BIT(3)

#define CENTURY_CELL 0x32
#define LATENCY_C2_NONE 101
#define LATENCY_C3_NONE 1001

#define MADT_PCAT_COMPATIBLE BIT(0)
#define ISO_ACTIVE_HIGH_LEVEL 0x0d

/*
 * DefinitionBlock ("", "DSDT", 2, "BLKHD", "BULKHEAD", 1) {
 *     Name (\_S5, Package () { 5, 5, 0, 0 })
 *     Scope (\_SB) {
 *         Device (COM1) {
 *             Name (_HID, EisaId ("PNP0501"))
 *             Name (_UID, 1)
 *             Name (_CRS, ResourceTemplate () {
 *                 IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
 *                 IRQNoFlags () { 4 }
 *             })
 *         }
 *     }
 * }
 */
/* clang-format off */
static const uint8_t dsdt_code[] = {
	0x08, '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, VPM_SLEEP_S5, 0x0a, VPM_SLEEP_S5, 0x00, 0x00,
	0x10, 0x33, '\\', '_', 'S', 'B', '_',
	0x5b, 0x82, 0x2b, 'C', 'O', 'M', '1',
	0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01,
	0x08, '_', 'U', 'I', 'D', 0x01,
	0x08, '_', 'C', 'R', 'S', 0x11, 0x10, 0x0a, 13,
	0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, /* IO port descriptor */
	0x22, 0x10, 0x00,                               /* IRQ descriptor: mask of IRQ 4 */
	0x79, 0x00,                                     /* end tag, checksum not used */
};
/* clang-format on */

/* The buffer being filled. */
struct builder {
	uint8_t *bytes;
	uint64_t gpa;
	size_t used;
};

static void put(uint8_t *at, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

/* The byte that makes the sum of all bytes 0. */
static uint8_t checksum(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return (uint8_t)-sum;
}

/* Room for `size` bytes, zero, at a multiple of 64. vacpi_build() has seen to the size. */
static uint8_t *append(struct builder *builder, size_t size)
{
	size_t at = align_up(builder->used, 64);

	builder->used = at + size;
	return builder->bytes + at;
}

static uint64_t address_of(const struct builder *builder, const uint8_t *table)
{
	return builder->gpa + (uint64_t)(table - builder->bytes);
}

/* A table with its header, still without checksum. */
static uint8_t *append_table(struct builder *builder, const char *signature, uint8_t revision,
			     size_t size)
{
	uint8_t *table = append(builder, size);

	memcpy(table, signature, 4);
	put(table + 4, size, 4);
	table[8] = revision;
	memcpy(table + 10, "BLKHD ", 6);
	memcpy(table + 16, "BULKHEAD", 8);
	put(table + 24, 1, 4);
	memcpy(table + 28, "BLKH", 4);
	put(table + 32, 1, 4);
	return table;
}

static void finish_table(uint8_t *table, size_t size)
{
	table[9] = checksum(table, size);
}

/* Generic address structure of an I/O port `bytes` wide, accessed as a whole. */
static void put_gas(uint8_t *at, uint64_t port, unsigned int bytes, uint8_t access)
{
	at[0] = GAS_SYSTEM_IO;
	at[1] = (uint8_t)(bytes * 8);
	at[3] = access; /* 1 byte, 2 word, 3 dword */
	put(at + 4, port, 8);
}

static uint64_t build_dsdt(struct builder *builder)
{
	size_t size = HEADER_SIZE + sizeof(dsdt_code);
	uint8_t *table = append_table(builder, "DSDT", 2, size);

	memcpy(table + HEADER_SIZE, dsdt_code, sizeof(dsdt_code));
	finish_table(table, size);
	return address_of(builder, table);
}

static uint64_t build_facs(struct builder *builder)
{
	uint8_t *table = append(builder, FACS_SIZE);

	memcpy(table, "FACS", 4);
	put(table + 4, FACS_SIZE, 4);
	table[32] = 2; /* version */
	return address_of(builder, table);
}

static uint64_t build_fadt(struct builder *builder, uint64_t dsdt, uint64_t facs)
{
	uint8_t *table = append_table(builder, "FACP", 6, FADT_SIZE);

	put(table + 36, facs, 4);
	put(table + 40, dsdt, 4);
	put(table + 46, VPM_SCI, 2);
	put(table + 56, VPM_EVENT_PORT, 4);
	put(table + 64, VPM_CONTROL_PORT, 4);
	put(table + 76, VPM_TIMER_PORT, 4);
	table[88] = 4; /* lengths of the event block, */
	table[89] = 2; /* the control block */
	table[91] = 4; /* and the timer */
	put(table + 96, LATENCY_C2_NONE, 2);
	put(table + 98, LATENCY_C3_NONE, 2);
	table[108] = CENTURY_CELL;
	put(table + 109, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_MSI, 2);
	put(table + 112,
	    FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE |
		    FADT_TIMER_32BIT | FADT_RESET_REGISTER | FADT_HEADLESS,
	    4);
	put_gas(table + 116, VBOARD_RESET_PORT, 1, 1);
	table[128] = VBOARD_RESET_VALUE;
	/* The 64-bit FACS address stays 0: the 32-bit one is valid. */
	put(table + 140, dsdt, 8);
	put_gas(table + 148, VPM_EVENT_PORT, 4, 2);
	put_gas(table + 172, VPM_CONTROL_PORT, 2, 2);
	put_gas(table + 208, VPM_TIMER_PORT, 4, 3);
	memcpy(table + 268, "BULKHEAD", 8); /* hypervisor vendor identity */
	finish_table(table, FADT_SIZE);
	return address_of(builder, table);
}

/* Interrupt source override: ISA `irq` is at `gsi`. */
static uint8_t *put_override(uint8_t *at, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	at[0] = 2;
	at[1] = 10;
	at[3] = irq;
	put(at + 4, gsi, 4);
	put(at + 8, flags, 2);
	return at + 10;
}

static uint64_t build_madt(struct builder *builder, unsigned int vcpus)
{
	size_t size = MADT_SIZE + vcpus * 8 + 12 + 2 * 10 + 6;
	uint8_t *table = append_table(builder, "APIC", 3, size);
	uint8_t *at = table + MADT_SIZE;

	put(table + 36, VLAPIC_GPA, 4);
	put(table + 40, MADT_PCAT_COMPATIBLE, 4);
	for (unsigned int i = 0; i < vcpus; i++) {
		at[0] = 0; /* local APIC */
		at[1] = 8;
		at[2] = (uint8_t)i;
		at[3] = (uint8_t)i;
		put(at + 4, 1, 4); /* enabled */
		at += 8;
	}
	at[0] = 1; /* I/O APIC with ID 0, from GSI 0 */
	at[1] = 12;
	put(at + 4, VIOAPIC_GPA, 4);
	at = put_override(at + 12, 0, 2, 0);
	at = put_override(at, VPM_SCI, VPM_SCI, ISO_ACTIVE_HIGH_LEVEL);
	at[0] = 4; /* local APIC NMI: all processors, as the bus does, LINT1 */
	at[1] = 6;
	at[2] = 0xff;
	at[5] = 1;
	finish_table(table, size);
	return address_of(builder, table);
}

/* RSDT (pointers of 4 bytes) or XSDT (8). */
static uint64_t build_root(struct builder *builder, const char *signature, const uint64_t tables[2],
			   unsigned int width)
{
	size_t size = HEADER_SIZE + 2 * width;
	uint8_t *table = append_table(builder, signature, 1, size);

	put(table + HEADER_SIZE, tables[0], width);
	put(table + HEADER_SIZE + width, tables[1], width);
	finish_table(table, size);
	return address_of(builder, table);
}

/* See vacpi.h. */
size_t vacpi_build(uint8_t *buffer, size_t size, uint64_t gpa, unsigned int vcpus)
{
	struct builder builder = { .bytes = buffer, .gpa = gpa };
	uint64_t tables[2];
	uint64_t dsdt;
	uint64_t facs;
	uint8_t *rsdp;

	if (size < VACPI_SIZE_MAX || vcpus == 0 || vcpus > VACPI_VCPUS_MAX ||
	    !is_aligned(gpa, 64) || !range_fits(gpa, VACPI_SIZE_MAX, 4 * GIB)) {
		return 0;
	}
	memset(buffer, 0, VACPI_SIZE_MAX);
	rsdp = append(&builder, RSDP_SIZE);
	dsdt = build_dsdt(&builder);
	facs = build_facs(&builder);
	tables[0] = build_fadt(&builder, dsdt, facs);
	tables[1] = build_madt(&builder, vcpus);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "BLKHD ", 6);
	rsdp[15] = 2; /* revision */
	put(rsdp + 16, build_root(&builder, "RSDT", tables, 4), 4);
	put(rsdp + 20, RSDP_SIZE, 4);
	put(rsdp + 24, build_root(&builder, "XSDT", tables, 8), 8);
	rsdp[8] = checksum(rsdp, RSDP_V1_SIZE);
	rsdp[32] = checksum(rsdp, RSDP_SIZE);
	return builder.used;
}
