/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of a partition; hv/events.h says what they are. */
#include "hv/events.h"

#include "hv/partition.h"
#include "hv/sched.h"

#define VECTOR_FIRST 32 /* below are exceptions */
#define VECTOR_LAST 255

static void interrupt(struct partition *partition)
{
	if (partition->events.vector != 0) {
		vlapic_accept(&partition->devices.vlapic, APIC_FIXED, partition->events.vector,
			      false);
	}
}

void events_raise(struct partition_entry *entry, uint32_t bits)
{
	struct partition *partition = entry->partition;

	if (!partition || (entry->state != PARTITION_RUNNING && entry->state != PARTITION_PAUSED)) {
		return;
	}
	if ((bits & ~partition->events.pending) == 0) {
		return; /* it has not looked yet: nobody can make it a storm */
	}
	partition->events.pending |= bits;
	interrupt(partition);
	if (entry->state == PARTITION_RUNNING) {
		sched_wake(&entry->sched[0]); /* its vLAPIC is that of vCPU 0 */
	}
}

uint32_t events_poll(struct partition *partition)
{
	uint32_t pending = partition->events.pending;

	partition->events.pending = 0;
	return pending;
}

bool events_set_vector(struct partition *partition, uint64_t vector)
{
	if (vector != 0 && (vector < VECTOR_FIRST || vector > VECTOR_LAST)) {
		return false;
	}
	partition->events.vector = (uint8_t)vector;
	if (partition->events.pending != 0) {
		interrupt(partition);
	}
	return true;
}
