/* SPDX-License-Identifier: BSD-2-Clause */
/* How the instruments (walk.c, audit.c) look at an MMU, bugged or not. Internal to mm/. */
#ifndef MM_WALK_H
#define MM_WALK_H

#include "mm/table.h"

struct mmu_look {
	struct mmu *mmu;
	bool locked;
};

struct mmu_look mmu_look_begin(struct mmu *mmu);
void mmu_look_end(struct mmu_look look);

#endif
