/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/loader/loader.c hv/loader/bzimage.c hv/loader/elf.c hv/loader/pvh.c */
/* sources: hv/loader/multiboot.c hv/loader/raw.c arch/x86/vcpu_state.c */
/* sources: lib/string_util.c lib/printf.c lib/status.c */
/*
 * The ELF loader on synthetic kernels of both classes, started by PVH and by Multiboot: what
 * the guest finds, every refusal, noise.
 */
#include "tests/unit/loader_arena.h"

#define IMAGE_SIZE 0x1000
#define CODE 0x400 /* file offset of the PT_LOAD's bytes */
#define CODE_SIZE 0x800
#define PADDR UINT64_C(0x200000)
#define VADDR UINT64_C(0x40200000)
#define MEMSZ 0x1800
#define NOTE 0xc00
#define HEADER 0x300 /* of Multiboot */

/* Offsets in the two program headers that build() makes. */
struct offsets {
	size_t load; /* PT_LOAD's header */
	size_t note; /* PT_NOTE's */
	size_t offset;
	size_t vaddr;
	size_t paddr;
	size_t filesz;
	size_t memsz;
	size_t align;
	unsigned int word;
	size_t phnum;
};

static const struct offsets offsets_32 = { 52, 84, 4, 8, 12, 16, 20, 28, 4, 44 };
static const struct offsets offsets_64 = { 64, 120, 8, 16, 24, 32, 40, 48, 8, 56 };

static uint8_t image[IMAGE_SIZE];
static const struct offsets *at;
static struct loader_request request;
static uint8_t initrd[5000];
static uint8_t extra[10];

static void put_word(size_t offset, uint64_t value)
{
	put(image, offset, value, at->word);
}

/* An executable with one PT_LOAD and one empty PT_NOTE. */
static void build(const struct offsets *offsets)
{
	bool wide = offsets == &offsets_64;

	at = offsets;
	memset(image, 0, sizeof(image));
	for (size_t i = CODE; i < CODE + CODE_SIZE; i++) {
		image[i] = (uint8_t)(i * 13);
	}
	memcpy(image,
	       "\x7f"
	       "ELF",
	       4);
	image[4] = wide ? 2 : 1;
	image[5] = 1;
	image[6] = 1;
	put(image, 16, 2, 2);
	put(image, 18, wide ? 62 : 3, 2);
	put_word(24, VADDR + 0x40);
	put_word(wide ? 32 : 28, at->load);
	put(image, wide ? 54 : 42, wide ? 56 : 32, 2);
	put(image, at->phnum, 2, 2);
	put(image, at->load, 1, 4);
	put_word(at->load + at->offset, CODE);
	put_word(at->load + at->vaddr, VADDR);
	put_word(at->load + at->paddr, PADDR);
	put_word(at->load + at->filesz, CODE_SIZE);
	put_word(at->load + at->memsz, MEMSZ);
	put(image, at->note, 4, 4);
	put_word(at->note + at->offset, NOTE);
	put_word(at->note + at->align, 4);
	reset_arena();
	memset(initrd, 0x1d, sizeof(initrd));
	memset(extra, 0xee, sizeof(extra));
	request = (struct loader_request){
		.format = FORMAT_AUTO,
		.kernel = { "kernel", NULL, image, sizeof(image) },
		.initrd = { "initrd", NULL, initrd, sizeof(initrd) },
		.modules = { { "extra", "arg one", extra, sizeof(extra) },
			     { "more", "", extra, 1 } },
		.cmdline = "a b",
	};
}

static void add_pvh(unsigned int desc_size, uint64_t entry, uint64_t align)
{
	/* Behind a first note: 12 + 5 bytes of name, padded, + 3 of descriptor, padded. */
	size_t desc = align == 8 ? NOTE + 32 : NOTE + 24;

	put(image, NOTE, 5, 4);
	put(image, NOTE + 4, 3, 4);
	put(image, NOTE + 8, 18, 4);
	memcpy(image + NOTE + 12, "Xeno", 5);
	put(image, desc, 4, 4);
	put(image, desc + 4, desc_size, 4);
	put(image, desc + 8, 18, 4);
	memcpy(image + desc + 12, "Xen", 4);
	put(image, desc + 16, entry, desc_size < 8 ? desc_size : 8);
	put_word(at->note + at->filesz, desc - NOTE + 16 + desc_size);
	put_word(at->note + at->align, align);
}

