/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: boot/multiboot2.c lib/string_util.c lib/printf.c lib/status.c */
/*
 * The Multiboot2 parser: a good list, every refusal by its exact message, every truncation,
 * and deterministic mutations. Each input is a heap block of exactly its size, so that a
 * read outside it is seen by the address sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "boot/multiboot2.h"
#include "lib/string.h"

#define LIST_MAX 16384

/* A list under construction. */
struct list {
	uint8_t bytes[LIST_MAX];
	size_t size;
};

static struct list list;
static struct boot_info info;
static struct error_text error;

static void put(const void *bytes, size_t size)
{
	assert_true(list.size + size <= LIST_MAX);
	memcpy(list.bytes + list.size, bytes, size);
	list.size += size;
}

static void put_u32(uint32_t v)
{
	put(&v, sizeof(v));
}

static void put_u64(uint64_t v)
{
	put(&v, sizeof(v));
}

static void set_u32(size_t at, uint32_t v)
{
	memcpy(list.bytes + at, &v, sizeof(v));
}

static void begin(void)
{
	memset(&list, 0, sizeof(list));
	put_u64(0);
}

/* The offset of the new tag; its size is set by tag_end(). */
static size_t tag_begin(uint32_t type)
{
	list.size = align_up(list.size, 8);
	put_u32(type);
	put_u32(0);
	return list.size - 8;
}

static void tag_end(size_t at)
{
	set_u32(at + 4, (uint32_t)(list.size - at));
}

static void tag_string(uint32_t type, const char *s)
{
	size_t at = tag_begin(type);

	put(s, strlen(s) + 1);
	tag_end(at);
}

static void tag_module(uint32_t start, uint32_t end, const char *s)
{
	size_t at = tag_begin(3);

	put_u32(start);
	put_u32(end);
	put(s, strlen(s) + 1);
	tag_end(at);
}

static size_t memory_begin(uint32_t entry_size, uint32_t version)
{
	size_t at = tag_begin(6);

	put_u32(entry_size);
	put_u32(version);
	return at;
}

static void memory_entry(uint64_t start, uint64_t size, uint32_t type)
{
	put_u64(start);
	put_u64(size);
	put_u32(type);
	put_u32(0);
}

static void tag_memory(void)
{
	size_t at = memory_begin(24, 0);

	memory_entry(0, 0x9f000, 1);
	memory_entry(0x100000, 0x3ff00000, 1);
	tag_end(at);
}

static void tag_bytes(uint32_t type, uint8_t first, size_t count)
{
	size_t at = tag_begin(type);

	for (size_t i = 0; i < count; i++) {
		uint8_t byte = (uint8_t)(first + i);

		put(&byte, 1);
	}
	tag_end(at);
}

/* The end tag and the total size. */
static void finish(void)
{
	tag_end(tag_begin(0));
	set_u32(0, (uint32_t)list.size);
}

/* Parses the first `size` bytes of the list out of a block of exactly that size. */
static int parse(size_t size)
{
	uint8_t *block = malloc(size ? size : 1);
	int status;

	assert_non_null(block);
	memcpy(block, list.bytes, size);
	error.text[0] = '\0';
	status = mb2_parse(block, size, &info, &error);
	free(block);
	return status;
}

static void refused(const char *message)
{
	assert_int_equal(parse(list.size), -EINVAL);
	assert_string_equal(error.text, message);
}

static void build_good(void)
{
	size_t at;

	begin();
	tag_string(1, "console=com2,9600 debug");
	tag_string(2, "GRUB 2.06"); /* skipped */
	tag_module(0x101000, 0x103000, "/boot/vmlinuz quiet /a/b");
	tag_module(0x104000, 0x104000, "");
	tag_module(0x105000, 0x105001, "initrd.img");
	at = memory_begin(32, 0); /* entries may be longer than what we know of */
	memory_entry(0, 0x9fc00, 1);
	put_u64(0);
	memory_entry(0x9fc00, 0, 2); /* empty: skipped */
	put_u64(0);
	memory_entry(0xfee00000, 0x1000, 77); /* unknown type: reserved */
	put_u64(0);
	tag_end(at);
	at = tag_begin(8);
	put_u64(0xfd000000);
	put_u32(4096);
	put_u32(1024);
	put_u32(768);
	put_u64(0x0120); /* 32 bits, RGB */
	tag_end(at);
	tag_bytes(14, 1, 20);
	tag_bytes(15, 100, 36);
	tag_bytes(14, 50, 20);
	finish();
}

