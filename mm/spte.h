/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An SPTE: one entry of the tables that the CPU walks from gpa to hpa. This file knows the
 * bits and says what is wrong with a value; it stores nothing and takes no lock. What a bit
 * means to the hardware is the business of the two formats (ept_format.c, npt_format.c);
 * what it means to us is the same in both, so that walks need not ask the format.
 *
 *   present, leaf or table ("P" is ours):
 *    63  62    56 55  52 51                            12  11 10    8   7   6     0
 *   +---+--------+------+--------------------------------+---+-------+----+--------+
 *   | f |   0    | slot | pfn of the page or of the table| P |   f   | PS |   f    |
 *   +---+--------+------+--------------------------------+---+-------+----+--------+
 *   MMIO (no memory there; built so that the CPU refuses it and reports it at once):
 *    63  62             52  51  50                     12  11 10    8   7..3   2..0
 *   +---+-----------------+---+--------------------------+---+--------+-------+-----+
 *   | 0 |   generation    | f | gfn                      | 0 | rights |   0   |  f  |
 *   +---+-----------------+---+--------------------------+---+--------+-------+-----+
 *   f: the format's. Empty: all 64 bits are 0.
 */
#ifndef MM_SPTE_H
#define MM_SPTE_H

#include <assert.h>

#include "lib/addr.h"
#include "lib/bug.h"

typedef struct {
	uint64_t v;
} spte_t;

#define PRIspte "0x%016llx"

/* Levels: 1 holds 4 KiB leaves, 2 may hold 2 MiB and 3 1 GiB leaves, 4 is the root. */
#define SPTE_LEVELS 4
#define SPTE_LEAF_LEVELS 3
#define SPTE_INDEX_BITS 9
#define SPTE_PER_TABLE 512

/* Hardware bits that both formats have at the same place. */
#define SPTE_LARGE BIT(7) /* at levels 2 and 3: a leaf, not a table */
#define SPTE_PFN BITS(51, 12)
#define SPTE_WRITABLE BIT(1)
#define SPTE_TYPE BITS(5, 3) /* of a leaf: EPT's memory type; NPT allows every value */

/*
 * SPTE_PRESENT: maps something. A bit of our own, because "present" to the hardware is three
 * bits in EPT, one in NPT, and true of an NPT MMIO SPTE. Bit 11 is ignored by both CPUs at
 * every level. Set in every leaf and table entry, never in an MMIO or empty one.
 */
#define SPTE_PRESENT BIT(11)
/*
 * SPTE_SLOT: the id of the memslot that a leaf was filled from, so that removal compares the
 * key instead of recomputing it (I13). Bits 55:52 are ignored by both CPUs in leaves. Table
 * entries have 0 here.
 */
#define SPTE_SLOT BITS(55, 52)

/*
 * SPTE_FROZEN: somebody with the MMU lock shared is about to store here. Not present to
 * either CPU, no MMIO SPTE of either format, never seen with the lock held for writing.
 */
#define SPTE_FROZEN (BIT(58) | BIT(6))

/* MMIO SPTEs. Bit 63 stays 0 (NPT: no-execute; EPT: suppress #VE). */
#define SPTE_MMIO_GENERATION BITS(62, 52) /* of the slots when it was made (I8) */
#define SPTE_MMIO_GFN BITS(50, 12)
#define SPTE_MMIO_RIGHTS BITS(10, 8) /* the access that made it */

static_assert((SPTE_PRESENT & (SPTE_PFN | SPTE_SLOT | SPTE_LARGE)) == 0, "bit 11 is free");
static_assert((SPTE_SLOT & SPTE_PFN) == 0, "the slot id lies above the address");
static_assert((SPTE_MMIO_GENERATION & SPTE_MMIO_GFN) == 0, "MMIO fields do not overlap");
static_assert((SPTE_PRESENT & (SPTE_MMIO_GENERATION | SPTE_MMIO_GFN | SPTE_MMIO_RIGHTS)) == 0,
	      "an MMIO SPTE is never SPTE_PRESENT");

/* Rights of a leaf; the values of MMU_READ and so on. */
#define SPTE_READ 1u
#define SPTE_WRITE 2u
#define SPTE_EXECUTE 4u
#define SPTE_RIGHTS_ALL (SPTE_READ | SPTE_WRITE | SPTE_EXECUTE)

enum memory_type {
	MEMORY_WB, /* RAM: write-back, whatever the guest's PAT says */
	MEMORY_UC, /* device memory */
};

/* What a vendor's table entries look like. One const table each, at the end of its file. */
struct spte_format {
	const char *name;
	unsigned int id; /* part of a table's role (I14) */
	uint64_t accessed;
	uint64_t dirty;
	uint64_t required[2];	/* [leaf]: bits that a present entry must have */
	unsigned int bad_types; /* a bit for each value of bits 5:3 that a leaf may not have */
	/* Constructors give the hardware's part; spte_leaf() and spte_table() add ours. */
	spte_t (*make_leaf)(pfn_t frame, unsigned int level, unsigned int rights,
			    enum memory_type type);
	spte_t (*make_table)(pfn_t table);
	/* 0 when this CPU has no value that it would refuse. */
	spte_t (*make_mmio)(gfn_t frame, unsigned int rights, uint64_t generation,
			    unsigned int maxphyaddr);
	/* As the hardware decides it, without our bits. */
	bool (*is_present)(spte_t spte);
	bool (*is_leaf)(spte_t spte, unsigned int level);
	bool (*is_mmio)(spte_t spte);
	/* Bits that must be 0 in a present entry. */
	uint64_t (*reserved)(unsigned int level, bool leaf, unsigned int maxphyaddr);
	/* Combinations that the hardware refuses besides reserved bits; in the audit's words. */
	bool (*is_malformed)(spte_t spte, bool leaf);
	unsigned int (*rights)(spte_t spte);
};

