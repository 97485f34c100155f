/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The final page tables of the host. They are built once, out of boot-time memory, with the
 * largest pages that fit; afterwards only the two windows grow, out of a small reserve.
 * Every page is either executable and read-only, or not executable: map() has no way to say
 * otherwise, and host_map_check() looks at the result.
 *
 *     hpa        ...[ .boot .text .rodata | .data .bss ]...       RAM
 *     direct map RW        R                    RW       RW       NX everywhere
 *     image             RX    R         |       RW                NX but the text
 */
#include "arch/x86/host_map.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/ram.h"
#include "lib/panic.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)
#define PTE_ADDRESS BITS(51, 12)

/* The kinds of mapping that exist. Only the image is global: it is in every address space. */
#define MAP_TEXT (PTE_P | PTE_G)
#define MAP_CONSTANTS (PTE_P | PTE_G | PTE_NX)
#define MAP_IMAGE_DATA (PTE_P | PTE_G | PTE_W | PTE_NX)
#define MAP_RAM (PTE_P | PTE_W | PTE_NX)
#define MAP_RAM_READ_ONLY (PTE_P | PTE_NX)
#define MAP_MMIO (PTE_P | PTE_W | PTE_NX | PTE_PCD | PTE_PWT)
#define MAP_FIRMWARE (PTE_P | PTE_NX)

#define TABLE_ENTRIES 512
#define ROOT_LEVEL 4
#define RESERVE_TABLES 16 /* for windows after boot: 30 MiB of 4 KiB pages */

extern char __boot_start[], __text_start[], __text_end[], __rodata_start[], __rodata_end[];
extern char __data_start[], __bss_end[];

uintptr_t direct_map_base = DIRECT_MAP_BASE;

static hpa_t root;
static bool has_1g;
static hpa_t reserve[RESERVE_TABLES];
static unsigned int reserve_count;
static uintptr_t window_next = WINDOW_BASE;
static uintptr_t stack_next = STACK_BASE;

static uint64_t level_size(unsigned int level)
{
	return UINT64_C(1) << (PAGE_SHIFT + 9 * (level - 1));
}

static unsigned int level_index(uintptr_t va, unsigned int level)
{
	return (va >> (PAGE_SHIFT + 9 * (level - 1))) & (TABLE_ENTRIES - 1);
}

static hpa_t table_alloc(void)
{
	if (!ram_is_closed()) {
		return ram_alloc(1, PAGE_SIZE);
	}
	if (reserve_count == 0) {
		panic("host map: the reserve of page tables is used up");
	}
	return reserve[--reserve_count];
}

/* The entry for `va` at `level`; tables above it are made on the way. */
static uint64_t *entry_for(uintptr_t va, unsigned int level)
{
	uint64_t *table = hpa_to_ptr(root);

	for (unsigned int l = ROOT_LEVEL; l > level; l--) {
		uint64_t *entry = &table[level_index(va, l)];

		if (!(*entry & PTE_P)) {
			*entry = table_alloc().v | PTE_P | PTE_W;
		}
		ASSERT(!(*entry & PTE_PS));
		table = hpa_to_ptr(hpa(*entry & PTE_ADDRESS));
	}
	return &table[level_index(va, level)];
}

/* The level of the largest page that may map `size` bytes at `va` to `pa`. */
static unsigned int level_for(uintptr_t va, uint64_t pa, uint64_t size)
{
	for (unsigned int level = has_1g ? 3 : 2; level > 1; level--) {
		if (is_aligned(va | pa, level_size(level)) && size >= level_size(level)) {
			return level;
		}
	}
	return 1;
}

/* Maps [pa, pa + size), whole pages, at `va`, where nothing is mapped. */
static void map(uintptr_t va, uint64_t pa, uint64_t size, uint64_t kind)
{
	ASSERT(is_aligned(va | pa | size, PAGE_SIZE));
	while (size > 0) {
		unsigned int level = level_for(va, pa, size);
		uint64_t *entry = entry_for(va, level);

		ASSERT(!(*entry & PTE_P));
		*entry = pa | kind | (level > 1 ? PTE_PS : 0);
		va += level_size(level);
		pa += level_size(level);
		size -= level_size(level);
	}
}

/* What of the image must never be writable, by host-physical address. */
static struct ram_range image_constant_range(void)
{
	/* .boot is linked at its physical address. */
	return (struct ram_range){ hpa((uintptr_t)__boot_start), image_to_hpa(__rodata_end) };
}