static void test_good(void **state)
{
	(void)state;
	build_good();
	assert_int_equal(parse(list.size), 0);
	assert_string_equal(info.command_line, "console=com2,9600 debug");
	assert_int_equal(info.module_count, 3);
	assert_string_equal(info.modules[0].name, "vmlinuz");
	assert_int_equal(info.modules[0].start.v, 0x101000);
	assert_int_equal(info.modules[0].end.v, 0x103000);
	assert_string_equal(info.modules[1].name, "module1");
	assert_string_equal(info.modules[2].name, "initrd.img");
	assert_int_equal(info.region_count, 2);
	assert_int_equal(info.regions[0].end.v, 0x9fc00);
	assert_int_equal(info.regions[0].type, BOOT_REGION_AVAILABLE);
	assert_int_equal(info.regions[1].type, BOOT_REGION_RESERVED);
	assert_true(info.framebuffer.present);
	assert_int_equal(info.framebuffer.address.v, 0xfd000000);
	assert_int_equal(info.framebuffer.width, 1024);
	assert_int_equal(info.framebuffer.bits_per_pixel, 32);
	assert_int_equal(info.framebuffer.type, 1);
	assert_true(info.has_rsdp);
	assert_int_equal(info.rsdp[0], 100); /* the new one, wherever it stands */
	assert_int_equal(info.rsdp[35], 135);
}

static void test_old_rsdp_alone(void **state)
{
	(void)state;
	begin();
	tag_memory();
	tag_bytes(14, 1, 20);
	finish();
	assert_int_equal(parse(list.size), 0);
	assert_true(info.has_rsdp);
	assert_int_equal(info.rsdp[19], 20);
	assert_int_equal(info.rsdp[20], 0);
}

/* Whatever follows the end tag is not read, and need not be there in full. */
static void test_after_end(void **state)
{
	(void)state;
	begin();
	tag_memory();
	finish();
	put_u64(0x0000000000000003);
	set_u32(0, (uint32_t)list.size);
	assert_int_equal(parse(list.size), 0);
}

static void test_information_sizes(void **state)
{
	(void)state;
	begin();
	assert_int_equal(parse(7), -EINVAL);
	assert_string_equal(error.text, "multiboot2: no room for the information");
	assert_int_equal(parse(0), -EINVAL);
	refused("multiboot2: the tag list has no end tag (offset 8 of 0)");
	set_u32(0, 9);
	refused("multiboot2: the information has 9 bytes, at most 8 can be");
	set_u32(0, 0xffffffff);
	refused("multiboot2: the information has 4294967295 bytes, at most 8 can be");
	begin();
	tag_memory();
	set_u32(0, (uint32_t)list.size);
	refused("multiboot2: the tag list has no end tag (offset 72 of 72)");
	begin();
	finish();
	refused("multiboot2: there is no memory map (tag type 6)");
}

static void test_tag_sizes(void **state)
{
	size_t at;

	(void)state;
	build_good();
	set_u32(12, 7);
	refused("multiboot2: tag type 1 at offset 8: its size is less than 8");
	set_u32(12, 0);
	refused("multiboot2: tag type 1 at offset 8: its size is less than 8");
	set_u32(12, 0xffffffff);
	refused("multiboot2: tag type 1 at offset 8: it ends outside the information");
	begin();
	tag_memory();
	at = tag_begin(99);
	tag_end(at);
	set_u32(at + 4, 9);
	set_u32(0, (uint32_t)list.size);
	refused("multiboot2: tag type 99 at offset 72: it ends outside the information");
}

