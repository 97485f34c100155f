/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables as a guest walks them: found from the RSDP, lengths, checksums, and fields
 * at the offsets that the specification gives. With a folder as argument the tables are
 * written there, one file each, for a disassembler.
 */
/* sources: hv/vdev/vacpi.c lib/mul_div.c */
#include <stdio.h>

#include "tests/unit/fake_vdev.h"

#include "hv/vdev/vacpi.h"

#define BASE UINT64_C(0xe0000)

static uint8_t memory[VACPI_SIZE_MAX + 64];
static size_t used;

static const uint8_t *at(uint64_t gpa)
{
	assert_in_range(gpa, BASE, BASE + used - 1);
	return memory + (gpa - BASE);
}

static uint64_t get(const uint8_t *bytes, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++) {
		value |= (uint64_t)bytes[i] << (8 * i);
	}
	return value;
}

static unsigned int sum(const uint8_t *bytes, size_t size)
{
	unsigned int total = 0;

	for (size_t i = 0; i < size; i++) {
		total += bytes[i];
	}
	return total & 0xff;
}

/* A table whose header is right. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *table = at(gpa);
	uint64_t length = get(table + 4, 4);

	assert_memory_equal(table, signature, 4);
	assert_in_range(length, 36, used);
	(void)at(gpa + length - 1);
	assert_int_equal(sum(table, length), 0);
	return table;
}

static int setup(void **state)
{
	(void)state;
	memset(memory, 0xee, sizeof(memory));
	used = vacpi_build(memory, VACPI_SIZE_MAX, BASE, 2);
	assert_in_range(used, 36, VACPI_SIZE_MAX);
	for (size_t i = VACPI_SIZE_MAX; i < sizeof(memory); i++) {
		assert_int_equal(memory[i], 0xee);
	}
	return 0;
}

static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(get(memory + 24, 8), "XSDT");
	uint64_t count = (get(xsdt + 4, 4) - 36) / 8;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t gpa = get(xsdt + 36 + 8 * i, 8);

		if (memcmp(at(gpa), signature, 4) == 0) {
			return table_at(gpa, signature);
		}
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void roots(void **state)
{
	const uint8_t *rsdt;
	const uint8_t *xsdt;

	(void)state;
	assert_memory_equal(memory, "RSD PTR ", 8);
	assert_int_equal(sum(memory, 20), 0);
	assert_int_equal(sum(memory, 36), 0);
	assert_int_equal(memory[15], 2);
	assert_int_equal(get(memory + 20, 4), 36);
	rsdt = table_at(get(memory + 16, 4), "RSDT");
	xsdt = table_at(get(memory + 24, 8), "XSDT");
	assert_int_equal(get(rsdt + 4, 4) - 36, 2 * 4);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(get(rsdt + 36 + 4 * i, 4), get(xsdt + 36 + 8 * i, 8));
	}
}

static void fadt(void **state)
{
	const uint8_t *table = find("FACP");
	const uint8_t *facs = at(get(table + 36, 4));
	const uint8_t *dsdt = table_at(get(table + 40, 4), "DSDT");

	(void)state;
	assert_int_equal(get(table + 4, 4), 276);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(get(facs + 4, 4), 64);
	assert_int_equal((uintptr_t)(facs - memory) % 64, 0);
	assert_int_equal(get(table + 140, 8), get(table + 40, 4));
	assert_memory_equal(dsdt + 36, "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05", 12);
	/* The scope and the device in it end exactly where the table does. */
	assert_int_equal(dsdt[36 + 14], 0x10);
	assert_int_equal(36 + 15 + dsdt[36 + 15], get(dsdt + 4, 4));
	assert_int_equal(dsdt[36 + 22], 0x82);
	assert_int_equal(36 + 23 + dsdt[36 + 23], get(dsdt + 4, 4));
	assert_int_equal(get(table + 46, 2), 9);
	assert_int_equal(get(table + 48, 4), 0); /* no SMI command */
	assert_int_equal(get(table + 56, 4), 0x600);
	assert_int_equal(get(table + 64, 4), 0x604);
	assert_int_equal(get(table + 76, 4), 0x608);
	assert_int_equal(table[88] << 16 | table[89] << 8 | table[91], 0x040204);
	assert_int_equal(table[108], 0x32);
	assert_int_equal(get(table + 109, 2) & 2, 0);	      /* no 8042 */
	assert_int_equal(get(table + 112, 4) & 0x501, 0x501); /* WBINVD, 32-bit timer, reset */
	assert_int_equal(get(table + 112, 4) & BIT(20), 0);   /* not hardware-reduced */
	assert_int_equal(table[116], 1);
	assert_int_equal(get(table + 120, 8), 0xcf9);
	assert_int_equal(table[128], 6);
	assert_int_equal(get(table + 152, 8), 0x600);
	assert_int_equal(get(table + 176, 8), 0x604);
	assert_int_equal(get(table + 212, 8), 0x608);
}

