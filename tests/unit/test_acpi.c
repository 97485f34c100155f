/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drivers/acpi.c over tables that are made here, sound and damaged. Each map() hands out a
 * heap copy of exactly the bytes asked for, so that ASan sees any read past them.
 */
/* sources: drivers/acpi.c lib/string_util.c lib/printf.c lib/status.c tests/unit/harness.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "tests/unit/harness.h"

#define MEMORY_SIZE 0x110000
#define RSDP 0xf0000
#define XSDT 0x80000
#define RSDT 0x81000
#define MADT 0x82000
#define FADT 0x83000
#define DSDT 0x84000
#define COPIES_MAX 4096

static uint8_t memory[MEMORY_SIZE];
static void *copies[COPIES_MAX];
static size_t copy_count;
static struct acpi_info info;
static struct error_text error;

static const uint8_t *map(void *context, hpa_t address, uint64_t size)
{
	uint8_t *copy;

	(void)context;
	if (!range_fits(address.v, size, MEMORY_SIZE)) {
		return NULL;
	}
	assert_true(copy_count < COPIES_MAX);
	copy = malloc(size);
	memcpy(copy, memory + address.v, size);
	copies[copy_count++] = copy;
	return copy;
}

static const struct acpi_memory source = { NULL, map };

static void put(uint64_t at, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++) {
		memory[at + i] = (uint8_t)(value >> (8 * i));
	}
}

static void put_sum(uint64_t at, size_t size, size_t sum_at)
{
	uint8_t sum = 0;

	memory[at + sum_at] = 0;
	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + memory[at + i]);
	}
	memory[at + sum_at] = (uint8_t)-sum;
}

static void seal(uint64_t at)
{
	uint32_t length = memory[at + 4] | (uint32_t)memory[at + 5] << 8;

	put_sum(at, length, 9);
}

static void table(uint64_t at, const char *signature, uint32_t length)
{
	memset(memory + at, 0, length);
	memcpy(memory + at, signature, 4);
	put(at + 4, length, 4);
}

static void make_rsdp(uint8_t revision)
{
	memset(memory + RSDP, 0, ACPI_RSDP_SIZE);
	memcpy(memory + RSDP, "RSD PTR ", 8);
	memory[RSDP + 15] = revision;
	put(RSDP + 16, RSDT, 4);
	put(RSDP + 20, ACPI_RSDP_SIZE, 4);
	put(RSDP + 24, revision >= 2 ? XSDT : 0, 8);
	put_sum(RSDP, 20, 8);
	put_sum(RSDP, ACPI_RSDP_SIZE, 32);
}

static void make_madt(void)
{
	static const uint8_t entries[] = {
		0, 8,  0,    0, 1, 0, 0,    0,			 /* CPU 0 */
		0, 8,  1,    2, 0, 0, 0,    0,			 /* unusable */
		0, 8,  2,    4, 2, 0, 0,    0,			 /* online-capable */
		1, 12, 9,    0, 0, 0, 0xc0, 0xfe, 0,	0, 0, 0, /* I/O APIC */
		2, 10, 0,    0, 2, 0, 0,    0,	  0,	0,	 /* IRQ 0 is GSI 2 */
		2, 10, 0,    9, 9, 0, 0,    0,	  0x0d, 0,	 /* IRQ 9, level, high */
		4, 6,  0xff, 0, 0, 1,				 /* LAPIC NMI: of no interest */
		9, 16, 0,    0, 0, 1, 0,    0,	  1,	0, 0, 0, 7, 0, 0, 0, /* x2APIC 0x100 */
		9, 16, 0,    0, 0, 0, 0,    0,	  1,	0, 0, 0, 0, 0, 0, 0, /* CPU 0 once more */
	};

	table(MADT, "APIC", 44 + sizeof(entries));
	put(MADT + 36, 0xfee00000, 4);
	put(MADT + 40, 1, 4);
	memcpy(memory + MADT + 44, entries, sizeof(entries));
	seal(MADT);
}

static void make_fadt(uint32_t length)
{
	table(FADT, "FACP", 244);
	put(FADT + 40, DSDT, 4);
	put(FADT + 48, 0xb2, 4);
	memory[FADT + 52] = 0xf1;
	put(FADT + 64, 0x604, 4);
	put(FADT + 76, 0x608, 4);
	put(FADT + 112, BIT(8) | BIT(10), 4);
	memory[FADT + 116] = 1;
	put(FADT + 120, 0xcf9, 8);
	memory[FADT + 128] = 0x0f;
	put(FADT + 4, length, 4);
	seal(FADT);
}

