/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A raw image: bytes at an address below 1 MiB, started in real mode as a BIOS starts a boot
 * sector. There is no BIOS: interrupts are off and the vector table is empty.
 *
 *     CS:IP   0:entry when entry is below 64 KiB, else entry >> 4 : entry & 15
 *     DS ES SS FS GS   0          DL 0x80, other registers 0
 *     SP      the load address (the stack grows down below the image), or 0x7c00 when that is
 *             above 64 KiB or leaves less than 4 KiB
 */
#include "arch/x86/regs.h"
#include "hv/loader/formats.h"

#define FIRST_DISK 0x80
#define REAL_SEGMENT_SIZE UINT64_C(0x10000)
#define STACK_MIN UINT64_C(0x1000)
#define STACK_DEFAULT UINT64_C(0x7c00)

static void set_real_mode(struct vcpu_state *state, uint64_t load, uint64_t entry)
{
	bool low = entry < REAL_SEGMENT_SIZE;
	static const enum segment data[] = { SEGMENT_DS, SEGMENT_ES, SEGMENT_SS, SEGMENT_FS,
					     SEGMENT_GS };

	for (size_t i = 0; i < ARRAY_COUNT(data); i++) {
		state->segment[data[i]].selector = 0;
		state->segment[data[i]].base = 0;
	}
	state->segment[SEGMENT_CS].selector = low ? 0 : (uint16_t)(entry >> 4);
	state->segment[SEGMENT_CS].base = low ? 0 : entry & ~UINT64_C(0xf);
	state->rip = low ? entry : entry & 0xf;
	state->cr0 = CR0_ET; /* caches on, as a BIOS has them */
	state->rflags = RFLAGS_FIXED;
	memset(&state->regs, 0, sizeof(state->regs));
	state->regs.gpr[GPR_RDX] = FIRST_DISK;
	state->regs.gpr[GPR_RSP] =
		load >= STACK_MIN && load < REAL_SEGMENT_SIZE ? align_down(load, 2) : STACK_DEFAULT;
}

/* Loads the kernel of a request whose format is raw. */
int raw_load(struct loader *loader)
{
	const struct loader_request *request = loader->request;
	const struct loader_file *kernel = &request->kernel;
	int status = loader_refuse_modules(loader, "a raw image");

	if (status) {
		return status;
	}
	if (request->has_initrd) {
		return loader_fail(loader, kernel, -EINVAL, "a raw image takes no initrd");
	}
	if (request->cmdline[0] != '\0') {
		return loader_fail(loader, kernel, -EINVAL, "a raw image takes no command line");
	}
	if (kernel->size == 0) {
		return loader_fail(loader, kernel, -EINVAL, "the file is empty");
	}
	if (request->raw_load >= MIB || request->raw_entry >= MIB) {
		return loader_fail(loader, kernel, -EINVAL,
				   "load 0x%llx, entry 0x%llx: both must be below 0x%llx",
				   (unsigned long long)request->raw_load,
				   (unsigned long long)request->raw_entry, (unsigned long long)MIB);
	}
	status = loader_write(loader, "image", request->raw_load, kernel->data, kernel->size);
	if (status == 0) {
		set_real_mode(loader->state, request->raw_load, request->raw_entry);
	}
	return status;
}
