/* SPDX-License-Identifier: BSD-2-Clause */
/* Audits in the background: each partition's MMU, a short slice now and then. Core only. */
#ifndef HV_BACKGROUND_H
#define HV_BACKGROUND_H

#include "hv/partition.h"

/* A slice, if one is due. A violation bugs the partition, and ends it as any bug does. */
void background_audit(struct partition_entry *entry, uint64_t now);

/* Host TSC of the next slice, UINT64_MAX: the partition does not run. */
uint64_t background_next(const struct partition_entry *entry);

/* How far it is, for the shell. */
const struct mmu_audit_cursor *background_cursor(const struct partition_entry *entry);

#endif
