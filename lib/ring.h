/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of bytes with a counter that never wraps in practice (64 bits): `head` counts all
 * bytes ever written, so a reader keeps a cursor of its own, any number of readers may
 * follow, and one that was overtaken learns how much it lost. No locking: one writer.
 *
 *     data[]  ....[cursor ====unread==== head)....      head - cursor <= size, or lost
 */
#ifndef LIB_RING_H
#define LIB_RING_H

#include "lib/bits.h"

struct ring {
	uint8_t *data;
	size_t size; /* a power of two */
	uint64_t head;
};

static inline void ring_init(struct ring *ring, void *data, size_t size)
{
	ring->data = (uint8_t *)data;
	ring->size = size;
	ring->head = 0;
}

static inline void ring_put(struct ring *ring, uint8_t byte)
{
	ring->data[ring->head & (ring->size - 1)] = byte;
	ring->head++;
}

/* The oldest position that can still be read. */
static inline uint64_t ring_oldest(const struct ring *ring)
{
	return ring->head > ring->size ? ring->head - ring->size : 0;
}

/*
 * Reads one byte at *cursor and moves it on; false when the reader has caught up. A cursor
 * that was overtaken is first moved to the oldest byte and *lost (may be NULL) raised by
 * the number of bytes that are gone.
 */
static inline bool ring_get(const struct ring *ring, uint64_t *cursor, uint8_t *byte,
			    uint64_t *lost)
{
	uint64_t oldest = ring_oldest(ring);

	if (*cursor < oldest) {
		if (lost) {
			*lost += oldest - *cursor;
		}
		*cursor = oldest;
	}
	if (*cursor >= ring->head) {
		return false;
	}
	*byte = ring->data[*cursor & (ring->size - 1)];
	(*cursor)++;
	return true;
}

#endif
