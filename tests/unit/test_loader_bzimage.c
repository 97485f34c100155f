/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/loader/loader.c hv/loader/bzimage.c hv/loader/elf.c hv/loader/pvh.c */
/* sources: hv/loader/multiboot.c hv/loader/raw.c arch/x86/vcpu_state.c */
/* sources: lib/string_util.c lib/printf.c lib/status.c */
/* The bzImage loader on a synthetic kernel: where things go, every refusal, noise. */
#include "tests/unit/loader_arena.h"

#define KERNEL_OFFSET 1024
#define KERNEL_SIZE 4096
#define IMAGE_SIZE (KERNEL_OFFSET + KERNEL_SIZE)
#define PREFERRED UINT64_C(0x300000)
#define INIT_SIZE UINT64_C(0x200000)
#define PARAMS state.regs.gpr[GPR_RSI]

static uint8_t image[IMAGE_SIZE];
static uint8_t initrd[5000];
static struct loader_request request;

static int setup(void **unused)
{
	(void)unused;
	reset_arena();
	for (size_t i = 0; i < IMAGE_SIZE; i++) {
		image[i] = i < KERNEL_OFFSET ? 0 : (uint8_t)(i * 7);
	}
	memset(initrd, 0x1d, sizeof(initrd));
	put(image, 0x1f1, 1, 1);		/* setup_sects */
	put(image, 0x1f4, KERNEL_SIZE / 16, 4); /* syssize */
	put(image, 0x1fa, 0xffff, 2);		/* vid_mode: copied */
	put(image, 0x1fe, 0xaa55, 2);
	put(image, 0x200, 0x6aeb, 2); /* jump over the header: ends at 0x26c */
	memcpy(image + 0x202, "HdrS", 4);
	put(image, 0x206, 0x20f, 2);	  /* version */
	put(image, 0x211, 0xe1, 1);	  /* loadflags */
	put(image, 0x22c, 0x7fffffff, 4); /* initrd_addr_max */
	put(image, 0x230, 0x100000, 4);	  /* kernel_alignment */
	put(image, 0x234, 1, 1);	  /* relocatable */
	put(image, 0x236, 3, 2);	  /* xloadflags */
	put(image, 0x238, 255, 4);	  /* cmdline_size */
	put(image, 0x248, 0x100, 4);	  /* payload_offset */
	put(image, 0x24c, 0x800, 4);	  /* payload_length */
	put(image, 0x250, 0xdead, 8);	  /* setup_data */
	put(image, 0x258, PREFERRED, 8);  /* pref_address */
	put(image, 0x260, INIT_SIZE, 4);  /* init_size */
	request = (struct loader_request){
		.format = FORMAT_AUTO,
		.kernel = { "vmlinuz", NULL, image, sizeof(image) },
		.initrd = { "initrd.img", NULL, initrd, sizeof(initrd) },
		.cmdline = "console=ttyS0 quiet",
	};
	return 0;
}

static void check_page_tables(void)
{
	uint64_t pdpt = guest(state.cr3, 8);

	assert_true((pdpt & 0xfff) == 3);
	assert_true(guest(state.cr3 + 8, 8) == 0);
	for (uint64_t gib = 0; gib < 4; gib++) {
		uint64_t directory = guest((pdpt & ~UINT64_C(0xfff)) + gib * 8, 8);

		assert_true((directory & 0xfff) == 3);
		for (uint64_t i = 0; i < 512; i++) {
			assert_true(guest((directory & ~UINT64_C(0xfff)) + i * 8, 8) ==
				    ((gib * GIB + i * 2 * MIB) | 0x83));
		}
	}
	assert_true(guest((pdpt & ~UINT64_C(0xfff)) + 32, 8) == 0);
}

static void test_state(void **unused)
{
	(void)unused;
	assert_int_equal(load(&request), 0);
	assert_true(state.rip == PREFERRED + 0x200);
	assert_true(state.cr0 == (CR0_PG | CR0_PE | CR0_ET));
	assert_true(state.cr4 == CR4_PAE);
	assert_true(state.efer == (EFER_LME | EFER_LMA));
	assert_true(state.regs.gpr[GPR_RDX] == 0);
	check_flat(0xa09b);
	check_page_tables();
}

