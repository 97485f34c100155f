/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory type range registers as storage; see the header. */
#include "hv/mtrr.h"

#include "arch/x86/msr.h"
#include "hv/cpuid_policy.h"

#define MTRRCAP_FIX BIT(8)
#define MTRRCAP_WC BIT(10)
#define DEF_TYPE_ENABLE BITS(11, 10)
#define PHYSMASK_VALID BIT(11)

static const uint16_t fixed_numbers[MTRR_FIXED_COUNT] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static bool is_variable(uint32_t number)
{
	return number >= MSR_IA32_MTRR_PHYSBASE0 &&
	       number < MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_COUNT;
}

/* Index of a fixed-range register, or -1. */
static int fixed_index(uint32_t number)
{
	for (int i = 0; i < MTRR_FIXED_COUNT; i++) {
		if (fixed_numbers[i] == number) {
			return i;
		}
	}
	return -1;
}

bool mtrr_is(uint32_t number)
{
	return number == MSR_IA32_MTRRCAP || number == MSR_IA32_MTRR_DEF_TYPE ||
	       is_variable(number) || fixed_index(number) >= 0;
}

uint64_t mtrr_read(const struct msr_state *msrs, uint32_t number)
{
	if (number == MSR_IA32_MTRRCAP) {
		return MTRRCAP_FIX | MTRRCAP_WC | MTRR_VARIABLE_COUNT;
	}
	if (number == MSR_IA32_MTRR_DEF_TYPE) {
		return msrs->mtrr_default;
	}
	if (is_variable(number)) {
		return msrs->mtrr_variable[number - MSR_IA32_MTRR_PHYSBASE0];
	}
	return msrs->mtrr_fixed[fixed_index(number)];
}

/* UC, WC, WT, WP, WB. */
static bool type_is_valid(uint64_t type)
{
	return type <= 6 && type != 2 && type != 3;
}

static bool write_variable(struct msr_state *msrs, uint32_t number, uint64_t value)
{
	uint64_t reserved = ~BITS(cpuid_policy_maxphyaddr() - 1, 0);
	bool is_mask = ((number - MSR_IA32_MTRR_PHYSBASE0) & 1) != 0;

	reserved |= is_mask ? BITS(10, 0) : BITS(11, 8);
	if ((value & reserved) || (!is_mask && !type_is_valid(value & 0xff))) {
		return false;
	}
	msrs->mtrr_variable[number - MSR_IA32_MTRR_PHYSBASE0] = value;
	return true;
}

bool mtrr_write(struct msr_state *msrs, uint32_t number, uint64_t value)
{
	if (number == MSR_IA32_MTRRCAP) {
		return false;
	}
	if (number == MSR_IA32_MTRR_DEF_TYPE) {
		if ((value & ~(DEF_TYPE_ENABLE | 0xff)) || !type_is_valid(value & 0xff)) {
			return false;
		}
		msrs->mtrr_default = value;
		return true;
	}
	if (is_variable(number)) {
		return write_variable(msrs, number, value);
	}
	for (unsigned int byte = 0; byte < 8; byte++) {
		if (!type_is_valid((value >> (8 * byte)) & 0xff)) {
			return false;
		}
	}
	msrs->mtrr_fixed[fixed_index(number)] = value;
	return true;
}
