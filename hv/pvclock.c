/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records of the paravirtual clock. Partition time starts at 0 with its TSC and the TSC
 * never changes speed, so a record is written once, when the guest asks for it.
 */
#include "hv/pvclock.h"

#include "arch/x86/tsc.h"
#include "hv/guest_memory.h"

#define RECORD_ENABLED BIT(0)
#define FLAG_TSC_STABLE 1

/* Time of a vCPU: ns = system_time + (((tsc - tsc_timestamp) << shift) * multiplier >> 32). */
struct time_record {
	uint32_t version; /* odd while it is being written */
	uint32_t padding;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags;
	uint8_t padding2[2];
};
static_assert(sizeof(struct time_record) == 32, "the interface's layout");

struct wall_record {
	uint32_t version;
	uint32_t seconds; /* UTC at partition time 0 */
	uint32_t nanoseconds;
};
static_assert(sizeof(struct wall_record) == 12, "the interface's layout");

/* The scale for tsc_hz: the multiplier uses all its 32 bits. */
static void set_scale(struct time_record *record, uint64_t hz)
{
	uint64_t scaled = hz;
	int8_t shift = 0;

	while (scaled > 2 * UINT64_C(1000000000)) {
		scaled >>= 1;
		shift--;
	}
	while (scaled <= UINT64_C(1000000000)) {
		scaled <<= 1;
		shift++;
	}
	record->shift = shift;
	record->multiplier = (uint32_t)mul_div(UINT64_C(1000000000), BIT(32), scaled);
}

int pvclock_set_time(struct partition *partition, uint64_t value)
{
	struct time_record record = {
		.version = 2,
		.tsc_timestamp = partition->tsc_adjust, /* the guest's TSC at partition time 0 */
		.flags = FLAG_TSC_STABLE,
	};

	if (!(value & RECORD_ENABLED)) {
		partition->msrs.pvclock = 0;
		return 0;
	}
	set_scale(&record, tsc_hz());
	if (guest_physical_write(partition, gpa(value & ~UINT64_C(1)), &record, sizeof(record))) {
		return -EINVAL;
	}
	partition->msrs.pvclock = value;
	return 0;
}

int pvclock_set_wall_clock(struct partition *partition, uint64_t value)
{
	struct wall_record record = { 2, (uint32_t)partition->devices.host.wall_seconds, 0 };

	if (guest_physical_write(partition, gpa(value), &record, sizeof(record))) {
		return -EINVAL;
	}
	return 0;
}
