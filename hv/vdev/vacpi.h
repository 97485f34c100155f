/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables that a guest is given: made once when its memory is built. They describe
 * the devices of this folder and nothing else.
 */
#ifndef HV_VDEV_VACPI_H
#define HV_VDEV_VACPI_H

#include "lib/bits.h"

/* What the tables need at most, for up to VACPI_VCPUS_MAX vCPUs. */
#define VACPI_SIZE_MAX 4096
#define VACPI_VCPUS_MAX 64

/*
 * Builds the tables into `buffer` as they stand at guest-physical address `gpa` (64-byte
 * aligned, below 4 GiB), the RSDP first. Returns the bytes used, or 0 when `size` is too
 * small, `gpa` not fit or `vcpus` out of range.
 */
size_t vacpi_build(uint8_t *buffer, size_t size, uint64_t gpa, unsigned int vcpus);

#endif
