/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the threads of the race share: the machine, and beside it the truth, kept by who
 * changes something and asked by who accesses something. The idea: a word for each view and
 * unit of guest memory says what is there; it is marked as changing before a change begins and
 * gets its new value when the change has returned. Who finds the same word before and after an
 * access, and not marked, knows what the access must have come to.
 *
 *     changer:  |-- changing --[ mmu_slot_delete() ]--| absent
 *     vCPU:                          word . access . word
 */
#ifndef TESTS_RACE_WORLD_H
#define TESTS_RACE_WORLD_H

#include <pthread.h>

#include "tests/mmu/machine.h"

/* Guest memory: pages of slots 0 to 5 below 16 MiB, and slot 6, the large one, at 1 GiB. */
#define LOW_PAGES 4096u
#define SMALL_SLOTS 6u
#define SMALL_PAGES 1024u /* of a slot at most */
#define BIG_SLOT 6u
#define BIG_GFN UINT64_C(0x40000)
#define BIG_PFN UINT64_C(0x40000)
#define BIG_PAGES UINT64_C(0x40000)
#define BIG_UNITS 512u
#define UNITS (LOW_PAGES + BIG_UNITS)
#define VIEWS 4u
#define SPARES 64u
#define SLOTS 7u
#define NO_UNIT UINT32_MAX

/* Where the frames of a small slot begin, and those that replace them. */
#define SMALL_PFN(slot) (UINT64_C(0x1000) + (slot)*UINT64_C(0x800))
#define SPARE_PFN UINT64_C(0x8000)
/* In what the neighbour has got. */
#define MARK UINT64_C(0x6e65696768626f72)

enum truth_kind { TRUTH_NONE, TRUTH_MEMORY, TRUTH_ABSENT, TRUTH_MIXED };
#define TRUTH_CHANGING BIT(0)
#define TRUTH_KIND BITS(2, 1)
#define TRUTH_SLOT_RIGHTS BITS(5, 3)
#define TRUTH_VIEW_RIGHTS BITS(8, 6)
#define TRUTH_PFN BITS(40, 9)
#define TRUTH_VERSION BITS(63, 41)

/* Where a page of a small slot is. */
#define PAGE_LINEAR (~UINT64_C(0))
#define PAGE_ABSENT (~UINT64_C(1))

struct slot_model {
	bool there;
	struct memslot_config config;
	uint64_t page[SMALL_PAGES]; /* PAGE_LINEAR, PAGE_ABSENT, or a frame */
	bool away[SMALL_PAGES];	    /* the slot's own frame is the neighbour's */
	bool logged;
	uint64_t copy[SMALL_PAGES]; /* of each page's word, as a migration has it */
};

/* Relaxed counters for the last line. */
enum figure {
	FIGURE_ACCESSES,
	FIGURE_HITS,
	FIGURE_FAULTS,
	FIGURE_INSTALLS,
	FIGURE_RETRIES,
	FIGURE_FLUSHES,
	FIGURE_POINTERS,
	FIGURE_SWITCHES,
	FIGURE_CHANGES,
	FIGURE_READS,
	FIGURE_NO_MEMORY,
	FIGURE_ROUNDS,
	FIGURE_COUNT,
};

struct world {
	struct machine machine;
	bool vmfunc; /* guests switch views by themselves */
	bool big;    /* the large slot takes part */
	_Atomic uint64_t figure[FIGURE_COUNT];

	_Atomic uint64_t truth[VIEWS][UNITS];

	/* The changer's and the keeper's. */
	pthread_mutex_t lock;
	struct slot_model slot[SLOTS];
	bool view_there[VIEWS];
	uint8_t view_rights[VIEWS][UNITS];
	bool big_mixed[BIG_UNITS];
	uint64_t big_removed[BIG_UNITS]; /* a page that was taken out, or 0 */
	uint64_t spare[SPARES];
	unsigned int spare_count;
};

extern struct world world;

/*
 * A choice, below `limit`. The race draws it from `seed`, one for each thread; the fuzzer, which
 * runs the same steps in one thread, reads it from its input.
 */
uint64_t choose_below(uint64_t *seed, uint64_t limit);

static inline bool chance(uint64_t *seed, unsigned int in)
{
	return choose_below(seed, in) == 0;
}

static inline void count(enum figure figure, uint64_t change)
{
	atomic_fetch_add_explicit(&world.figure[figure], change, memory_order_relaxed);
}

static inline uint32_t unit_of(uint64_t page)
{
	if (page < LOW_PAGES) {
		return (uint32_t)page;
	}
	return page - BIG_GFN < BIG_PAGES ? LOW_PAGES + (uint32_t)((page - BIG_GFN) / 512)
					  : NO_UNIT;
}

/* change.c: once; then a partition from its beginning to its end, with nobody else at work. */
void world_boot(void);
void world_start(const struct machine_options *options);
void world_create_slots(uint64_t *seed);
void world_check_logs(void);
void world_end(void);
/* And while it lives. */
void change_something(uint64_t *seed);
void read_some_log(uint64_t *seed);

/* keep.c: a step of who changes nothing that a guest could see. */
void keep_house(uint64_t *seed);

/* guest.c: a vCPU, and its way into guest mode and out again. */
struct guest {
	struct fake_cpu *cpu;
	uint64_t seed;
	hpa_t list[VIEWS]; /* roots that the guest may switch to, with VMFUNC */
	unsigned int view; /* that it is in */
	uint64_t base;	   /* it works around here */
	/* The access that faulted, to be tried again. */
	bool again;
	gfn_t page;
	unsigned int access;
	unsigned int faults;
	enum fake_result fault;
};

void guest_step(struct guest *guest);

#endif
