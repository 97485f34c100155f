/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/loader/loader.c hv/loader/bzimage.c hv/loader/elf.c hv/loader/pvh.c */
/* sources: hv/loader/multiboot.c hv/loader/raw.c arch/x86/vcpu_state.c */
/* sources: lib/string_util.c lib/printf.c lib/status.c */
/* The raw loader: real mode as a boot sector finds it; and what `auto` does not guess. */
#include "tests/unit/loader_arena.h"

static uint8_t sector[512];
static struct loader_request request;

static int setup(void **unused)
{
	(void)unused;
	reset_arena();
	memset(sector, 0x90, sizeof(sector));
	sector[510] = 0x55;
	sector[511] = 0xaa;
	request = (struct loader_request){
		.format = FORMAT_RAW,
		.kernel = { "sector", NULL, sector, sizeof(sector) },
		.raw_load = 0x7c00,
		.raw_entry = 0x7c00,
	};
	return 0;
}

static void check_start(uint16_t cs, uint64_t ip, uint64_t sp)
{
	assert_int_equal(load(&request), 0);
	assert_int_equal(state.segment[SEGMENT_CS].selector, cs);
	assert_true(state.segment[SEGMENT_CS].base == (uint64_t)cs << 4);
	assert_true(state.rip == ip);
	assert_true(state.regs.gpr[GPR_RSP] == sp);
}

static void test_boot_sector(void **unused)
{
	static const enum segment data[] = { SEGMENT_DS, SEGMENT_ES, SEGMENT_SS, SEGMENT_FS,
					     SEGMENT_GS };

	(void)unused;
	check_start(0, 0x7c00, 0x7c00);
	assert_memory_equal(arena + 0x7c00, sector, sizeof(sector));
	assert_int_equal(arena[0x7bff], STALE);
	assert_int_equal(arena[0x7e00], STALE);
	assert_true(state.regs.gpr[GPR_RDX] == 0x80);
	assert_true(state.cr0 == CR0_ET && state.cr4 == 0 && state.efer == 0);
	assert_true(state.rflags == 2);
	assert_int_equal(state.segment[SEGMENT_CS].limit, 0xffff);
	assert_int_equal(state.segment[SEGMENT_CS].rights, 0x9b);
	for (size_t i = 0; i < ARRAY_COUNT(data); i++) {
		assert_int_equal(state.segment[data[i]].selector, 0);
		assert_true(state.segment[data[i]].base == 0);
		assert_int_equal(state.segment[data[i]].limit, 0xffff);
		assert_int_equal(state.segment[data[i]].rights, 0x93);
	}
}

static void test_addresses(void **unused)
{
	(void)unused;
	request.raw_load = 0xfe00;
	request.raw_entry = 0xffff;
	check_start(0, 0xffff, 0xfe00);
	request.raw_load = 0x10000;
	request.raw_entry = 0x10005;
	check_start(0x1000, 5, 0x7c00);
	request.raw_load = 0;
	request.raw_entry = 0;
	check_start(0, 0, 0x7c00);
	request.raw_load = 0x1001;
	check_start(0, 0, 0x1000);
	request.raw_load = ARENA_LOW_END - sizeof(sector);
	request.raw_entry = 0x9fbff;
	check_start(0x9fbf, 0xf, 0x7c00);
}

static void check_refused(int status, const char *expected)
{
	assert_int_equal(load(&request), status);
	assert_string_equal(error.text, expected);
}

static void test_refusals(void **unused)
{
	request.raw_load = ARENA_LOW_END - sizeof(sector) + 1;
	check_refused(-ERANGE, "sector: image: 512 bytes at 0x9fa01 are not in the partition's RAM "
			       "(0 to 0x9fc00, 1 MiB to 0x800000)");
	request.raw_load = 0xe0000;
	check_refused(-ERANGE, "sector: image: 512 bytes at 0xe0000 are not in the partition's RAM "
			       "(0 to 0x9fc00, 1 MiB to 0x800000)");
	request.raw_load = MIB;
	check_refused(-EINVAL, "sector: load 0x100000, entry 0x7c00: both must be below 0x100000");
	setup(unused);
	request.raw_entry = UINT64_MAX;
	check_refused(-EINVAL, "sector: load 0x7c00, entry 0xffffffffffffffff: both must be below "
			       "0x100000");
	setup(unused);
	request.has_initrd = true;
	check_refused(-EINVAL, "sector: a raw image takes no initrd");
	setup(unused);
	request.cmdline = "x";
	check_refused(-EINVAL, "sector: a raw image takes no command line");
	setup(unused);
	request.module_count = 1;
	request.modules[0] = (struct loader_file){ "extra", NULL, sector, 1 };
	check_refused(-EINVAL,
		      "extra: a raw image takes no modules; only PVH and Multiboot kernels "
		      "do");
	setup(unused);
	request.kernel.size = 0;
	check_refused(-EINVAL, "sector: the file is empty");
}

static void test_auto(void **unused)
{
	(void)unused;
	request.format = FORMAT_AUTO;
	check_refused(-EINVAL,
		      "sector: format unknown: no bzImage (HdrS at 0x202), no ELF (7f 45 4c "
		      "46 at 0), no Multiboot header in 8 KiB; raw must be asked for");
	request.kernel.size = 0;
	assert_int_equal(load(&request), -EINVAL);
	request.format = FORMAT_ELF;
	check_refused(-EINVAL,
		      "sector: no ELF: 7f 45 4c 46 at 0 or a Multiboot header is expected");
	request.format = FORMAT_BZIMAGE;
	check_refused(-EINVAL, "sector: no bzImage: 55 aa at 0x1fe and HdrS at 0x202 are expected");
	request.format = (enum kernel_format)9;
	check_refused(-EINVAL, "sector: no such format");
}

/* Random files of every size up to a few KiB, as every format. */
static void test_noise(void **unused)
{
	static uint8_t noise[3000];

	(void)unused;
	request.kernel.data = noise;
	for (int round = 0; round < 4000; round++) {
		request.kernel.size = random_next() % sizeof(noise);
		request.format = (enum kernel_format)(random_next() % 4);
		request.raw_load = random_next() % (2 * MIB);
		request.raw_entry = random_next() % (2 * MIB);
		for (size_t i = 0; i < request.kernel.size; i++) {
			noise[i] = (uint8_t)random_next();
		}
		if (round % 3 == 0) {
			memcpy(noise,
			       "\x7f"
			       "ELF\2\1\1",
			       7);
		} else if (round % 3 == 1) {
			put(noise, 0x1fe, 0xaa55, 2);
			memcpy(noise + 0x202, "HdrS\xf\2", 6);
		}
		(void)load(&request);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_boot_sector, setup),
		cmocka_unit_test_setup(test_addresses, setup),
		cmocka_unit_test_setup(test_refusals, setup),
		cmocka_unit_test_setup(test_auto, setup),
		cmocka_unit_test_setup(test_noise, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