static void make_dsdt(const uint8_t *code, size_t size)
{
	table(DSDT, "DSDT", (uint32_t)(36 + size));
	memcpy(memory + DSDT + 36, code, size);
	seal(DSDT);
}

static void make_lists(void)
{
	table(XSDT, "XSDT", 36 + 2 * 8);
	put(XSDT + 36, FADT, 8);
	put(XSDT + 44, MADT, 8);
	seal(XSDT);
	table(RSDT, "RSDT", 36 + 2 * 4);
	put(RSDT + 36, FADT, 4);
	put(RSDT + 40, MADT, 4);
	seal(RSDT);
}

/* Name (\_S5, Package (4) { 5, 3, 0, 0 }) after some other bytes. */
static const uint8_t s5_code[] = { 0x10, 0x5f, 0x53, 0x35, 0x08, '_',  'S', '5', '_',
				   0x12, 0x08, 0x04, 0x0a, 5,	 0x0a, 3,   0,	 0 };

static int setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	test_log_clear();
	memset(&error, 0, sizeof(error));
	make_rsdp(2);
	make_lists();
	make_madt();
	make_fadt(244);
	make_dsdt(s5_code, sizeof(s5_code));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (copy_count > 0) {
		free(copies[--copy_count]);
	}
	return 0;
}

static int parse(void)
{
	return acpi_parse(&source, memory + RSDP, ACPI_RSDP_SIZE, &info, &error);
}

static void assert_madt_read(void)
{
	assert_int_equal(info.lapic_address, 0xfee00000);
	assert_true(info.has_8259);
	assert_int_equal(info.cpu_count, 3);
	assert_int_equal(info.cpus[0].apic_id, 0);
	assert_true(info.cpus[0].enabled);
	assert_int_equal(info.cpus[1].apic_id, 4);
	assert_false(info.cpus[1].enabled);
	assert_int_equal(info.cpus[2].apic_id, 0x100);
	assert_int_equal(info.ioapic_count, 1);
	assert_int_equal(info.ioapics[0].id, 9);
	assert_int_equal(info.ioapics[0].address, 0xfec00000);
	assert_int_equal(info.override_count, 2);
	assert_int_equal(info.overrides[0].gsi, 2);
	assert_int_equal(info.overrides[1].source, 9);
	assert_int_equal(info.overrides[1].flags, 0x0d);
}

static void test_sound_tables(void **state)
{
	(void)state;
	assert_int_equal(parse(), 0);
	assert_madt_read();
	assert_true(info.has_fadt);
	assert_int_equal(info.pm_timer_port, 0x608);
	assert_true(info.pm_timer_32bit);
	assert_int_equal(info.pm1a_control, 0x604);
	assert_int_equal(info.pm1b_control, 0);
	assert_int_equal(info.smi_command, 0xb2);
	assert_int_equal(info.acpi_enable, 0xf1);
	assert_true(info.has_reset);
	assert_int_equal(info.reset_space, 1);
	assert_int_equal(info.reset_address, 0xcf9);
	assert_int_equal(info.reset_value, 0x0f);
	assert_true(info.has_s5);
	assert_int_equal(info.s5_type_a, 5);
	assert_int_equal(info.s5_type_b, 3);
	assert_string_equal(test_log, "");
}

static void test_revision_0_uses_the_rsdt(void **state)
{
	(void)state;
	make_rsdp(0);
	memory[RSDP + 32] ^= 0xff; /* no extended checksum to be right */
	memory[XSDT] = 'Y';
	assert_int_equal(parse(), 0);
	assert_madt_read();
}

static void test_damaged_xsdt_falls_back_to_the_rsdt(void **state)
{
	(void)state;
	memory[XSDT + 40] ^= 1;
	assert_int_equal(parse(), 0);
	assert_madt_read();
	assert_non_null(strstr(test_log, "XSDT"));
	assert_non_null(strstr(test_log, "wrong checksum"));
}