static void test_command_line(void **state)
{
	char text[BOOT_COMMAND_LINE_MAX + 1];
	size_t at;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[BOOT_COMMAND_LINE_MAX - 1] = '\0';
	begin();
	tag_memory();
	tag_string(1, text);
	finish();
	assert_int_equal(parse(list.size), 0);
	assert_string_equal(info.command_line, text);

	text[BOOT_COMMAND_LINE_MAX - 1] = 'a';
	text[BOOT_COMMAND_LINE_MAX] = '\0';
	begin();
	tag_string(1, text);
	finish();
	refused("multiboot2: tag type 1 at offset 8: "
		"the command line is longer than 1023 characters");

	begin();
	at = tag_begin(1);
	put("abcdefgh", 8);
	tag_end(at);
	finish();
	refused("multiboot2: tag type 1 at offset 8: "
		"the command line does not end inside the tag");

	begin();
	tag_end(tag_begin(1));
	finish();
	refused("multiboot2: tag type 1 at offset 8: "
		"the command line does not end inside the tag");

	begin();
	tag_string(1, "a");
	tag_string(1, "b");
	finish();
	refused("multiboot2: tag type 1 at offset 24: a second command line");
}

static void test_modules(void **state)
{
	char name[BOOT_MODULE_NAME_MAX + 1];
	size_t at;

	(void)state;
	begin();
	tag_bytes(3, 0, 8);
	finish();
	refused("multiboot2: tag type 3 at offset 8: too short for a module");

	begin();
	tag_module(2, 1, "x");
	finish();
	refused("multiboot2: tag type 3 at offset 8: the module ends before it starts");

	begin();
	at = tag_begin(3);
	put_u64(0);
	put("abc", 3);
	tag_end(at);
	finish();
	refused("multiboot2: tag type 3 at offset 8: "
		"the module's string does not end inside the tag");

	memset(name, 'n', sizeof(name));
	name[BOOT_MODULE_NAME_MAX] = '\0';
	begin();
	tag_module(0, 0, name);
	finish();
	refused("multiboot2: tag type 3 at offset 8: "
		"the module's name is longer than 63 characters");

	begin();
	tag_memory();
	tag_module(0, 0, name + 1); /* 63 characters fit */
	tag_module(0, 0, "dir/ x"); /* a folder is no name */
	for (unsigned int i = 2; i < BOOT_MODULES_MAX; i++) {
		tag_module(i, i, "m");
	}
	finish();
	assert_int_equal(parse(list.size), 0);
	assert_int_equal(info.module_count, BOOT_MODULES_MAX);
	assert_string_equal(info.modules[0].name, name + 1);
	assert_string_equal(info.modules[1].name, "module1");

	begin();
	for (unsigned int i = 0; i <= BOOT_MODULES_MAX; i++) {
		tag_module(i, i, "m");
	}
	finish();
	refused("multiboot2: tag type 3 at offset 1544: more than 64 modules");
}

static void test_memory_map(void **state)
{
	static const struct {
		uint32_t entry_size;
		uint32_t version;
		const char *message;
	} headers[] = {
		{ 0, 0, "the entry size of the memory map is wrong" },
		{ 16, 0, "the entry size of the memory map is wrong" },
		{ 28, 0, "the entry size of the memory map is wrong" },
		{ 0xfffffff8, 0, "the memory map ends inside an entry" },
		{ 32, 0, "the memory map ends inside an entry" },
		{ 24, 1, "the entry version of the memory map is not 0" },
	};
	char message[160];
	size_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
		begin();
		at = memory_begin(headers[i].entry_size, headers[i].version);
		memory_entry(0, 4096, 1);
		tag_end(at);
		finish();
		(void)string_format(message, sizeof(message),
				    "multiboot2: tag type 6 at offset 8: %s", headers[i].message);
		refused(message);
	}
	begin();
	tag_bytes(6, 0, 4);
	finish();
	refused("multiboot2: tag type 6 at offset 8: too short for a memory map");

	begin();
	tag_memory();
	tag_memory();
	finish();
	refused("multiboot2: tag type 6 at offset 72: a second memory map");
}

