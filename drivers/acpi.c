/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reader of ACPI tables (ACPI specification, "ACPI Software Programming Model"). It does
 * not run AML: \_S5 is found by its bytes. The idea: a table is bytes and a length that
 * was checked; every read goes through get() and says 0 past the end, and a table that is
 * damaged counts as absent, with a line in the log.
 *
 *     RSDP --> XSDT (or RSDT) --+--> MADT  "APIC"
 *                               +--> FADT  "FACP" --> DSDT
 *                               +--> SSDT
 */
#include "drivers/acpi.h"

#include "lib/log.h"
#include "lib/string.h"

#define HEADER_SIZE 36
#define TABLE_SIZE_MAX (16 * MIB)
#define TABLES_MAX 128
#define RSDP_V1_SIZE 20

/* A table, or a part of one, that lies in memory that was mapped. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

/* Little-endian number of `width` (1..8) bytes; 0 when it is not all there. */
static uint64_t get(const struct bytes *table, size_t offset, size_t width)
{
	uint64_t value = 0;

	if (!range_fits(offset, width, table->size)) {
		return 0;
	}
	for (size_t i = 0; i < width; i++) {
		value |= (uint64_t)table->data[offset + i] << (8 * i);
	}
	return value;
}

static bool sums_to_zero(const uint8_t *data, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + data[i]);
	}
	return sum == 0;
}

static bool rsdp_is_valid(const uint8_t *rsdp, size_t size)
{
	return size >= RSDP_V1_SIZE && memcmp(rsdp, "RSD PTR ", 8) == 0 &&
	       sums_to_zero(rsdp, RSDP_V1_SIZE);
}

/* Looks on 16-byte boundaries of [start, start + size); copies what it finds. */
static bool scan_for_rsdp(const struct acpi_memory *memory, uint64_t start, size_t size,
			  uint8_t rsdp[ACPI_RSDP_SIZE])
{
	const uint8_t *area = memory->map(memory->context, hpa(start), size);

	for (size_t at = 0; area && at + RSDP_V1_SIZE <= size; at += 16) {
		if (rsdp_is_valid(area + at, size - at)) {
			memset(rsdp, 0, ACPI_RSDP_SIZE);
			memcpy(rsdp, area + at, MIN((size_t)ACPI_RSDP_SIZE, size - at));
			return true;
		}
	}
	return false;
}

/*
 * Finds the RSDP as a BIOS leaves it: in the first KiB of the EBDA or in the BIOS area.
 * For when the boot loader gave none. -ENOENT when it is in neither.
 */
int acpi_find_rsdp(const struct acpi_memory *memory, uint8_t rsdp[ACPI_RSDP_SIZE])
{
	const uint8_t *ebda_segment = memory->map(memory->context, hpa(0x40e), 2);
	uint64_t ebda = 0;

	if (ebda_segment) {
		ebda = ((uint64_t)ebda_segment[0] | (uint64_t)ebda_segment[1] << 8) << 4;
	}
	if (ebda >= 0x400 && ebda < 0xa0000 && scan_for_rsdp(memory, ebda, 1024, rsdp)) {
		return 0;
	}
	return scan_for_rsdp(memory, 0xe0000, 0x20000, rsdp) ? 0 : -ENOENT;
}

/*
 * Maps the table at `address` and checks its length and sum. False, and a line in the log
 * where that is worth one, when it cannot be used.
 */
