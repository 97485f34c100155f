/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Multiboot2 boot information, turned into the neutral struct boot_info. Pure: bytes in,
 * structure out, so that host tests and fuzzers run the same file.
 */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#include "lib/boot_info.h"
#include "lib/status.h"

/* EAX at entry (Multiboot2 specification, "I386 machine state"). */
#define MB2_LOADER_MAGIC 0x36d76289u

int __must_check mb2_parse(const void *info, size_t size_limit, struct boot_info *out,
			   struct error_text *error);

#endif
