/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the loaders share: a partition of 8 MiB as an arena, whose write hook
 * fails the test when a loader asks for anything but RAM; images as byte arrays; checks of
 * the result. Included by one .c file each.
 */
#ifndef TESTS_UNIT_LOADER_ARENA_H
#define TESTS_UNIT_LOADER_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "hv/loader/loader.h"
#include "lib/string.h"

#define ARENA_SIZE (8 * MIB)
#define ARENA_LOW_END UINT64_C(0x9fc00)
#define ARENA_RSDP UINT64_C(0xe0000)
#define STALE 0xa5 /* what memory holds before, as after a restart */

static uint8_t arena[ARENA_SIZE];
static struct loader_target target;
static struct vcpu_state state;
static struct error_text error;

static void check_arena(uint64_t address, uint64_t size)
{
	bool low = range_fits(address, size, ARENA_LOW_END);
	bool high = address >= MIB && range_fits(address, size, ARENA_SIZE);

	assert_true(low || high);
}

static int arena_write(void *context, uint64_t address, const void *data, size_t size)
{
	assert_ptr_equal(context, arena);
	check_arena(address, size);
	memcpy(arena + address, data, size);
	return 0;
}

static int arena_zero(void *context, uint64_t address, size_t size)
{
	assert_ptr_equal(context, arena);
	check_arena(address, size);
	memset(arena + address, 0, size);
	return 0;
}

static void reset_arena(void)
{
	memset(arena, STALE, sizeof(arena));
	target = (struct loader_target){
		.context = arena,
		.write = arena_write,
		.zero = arena_zero,
		.e820 = { { 0, ARENA_LOW_END, E820_RAM },
			  { ARENA_LOW_END, 0x400, E820_RESERVED },
			  { 0xe0000, 0x20000, E820_RESERVED },
			  { MIB, ARENA_SIZE - MIB, E820_RAM },
			  { 4 * GIB, GIB, E820_RAM } },
		.e820_count = 5,
		.ram_low_end = ARENA_SIZE,
		.rsdp = ARENA_RSDP,
	};
}

static uint64_t number(const uint8_t *from, unsigned int width)
{
	uint64_t value = 0;

	memcpy(&value, from, width);
	return value;
}

static uint64_t guest(uint64_t address, unsigned int width)
{
	assert_true(range_fits(address, width, ARENA_SIZE));
	return number(arena + address, width);
}

static void put(uint8_t *image, size_t offset, uint64_t value, unsigned int width)
{
	memcpy(image + offset, &value, width);
}

/* Loads with the kernel in a heap block of its exact size, so that ASan sees reads past it. */
static int load(const struct loader_request *request)
{
	struct loader_request copy = *request;
	uint8_t *data = malloc(request->kernel.size + (request->kernel.size == 0));
	int status;

	assert_non_null(data);
	memcpy(data, request->kernel.data, request->kernel.size);
	copy.kernel.data = data;
	error.text[0] = '\0';
	memset(&state, STALE, sizeof(state));
	status = loader_load(&copy, &target, &state, &error);
	free(data);
	assert_true((status == 0) == (error.text[0] == '\0'));
	return status;
}

static void check_segment(enum segment segment, uint16_t selector, uint32_t rights)
{
	assert_int_equal(state.segment[segment].selector, selector);
	assert_int_equal(state.segment[segment].rights, rights);
	assert_true(state.segment[segment].base == 0);
	assert_int_equal(state.segment[segment].limit, UINT32_MAX);
}

/* Flat segments, backed by the GDT that GDTR names. `code` is the rights of CS. */
static inline void check_flat(uint32_t code)
{
	uint64_t gdt = state.gdtr.base;

	check_segment(SEGMENT_CS, 0x10, code);
	check_segment(SEGMENT_DS, 0x18, 0xc093);
	check_segment(SEGMENT_ES, 0x18, 0xc093);
	check_segment(SEGMENT_SS, 0x18, 0xc093);
	assert_int_equal(state.segment[SEGMENT_TR].rights, 0x8b);
	assert_true(state.gdtr.limit >= 0x1f);
	assert_true(guest(gdt, 8) == 0);
	assert_true(guest(gdt + 0x10, 8) ==
		    (code == 0xa09b ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff)));
	assert_true(guest(gdt + 0x18, 8) == UINT64_C(0x00cf93000000ffff));
	assert_true(state.rflags == 2);
}

static uint32_t random_state = 1;

static inline uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/*
 * Every cut of the image, and `rounds` random changes in [0, range) of it: no crash and no
 * write outside of RAM (the hooks look). Interesting values are as likely as random ones.
 */
static inline void check_noise(const struct loader_request *request, size_t range, int rounds)
{
	static const uint64_t values[] = { 0,	       1,	   0x7fffffff, 0x80000000,
					   0xffffffff, UINT64_MAX, 0x100000,   0x1000 };
	struct loader_request copy = *request;
	uint8_t *image = malloc(request->kernel.size);

	assert_non_null(image);
	for (copy.kernel.size = 0; copy.kernel.size < request->kernel.size; copy.kernel.size++) {
		(void)load(&copy);
	}
	copy.kernel.data = image;
	for (int round = 0; round < rounds; round++) {
		memcpy(image, request->kernel.data, request->kernel.size);
		for (uint32_t changes = random_next() % 4 + 1; changes > 0; changes--) {
			unsigned int width = 1u << random_next() % 4;
			size_t at = random_next() % (range - 8);
			uint64_t value = random_next() % 2
						 ? values[random_next() % ARRAY_COUNT(values)]
						 : random_next();

			put(image, at, value, width);
		}
		(void)load(&copy);
	}
	free(image);
}

#endif