static void add_multiboot(uint32_t flags)
{
	put(image, HEADER, 0x1badb002, 4);
	put(image, HEADER + 4, flags, 4);
	put(image, HEADER + 8, 0 - (0x1badb002 + flags), 4);
}

static void check_image(void)
{
	assert_memory_equal(arena + PADDR, image + CODE, CODE_SIZE);
	for (uint64_t i = CODE_SIZE; i < MEMSZ; i++) {
		assert_int_equal(arena[PADDR + i], 0);
	}
	assert_int_equal(arena[PADDR + MEMSZ], STALE);
	assert_true(state.cr0 == (CR0_PE | CR0_ET));
	assert_true(state.cr4 == 0 && state.efer == 0);
	check_flat(0xc09b);
}

static void check_start_info(bool modules)
{
	uint64_t info = state.regs.gpr[GPR_RBX];
	uint64_t list = guest(info + 16, 8);
	uint64_t map = guest(info + 40, 8);

	assert_true(guest(info, 4) == 0x336ec578);
	assert_true(guest(info + 4, 4) == 1);
	assert_true(guest(info + 8, 4) == 0);
	assert_true(guest(info + 12, 4) == (modules ? 3 : 0));
	assert_string_equal((char *)arena + guest(info + 24, 8), "a b");
	assert_true(guest(info + 32, 8) == ARENA_RSDP);
	assert_true(guest(info + 48, 4) == target.e820_count);
	for (unsigned int i = 0; i < target.e820_count; i++) {
		assert_true(guest(map + 24 * i, 8) == target.e820[i].start);
		assert_true(guest(map + 24 * i + 8, 8) == target.e820[i].size);
		assert_true(guest(map + 24 * i + 16, 8) == target.e820[i].type);
	}
	if (modules) {
		assert_true(guest(list, 8) == PADDR + 0x2000);
		assert_true(guest(list + 8, 8) == sizeof(initrd));
		assert_true(guest(list + 16, 8) == 0);
		assert_memory_equal(arena + PADDR + 0x2000, initrd, sizeof(initrd));
		assert_true(guest(list + 32, 8) == PADDR + 0x4000);
		assert_true(guest(list + 40, 8) == sizeof(extra));
		assert_string_equal((char *)arena + guest(list + 48, 8), "arg one");
		assert_memory_equal(arena + PADDR + 0x4000, extra, sizeof(extra));
		assert_true(guest(list + 64, 8) == PADDR + 0x5000);
	}
}

static void test_pvh(void **unused)
{
	static const struct offsets *const classes[] = { &offsets_32, &offsets_64 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_COUNT(classes); i++) {
		for (unsigned int variant = 0; variant < 4; variant++) {
			build(classes[i]);
			add_multiboot(0); /* the note is preferred */
			add_pvh(variant & 1 ? 8 : 4, PADDR + 0x80, variant & 2 ? 8 : 4);
			request.has_initrd = (variant & 1) != 0;
			request.module_count = variant & 1 ? 2 : 0;
			assert_int_equal(load(&request), 0);
			check_image();
			assert_true(state.rip == PADDR + 0x80);
			check_start_info((variant & 1) != 0);
		}
	}
}

static void check_multiboot_info(bool modules)
{
	uint64_t info = state.regs.gpr[GPR_RBX];
	uint64_t list = guest(info + 24, 4);
	uint64_t map = guest(info + 48, 4);

	assert_true(state.regs.gpr[GPR_RAX] == 0x2badb002);
	assert_true(guest(info, 4) == 0x24d);
	assert_true(guest(info + 4, 4) == 639);
	assert_true(guest(info + 8, 4) == (ARENA_SIZE - MIB) / 1024);
	assert_string_equal((char *)arena + guest(info + 16, 4), "kernel a b");
	assert_string_equal((char *)arena + guest(info + 64, 4), "Bulkhead");
	assert_true(guest(info + 20, 4) == (modules ? 3 : 0));
	assert_true(guest(info + 44, 4) == 24 * target.e820_count);
	for (unsigned int i = 0; i < target.e820_count; i++) {
		assert_true(guest(map + 24 * i, 4) == 20);
		assert_true(guest(map + 24 * i + 4, 8) == target.e820[i].start);
		assert_true(guest(map + 24 * i + 12, 8) == target.e820[i].size);
		assert_true(guest(map + 24 * i + 20, 4) == target.e820[i].type);
	}
	if (modules) {
		uint64_t start = guest(list, 4);

		assert_true(start == PADDR + 0x2000);
		assert_true(guest(list + 4, 4) == start + sizeof(initrd));
		assert_string_equal((char *)arena + guest(list + 8, 4), "initrd");
		assert_true(guest(list + 16, 4) == PADDR + 0x4000);
		assert_string_equal((char *)arena + guest(list + 24, 4), "extra arg one");
		assert_true(guest(list + 36, 4) == PADDR + 0x5001);
		assert_string_equal((char *)arena + guest(list + 40, 4), "more");
	}
}