static void test_memory_entries(void **state)
{
	size_t at;

	(void)state;
	begin();
	at = memory_begin(24, 0);
	memory_entry(~UINT64_C(0) - 4095, 8192, 1);
	tag_end(at);
	finish();
	refused("multiboot2: tag type 6 at offset 8: a memory region wraps around");

	begin();
	at = memory_begin(24, 0);
	for (unsigned int i = 0; i < BOOT_REGIONS_MAX; i++) {
		memory_entry(i * UINT64_C(8192), 4096, 1);
	}
	tag_end(at);
	finish();
	assert_int_equal(parse(list.size), 0);
	assert_int_equal(info.region_count, BOOT_REGIONS_MAX);

	begin();
	at = memory_begin(24, 0);
	for (unsigned int i = 0; i <= BOOT_REGIONS_MAX; i++) {
		memory_entry(i * UINT64_C(8192), 4096, 1);
	}
	tag_end(at);
	finish();
	refused("multiboot2: tag type 6 at offset 8: more than 256 memory regions");
}

static void test_framebuffer_and_rsdp(void **state)
{
	(void)state;
	begin();
	tag_bytes(8, 0, 21);
	finish();
	refused("multiboot2: tag type 8 at offset 8: too short for a framebuffer");
	begin();
	tag_bytes(8, 0, 24);
	tag_bytes(8, 0, 24);
	finish();
	refused("multiboot2: tag type 8 at offset 40: a second framebuffer");
	begin();
	tag_bytes(14, 0, 19);
	finish();
	refused("multiboot2: tag type 14 at offset 8: too short for an ACPI RSDP");
	begin();
	tag_bytes(15, 0, 35);
	finish();
	refused("multiboot2: tag type 15 at offset 8: too short for an ACPI RSDP");
}

/* Cut anywhere, with the total size as it was or as it now is: an error, never a read outside. */
static void test_every_truncation(void **state)
{
	size_t whole;

	(void)state;
	build_good();
	whole = list.size;
	for (size_t size = 0; size < whole; size++) {
		assert_int_equal(parse(size), -EINVAL);
		assert_true(error.text[0] != '\0');
	}
	for (size_t size = 4; size < whole; size++) {
		set_u32(0, (uint32_t)size);
		assert_int_equal(parse(size), -EINVAL);
		assert_true(error.text[0] != '\0');
	}
}

static uint64_t random_state = 1;

static uint32_t random_u32(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33);
}

/* What must hold of any accepted list. */
static void check_accepted(void)
{
	assert_true(info.module_count <= BOOT_MODULES_MAX);
	assert_true(info.region_count <= BOOT_REGIONS_MAX);
	assert_true(strnlen(info.command_line, BOOT_COMMAND_LINE_MAX) < BOOT_COMMAND_LINE_MAX);
	for (unsigned int i = 0; i < info.module_count; i++) {
		size_t length = strnlen(info.modules[i].name, BOOT_MODULE_NAME_MAX);

		assert_true(length > 0 && length < BOOT_MODULE_NAME_MAX);
		assert_true(info.modules[i].start.v <= info.modules[i].end.v);
	}
	for (unsigned int i = 0; i < info.region_count; i++) {
		assert_true(info.regions[i].start.v < info.regions[i].end.v);
	}
}

static void test_mutations(void **state)
{
	static const uint32_t words[] = { 0, 1, 7, 8, 0x7fffffff, 0xfffffff8, 0xffffffff };
	unsigned int accepted = 0;
	unsigned int rejected = 0;

	(void)state;
	for (unsigned int round = 0; round < 200000; round++) {
		unsigned int changes = 1 + random_u32() % 4;

		build_good();
		for (unsigned int i = 0; i < changes; i++) {
			size_t at = random_u32() % list.size;

			if (random_u32() % 2) {
				list.bytes[at] = (uint8_t)random_u32();
			} else {
				at = MIN(align_down(at, 4), list.size - 4);
				set_u32(at, words[random_u32() % ARRAY_COUNT(words)]);
			}
		}
		if (parse(list.size)) {
			assert_true(error.text[0] != '\0');
			rejected++;
		} else {
			check_accepted();
			accepted++;
		}
	}
	/* Both happen, else the mutations are not what they should be. */
	assert_true(accepted > 1000 && rejected > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_old_rsdp_alone),
		cmocka_unit_test(test_after_end),
		cmocka_unit_test(test_information_sizes),
		cmocka_unit_test(test_tag_sizes),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_memory_entries),
		cmocka_unit_test(test_framebuffer_and_rsdp),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
