/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading a guest: which format it is, and what all formats need. An image is hostile: every
 * offset in it is checked against the file, every address against the partition's memory map
 * and against our own structures, which are put here (raw guests get none of them):
 *
 *     0x01000  GDT                                   4 descriptors, code 0x10, data 0x18
 *     0x02000  boot_params | start info | Multiboot info, with their lists
 *     0x03000  page tables, 6 pages: the first 4 GiB by 2 MiB pages    (bzImage)
 *     0x09000  strings: command line, those of the modules             two pages
 *     0x0b000  end
 */
#include "hv/loader/loader.h"

#include "arch/x86/regs.h"
#include "hv/loader/formats.h"

#define SELECTOR_CODE 0x10 /* Linux: __BOOT_CS */
#define SELECTOR_DATA 0x18 /* Linux: __BOOT_DS */
#define RIGHTS_CODE (0xbu | SEGMENT_RIGHTS_S | SEGMENT_RIGHTS_P | SEGMENT_RIGHTS_G)
#define RIGHTS_DATA \
	(0x3u | SEGMENT_RIGHTS_S | SEGMENT_RIGHTS_P | SEGMENT_RIGHTS_G | SEGMENT_RIGHTS_DB)
#define RIGHTS_TSS (0xbu | SEGMENT_RIGHTS_P) /* busy, 32-bit or 64-bit */
#define GDT_COUNT 4

/* A little-endian number of 1 to 8 bytes. The caller has checked that the file has it. */
uint64_t file_number(const struct loader_file *file, uint64_t offset, unsigned int width)
{
	uint64_t value = 0;

	if (file_has(file, offset, width)) {
		memcpy(&value, file->data + offset, width);
	}
	return value;
}

/* True when [start, start + size) is in one range that the guest is told to be RAM. */
bool loader_is_ram(const struct loader *loader, uint64_t start, uint64_t size)
{
	const struct loader_target *target = loader->target;

	for (unsigned int i = 0; i < target->e820_count; i++) {
		const struct loader_e820 *range = &target->e820[i];

		if (range->type == E820_RAM && start >= range->start &&
		    range_fits(start - range->start, size, range->size)) {
			return true;
		}
	}
	return false;
}

static int check_ram(struct loader *loader, const char *what, uint64_t address, uint64_t size)
{
	if (loader_is_ram(loader, address, size)) {
		return 0;
	}
	return loader_fail(loader, &loader->request->kernel, -ERANGE,
			   "%s: %llu bytes at 0x%llx are not in the partition's RAM "
			   "(0 to 0x9fc00, 1 MiB to 0x%llx)",
			   what, (unsigned long long)size, (unsigned long long)address,
			   (unsigned long long)loader->target->ram_low_end);
}

/* Writes to guest RAM; `what` is for the message. */
int loader_write(struct loader *loader, const char *what, uint64_t address, const void *data,
		 size_t size)
{
	int status = check_ram(loader, what, address, size);

	if (status == 0 && size > 0 &&
	    loader->target->write(loader->target->context, address, data, size)) {
		status = loader_fail(loader, &loader->request->kernel, -ERANGE,
				     "%s: guest memory at 0x%llx cannot be written", what,
				     (unsigned long long)address);
	}
	return status;
}

/* Writes the low `width` bytes of `value` into a boot structure. */
int loader_write_number(struct loader *loader, uint64_t address, uint64_t value, unsigned int width)
{
	return loader_write(loader, "boot structures", address, &value, width);
}

/* Fills guest RAM with zeros. */
int loader_zero(struct loader *loader, const char *what, uint64_t address, uint64_t size)
{
	int status = check_ram(loader, what, address, size);

	if (status == 0 && size > 0 &&
	    loader->target->zero(loader->target->context, address, (size_t)size)) {
		status = loader_fail(loader, &loader->request->kernel, -ERANGE,
				     "%s: guest memory at 0x%llx cannot be written", what,
				     (unsigned long long)address);
	}
	return status;
}

static int append(struct loader *loader, const char *text, size_t length)
{
	int status;

	if (!range_fits(loader->strings_end, length, LOADER_LOW_END)) {
		return loader_fail(
			loader, &loader->request->kernel, -E2BIG,
			"the command lines of kernel and modules are too long; %llu bytes "
			"are allowed for all",
			(unsigned long long)(LOADER_LOW_END - LOADER_STRINGS));
	}
	status = loader_write(loader, "command line", loader->strings_end, text, length);
	loader->strings_end += length;
	return status;
}

