/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small machine for tests of the whole MMU: 3 GiB of memory that is there when it is
 * touched, a frame table over it, one partition with its pool and its CPUs, and a neighbour
 * who gets frames that the partition has lost. A broken rule ends the program: nothing that
 * the tests do may lead to one.
 */
#ifndef TESTS_MMU_MACHINE_H
#define TESTS_MMU_MACHINE_H

#include "lib/string.h"
#include "mm/table.h"
#include "tests/mmu/fake_cpu.h"

#define MACHINE_FRAMES (UINT64_C(3) << 18)
#define MACHINE_POOL (UINT64_C(256) << 20)
#define MACHINE_OWNER 3
#define MACHINE_OTHER 4
#define MACHINE_CPUS_MAX 8

struct machine {
	struct mmu_config config;
	struct pool pool;
	struct bug_state bug;
	struct mmu mmu;
	unsigned int cpu_count;
	struct fake_cpu cpu[MACHINE_CPUS_MAX];
	size_t pool_pages; /* that mmu_init() keeps: headers and the array of slots */
};

struct machine_options {
	const struct spte_format *format;
	bool large_1g;
	bool accessed_dirty;
	size_t pool_pages;
	unsigned int cpu_count;
};

/* Once: memory, and a frame table in which everything is the hypervisor's. */
void machine_boot(void);

/* A partition with an empty MMU, and its CPUs in view 0. Guest memory is the caller's affair. */
void machine_start(struct machine *machine, const struct machine_options *options);

/* All that the partition's slots, views and vCPUs took must be back in the pool. */
void machine_end(struct machine *machine);

void machine_audit(struct machine *machine);

/* Takes a frame from one owner to another; both may be the machine. */
void machine_hand_over(pfn_t frame, owner_t from, owner_t to);

/* Memory by its address; an address that is not memory ends the program. */
void *machine_ptr(hpa_t address);
_Atomic uint64_t *machine_word(pfn_t frame);

_Noreturn void machine_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
