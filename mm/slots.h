/* SPDX-License-Identifier: BSD-2-Clause */
/* Publishing arrays of slots, as mm/ itself does it. Internal. The lock of slot changes is held. */
#ifndef MM_SLOTS_H
#define MM_SLOTS_H

#include "mm/table.h"

/* Makes the array the one that readers see; the MMU lock is held for writing. 0 or -EIO. */
int __must_check slots_publish(struct mmu_held *held, struct memslots *new);

/* Gives an array back that was published once, after the wait for its readers (V4). */
void slots_free(struct mmu *mmu, const struct memslots *old);

#endif
