/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting by the PVH boot protocol (Xen documentation, "x86/HVM direct boot ABI"): 32-bit
 * protected mode without paging, EBX = the start info, which lists memory and modules. The
 * first module is the initrd.
 */
#include "arch/x86/regs.h"
#include "hv/loader/formats.h"

#define START_MAGIC 0x336ec578
#define START_VERSION 1

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap; /* since version 1 */
	uint32_t memmap_count;
	uint32_t reserved;
};

struct start_module {
	uint64_t start;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct start_memory {
	uint64_t start;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* All of it, as it lies at LOADER_INFO. */
struct start_page {
	struct start_info info;
	struct start_module modules[PARTITION_MODULES_MAX + 1];
	struct start_memory memory[LOADER_E820_MAX];
};

_Static_assert(sizeof(struct start_info) == 56, "as the protocol says");
_Static_assert(sizeof(struct start_module) == 32, "as the protocol says");
_Static_assert(sizeof(struct start_memory) == 24, "as the protocol says");
_Static_assert(sizeof(struct start_page) <= PAGE_SIZE, "one page is set aside");

static void fill_page(const struct loader *loader, const struct loader_modules *modules,
		      uint64_t cmdline, struct start_page *page)
{
	const struct loader_target *target = loader->target;

	*page = (struct start_page){
		.info = {
			.magic = START_MAGIC,
			.version = START_VERSION,
			.module_count = modules->count,
			.modules = LOADER_INFO + offsetof(struct start_page, modules),
			.cmdline = cmdline,
			.rsdp = target->rsdp,
			.memmap = LOADER_INFO + offsetof(struct start_page, memory),
			.memmap_count = target->e820_count,
		},
	};
	for (unsigned int i = 0; i < modules->count; i++) {
		page->modules[i].start = modules->list[i].start;
		page->modules[i].size = modules->list[i].size;
		page->modules[i].cmdline = modules->list[i].string;
	}
	for (unsigned int i = 0; i < target->e820_count; i++) {
		page->memory[i].start = target->e820[i].start;
		page->memory[i].size = target->e820[i].size;
		page->memory[i].type = target->e820[i].type;
	}
}

/* Modules, start info and state for a loaded kernel with a physical entry below 4 GiB. */
int pvh_start(struct loader *loader, uint64_t entry, uint64_t kernel_end)
{
	struct loader_modules modules;
	struct start_page page;
	uint64_t cmdline;
	int status = loader_string(loader, "", loader->request->cmdline, &cmdline);

	status = status ? status : loader_place_modules(loader, kernel_end, false, &modules);
	if (status) {
		return status;
	}
	fill_page(loader, &modules, cmdline, &page);
	status = loader_write(loader, "start info", LOADER_INFO, &page, sizeof(page));
	status = status ? status : loader_set_flat(loader, false);
	if (status == 0) {
		memset(&loader->state->regs, 0, sizeof(loader->state->regs));
		loader->state->regs.gpr[GPR_RBX] = LOADER_INFO;
		loader->state->rip = entry;
	}
	return status;
}
