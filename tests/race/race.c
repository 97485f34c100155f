/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The race: threads as vCPUs, one that changes what they see, one that keeps the house. In
 * rounds; between two, with everybody stopped, the audit and the dirty logs; after some, the
 * partition goes, nothing may be left of it, and another one comes, with the other format.
 *
 *     race SECONDS THREADS SEED
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/race/world.h"

#define ROUND_SECONDS 0.25
#define ROUNDS 8 /* of a partition's life */

struct world world;

static struct {
	unsigned int guests; /* 0: the end */
	uint64_t seed;
	_Atomic bool stop;
	pthread_barrier_t barrier;
} race;

static const char *const figure_names[FIGURE_COUNT] = {
	"accesses", "hits",	"faults",  "installs", "retries",   "flushes",
	"pointers", "switches", "changes", "readings", "no memory", "rounds",
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* See world.h. */
uint64_t choose_below(uint64_t *seed, uint64_t limit)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (*seed * UINT64_C(0x2545f4914f6cdd1d) >> 16) % limit;
}

static bool is_stopping(void)
{
	return atomic_load_explicit(&race.stop, memory_order_relaxed);
}

/* A round between each two meetings at the barrier, in all of them. */
static void *guest_main(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;
	struct guest guest = { .seed = race.seed + UINT64_C(0x9e3779b97f4a7c15) * (number + 1) };

	for (;;) {
		pthread_barrier_wait(&race.barrier);
		if (race.guests == 0) {
			return NULL;
		}
		guest.cpu = &world.machine.cpu[number];
		guest.again = false;
		while (!is_stopping()) {
			guest_step(&guest);
		}
		count(FIGURE_HITS, guest.cpu->hits);
		guest.cpu->hits = 0;
		pthread_barrier_wait(&race.barrier);
	}
}

/* Steps, round after round, until there are no guests. */
static void *run_rounds(void (*step)(uint64_t *seed), uint64_t seed)
{
	for (;;) {
		pthread_barrier_wait(&race.barrier);
		if (race.guests == 0) {
			return NULL;
		}
		while (!is_stopping()) {
			step(&seed);
		}
		pthread_barrier_wait(&race.barrier);
	}
}

static void change_step(uint64_t *seed)
{
	change_something(seed);
	if (chance(seed, 4)) {
		sched_yield();
	}
}

static void *changer_main(void *argument)
{
	return run_rounds(change_step, (uintptr_t)argument);
}

static void *keeper_main(void *argument)
{
	return run_rounds(keep_house, (uintptr_t)argument);
}

static void run_round(void)
{
	double end = seconds() + ROUND_SECONDS;

	atomic_store(&race.stop, false);
	pthread_barrier_wait(&race.barrier);
	while (seconds() < end) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	atomic_store(&race.stop, true);
	pthread_barrier_wait(&race.barrier);
	machine_audit(&world.machine);
	world_check_logs();
	machine_audit(&world.machine);
	count(FIGURE_ROUNDS, 1);
}

/* A partition from its beginning to its end. */
static void run_life(unsigned int number, double end, uint64_t *seed)
{
	struct machine_options options = {
		.format = number % 2 ? &npt_format : &ept_format,
		.large_1g = number % 3 != 2,
		.accessed_dirty = number % 5 != 4,
		.pool_pages = number % 4 == 3 ? 90 : 2000,
		.cpu_count = race.guests,
	};

	world.vmfunc = number % 2 == 0;
	world.big = true;
	world_start(&options);
	world_create_slots(seed);
	for (unsigned int i = 0; i < ROUNDS && seconds() < end; i++) {
		run_round();
	}
	count(FIGURE_FLUSHES, world.machine.mmu.stats.flushes);
	world_end();
}

int main(int count_of, char **words)
{
	double length = count_of > 1 ? atof(words[1]) : 10;
	unsigned int threads = count_of > 2 ? (unsigned int)atoi(words[2]) : 4;
	uint64_t seed = count_of > 3 ? strtoull(words[3], NULL, 0) : 1;
	double end;
	pthread_t thread[MACHINE_CPUS_MAX + 2];
	unsigned int number = (unsigned int)(seed % 60);

	if (threads < 3 || threads > MACHINE_CPUS_MAX + 2) {
		fprintf(stderr, "race: 3 to %u threads\n", MACHINE_CPUS_MAX + 2);
		return 2;
	}
	seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	race.guests = threads - 2;
	race.seed = seed;
	world_boot();
	end = seconds() + length;
	pthread_barrier_init(&race.barrier, NULL, threads + 1);
	for (unsigned int i = 0; i < threads - 2; i++) {
		pthread_create(&thread[i], NULL, guest_main, (void *)(uintptr_t)i);
	}
	pthread_create(&thread[threads - 2], NULL, changer_main,
		       (void *)(uintptr_t)choose_below(&seed, UINT64_C(1) << 40));
	pthread_create(&thread[threads - 1], NULL, keeper_main,
		       (void *)(uintptr_t)choose_below(&seed, UINT64_C(1) << 40));
	while (seconds() < end) {
		run_life(number++, end, &seed);
	}
	race.guests = 0;
	pthread_barrier_wait(&race.barrier);
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
	}
	for (unsigned int i = 0; i < FIGURE_COUNT; i++) {
		printf("%s%llu %s", i ? ", " : "race: ", (unsigned long long)world.figure[i],
		       figure_names[i]);
	}
	printf("\nrace: ok\n");
	return 0;
}