static void madt(void **state)
{
	const uint8_t *table = find("APIC");
	const uint8_t *entry = table + 44;
	const uint8_t *end = table + get(table + 4, 4);
	unsigned int counts[5] = { 0 };

	(void)state;
	assert_int_equal(get(table + 36, 4), 0xfee00000);
	assert_int_equal(get(table + 40, 4), 1);
	for (; entry < end; entry += entry[1]) {
		assert_in_range(entry[0], 0, 4);
		assert_in_range(entry[1], 6, 12);
		switch (entry[0]) {
		case 0:
			assert_int_equal(entry[3], counts[0]);
			assert_int_equal(get(entry + 4, 4), 1);
			break;
		case 1:
			assert_int_equal(get(entry + 4, 4), 0xfec00000);
			assert_int_equal(get(entry + 8, 4), 0);
			break;
		case 2:
			if (entry[3] == 0) {
				assert_int_equal(get(entry + 4, 4), 2);
			} else {
				assert_int_equal(entry[3], 9);
				assert_int_equal(get(entry + 4, 4), 9);
				assert_int_equal(get(entry + 8, 2), 0x0d);
			}
			break;
		case 4:
			assert_int_equal(entry[2], 0xff);
			assert_int_equal(entry[5], 1);
			break;
		default:
			fail();
		}
		counts[entry[0]]++;
	}
	assert_ptr_equal(entry, end);
	assert_int_equal(counts[0], 2);
	assert_int_equal(counts[1], 1);
	assert_int_equal(counts[2], 2);
	assert_int_equal(counts[4], 1);
}

static void refuses(void **state)
{
	(void)state;
	assert_int_equal(vacpi_build(memory, VACPI_SIZE_MAX - 1, BASE, 1), 0);
	assert_int_equal(vacpi_build(memory, VACPI_SIZE_MAX, BASE + 4, 1), 0);
	assert_int_equal(vacpi_build(memory, VACPI_SIZE_MAX, 4 * GIB - 64, 1), 0);
	assert_int_equal(vacpi_build(memory, VACPI_SIZE_MAX, BASE, 0), 0);
	assert_int_equal(vacpi_build(memory, VACPI_SIZE_MAX, BASE, VACPI_VCPUS_MAX + 1), 0);
	used = vacpi_build(memory, VACPI_SIZE_MAX, BASE, VACPI_VCPUS_MAX);
	assert_in_range(used, 36, VACPI_SIZE_MAX);
	(void)find("APIC");
}

static void write_tables(const char *folder)
{
	static const char *const names[] = { "FACP", "APIC", "XSDT", "DSDT" };

	(void)setup(NULL);
	for (unsigned int i = 0; i < ARRAY_COUNT(names); i++) {
		const uint8_t *table = i == 2	? at(get(memory + 24, 8))
				       : i == 3 ? at(get(find("FACP") + 40, 4))
						: find(names[i]);
		char path[512];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s.aml", folder, names[i]);
		file = fopen(path, "wb");
		if (file == NULL || fwrite(table, get(table + 4, 4), 1, file) != 1) {
			perror(path);
		}
		if (file != NULL) {
			fclose(file);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(roots, setup),
		cmocka_unit_test_setup(fadt, setup),
		cmocka_unit_test_setup(madt, setup),
		cmocka_unit_test_setup(refuses, setup),
	};

	if (argc > 1) {
		write_tables(argv[1]);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
