/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses in the text, for backtraces: a table made by scripts/symbols from the
 * first link and linked in by the second.
 */
#ifndef ARCH_X86_SYMBOL_H
#define ARCH_X86_SYMBOL_H

#include "lib/bits.h"

/* The generated table: text symbols in ascending order. */
extern const uint32_t symbol_count;
extern const uint32_t symbol_offsets[]; /* from __text_start */
extern const uint32_t symbol_name_offsets[];
extern const char symbol_names[];

/* The function that `address` is in and how far; NULL when there is none. */
const char *symbol_lookup(uintptr_t address, uintptr_t *offset);

/* True when `address` is in the hypervisor's text. */
bool symbol_is_text(uintptr_t address);

#endif