static void test_multiboot(void **unused)
{
	static const struct offsets *const classes[] = { &offsets_32, &offsets_64 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_COUNT(classes); i++) {
		for (unsigned int modules = 0; modules < 2; modules++) {
			build(classes[i]);
			add_multiboot(3);
			request.has_initrd = modules != 0;
			request.module_count = modules ? 2 : 0;
			assert_int_equal(load(&request), 0);
			check_image();
			/* The entry is virtual in the header and physical at the start. */
			assert_true(state.rip == PADDR + 0x40);
			check_multiboot_info(modules != 0);
		}
	}
}

/* A flat binary: only a Multiboot header with addresses. */
static void build_plain(uint32_t load_end, uint32_t bss_end)
{
	build(&offsets_32);
	memset(image, 0, HEADER);
	add_multiboot(0x10003);
	put(image, HEADER + 12, PADDR + 0x100, 4); /* header_addr: load_addr is file 0x200 */
	put(image, HEADER + 16, PADDR, 4);
	put(image, HEADER + 20, load_end, 4);
	put(image, HEADER + 24, bss_end, 4);
	put(image, HEADER + 28, PADDR + 0x210, 4);
}

static void test_multiboot_plain(void **unused)
{
	(void)unused;
	build_plain(0, 0);
	assert_int_equal(load(&request), 0);
	assert_memory_equal(arena + PADDR, image + 0x200, IMAGE_SIZE - 0x200);
	assert_int_equal(arena[PADDR + IMAGE_SIZE - 0x200], STALE);
	assert_true(state.rip == PADDR + 0x210);
	check_multiboot_info(false);
	build_plain(PADDR + 0x300, PADDR + 0x1800);
	request.has_initrd = true;
	assert_int_equal(load(&request), 0);
	assert_memory_equal(arena + PADDR, image + 0x200, 0x300);
	assert_int_equal(arena[PADDR + 0x300], 0);
	assert_int_equal(arena[PADDR + 0x17ff], 0);
	assert_int_equal(arena[PADDR + 0x1800], STALE);
	assert_int_equal(arena[PADDR + 0x2000], 0x1d); /* the initrd is behind the bss */
}

struct refusal {
	size_t offset;
	uint64_t value;
	unsigned int width;
	const char *expected;
};

static void check_refusals(const struct refusal *cases, size_t count, void (*make)(void))
{
	for (size_t i = 0; i < count; i++) {
		make();
		put(image, cases[i].offset, cases[i].value, cases[i].width);
		assert_true(load(&request) < 0);
		assert_string_equal(error.text, cases[i].expected);
	}
}

static void make_elf64(void)
{
	build(&offsets_64);
	add_multiboot(3);
}

static void make_pvh(void)
{
	build(&offsets_64);
	add_pvh(8, PADDR + 0x80, 4);
}

static void make_plain(void)
{
	build_plain(PADDR + 0x300, PADDR + 0x1800);
}

