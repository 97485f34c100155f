/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual clock by KVM's published interface ("KVM-specific MSRs" of the Linux
 * kernel's documentation): a record in guest memory that turns TSC ticks into nanoseconds.
 * It is how Linux learns the exact TSC frequency on AMD CPUs, where CPUID does not say.
 */
#ifndef HV_PVCLOCK_H
#define HV_PVCLOCK_H

#include "hv/partition.h"

#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u

/* -EINVAL when the record is not wholly in the partition's RAM. */
int __must_check pvclock_set_time(struct partition *partition, uint64_t value);
int __must_check pvclock_set_wall_clock(struct partition *partition, uint64_t value);

#endif
