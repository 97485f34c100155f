/* SPDX-License-Identifier: BSD-2-Clause */
/* Brackets, unmapping and the wait for read sections, as mm/ itself uses them. Internal. */
#ifndef MM_INVALIDATE_H
#define MM_INVALIDATE_H

#include "mm/table.h"

void mmu_synchronize(struct mmu *mmu);

void invalidate_begin(struct mmu_held held, gfn_t start, uint64_t count);
void invalidate_end(struct mmu_held held);
bool invalidate_covers(const struct mmu *mmu, gfn_t start, gfn_t end);

int __must_check unmap_gfn_range(struct mmu_held held, gfn_t start, gfn_t end,
				 const struct memslot *going);

#endif
