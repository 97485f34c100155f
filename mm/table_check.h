/* SPDX-License-Identifier: BSD-2-Clause */
/* One change of one SPTE, as table.c describes it and table_check.c judges it. Internal. */
#ifndef MM_TABLE_CHECK_H
#define MM_TABLE_CHECK_H

#include "mm/table.h"

struct change {
	struct mmu *mmu;
	const struct memslots *slots; /* that the holder of the lock goes by */
	struct table *table;
	unsigned int index;
	unsigned int level;
	gfn_t gfn;
	spte_t old;
	spte_t new;
	const struct memslot *slot; /* of the leaf that comes or goes, by change_check() */
};

#define CHANGE_PLACE(c, value)                                                       \
	.view = role_view((c)->table->role), .level = (c)->level, .has_gfn = true,   \
	.gfn = (c)->gfn.v, .sptep = table_sptep((c)->mmu, (c)->table, (c)->index).v, \
	.spte = (value).v
#define OLD_PLACE(c) CHANGE_PLACE(c, (c)->old)
#define NEW_PLACE(c) CHANGE_PLACE(c, (c)->new)

static inline hpa_t change_sptep(const struct change *c)
{
	return table_sptep(c->mmu, c->table, c->index);
}

/* Everything that forbids the change: 0, or -EIO with the partition bugged. Touches nothing
 * but c->slot. The MMU lock is held, either way. */
int __must_check change_check(struct change *c);

#endif
