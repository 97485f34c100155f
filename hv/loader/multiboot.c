/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1 kernels ("Multiboot Specification", version 0.6.96): 32-bit protected mode
 * without paging, EAX = magic, EBX = the information structure. Command lines start with the
 * file's name, as other boot loaders have it. A kernel may bring its addresses in the header
 * (flag 16), and then needs to be no ELF.
 */
#include "arch/x86/regs.h"
#include "hv/loader/formats.h"

#define SEARCH_SIZE 8192
#define HEADER_MAGIC 0x1badb002
#define HEADER_SIZE 12
#define HEADER_ADDRESSES_SIZE 32
#define FLAG_PAGE_ALIGN BIT(0)
#define FLAG_MEMORY_INFO BIT(1)
#define FLAG_ADDRESSES BIT(16)
#define FLAGS_REQUIRED BITS(15, 0) /* a loader that cannot do one of these must refuse */
#define LOADER_MAGIC 0x2badb002

#define INFO_MEMORY BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MEMORY_MAP BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct multiboot_info {
	uint32_t flags;
	uint32_t memory_lower; /* KiB from 0 on */
	uint32_t memory_upper; /* KiB from 1 MiB on */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count;
	uint32_t modules;
	uint32_t symbols[4];
	uint32_t map_size;
	uint32_t map;
	uint32_t drives_size;
	uint32_t drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
};

struct multiboot_module {
	uint32_t start;
	uint32_t end;
	uint32_t string;
	uint32_t reserved;
};

struct multiboot_memory {
	uint32_t size; /* of the rest */
	uint64_t start;
	uint64_t length;
	uint32_t type;
} __attribute__((packed));

/* All of it, as it lies at LOADER_INFO. */
struct info_page {
	struct multiboot_info info;
	struct multiboot_module modules[PARTITION_MODULES_MAX + 1];
	struct multiboot_memory memory[LOADER_E820_MAX];
};

_Static_assert(sizeof(struct multiboot_info) == 72, "as the specification says");
_Static_assert(offsetof(struct multiboot_info, loader_name) == 64, "as the specification says");
_Static_assert(sizeof(struct multiboot_memory) == 24, "as the specification says");
_Static_assert(sizeof(struct info_page) <= PAGE_SIZE, "one page is set aside");

/* Finds a header with a right checksum in the first 8 KiB: its offset in the file. */
bool multiboot_find(const struct loader_file *file, uint64_t *offset)
{
	uint64_t end = MIN(file->size, (size_t)SEARCH_SIZE);

	for (uint64_t at = 0; range_fits(at, HEADER_SIZE, end); at += 4) {
		uint64_t magic = file_number(file, at, 4);
		uint64_t sum = magic + file_number(file, at + 4, 4) + file_number(file, at + 8, 4);

		if (magic == HEADER_MAGIC && (uint32_t)sum == 0) {
			*offset = at;
			return true;
		}
	}
	return false;
}

/* True when the header at `header` says itself where the image goes. */
bool multiboot_has_addresses(const struct loader_file *file, uint64_t header)
{
	return (file_number(file, header + 4, 4) & FLAG_ADDRESSES) != 0;
}

/* What the five address fields of a header come to. */
struct plain_image {
	uint64_t offset; /* in the file */
	uint64_t size;
	uint64_t load;
	uint64_t bss_end;
	uint64_t entry;
};

static int read_addresses(struct loader *loader, uint64_t header, struct plain_image *image)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t header_address = file_number(kernel, header + 12, 4);
	uint64_t load_end = file_number(kernel, header + 20, 4);
	uint64_t before;

	if (!file_has(kernel, header, HEADER_ADDRESSES_SIZE)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "Multiboot header at 0x%llx: the file ends in its addresses",
				   (unsigned long long)header);
	}
	image->load = file_number(kernel, header + 16, 4);
	image->bss_end = file_number(kernel, header + 24, 4);
	image->entry = file_number(kernel, header + 28, 4);
	before = header_address - image->load;
	if (header_address < image->load || before > header) {
		return loader_fail(loader, kernel, -EINVAL,
				   "Multiboot header at 0x%llx: header_addr 0x%llx and load_addr "
				   "0x%llx do not fit together",
				   (unsigned long long)header, (unsigned long long)header_address,
				   (unsigned long long)image->load);
	}
	image->offset = header - before;
	image->size = load_end ? load_end - image->load : kernel->size - image->offset;
	if (load_end != 0 &&
	    (load_end < image->load || !file_has(kernel, image->offset, image->size))) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"Multiboot header at 0x%llx: load_end_addr 0x%llx is not in the file",
			(unsigned long long)header, (unsigned long long)load_end);
	}
	return 0;
}

