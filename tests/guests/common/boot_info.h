/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two boot protocols as they lie in memory: "Multiboot Specification version 0.6.96",
 * and Xen's "x86/HVM direct boot ABI" (PVH). Only the fields that a guest looks at by name.
 */
#ifndef TESTS_GUESTS_COMMON_BOOT_INFO_H
#define TESTS_GUESTS_COMMON_BOOT_INFO_H

#include "lib/bits.h"

#define MULTIBOOT1_MAGIC 0x2badb002u
#define MBI_MEMORY BIT(0)
#define MBI_CMDLINE BIT(2)
#define MBI_MODULES BIT(3)
#define MBI_MMAP BIT(6)

struct mbi {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct mbi_module {
	uint32_t start, end, string, reserved;
};

struct mbi_mmap {
	uint32_t size; /* of what follows */
	uint64_t start, length;
	uint32_t type;
} __attribute__((packed));

#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};

struct pvh_module {
	uint64_t start, size, cmdline, reserved;
};

struct pvh_memmap {
	uint64_t start, size;
	uint32_t type, reserved;
};

bool boot_info_read(uint32_t magic, uint32_t info);

#endif