static bool open_table(const struct acpi_memory *memory, uint64_t address, struct bytes *table)
{
	struct bytes header = { NULL, HEADER_SIZE };
	uint64_t length;

	if (address == 0) {
		return false;
	}
	header.data = memory->map(memory->context, hpa(address), HEADER_SIZE);
	if (!header.data) {
		log_printf("acpi: table at " PRIhpa " is not in memory", ADDR_ARG(hpa(address)));
		return false;
	}
	length = get(&header, 4, 4);
	if (length < HEADER_SIZE || length > TABLE_SIZE_MAX) {
		log_printf("acpi: %.4s at " PRIhpa ": impossible length %llu",
			   (const char *)header.data, ADDR_ARG(hpa(address)),
			   (unsigned long long)length);
		return false;
	}
	table->data = memory->map(memory->context, hpa(address), length);
	table->size = (size_t)length;
	if (!table->data || !sums_to_zero(table->data, table->size)) {
		log_printf("acpi: %.4s at " PRIhpa ": %s", (const char *)header.data,
			   ADDR_ARG(hpa(address)),
			   table->data ? "wrong checksum" : "reaches beyond memory");
		return false;
	}
	return true;
}

static bool has_signature(const struct bytes *table, const char *signature)
{
	return memcmp(table->data, signature, 4) == 0;
}

static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint64_t flags)
{
	/* Bit 0 enabled; bit 1 may be enabled later, which does not happen here. */
	if (!(flags & BIT(0)) && !(flags & BIT(1))) {
		return;
	}
	for (unsigned int i = 0; i < info->cpu_count; i++) {
		if (info->cpus[i].apic_id == apic_id) {
			return; /* firmware lists some CPUs as LAPIC and as x2APIC */
		}
	}
	if (info->cpu_count == ACPI_CPUS_MAX) {
		info->cpus_ignored++;
		return;
	}
	info->cpus[info->cpu_count++] =
		(struct acpi_cpu){ .apic_id = apic_id, .enabled = (flags & BIT(0)) != 0 };
}

static void add_ioapic(struct acpi_info *info, const struct bytes *entry)
{
	if (info->ioapic_count < ACPI_IOAPICS_MAX) {
		info->ioapics[info->ioapic_count++] = (struct acpi_ioapic){
			.id = (uint8_t)get(entry, 2, 1),
			.address = (uint32_t)get(entry, 4, 4),
			.gsi_base = (uint32_t)get(entry, 8, 4),
		};
	}
}

static void add_override(struct acpi_info *info, const struct bytes *entry)
{
	if (info->override_count < ACPI_OVERRIDES_MAX) {
		info->overrides[info->override_count++] = (struct acpi_override){
			.source = (uint8_t)get(entry, 3, 1),
			.gsi = (uint32_t)get(entry, 4, 4),
			.flags = (uint16_t)get(entry, 8, 2),
		};
	}
}

/* ACPI specification, "Interrupt Controller Structure Types": the ones that matter here. */
enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_ADDRESS = 5,
	MADT_X2APIC = 9,
};

static void parse_madt_entry(const struct bytes *entry, struct acpi_info *info)
{
	static const uint8_t size_needed[] = {
		[MADT_LAPIC] = 8,	   [MADT_IOAPIC] = 12, [MADT_OVERRIDE] = 10,
		[MADT_LAPIC_ADDRESS] = 12, [MADT_X2APIC] = 16,
	};
	uint64_t type = get(entry, 0, 1);

	if (type >= sizeof(size_needed) || size_needed[type] == 0) {
		return;
	}
	if (entry->size < size_needed[type]) {
		log_printf("acpi: APIC: entry of type %u has only %u bytes", (unsigned int)type,
			   (unsigned int)entry->size);
		return;
	}
	if (type == MADT_LAPIC) {
		add_cpu(info, (uint32_t)get(entry, 3, 1), get(entry, 4, 4));
	} else if (type == MADT_X2APIC) {
		add_cpu(info, (uint32_t)get(entry, 4, 4), get(entry, 8, 4));
	} else if (type == MADT_IOAPIC) {
		add_ioapic(info, entry);
	} else if (type == MADT_OVERRIDE) {
		add_override(info, entry);
	} else {
		info->lapic_address = get(entry, 4, 8);
	}
}

