/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operations cost, in ticks of the TSC as the guest sees it. One line each:
 *
 *     cost: NAME min=N med=N max=N n=SAMPLES
 *     cost: NAME unsupported
 *
 * What the measuring sequence itself takes is subtracted (`empty`, itself not). The same
 * guest runs on the bare machine; the difference is the hypervisor's.
 */
#include "tests/guests/common/guest.h"
#include "tests/guests/common/trap.h"
#include "tests/guests/cost/cost.h"

static uint64_t samples[SAMPLES_MAX];

/* Inserts `value` into the first `count` samples, which are in order. */
static void insert(unsigned int count, uint64_t value)
{
	unsigned int at = count;

	for (; at > 0 && samples[at - 1] > value; at--) {
		samples[at] = samples[at - 1];
	}
	samples[at] = value;
}

static uint64_t without(uint64_t ticks, uint64_t empty)
{
	return ticks > empty ? ticks - empty : 0;
}

/* Takes the samples, says the result; returns the median, or 0 when it is refused. */
static uint64_t measure(const struct operation *operation, uint64_t empty)
{
	unsigned int count = operation->limit ? operation->limit() : SAMPLES_MAX;

	count = MIN(count, (unsigned int)SAMPLES_MAX);
	fault_clear();
	for (unsigned int i = 0; i < count && fault.vector == NO_FAULT; i++) {
		insert(i, operation->sample(i));
	}
	if (count == 0 || fault.vector != NO_FAULT) {
		print("cost: %s unsupported\n", operation->name);
		return 0;
	}
	uint64_t median = without(samples[count / 2], empty);
	print("cost: %s min=%llu med=%llu max=%llu n=%u\n", operation->name,
	      (unsigned long long)without(samples[0], empty), (unsigned long long)median,
	      (unsigned long long)without(samples[count - 1], empty), count);
	return median;
}

static void measure_all(const struct operation *operation, uint64_t empty)
{
	for (; operation->name; operation++) {
		measure(operation, empty);
	}
}

int guest_main(void)
{
	static const struct operation nothing = { "empty", sample_nothing, NULL };
	uint64_t empty = measure(&nothing, 0);

	measure_all(instruction_operations, empty);
	measure_all(memory_operations, empty);
	interrupts_init();
	measure_all(xapic_operations, empty);
	if (has_x2apic()) {
		enter_x2apic();
		measure_all(x2apic_operations, empty);
	}
	print("cost: done\n");
	return 0;
}
