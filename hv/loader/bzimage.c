/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage by the 64-bit boot protocol (Linux documentation, "The Linux/x86 Boot
 * Protocol"): the real-mode part is only read for its setup header; the rest is put where it
 * prefers to be and entered in long mode at its offset 0x200 with RSI = boot_params.
 *
 *     [load .. load + init_size) kernel      initrd: as high as it may be, below the end of RAM
 */
#include "hv/loader/formats.h"

#define SECTOR 512
#define PARAGRAPH 16
#define ENTRY_64 0x200

/* Offsets of the setup header, the same in the file and in boot_params. */
#define HDR_START 0x1f1
#define HDR_SETUP_SECTS 0x1f1
#define HDR_SYSSIZE 0x1f4
#define HDR_BOOT_FLAG 0x1fe
#define HDR_JUMP_LENGTH 0x201
#define HDR_JUMP_END 0x202 /* the header ends this many bytes + HDR_JUMP_LENGTH */
#define HDR_MAGIC 0x202
#define HDR_VERSION 0x206
#define HDR_TYPE_OF_LOADER 0x210
#define HDR_LOADFLAGS 0x211
#define HDR_CODE32_START 0x214
#define HDR_RAMDISK_IMAGE 0x218
#define HDR_RAMDISK_SIZE 0x21c
#define HDR_CMD_LINE_PTR 0x228
#define HDR_INITRD_ADDR_MAX 0x22c
#define HDR_KERNEL_ALIGNMENT 0x230
#define HDR_RELOCATABLE 0x234
#define HDR_XLOADFLAGS 0x236
#define HDR_CMDLINE_SIZE 0x238
#define HDR_PAYLOAD_OFFSET 0x248
#define HDR_PAYLOAD_LENGTH 0x24c
#define HDR_SETUP_DATA 0x250
#define HDR_PREF_ADDRESS 0x258
#define HDR_INIT_SIZE 0x260
#define HDR_END_MIN 0x264	    /* what version 2.12 has at least */
#define HDR_END_MAX UINT64_C(0x290) /* boot_params has other fields from here on */

#define BOOT_FLAG 0xaa55
#define HDRS_MAGIC 0x53726448 /* "HdrS" */
#define VERSION_MIN 0x20c
#define LOADED_HIGH BIT(0)
#define XLF_KERNEL_64 BIT(0)
#define LOADER_UNREGISTERED 0xff

/* Fields of boot_params outside of the header. */
#define PARAMS_ACPI_RSDP 0x070
#define PARAMS_E820_COUNT 0x1e8
#define PARAMS_E820_TABLE 0x2d0
#define PARAMS_E820_SIZE UINT64_C(20)

#define IDENTITY_DIRECTORIES 4
#define ENTRIES_AT_ONCE 64
#define PTE_P BIT(0)
#define PTE_RW BIT(1)
#define PTE_PS BIT(7)

struct bzimage {
	uint64_t header_end;
	uint64_t kernel_offset; /* of the protected-mode part in the file */
	uint64_t kernel_size;
	uint64_t load;
	uint64_t memory_size; /* from load on: init_size */
	uint64_t initrd;
};

/* True when the file has the boot sector's signature and a setup header. */
bool bzimage_probe(const struct loader_file *file)
{
	return file_has(file, HDR_MAGIC, 4) && file_number(file, HDR_MAGIC, 4) == HDRS_MAGIC &&
	       file_number(file, HDR_BOOT_FLAG, 2) == BOOT_FLAG;
}

static int check_header(struct loader *loader, struct bzimage *image)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t version = file_number(kernel, HDR_VERSION, 2);

	if (!bzimage_probe(kernel)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "no bzImage: 55 aa at 0x1fe and HdrS at 0x202 are expected");
	}
	if (!file_has(kernel, HDR_START, HDR_END_MIN - HDR_START)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "setup header: the file ends at 0x%zx, the header at 0x%x",
				   kernel->size, HDR_END_MIN);
	}
	if (version < VERSION_MIN) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"setup header: boot protocol %llu.%02llu is too old; 2.12 is needed",
			(unsigned long long)(version >> 8), (unsigned long long)(version & 0xff));
	}
	if (!(file_number(kernel, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "setup header: xloadflags (0x236) says no 64-bit entry");
	}
	if (!(file_number(kernel, HDR_LOADFLAGS, 1) & LOADED_HIGH)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "setup header: loadflags (0x211) says zImage, loaded low");
	}
	image->header_end = HDR_JUMP_END + file_number(kernel, HDR_JUMP_LENGTH, 1);
	if (image->header_end < HDR_END_MIN || !file_has(kernel, 0, image->header_end)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "setup header: its end 0x%llx (0x201) is not in 0x%x to 0x%zx",
				   (unsigned long long)image->header_end, HDR_END_MIN,
				   kernel->size);
	}
	image->header_end = MIN(image->header_end, HDR_END_MAX);
	return 0;
}