static void test_wrong_rsdp(void **state)
{
	(void)state;
	memory[RSDP + 9] ^= 1;
	assert_int_equal(parse(), -EINVAL);
	assert_non_null(strstr(error.text, "RSDP"));
	memory[RSDP + 9] ^= 1;
	memory[RSDP + 33] ^= 1;
	assert_int_equal(parse(), -EINVAL);
	assert_non_null(strstr(error.text, "extended checksum"));
	assert_int_equal(acpi_parse(&source, memory + RSDP, 19, &info, &error), -EINVAL);
}

static void test_wrong_madt_checksum(void **state)
{
	(void)state;
	memory[MADT + 50] ^= 1;
	assert_int_equal(parse(), -ENOENT);
	assert_non_null(strstr(error.text, "MADT"));
	assert_non_null(strstr(test_log, "APIC"));
	assert_true(info.has_fadt);
}

static void test_madt_entry_of_length_0(void **state)
{
	(void)state;
	memory[MADT + 44 + 8 + 1] = 0;
	seal(MADT);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, 1);
	assert_non_null(strstr(test_log, "impossible length 0"));
}

static void test_madt_entry_reaches_past_the_end(void **state)
{
	(void)state;
	memory[MADT + 44 + 8 + 1] = 0xff;
	seal(MADT);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, 1);
}

static void test_madt_entry_too_short_for_its_type(void **state)
{
	(void)state;
	put(MADT + 4, 44 + 8 + 4, 4);
	memory[MADT + 44 + 8] = 1;
	memory[MADT + 44 + 8 + 1] = 4; /* an I/O APIC of 4 bytes */
	seal(MADT);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.ioapic_count, 0);
	assert_non_null(strstr(test_log, "has only 4 bytes"));
}

static void test_more_cpus_than_fit(void **state)
{
	(void)state;
	table(MADT, "APIC", 44 + 100 * 8);
	for (unsigned int i = 0; i < 100; i++) {
		put(MADT + 44 + i * 8, 0 | 8 << 8 | i << 24, 4);
		put(MADT + 44 + i * 8 + 4, 1, 4);
	}
	seal(MADT);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
	assert_int_equal(info.cpus_ignored, 100 - ACPI_CPUS_MAX);
}

static void test_length_that_cannot_be(void **state)
{
	(void)state;
	put(MADT + 4, 35, 4);
	assert_int_equal(parse(), -ENOENT);
	put(MADT + 4, 0, 4);
	assert_int_equal(parse(), -ENOENT);
	put(MADT + 4, 0xffffffff, 4);
	assert_int_equal(parse(), -ENOENT);
	assert_non_null(strstr(test_log, "impossible length"));
	put(MADT + 4, 0xf00000, 4);
	assert_int_equal(parse(), -ENOENT);
	assert_non_null(strstr(test_log, "reaches beyond memory"));
}

static void test_lists_that_name_themselves(void **state)
{
	(void)state;
	put(XSDT + 36, XSDT, 8);
	put(XSDT + 44, RSDP, 8);
	seal(XSDT);
	assert_int_equal(parse(), -ENOENT);
	put(XSDT + 36, UINT64_MAX - 8, 8);
	put(XSDT + 44, MADT, 8);
	seal(XSDT);
	assert_int_equal(parse(), 0);
	assert_non_null(strstr(test_log, "not in memory"));
}

static void test_both_lists_missing(void **state)
{
	(void)state;
	memory[XSDT] = 'A';
	memory[RSDT] = 'A';
	assert_int_equal(parse(), -EINVAL);
	assert_non_null(strstr(error.text, "XSDT"));
}

static void test_old_fadt_has_no_reset_register(void **state)
{
	(void)state;
	make_fadt(116);
	assert_int_equal(parse(), 0);
	assert_true(info.has_fadt);
	assert_false(info.has_reset);
	assert_int_equal(info.pm_timer_port, 0x608);
	assert_true(info.has_s5);
}

static void test_extended_blocks_win(void **state)
{
	(void)state;
	memory[FADT + 172] = 1;
	put(FADT + 176, 0x1804, 8);
	memory[FADT + 208] = 0; /* memory space: cannot be a port */
	put(FADT + 212, 0x1808, 8);
	seal(FADT);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.pm1a_control, 0x1804);
	assert_int_equal(info.pm_timer_port, 0x608);
}