static void test_elf_refusals(void **unused)
{
	static const struct refusal cases[] = {
		{ 4, 3, 1,
		  "kernel: ELF header: class 3 (offset 4), data 1 (5); 32- or 64-bit "
		  "little-endian is expected (1 or 2, 1)" },
		{ 5, 2, 1,
		  "kernel: ELF header: class 2 (offset 4), data 2 (5); 32- or 64-bit "
		  "little-endian is expected (1 or 2, 1)" },
		{ 16, 3, 2, "kernel: ELF header: type 3 (offset 16); 2 (executable) is expected" },
		{ 18, 183, 2,
		  "kernel: ELF header: machine 183 (offset 18); 3 (386) or 62 (x86-64) "
		  "is expected" },
		{ 56, 0, 2,
		  "kernel: ELF header: 0 program headers of 56 bytes; 1 to 64 of 56 are "
		  "expected" },
		{ 56, 65, 2,
		  "kernel: ELF header: 65 program headers of 56 bytes; 1 to 64 of 56 are "
		  "expected" },
		{ 54, 32, 2,
		  "kernel: ELF header: 2 program headers of 32 bytes; 1 to 64 of 56 are "
		  "expected" },
		{ 32, IMAGE_SIZE - 100, 8,
		  "kernel: ELF header: 2 program headers at 0xf9c; the file "
		  "ends at 0x1000" },
		{ 32, UINT64_MAX, 8,
		  "kernel: ELF header: 2 program headers at 0xffffffffffffffff; "
		  "the file ends at 0x1000" },
		{ 64 + 8, IMAGE_SIZE, 8,
		  "kernel: program header 0: 0x800 bytes at 0x1000; the file "
		  "ends at 0x1000" },
		{ 64 + 8, UINT64_MAX, 8,
		  "kernel: program header 0: 0x800 bytes at "
		  "0xffffffffffffffff; the file ends at 0x1000" },
		{ 64 + 40, 0x7ff, 8,
		  "kernel: program header 0: 0x800 bytes in the file, only 0x7ff "
		  "in memory" },
		{ 64 + 24, UINT64_C(0xffffffff), 8,
		  "kernel: program header 0: 0x1800 bytes at "
		  "physical address 0xffffffff go beyond 4 GiB" },
		{ 64 + 40, UINT64_MAX, 8,
		  "kernel: program header 0: 0xffffffffffffffff bytes at "
		  "physical address 0x200000 go beyond 4 GiB" },
		{ 64 + 24, 0xa000, 8,
		  "kernel: program header 0: [0xa000, 0xb800) overlaps the boot "
		  "structures in [0x1000, 0xb000)" },
		{ 64 + 24, 0xe0000, 8,
		  "kernel: program header 0: 4096 bytes at 0xe0800 are not in "
		  "the partition's RAM (0 to 0x9fc00, 1 MiB to 0x800000)" },
		{ 64 + 24, ARENA_SIZE - 0x1000, 8,
		  "kernel: program header 0: 4096 bytes at 0x7ff800 are not in the partition's RAM "
		  "(0 to 0x9fc00, 1 MiB to 0x800000)" },
		{ 24, PADDR, 8, "kernel: entry: 0x200000 is in none of the 2 program headers" },
		{ HEADER, 0, 4,
		  "kernel: this ELF has neither a PVH note (Xen, type 18) nor a "
		  "Multiboot header in its first 8 KiB" },
	};

	(void)unused;
	check_refusals(cases, ARRAY_COUNT(cases), make_elf64);
}

static void test_pvh_refusals(void **unused)
{
	static const struct refusal cases[] = {
		{ NOTE + 24 + 4, 2, 4,
		  "kernel: program header 1: the PVH note at 0xc18 has a "
		  "descriptor of 2 bytes; 4 or 8 are expected" },
		{ NOTE + 24 + 4, 9, 4,
		  "kernel: program header 1: the note at 0xc18, name 4 and "
		  "descriptor 9 bytes, goes beyond its end" },
		{ NOTE, UINT32_MAX, 4,
		  "kernel: program header 1: the note at 0xc00, name 4294967295 "
		  "and descriptor 3 bytes, goes beyond its end" },
		{ NOTE + 24 + 16, 0x1000, 8,
		  "kernel: entry: 0x1000 is in none of the 2 program headers" },
		{ NOTE + 24 + 16, VADDR, 8,
		  "kernel: entry: 0x40200000 is in none of the 2 program headers" },
		{ 120 + 8, IMAGE_SIZE - 8, 8,
		  "kernel: program header 1: 0x30 bytes at 0xff8; the file ends at 0x1000" },
	};

	(void)unused;
	check_refusals(cases, ARRAY_COUNT(cases), make_pvh);
}

