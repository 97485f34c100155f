/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPTEs as AMD's nested paging has them. Not the walk and not the stores: values only.
 * Source: APM volume 2, "Long-Mode Page Translation", "Nested Paging". Its twin is
 * ept_format.c: same functions, same order; what differs between the two files is what
 * differs between the vendors.
 */
#include "mm/spte.h"

#define NPT_PRESENT BIT(0)
#define NPT_WRITE BIT(1)
#define NPT_USER BIT(2) /* in every entry: all nested walks count as user accesses */
#define NPT_WRITE_THROUGH BIT(3)
#define NPT_CACHE_DISABLE BIT(4)
#define NPT_ACCESSED BIT(5)
#define NPT_DIRTY BIT(6)
#define NPT_NO_EXECUTE BIT(63)

/* Present, with the highest address bit set, which is reserved while MAXPHYADDR is below 52. */
#define NPT_MMIO (NPT_PRESENT | NPT_WRITE | NPT_USER | BIT(51))

static_assert(NPT_WRITE == SPTE_WRITABLE, "the bit is the same in both");
static_assert((SPTE_PRESENT & (NPT_ACCESSED | NPT_DIRTY | NPT_NO_EXECUTE)) == 0,
	      "bit 11 is nobody's");
static_assert((NPT_MMIO & (SPTE_MMIO_GFN | SPTE_MMIO_GENERATION | SPTE_MMIO_RIGHTS)) == 0,
	      "an MMIO SPTE's fields leave its marks alone");

/*
 * PAT entry 0 of the host is write-back; the guest's own PAT is combined with it. Accessed
 * and dirty are preset, which spares the CPU a locked write.
 */
static spte_t npt_make_leaf(pfn_t frame, unsigned int level, unsigned int rights,
			    enum memory_type type)
{
	uint64_t word = pfn_to_hpa(frame).v | NPT_PRESENT | NPT_USER | NPT_ACCESSED | NPT_DIRTY;

	word |= rights & SPTE_WRITE ? NPT_WRITE : 0;
	word |= rights & SPTE_EXECUTE ? 0 : NPT_NO_EXECUTE;
	word |= type == MEMORY_WB ? 0 : NPT_WRITE_THROUGH | NPT_CACHE_DISABLE;
	return (spte_t){ word | (level > 1 ? SPTE_LARGE : 0) };
}

/* Accessed starts clear, so that the shrinker sees which tables are in use. */
static spte_t npt_make_table(pfn_t table)
{
	return (spte_t){ pfn_to_hpa(table).v | NPT_PRESENT | NPT_WRITE | NPT_USER };
}

/* 0 on a CPU where bit 51 is part of the address: there the slots answer. */
static spte_t npt_make_mmio(gfn_t frame, unsigned int rights, uint64_t generation,
			    unsigned int maxphyaddr)
{
	if (maxphyaddr >= 52) {
		return (spte_t){ 0 };
	}
	return (spte_t){ NPT_MMIO | FIELD_PREP(SPTE_MMIO_GFN, frame.v) |
			 FIELD_PREP(SPTE_MMIO_RIGHTS, rights) |
			 FIELD_PREP(SPTE_MMIO_GENERATION, generation) };
}

static bool npt_is_present(spte_t spte)
{
	return (spte.v & NPT_PRESENT) != 0;
}

static bool npt_is_leaf(spte_t spte, unsigned int level)
{
	return level == 1 || (level <= SPTE_LEAF_LEVELS && (spte.v & SPTE_LARGE));
}

static bool npt_is_mmio(spte_t spte)
{
	uint64_t mask = SPTE_PRESENT | BIT(63) | BIT(51) | BITS(7, 0);

	return (spte.v & mask) == NPT_MMIO;
}

static uint64_t npt_reserved(unsigned int level, bool leaf, unsigned int maxphyaddr)
{
	uint64_t mask = maxphyaddr < 52 ? BITS(51, maxphyaddr) : 0;

	if (level == SPTE_LEVELS) {
		return mask | BITS(8, 7);
	}
	if (!leaf || level == 1) {
		return mask;
	}
	/* The address of a large page: its low bits are reserved, but for bit 12, the PAT's. */
	return mask | (((level_frames(level) - 1) << PAGE_SHIFT) & ~BIT(12));
}

static bool npt_is_malformed(spte_t spte, bool leaf)
{
	uint64_t needed = NPT_PRESENT | NPT_USER;

	/* Rights are given and taken in leaves only, so a table entry allows everything. */
	needed |= leaf ? 0 : NPT_WRITE;
	return (spte.v & needed) != needed;
}

static unsigned int npt_rights(spte_t spte)
{
	unsigned int rights = spte.v & NPT_PRESENT ? SPTE_READ : 0;

	rights |= spte.v & NPT_WRITE ? SPTE_WRITE : 0;
	rights |= spte.v & NPT_NO_EXECUTE ? 0 : SPTE_EXECUTE;
	return rights;
}

const struct spte_format npt_format = {
	.name = "NPT",
	.id = 2,
	.accessed = NPT_ACCESSED,
	.dirty = NPT_DIRTY,
	.required = { NPT_PRESENT | NPT_WRITE | NPT_USER, NPT_PRESENT | NPT_USER },
	.bad_types = 0,
	.make_leaf = npt_make_leaf,
	.make_table = npt_make_table,
	.make_mmio = npt_make_mmio,
	.is_present = npt_is_present,
	.is_leaf = npt_is_leaf,
	.is_mmio = npt_is_mmio,
	.reserved = npt_reserved,
	.is_malformed = npt_is_malformed,
	.rights = npt_rights,
};
