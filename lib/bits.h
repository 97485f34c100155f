/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words about words: single bits, fields of hardware registers, alignment, bounds.
 * Hardware words are never C bit-fields; they are read and made with these.
 */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))
/* The mask of bits hi..lo, both included. */
#define BITS(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))
#define FIELD_SHIFT(mask) (__builtin_ctzll(mask))
#define FIELD_GET(mask, word) (((uint64_t)(word) & (mask)) >> FIELD_SHIFT(mask))
#define FIELD_PREP(mask, value) (((uint64_t)(value) << FIELD_SHIFT(mask)) & (mask))

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* One of the two is evaluated twice. */
/* One of the two is evaluated twice: not for calls. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* Rounding to a power of two. align_up wraps to 0 at the top of the address space. */
static inline uint64_t align_down(uint64_t value, uint64_t power)
{
	return value & ~(power - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t power)
{
	return (value + power - 1) & ~(power - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t power)
{
	return (value & (power - 1)) == 0;
}

/* True when [start, start + length) does not wrap and ends at or below `limit`. */
static inline bool range_fits(uint64_t start, uint64_t length, uint64_t limit)
{
	return start <= limit && length <= limit - start;
}

/* True when the half-open ranges [a, a_end) and [b, b_end) share a value. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

/*
 * a * b / c with a 128-bit product; the quotient saturates at UINT64_MAX. c is not 0.
 * Written with the CPU's own instructions because libgcc is not linked.
 */
uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c);

#endif
