/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own address space (docs/memory-layout.md). Nothing in it is writable
 * and executable, and no second mapping of the image's text or constants is writable.
 *
 *     0xffff800000000000  direct map: all RAM at base + hpa, RW NX
 *     0xffffc00000000000  windows: MMIO (uncached) and firmware tables (read-only)
 *     0xffffd00000000000  stacks, each between unmapped pages
 *     0xffffffff80000000  image: text RX, constants R, data RW; at base + hpa
 */
#ifndef ARCH_X86_HOST_MAP_H
#define ARCH_X86_HOST_MAP_H

#include "lib/addr.h"

#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define WINDOW_BASE UINT64_C(0xffffc00000000000)
#define STACK_BASE UINT64_C(0xffffd00000000000)
#define IMAGE_BASE UINT64_C(0xffffffff80000000)

/* Where in RAM something of the image is (symbols of linker.ld and objects alike). */
static inline hpa_t image_to_hpa(const void *ptr)
{
	return hpa((uintptr_t)ptr - IMAGE_BASE);
}

/*
 * Builds the final page tables out of ram_alloc() memory and switches to them; the boot
 * tables and the identity map are gone. Needs ram_init(). Panics on a self-check.
 */
void host_map_init(void);

/* Uncached, writable. Never unmapped. Panics when the window or the tables are used up. */
volatile void *host_map_mmio(hpa_t start, size_t size);

/* Read-only and cached, for firmware tables; RAM is not mapped again. */
const void *host_map_ro(hpa_t start, size_t size);

/* A zeroed stack of `page_count` pages with an unmapped page at each end; returns its top. */
uintptr_t host_map_stack(size_t page_count);

/* True for an address between two stacks. Reads nothing but a variable. */
bool host_map_is_guard(uintptr_t address);

/* Walks all tables: panics when anything is writable and executable, or text is writable. */
void host_map_check(void);

/* The root table, for CR3. */
hpa_t host_map_root(void);

#endif
