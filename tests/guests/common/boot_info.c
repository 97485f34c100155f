/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies what a Multiboot 1 loader (mbi) or a PVH loader (start_info) left in memory into
 * guest_boot, so that the rest of a guest needs to know neither. Trusts its loader.
 */
#include "tests/guests/common/boot_info.h"
#include "lib/string.h"
#include "tests/guests/common/guest.h"

struct guest_boot guest_boot;

static const void *at(uint64_t address)
{
	return (const void *)(uintptr_t)address;
}

static void add_region(uint64_t start, uint64_t size, uint32_t type)
{
	if (guest_boot.region_count < GUEST_REGIONS_MAX) {
		guest_boot.regions[guest_boot.region_count++] =
			(struct guest_region){ start, size, type };
	}
}

static void add_module(uint64_t start, uint64_t end, uint64_t name)
{
	if (guest_boot.module_count < GUEST_MODULES_MAX) {
		struct guest_module *module = &guest_boot.modules[guest_boot.module_count++];
		module->start = start;
		module->end = end;
		string_copy(module->name, sizeof(module->name), name ? at(name) : "");
	}
}

static void read_mbi(const struct mbi *mbi)
{
	if (mbi->flags & MBI_CMDLINE) {
		string_copy(guest_boot.cmdline, sizeof(guest_boot.cmdline), at(mbi->cmdline));
	}
	if (mbi->flags & MBI_MODULES) {
		const struct mbi_module *modules = at(mbi->mods_addr);
		for (uint32_t i = 0; i < mbi->mods_count; i++) {
			add_module(modules[i].start, modules[i].end, modules[i].string);
		}
	}
	if (mbi->flags & MBI_MMAP) {
		for (uint32_t offset = 0; offset < mbi->mmap_length;) {
			const struct mbi_mmap *entry = at((uint64_t)mbi->mmap_addr + offset);
			add_region(entry->start, entry->length, entry->type);
			offset += entry->size + 4;
		}
	}
}

static void read_start_info(const struct pvh_start_info *info)
{
	if (info->cmdline) {
		string_copy(guest_boot.cmdline, sizeof(guest_boot.cmdline), at(info->cmdline));
	}
	const struct pvh_module *modules = at(info->modlist);
	for (uint32_t i = 0; i < info->module_count; i++) {
		add_module(modules[i].start, modules[i].start + modules[i].size,
			   modules[i].cmdline);
	}
	if (info->version >= 1) {
		const struct pvh_memmap *map = at(info->memmap);
		for (uint32_t i = 0; i < info->memmap_count; i++) {
			add_region(map[i].start, map[i].size, map[i].type);
		}
	}
	guest_boot.rsdp = info->rsdp;
}

static bool is_rsdp(const uint8_t *candidate)
{
	uint8_t sum = 0;
	for (unsigned int i = 0; i < 20; i++) {
		sum = (uint8_t)(sum + candidate[i]);
	}
	return memcmp(candidate, "RSD PTR ", 8) == 0 && sum == 0;
}

static uint64_t scan_rsdp(uint64_t start, uint64_t end)
{
	for (uint64_t address = start; address < end; address += 16) {
		if (is_rsdp(at(address))) {
			return address;
		}
	}
	return 0;
}

static uint64_t find_rsdp(void)
{
	uint64_t address = 0x40e;
	/* Hides the constant from the compiler, which takes it for a NULL access. */
	asm("" : "+r"(address));
	uint64_t ebda = (uint64_t) * (const uint16_t *)at(address) << 4;
	uint64_t found = 0;
	if (ebda >= 0x80000 && ebda < 0xa0000) {
		found = scan_rsdp(ebda, ebda + 1024);
	}
	return found ? found : scan_rsdp(0xe0000, 0x100000);
}

/* Fills guest_boot; false when neither kind of loader was here. */
bool boot_info_read(uint32_t magic, uint32_t info)
{
	if (magic == MULTIBOOT1_MAGIC) {
		guest_boot.loader = LOADER_MULTIBOOT1;
		read_mbi(at(info));
	} else if (*(const uint32_t *)at(info) == PVH_MAGIC) {
		guest_boot.loader = LOADER_PVH;
		read_start_info(at(info));
	} else {
		return false;
	}
	uint64_t image = (uintptr_t)image_start;
	guest_boot.ram_end = (uintptr_t)image_end;
	for (unsigned int i = 0; i < guest_boot.region_count; i++) {
		const struct guest_region *region = &guest_boot.regions[i];
		if (region->type == 1 && region->start <= image &&
		    image - region->start < region->size) {
			guest_boot.ram_end = MIN(region->start + region->size, 4 * GIB);
		}
	}
	if (!guest_boot.rsdp) {
		guest_boot.rsdp = find_rsdp();
	}
	return true;
}

static uint64_t read_unaligned(const uint8_t *bytes, unsigned int size)
{
	uint64_t value = 0;
	memcpy(&value, bytes, size);
	return value;
}

const uint8_t *acpi_find(const char *signature)
{
	const uint8_t *rsdp = at(guest_boot.rsdp);
	if (!rsdp) {
		return NULL;
	}
	bool extended = rsdp[15] >= 2;
	unsigned int width = extended ? 8 : 4;
	const uint8_t *root = at(read_unaligned(rsdp + (extended ? 24 : 16), width));
	uint64_t length = read_unaligned(root + 4, 4);
	for (uint64_t offset = 36; offset + width <= length; offset += width) {
		const uint8_t *table = at(read_unaligned(root + offset, width));
		if (memcmp(table, signature, 4) == 0) {
			return table;
		}
	}
	return NULL;
}