static void test_boot_params(void **unused)
{
	(void)unused;
	assert_int_equal(load(&request), 0);
	assert_memory_equal(arena + PREFERRED, image + KERNEL_OFFSET, KERNEL_SIZE);
	assert_true(guest(PARAMS + 0x1fa, 2) == 0xffff);
	assert_true(guest(PARAMS + 0x202, 4) == 0x53726448);
	assert_true(guest(PARAMS + 0x210, 1) == 0xff);
	assert_true(guest(PARAMS + 0x211, 1) == 1);
	assert_true(guest(PARAMS + 0x214, 4) == PREFERRED);
	assert_true(guest(PARAMS + 0x218, 8) == 0); /* no initrd */
	assert_true(guest(PARAMS + 0x250, 8) == 0); /* setup_data is not the file's */
	assert_true(guest(PARAMS + 0x070, 8) == ARENA_RSDP);
	assert_string_equal((char *)arena + guest(PARAMS + 0x228, 4), "console=ttyS0 quiet");
	assert_true(guest(PARAMS + 0x1e8, 1) == 5);
	for (unsigned int i = 0; i < target.e820_count; i++) {
		uint64_t entry = PARAMS + 0x2d0 + 20 * i;

		assert_true(guest(entry, 8) == target.e820[i].start);
		assert_true(guest(entry + 8, 8) == target.e820[i].size);
		assert_true(guest(entry + 16, 4) == target.e820[i].type);
	}
	/* Zero before and behind the header, whatever was in memory. */
	for (uint64_t i = 0; i < 0x1e8; i++) {
		assert_true((i >= 0x70 && i < 0x78) || arena[PARAMS + i] == 0);
	}
	for (uint64_t i = 0x26c; i < 0x2d0; i++) {
		assert_int_equal(arena[PARAMS + i], 0);
	}
}

static void test_initrd(void **unused)
{
	uint64_t expected = align_down(ARENA_SIZE - sizeof(initrd), PAGE_SIZE);

	(void)unused;
	request.has_initrd = true;
	assert_int_equal(load(&request), 0);
	assert_true(guest(PARAMS + 0x218, 4) == expected);
	assert_true(guest(PARAMS + 0x21c, 4) == sizeof(initrd));
	assert_memory_equal(arena + expected, initrd, sizeof(initrd));
	put(image, 0x22c, 0x5fffff, 4);
	assert_int_equal(load(&request), 0);
	assert_true(guest(PARAMS + 0x218, 4) == 0x5fe000);
	put(image, 0x22c, 0x500fff, 4); /* exactly: the kernel ends at 0x500000 */
	request.initrd.size = 4096;
	assert_int_equal(load(&request), 0);
	assert_true(guest(PARAMS + 0x218, 4) == 0x500000);
}

static void test_placement(void **unused)
{
	(void)unused;
	put(image, 0x258, 0x1000000, 8); /* 16 MiB is not there: the lowest aligned place */
	assert_int_equal(load(&request), 0);
	assert_true(state.rip == 0x100000 + 0x200);
	put(image, 0x230, 0x200000, 4);
	assert_int_equal(load(&request), 0);
	assert_true(state.rip == 0x200000 + 0x200);
	put(image, 0x258, 0x310000, 8); /* rounded up to the alignment */
	assert_int_equal(load(&request), 0);
	assert_true(state.rip == 0x400000 + 0x200);
	put(image, 0x234, 0, 1); /* not relocatable: as it is */
	assert_int_equal(load(&request), 0);
	assert_true(state.rip == 0x310000 + 0x200);
	put(image, 0x1f1, 0, 1); /* setup_sects 0 means 4 */
	put(image, 0x1f4, (IMAGE_SIZE - 5 * 512) / 16, 4);
	assert_int_equal(load(&request), 0);
	assert_memory_equal(arena + 0x310000, image + 5 * 512, IMAGE_SIZE - 5 * 512);
}

/* syssize is in units of 16 bytes: the last one need not be whole in the file. */
static void test_partial_paragraph(void **unused)
{
	(void)unused;
	request.kernel.size = IMAGE_SIZE - 15;
	assert_int_equal(load(&request), 0);
	request.kernel.size = IMAGE_SIZE - 16;
	assert_int_equal(load(&request), -EINVAL);
}

