/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPTEs as Intel's EPT has them. Not the walk and not the stores: values only. Source: SDM,
 * "The Extended Page Table Mechanism (EPT)", the tables on the formats of EPT entries, and
 * "EPT Misconfigurations". Its twin is npt_format.c: same functions, same order; what differs
 * between the two files is what differs between the vendors.
 */
#include "mm/spte.h"

#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_EXECUTE BIT(2)
#define EPT_TYPE SPTE_TYPE
#define EPT_IGNORE_PAT BIT(6)
#define EPT_ACCESSED BIT(8) /* ignored by CPUs without accessed and dirty flags */
#define EPT_DIRTY BIT(9)

#define EPT_TYPE_UC 0
#define EPT_TYPE_WC 1
#define EPT_TYPE_WT 4
#define EPT_TYPE_WP 5
#define EPT_TYPE_WB 6

/* Write and execute without read: a misconfiguration on every CPU, whatever it can do. */
#define EPT_MMIO (EPT_WRITE | EPT_EXECUTE)

static_assert(EPT_READ == SPTE_READ && EPT_WRITE == SPTE_WRITE && EPT_EXECUTE == SPTE_EXECUTE,
	      "EPT's low three bits are our rights");
static_assert(EPT_WRITE == SPTE_WRITABLE, "the bit is the same in both");
static_assert((SPTE_PRESENT & (EPT_ACCESSED | EPT_DIRTY | EPT_IGNORE_PAT | EPT_TYPE)) == 0,
	      "bit 11 is nobody's");

/* Accessed is preset, which spares the CPU a locked write; dirty likewise. */
static spte_t ept_make_leaf(pfn_t frame, unsigned int level, unsigned int rights,
			    enum memory_type type)
{
	uint64_t word = pfn_to_hpa(frame).v | rights | EPT_IGNORE_PAT | EPT_ACCESSED | EPT_DIRTY;

	word |= FIELD_PREP(EPT_TYPE, type == MEMORY_WB ? EPT_TYPE_WB : EPT_TYPE_UC);
	return (spte_t){ word | (level > 1 ? SPTE_LARGE : 0) };
}

/* Accessed starts clear, so that the shrinker sees which tables are in use. */
static spte_t ept_make_table(pfn_t table)
{
	return (spte_t){ pfn_to_hpa(table).v | EPT_READ | EPT_WRITE | EPT_EXECUTE };
}

/* Every CPU has this one: `maxphyaddr` does not matter. */
static spte_t ept_make_mmio(gfn_t frame, unsigned int rights, uint64_t generation,
			    unsigned int maxphyaddr)
{
	(void)maxphyaddr;
	return (spte_t){ EPT_MMIO | FIELD_PREP(SPTE_MMIO_GFN, frame.v) |
			 FIELD_PREP(SPTE_MMIO_RIGHTS, rights) |
			 FIELD_PREP(SPTE_MMIO_GENERATION, generation) };
}

static bool ept_is_present(spte_t spte)
{
	return (spte.v & (EPT_READ | EPT_WRITE | EPT_EXECUTE)) != 0;
}

static bool ept_is_leaf(spte_t spte, unsigned int level)
{
	return level == 1 || (level <= SPTE_LEAF_LEVELS && (spte.v & SPTE_LARGE));
}

static bool ept_is_mmio(spte_t spte)
{
	uint64_t mask = SPTE_PRESENT | BIT(63) | BIT(51) | BITS(7, 0);

	return (spte.v & mask) == EPT_MMIO;
}

static uint64_t ept_reserved(unsigned int level, bool leaf, unsigned int maxphyaddr)
{
	uint64_t mask = maxphyaddr < 52 ? BITS(51, maxphyaddr) : 0;

	if (level == SPTE_LEVELS) {
		return mask | BITS(7, 3);
	}
	if (!leaf) {
		return mask | BITS(6, 3);
	}
	/* The address of a large page: its low bits are reserved. */
	return mask | ((level_frames(level) - 1) << PAGE_SHIFT);
}

static bool ept_is_malformed(spte_t spte, bool leaf)
{
	uint64_t type = FIELD_GET(EPT_TYPE, spte.v);
	bool type_known = type == EPT_TYPE_UC || type == EPT_TYPE_WC || type == EPT_TYPE_WT ||
			  type == EPT_TYPE_WP || type == EPT_TYPE_WB;

	/* Execute without read is allowed to some CPUs only, and never made here. */
	return !(spte.v & EPT_READ) || (leaf && !type_known);
}

static unsigned int ept_rights(spte_t spte)
{
	return (unsigned int)(spte.v & SPTE_RIGHTS_ALL);
}

const struct spte_format ept_format = {
	.name = "EPT",
	.id = 1,
	.accessed = EPT_ACCESSED,
	.dirty = EPT_DIRTY,
	.required = { EPT_READ, EPT_READ },
	.bad_types = (unsigned int)(BIT(2) | BIT(3) | BIT(7)),
	.make_leaf = ept_make_leaf,
	.make_table = ept_make_table,
	.make_mmio = ept_make_mmio,
	.is_present = ept_is_present,
	.is_leaf = ept_is_leaf,
	.is_mmio = ept_is_mmio,
	.reserved = ept_reserved,
	.is_malformed = ept_is_malformed,
	.rights = ept_rights,
};