/* Where the protected-mode part is in the file; its size is in paragraphs, rounded up. */
static int check_kernel(struct loader *loader, struct bzimage *image)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t sectors = file_number(kernel, HDR_SETUP_SECTS, 1);
	uint64_t size = file_number(kernel, HDR_SYSSIZE, 4) * PARAGRAPH;
	uint64_t payload = file_number(kernel, HDR_PAYLOAD_OFFSET, 4);
	uint64_t payload_size = file_number(kernel, HDR_PAYLOAD_LENGTH, 4);
	uint64_t rest;

	image->kernel_offset = ((sectors == 0 ? 4 : sectors) + 1) * SECTOR;
	rest = image->kernel_offset < kernel->size ? kernel->size - image->kernel_offset : 0;
	if (size <= ENTRY_64 || size > align_up(rest, PARAGRAPH)) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"setup header: syssize (0x1f4) says %llu bytes from 0x%llx on; the "
			"file has %llu there",
			(unsigned long long)size, (unsigned long long)image->kernel_offset,
			(unsigned long long)rest);
	}
	image->kernel_size = MIN(size, rest);
	if (!range_fits(payload, payload_size, image->kernel_size)) {
		return loader_fail(loader, kernel, -EINVAL,
				   "setup header: the payload (0x248), %llu bytes at 0x%llx, ends "
				   "behind the kernel of %llu",
				   (unsigned long long)payload_size, (unsigned long long)payload,
				   (unsigned long long)image->kernel_size);
	}
	return 0;
}

/* Picks the load address: the preferred one, else the lowest that a relocatable kernel takes. */
static int place_kernel(struct loader *loader, struct bzimage *image)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t alignment = file_number(kernel, HDR_KERNEL_ALIGNMENT, 4);
	bool relocatable = file_number(kernel, HDR_RELOCATABLE, 1) != 0;
	uint64_t preferred = file_number(kernel, HDR_PREF_ADDRESS, 8);
	uint64_t end = loader->target->ram_low_end;

	if (alignment < PAGE_SIZE || (alignment & (alignment - 1)) != 0) {
		return loader_fail(
			loader, kernel, -EINVAL,
			"setup header: kernel_alignment (0x230) is 0x%llx, no power of two "
			"from 4 KiB on",
			(unsigned long long)alignment);
	}
	image->memory_size = MAX(file_number(kernel, HDR_INIT_SIZE, 4), image->kernel_size);
	image->load = preferred;
	if (relocatable && preferred < end) {
		image->load = align_up(preferred, alignment);
	}
	if (relocatable && (image->load < LOADER_HIGH_START ||
			    !range_fits(image->load, image->memory_size, end))) {
		image->load = align_up(LOADER_HIGH_START, alignment);
	}
	if (image->load < LOADER_HIGH_START || !range_fits(image->load, image->memory_size, end)) {
		return loader_fail(
			loader, kernel, -ENOMEM,
			"the kernel needs %llu KiB (init_size) at 0x%llx; RAM goes from 1 "
			"MiB to 0x%llx",
			(unsigned long long)(image->memory_size / KIB),
			(unsigned long long)image->load, (unsigned long long)end);
	}
	return 0;
}

static int place_initrd(struct loader *loader, struct bzimage *image)
{
	const struct loader_request *request = loader->request;
	uint64_t limit = file_number(&request->kernel, HDR_INITRD_ADDR_MAX, 4) + 1;
	uint64_t kernel_end = image->load + image->memory_size;
	uint64_t end = MIN(loader->target->ram_low_end, limit);

	if (!request->has_initrd) {
		return 0;
	}
	if (request->initrd.size > end ||
	    align_down(end - request->initrd.size, PAGE_SIZE) < kernel_end) {
		return loader_fail(
			loader, &request->initrd, -ENOMEM,
			"the initrd needs %zu KiB and the kernel %llu KiB at 0x%llx; there "
			"is room up to 0x%llx",
			request->initrd.size / (size_t)KIB,
			(unsigned long long)(image->memory_size / KIB),
			(unsigned long long)image->load, (unsigned long long)end);
	}
	image->initrd = align_down(end - request->initrd.size, PAGE_SIZE);
	return loader_write(loader, "initrd", image->initrd, request->initrd.data,
			    request->initrd.size);
}

static int write_e820(struct loader *loader)
{
	const struct loader_target *target = loader->target;
	int status =
		loader_write_number(loader, LOADER_INFO + PARAMS_E820_COUNT, target->e820_count, 1);

	for (unsigned int i = 0; status == 0 && i < target->e820_count; i++) {
		const struct loader_e820 *range = &target->e820[i];
		uint64_t at = LOADER_INFO + PARAMS_E820_TABLE + PARAMS_E820_SIZE * i;

		status = loader_write_number(loader, at, range->start, 8);
		status = status ? status : loader_write_number(loader, at + 8, range->size, 8);
		status = status ? status : loader_write_number(loader, at + 16, range->type, 4);
	}
	return status;
}