static void test_s5_with_a_root_prefix_and_a_long_package(void **state)
{
	static const uint8_t code[] = { 0x08, '\\', '_',  'S', '5',  '_', 0x12,
					0x47, 0x00, 0x04, 7,   0x01, 0,	  0 };
	static const uint8_t good[] = { 0x08, '\\', '_',  'S',	'5', '_', 0x12,
					0x47, 0x00, 0x04, 0x0b, 6,   0,	  0x01 };

	(void)state;
	make_dsdt(code, sizeof(code)); /* 7 is no constant */
	assert_int_equal(parse(), 0);
	assert_false(info.has_s5);
	make_dsdt(good, sizeof(good));
	assert_int_equal(parse(), 0);
	assert_true(info.has_s5);
	assert_int_equal(info.s5_type_a, 6);
	assert_int_equal(info.s5_type_b, 1);
}

/* The DSDT is cut off at every length: \_S5 is read whole, or not at all. */
static void test_s5_cut_anywhere(void **state)
{
	(void)state;
	for (size_t size = 0; size <= sizeof(s5_code); size++) {
		make_dsdt(s5_code, size);
		assert_int_equal(parse(), 0);
		/* The two values end 2 bytes before the package does. */
		assert_int_equal(info.has_s5, size >= sizeof(s5_code) - 2);
	}
}

/* Every byte of every table is damaged in turn, with and without a right checksum. */
static void test_any_byte_may_lie(void **state)
{
	static const uint32_t tables[] = { XSDT, MADT, FADT, DSDT };

	for (size_t t = 0; t < ARRAY_COUNT(tables); t++) {
		uint32_t length = memory[tables[t] + 4];

		for (uint32_t at = 0; at < length; at++) {
			uint8_t saved = memory[tables[t] + at];

			for (unsigned int kind = 0; kind < 4; kind++) {
				static const uint8_t lies[] = { 0, 0xff, 0x7f, 1 };

				memory[tables[t] + at] = lies[kind];
				if (at != 4 && at != 5 && at != 9) {
					seal(tables[t]);
				}
				(void)!parse();
				teardown(state);
				test_log_clear();
			}
			memory[tables[t] + at] = saved;
			seal(tables[t]);
		}
	}
	assert_int_equal(parse(), 0);
	assert_madt_read();
}

static void test_rsdp_found_in_the_bios_area_and_the_ebda(void **state)
{
	uint8_t rsdp[ACPI_RSDP_SIZE];

	(void)state;
	assert_int_equal(acpi_find_rsdp(&source, rsdp), 0);
	assert_memory_equal(rsdp, memory + RSDP, ACPI_RSDP_SIZE);
	memcpy(memory + 0x9fc10, memory + RSDP, ACPI_RSDP_SIZE);
	memset(memory + RSDP, 0, ACPI_RSDP_SIZE);
	assert_int_equal(acpi_find_rsdp(&source, rsdp), -ENOENT);
	put(0x40e, 0x9fc0, 2);
	assert_int_equal(acpi_find_rsdp(&source, rsdp), 0);
	put(0x40e, 0xffff, 2);
	assert_int_equal(acpi_find_rsdp(&source, rsdp), -ENOENT);
	/* One that is cut off by the end of the area. */
	memcpy(memory + 0xffff0, "RSD PTR ", 8);
	assert_int_equal(acpi_find_rsdp(&source, rsdp), -ENOENT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sound_tables),
		TEST(test_revision_0_uses_the_rsdt),
		TEST(test_damaged_xsdt_falls_back_to_the_rsdt),
		TEST(test_wrong_rsdp),
		TEST(test_wrong_madt_checksum),
		TEST(test_madt_entry_of_length_0),
		TEST(test_madt_entry_reaches_past_the_end),
		TEST(test_madt_entry_too_short_for_its_type),
		TEST(test_more_cpus_than_fit),
		TEST(test_length_that_cannot_be),
		TEST(test_lists_that_name_themselves),
		TEST(test_both_lists_missing),
		TEST(test_old_fadt_has_no_reset_register),
		TEST(test_extended_blocks_win),
		TEST(test_s5_with_a_root_prefix_and_a_long_package),
		TEST(test_s5_cut_anywhere),
		TEST(test_any_byte_may_lie),
		TEST(test_rsdp_found_in_the_bios_area_and_the_ebda),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
