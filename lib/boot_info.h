/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a boot loader hands over, in neutral form: filled by boot/multiboot2.c (later also by
 * an EFI loader), read by everything else. Machine-owned, constant after boot. All strings
 * and lists are copies, so the loader's own memory may be reused; module bytes are not.
 */
#ifndef LIB_BOOT_INFO_H
#define LIB_BOOT_INFO_H

#include "lib/addr.h"

#define BOOT_MODULES_MAX 64
#define BOOT_REGIONS_MAX 256
#define BOOT_COMMAND_LINE_MAX 1024
#define BOOT_MODULE_NAME_MAX 64
#define BOOT_RSDP_MAX 36

/* Multiboot2 specification, "Memory map": the type numbers. */
enum boot_region_type {
	BOOT_REGION_AVAILABLE = 1,
	BOOT_REGION_RESERVED = 2,
	BOOT_REGION_ACPI_RECLAIMABLE = 3,
	BOOT_REGION_NVS = 4,
	BOOT_REGION_BAD = 5,
};

/* [start, end), as the firmware said it: not aligned, not sorted, may overlap. */
struct boot_region {
	hpa_t start;
	hpa_t end;
	enum boot_region_type type;
};

/* [start, end) and the first word of its command line, without leading folders. */
struct boot_module {
	hpa_t start;
	hpa_t end;
	char name[BOOT_MODULE_NAME_MAX];
};

struct boot_framebuffer {
	bool present;
	hpa_t address;
	uint32_t pitch; /* bytes a line */
	uint32_t width;
	uint32_t height;
	uint8_t bits_per_pixel;
	uint8_t type; /* Multiboot2 "Framebuffer info": 0 indexed, 1 RGB, 2 EGA text */
};

struct boot_info {
	char command_line[BOOT_COMMAND_LINE_MAX];
	struct boot_region regions[BOOT_REGIONS_MAX];
	unsigned int region_count;
	struct boot_module modules[BOOT_MODULES_MAX];
	unsigned int module_count;
	bool has_rsdp;
	uint8_t rsdp[BOOT_RSDP_MAX]; /* a copy of the ACPI RSDP */
	struct boot_framebuffer framebuffer;
};

#endif
