/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Marks a partition bugged and keeps the first cause (P2, P6). Lock-free: several CPUs may
 * find several violations of one partition at the same time; one of them is the first.
 */
#include "lib/bug.h"

/* Bounds of the section that the macros put their sites into; made by the linker. */
extern const struct bug_site __start_bug_sites[];

enum { NOT_BUGGED, RECORDING, RECORDED };

void bug_state_init(struct bug_state *state, const struct bug_ops *ops)
{
	atomic_init(&state->bugged, NOT_BUGGED);
	atomic_init(&state->violations, 0);
	for (unsigned int i = 0; i < ARRAY_COUNT(state->warned); i++) {
		atomic_init(&state->warned[i], 0);
	}
	state->ops = ops;
}

const struct bug_record *bug_first(struct bug_state *state)
{
	/* Acquire: pairs with the release in bug_hit(), so that the record is whole. */
	if (atomic_load_explicit(&state->bugged, memory_order_acquire) != RECORDED) {
		return NULL;
	}
	return &state->first;
}

/* True for the first hit of `site` by this partition. */
static bool site_is_new(struct bug_state *state, const struct bug_site *site)
{
	size_t index = (size_t)(site - __start_bug_sites) % BUG_SITES_MAX;
	uint64_t bit = BIT(index % 64);

	return !(atomic_fetch_or_explicit(&state->warned[index / 64], bit, memory_order_relaxed) &
		 bit);
}

void bug_hit(struct bug_state *state, const struct bug_site *site, const struct bug_detail *detail)
{
	uint32_t expected = NOT_BUGGED;
	struct bug_record record = { site, *detail, state->ops->cpu(), state->ops->now() };
	bool first;

	atomic_fetch_add_explicit(&state->violations, 1, memory_order_relaxed);
	first = atomic_compare_exchange_strong(&state->bugged, &expected, RECORDING);
	if (first) {
		state->first = record;
		/* Release: the record above is seen by whoever sees RECORDED. */
		atomic_store_explicit(&state->bugged, RECORDED, memory_order_release);
	}
	state->ops->report(state, &record, first, site_is_new(state, site));
}

struct rule_words {
	const char *name;
	const char *text;
};

static const struct rule_words rules[RULE_COUNT] = {
	[RULE_NONE] = { "-", "no rule" },
	[RULE_P4] = { "P4", "nothing is done for a bugged partition" },
	[RULE_P9] = { "P9", "the hypervisor itself does not fault" },
	[RULE_P10] = { "P10", "what belongs to others is out of reach" },
	[RULE_I1] = { "I1", "every present leaf SPTE is in its slot's rmap exactly once" },
	[RULE_I2] = { "I2", "every rmap entry points at a present leaf of that gfn and pfn" },
	[RULE_I3] = { "I3", "no SPTE has a reserved bit set" },
	[RULE_I4] = { "I4", "an SPTE maps only frames of this partition, within its rights" },
	[RULE_I5] = { "I5", "a table's count is the number of its present entries" },
	[RULE_I6] = { "I6", "a root on the list has references; an invalid one gets no SPTE" },
	[RULE_I7] = { "I7", "no SPTE from a translation that an invalidation overtook" },
	[RULE_I8] = { "I8", "an MMIO SPTE lies in no memslot and has the current generation" },
	[RULE_I9] = { "I9", "a range is zapped only inside an invalidation that covers it" },
	[RULE_I10] = { "I10", "a frame leaves only after every CPU has flushed" },
	[RULE_I11] = { "I11", "a writable SPTE lies in a writable slot" },
	[RULE_I12] = { "I12", "a large SPTE covers one slot, aligned, and overlaps nothing" },
	[RULE_I13] = { "I13", "what went in under a key comes out under the same key" },
	[RULE_I14] = { "I14", "a table is reused only if its whole role matches" },
	[RULE_I15] = { "I15", "a present leaf never changes to another pfn in one step" },
	[RULE_R1] = { "R1", "roots are reference-counted" },
	[RULE_V3] = { "V3", "a zap is covered by its invalidation" },
	[RULE_M3] = { "M3", "a run of a vCPU has one memory fault at most" },
	[RULE_M4] = { "M4", "a vCPU is parked with a memory fault to show" },
	[RULE_M6] = { "M6", "a vCPU that faults without progress is parked" },
};

const char *rule_name(enum rule rule)
{
	return rule < RULE_COUNT ? rules[rule].name : "?";
}

const char *rule_text(enum rule rule)
{
	return rule < RULE_COUNT ? rules[rule].text : "unknown rule";
}