static void parse_madt(const struct bytes *madt, struct acpi_info *info)
{
	size_t at = 44;

	info->lapic_address = get(madt, 36, 4);
	info->has_8259 = (get(madt, 40, 4) & BIT(0)) != 0;
	while (at + 2 <= madt->size) {
		struct bytes entry = { madt->data + at, (size_t)get(madt, at + 1, 1) };

		/* A length below 2 would never move on. */
		if (entry.size < 2 || entry.size > madt->size - at) {
			log_printf("acpi: APIC: entry at offset %u has impossible length %u",
				   (unsigned int)at, (unsigned int)entry.size);
			return;
		}
		parse_madt_entry(&entry, info);
		at += entry.size;
	}
}

/* An I/O port out of a FADT: the extended block's when it names one, else the old field. */
static uint16_t fadt_port(const struct bytes *fadt, size_t extended, size_t old)
{
	uint64_t port = get(fadt, old, 4);

	/* Generic address structure: space in byte 0 (1: I/O), address in bytes 4-11. */
	if (get(fadt, extended, 1) == 1 && get(fadt, extended + 4, 8) != 0) {
		port = get(fadt, extended + 4, 8);
	}
	return port <= 0xffff ? (uint16_t)port : 0;
}

/* Returns the address of the DSDT. */
static uint64_t parse_fadt(const struct bytes *fadt, struct acpi_info *info)
{
	uint64_t flags = get(fadt, 112, 4);
	uint64_t dsdt = get(fadt, 140, 8);
	uint64_t smi_command = get(fadt, 48, 4);

	info->has_fadt = true;
	info->smi_command = smi_command <= 0xffff ? (uint16_t)smi_command : 0;
	info->acpi_enable = (uint8_t)get(fadt, 52, 1);
	info->pm1a_control = fadt_port(fadt, 172, 64);
	info->pm1b_control = fadt_port(fadt, 184, 68);
	info->pm_timer_port = fadt_port(fadt, 208, 76);
	info->pm_timer_32bit = (flags & BIT(8)) != 0;
	/* RESET_REG_SUP, and a table that is long enough to have the register. */
	if ((flags & BIT(10)) && fadt->size >= 129) {
		info->has_reset = true;
		info->reset_space = (uint8_t)get(fadt, 116, 1);
		info->reset_address = get(fadt, 120, 8);
		info->reset_value = (uint8_t)get(fadt, 128, 1);
	}
	return dsdt != 0 ? dsdt : get(fadt, 40, 4);
}

/* AML opcodes (ACPI specification, "AML Byte Stream Byte Values"). */
enum aml {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_PACKAGE = 0x12,
	AML_ONES = 0xff,
};

/* Reads a constant at *at and moves on; false when there is something else. */
static bool aml_constant(const struct bytes *code, size_t *at, uint64_t *value)
{
	size_t width = 0;

	if (*at >= code->size) {
		return false;
	}
	switch (code->data[*at]) {
	case AML_ZERO:
	case AML_ONE:
		*value = code->data[*at];
		break;
	case AML_ONES:
		*value = 0xff;
		break;
	case AML_BYTE:
		width = 1;
		break;
	case AML_WORD:
		width = 2;
		break;
	case AML_DWORD:
		width = 4;
		break;
	default:
		return false;
	}
	if (width > 0) {
		if (!range_fits(*at + 1, width, code->size)) {
			return false;
		}
		*value = get(code, *at + 1, width);
	}
	*at += 1 + width;
	return true;
}

/* What follows the name: Package () { SLP_TYPa, SLP_TYPb, ... }. */
static bool parse_s5_package(const struct bytes *code, size_t at, struct acpi_info *info)
{
	uint64_t type_a;
	uint64_t type_b = 0;
	size_t count_at;

	if (get(code, at, 1) != AML_PACKAGE || at + 1 >= code->size) {
		return false;
	}
	/* The package's length: 0 to 3 more bytes, as the top two bits of the first say. */
	count_at = at + 2 + (code->data[at + 1] >> 6);
	at = count_at + 1;
	if (!aml_constant(code, &at, &type_a) || type_a > 7) {
		return false;
	}
	if (get(code, count_at, 1) >= 2 && (!aml_constant(code, &at, &type_b) || type_b > 7)) {
		return false;
	}
	info->has_s5 = true;
	info->s5_type_a = (uint8_t)type_a;
	info->s5_type_b = (uint8_t)type_b;
	return true;
}