static int write_command_line(struct loader *loader, uint64_t *address)
{
	const struct loader_request *request = loader->request;
	uint64_t limit = file_number(&request->kernel, HDR_CMDLINE_SIZE, 4);

	if (strlen(request->cmdline) > limit) {
		return loader_fail(loader, &request->kernel, -E2BIG,
				   "the command line has %zu characters; this kernel takes %llu",
				   strlen(request->cmdline), (unsigned long long)limit);
	}
	return loader_string(loader, "", request->cmdline, address);
}

/* boot_params: zeros, the file's setup header, and what the loader says in it. */
static int write_params(struct loader *loader, const struct bzimage *image)
{
	const struct loader_request *request = loader->request;
	uint64_t cmdline = 0;
	int status = write_command_line(loader, &cmdline);
	const struct {
		uint16_t offset;
		uint8_t width;
		uint64_t value;
	} fields[] = {
		{ HDR_TYPE_OF_LOADER, 1, LOADER_UNREGISTERED },
		{ HDR_LOADFLAGS, 1, LOADED_HIGH },
		{ HDR_CODE32_START, 4, image->load },
		{ HDR_RAMDISK_IMAGE, 4, image->initrd },
		{ HDR_RAMDISK_SIZE, 4, request->has_initrd ? request->initrd.size : 0 },
		{ HDR_CMD_LINE_PTR, 4, cmdline },
		{ HDR_SETUP_DATA, 8, 0 },
		{ PARAMS_ACPI_RSDP, 8, loader->target->rsdp },
	};

	status = status ? status : loader_zero(loader, "boot_params", LOADER_INFO, PAGE_SIZE);
	status = status ? status
			: loader_write(loader, "boot_params", LOADER_INFO + HDR_START,
				       request->kernel.data + HDR_START,
				       (size_t)(image->header_end - HDR_START));
	for (size_t i = 0; status == 0 && i < ARRAY_COUNT(fields); i++) {
		status = loader_write_number(loader, LOADER_INFO + fields[i].offset,
					     fields[i].value, fields[i].width);
	}
	return status ? status : write_e820(loader);
}

/* `count` entries from `address` on: value, value + step and so on. */
static int write_entries(struct loader *loader, uint64_t address, unsigned int count,
			 uint64_t value, uint64_t step)
{
	uint64_t entries[ENTRIES_AT_ONCE];
	int status = 0;

	for (unsigned int done = 0; status == 0 && done < count; done += ENTRIES_AT_ONCE) {
		unsigned int part = MIN(count - done, (unsigned int)ENTRIES_AT_ONCE);

		for (unsigned int i = 0; i < part; i++) {
			entries[i] = value;
			value += step;
		}
		status = loader_write(loader, "page tables", address + done * sizeof(entries[0]),
				      entries, part * sizeof(entries[0]));
	}
	return status;
}

/* The first 4 GiB, virtual = physical, by 2 MiB pages: every CPU has those. */
static int write_page_tables(struct loader *loader)
{
	uint64_t pml4 = LOADER_PAGE_TABLES;
	uint64_t pdpt = pml4 + PAGE_SIZE;
	uint64_t directories = pdpt + PAGE_SIZE;
	int status = loader_zero(loader, "page tables", pml4, 2 * PAGE_SIZE);

	status = status ? status : write_entries(loader, pml4, 1, pdpt | PTE_P | PTE_RW, 0);
	status = status ? status
			: write_entries(loader, pdpt, IDENTITY_DIRECTORIES,
					directories | PTE_P | PTE_RW, PAGE_SIZE);
	return status ? status
		      : write_entries(loader, directories, IDENTITY_DIRECTORIES * 512,
				      PTE_P | PTE_RW | PTE_PS, 2 * MIB);
}

/* Loads a request whose kernel is, or is said to be, a bzImage. */
int bzimage_load(struct loader *loader)
{
	const struct loader_file *kernel = &loader->request->kernel;
	struct bzimage image = { 0 };
	int status = loader_refuse_modules(loader, "a bzImage");

	status = status ? status : check_header(loader, &image);
	status = status ? status : check_kernel(loader, &image);
	status = status ? status : place_kernel(loader, &image);
	status = status ? status : place_initrd(loader, &image);
	status = status ? status
			: loader_write(loader, "kernel", image.load,
				       kernel->data + image.kernel_offset,
				       (size_t)image.kernel_size);
	status = status ? status : write_params(loader, &image);
	status = status ? status : write_page_tables(loader);
	status = status ? status : loader_set_flat(loader, true);
	if (status == 0) {
		memset(&loader->state->regs, 0, sizeof(loader->state->regs));
		loader->state->regs.gpr[GPR_RSI] = LOADER_INFO;
		loader->state->rip = image.load + ENTRY_64;
		loader->state->cr3 = LOADER_PAGE_TABLES;
	}
	return status;
}
