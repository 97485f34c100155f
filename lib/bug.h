/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bugged state of a partition (mmu-contract.md, P rules): a violated invariant marks
 * that partition and nothing else. The mark is set once and the first cause is kept (P2);
 * the caller is told and returns an error up its call chain. Partition-owned: lives in the
 * partition's pool, and every check names the state that it works for (P3).
 *
 *     if (PARTITION_BUG_ON(mmu->bug, count != present, RULE_I5, .level = level)) {
 *             return -EIO;
 *     }
 */
#ifndef LIB_BUG_H
#define LIB_BUG_H

#include <stdatomic.h>

#include "lib/bits.h"

/* Rules of the MMU contract, by their own numbers. Names come from rule_name(). */
enum rule {
	RULE_NONE,
	RULE_P4,
	RULE_P9,
	RULE_P10,
	RULE_I1,
	RULE_I2,
	RULE_I3,
	RULE_I4,
	RULE_I5,
	RULE_I6,
	RULE_I7,
	RULE_I8,
	RULE_I9,
	RULE_I10,
	RULE_I11,
	RULE_I12,
	RULE_I13,
	RULE_I14,
	RULE_I15,
	RULE_R1,
	RULE_V3,
	RULE_M3,
	RULE_M4,
	RULE_M6,
	RULE_COUNT,
};

/* P5: the policy data-corruption=machine applies to the second class only. */
enum bug_class {
	BUG_PLAIN,
	BUG_DATA_CORRUPTION,
};

#define BUG_SITES_MAX 256
#define BUG_GFN_NONE (~UINT64_C(0))

/* Where a check stands in the source: one constant per use of the macro. */
struct bug_site {
	const char *file;
	const char *function;
	const char *condition;
	unsigned int line;
	enum rule rule;
	enum bug_class bug_class;
};

/* What the check knows about the place: filled by designators, the rest 0. */
struct bug_detail {
	unsigned int vcpu;
	unsigned int view;
	unsigned int level;
	bool has_gfn;
	uint64_t gfn;
	uint64_t sptep; /* host-physical address of the SPTE, 0 if none */
	uint64_t spte;
	uint64_t rmap_head;
	const char *text; /* what was found, in words; a constant string */
};

struct bug_record {
	const struct bug_site *site;
	struct bug_detail detail;
	unsigned int cpu;
	uint64_t tsc;
};

struct bug_state;

/* Hooks of the owner: which CPU, which time, and what is done about it. */
struct bug_ops {
	unsigned int (*cpu)(void);
	uint64_t (*now)(void);
	/*
	 * A violation: `first` when it is the first of this partition (kick its vCPUs),
	 * `warn` when this site is to be printed (P6: once per partition and site).
	 */
	void (*report)(struct bug_state *state, const struct bug_record *record, bool first,
		       bool warn);
};

struct bug_state {
	_Atomic uint32_t bugged;		     /* 0, 1 while the first record is written, 2 */
	_Atomic uint64_t violations;		     /* all of them, the first included */
	struct bug_record first;		     /* valid when bugged == 2 */
	_Atomic uint64_t warned[BUG_SITES_MAX / 64]; /* a bit per site */
	const struct bug_ops *ops;
};

void bug_state_init(struct bug_state *state, const struct bug_ops *ops);

/* True from the first violation on. */
static inline bool bug_is_set(struct bug_state *state)
{
	/* Relaxed: only stops new work; who reads the record uses bug_first(). */
	return unlikely(atomic_load_explicit(&state->bugged, memory_order_relaxed) != 0);
}

/* The first cause, or NULL when there is none (or it is being written this instant). */
const struct bug_record *bug_first(struct bug_state *state);

/* What the macros call; not for direct use. Lock-free, any context. */
void bug_hit(struct bug_state *state, const struct bug_site *site, const struct bug_detail *detail);

const char *rule_name(enum rule rule);
const char *rule_text(enum rule rule);

/*
 * Proof that every check bites (make mutants): a file compiled with -DMUTANT=k takes its
 * check number k (a value of __COUNTER__) as not true, whatever the condition says. The
 * condition is still evaluated: what is lost is the verdict alone, not a side effect with it.
 * The sites of such a build name themselves in the section check_sites.
 */
#ifdef MUTANT
struct check_site {
	unsigned int number;
	unsigned int line;
	const char *file;
	const char *function;
	const char *rule;
	const char *condition;
};

#define CHECK_VERDICT(cond, text, rule)                                               \
	({                                                                            \
		enum { number_ = __COUNTER__ };                                       \
		static const struct check_site check_site_                            \
			__attribute__((section("check_sites"), used, aligned(8))) = { \
				number_, __LINE__, __FILE__, __func__, rule, text     \
			};                                                            \
		!!(cond) && number_ != MUTANT;                                        \
	})
#else
#define CHECK_VERDICT(cond, text, rule) (!!(cond))
#endif

/*
 * Truth of `!!(cond)`, evaluated once: a test that makes a fault start again, because what it
 * read has changed. Nothing is wrong and nothing is recorded; the name makes it a check site.
 */
#define RETRY_ON(cond) unlikely(CHECK_VERDICT(cond, #cond, "retry"))

/* Truth of `!!(cond)`, evaluated once; when true the partition of `state` is bugged. */
#define BUG_CHECK(state, cond, rule_, class_, ...)                                                 \
	({                                                                                         \
		static const struct bug_site bug_site_ __attribute__((                             \
			section("bug_sites"), used, aligned(8))) = { __FILE__, __func__, #cond,    \
								     __LINE__, rule_,	 class_ }; \
		bool hit_ = unlikely(CHECK_VERDICT(cond, #cond, #rule_));                          \
		if (hit_) {                                                                        \
			const struct bug_detail detail_ = { __VA_ARGS__ };                         \
			bug_hit(state, &bug_site_, &detail_);                                      \
		}                                                                                  \
		hit_;                                                                              \
	})

#define PARTITION_BUG_ON(state, cond, rule, ...) \
	BUG_CHECK(state, cond, rule, BUG_PLAIN, ##__VA_ARGS__)
#define PARTITION_DATA_BUG_ON(state, cond, rule, ...) \
	BUG_CHECK(state, cond, rule, BUG_DATA_CORRUPTION, ##__VA_ARGS__)

#endif