/* Puts "first second" (either may be empty) into the strings, ended by NUL, at *address. */
int loader_string(struct loader *loader, const char *first, const char *second, uint64_t *address)
{
	int status;

	*address = loader->strings_end;
	status = append(loader, first, strlen(first));
	if (status == 0 && first[0] != '\0' && second[0] != '\0') {
		status = append(loader, " ", 1);
	}
	if (status == 0) {
		status = append(loader, second, strlen(second) + 1);
	}
	return status;
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static int place_module(struct loader *loader, const struct loader_file *file, const char *args,
			bool named, uint64_t *next, struct loader_modules *modules)
{
	struct loader_module *module = &modules->list[modules->count];
	uint64_t start = align_up(*next, PAGE_SIZE);
	int status;

	if (!range_fits(start, file->size, loader->target->ram_low_end)) {
		return loader_fail(
			loader, file, -ENOMEM,
			"%zu bytes do not fit behind the kernel: RAM is free from 0x%llx "
			"to 0x%llx",
			file->size, (unsigned long long)start,
			(unsigned long long)loader->target->ram_low_end);
	}
	module->start = start;
	module->size = file->size;
	module->string = 0;
	*next = start + file->size;
	modules->count++;
	status = loader_write(loader, file->name, start, file->data, file->size);
	if (status == 0 && (named || args[0] != '\0')) {
		status = loader_string(loader, named ? file->name : "", args, &module->string);
	}
	return status;
}

/*
 * Puts initrd and modules behind the kernel (and above 1 MiB), each on a page of its own.
 * `named`: their command lines start with the file's name.
 */
int loader_place_modules(struct loader *loader, uint64_t kernel_end, bool named,
			 struct loader_modules *modules)
{
	const struct loader_request *request = loader->request;
	uint64_t next = MAX(kernel_end, LOADER_HIGH_START);
	int status = 0;

	modules->count = 0;
	if (request->has_initrd) {
		status = place_module(loader, &request->initrd, "", named, &next, modules);
	}
	for (unsigned int i = 0; status == 0 && i < request->module_count; i++) {
		const struct loader_file *file = &request->modules[i];

		status = place_module(loader, file, text_or_empty(file->args), named, &next,
				      modules);
	}
	return status;
}

/* An error when there are modules, which a guest of this format would never see. */
int loader_refuse_modules(struct loader *loader, const char *format)
{
	if (loader->request->module_count == 0) {
		return 0;
	}
	return loader_fail(loader, &loader->request->modules[0], -EINVAL,
			   "%s takes no modules; only PVH and Multiboot kernels do", format);
}

/* A descriptor of base 0 and limit 4 GiB (SDM, "Segment Descriptors"). */
static uint64_t flat_descriptor(uint32_t rights)
{
	return FIELD_PREP(BITS(15, 0), 0xffff) | FIELD_PREP(BITS(47, 40), rights & 0xff) |
	       FIELD_PREP(BITS(51, 48), 0xf) | FIELD_PREP(BITS(55, 52), rights >> 12 & 0xf);
}

static struct segment_state flat_segment(uint16_t selector, uint32_t rights)
{
	return (struct segment_state){ .selector = selector,
				       .rights = rights,
				       .limit = ~UINT32_C(0) };
}

/*
 * Flat segments of protected mode, paging off; or of long mode, which the caller completes
 * by CR3. Writes the GDT. Interrupts are off and there is no IDT.
 */
int loader_set_flat(struct loader *loader, bool long_mode)
{
	struct vcpu_state *state = loader->state;
	uint32_t code = RIGHTS_CODE | (long_mode ? SEGMENT_RIGHTS_L : SEGMENT_RIGHTS_DB);
	uint64_t gdt[GDT_COUNT] = { 0, 0, flat_descriptor(code), flat_descriptor(RIGHTS_DATA) };
	static const enum segment data[] = { SEGMENT_DS, SEGMENT_ES, SEGMENT_SS, SEGMENT_FS,
					     SEGMENT_GS };

	state->segment[SEGMENT_CS] = flat_segment(SELECTOR_CODE, code);
	for (size_t i = 0; i < ARRAY_COUNT(data); i++) {
		state->segment[data[i]] = flat_segment(SELECTOR_DATA, RIGHTS_DATA);
	}
	state->segment[SEGMENT_LDTR] = (struct segment_state){ .rights = SEGMENT_RIGHTS_UNUSABLE };
	state->segment[SEGMENT_TR] = (struct segment_state){ .rights = RIGHTS_TSS, .limit = 0x67 };
	state->gdtr = (struct table_state){ sizeof(gdt) - 1, LOADER_GDT };
	state->idtr = (struct table_state){ 0, 0 };
	state->cr0 = CR0_PE | CR0_ET | (long_mode ? CR0_PG : 0);
	state->cr4 = long_mode ? CR4_PAE : 0;
	state->efer = long_mode ? EFER_LME | EFER_LMA : 0;
	state->rflags = RFLAGS_FIXED;
	return loader_write(loader, "GDT", LOADER_GDT, gdt, sizeof(gdt));
}

static int load_auto(struct loader *loader)
{
	const struct loader_file *kernel = &loader->request->kernel;
	uint64_t header;

	if (bzimage_probe(kernel)) {
		return bzimage_load(loader);
	}
	if (elf_probe(kernel) || multiboot_find(kernel, &header)) {
		return elf_load(loader);
	}
	return loader_fail(
		loader, kernel, -EINVAL,
		"format unknown: no bzImage (HdrS at 0x202), no ELF (7f 45 4c 46 at 0), no "
		"Multiboot header in 8 KiB; raw must be asked for");
}

/* See hv/loader/loader.h. */
int loader_load(const struct loader_request *request, struct loader_target *target,
		struct vcpu_state *state, struct error_text *error)
{
	struct loader_request copy = *request;
	struct loader loader = {
		.request = &copy,
		.target = target,
		.state = state,
		.error = error,
		.strings_end = LOADER_STRINGS,
	};

	copy.cmdline = text_or_empty(request->cmdline);
	vcpu_state_reset(state);
	switch (copy.format) {
	case FORMAT_AUTO:
		return load_auto(&loader);
	case FORMAT_BZIMAGE:
		return bzimage_load(&loader);
	case FORMAT_ELF:
		return elf_load(&loader);
	case FORMAT_RAW:
		return raw_load(&loader);
	}
	return loader_fail(&loader, &copy.kernel, -EINVAL, "no such format");
}