/* RAM at its place in the direct map, cut at the borders of the image's constants. */
static void map_ram(struct ram_range range)
{
	struct ram_range constant = image_constant_range();
	uint64_t at = range.start.v;

	while (at < range.end.v) {
		uint64_t end = range.end.v;
		uint64_t kind = MAP_RAM;

		if (at < constant.start.v) {
			end = MIN(end, constant.start.v);
		} else if (at < constant.end.v) {
			end = MIN(end, constant.end.v);
			kind = MAP_RAM_READ_ONLY;
		}
		map(DIRECT_MAP_BASE + at, at, end - at, kind);
		at = end;
	}
}

static void map_image(const char *start, const char *end, uint64_t kind)
{
	map((uintptr_t)start, image_to_hpa(start).v, (uintptr_t)(end - start), kind);
}

void host_map_init(void)
{
	const struct ram_map *ram = ram_map();

	has_1g = cpuid_has(CPUID_PAGE_1G);
	root = table_alloc();
	for (unsigned int i = 0; i < ram->count; i++) {
		map_ram(ram->ranges[i]);
	}
	map_image(__text_start, __text_end, MAP_TEXT);
	map_image(__rodata_start, __rodata_end, MAP_CONSTANTS);
	map_image(__data_start, __bss_end, MAP_IMAGE_DATA);
	for (reserve_count = 0; reserve_count < RESERVE_TABLES; reserve_count++) {
		reserve[reserve_count] = ram_alloc(1, PAGE_SIZE);
	}
	write_cr3(root.v);
	ram_set_limit(UINT64_MAX);
	host_map_check();
}

/* Maps the pages that [start, start + size) touches into the window; where `start` is. */
static uintptr_t window_map(hpa_t start, size_t size, uint64_t kind)
{
	uint64_t first = align_down(start.v, PAGE_SIZE);
	uint64_t last = align_up(start.v + size, PAGE_SIZE);
	uintptr_t va = window_next;

	ASSERT(size > 0 && range_fits(start.v, size, BIT(cpuid_maxphyaddr())));
	/* The unmapped page behind each window catches an access past its end. */
	window_next += last - first + PAGE_SIZE;
	ASSERT(window_next < STACK_BASE);
	map(va, first, last - first, kind);
	return va + (start.v - first);
}

volatile void *host_map_mmio(hpa_t start, size_t size)
{
	return (volatile void *)window_map(start, size, MAP_MMIO);
}

const void *host_map_ro(hpa_t start, size_t size)
{
	if (ram_contains(start, size)) {
		return hpa_to_ptr(start);
	}
	return (const void *)window_map(start, size, MAP_FIRMWARE);
}

uintptr_t host_map_stack(size_t page_count)
{
	uint64_t size = page_count * PAGE_SIZE;
	uintptr_t bottom = stack_next + PAGE_SIZE;

	map(bottom, ram_alloc(page_count, PAGE_SIZE).v, size, MAP_RAM);
	stack_next = bottom + size;
	return bottom + size;
}

/* All that is mapped there are stacks, so an address that faults is between them. */
bool host_map_is_guard(uintptr_t address)
{
	return address >= STACK_BASE && address < stack_next + PAGE_SIZE;
}

/* One leaf of `size` bytes with the rights of its whole path. */
static void check_leaf(uintptr_t va, uint64_t pa, uint64_t size, bool writable, bool executable)
{
	struct ram_range constant = image_constant_range();

	if (writable && executable) {
		panic("host map: 0x%lx is writable and executable", va);
	}
	if (writable && ranges_overlap(pa, pa + size, constant.start.v, constant.end.v)) {
		panic("host map: 0x%lx is a writable mapping of the image's constants", va);
	}
	if (executable && (va < (uintptr_t)__text_start || va >= (uintptr_t)__text_end)) {
		panic("host map: 0x%lx is executable and not the text", va);
	}
}

static void check_table(hpa_t table, unsigned int level, uintptr_t va, bool writable,
			bool executable)
{
	const uint64_t *entries = hpa_to_ptr(table);

	for (unsigned int i = 0; i < TABLE_ENTRIES; i++) {
		uint64_t entry = entries[i];
		uint64_t pa = entry & PTE_ADDRESS & ~(level_size(level) - 1);
		uintptr_t here = va + i * level_size(level);
		bool w = writable && (entry & PTE_W);
		bool x = executable && !(entry & PTE_NX);

		if (level == ROOT_LEVEL && i >= TABLE_ENTRIES / 2) {
			here |= UINT64_C(0xffff) << 48; /* canonical */
		}
		if (!(entry & PTE_P)) {
			continue;
		}
		if (level == 1 || (entry & PTE_PS)) {
			check_leaf(here, pa, level_size(level), w, x);
		} else {
			check_table(hpa(entry & PTE_ADDRESS), level - 1, here, w, x);
		}
	}
}

void host_map_check(void)
{
	check_table(root, ROOT_LEVEL, 0, true, true);
}

hpa_t host_map_root(void)
{
	return root;
}
