/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loaders of one format share, and only they: the request at hand, bounds-checked
 * reads of files, checked writes to guest memory, the first states of a vCPU. Others include
 * hv/loader/loader.h. loader.c has the map of the structures that are put below 640 KiB.
 */
#ifndef HV_LOADER_FORMATS_H
#define HV_LOADER_FORMATS_H

#include "hv/loader/loader.h"
#include "lib/string.h"

#define LOADER_LOW_START UINT64_C(0x1000)
#define LOADER_GDT UINT64_C(0x1000)
#define LOADER_INFO UINT64_C(0x2000)
#define LOADER_PAGE_TABLES UINT64_C(0x3000)
#define LOADER_STRINGS UINT64_C(0x9000)
#define LOADER_LOW_END UINT64_C(0xb000)
#define LOADER_HIGH_START MIB

struct loader {
	const struct loader_request *request;
	struct loader_target *target;
	struct vcpu_state *state;
	struct error_text *error;
	uint64_t strings_end; /* where the next string goes */
};

/* A file put somewhere: the initrd is the first module of those who know modules. */
struct loader_module {
	uint64_t start;
	uint64_t size;
	uint64_t string; /* gpa of its command line, 0 if none */
};

struct loader_modules {
	struct loader_module list[PARTITION_MODULES_MAX + 1];
	unsigned int count;
};

/* Records "FILE: ..." and is `status`. */
#define loader_fail(loader, file, status, format, ...) \
	error_set((loader)->error, status, "%s: " format, (file)->name, ##__VA_ARGS__)

/* True when the file has bytes [offset, offset + length). */
static inline bool file_has(const struct loader_file *file, uint64_t offset, uint64_t length)
{
	return range_fits(offset, length, file->size);
}

uint64_t file_number(const struct loader_file *file, uint64_t offset, unsigned int width);

bool loader_is_ram(const struct loader *loader, uint64_t start, uint64_t size);
int __must_check loader_write(struct loader *loader, const char *what, uint64_t address,
			      const void *data, size_t size);
int __must_check loader_write_number(struct loader *loader, uint64_t address, uint64_t value,
				     unsigned int width);
int __must_check loader_zero(struct loader *loader, const char *what, uint64_t address,
			     uint64_t size);
int __must_check loader_string(struct loader *loader, const char *first, const char *second,
			       uint64_t *address);
int __must_check loader_place_modules(struct loader *loader, uint64_t kernel_end, bool named,
				      struct loader_modules *modules);
int __must_check loader_refuse_modules(struct loader *loader, const char *format);
int __must_check loader_set_flat(struct loader *loader, bool long_mode);

bool bzimage_probe(const struct loader_file *file);
bool elf_probe(const struct loader_file *file);
bool multiboot_find(const struct loader_file *file, uint64_t *offset);

int __must_check bzimage_load(struct loader *loader);
int __must_check elf_load(struct loader *loader);
int __must_check raw_load(struct loader *loader);

/* The three ways in which elf.c's images are started. */
int __must_check pvh_start(struct loader *loader, uint64_t entry, uint64_t kernel_end);
int __must_check multiboot_start(struct loader *loader, uint64_t header, uint64_t entry,
				 uint64_t kernel_end);
int __must_check multiboot_load_plain(struct loader *loader, uint64_t header, uint64_t *entry,
				      uint64_t *kernel_end);
bool multiboot_has_addresses(const struct loader_file *file, uint64_t header);

#endif