static void test_refusals(void **unused)
{
	static const struct {
		size_t offset;
		uint64_t value;
		unsigned int width;
		int status;
		const char *expected;
	} cases[] = {
		{ 0x206, 0x20b, 2, -EINVAL,
		  "vmlinuz: setup header: boot protocol 2.11 is too old; 2.12 is needed" },
		{ 0x236, 2, 2, -EINVAL,
		  "vmlinuz: setup header: xloadflags (0x236) says no 64-bit entry" },
		{ 0x211, 0, 1, -EINVAL,
		  "vmlinuz: setup header: loadflags (0x211) says zImage, loaded low" },
		{ 0x201, 0x10, 1, -EINVAL,
		  "vmlinuz: setup header: its end 0x212 (0x201) is not in 0x264 to 0x1400" },
		{ 0x1f4, KERNEL_SIZE / 16 + 1, 4, -EINVAL,
		  "vmlinuz: setup header: syssize (0x1f4) says 4112 bytes from 0x400 on; the file has "
		  "4096 there" },
		{ 0x1f4, 0xffffffff, 4, -EINVAL,
		  "vmlinuz: setup header: syssize (0x1f4) says 68719476720 bytes from 0x400 on; the "
		  "file has 4096 there" },
		{ 0x1f4, 0x20, 4, -EINVAL,
		  "vmlinuz: setup header: syssize (0x1f4) says 512 bytes from 0x400 on; the file has "
		  "4096 there" },
		{ 0x1f1, 200, 1, -EINVAL,
		  "vmlinuz: setup header: syssize (0x1f4) says 4096 bytes from 0x19200 on; the file "
		  "has 0 there" },
		{ 0x24c, 0xf01, 4, -EINVAL,
		  "vmlinuz: setup header: the payload (0x248), 3841 bytes at 0x100, ends behind the "
		  "kernel of 4096" },
		{ 0x248, 0xffffffff, 4, -EINVAL,
		  "vmlinuz: setup header: the payload (0x248), 2048 bytes at 0xffffffff, ends behind "
		  "the kernel of 4096" },
		{ 0x230, 0, 4, -EINVAL,
		  "vmlinuz: setup header: kernel_alignment (0x230) is 0x0, no power of two from 4 KiB "
		  "on" },
		{ 0x230, 0x300000, 4, -EINVAL,
		  "vmlinuz: setup header: kernel_alignment (0x230) is 0x300000, no power of two from "
		  "4 KiB on" },
		{ 0x260, 0x800000, 4, -ENOMEM,
		  "vmlinuz: the kernel needs 8192 KiB (init_size) at 0x100000; RAM goes from 1 MiB to "
		  "0x800000" },
		{ 0x230, 0x80000000, 4, -ENOMEM,
		  "vmlinuz: the kernel needs 2048 KiB (init_size) at 0x80000000; RAM goes from 1 MiB "
		  "to 0x800000" },
		{ 0x22c, 0x500ffe, 4, -ENOMEM,
		  "initrd.img: the initrd needs 4 KiB and the kernel 2048 KiB at 0x300000; there is "
		  "room up to 0x500fff" },
		{ 0x238, 18, 4, -E2BIG,
		  "vmlinuz: the command line has 19 characters; this kernel takes 18" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		setup(unused);
		request.has_initrd = true;
		put(image, cases[i].offset, cases[i].value, cases[i].width);
		assert_int_equal(load(&request), cases[i].status);
		assert_string_equal(error.text, cases[i].expected);
	}
}

static void test_not_relocatable(void **unused)
{
	(void)unused;
	put(image, 0x234, 0, 1);
	put(image, 0x258, 0x10000, 8);
	assert_int_equal(load(&request), -ENOMEM);
	put(image, 0x258, UINT64_MAX, 8);
	assert_int_equal(load(&request), -ENOMEM);
	put(image, 0x258, ARENA_SIZE - INIT_SIZE, 8);
	assert_int_equal(load(&request), 0);
}

static void test_other_refusals(void **unused)
{
	(void)unused;
	request.module_count = 1;
	request.modules[0] = (struct loader_file){ "extra", "", initrd, 1 };
	assert_int_equal(load(&request), -EINVAL);
	assert_string_equal(error.text,
			    "extra: a bzImage takes no modules; only PVH and Multiboot kernels do");
	request.module_count = 0;
	request.has_initrd = true;
	request.initrd.size = (size_t)ARENA_SIZE;
	assert_int_equal(load(&request), -ENOMEM);
	request.has_initrd = false;
	request.format = FORMAT_BZIMAGE;
	image[0x1fe] = 0;
	assert_int_equal(load(&request), -EINVAL);
	assert_string_equal(error.text,
			    "vmlinuz: no bzImage: 55 aa at 0x1fe and HdrS at 0x202 are expected");
}

static void test_noise(void **unused)
{
	(void)unused;
	request.has_initrd = true;
	check_noise(&request, 0x270, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_state, setup),
		cmocka_unit_test_setup(test_boot_params, setup),
		cmocka_unit_test_setup(test_initrd, setup),
		cmocka_unit_test_setup(test_placement, setup),
		cmocka_unit_test_setup(test_partial_paragraph, setup),
		cmocka_unit_test_setup(test_refusals, setup),
		cmocka_unit_test_setup(test_not_relocatable, setup),
		cmocka_unit_test_setup(test_other_refusals, setup),
		cmocka_unit_test_setup(test_noise, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
