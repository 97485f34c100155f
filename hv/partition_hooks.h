/* SPDX-License-Identifier: BSD-2-Clause */
/* What a partition hands to the rooms below: hooks of its MMU and of its devices. */
#ifndef HV_PARTITION_HOOKS_H
#define HV_PARTITION_HOOKS_H

#include "hv/partition.h"

extern const struct mmu_ops partition_mmu_ops;

/* Fills partition->devices.host, but for frequencies and wall time. */
void partition_host_init(struct partition *partition);

/* The modules that partition_build() loads from. */
void partition_build_init(const struct boot_info *info);

#endif