extern const struct spte_format ept_format;
extern const struct spte_format npt_format;

/* What one CPU accepts: the format's reserved bits for its MAXPHYADDR and page sizes. */
struct spte_limits {
	const struct spte_format *format;
	unsigned int maxphyaddr;
	uint64_t reserved[SPTE_LEVELS + 1][2]; /* [level][leaf] */
};

static inline void spte_limits_init(struct spte_limits *limits, const struct spte_format *format,
				    unsigned int maxphyaddr, bool large_1g)
{
	limits->format = format;
	limits->maxphyaddr = maxphyaddr;
	for (unsigned int level = 1; level <= SPTE_LEVELS; level++) {
		limits->reserved[level][false] = format->reserved(level, false, maxphyaddr);
		limits->reserved[level][true] = format->reserved(level, true, maxphyaddr);
	}
	if (!large_1g) {
		limits->reserved[3][true] |= SPTE_LARGE;
	}
}

/* Geometry: 4 KiB frames that one entry of a table at `level` covers, and an entry's index. */
static inline uint64_t level_frames(unsigned int level)
{
	return UINT64_C(1) << (SPTE_INDEX_BITS * (level - 1));
}

static inline unsigned int level_index(gfn_t frame, unsigned int level)
{
	return (frame.v >> (SPTE_INDEX_BITS * (level - 1))) & (SPTE_PER_TABLE - 1);
}

static inline gfn_t level_align(gfn_t frame, unsigned int level)
{
	return gfn(align_down(frame.v, level_frames(level)));
}

/* Predicates. */
static inline bool spte_is_frozen(spte_t spte)
{
	return spte.v == SPTE_FROZEN;
}

static inline bool spte_is_empty(spte_t spte)
{
	return spte.v == 0;
}

static inline bool spte_is_present(spte_t spte)
{
	return (spte.v & SPTE_PRESENT) != 0;
}

static inline bool spte_is_leaf(spte_t spte, unsigned int level)
{
	return spte_is_present(spte) && (level == 1 || (spte.v & SPTE_LARGE));
}

static inline bool spte_is_table(spte_t spte, unsigned int level)
{
	return spte_is_present(spte) && !spte_is_leaf(spte, level);
}

/* Fields. */
static inline pfn_t spte_pfn(spte_t spte)
{
	return hpa_to_pfn(hpa(spte.v & SPTE_PFN));
}

static inline unsigned int spte_slot(spte_t spte)
{
	return (unsigned int)FIELD_GET(SPTE_SLOT, spte.v);
}

static inline gfn_t spte_mmio_gfn(spte_t spte)
{
	return gfn(FIELD_GET(SPTE_MMIO_GFN, spte.v));
}

/* True when an MMIO SPTE was made under `generation` of the slots (modulo its field). */
static inline bool spte_mmio_is_current(spte_t spte, uint64_t generation)
{
	return ((FIELD_PREP(SPTE_MMIO_GENERATION, generation) ^ spte.v) & SPTE_MMIO_GENERATION) ==
	       0;
}

/* True when a present entry is one that the CPU of `limits` does not accept. */
static inline bool spte_is_refused(const struct spte_limits *limits, spte_t spte, bool leaf,
				   unsigned int level)
{
	const struct spte_format *format = limits->format;
	uint64_t wrong = spte.v & limits->reserved[level][leaf];

	wrong |= ~spte.v & format->required[leaf];
	if (leaf) {
		wrong |= (format->bad_types >> FIELD_GET(SPTE_TYPE, spte.v)) & 1;
	}
	return wrong != 0;
}

/* Constructors. `frame` is aligned to the level; `slot` < 16. */
static inline spte_t spte_leaf(const struct spte_format *format, pfn_t frame, unsigned int level,
			       unsigned int rights, unsigned int slot)
{
	spte_t spte = format->make_leaf(frame, level, rights, MEMORY_WB);

	spte.v |= SPTE_PRESENT | FIELD_PREP(SPTE_SLOT, slot);
	return spte;
}

static inline spte_t spte_table(const struct spte_format *format, pfn_t table)
{
	spte_t spte = format->make_table(table);

	spte.v |= SPTE_PRESENT;
	return spte;
}

/*
 * RULE_NONE, or the rule that the value by itself breaks at `level`: I3 for anything that is
 * neither empty, nor a well-formed MMIO SPTE at level 1, nor what the CPU accepts.
 */
static inline enum rule spte_check(const struct spte_limits *limits, spte_t spte,
				   unsigned int level)
{
	bool leaf = spte_is_leaf(spte, level);

	if (!spte_is_present(spte)) {
		bool known = spte_is_empty(spte) || (level == 1 && limits->format->is_mmio(spte));

		return known ? RULE_NONE : RULE_I3;
	}
	return spte_is_refused(limits, spte, leaf, level) ? RULE_I3 : RULE_NONE;
}

#endif
