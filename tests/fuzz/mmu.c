/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer's way into the MMU: the steps of the race (tests/race), in one thread, in an order
 * and with choices that the input makes. Two vCPUs with TLBs, a pool as small as the input
 * wants it, the truth beside it (world.h), the audit after each step that changed something,
 * and at the end nothing may be left of the partition.
 *
 *     input: options | step choices | step choices ...       what is missing at its end is 0
 */
#include "tests/race/world.h"

#define STEPS_MAX 400
#define POOL_LEAST 24

struct world world;

static const uint8_t *input;
static size_t input_left;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *word_count, char ***words);

/* As many bytes as the limit has; see world.h. */
uint64_t choose_below(uint64_t *seed, uint64_t limit)
{
	uint64_t value = 0;

	(void)seed;
	for (uint64_t rest = limit - 1; rest != 0 && input_left > 0; rest >>= 8) {
		value = value << 8 | *input++;
		input_left--;
	}
	return value % limit;
}

int LLVMFuzzerInitialize(int *word_count, char ***words)
{
	(void)word_count;
	(void)words;
	world_boot();
	return 0;
}

/* What tells whether there is something new for the audit. */
static uint64_t changes_of(const struct mmu *mmu)
{
	const struct mmu_stats *stats = &mmu->stats;

	return stats->fixed[0] + stats->fixed[1] + stats->fixed[2] + stats->mmio_installed +
	       stats->zaps + stats->flushes + stats->tables + stats->splits;
}

static void step(struct guest *guests)
{
	uint64_t kind = choose_below(NULL, 8);

	if (kind < 4) {
		guest_step(&guests[kind % 2]);
	} else if (kind < 7) {
		change_something(NULL);
	} else {
		keep_house(NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine_options options = { .cpu_count = 2 };
	struct guest guests[2] = { { .cpu = &world.machine.cpu[0] },
				   { .cpu = &world.machine.cpu[1] } };
	uint64_t seen = 0;
	uint64_t kind;

	input = data;
	input_left = size;
	kind = choose_below(NULL, 256);
	options.format = kind & 1 ? &npt_format : &ept_format;
	options.large_1g = !(kind & 2);
	options.accessed_dirty = !(kind & 4);
	options.pool_pages = POOL_LEAST + (kind & 8 ? 300 : choose_below(NULL, 64));
	world.vmfunc = kind & 16;
	world.big = !(kind & 0xe0);
	world_start(&options);
	for (unsigned int steps = 0; input_left > 0 && steps < STEPS_MAX; steps++) {
		uint64_t changes;

		step(guests);
		changes = changes_of(&world.machine.mmu);
		if (changes != seen) {
			machine_audit(&world.machine);
			seen = changes;
		}
	}
	world_check_logs();
	world_end();
	return 0;
}
