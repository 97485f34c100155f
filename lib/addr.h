/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The five kinds of address and frame, each a type of its own so that a gpa cannot be
 * passed where an hpa is meant. gcc and clang emit the same code as for a plain integer.
 * Made and read by the constructors here and converted only by the named functions.
 *
 *     gpa/gfn  guest-physical address / frame     (what a guest calls physical)
 *     hpa/pfn  host-physical address / frame      (what the machine calls physical)
 *     gva      guest-virtual (linear) address
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include "lib/bits.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} hpa_t;
typedef struct {
	uint64_t v;
} gva_t;
typedef struct {
	uint64_t v;
} gfn_t;
typedef struct {
	uint64_t v;
} pfn_t;

#define PRIgpa "0x%llx"
#define PRIhpa "0x%llx"
#define PRIgva "0x%llx"
#define PRIgfn "0x%llx"
#define PRIpfn "0x%llx"
/* The argument that goes with a PRI... above. */
#define ADDR_ARG(a) ((unsigned long long)(a).v)

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){ v };
}

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){ v };
}

static inline gva_t gva(uint64_t v)
{
	return (gva_t){ v };
}

static inline gfn_t gfn(uint64_t v)
{
	return (gfn_t){ v };
}

static inline pfn_t pfn(uint64_t v)
{
	return (pfn_t){ v };
}

static inline gfn_t gpa_to_gfn(gpa_t a)
{
	return gfn(a.v >> PAGE_SHIFT);
}

static inline gpa_t gfn_to_gpa(gfn_t f)
{
	return gpa(f.v << PAGE_SHIFT);
}

static inline pfn_t hpa_to_pfn(hpa_t a)
{
	return pfn(a.v >> PAGE_SHIFT);
}

static inline hpa_t pfn_to_hpa(pfn_t f)
{
	return hpa(f.v << PAGE_SHIFT);
}

/*
 * Where host-physical address 0 is seen: the direct map on the machine (set once by
 * arch/x86/host_map.c), an arena in host tests. Read-only after boot.
 */
extern uintptr_t direct_map_base;

/* The one way to reach memory by its host-physical address. The frame must be mapped. */
static inline void *hpa_to_ptr(hpa_t a)
{
	return (void *)(direct_map_base + a.v);
}

/* The inverse, for a pointer that hpa_to_ptr() gave (not for the image or a stack). */
static inline hpa_t ptr_to_hpa(const void *ptr)
{
	return hpa((uintptr_t)ptr - direct_map_base);
}

#endif
