/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frama-C Eva over spte_check() and what it calls: any 64 bits as an SPTE, any level of a
 * table, both formats, any MAXPHYADDR that a CPU can have. 0 alarms: no shift is too far, no
 * index leaves an array, nothing is read before it is written, and the answer is one of two.
 * Analysed as a closed program whose inputs are intervals; it is never run.
 *
 * sources: mm/ept_format.c mm/npt_format.c
 * options: -eva-precision 6
 * mutation LEVEL_OFF_BY_ONE: mm/spte.h:
 *     wrong = spte.v & limits->reserved[level] => wrong = spte.v & limits->reserved[level + 1]
 * mutation BITS_ABOVE_63: mm/npt_format.c: BITS(51, maxphyaddr) => BITS(51, maxphyaddr + 16)
 */
#include "__fc_builtin.h"
#include "mm/spte.h"

int main(void)
{
	const struct spte_format *format = Frama_C_nondet(0, 1) ? &ept_format : &npt_format;
	unsigned int maxphyaddr = (unsigned int)Frama_C_interval(32, 52);
	bool large_1g = Frama_C_nondet(0, 1) != 0;
	unsigned int level = (unsigned int)Frama_C_interval(1, SPTE_LEVELS);
	spte_t spte = { Frama_C_unsigned_long_interval(0, UINT64_MAX) };
	struct spte_limits limits;
	enum rule rule;

	spte_limits_init(&limits, format, maxphyaddr, large_1g);
	rule = spte_check(&limits, spte, level);
	//@ assert answer: rule == RULE_NONE || rule == RULE_I3;
	return (int)rule;
}