/* Finds Name (\_S5, Package ...) in a DSDT or SSDT. */
static void parse_s5(const struct bytes *table, struct acpi_info *info)
{
	for (size_t at = HEADER_SIZE; !info->has_s5 && at + 4 <= table->size; at++) {
		bool named = memcmp(table->data + at, "_S5_", 4) == 0 &&
			     (table->data[at - 1] == AML_NAME ||
			      (table->data[at - 1] == '\\' && table->data[at - 2] == AML_NAME));

		if (named) {
			(void)parse_s5_package(table, at + 4, info);
		}
	}
}

/* The list of tables: entries of 8 bytes in an XSDT, of 4 in an RSDT. */
static bool open_list(const struct acpi_memory *memory, const struct bytes *rsdp,
		      struct bytes *list, size_t *entry_size)
{
	bool has_xsdt = get(rsdp, 15, 1) >= 2 && get(rsdp, 24, 8) != 0;

	if (has_xsdt && open_table(memory, get(rsdp, 24, 8), list) && has_signature(list, "XSDT")) {
		*entry_size = 8;
		return true;
	}
	*entry_size = 4;
	return open_table(memory, get(rsdp, 16, 4), list) && has_signature(list, "RSDT");
}

static void parse_list(const struct acpi_memory *memory, const struct bytes *list,
		       size_t entry_size, struct acpi_info *info)
{
	size_t count = MIN((list->size - HEADER_SIZE) / entry_size, (size_t)TABLES_MAX);
	bool has_madt = false;
	uint64_t dsdt = 0;
	struct bytes table;

	for (size_t i = 0; i < count; i++) {
		if (!open_table(memory, get(list, HEADER_SIZE + i * entry_size, entry_size),
				&table)) {
			continue;
		}
		if (has_signature(&table, "APIC") && !has_madt) {
			has_madt = true;
			parse_madt(&table, info);
		} else if (has_signature(&table, "FACP") && !info->has_fadt) {
			dsdt = parse_fadt(&table, info);
		} else if (has_signature(&table, "SSDT")) {
			parse_s5(&table, info);
		}
	}
	if (open_table(memory, dsdt, &table) && has_signature(&table, "DSDT")) {
		parse_s5(&table, info);
	}
}

/*
 * Reads what struct acpi_info holds, starting at the copy of an RSDP of `size` bytes. A
 * damaged table is skipped with a line in the log. -EINVAL with a message when RSDP or the
 * list of tables cannot be used, -ENOENT when no MADT with a CPU was found; `info` then
 * holds what could be read.
 */
int acpi_parse(const struct acpi_memory *memory, const uint8_t *rsdp, size_t size,
	       struct acpi_info *info, struct error_text *error)
{
	struct bytes root = { rsdp, size };
	struct bytes list;
	size_t entry_size;

	memset(info, 0, sizeof(*info));
	if (!rsdp_is_valid(rsdp, size)) {
		return error_set(error, -EINVAL, "acpi: RSDP: wrong signature or checksum");
	}
	if (get(&root, 15, 1) >= 2 && size >= ACPI_RSDP_SIZE &&
	    !sums_to_zero(rsdp, ACPI_RSDP_SIZE)) {
		return error_set(error, -EINVAL, "acpi: RSDP: wrong extended checksum");
	}
	if (!open_list(memory, &root, &list, &entry_size)) {
		return error_set(error, -EINVAL, "acpi: neither XSDT nor RSDT can be used");
	}
	parse_list(memory, &list, entry_size, info);
	if (info->cpu_count == 0) {
		return error_set(error, -ENOENT, "acpi: no MADT that lists a CPU");
	}
	return 0;
}
