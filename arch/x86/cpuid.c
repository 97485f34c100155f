/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the host CPU. Every leaf is checked against the maximum of its range first:
 * beyond that Intel's CPUs answer with the data of another leaf.
 */
#include "arch/x86/cpuid.h"

#include "lib/string.h"

#define MAXPHYADDR_DEFAULT 36 /* SDM, "CPUID": with PAE and without leaf 0x80000008 */

uint32_t cpuid_max(uint32_t leaf)
{
	uint32_t range = leaf & 0xffff0000;
	uint32_t max = cpuid(range, 0).eax;

	return (max & 0xffff0000) == range ? max : 0;
}

struct cpuid_result cpuid_checked(uint32_t leaf, uint32_t subleaf)
{
	if (leaf > cpuid_max(leaf)) {
		return (struct cpuid_result){ 0, 0, 0, 0 };
	}
	return cpuid(leaf, subleaf);
}

bool cpuid_has(uint64_t feature)
{
	struct cpuid_result r =
		cpuid_checked((uint32_t)(feature >> 32), (uint32_t)(feature >> 8 & 0xffffff));
	const uint32_t words[] = { r.eax, r.ebx, r.ecx, r.edx };

	return words[feature >> 6 & 3] >> (feature & 31) & 1;
}

unsigned int cpuid_maxphyaddr(void)
{
	unsigned int bits = cpuid_checked(0x80000008, 0).eax & 0xff;

	return bits ? bits : MAXPHYADDR_DEFAULT;
}

void cpuid_vendor(char vendor[13])
{
	struct cpuid_result r = cpuid(0, 0);

	memcpy(vendor, &r.ebx, 4);
	memcpy(vendor + 4, &r.edx, 4);
	memcpy(vendor + 8, &r.ecx, 4);
	vendor[12] = 0;
}

void cpuid_brand(char brand[49])
{
	char text[49] = { 0 };
	const char *start = text;

	if (cpuid_max(0x80000000) >= 0x80000004) {
		for (uint32_t i = 0; i < 3; i++) {
			struct cpuid_result r = cpuid(0x80000002 + i, 0);

			memcpy(text + i * sizeof(r), &r, sizeof(r));
		}
	}
	while (*start == ' ') {
		start++;
	}
	(void)string_copy(brand, 49, start);
}
