/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds that prove more than they must (make PROVE_MMU=1), for tests, on the host and on the
 * machine: a whole audit after each operation that changes the MMU, and violations where
 * normal builds only count, because a guest or a manager could provoke them at will.
 */
#ifndef MM_PROVE_H
#define MM_PROVE_H

#include "mm/mmu.h"

#ifdef PROVE_MMU
#define PROVE_MMU_ON true
#else
#define PROVE_MMU_ON false
#endif

#define PROVE_TABLES_MAX 4096 /* of a partition that is audited after each operation */

/* audit.c */
void mmu_prove_whole(struct mmu *mmu);

/* After an operation, the MMU lock not held. */
static inline void mmu_prove(struct mmu *mmu)
{
	if (PROVE_MMU_ON) {
		mmu_prove_whole(mmu);
	}
}

/*
 * Truth of `!!(cond)`, evaluated once: something that is not a defect of ours as long as
 * somebody outside can bring it about. The caller counts it. Where that is proven not to
 * happen, it bugs the partition.
 */
#define PROVE_BUG_ON(state, cond, rule, ...)                                          \
	({                                                                            \
		bool proven_ = unlikely(!!(cond));                                    \
		PARTITION_BUG_ON(state, PROVE_MMU_ON &&proven_, rule, ##__VA_ARGS__); \
		proven_;                                                              \
	})

#endif
