/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's witness: prints what its loader handed over, whichever protocol it was
 * (command line, modules with the sum of their bytes, memory map, RSDP), and exits with 0.
 * It is built three ways: mb1.elf (Multiboot 1, ELF32), mb1-64.elf (ELF64) and pvh.elf.
 */
#include "lib/string.h"
#include "tests/guests/common/guest.h"

#define FIRST_BYTES 8u

/* The memory below an address may be all there is to see of a wrong module: bounded. */
static uint32_t sum_bytes(const uint8_t *bytes, uint64_t size)
{
	uint32_t sum = 0;
	for (uint64_t i = 0; i < size; i++) {
		sum += bytes[i];
	}
	return sum;
}

static void print_module(unsigned int number, const struct guest_module *module)
{
	const uint8_t *bytes = (const uint8_t *)(uintptr_t)module->start;
	uint64_t size = module->end - module->start;
	char first[FIRST_BYTES * 2 + 1] = "";
	for (unsigned int i = 0; i < MIN(size, FIRST_BYTES); i++) {
		string_format(first + 2 * i, 3, "%02x", bytes[i]);
	}
	print("loader: module %u name=\"%s\" size=%llu sum=0x%x first=%s\n", number, module->name,
	      (unsigned long long)size, sum_bytes(bytes, size), first);
}

int guest_main(void)
{
	print("loader: protocol %s\n", guest_boot.loader == LOADER_PVH ? "pvh" : "multiboot1");
	print("loader: cmdline \"%s\"\n", guest_boot.cmdline);
	print("loader: modules %u\n", guest_boot.module_count);
	for (unsigned int i = 0; i < guest_boot.module_count; i++) {
		print_module(i, &guest_boot.modules[i]);
	}
	for (unsigned int i = 0; i < guest_boot.region_count; i++) {
		const struct guest_region *region = &guest_boot.regions[i];
		print("loader: memory %u 0x%llx-0x%llx type=%u\n", i,
		      (unsigned long long)region->start,
		      (unsigned long long)(region->start + region->size), region->type);
	}
	print("loader: rsdp %s\n", guest_boot.rsdp ? "found" : "none");
	print("loader: done\n");
	return 0;
}