/* Loads by the header's addresses. On success *kernel_end is the end of the image's bss. */
int multiboot_load_plain(struct loader *loader, uint64_t header, uint64_t *entry,
			 uint64_t *kernel_end)
{
	const struct loader_file *kernel = &loader->request->kernel;
	struct plain_image image = { 0 };
	uint64_t end;
	int status = read_addresses(loader, header, &image);

	if (status) {
		return status;
	}
	end = image.load + image.size;
	*entry = image.entry;
	*kernel_end = MAX(end, image.bss_end);
	if (image.entry < image.load || image.entry >= end) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"Multiboot header at 0x%llx: entry_addr 0x%llx is not in [0x%llx, "
			"0x%llx)",
			(unsigned long long)header, (unsigned long long)image.entry,
			(unsigned long long)image.load, (unsigned long long)end);
	}
	if (ranges_overlap(image.load, *kernel_end, LOADER_LOW_START, LOADER_LOW_END)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "Multiboot header at 0x%llx: [0x%llx, 0x%llx) overlaps the boot "
				   "structures in [0x%llx, 0x%llx)",
				   (unsigned long long)header, (unsigned long long)image.load,
				   (unsigned long long)*kernel_end,
				   (unsigned long long)LOADER_LOW_START,
				   (unsigned long long)LOADER_LOW_END);
	}
	status = loader_write(loader, "Multiboot image", image.load, kernel->data + image.offset,
			      (size_t)image.size);
	return status ? status : loader_zero(loader, "Multiboot bss", end, *kernel_end - end);
}

/* KiB of the RAM that starts at 0. */
static uint32_t lower_kib(const struct loader_target *target)
{
	if (target->e820_count == 0 || target->e820[0].start != 0 ||
	    target->e820[0].type != E820_RAM) {
		return 0;
	}
	return (uint32_t)(MIN(target->e820[0].size, 640 * KIB) / KIB);
}

static uint32_t upper_kib(const struct loader_target *target)
{
	return (uint32_t)(MAX(target->ram_low_end, LOADER_HIGH_START) / KIB -
			  LOADER_HIGH_START / KIB);
}

static void fill_page(const struct loader *loader, const struct loader_modules *modules,
		      struct info_page *page)
{
	const struct loader_target *target = loader->target;

	page->info.flags = (uint32_t)(INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP |
				      INFO_LOADER_NAME);
	page->info.memory_lower = lower_kib(target);
	page->info.memory_upper = upper_kib(target);
	page->info.module_count = modules->count;
	page->info.modules = (uint32_t)LOADER_INFO + offsetof(struct info_page, modules);
	page->info.map = (uint32_t)LOADER_INFO + offsetof(struct info_page, memory);
	page->info.map_size = target->e820_count * (uint32_t)sizeof(page->memory[0]);
	for (unsigned int i = 0; i < modules->count; i++) {
		const struct loader_module *module = &modules->list[i];

		page->modules[i].start = (uint32_t)module->start;
		page->modules[i].end = (uint32_t)(module->start + module->size);
		page->modules[i].string = (uint32_t)module->string;
	}
	for (unsigned int i = 0; i < target->e820_count; i++) {
		page->memory[i].size = sizeof(page->memory[0]) - sizeof(page->memory[0].size);
		page->memory[i].start = target->e820[i].start;
		page->memory[i].length = target->e820[i].size;
		page->memory[i].type = target->e820[i].type;
	}
}

static int check_flags(struct loader *loader, uint64_t header)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t flags = file_number(kernel, header + 4, 4);
	uint64_t unknown = flags & FLAGS_REQUIRED & ~(FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO);

	if (unknown != 0) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"Multiboot header at 0x%llx: flags 0x%llx require what there is not "
			"(0x%llx; 0x4 is video)",
			(unsigned long long)header, (unsigned long long)flags,
			(unsigned long long)unknown);
	}
	return 0;
}

/* Modules, information and state for a loaded kernel with a physical entry below 4 GiB. */
int multiboot_start(struct loader *loader, uint64_t header, uint64_t entry, uint64_t kernel_end)
{
	const struct loader_request *request = loader->request;
	struct loader_modules modules;
	struct info_page page = { 0 };
	uint64_t address = 0;
	int status = check_flags(loader, header);

	status = status ? status
			: loader_string(loader, request->kernel.name, request->cmdline, &address);
	page.info.cmdline = (uint32_t)address;
	status = status ? status : loader_string(loader, "Bulkhead", "", &address);
	page.info.loader_name = (uint32_t)address;
	status = status ? status : loader_place_modules(loader, kernel_end, true, &modules);
	if (status) {
		return status;
	}
	fill_page(loader, &modules, &page);
	status = loader_write(loader, "Multiboot information", LOADER_INFO, &page, sizeof(page));
	status = status ? status : loader_set_flat(loader, false);
	if (status == 0) {
		memset(&loader->state->regs, 0, sizeof(loader->state->regs));
		loader->state->regs.gpr[GPR_RAX] = LOADER_MAGIC;
		loader->state->regs.gpr[GPR_RBX] = LOADER_INFO;
		loader->state->rip = entry;
	}
	return status;
}