static void test_plain_refusals(void **unused)
{
	static const struct refusal cases[] = {
		{ HEADER + 12, PADDR - 1, 4,
		  "kernel: Multiboot header at 0x300: header_addr 0x1fffff "
		  "and load_addr 0x200000 do not fit together" },
		{ HEADER + 12, PADDR + 0x301, 4,
		  "kernel: Multiboot header at 0x300: header_addr "
		  "0x200301 and load_addr 0x200000 do not fit "
		  "together" },
		{ HEADER + 20, PADDR - 1, 4,
		  "kernel: Multiboot header at 0x300: load_end_addr 0x1fffff is not in the file" },
		{ HEADER + 20, PADDR + IMAGE_SIZE, 4,
		  "kernel: Multiboot header at 0x300: load_end_addr 0x201000 is not in the file" },
		{ HEADER + 28, PADDR + 0x300, 4,
		  "kernel: Multiboot header at 0x300: entry_addr "
		  "0x200300 is not in [0x200000, 0x200300)" },
		{ HEADER + 24, 0xf0000000, 4,
		  "kernel: Multiboot bss: 4024433920 bytes at 0x200300 are not in the partition's RAM "
		  "(0 to 0x9fc00, 1 MiB to 0x800000)" },
	};

	(void)unused;
	check_refusals(cases, ARRAY_COUNT(cases), make_plain);
}

static void test_multiboot_refusals(void **unused)
{
	(void)unused;
	build(&offsets_32);
	add_multiboot(7);
	assert_int_equal(load(&request), -EINVAL);
	assert_string_equal(error.text, "kernel: Multiboot header at 0x300: flags 0x7 require what "
					"there is not (0x4; 0x4 is video)");
	build(&offsets_32);
	add_multiboot(3);
	image[HEADER + 8]++;
	assert_int_equal(load(&request), -EINVAL);
	/* Without ELF there must be addresses. */
	build(&offsets_32);
	memset(image, 0, HEADER);
	add_multiboot(3);
	assert_int_equal(load(&request), -EINVAL);
	assert_string_equal(error.text, "kernel: Multiboot header at 0x300: it gives no addresses "
					"(flag 16), and the file is no ELF");
	/* A header that the end of the file cuts. */
	build_plain(0, 0);
	request.kernel.size = HEADER + 31;
	assert_int_equal(load(&request), -EINVAL);
	assert_string_equal(error.text,
			    "kernel: Multiboot header at 0x300: the file ends in its addresses");
}

static void test_modules_do_not_fit(void **unused)
{
	(void)unused;
	make_pvh();
	request.has_initrd = true;
	request.initrd.size = (size_t)ARENA_SIZE;
	assert_int_equal(load(&request), -ENOMEM);
	assert_string_equal(error.text,
			    "initrd: 8388608 bytes do not fit behind the kernel: RAM is "
			    "free from 0x202000 to 0x800000");
}

static void test_strings_do_not_fit(void **unused)
{
	static char line[9000];

	(void)unused;
	make_elf64();
	memset(line, 'x', sizeof(line) - 1);
	request.cmdline = line;
	assert_int_equal(load(&request), -E2BIG);
	assert_string_equal(error.text, "kernel: the command lines of kernel and modules are too "
					"long; 8192 bytes are allowed for all");
}

/* A PT_LOAD of no bytes may name any address, and must not move the modules. */
static void test_empty_segment(void **unused)
{
	(void)unused;
	make_elf64();
	put(image, 120, 1, 4);
	put(image, 120 + 24, UINT64_MAX, 8);
	request.has_initrd = true;
	assert_int_equal(load(&request), 0);
	assert_int_equal(arena[PADDR + 0x2000], 0x1d);
}

static void test_noise(void **unused)
{
	(void)unused;
	make_pvh();
	request.has_initrd = true;
	check_noise(&request, 0xc60, 10000);
	check_noise(&request, 180, 10000);
	make_elf64();
	check_noise(&request, 180, 10000);
	build(&offsets_32);
	add_multiboot(3);
	check_noise(&request, 120, 10000);
	make_plain();
	check_noise(&request, HEADER + 36, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_multiboot),
		cmocka_unit_test(test_multiboot_plain),
		cmocka_unit_test(test_elf_refusals),
		cmocka_unit_test(test_pvh_refusals),
		cmocka_unit_test(test_plain_refusals),
		cmocka_unit_test(test_multiboot_refusals),
		cmocka_unit_test(test_modules_do_not_fit),
		cmocka_unit_test(test_strings_do_not_fit),
		cmocka_unit_test(test_empty_segment),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
