/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest formats: puts kernel, initrd, modules, command line and boot structures into a
 * partition's memory and says in which state its first vCPU starts. Pure but for the
 * target's write hook: every byte of an image is checked before it is used.
 */
#ifndef HV_LOADER_LOADER_H
#define HV_LOADER_LOADER_H

#include "arch/x86/vcpu_state.h"
#include "hv/manifest.h"
#include "lib/addr.h"

/* Bytes of a file; name for messages. */
struct loader_file {
	const char *name;
	const char *args; /* Multiboot: the module's command line, may be empty */
	const uint8_t *data;
	size_t size;
};

#define LOADER_E820_MAX 16

enum loader_e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3,
};

struct loader_e820 {
	uint64_t start;
	uint64_t size;
	enum loader_e820_type type;
};

/* The partition's memory as the loader sees it. */
struct loader_target {
	void *context;
	/* Copies into guest memory; -ERANGE when part of it is no RAM. Nothing written then. */
	int (*write)(void *context, uint64_t address, const void *data, size_t size);
	/* Fills with zeros, likewise. */
	int (*zero)(void *context, uint64_t address, size_t size);
	struct loader_e820 e820[LOADER_E820_MAX]; /* sorted; the map the guest is shown */
	unsigned int e820_count;
	uint64_t ram_low_end; /* end of the RAM that starts at 1 MiB (below 4 GiB) */
	uint64_t rsdp;	      /* gpa of the ACPI RSDP, 0 if none */
};

struct loader_request {
	enum kernel_format format;
	struct loader_file kernel;
	bool has_initrd;
	struct loader_file initrd;
	struct loader_file modules[PARTITION_MODULES_MAX];
	unsigned int module_count;
	const char *cmdline;
	uint64_t raw_load;
	uint64_t raw_entry;
};

/*
 * Loads and fills `state` (which it resets first). On failure the message names the file,
 * the place in it and what was expected; guest memory may have been written to.
 * Boot structures of ours (GDT, page tables, boot_params, start info) are put below
 * 0x9fc00, from 0x1000 up; docs/boot-flow.md has the map.
 */
int __must_check loader_load(const struct loader_request *request, struct loader_target *target,
			     struct vcpu_state *state, struct error_text *error);

#endif
