/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three partitions under the real MMU and frame table, for what goes on between them and
 * their managers: hypercalls, grants, balloon, memory faults. The scheduler, devices and the
 * CPU are recorded calls. cell_call() does what the run loop and the CPU loop do with a
 * hypercall's exit, in all its places.
 */
#ifndef TESTS_UNIT_CELLS_H
#define TESTS_UNIT_CELLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/cpu.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "lib/string.h"

#define CELLS 3
#define CELL_PAGES 256	/* [0, 1 MiB): plain memory, slot 0 */
#define CELL_LAZY 0x200 /* gfn of 16 pages that start absent, slot 1 */
#define CELL_LAZY_PAGES 16
#define CELL_ROM 0x300	    /* gfn of 4 read-only pages, slot 2 */
#define CELL_NOWHERE 0x1000 /* a gfn without memory */
#define CELL_RIP UINT64_C(0x7000)

struct cells {
	void *arena;
	void *frame_table;
	struct partition_config config[CELLS];
	struct partition_entry entry[CELLS];
	struct partition partition[CELLS];
	struct virt_paging paging;
	uint64_t rip;
	unsigned int injected;
	struct exit_exception exception;
	unsigned int wakes[CELLS]; /* calls of sched_wake() */
	unsigned int interrupts[CELLS];
	uint8_t vector;
	unsigned int flushes; /* of an ASID, by hand */
	hpa_t root;	      /* that VMFUNC took the vCPU to */
	unsigned int lists;   /* how often VMFUNC was turned off */
	unsigned int bugs;    /* violations reported; a test that expects none looks at it */
	bool bugs_expected;
	char output[512];
	size_t output_length;
};
extern struct cells cells;

int cells_start(void **state);
int cells_end(void **state);

struct vcpu *cell_vcpu(unsigned int cell);
/* Host pointer to the byte at a gpa of slot 0's memory. */
uint8_t *cell_memory(unsigned int cell, uint64_t address);
/* The frame behind a gfn, UINT64_MAX: none. */
uint64_t cell_frame(unsigned int cell, uint64_t page);
/* Reads by nested fault, as the guest would: what mmu_fault() answers. */
enum mmu_result cell_touch(unsigned int cell, uint64_t address, unsigned int access);

/* A hypercall from CPL 0. RAX as the guest finds it; RIP has moved by 3, or see cell_try(). */
int64_t cell_call(unsigned int cell, enum bulkhead_call number, uint64_t a, uint64_t b, uint64_t c,
		  uint64_t d);
/* The same, but it may park the vCPU: OUTCOME_FAULT then. */
enum outcome cell_try(unsigned int cell, enum bulkhead_call number, uint64_t a, uint64_t b,
		      uint64_t c, uint64_t d);

/* With as many arguments as the call takes. */
#define CALL(cell, number, ...) CALL_4(cell, number, ##__VA_ARGS__, 0, 0, 0, 0)
#define CALL_4(cell, number, a, b, c, d, ...) \
	cell_call(cell, number, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d))

#define NO_GPA (CELL_NOWHERE * PAGE_SIZE)
#define LAZY_GPA (CELL_LAZY * PAGE_SIZE)
#define ROM_GPA (CELL_ROM * PAGE_SIZE)

#define cell_test(f) cmocka_unit_test_setup_teardown(f, cells_start, cells_end)

#endif
