/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks an address up in the generated symbol table. Used while the machine is dying, so it
 * touches constants only.
 */
#include "arch/x86/symbol.h"

extern const char __text_start[];
extern const char __text_end[];

bool symbol_is_text(uintptr_t address)
{
	return address >= (uintptr_t)__text_start && address < (uintptr_t)__text_end;
}

const char *symbol_lookup(uintptr_t address, uintptr_t *offset)
{
	uint32_t low = 0;
	uint32_t high = symbol_count;
	uint32_t wanted;

	if (!symbol_is_text(address)) {
		return NULL;
	}
	wanted = (uint32_t)(address - (uintptr_t)__text_start);
	/* The answer, the last one at or below `wanted`, is in [low - 1, high). */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (symbol_offsets[middle] <= wanted) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0) {
		return NULL;
	}
	*offset = wanted - symbol_offsets[low - 1];
	return symbol_names + symbol_name_offsets[low - 1];
}
